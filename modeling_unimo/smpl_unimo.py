"""Joint positions from SMPL, SMPL-H and SMPL-X parameters: rest joints once a body, then 22 rotations a frame.

Only joints are computed: the mesh, its pose corrections and its skinning do not move them. The first 22 joints of all
three models are the same, in HumanML3D's order. Numpy only, so that reading data does not start torch.

Source: Loper et al., "SMPL: A Skinned Multi-Person Linear Model" (2015), equations 8 to 10 and 4 for the joints.
"""

from __future__ import annotations

import functools
import io
import math
import pickle
import pickletools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

# isort: off
from .array_files_unimo import UNREADABLE, member_names, read_member
from .arrays_unimo import multiply
from .skeletons_unimo import HUMANML3D
# isort: on

Planes = tuple[np.ndarray, ...]
NUM_JOINTS = 22
NUM_BETAS = 10  # what HumanML3D takes of AMASS's 16, and all that video-to-motion systems estimate
_KINDS = {24: "SMPL", 52: "SMPL-H", 55: "SMPL-X", 16: "MANO", 5: "FLAME"}
_NEEDED = ("v_template", "shapedirs", "J_regressor", "kintree_table")
_PARENTS = np.array(HUMANML3D.parents)
_LARGEST_MATRIX = 10_000_000  # numbers; the regressor of SMPL-X has 55 x 10475
_FRAMES_TOGETHER = 2048  # 22 joints of so many frames stay in a core's cache
# Joints as deep as each other are neighbours: (first, first with a child among the 22, end). Others turn nothing.
_LEVELS = ((1, 1, 4), (4, 4, 7), (7, 7, 10), (10, 12, 15), (15, 16, 18), (18, 18, 20), (20, 22, 22))
_TURNING = 20
# Directions of the bones of a body in the family's rest pose (arms out to the sides), rounded: anatomy, no one's data.
_T_POSE = (
    (0, 0, 0), (0.6, -0.8, -0.1), (-0.6, -0.8, -0.1), (0, 0.97, -0.24), (0.1, -1, 0), (-0.1, -1, 0), (0, 1, 0),
    (0, -0.99, -0.11), (0, -0.99, -0.11), (0, 0.9, 0.43), (0.2, -0.4, 0.9), (-0.2, -0.4, 0.9), (0, 0.98, -0.2),
    (0.53, 0.82, -0.2), (-0.53, 0.82, -0.2), (0, 0.78, 0.62), (0.94, 0.32, -0.1), (-0.94, 0.32, -0.1),
    (0.99, -0.05, -0.1), (-0.99, -0.05, -0.1), (1, 0.04, 0), (-1, 0.04, 0),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class BodyModel:
    """What of a body model its joints depend on.

    Attributes:
        kind: "SMPL", "SMPL-H", "SMPL-X", or "average" for the body that needs no file.
        rest_joints: (22, 3) joints of the mean shape in the rest pose, metres, Y up.
        shape_directions: (22, 3, S) how far one unit of each shape coefficient moves them.
    """

    kind: str
    rest_joints: np.ndarray
    shape_directions: np.ndarray


def _average_body() -> BodyModel:
    """Bones of HumanML3D's target lengths in the rest pose: one body for everybody, where no model is given."""
    offsets = HUMANML3D.default_offsets
    assert offsets is not None, "HumanML3D ships its target lengths"
    lengths = np.linalg.norm(offsets, axis=-1, keepdims=True)
    directions = np.array(_T_POSE, dtype=np.float64)
    bones = directions / np.maximum(np.linalg.norm(directions, axis=-1, keepdims=True), 1e-9) * lengths
    joints = np.zeros((NUM_JOINTS, 3))
    for joint in range(1, NUM_JOINTS):
        joints[joint] = joints[_PARENTS[joint]] + bones[joint]
    return BodyModel("average", joints, np.zeros((NUM_JOINTS, 3, NUM_BETAS)))


AVERAGE_BODY = _average_body()


def load_body_model(path: str | Path) -> BodyModel:
    """Reads the joints of a body model; the file is read again only after it has changed.

    Args:
        path: `.npz` or `.pkl` of SMPL, SMPL-H or SMPL-X as their sites offer them. Pickles go through a reader that
            makes arrays and nothing else.

    Returns:
        The model's rest joints and shape directions.

    Raises:
        FileNotFoundError: no such file.
        ValueError: no body model of this family, or a file that is cut or holds other things than arrays.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such body model; give a model.npz or .pkl of SMPL, SMPL-H or SMPL-X")
    return _load_body_model(path, path.stat().st_mtime_ns)


@functools.lru_cache(maxsize=8)
def _load_body_model(path: Path, modified: int) -> BodyModel:
    arrays = read_body_arrays(path, _NEEDED)
    missing = [key for key in _NEEDED if key not in arrays]
    if missing:
        raise ValueError(f"{path}: not a body model of the SMPL family: it lacks {', '.join(missing)}")
    template, directions, regressor, tree = (arrays[key] for key in _NEEDED)
    joints = len(regressor) if regressor.ndim == 2 else 0
    kind = _KINDS.get(joints, f"unknown, {joints} joints")
    if joints < NUM_JOINTS or kind not in ("SMPL", "SMPL-H", "SMPL-X"):
        raise ValueError(f"{path}: {kind} is not a whole-body model; give one of SMPL, SMPL-H or SMPL-X")
    vertices = template.shape[0]
    if template.shape != (vertices, 3) or directions.shape[:2] != (vertices, 3) or regressor.shape[1] != vertices:
        shapes = ", ".join(f"{key} {arrays[key].shape}" for key in _NEEDED)
        raise ValueError(f"{path}: the shapes of the arrays of this body model do not match ({shapes})")
    # The root's parent is written as -1 or as the largest unsigned number.
    if tree.ndim != 2 or not np.array_equal(tree[0, 1:NUM_JOINTS].astype(np.int64), _PARENTS[1:]):
        raise ValueError(f"{path}: the first 22 joints of this model are not connected as in SMPL")
    regressor = regressor[:NUM_JOINTS].astype(np.float64)
    directions = np.tensordot(regressor, directions.astype(np.float64), 1)
    return BodyModel(kind, regressor @ template.astype(np.float64), directions)


def read_body_arrays(path: Path, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """The arrays of a body model file that it holds of some names.

    Args:
        path: The body model file.
        keys: Names of the arrays wanted.

    Returns:
        Arrays by name, of the names that the file has.

    Raises:
        ValueError: the file is cut, or holds other things than arrays.
    """
    try:
        if path.suffix.lower() == ".npz":
            there = member_names(path)
            return {key: read_member(path, key) for key in keys if key in there}
        arrays = load_restricted_pickle(path.read_bytes())
        if not isinstance(arrays, dict):
            raise ValueError(f"it holds {type(arrays).__name__}, not a dictionary of arrays")
        return {key: _dense(arrays[key]) for key in keys if key in arrays}
    except (*UNREADABLE, IndexError) as error:
        raise ValueError(f"{path}: unreadable body model ({error}); download it again") from error


def joints_from_smpl(
    poses: Any,
    trans: Any = None,
    betas: Any = None,
    body_model: str | Path | BodyModel | None = None,
    num_betas: int = NUM_BETAS,
) -> np.ndarray:
    """Joint positions of a body in motion, in the axes of its parameters (AMASS: Z up).

    Args:
        poses: (..., T, 3K) or (..., T, K, 3) axis-angle rotations in radians, root first, K >= 22. Hands, jaw and eyes
            may follow and are not read.
        trans: (..., T, 3) metres, added to the posed body; zero if None.
        betas: (S,) or (..., S) shape of each body; the mean shape if None.
        body_model: file of SMPL, SMPL-H or SMPL-X, or one that was loaded. None for the average skeleton: HumanML3D's
            bone lengths in the family's rest pose, right in every angle but of no one's proportions; it ignores betas.
        num_betas: leading shape coefficients to use. HumanML3D takes 10 of AMASS's 16.

    Returns:
        (..., T, 22, 3) float64. NaN parameters give NaN for the joints that they turn.

    Raises:
        FileNotFoundError, ValueError: see `load_body_model`; or shapes that do not fit together.
    """
    if body_model is None:
        body_model = AVERAGE_BODY
    elif not isinstance(body_model, BodyModel):
        body_model = load_body_model(body_model)
    poses = np.asarray(poses)
    if poses.ndim >= 3 and poses.shape[-1] == 3:
        poses = poses.reshape(*poses.shape[:-2], -1)
    if poses.ndim < 2 or poses.shape[-1] % 3 or poses.shape[-1] < 3 * NUM_JOINTS or poses.dtype.kind not in "fiu":
        raise ValueError(
            f"poses must be numbers of shape (..., T, 3 K) or (..., T, K, 3) with K >= {NUM_JOINTS} joints, "
            f"got {poses.dtype} of shape {poses.shape}"
        )
    *batch, frames, _ = poses.shape
    rest = _rest_joints(body_model, betas, tuple(batch), num_betas)
    shift = np.zeros(3) if trans is None else np.asarray(trans)
    if shift.shape[-1:] != (3,) or not _broadcasts(shift.shape, (*batch, frames, 3)):
        raise ValueError(f"trans must have shape {(*batch, frames, 3)} like the poses, got {shift.shape}")
    shift = np.broadcast_to(shift, (*batch, frames, 3))
    joints = np.empty((*batch, frames, NUM_JOINTS, 3))
    for place in np.ndindex(*batch):
        for first in range(0, frames, _FRAMES_TOGETHER):
            part = (*place, slice(first, first + _FRAMES_TOGETHER))
            _chain(poses[part], rest[place], joints[part])
    joints += shift[..., None, :]
    return joints


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    return len(shape) <= len(target) and all(a in (1, b) for a, b in zip(shape[::-1], target[::-1], strict=False))


def _rest_joints(model: BodyModel, betas: Any, batch: tuple[int, ...], num_betas: int) -> np.ndarray:
    """Rest joints (*batch, 22, 3) of the shapes."""
    shape = np.zeros(1) if betas is None else np.asarray(betas, dtype=np.float64)
    if shape.ndim < 1 or not shape.shape[-1] or not _broadcasts(shape.shape[:-1], batch):
        raise ValueError(f"betas must have shape (S,) or {(*batch, 'S')}, got {shape.shape}")
    used = min(shape.shape[-1], num_betas, model.shape_directions.shape[-1])
    moved = model.rest_joints + np.tensordot(shape[..., :used], model.shape_directions[..., :used], ((-1,), (-1,)))
    return np.broadcast_to(moved, (*batch, NUM_JOINTS, 3))


def _chain(poses: np.ndarray, rest: np.ndarray, joints: np.ndarray) -> None:
    """Fills joints (T, 22, 3) from poses (T, 66 or more), with the pelvis where the rest pose has it."""
    bones = (rest - rest[_PARENTS])[..., None]
    turns = _quaternions(poses)
    world = np.empty_like(turns)
    positions = np.empty((3, NUM_JOINTS, len(poses)))
    world[:, 0], positions[:, 0] = turns[:, 0], rest[0][:, None]
    # Whole levels at once: a numpy call on a single joint of a short clip costs more than its arithmetic.
    for first, turning, end in _LEVELS:
        parents = _PARENTS[first:end]
        offsets = tuple(bones[first:end, axis] for axis in range(3))
        for axis, bone in enumerate(_rotate(tuple(world[:, parents]), offsets)):
            np.add(positions[axis, parents], bone, out=positions[axis, first:end])
        if turning < end:
            turned = multiply(tuple(world[:, _PARENTS[turning:end]]), tuple(turns[:, turning:end]))
            for component, plane in enumerate(turned):
                world[component, turning:end] = plane
    joints[...] = positions.transpose(2, 1, 0)


def _quaternions(poses: np.ndarray) -> np.ndarray:
    """Unit quaternions (4, J, T) of the joints up to the last one that turns others."""
    vectors = poses[:, : 3 * _TURNING].reshape(len(poses), _TURNING, 3)
    vectors = vectors.transpose(2, 1, 0).astype(np.float64, order="C")
    half = 0.5 * np.sqrt(np.square(vectors).sum(0))
    return np.concatenate((np.cos(half)[None], 0.5 * np.sin(half) / np.maximum(half, 1e-12) * vectors))


def _rotate(q: Planes, v: Planes) -> Planes:
    """Vectors v turned by unit quaternions q."""
    w, x, y, z = q
    tx, ty, tz = 2 * (y * v[2] - z * v[1]), 2 * (z * v[0] - x * v[2]), 2 * (x * v[1] - y * v[0])
    return v[0] + w * tx + y * tz - z * ty, v[1] + w * ty + z * tx - x * tz, v[2] + w * tz + x * ty - y * tx


# ------------------------------------------------------------------------------------------------ restricted pickles
class _Held:
    """Stands for an object of a library (chumpy, scipy): keeps its state and runs none of its code."""

    def __init__(self, *arguments: Any):
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        if isinstance(state, dict):
            self.state = state


class _PickledArray(np.ndarray):
    """An array whose size is what follows in the file, checked before memory is taken."""

    def __new__(cls, *_: Any) -> Any:
        """Arrays are made empty and filled by their state alone."""
        raise ValueError("it makes an array without content; only arrays with theirs are read")

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, _, content = state
        length = math.prod(shape) * (1 if isinstance(content, list) else dtype.itemsize)
        if length != len(content):
            raise ValueError(f"an array in it of shape {shape} and type {dtype} is followed by {len(content)} items")
        super().__setstate__(state)


def _empty_array(kind: type, *_: Any) -> np.ndarray:
    """What a pickle begins an array with, whatever the shape that it names."""
    if kind is not _PickledArray:
        raise ValueError(f"it holds an array of {kind.__name__}; only plain arrays are read")
    return np.empty(0, np.int8).view(_PickledArray)


class _ArrayUnpickler(pickle.Unpickler):
    """Makes numpy arrays, plain containers and placeholders; any other name in the file is refused."""

    def find_class(self, module: str, name: str) -> Callable:
        top = module.partition(".")[0]
        if (module, name) == ("_codecs", "encode"):
            return _encode
        if (module, name) in (("copyreg", "_reconstructor"), ("copy_reg", "_reconstructor")):
            return _reconstruct
        if (module, name) in (("builtins", "object"), ("__builtin__", "object")):
            return object
        if top == "numpy" and name == "ndarray":
            return _PickledArray
        if top == "numpy" and name == "_reconstruct":
            return _empty_array
        if top == "numpy" and name == "dtype":
            return np.dtype
        if top == "numpy" and name == "scalar":
            return _numpy_internals().scalar
        if top == "chumpy" or (top == "scipy" and name.endswith(("_matrix", "_array"))):
            return _Held
        raise ValueError(f"it refers to {module}.{name}; only arrays and plain values are read")


def _numpy_internals() -> Any:
    import importlib

    return importlib.import_module("numpy._core.multiarray" if np.__version__ >= "2" else "numpy.core.multiarray")


def _reconstruct(kind: type, base: type, state: Any) -> Any:
    """Makes a placeholder, as Python 2's protocols ask for objects."""
    if kind is not _Held:
        raise ValueError(f"it holds an object of {kind.__name__}; only arrays are read")
    return _Held()


def _encode(text: str, encoding: str) -> bytes:
    return text.encode(encoding)


def _check_memo(data: bytes) -> None:
    """Sizes that nothing follows are errors of `genops`; numbers of the memo alone could take any memory."""
    try:
        for code, argument, _ in pickletools.genops(data):
            if code.name.endswith("PUT") and (argument or 0) > len(data):
                raise ValueError(f"{code.name} {argument} in {len(data)} bytes")
    except ValueError as error:
        raise ValueError(f"damaged pickle ({error})") from error


def load_restricted_pickle(data: bytes) -> Any:
    """Read a pickle of arrays and plain values without running anything in it.

    Args:
        data: Content of the file, also one written by Python 2.

    Returns:
        Arrays, strings and numbers in dictionaries, lists and tuples; objects of chumpy and scipy as placeholders for
        `_dense`.

    Raises:
        ValueError: The file is damaged, or refers to anything else.
    """
    try:
        _check_memo(data)
        return _ArrayUnpickler(io.BytesIO(data), encoding="latin1").load()
    except ValueError:
        raise
    except Exception as error:  # a pickle is a program, and damaged ones fail in every way
        raise ValueError(f"damaged pickle ({error})") from error


def _dense(value: Any) -> np.ndarray:
    """An array from an array, a chumpy variable or a compressed sparse matrix."""
    if not isinstance(value, _Held):
        return np.asarray(value)
    state = value.state
    if "x" in state:
        return np.asarray(state["x"])
    if {"data", "indices", "indptr"} <= state.keys():
        rows, columns = state.get("_shape", state.get("shape", (0, 0)))
        if rows * columns > _LARGEST_MATRIX:
            raise ValueError(f"a sparse matrix in it of {rows} x {columns} is none of a body model")
        by_column = len(state["indptr"]) == columns + 1  # no model has as many joints as vertices
        dense = np.zeros((columns, rows) if by_column else (rows, columns))
        lines = np.repeat(np.arange(len(state["indptr"]) - 1), np.diff(state["indptr"]))
        dense[lines, state["indices"]] = state["data"]
        return dense.T if by_column else dense
    raise ValueError("an object in it holds no array")
