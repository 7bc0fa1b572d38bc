"""Arrays of either kind, numpy or torch, without importing torch."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

Array = Any  # np.ndarray or torch.Tensor


def is_tensor(array: Any) -> bool:
    """Whether this is a torch tensor."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def without_graph(array: Any, name: str = "array") -> Array:
    """A tensor detached from its graph, anything else as a numpy array.

    Raises:
        ValueError: The array holds no real numbers.
    """
    if is_tensor(array):
        return array.detach()
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"{name} must hold real numbers, got dtype {array.dtype}")
    return array


def multiply(p: tuple[Array, ...], q: tuple[Array, ...]) -> tuple[Array, ...]:
    """Hamilton product of quaternions, each a tuple (w, x, y, z) of arrays of one shape: the rotation q, then p."""
    pw, px, py, pz = p
    qw, qx, qy, qz = q
    return (
        pw * qw - px * qx - py * qy - pz * qz,
        pw * qx + px * qw + py * qz - pz * qy,
        pw * qy - px * qz + py * qw + pz * qx,
        pw * qz + px * qy - py * qx + pz * qw,
    )
