"""Checks of what the metrics are given, and the generator behind their draws."""

import sys
from collections.abc import Iterable
from typing import Any

import numpy as np


def as_array(values: Any, name: str, ndim: int) -> np.ndarray:
    """`values` as a float64 array of `ndim` dimensions with at least one element, every one of them finite.

    Args:
        values: numpy array, torch tensor (any device and float type) or nested sequence of numbers.
        name: what the caller calls it; it opens every error message.

    Returns:
        The array.

    Raises:
        ValueError: not numbers, ragged, of another number of dimensions, empty, NaN or infinite.
    """
    # A tensor can only arrive where torch has been imported, so that numpy users never pay for importing it.
    torch = sys.modules.get("torch")
    if isinstance(values, str | bytes):
        raise ValueError(f"{name} must be an array of numbers with {ndim} dimensions, got a string")
    if isinstance(values, list | tuple) and torch is not None and any(isinstance(v, torch.Tensor) for v in values):
        values = [as_array(v, f"{name}[{i}]", ndim - 1) for i, v in enumerate(values)]
    if torch is not None and isinstance(values, torch.Tensor):
        values = values.detach().to("cpu", torch.float64).numpy()
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise ValueError(f"{name} must have rows of one shape, got rows that differ in length or shape") from error
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} must hold real numbers, got {array.dtype}")
    if array.ndim != ndim:
        raise ValueError(f"{name} must have {ndim} dimensions, got shape {array.shape}")
    if array.size == 0:
        raise ValueError(f"{name} must not be empty, got shape {array.shape}")
    array = array.astype(np.float64, copy=False)
    if not np.isfinite(array).all():
        bad = int(np.argwhere(~np.isfinite(array))[0][0])
        raise ValueError(f"{name} must be finite, got NaN or infinity first in row {bad}; drop or repair that row")
    return array


def as_pairs(first: Any, second: Any, names: tuple[str, str]) -> tuple[np.ndarray, np.ndarray]:
    """Check two arrays of paired rows.

    Args:
        first: (N, D).
        second: (N, D).
        names: Names of both in error messages.

    Returns:
        Both as float64 arrays.

    Raises:
        ValueError: See `as_array`; or the shapes differ.
    """
    a, b = as_array(first, names[0], 2), as_array(second, names[1], 2)
    if a.shape != b.shape:
        raise ValueError(f"{names[0]} has shape {a.shape} and {names[1]} {b.shape}; row i of both must be one pair")
    return a, b


def positive_integer(value: Any, name: str) -> int:
    """Check a count.

    Args:
        value: The value.
        name: Its name in the error message.

    Returns:
        The value as an int.

    Raises:
        ValueError: It is not an integer >= 1.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer >= 1, got {value!r}")
    return int(value)


def generator(seed: int | None) -> Any:
    """The generator behind the published draws.

    Args:
        seed: For the stream of `np.random.seed`; None takes numpy's global state.

    Returns:
        A `RandomState`, or the module `np.random`.

    Raises:
        ValueError: The seed is not an integer in 0..2^32 - 1.
    """
    if seed is None:
        return np.random
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be None or an integer in 0..{2**32 - 1}, got {seed!r}")
    return np.random.RandomState(int(seed))


def check_strings(values: Any, name: str, allow_blank: bool = False) -> list[str]:
    """Check a list of strings.

    Args:
        values: The list.
        name: Its name in error messages.
        allow_blank: Accept empty strings.

    Returns:
        The strings as a list.

    Raises:
        ValueError: A bare string, an empty list, an element that is not a string, or an empty string.
    """
    if isinstance(values, str | bytes) or not isinstance(values, Iterable):
        raise ValueError(f"{name} must be a list of strings, got {values!r:.80}; wrap a single caption in [ ]")
    values = list(values)
    if not values:
        raise ValueError(f"{name} must not be empty")
    for i, value in enumerate(values):
        if not isinstance(value, str):
            raise ValueError(f"{name}[{i}] must be a string, got {value!r:.80}")
        if not allow_blank and not value.strip():
            raise ValueError(f"{name}[{i}] is an empty caption; drop it")
    return [str(value) for value in values]
