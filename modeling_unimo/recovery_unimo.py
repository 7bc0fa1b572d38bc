"""Joint positions from features, of numpy arrays and torch tensors alike; only numpy is imported."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from .arrays_unimo import Array, is_tensor
from .skeletons_unimo import HUMANML3D, Skeleton


def turn(cos: Array, sin: Array, x: Array, z: Array) -> tuple[Array, Array]:
    """Rotate about the +Y axis.

    Args:
        cos: Cosine of the angle.
        sin: Sine of the angle.
        x: First coordinate of the points.
        z: Third coordinate of the points.

    Returns:
        The rotated x and z, of the broadcast shape.
    """
    return cos * x + sin * z, cos * z - sin * x


def check_width(features: Array, skeleton: Skeleton) -> None:
    """Check the shape of features.

    Args:
        features: Raw features (..., T, D).
        skeleton: The skeleton of the features.

    Raises:
        ValueError: Another shape.
    """
    if features.ndim < 2 or features.shape[-1] != skeleton.feature_dim:
        raise ValueError(
            f"expected features of shape (..., T, {skeleton.feature_dim}) for the {skeleton.name} skeleton, "
            f"got {tuple(features.shape)}"
        )


def root_path(features: Array) -> tuple[Array, ...]:
    """Integrate the root's steps and turns.

    Args:
        features: Raw features (..., T, D), float32 or float64.

    Returns:
        Root x, y, z and the cosine and sine of the full root yaw, each (..., T).
    """
    library = _library_of(features)
    spin, step_x, step_z, height = (features[..., column] for column in range(4))
    zero = library.zeros_like(spin[..., :1])
    angle, step_x, step_z = (library.concatenate((zero, step[..., :-1]), -1) for step in (spin, step_x, step_z))
    angle = 2 * _running_sum(angle)
    cos, sin = library.cos(angle), library.sin(angle)
    step_x, step_z = turn(cos, -sin, step_x, step_z)
    return _running_sum(step_x), height, _running_sum(step_z), cos, sin


def features_to_joints(features: Array, skeleton: Skeleton = HUMANML3D) -> Array:
    """Joint positions from the root path and the local positions of features. Differentiable.

    Args:
        features: Raw features (..., T, D).
        skeleton: The skeleton of the features.

    Returns:
        (..., T, J, 3); the first frame's root is at x = z = 0 and faces +Z.

    Raises:
        ValueError: Wrong shape, or not an array of numbers.
    """
    features = _as_floats(features)
    check_width(features, skeleton)
    library = _library_of(features)
    root_x, root_y, root_z, cos, sin = root_path(features)
    local = features[..., skeleton.slices["positions"]]
    local = local.reshape(*local.shape[:-1], skeleton.num_joints - 1, 3)
    x, z = turn(cos[..., None], -sin[..., None], local[..., 0], local[..., 2])
    joints = library.stack((x + root_x[..., None], local[..., 1], z + root_z[..., None]), -1)
    root = library.stack((root_x, root_y, root_z), -1)
    return library.concatenate((root[..., None, :], joints), -2)


def _library_of(array: Array) -> Any:
    return sys.modules["torch"] if is_tensor(array) else np


def _as_floats(array: Any) -> Array:
    if is_tensor(array):
        return array if array.element_size() >= 4 and array.is_floating_point() else array.float()
    array = np.asarray(array)
    if array.dtype.kind not in "fiub":
        raise ValueError(f"expected an array of numbers, got dtype {array.dtype}")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)


def _running_sum(array: Array) -> Array:
    # torch adds float32 up in float64 as well.
    return array.cumsum(-1) if is_tensor(array) else array.cumsum(-1, dtype=np.float64).astype(array.dtype)
