"""Motion as SMPL parameters, as AMASS stores it and video-to-motion systems write it: files to joints and features.

Recognised by their keys: AMASS (`poses`, `trans`), GVHMR (`smpl_params_global` with `body_pose`, `global_orient`,
`transl`), WHAM (`pose_world`, `trans_world`, one entry a person), TRAM (`pred_rotmat`, `pred_trans`) and 4D-Humans
(`global_orient`, `body_pose` as matrices). Every body is turned upright by how it stands, whatever its file's axes.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from datasets_scripts.schema import FPS, NOTE, Clip, Skipped
from datasets_scripts.sources.caption_file import Record, captioned
from datasets_scripts.sources.clips import ClipRules, make_rows
from datasets_scripts.sources.conversion import UnusableClip, convert
from datasets_scripts.sources.orientation import Convention, gather
from datasets_scripts.sources.reading import UNREADABLE
from datasets_scripts.workers import map_in_order
from modeling_unimo.skeletons_unimo import HUMANML3D
from modeling_unimo.smpl_unimo import NUM_JOINTS, BodyModel, joints_from_smpl, load_body_model, load_restricted_pickle

SUFFIXES = (".npz", ".pt", ".pth", ".pkl")
SMPL_RULES = ClipRules(long_clips="crop")
VIDEO_FPS = 30.0  # of video, which the files of video-to-motion systems do not repeat
LARGEST = 300_000_000  # bytes of one array; the longest recording of AMASS has a tenth of that
# In order of preference: what is in the world's axes before what is in the camera's.
_POSES = ("pose_world", "poses", "fullpose", "pose", "pred_rotmat", "pred_pose")
_ORIENT = ("root_orient_world", "global_orient", "root_orient")
_BODY = ("body_pose", "pose_body")
_TRANS = ("trans_world", "trans", "transl", "root_trans", "pred_trans")
_BETAS = ("betas", "beta", "shape", "pred_shape")
_RATES = ("mocap_framerate", "mocap_frame_rate", "frame_rate", "fps")
_KEYS = frozenset((*_POSES, *_ORIENT, *_BODY, *_TRANS, *_BETAS, *_RATES, "gender"))
_FASTEST = 15.0  # metres a second: no person's pelvis moves faster


@dataclass
class SmplMotion:
    """The parameters of one body, as its file has them.

    Attributes:
        name: the person's name in a file of several, else "".
        poses: (T, 3K) axis-angle, K >= 22.
        trans: (T, 3), or None.
        betas: (S,), or None.
        fps: frames per second, or None where the file does not tell.
        gender: as stored (text or bytes), or None.
        rate_key: the name by which the file gives its frame rate, "" where it does not.
    """

    name: str
    poses: np.ndarray
    trans: np.ndarray | None = None
    betas: np.ndarray | None = None
    fps: float | None = None
    gender: str | bytes | None = None
    rate_key: str = ""


def read_smpl(file: str | Path | IO[bytes], name: str = "") -> list[SmplMotion]:
    """The bodies in a file of SMPL parameters.

    Args:
        file: `.npz`, `.pt` or `.pkl`, or an open .npz.
        name: the file's name, for messages, where it is an open file.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, holds objects that could run code, or no poses are in it.
    """
    name = name or Path(str(file)).name
    suffix = Path(name).suffix.lower()
    try:
        if suffix == ".npz":
            content: Any = read_npz(file, _KEYS)
        elif suffix in (".pt", ".pth"):
            content = _read_torch(file)
        elif suffix == ".pkl":
            content = load_restricted_pickle(Path(str(file)).read_bytes())
        else:
            raise ValueError(f"ends in {suffix!r}; SMPL parameters are read from {', '.join(SUFFIXES)}")
    except FileNotFoundError:
        raise
    except (*UNREADABLE, MemoryError) as error:
        reason = "holds pickled objects, which are refused" if "allow_pickle" in str(error) else str(error)
        raise ValueError(f"{name}: {reason}") from error
    bodies = list(_bodies(content, ""))
    if not bodies:
        keys = sorted(map(str, content))[:8] if isinstance(content, Mapping) else type(content).__name__
        raise ValueError(
            f"{name}: no SMPL parameters recognised in {keys}; expected poses, or global_orient + body_pose"
        )
    try:
        return [_motion(label, fields) for label, fields in bodies]
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from error


def is_smpl_file(path: str | Path) -> bool:
    """Whether a file holds SMPL parameters, by its suffix and, of an .npz, by the names of its arrays."""
    suffix = Path(path).suffix.lower()
    if suffix != ".npz" or not zipfile.is_zipfile(path):
        return suffix in SUFFIXES and suffix != ".npz"
    with zipfile.ZipFile(path) as archive:
        names = {name.removesuffix(".npy") for name in archive.namelist()}
    return not names.isdisjoint((*_POSES, *_BODY))


def read_npz(file: str | Path | IO[bytes], keys: Iterable[str]) -> dict[str, np.ndarray]:
    """Those of the named arrays that an .npz holds. Sizes are checked before memory is taken.

    Raises:
        ValueError, OSError, ...: `clips.UNREADABLE`; an array is larger than `LARGEST`, or its header lies.
    """
    with zipfile.ZipFile(file) as archive:
        found = [name for name in archive.namelist() if name.removesuffix(".npy") in keys]
        for name in found:
            _check_size(archive, name)
        arrays = {}
        for name in found:
            with archive.open(name) as member:
                arrays[name.removesuffix(".npy")] = np.lib.format.read_array(member, allow_pickle=False)
        return arrays


def _check_size(archive: zipfile.ZipFile, member: str) -> None:
    size = archive.getinfo(member).file_size
    if size > LARGEST:
        raise ValueError(f"{member} has {size / 1e6:.0f} MB; at most {LARGEST / 1e6:.0f} are read")
    with archive.open(member) as stream:
        version = np.lib.format.read_magic(stream)
        read_header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
        shape, _, dtype = read_header(stream)
        if not dtype.hasobject and int(np.prod(shape, dtype=object)) * dtype.itemsize != size - stream.tell():
            raise ValueError(f"{member} is cut: {size} bytes do not hold {dtype} of shape {shape}")


def _read_torch(file: Any) -> Any:
    import pickle

    import torch

    try:
        return torch.load(file, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError) as error:
        raise ValueError(
            f"holds more than tensors ({str(error).splitlines()[0]}); save it again as a dictionary of tensors"
        ) from error


def _bodies(content: Any, label: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The dictionaries in `content` that hold a body's parameters, with their person's name."""
    if not isinstance(content, Mapping):
        return
    fields = {str(key): value for key, value in content.items()}
    if any(key in fields for key in _POSES) or (_first(fields, _ORIENT) and _first(fields, _BODY)):
        yield label, fields
        return
    # GVHMR gives the same body in the world and in the camera.
    inner = {key: value for key, value in fields.items() if isinstance(value, Mapping)}
    if "smpl_params_global" in inner:
        yield from _bodies(inner["smpl_params_global"], label)
        return
    for key, value in inner.items():
        yield from _bodies(value, f"{label}.{key}".strip("."))


def _first(fields: Mapping[str, Any], names: Sequence[str]) -> str | None:
    return next((name for name in names if name in fields), None)


def _motion(label: str, fields: Mapping[str, Any]) -> SmplMotion:
    poses_key, trans_key, betas_key = (_first(fields, names) for names in (_POSES, _TRANS, _BETAS))
    if poses_key is not None:
        poses = _axis_angles(poses_key, fields[poses_key])
    else:
        orient, body = _first(fields, _ORIENT), _first(fields, _BODY)
        assert orient is not None and body is not None, "a body has poses, or an orientation and body poses"
        poses = np.concatenate([_axis_angles(key, fields[key]) for key in (orient, body)], axis=1)
    if poses.shape[1] % 3 or poses.shape[1] < 3 * NUM_JOINTS:
        raise ValueError(f"{poses.shape[1]} pose columns; 22 joints have {3 * NUM_JOINTS}, SMPL 72, SMPL-H 156")
    trans = None if trans_key is None else _numbers(trans_key, fields[trans_key]).reshape(-1, 3)
    if trans is not None and len(trans) != len(poses):
        raise ValueError(f"{len(trans)} positions for {len(poses)} poses")
    betas = None if betas_key is None else _numbers(betas_key, fields[betas_key])
    if betas is not None and betas.ndim > 1:  # estimated anew in every frame: a body has one shape
        betas = betas.reshape(-1, betas.shape[-1]).mean(0)
    rate_key = _first(fields, _RATES) or ""
    fps = float(_numbers(rate_key, fields[rate_key]).reshape(-1)[0]) if rate_key else None
    gender = np.asarray(fields["gender"]).reshape(-1) if "gender" in fields else np.empty(0)
    stored = gender[0].item() if len(gender) and gender.dtype.kind in "US" else None
    return SmplMotion(label, poses, trans, betas, fps, stored, rate_key)


def _numbers(key: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or not array.size and array.ndim < 2:
        raise ValueError(f"{key} holds {array.dtype} of shape {array.shape}, not numbers")
    return array


def _axis_angles(key: str, value: Any) -> np.ndarray:
    """(T, 3K) from axis-angle vectors or rotation matrices of any grouping."""
    array = _numbers(key, value)
    if array.ndim >= 3 and array.shape[-2:] == (3, 3):
        from scipy.spatial.transform import Rotation

        array = Rotation.from_matrix(array.reshape(-1, 3, 3)).as_rotvec().reshape(len(array), -1)
    if array.ndim < 2:
        raise ValueError(f"{key} has shape {array.shape}; expected (frames, ...)")
    return array.reshape(len(array), int(np.prod(array.shape[1:])))


def sample(motion: SmplMotion, frames: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Poses (N, 66) and positions (N, 3) at fractional frame numbers: slerp of rotations, straight lines between.

    Args:
        motion: at least one frame.
        frames: (N,) in [0, T - 1].
    """
    from scipy.spatial.transform import Rotation, Slerp

    vectors = motion.poses[:, : 3 * NUM_JOINTS].reshape(-1, NUM_JOINTS, 3)
    if len(vectors) == 1:
        return vectors[[0] * len(frames)].reshape(len(frames), -1), _rows(motion.trans, [0] * len(frames))
    grid = np.arange(len(vectors))
    turned = [Slerp(grid, Rotation.from_rotvec(vectors[:, j]))(frames).as_rotvec() for j in range(NUM_JOINTS)]
    trans = motion.trans
    if trans is not None:
        trans = np.stack([np.interp(frames, grid, trans[:, axis]) for axis in range(3)], axis=1)
    return np.concatenate(turned, axis=1), trans


def _rows(array: np.ndarray | None, rows: Any) -> np.ndarray | None:
    return None if array is None else array[rows]


# ------------------------------------------------------------------------------------------------- the source `smpl`
def to_joints(
    motion: SmplMotion, body_model: str | Path | BodyModel | None = None, up: str = "auto", fps: float | None = None
) -> tuple[np.ndarray, list[str]]:
    """Joints (T, 22, 3) at 20 fps, Y up, left on the left, with notes on what was assumed.

    Args:
        motion: the parameters.
        body_model: see `joints_from_smpl`; None is the average skeleton.
        up: the axis that points up, or "auto": by how the body stands.
        fps: frames per second where the file does not tell; video's 30 if None.

    Raises:
        ValueError: NaN, no frames, an impossible frame rate, or numbers that are not radians and metres.
    """
    notes = []
    rate = motion.fps
    if rate is None:
        rate = VIDEO_FPS if fps is None else fps
        if fps is None:
            notes.append(f"no frame rate in the file: taken as {VIDEO_FPS:g} fps")
    if not 1.0 <= rate <= 1000.0:
        raise ValueError(f"{rate:g} frames per second; give the right rate with --fps")
    poses = motion.poses[:, : 3 * NUM_JOINTS]
    if len(poses) < 2:
        raise ValueError(f"{len(poses)} frames; a motion has at least 2")
    if not np.isfinite(poses).all() or (motion.trans is not None and not np.isfinite(motion.trans).all()):
        raise ValueError("NaN or infinite poses or positions")
    if np.linalg.norm(poses.reshape(-1, 3), axis=1).max() > 8 * np.pi:
        raise ValueError("rotations of more than four turns: poses must be axis-angle in radians, not degrees")
    if motion.trans is not None and len(motion.trans) > 1:
        speed = float(np.median(np.linalg.norm(np.diff(motion.trans, axis=0), axis=1))) * rate
        if speed > _FASTEST:
            raise ValueError(f"the body moves at {speed:.0f} m/s: positions must be in metres")
    if body_model is None:
        notes.append("no body model: the average skeleton, whose angles are the file's and whose proportions are not")
    elif motion.betas is None:
        notes.append("no betas in the file: the body model's mean shape")
    frames = np.arange(int((len(poses) - 1) * FPS / rate + 1e-6) + 1) * (rate / FPS)
    poses, trans = sample(motion, np.minimum(frames, len(poses) - 1))
    joints = joints_from_smpl(poses, trans, motion.betas, body_model).astype(np.float32)
    convention = gather([joints], FPS)[0].decide(up)
    if convention != Convention():
        notes.append(str(convention))
    try:
        joints, changed = convert(joints, FPS, convention)
    except UnusableClip as error:
        raise ValueError(str(error)) from error
    return joints, notes + changed


def smpl_to_features(
    path: str | Path, body_model: str | Path | None = None, up: str = "auto", fps: float | None = None
) -> tuple[np.ndarray, list[str]]:
    """Features (T, 263) of the first body in a file, with notes on what was assumed; see `to_joints`.

    Raises:
        FileNotFoundError, ValueError: see `read_smpl`, `to_joints`, `load_body_model`.
    """
    from modeling_unimo.motion_representation import joints_to_features

    bodies = read_smpl(path)
    joints, notes = to_joints(bodies[0], body_model, up, fps)
    if len(bodies) > 1:
        notes.append(f"{len(bodies)} people in the file: the first one ({bodies[0].name}) is taken")
    return np.asarray(joints_to_features(joints), dtype=np.float32), notes


def iter_clips(
    data_dir: str | Path,
    rules: ClipRules = SMPL_RULES,
    subclips: str = "tagged",
    body_model: str | Path | None = None,
    up: str = "auto",
    facing: str = "corrected",
    fps: float | None = None,
    workers: int = 1,
) -> Iterator[Clip | Skipped]:
    """The clips of a folder of SMPL parameters with a captions.jsonl.

    Args:
        data_dir: the folder; files lie in it or in folders in it. A file of several people is captioned person by
            person, as `FILE#PERSON`.
        rules: lengths to keep.
        subclips: see `clips.make_rows`.
        body_model: file of SMPL, SMPL-H or SMPL-X; None for the average skeleton.
        up: the axis that points up, or "auto".
        facing: see `joints_to_features`.
        fps: frames per second of files that do not tell (30).
        workers: processes that convert.

    Raises:
        FileNotFoundError: no folder, no such file or no captions in it, or no such body model.
        ValueError: the captions or the body model cannot be used at all.
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of SMPL parameters")
    if body_model is not None:
        load_body_model(body_model)
    files = {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() in SUFFIXES and path.is_file()
    }
    if not files:
        raise FileNotFoundError(f"{folder} holds no {', '.join(SUFFIXES)} of SMPL parameters")
    bodies: dict[str, tuple[Path, int]] = {}
    for name, path in files.items():
        try:
            people = [body.name for body in read_smpl(path)]
        except ValueError as error:
            yield Skipped(name, "unreadable SMPL parameters", str(error))
            continue
        labels = [name] if len(people) == 1 else [f"{name}#{person}" for person in people]
        bodies |= {label: (path, place) for place, label in enumerate(labels)}
    records, splits, skipped = captioned(folder, bodies)
    yield from skipped
    jobs = ((name, *bodies[name], record, splits[name]) for name, record in records.items())
    convert = partial(_convert, rules=rules, subclips=subclips, body_model=body_model, up=up, facing=facing, fps=fps)
    for rows in map_in_order(convert, jobs, workers):
        yield from rows


def _convert(
    job: tuple[str, Path, int, Record, str],
    rules: ClipRules,
    subclips: str,
    body_model: str | Path | None,
    up: str,
    facing: str,
    fps: float | None,
) -> list[Clip | Skipped]:
    from modeling_unimo.motion_representation import joints_to_features

    name, path, place, record, split = job
    try:
        joints, notes = to_joints(read_smpl(path)[place], body_model, up, fps)
        features = joints_to_features(joints, target_offsets=HUMANML3D.default_offsets, facing=facing)
    except ValueError as error:
        return [Skipped(name, "cannot be converted", str(error))]
    clip = Clip(name, np.asarray(features, dtype=np.float32), record.captions, split, "smpl")
    return [*(Skipped(name, note, kind=NOTE) for note in notes), *make_rows(clip, rules, subclips)]
