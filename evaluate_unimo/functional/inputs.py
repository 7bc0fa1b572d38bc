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
    """Two (N, D) arrays whose rows belong together.

    Raises:
        ValueError: as `as_array`, and for different shapes.
    """
    a, b = as_array(first, names[0], 2), as_array(second, names[1], 2)
    if a.shape != b.shape:
        raise ValueError(f"{names[0]} has shape {a.shape} and {names[1]} {b.shape}; row i of both must be one pair")
    return a, b


def positive_integer(value: Any, name: str) -> int:
    """`value` as an int; ValueError where it is no integer >= 1."""
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name} must be an integer >= 1, got {value!r}")
    return int(value)


def generator(seed: int | None) -> Any:
    """The generator behind the published draws: `np.random.seed(seed)`'s stream, or numpy's global one for None."""
    if seed is None:
        return np.random
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed must be None or an integer in 0..{2**32 - 1}, got {seed!r}")
    return np.random.RandomState(int(seed))


def check_strings(values: Any, name: str, allow_blank: bool = False) -> list[str]:
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
