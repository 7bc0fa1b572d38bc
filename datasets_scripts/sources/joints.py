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

from datasets_scripts.schema import FPS, NOTE, Clip, Skipped
from datasets_scripts.sources.clips import (
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
from datasets_scripts.sources.orientation import UPS, standardise
from modeling_unimo.motion_representation import FACINGS, HUMANML3D, SHORTEST_BONE, joints_to_features

JOINTS_RULES = ClipRules()
_KEYS = ("joints", "offsets", "names", "fps")
# Frames read ahead, 50 MB with their features: clips of equal length among them are converted at once.
_WINDOW = 40_000


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
    named = ((name, motion) for name, motion in source.motions if name in records)
    jobs = (_Job(place, name, _loaded(name, m), records[name], splits[name]) for place, (name, m) in enumerate(named))
    convert = partial(_convert, fps=source.fps, rules=rules, subclips=subclips, up=up, facing=facing)
    made: dict[int, list[Clip | Skipped]] = {}
    following = 0
    for rows in map_in_order(convert, _stacks(jobs), workers):
        made |= rows
        while following in made:
            yield from made.pop(following)
            following += 1


@dataclass(frozen=True)
class _Job:
    """A motion to convert, or why it could not be read, and its place among all."""

    place: int
    name: str
    motion: np.ndarray | Skipped
    record: Record
    split: str


def _loaded(name: str, motion: np.ndarray | Path) -> np.ndarray | Skipped:
    try:
        return load_array(motion) if isinstance(motion, Path) else motion
    except ValueError as error:
        return Skipped(name, "unreadable .npy", str(error))


def _stacks(jobs: Iterable[_Job]) -> Iterator[list[_Job]]:
    """Those of equal shape together, of as many as `_WINDOW` allows."""
    waiting: dict[tuple[int, ...], list[_Job]] = {}
    frames = 0
    for job in jobs:
        shape = () if isinstance(job.motion, Skipped) else job.motion.shape
        waiting.setdefault(shape, []).append(job)
        frames += 1 + (shape[0] if shape else 0)
        if frames >= _WINDOW:
            yield from waiting.values()
            waiting, frames = {}, 0
    yield from waiting.values()


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
    jobs: list[_Job], fps: float, rules: ClipRules, subclips: str, up: str, facing: str
) -> dict[int, list[Clip | Skipped]]:
    """What motions of equal shape become, by their places."""
    made: dict[int, list[Clip | Skipped]] = {}
    usable, stack = [], []
    for job in jobs:
        try:
            joints, notes = _prepared(job, fps, rules, up)
        except _Unusable as error:
            made[job.place] = [error.skipped]
            continue
        made[job.place] = [Skipped(job.name, note, kind=NOTE) for note in notes]
        usable.append(job)
        stack.append(joints)
    for job, features in zip(usable, _features(stack, facing), strict=True):
        if isinstance(features, ValueError):
            made[job.place] = [Skipped(job.name, "cannot be converted", str(features))]
            continue
        clip = Clip(job.name, features, job.record.captions, job.split, "joints")
        made[job.place] += make_rows(clip, rules, subclips)
    return made


class _Unusable(Exception):
    def __init__(self, name: str, reason: str, detail: str):
        super().__init__(reason)
        self.skipped = Skipped(name, reason, detail)


def _prepared(job: _Job, fps: float, rules: ClipRules, up: str) -> tuple[np.ndarray, list[str]]:
    """Joints (T, 22, 3), float32, at 20 fps with Y up, and notes on what was changed.

    Raises:
        _Unusable: they make no clip.
    """
    name, joints = job.name, job.motion
    if isinstance(joints, Skipped):
        raise _Unusable(name, joints.reason, joints.detail)
    if joints.ndim != 3 or joints.shape[1:] != (HUMANML3D.num_joints, 3):
        raise _Unusable(name, "wrong joint count or shape", f"{joints.shape} where (frames, 22, 3) is due")
    if not np.isfinite(joints).all():
        raise _Unusable(name, "NaN or infinite values", f"in {int((~np.isfinite(joints)).sum())} numbers")
    joints = joints.astype(np.float32, copy=False)
    if len(joints) and is_constant(joints):
        raise _Unusable(name, "nothing moves in the clip", f"{len(joints)} frames")
    joints = resample(joints, fps)
    if len(joints) < rules.min_frames + 1:
        frames = max(len(joints) - 1, 0)
        raise _Unusable(name, f"too short (fewer than {rules.min_frames} frames)", f"{frames} frames at 20 fps")
    try:
        return standardise(joints, up)
    except ValueError as error:
        raise _Unusable(name, "cannot be converted", str(error)) from error


def _features(stack: list[np.ndarray], facing: str) -> list[np.ndarray | ValueError]:
    """Features of clips of equal length, or what is wrong with one: at once but for those with collapsed bones.

    These take another way through the conversion, on which they would take the whole stack with them.
    """

    def convert(joints: np.ndarray) -> np.ndarray:
        features = joints_to_features(joints, target_offsets=HUMANML3D.default_offsets, facing=facing)
        return np.asarray(features, dtype=np.float32)

    found: dict[int, np.ndarray | ValueError] = {}
    together = [place for place, joints in enumerate(stack) if len(stack) > 1 and _has_bones(joints)]
    if together:
        found |= zip(together, convert(np.stack([stack[place] for place in together])), strict=True)
    for place in sorted(set(range(len(stack))) - set(together)):
        try:
            found[place] = convert(stack[place])
        except ValueError as error:
            found[place] = error
    return [found[place] for place in range(len(stack))]


def _has_bones(joints: np.ndarray) -> bool:
    """Whether every bone of joints (T, 22, 3) surely has a direction in every frame."""
    bones = joints[:, 1:] - joints[:, HUMANML3D.parents[1:]]
    squares = np.einsum("tjc,tjc->tj", bones, bones)
    # What counts is the leg in the same frame, which is no longer than twice the longest bone of all.
    return bool(squares.min() > (3 * SHORTEST_BONE) ** 2 * squares.max())
