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
