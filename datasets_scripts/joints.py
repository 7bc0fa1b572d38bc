"""Joint positions as a source: a folder of (T, 22, 3) .npy files, or one .npz that holds all clips end to end."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import IO

import numpy as np

from datasets_scripts.clips import (
    UNREADABLE,
    ClipRules,
    Record,
    captioned,
    is_constant,
    load_array,
    make_rows,
    map_in_order,
    resample,
)
from datasets_scripts.orientation import UPS, standardise
from datasets_scripts.schema import FPS, NOTE, Clip, Skipped
from modeling_unimo.motion_representation import FACINGS, HUMANML3D, joints_to_features

JOINTS_RULES = ClipRules()
_KEYS = ("joints", "offsets", "names", "fps")


def iter_clips(
    data_dir: str | Path,
    rules: ClipRules = JOINTS_RULES,
    subclips: str = "tagged",
    up: str = "auto",
    facing: str = "corrected",
    fps: float | None = None,
    workers: int = 1,
) -> Iterator[Clip | Skipped]:
    """The clips of a folder of joint positions with a captions.jsonl.

    The folder holds either one .npz with `joints` (F, 22, 3), `offsets` (N+1,) where each clip begins and ends,
    `names` (N,) and `fps`, or .npy files (T, 22, 3), also in subfolders. Joints are HumanML3D's 22; unit and bone
    lengths may be any, and become HumanML3D's.

    Args:
        data_dir: the folder.
        rules: lengths to keep.
        subclips: see `clips.make_rows`.
        up: "y", "z" or "auto".
        facing: "corrected", or "published" for features like those of the official datasets; see
            `joints_to_features`.
        fps: frames per second of .npy files (20 where not given); an .npz has its own.
        workers: processes that convert.

    Raises:
        FileNotFoundError: no folder, no motion or no captions in it.
        ValueError: the .npz or the captions cannot be used at all, or an option is none of its values.
    """
    folder = Path(data_dir)
    if up not in UPS:
        raise ValueError(f"up is {up!r}; it must be one of {', '.join(UPS)}")
    if facing not in FACINGS:
        raise ValueError(f"facing is {facing!r}; it must be one of {', '.join(FACINGS)}")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of joint positions")
    source = _motions(folder, fps)
    records, splits, skipped = captioned(folder, source.names)
    yield from skipped
    jobs = ((name, motion, records[name], splits[name]) for name, motion in source.motions if name in records)
    convert = partial(_convert, fps=source.fps, rules=rules, subclips=subclips, up=up, facing=facing)
    for rows in map_in_order(convert, jobs, workers):
        yield from rows


@dataclass
class _Motions:
    """Clip names, frames per second, and in the order of the names what each motion is read from."""

    names: list[str]
    fps: float
    motions: Iterable[tuple[str, np.ndarray | Path]]


def _motions(folder: Path, fps: float | None) -> _Motions:
    archives = sorted(folder.glob("*.npz"))
    if len(archives) > 1:
        raise ValueError(f"{folder} holds several .npz files ({', '.join(a.name for a in archives)}); keep one")
    if archives:
        return _archive(archives[0])
    files = {path.relative_to(folder).with_suffix("").as_posix(): path for path in sorted(folder.rglob("*.npy"))}
    if not files:
        raise FileNotFoundError(
            f"{folder} holds neither .npy files of shape (frames, 22, 3) nor an .npz with {', '.join(_KEYS)}"
        )
    return _Motions(list(files), FPS if fps is None else fps, files.items())


def _archive(path: Path) -> _Motions:
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in _KEYS if key not in archive.files]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)}; it must hold {', '.join(_KEYS)}")
            offsets, names = archive["offsets"], archive["names"]
            fps = float(archive["fps"])
        with _joints_member(path) as member:
            shape, dtype = member.shape, member.dtype
    except (*UNREADABLE, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if len(shape) != 3 or shape[1:] != (HUMANML3D.num_joints, 3) or dtype.kind != "f":
        raise ValueError(
            f"{path}: joints of shape {shape} and type {dtype}; (frames, 22, 3) of floats is due, "
            f"in the order {', '.join(HUMANML3D.joint_names)}"
        )
    if (
        offsets.ndim != 1
        or offsets.dtype.kind not in "iu"
        or len(offsets) != len(names) + 1
        or names.dtype.kind != "U"
    ):
        raise ValueError(
            f"{path}: {len(names)} names and offsets of shape {offsets.shape} and type {offsets.dtype}; "
            "one whole number more than names is due"
        )
    bounds = [int(offset) for offset in offsets]
    if bounds[0] != 0 or bounds[-1] != shape[0] or sorted(bounds) != bounds:
        raise ValueError(f"{path}: offsets must rise from 0 to the number of frames, {shape[0]}")
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"{path}: fps is {fps}; a positive number is due")
    clips = [str(name) for name in names]
    twice = next((name for name, times in Counter(clips).items() if times > 1), None)
    if twice is not None:
        raise ValueError(f"{path}: the name {twice!r} occurs twice; give every clip its own")
    lengths = [stop - start for start, stop in zip(bounds, bounds[1:], strict=False)]
    return _Motions(clips, fps, zip(clips, _stream(path, lengths), strict=True))


@dataclass
class _Member:
    """The array `joints` of an .npz, open behind its header: its shape and type, and the numbers that follow."""

    shape: tuple[int, ...]
    dtype: np.dtype
    by_column: bool  # its numbers are not frame after frame
    numbers: IO[bytes]


@contextmanager
def _joints_member(path: Path) -> Iterator[_Member]:
    with zipfile.ZipFile(path) as archive, archive.open("joints.npy") as numbers:
        version = np.lib.format.read_magic(numbers)
        readers = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }
        if version not in readers:
            raise ValueError(f"joints is written in version {version} of the .npy format, which no numbers need")
        shape, by_column, dtype = readers[version](numbers)
        yield _Member(shape, dtype, by_column, numbers)


def _stream(path: Path, lengths: Sequence[int]) -> Iterator[np.ndarray]:
    """The clips of `joints` one after another, (T, 22, 3) each; only one at a time is in memory.

    Raises:
        ValueError: the numbers are damaged, which shows where they are read.
    """
    try:
        with _joints_member(path) as member:
            if member.by_column:  # as an array that was transposed is saved: no clip lies in one piece
                with np.load(path, allow_pickle=False) as archive:
                    yield from np.split(archive["joints"], np.cumsum(lengths)[:-1])
                return
            frame = int(np.prod(member.shape[1:])) * member.dtype.itemsize
            for length in lengths:
                numbers = bytearray(member.numbers.read(length * frame))
                if len(numbers) != length * frame:
                    raise ValueError("joints ends before its last frame")
                yield np.ndarray((length, *member.shape[1:]), member.dtype, numbers)
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _convert(
    job: tuple[str, np.ndarray | Path, Record, str], fps: float, rules: ClipRules, subclips: str, up: str, facing: str
) -> list[Clip | Skipped]:
    name, motion, record, split = job
    try:
        joints = load_array(motion) if isinstance(motion, Path) else motion
    except ValueError as error:
        return [Skipped(name, "unreadable .npy", str(error))]
    if joints.ndim != 3 or joints.shape[1:] != (HUMANML3D.num_joints, 3):
        return [Skipped(name, "wrong joint count or shape", f"{joints.shape} where (frames, 22, 3) is due")]
    if not np.isfinite(joints).all():
        return [Skipped(name, "NaN or infinite values", f"in {int((~np.isfinite(joints)).sum())} numbers")]
    joints = joints.astype(np.float32, copy=False)
    if len(joints) and is_constant(joints):
        return [Skipped(name, "nothing moves in the clip", f"{len(joints)} frames")]
    joints = resample(joints, fps)
    if len(joints) < rules.min_frames + 1:
        frames = max(len(joints) - 1, 0)
        return [Skipped(name, f"too short (fewer than {rules.min_frames} frames)", f"{frames} frames at 20 fps")]
    try:
        joints, notes = standardise(joints, up)
        features = joints_to_features(joints, target_offsets=HUMANML3D.default_offsets, facing=facing)
    except ValueError as error:
        return [Skipped(name, "cannot be converted", str(error))]
    clip = Clip(name, np.asarray(features, dtype=np.float32), record.captions, split, "joints")
    return [Skipped(name, note, kind=NOTE) for note in notes] + list(make_rows(clip, rules, subclips))
