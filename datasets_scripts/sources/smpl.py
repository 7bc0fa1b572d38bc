"""Motion as SMPL parameters, as AMASS stores it and video-to-motion systems write it: files to joints and features.

Recognised by their keys: AMASS (`poses`, `trans`), GVHMR (`smpl_params_global` with `body_pose`, `global_orient`,
`transl`), WHAM (`pose_world`, `trans_world`, one entry a person), TRAM (`pred_rotmat`, `pred_trans`) and 4D-Humans
(`global_orient`, `body_pose` as matrices). Bodies are turned upright by how they stand, whatever the axes: all files
of a folder that hold arrays of the same names come from one tool, and are read in the same axes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np

from datasets_scripts.schema import FPS, Clip, Skipped
from datasets_scripts.sources.body_check import MAX_SPEED
from datasets_scripts.sources.caption_file import Record, captioned
from datasets_scripts.sources.clips import ClipRules, check_length, guarded, make_rows
from datasets_scripts.sources.conversion import UnusableClip, convert, note
from datasets_scripts.sources.orientation import SAMPLES, Convention, Evidence, check_up, gather, settle
from datasets_scripts.sources.reading import motion_files
from datasets_scripts.workers import map_in_order
from modeling_unimo.array_files_unimo import UNREADABLE, check_regular, member_names, read_member
from modeling_unimo.skeletons_unimo import HUMANML3D, check_facing
from modeling_unimo.smpl_unimo import NUM_JOINTS, BodyModel, joints_from_smpl, load_body_model, load_restricted_pickle

SUFFIXES = (".npz", ".pt", ".pth", ".pkl")
SMPL_RULES = ClipRules(long_clips="crop")
VIDEO_FPS = 30.0  # of video, which the files of video-to-motion systems do not repeat
LARGEST = 300_000_000  # bytes of a file's arrays; the longest recording of AMASS has a tenth of that
# In order of preference: what is in the world's axes before what is in the camera's.
_POSES = ("pose_world", "poses", "fullpose", "pose", "pred_rotmat", "pred_pose")
_ORIENT = ("root_orient_world", "global_orient", "root_orient")
_BODY = ("body_pose", "pose_body")
_TRANS = ("trans_world", "trans", "transl", "root_trans", "pred_trans")
_BETAS = ("betas", "beta", "shape", "pred_shape")
_RATES = ("mocap_framerate", "mocap_frame_rate", "frame_rate", "fps")
_KEYS = frozenset((*_POSES, *_ORIENT, *_BODY, *_TRANS, *_BETAS, *_RATES, "gender"))
_LARGEST_NUMBER = 1e6  # of radians, metres and shape coefficients


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
        keys: the names of what was read, the same in all files of a tool.
    """

    name: str
    poses: np.ndarray
    trans: np.ndarray | None = None
    betas: np.ndarray | None = None
    fps: float | None = None
    gender: str | bytes | None = None
    rate_key: str = ""
    keys: tuple[str, ...] = ()


def read_smpl(file: str | Path | IO[bytes], name: str = "") -> list[SmplMotion]:
    """The bodies in a file of SMPL parameters.

    Args:
        file: `.npz`, `.pt` or `.pkl`, or an open .npz.
        name: the file's name, for messages, where it is an open file.

    Returns:
        One motion a person.

    Raises:
        FileNotFoundError: no such file.
        ValueError: it cannot be read, holds objects that could run code, or no poses are in it.
    """
    name = name or Path(str(file)).name
    suffix = Path(name).suffix.lower()
    try:
        if suffix == ".npz":
            content: Any = read_npz(file, _KEYS)
        elif isinstance(file, (str, Path)) and check_regular(Path(file)) > LARGEST:
            raise ValueError(f"more than {LARGEST / 1e6:.0f} MB, which are not read as one file")
        elif suffix in (".pt", ".pth"):
            content = _read_torch(file)
        elif suffix == ".pkl":
            content = load_restricted_pickle(Path(str(file)).read_bytes())
        else:
            raise ValueError(f"ends in {suffix!r}; SMPL parameters are read from {', '.join(SUFFIXES)}")
    except FileNotFoundError:
        raise
    except UNREADABLE as error:
        raise ValueError(f"{name}: {error}") from error
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
    """Whether a file holds SMPL parameters, by its suffix and, of an .npz, by the names of its arrays.

    Args:
        path: The file.

    Returns:
        Whether it does.
    """
    suffix = Path(path).suffix.lower()
    if suffix != ".npz":
        return suffix in SUFFIXES
    try:
        check_regular(Path(path))
        return not {*member_names(path)}.isdisjoint((*_POSES, *_BODY))
    except UNREADABLE:
        return False


def read_npz(file: str | Path | IO[bytes], keys: Iterable[str]) -> dict[str, np.ndarray]:
    """Those of the named arrays that an .npz holds. Sizes are checked before memory is taken.

    Args:
        file: The .npz, as a path or an open stream.
        keys: Names of the arrays.

    Returns:
        Arrays by name.

    Raises:
        UNREADABLE: the arrays are larger than `LARGEST`, or a header lies.
    """
    if isinstance(file, (str, Path)):
        check_regular(Path(file))
    arrays: dict[str, np.ndarray] = {}
    left = LARGEST
    for name in member_names(file):
        if name in keys:
            arrays[name] = read_member(file, name, left)
            left -= arrays[name].nbytes
    return arrays


def _read_torch(file: str | Path | IO[bytes]) -> Any:
    from modeling_unimo.checkpoint_files import load_tensors  # imports torch

    try:
        return load_tensors(file)
    except ValueError as error:
        raise ValueError(
            f"is damaged or holds more than tensors ({error}); save it again as a dictionary of tensors"
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
    rate_key = _first(fields, _RATES) or ""
    if poses_key is not None:
        keys: tuple[str, ...] = (poses_key,)
        poses = _axis_angles(poses_key, fields[poses_key])
    else:
        orient, body = _first(fields, _ORIENT), _first(fields, _BODY)
        assert orient is not None and body is not None, "a body has poses, or an orientation and body poses"
        keys = (orient, body)
        poses = np.concatenate([_axis_angles(key, fields[key]) for key in keys], axis=1)
    if poses.shape[1] % 3 or poses.shape[1] < 3 * NUM_JOINTS:
        raise ValueError(f"{poses.shape[1]} pose columns; 22 joints have {3 * NUM_JOINTS}, SMPL 72, SMPL-H 156")
    trans = None if trans_key is None else _numbers(trans_key, fields[trans_key]).reshape(-1, 3)
    if trans is not None and len(trans) != len(poses):
        raise ValueError(f"{len(trans)} positions for {len(poses)} poses")
    betas = None if betas_key is None else _numbers(betas_key, fields[betas_key])
    if betas is not None and betas.ndim > 1:  # estimated anew in every frame: a body has one shape
        betas = betas.reshape(-1, betas.shape[-1]).mean(0)
    rates = _numbers(rate_key, fields[rate_key]).reshape(-1) if rate_key else np.empty(0)
    if rate_key and not rates.size:
        raise ValueError(f"{rate_key} holds no number")
    fps = float(rates[0]) if rates.size else None
    gender = np.asarray(fields["gender"]).reshape(-1) if "gender" in fields else np.empty(0)
    stored = gender[0].item() if len(gender) and gender.dtype.kind in "US" else None
    keys += tuple(key for key in (trans_key, betas_key, rate_key) if key)
    return SmplMotion(label, poses, trans, betas, fps, stored, rate_key, keys)


def _numbers(key: str, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or not array.size and array.ndim < 2:
        raise ValueError(f"{key} holds {array.dtype} of shape {array.shape}, not numbers")
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float64)


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

    Returns:
        Poses in radians, and positions in metres or None.
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
    motion: SmplMotion,
    body_model: str | Path | BodyModel | None = None,
    up: str = "auto",
    fps: float | None = None,
    convention: Convention | None = None,
) -> tuple[np.ndarray, list[str]]:
    """Joints (T, 22, 3) at 20 fps, Y up, left on the left, with notes on what was assumed.

    Args:
        motion: the parameters.
        body_model: see `joints_from_smpl`; None is the average skeleton.
        up: the axis that points up, or "auto": by how the body stands.
        fps: frames per second, in place of what the file tells; None for that, or video's 30.
        convention: the axes, where they are known from other files, in place of `up`.

    Returns:
        Joints in metres, and the notes.

    Raises:
        ValueError: NaN, no frames, an impossible frame rate, numbers that are not radians and metres, or no body of a
            person.
    """
    rate, notes = _check(motion, fps)
    if body_model is None:
        notes.append("no body model: the average skeleton, whose angles are the file's and whose proportions are not")
    elif motion.betas is None:
        notes.append("no betas in the file: the body model's mean shape")
    last = len(motion.poses) - 1
    frames = np.arange(int(last * FPS / rate + 1e-6) + 1) * (rate / FPS)
    poses, trans = sample(motion, np.minimum(frames, last))
    joints = joints_from_smpl(poses, trans, motion.betas, body_model).astype(np.float32)
    if convention is None:
        convention = gather([joints], FPS)[0].decide(up)
        if convention != Convention():
            notes.append(str(convention))
    try:
        joints, changed = convert(joints, FPS, convention)
    except UnusableClip as error:
        raise ValueError(str(error)) from error
    return joints, notes + changed


def _check(motion: SmplMotion, fps: float | None) -> tuple[float, list[str]]:
    """The frame rate of a motion that can be converted, with a note where it was assumed."""
    notes = []
    rate = motion.fps if fps is None else fps
    if rate is None:
        rate = VIDEO_FPS
        notes.append(f"no frame rate in the file: taken as {VIDEO_FPS:g} fps")
    poses, trans = motion.poses[:, : 3 * NUM_JOINTS], motion.trans
    check_length(len(poses), rate)
    if len(poses) < 2:
        raise ValueError(f"{len(poses)} frames; a motion has at least 2")
    for name, numbers in (("poses", poses), ("positions", trans), ("betas", motion.betas)):
        if numbers is not None and not (np.abs(numbers) < _LARGEST_NUMBER).all():
            raise ValueError(f"NaN, infinite or huge {name}")
    if np.linalg.norm(poses.reshape(-1, 3), axis=1).max() > 8 * np.pi:
        raise ValueError("rotations of more than four turns: poses must be axis-angle in radians, not degrees")
    if trans is not None:
        speed = float(np.median(np.linalg.norm(np.diff(trans, axis=0), axis=1))) * rate
        if speed > MAX_SPEED:
            raise ValueError(f"the body moves at {speed:.0f} m/s: positions must be in metres")
    return rate, notes


def _evidence(motion: SmplMotion, body_model: str | Path | None, fps: float | None) -> Evidence | None:
    """What some frames tell about the axes; None where the motion cannot be used, which its conversion tells."""
    try:
        rate, _ = _check(motion, fps)
        places = np.arange(len(motion.poses))
        if len(places) > 2 * SAMPLES:
            places = np.unique(np.linspace(0, len(places) - 2, SAMPLES).astype(int)[:, None] + [0, 1])
        joints = joints_from_smpl(motion.poses[places], _rows(motion.trans, places), motion.betas, body_model)
        return gather([joints], rate)[0]
    except (ValueError, ArithmeticError, MemoryError):
        return None


def others(bodies: Sequence[SmplMotion]) -> list[str]:
    """A note where the first of several people in a file is taken.

    Args:
        bodies: The people.

    Returns:
        The note, if any.
    """
    return [f"{len(bodies)} people in the file: the first one ({bodies[0].name}) is taken"] if len(bodies) > 1 else []


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
        up: the axis that points up, or "auto": decided once for all files whose arrays have the same names.
        facing: see `joints_to_features`.
        fps: frames per second of all files, in place of what they tell; None for that, or video's 30.
        workers: processes that convert.

    Yields:
        Clips, and what was skipped.

    Raises:
        FileNotFoundError: no folder, no such file or no captions in it, or no such body model.
        ValueError: the captions or the body model cannot be used at all, or an option is none of its values.
    """
    folder = Path(data_dir)
    check_up(up)
    check_facing(facing)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of SMPL parameters")
    if body_model is not None:
        load_body_model(body_model)
    files = motion_files(folder, SUFFIXES)
    if not files:
        raise FileNotFoundError(f"{folder} holds no {', '.join(SUFFIXES)} of SMPL parameters")
    bodies: dict[str, tuple[Path, int, _Look]] = {}
    look = partial(_look, body_model=body_model, fps=fps)
    for (name, path), people in zip(files.items(), map_in_order(look, files.values(), workers), strict=True):
        if isinstance(people, str):
            yield Skipped(name, "unreadable SMPL parameters", people)
            continue
        labels = [name] if len(people) == 1 else [f"{name}#{seen.person}" for seen in people]
        bodies |= {label: (path, place, seen) for place, (label, seen) in enumerate(zip(labels, people, strict=True))}
    records, splits, skipped = captioned(folder, bodies)
    yield from skipped
    tools: dict[tuple[str, ...], dict[str, Evidence]] = {}
    for name in records:
        seen = bodies[name][2]
        if seen.evidence is not None:
            tools.setdefault(seen.keys, {})[name] = seen.evidence
    conventions: dict[str, Convention] = {}
    for keys, evidence in tools.items():
        what = f"{len(evidence)} {'body' if len(evidence) == 1 else 'bodies'} in {', '.join(keys)}"
        decided, notes = settle(evidence, up, what)
        conventions |= decided
        yield from notes
    jobs = [
        _Job(name, *bodies[name][:2], record, splits[name], conventions.get(name, Convention()))
        for name, record in records.items()
    ]
    convert = partial(_convert, rules=rules, subclips=subclips, body_model=body_model, facing=facing, fps=fps)
    for rows in map_in_order(partial(guarded, convert), jobs, workers):
        yield from rows


@dataclass(frozen=True)
class _Look:
    """What a first look at a body in a file tells."""

    person: str
    keys: tuple[str, ...]
    evidence: Evidence | None


@dataclass(frozen=True)
class _Job:
    """A body to convert: its file, its place there, and what its source decided for it."""

    name: str
    path: Path
    place: int
    record: Record
    split: str
    convention: Convention


def _look(path: Path, body_model: str | Path | None, fps: float | None) -> list[_Look] | str:
    """The bodies in a file, or why it cannot be read."""
    try:
        return [_Look(body.name, body.keys, _evidence(body, body_model, fps)) for body in read_smpl(path)]
    except (ValueError, OSError) as error:
        return str(error)


def _convert(
    job: _Job, rules: ClipRules, subclips: str, body_model: str | Path | None, facing: str, fps: float | None
) -> list[Clip | Skipped]:
    from modeling_unimo.motion_representation import joints_to_features

    try:
        motion = read_smpl(job.path)[job.place]
        joints, notes = to_joints(motion, body_model, fps=fps, convention=job.convention)
        features = joints_to_features(joints, target_offsets=HUMANML3D.default_offsets, facing=facing)
    except ValueError as error:
        return [Skipped(job.name, "cannot be converted", str(error))]
    clip = Clip(job.name, np.asarray(features, dtype=np.float32), job.record.captions, job.split, "smpl")
    return [*(note(job.name, text) for text in notes), *make_rows(clip, rules, subclips)]
