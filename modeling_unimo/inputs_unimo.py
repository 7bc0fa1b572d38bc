"""Texts, motions and numbers as callers hand them in, converted once at the boundary."""

import operator
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

from .array_files_unimo import UNREADABLE, load_array, member_names, read_member
from .arrays_unimo import is_tensor
from .skeletons_unimo import HUMANML3D, KIT, Skeleton, check_features, skeleton_for

# Columns of a row that may hold its motion; the first one found counts.
MOTION_KEYS = ("motion", "features", "joints")


@runtime_checkable
class SupportsArray(Protocol):
    """What numpy makes an array of: arrays, pandas columns, `GeneratedMotion`."""

    def __array__(self) -> np.ndarray: ...


def as_int(name: str, value: Any, minimum: int, maximum: int | None = None) -> int:
    """Read an integer of Python, numpy or torch.

    Args:
        name: Name of the value in the error message.
        value: The value.
        minimum: Smallest value allowed.
        maximum: Largest value allowed; None for no limit.

    Returns:
        The value as a Python integer.

    Raises:
        ValueError: The value is not an integer, or out of bounds.
    """
    try:
        number = operator.index(value)
    except TypeError:
        number = None
    if number is None or isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name} must be an integer, got {value!r}")
    if number < minimum or maximum is not None and number > maximum:
        bounds = f">= {minimum}" if maximum is None else f"in [{minimum}, {maximum}]"
        raise ValueError(f"{name} must be {bounds}, got {number}")
    return number


def as_number(value: Any) -> Any:
    """Convert a numpy or torch scalar to a Python number.

    Args:
        value: Any object.

    Returns:
        The number, or the object itself if it is not such a scalar.
    """
    scalar = isinstance(value, np.generic) or (is_tensor(value) and value.ndim == 0)
    return value.item() if scalar else value


# ------------------------------------------------------------------------------------------------------------- texts
def is_single_text(texts: Any) -> bool:
    """Tell one text (a string or a row with the key "text") from several.

    Args:
        texts: Any object.

    Returns:
        Whether it is one text.
    """
    return isinstance(texts, (str, bytes, Mapping)) or texts is None


def as_texts(texts: Any) -> list[str]:
    """A list of strings from one text or an iterable of them.

    Args:
        texts: A string, a row `{"text": str}`, or any iterable of these: list, tuple, generator, column of a dataset,
            `KeyDataset`, array, pandas Series.

    Returns:
        The strings.

    Raises:
        ValueError: One of them is neither a string nor a row with a text.
    """
    if is_single_text(texts):
        return [_as_text(texts, "the text")]
    return [_as_text(text, f"text {index}") for index, text in enumerate(_items(texts, "text"))]


def _items(values: Any, what: str) -> Iterator[Any]:
    try:
        return iter(values)  # also over what only has __getitem__, as KeyDataset
    except TypeError as error:
        raise ValueError(f"expected a {what} or an iterable of them, got {type(values).__name__}") from error


def _as_text(text: Any, name: str) -> str:
    if isinstance(text, Mapping):
        if not isinstance(text.get("text"), str):
            raise ValueError(f'{name} is a row with the keys {list(text)}; give a string or a row {{"text": str}}')
        return text["text"]
    if not isinstance(text, str):
        raise ValueError(f"{name} must be a string, got {type(text).__name__}")
    return str(text)


# ----------------------------------------------------------------------------------------------------------- motions
def as_motions(motions: Any) -> tuple[list[Any], bool]:
    """The motions of a request, still in their own form, and whether it was a single one.

    Args:
        motions: What `as_features` takes, or an iterable of that: list, tuple, generator, column of a dataset,
            `KeyDataset`, array or tensor with a batch dimension.

    Returns:
        The motions, and whether it was a single one.

    Raises:
        ValueError: It is neither a motion nor an iterable.
    """
    if isinstance(motions, (str, os.PathLike, Mapping)):
        return [motions], True
    shape = _shape(motions)
    if len(shape) == 2 or _skeleton_of(shape) is not None:
        return [motions], True
    return list(_items(motions, "motion")), False


def as_features(motion: Any, feature_dim: int, name: str = "the motion") -> np.ndarray:
    """One motion as raw features (T, feature_dim), float32 (float64 where it is handed in so).

    Args:
        motion: Raw features (T, feature_dim) or joints (T + 1, J, 3) in the skeleton's unit and at the model's frame
            rate, as an array, tensor (any type or device, with or without gradient) or nested lists; a
            `GeneratedMotion`; the path of a file that `load_motion` reads; or a row with one of these under "motion",
            "features" or "joints".
        feature_dim: Width of the model's features.
        name: What to call the motion in errors.

    Returns:
        Raw features (T, feature_dim).

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is none of these, or of another skeleton.

    Warns:
        UserWarning: The joints are no body that stands: another axis may point up.
    """
    if isinstance(motion, Mapping):
        keys = [key for key in MOTION_KEYS if motion.get(key) is not None]
        if not keys:
            raise ValueError(f"{name} is a row with the keys {list(motion)}; its motion is read from {MOTION_KEYS}")
        motion = motion[keys[0]]
    if isinstance(motion, (str, os.PathLike)):
        array = load_motion(motion)
    elif is_tensor(motion):
        array = (motion if motion.element_size() == 8 else motion.float()).detach().cpu().numpy()
    else:
        try:
            array = np.asarray(motion)
            array = array.astype(array.dtype if array.dtype == np.float64 else np.float32, copy=False)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name} is not an array of numbers ({type(motion).__name__}): {error}") from error
    num_joints = (feature_dim + 1) // 12
    if array.ndim == 3 and array.shape[1:] == (num_joints, 3):
        from .motion_representation import joints_to_features

        skeleton = skeleton_for(feature_dim)
        joints, array = array, joints_to_features(array, skeleton)
        if not _is_upright(joints, skeleton):
            warnings.warn(
                f"{name}: the head is not above the pelvis and the feet in most frames. Joints must have Y up and the "
                f"order of {skeleton.name}'s; `unimo convert-motion` turns others. If the body lies or crawls, ignore "
                "this",
                stacklevel=3,
            )
    if array.ndim != 2 or array.shape[1] != feature_dim:
        raise ValueError(
            f"{name} must have shape (frames, {feature_dim}) for features or (frames, {num_joints}, 3) for joints, "
            f"got {array.shape}"
        )
    return array


def _is_upright(joints: np.ndarray, skeleton: Skeleton) -> bool:
    """Whether a body (T, J, 3) stands in most frames."""
    names = skeleton.joint_names
    height = joints[..., 1]
    ankles = height[:, [names.index("left_ankle"), names.index("right_ankle")]].mean(1)
    return float(((height[:, names.index("head")] > height[:, 0]) & (height[:, 0] > ankles)).mean()) > 0.5


def _shape(value: Any) -> tuple[int, ...]:
    """Shape of an array, tensor, `GeneratedMotion` or nested list (by its first item); () for anything else."""
    if is_tensor(value):
        return tuple(value.shape)
    if isinstance(value, (list, tuple)):
        return (len(value), *_shape(value[0])) if value else (0,)
    return np.shape(value) if isinstance(value, SupportsArray) else ()


def _skeleton_of(shape: tuple[int, ...]) -> Skeleton | None:
    """The skeleton of joints (T, J, 3) of this shape."""
    return next((s for s in (HUMANML3D, KIT) if len(shape) == 3 and shape[1:] == (s.num_joints, 3)), None)


def load_motion(path: str | os.PathLike) -> np.ndarray:
    """Read the features of one motion.

    Args:
        path: `.npy` with features (T, 263 or 251) or joints (T, 22 or 21, 3), `.npz` as `save_motion` writes it (its
            features, else its joints), or `.bvh`. Joints are converted.

    Returns:
        Raw features (T, D), float32.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Another suffix, a truncated or pickled file, or arrays that are no motion; the message names the
            file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no motion file at {path}")
    suffix = path.suffix.lower()
    if suffix == ".bvh":
        try:  # the data side of the package, which a Hub folder does not carry
            from datasets_scripts.sources.bvh import bvh_to_features
            from datasets_scripts.sources.reading import for_convert_motion
        except ImportError as error:
            raise ImportError(f"{path}: reading .bvh needs the unimo package installed") from error
        try:
            return bvh_to_features(path)
        except ValueError as error:
            raise ValueError(for_convert_motion(str(error))) from error
    if suffix not in (".npy", ".npz"):
        raise ValueError(f"{path}: unknown suffix; expected .npy, .npz or .bvh")
    loaded, skeleton = read_motion_array(path)
    try:
        features = as_features(loaded, skeleton.feature_dim, path.name)
        with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused as such
            features = features.astype(np.float32, copy=False)
        check_features(features, skeleton)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return features


def read_motion_array(path: Path) -> tuple[np.ndarray, Skeleton]:
    """Read the motion in a file of arrays as it is stored.

    Args:
        path: `.npy`, or `.npz` with one of `MOTION_KEYS`.

    Returns:
        Features (T, 263 or 251) or joints (T, 22 or 21, 3), unchecked, and their skeleton.

    Raises:
        ValueError: A truncated or pickled file, or an array that is no motion; the message names the file.
    """
    try:
        if path.suffix.lower() == ".npz":
            there = member_names(path)
            key = next((key for key in MOTION_KEYS if key in there), None)
            if key is None:
                raise ValueError(f"holds {sorted(there)}, none of {', '.join(MOTION_KEYS)}")
            loaded = read_member(path, key)
            if loaded.dtype.kind not in "fiu":
                raise ValueError(f"{key} is not an array of real numbers but of {loaded.dtype}")
        else:
            loaded = load_array(path)
    except UNREADABLE as error:
        raise ValueError(f"{path}: cannot be read as a motion: {error}") from error
    try:
        skeleton = skeleton_for(loaded.shape[1]) if loaded.ndim == 2 else _skeleton_of(loaded.shape)
        if skeleton is None:
            raise ValueError(f"expected features (T, D) or joints (T, J, 3), got shape {loaded.shape}")
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    return loaded, skeleton
