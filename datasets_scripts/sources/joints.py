"""Joint positions as a source: a folder of (T, 22, 3) .npy files, or one .npz that holds all clips end to end."""

from __future__ import annotations

import zipfile
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from datasets_scripts.schema import FPS, NOTE, SOURCE, Clip, Skipped
from datasets_scripts.sources.body_check import BodyError, check_numbers
from datasets_scripts.sources.caption_file import Record, captioned
from datasets_scripts.sources.clips import ClipRules, check_fps, guarded, make_rows, read_rate
from datasets_scripts.sources.conversion import UnusableClip, convert, note
from datasets_scripts.sources.orientation import Convention, Evidence, check_up, gather, settle
from datasets_scripts.sources.reading import motion_files
from datasets_scripts.workers import map_in_order
from modeling_unimo.array_files_unimo import (
    MAX_ARRAY_BYTES,
    UNREADABLE,
    check_regular,
    load_array,
    open_member,
    read_member,
)
from modeling_unimo.skeletons_unimo import HUMANML3D, SHORTEST_BONE, check_facing

JOINTS_RULES = ClipRules()
FRAMES_AHEAD = 40_000  # 50 MB with their features: clips of equal length among them are converted at once
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
        up: the axis that points up, or "auto": decided once for all clips.
        facing: "corrected", or "published" for features like those of the official datasets; see
            `joints_to_features`.
        fps: frames per second; by default what an .npz says, and 20 for .npy files, which hold none.
        workers: processes that convert.

    Yields:
        Clips, and what was skipped.

    Raises:
        FileNotFoundError: no folder, no motion or no captions in it.
        ValueError: the .npz or the captions cannot be used at all, or an option is none of its values.
    """
    folder = Path(data_dir)
    check_up(up)
    check_facing(facing)
    source = _find(folder, fps)
    records, splits, skipped = captioned(folder, source.names)
    yield from skipped
    yield Skipped(folder.name, f"{source.fps:g} frames per second", source.rate, SOURCE)
    beside = list(motion_files(folder, (".npy",))) if source.files is None else []
    if beside:
        yield Skipped(folder.name, "files beside the archive are not read", ", ".join(beside[:3]), NOTE)
    evidence: dict[str, Evidence] = {}
    for window in _windows(_named(source, records), FRAMES_AHEAD):
        usable = [(name, motion) for name, motion in window if isinstance(motion, np.ndarray) and _is_motion(motion)]
        found = gather([motion for _, motion in usable], source.fps) if usable else []
        evidence |= {name: seen for (name, _), seen in zip(usable, found, strict=True)}
    conventions, notes = settle(evidence, up, f"{len(evidence)} clips")
    yield from notes
    del evidence
    jobs = (
        _Job(place, name, source.path, motion, records[name], splits[name], conventions.get(name, Convention()))
        for place, (name, motion) in enumerate(_named(source, records))
    )
    work = partial(_convert, fps=source.fps, rules=rules, subclips=subclips, facing=facing)
    made: dict[int, list[Clip | Skipped]] = {}
    following = 0
    for rows in map_in_order(work, _stacks(jobs), workers):
        made |= rows
        while following in made:
            yield from made.pop(following)
            following += 1


@dataclass
class _Source:
    """A folder's motions: their names, frame rate with where it is from, and what each one is read from, in order."""

    path: Path
    names: list[str]
    fps: float
    rate: str
    files: dict[str, Path] | None = None  # .npy files by name, or None: one archive
    lengths: Sequence[int] = ()


def _find(folder: Path, fps: float | None) -> _Source:
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of joint positions")
    archives = sorted(folder.glob("*.npz"))
    if len(archives) > 1:
        raise ValueError(f"{folder} holds several .npz files ({', '.join(a.name for a in archives)}); keep one")
    if fps is not None:
        check_fps(fps)
    if archives:
        return _archive(archives[0], fps)
    files = motion_files(folder, (".npy",))
    if not files:
        raise FileNotFoundError(
            f"{folder} holds neither .npy files of shape (frames, 22, 3) nor an .npz with {', '.join(_KEYS)}"
        )
    rate = "assumed: .npy files hold no rate; give another with --fps" if fps is None else "given"
    return _Source(folder, list(files), FPS if fps is None else fps, rate, files)


def count_motions(data_dir: str | Path, fps: float | None = None) -> int:
    """How many motions a folder holds, for a progress bar.

    Args:
        data_dir: The folder.
        fps: As of `iter_clips`.

    Returns:
        Number of motions.

    Raises:
        FileNotFoundError: no folder or no motion in it.
        ValueError: the .npz cannot be used.
    """
    return len(_find(Path(data_dir), fps).names)


def _named(source: _Source, records: Mapping[str, Record]) -> Iterator[tuple[str, np.ndarray | Skipped]]:
    """The motions that have a caption, one at a time, or why one cannot be read."""
    if source.files is None:
        yield from ((n, m) for n, m in zip(source.names, _stream(source), strict=True) if n in records)
        return
    for name, path in source.files.items():
        if name in records:
            try:
                yield name, load_array(path)
            except ValueError as error:
                yield name, Skipped(name, "unreadable .npy", str(error))


def _is_motion(motion: np.ndarray) -> bool:
    """Whether a motion can tell something about the axes of its source."""
    if motion.ndim != 3 or motion.shape[1:] != (HUMANML3D.num_joints, 3) or not len(motion):
        return False
    try:
        check_numbers(motion)
    except BodyError:
        return False
    return True


def _windows(motions: Iterable[tuple[str, np.ndarray | Skipped]], frames: int) -> Iterator[list]:
    """Motions in portions of so many frames."""
    window, ahead = [], 0
    for name, motion in motions:
        window.append((name, motion))
        ahead += len(motion) if isinstance(motion, np.ndarray) else 1
        if ahead >= frames:
            yield window
            window, ahead = [], 0
    yield window


@dataclass(frozen=True)
class _Job:
    """A motion to convert, or why it could not be read, and its place among all."""

    place: int
    name: str
    path: Path
    motion: np.ndarray | Skipped
    record: Record
    split: str
    convention: Convention


def _stacks(jobs: Iterable[_Job]) -> Iterator[list[_Job]]:
    """Those of equal shape together, of as many as `FRAMES_AHEAD` allows."""
    waiting: dict[tuple[int, ...], list[_Job]] = {}
    frames = 0
    for job in jobs:
        shape = () if isinstance(job.motion, Skipped) else job.motion.shape
        waiting.setdefault(shape, []).append(job)
        frames += 1 + (shape[0] if shape else 0)
        if frames >= FRAMES_AHEAD:
            yield from waiting.values()
            waiting, frames = {}, 0
    yield from waiting.values()


def _archive(path: Path, given: float | None) -> _Source:
    try:
        check_regular(path)
        with zipfile.ZipFile(path) as archive:
            needed = _KEYS if given is None else _KEYS[:3]
            missing = [key for key in needed if f"{key}.npy" not in archive.namelist()]
        if missing == ["fps"]:
            raise ValueError("it lacks fps; give the rate with --fps")
        if missing:
            raise ValueError(f"it lacks {', '.join(missing)}; it must hold {', '.join(_KEYS)}")
        offsets, names = (read_member(path, key) for key in ("offsets", "names"))
        fps = read_rate(read_member(path, "fps")) if given is None else given
        with open_member(path, "joints") as member:
            shape, dtype = member.shape, member.dtype
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if len(shape) != 3 or shape[1:] != (HUMANML3D.num_joints, 3) or dtype.kind != "f":
        raise ValueError(
            f"{path}: joints must be floats of shape (frames, 22, 3) in the order "
            f"{', '.join(HUMANML3D.joint_names)}; got {shape} of {dtype}"
        )
    if offsets.ndim != 1 or offsets.dtype.kind not in "iu" or names.dtype.kind != "U" or names.ndim != 1:
        raise ValueError(
            f"{path}: offsets must be whole numbers and names texts, got {offsets.dtype} of shape {offsets.shape} and "
            f"{names.dtype} of shape {names.shape}"
        )
    if len(offsets) != len(names) + 1:
        raise ValueError(f"{path}: {len(names)} names need {len(names) + 1} offsets, got {len(offsets)}")
    bounds = [int(offset) for offset in offsets]
    if bounds[0] != 0 or bounds[-1] != shape[0] or sorted(bounds) != bounds:
        raise ValueError(f"{path}: offsets must rise from 0 to the number of frames, {shape[0]}")
    clips = [str(name) for name in names]
    twice = next((name for name, times in Counter(clips).items() if times > 1), None)
    if twice is not None:
        raise ValueError(f"{path}: the name {twice!r} occurs twice; give every clip its own")
    lengths = [stop - start for start, stop in zip(bounds, bounds[1:], strict=False)]
    return _Source(path, clips, fps, "given" if given is not None else f"from {path.name}", lengths=lengths)


def _stream(source: _Source) -> Iterator[np.ndarray | Skipped]:
    """The clips of an archive one after another, (T, 22, 3) each; only one at a time is in memory.

    Raises:
        ValueError: the numbers are damaged, which shows where they are read.
    """
    path = source.path
    try:
        with open_member(path, "joints") as member:
            if member.fortran_order:  # as an array that was transposed is saved: no clip lies in one piece
                joints = read_member(path, "joints", max_bytes=1 << 30)
                yield from np.split(joints, np.cumsum(source.lengths)[:-1])
                return
            frame = int(np.prod(member.shape[1:])) * member.dtype.itemsize
            for name, length in zip(source.names, source.lengths, strict=True):
                if length * frame > MAX_ARRAY_BYTES:
                    for _ in range(length):
                        member.numbers.read(frame)
                    yield Skipped(name, "too large", f"{length} frames; split it into clips")
                    continue
                numbers = bytearray(member.numbers.read(length * frame))
                if len(numbers) != length * frame:
                    raise ValueError("joints ends before its last frame")
                yield np.ndarray((length, *member.shape[1:]), member.dtype, numbers)
    except UNREADABLE as error:
        raise ValueError(f"{path} cannot be read: {error}") from error


def _convert(
    jobs: list[_Job], fps: float, rules: ClipRules, subclips: str, facing: str
) -> dict[int, list[Clip | Skipped]]:
    """What motions of equal shape become, by their places."""
    made: dict[int, list[Clip | Skipped]] = {}
    usable: list[_Job] = []
    stack: list[np.ndarray] = []
    for job in jobs:
        rows = guarded(partial(_prepare, fps=fps, rules=rules, stack=stack), job)
        made[job.place] = rows
        if len(stack) > len(usable):
            usable.append(job)
    for job, features in zip(usable, _features(stack, facing), strict=True):
        if isinstance(features, ValueError):
            made[job.place] = [Skipped(job.name, "cannot be converted", str(features))]
            continue
        clip = Clip(job.name, features, job.record.captions, job.split, "joints")
        made[job.place] += make_rows(clip, rules, subclips)
    return made


def _prepare(job: _Job, fps: float, rules: ClipRules, stack: list[np.ndarray]) -> list[Clip | Skipped]:
    """Puts the joints of a usable motion on the stack; returns the notes on it, or why it makes no clip."""
    if isinstance(job.motion, Skipped):
        return [job.motion]
    if job.motion.ndim != 3 or job.motion.shape[1:] != (HUMANML3D.num_joints, 3):
        detail = f"expected (frames, 22, 3), got {job.motion.shape}"
        return [Skipped(job.name, "wrong joint count or shape", detail)]
    try:
        joints, notes = convert(job.motion, fps, job.convention, rules.min_frames)
    except UnusableClip as error:
        return [Skipped(job.name, error.reason, error.detail)]
    stack.append(joints)
    return [note(job.name, text) for text in notes]


def _features(stack: list[np.ndarray], facing: str) -> list[np.ndarray | ValueError]:
    """Features of clips of equal length, or what is wrong with one: at once but for those with collapsed bones.

    These take another way through the conversion, on which they would take the whole stack with them.
    """
    from modeling_unimo.motion_representation import joints_to_features

    def to_features(joints: np.ndarray) -> np.ndarray:
        features = joints_to_features(joints, target_offsets=HUMANML3D.default_offsets, facing=facing)
        return np.asarray(features, dtype=np.float32)

    found: dict[int, np.ndarray | ValueError] = {}
    together = [place for place, joints in enumerate(stack) if len(stack) > 1 and _has_bones(joints)]
    if together:
        found |= zip(together, to_features(np.stack([stack[place] for place in together])), strict=True)
    for place in sorted(set(range(len(stack))) - set(together)):
        try:
            found[place] = to_features(stack[place])
        except ValueError as error:
            found[place] = error
    return [found[place] for place in range(len(stack))]


def _has_bones(joints: np.ndarray) -> bool:
    """Whether every bone of joints (T, 22, 3) surely has a direction in every frame."""
    bones = joints[:, 1:] - joints[:, HUMANML3D.parents[1:]]
    squares = np.einsum("tjc,tjc->tj", bones, bones)
    # What counts is the leg in the same frame, which is no longer than twice the longest bone of all.
    return bool(squares.min() > (3 * SHORTEST_BONE) ** 2 * squares.max())
