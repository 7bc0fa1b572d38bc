"""BVH files as a source: any rig, unit, axes and frame rate to HumanML3D's 22 joints at 20 fps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from datasets_scripts.schema import MAX_FRAMES, SOURCE, Clip, Skipped
from datasets_scripts.sources.bvh_format import Bvh, BvhError, parse_bvh, read_bvh
from datasets_scripts.sources.bvh_skeleton import begins_at_rest, joint_positions, position_votes, read_joints
from datasets_scripts.sources.caption_file import Record, captioned
from datasets_scripts.sources.clips import ClipRules, guarded, make_rows
from datasets_scripts.sources.conversion import UnusableClip, convert, hold_pose, is_still, note
from datasets_scripts.sources.orientation import SAMPLES, Convention, Evidence, check_up, gather, settle
from datasets_scripts.sources.reading import motion_files, read_text, unique_keys
from datasets_scripts.workers import map_in_order
from modeling_unimo.skeletons_unimo import HUMANML3D, check_facing

__all__ = ["Bvh", "BvhError", "bvh_to_features", "iter_clips", "joint_positions", "parse_bvh", "read_bvh",
           "read_joint_map", "to_joints"]  # fmt: skip

# A folder of BVH files is usually small and somebody's own: nothing is dropped for its length unless it is asked for.
SUFFIXES = (".bvh",)
BVH_RULES = ClipRules(min_frames=8, max_frames=MAX_FRAMES, crop_frames=MAX_FRAMES, long_clips="crop")


@dataclass
class BvhJoints:
    """The 22 joints of a BVH file: positions (T, 22, 3) Y up at 20 fps in the file's unit, and what was assumed."""

    joints: np.ndarray
    notes: list[str] = field(default_factory=list)


def to_joints(bvh: Bvh, joint_map: dict[str, str] | None = None, up: str = "auto") -> BvhJoints:
    """The 22 joints of one BVH file at 20 fps, Y up, in the file's unit; bone lengths still those of the file.

    Args:
        bvh: the file.
        joint_map: {HumanML3D joint: name in the file}, where names do not tell.
        up: the axis that points up, or "auto" (from how the body stands).

    Returns:
        The joints, with notes on what was assumed.

    Raises:
        BvhError: joints are missing, or what comes out is no body.
        ValueError: `up` is none of the axes.
    """
    check_up(up)
    joints, notes = file_joints(bvh, joint_map)
    convention = gather([joints], bvh.fps)[0].decide(up)
    if convention != Convention():
        notes.append(str(convention))
    try:
        joints, changed = convert(joints, bvh.fps, convention)
    except UnusableClip as error:
        raise BvhError(str(error)) from error
    return BvhJoints(joints, notes + changed)


def bvh_to_features(
    path: str | Path, joint_map: dict[str, str] | None = None, up: str = "auto", fps: float | None = None
) -> np.ndarray:
    """Raw features (T, 263) of a BVH file at 20 fps, on HumanML3D's skeleton; a file of one pose gives four frames.

    Args:
        path: the file.
        joint_map: see `to_joints`.
        up: see `to_joints`.
        fps: frames per second, in place of the file's own Frame Time.

    Returns:
        The features.

    Raises:
        FileNotFoundError: no such file.
        BvhError: the file cannot be read or mapped, is no body, or moves in fewer than five frames at 20 fps.
    """
    from modeling_unimo.motion_representation import joints_to_features

    bvh = read_bvh(path, fps)
    try:
        joints = to_joints(bvh, joint_map, up).joints
    except BvhError as error:
        raise BvhError(f"{path}: {error}") from None
    if len(joints) < 5:
        if not is_still(joints):
            raise BvhError(f"{path}: {len(joints)} frames at 20 fps; at least 5 are needed")
        joints = hold_pose(joints, 5)
    return joints_to_features(joints, target_offsets=HUMANML3D.default_offsets).astype(np.float32)


def read_joint_map(path: str | Path) -> dict[str, str]:
    """Reads a user's joint map: a JSON object {HumanML3D joint: joint in the file}.

    Args:
        path: The JSON file.

    Returns:
        Joints in the file by HumanML3D's joint.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a JSON object of strings, or keys that are no joints.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such joint map")
    try:
        entries = json.loads(read_text(path).content, object_pairs_hook=unique_keys)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON: {error}") from error
    if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
        raise ValueError(f'{path} must hold an object such as {{"left_hip": "LeftUpLeg"}}')
    unknown = [key for key in entries if key not in HUMANML3D.joint_names]
    if unknown:
        raise ValueError(f"{path}: unknown joints {unknown}; keys must be among {', '.join(HUMANML3D.joint_names)}")
    return entries


def iter_clips(
    data_dir: str | Path,
    joint_map: dict[str, str] | str | Path | None = None,
    rules: ClipRules = BVH_RULES,
    subclips: str = "tagged",
    up: str = "auto",
    facing: str = "corrected",
    fps: float | None = None,
    workers: int = 1,
) -> Iterator[Clip | Skipped]:
    """The clips of a folder of BVH files (searched with its subfolders) with a captions.jsonl.

    Args:
        data_dir: the folder.
        joint_map: {HumanML3D joint: joint in the file}, or a JSON file with it.
        rules: lengths to keep; by default nothing is dropped but motions below 0.4 s, and long ones are cropped; a
            file of one pose is held for the shortest length.
        subclips: see `clips.make_rows`.
        up: the axis that points up, or "auto": decided once for all files of a rig.
        facing: "corrected", or "published" for features like those of the official datasets; see
            `joints_to_features`.
        fps: frames per second of all files, in place of their own Frame Time.
        workers: processes that convert.

    Yields:
        Clips, and what was skipped.

    Raises:
        FileNotFoundError: no folder, no BVH file or no captions in it.
        ValueError: the captions or the joint map cannot be used at all, or an option is none of its values.
    """
    folder = Path(data_dir)
    check_up(up)
    check_facing(facing)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of BVH files")
    files = motion_files(folder, SUFFIXES)
    if not files:
        raise FileNotFoundError(f"{folder} holds no .bvh file")
    if isinstance(joint_map, (str, Path)):
        joint_map = read_joint_map(joint_map)
    records, splits, skipped = captioned(folder, files)
    yield from skipped
    names = [name for name in files if name in records]
    look = partial(_look, joint_map=joint_map, fps=fps)
    looks = dict(zip(names, map_in_order(look, [files[name] for name in names], workers), strict=True))
    rigs: dict[tuple[str, ...], dict[str, _Look]] = {}
    for name, seen in looks.items():
        if isinstance(seen, _Look):
            rigs.setdefault(seen.rig, {})[name] = seen
    conventions: dict[str, Convention] = {}
    votes: dict[str, int] = {}
    for rig in rigs.values():
        what = f"{len(rig)} file{'s' if len(rig) > 1 else ''} like {next(iter(rig))}"
        decided, notes = settle({name: seen.evidence for name, seen in rig.items()}, up, what)
        conventions |= decided
        yield from notes
        total = sum(seen.votes for seen in rig.values())
        votes |= dict.fromkeys(rig, total)
        if total < 0:
            yield Skipped(what, "position channels read as displacements from OFFSET", f"{-total} joints more", SOURCE)
    jobs = [
        _Job(name, files[name], records[name], splits[name], conventions.get(name, Convention()), votes.get(name, 0))
        for name in names
    ]
    work = partial(_convert, joint_map=joint_map, fps=fps, rules=rules, subclips=subclips, facing=facing)
    for rows in map_in_order(partial(guarded, work), jobs, workers):
        yield from rows


@dataclass(frozen=True)
class _Look:
    """What a first look at some frames of a file tells: its rig, its axes, and what its position channels hold."""

    rig: tuple[str, ...]
    evidence: Evidence
    votes: int


@dataclass(frozen=True)
class _Job:
    """A file to convert, and what its source decided for it."""

    name: str
    path: Path
    record: Record
    split: str
    convention: Convention
    votes: int


def _look(path: Path, joint_map: dict[str, str] | None, fps: float | None) -> _Look | None:
    """None where the file cannot be used, which its conversion tells."""
    try:
        bvh = read_bvh(path, fps, max_frames=SAMPLES)
        joints, _ = file_joints(bvh, joint_map)
        return _Look(tuple(bvh.names), gather([joints], bvh.fps)[0], sum(position_votes(bvh).values()))
    except (ValueError, OSError, ArithmeticError, MemoryError):
        return None


def file_joints(bvh: Bvh, joint_map: Mapping[str, str] | None = None, votes: int = 0) -> tuple[np.ndarray, list[str]]:
    """The 22 joints of each frame of the motion, in the file's rate, axes and unit, without a rest pose before it.

    Args:
        bvh: the file.
        joint_map: see `to_joints`.
        votes: see `bvh_skeleton.displaced_joints`.

    Returns:
        Joints (T, 22, 3), and notes on how the file was read.

    Raises:
        BvhError: joints are missing, or the legs have no length.
    """
    joints, reading = read_joints(bvh, joint_map, votes)
    notes = [*bvh.notes, reading] if reading else list(bvh.notes)
    if begins_at_rest(bvh):
        joints = joints[1:]
        notes.append("rest pose in the first frame, left out")
    return joints, notes


def _convert(
    job: _Job,
    joint_map: dict[str, str] | None,
    fps: float | None,
    rules: ClipRules,
    subclips: str,
    facing: str,
) -> list[Clip | Skipped]:
    from modeling_unimo.motion_representation import joints_to_features

    try:
        bvh = read_bvh(job.path, fps)
        joints, notes = file_joints(bvh, joint_map, job.votes)
        joints, changed = convert(joints, bvh.fps, job.convention, rules.min_frames, hold=True)
    except BvhError as error:
        return [Skipped(job.name, "unreadable BVH", str(error))]
    except UnusableClip as error:
        return [Skipped(job.name, error.reason, error.detail)]
    features = joints_to_features(joints, target_offsets=HUMANML3D.default_offsets, facing=facing)
    clip = Clip(job.name, np.asarray(features, dtype=np.float32), job.record.captions, job.split, "bvh")
    return [*(note(job.name, text) for text in notes + changed), *make_rows(clip, rules, subclips)]
