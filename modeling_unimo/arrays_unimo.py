"""Arrays of either kind, numpy or torch, without importing torch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

Array = Any  # np.ndarray or torch.Tensor


def is_tensor(array: Any) -> bool:
    """Tell whether an object is a torch tensor.

    Args:
        array: Any object.

    Returns:
        Whether it is a tensor.
    """
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def without_graph(array: Any, name: str = "array") -> Array:
    """Detach a tensor from its graph; convert anything else to a numpy array.

    Args:
        array: Tensor, array or nested lists of numbers.
        name: Name of the array in the error message.

    Returns:
        Tensor or array of the same shape.

    Raises:
        ValueError: The array does not hold real numbers.
    """
    if is_tensor(array):
        return array.detach()
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def multiply(p: tuple[Array, ...], q: tuple[Array, ...]) -> tuple[Array, ...]:
    """Hamilton product p*q of quaternions: the rotation q, then p.

    Args:
        p: Quaternions (w, x, y, z), each an array of one shape.
        q: Quaternions of that shape.

    Returns:
        Quaternions (w, x, y, z) of that shape.
    """
    pw, px, py, pz = p
    qw, qx, qy, qz = q
    return (
        pw * qw - px * qx - py * qy - pz * qz,
        pw * qx + px * qw + py * qz - pz * qy,
        pw * qy - px * qz + py * qw + pz * qx,
        pw * qz + px * qy - py * qx + pz * qw,
    )
