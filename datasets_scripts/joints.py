"""Joint positions as a source: a folder of (T, 22, 3) .npy files, or one .npz that holds all clips end to end."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

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
    motions, rate = _motions(folder, fps)
    records, splits, skipped = captioned(folder, motions)
    yield from skipped
    jobs = ((name, motion, records[name], splits[name]) for name, motion in motions.items() if name in records)
    for rows in map_in_order(
        partial(_convert, fps=rate, rules=rules, subclips=subclips, up=up, facing=facing), jobs, workers
    ):
        yield from rows


def _motions(folder: Path, fps: float | None) -> tuple[dict[str, np.ndarray | Path], float]:
    """Arrays or files by clip name, and their frames per second."""
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
    return dict(files), FPS if fps is None else fps


def _archive(path: Path) -> tuple[dict[str, np.ndarray | Path], float]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            missing = [key for key in _KEYS if key not in archive.files]
            if missing:
                raise ValueError(f"it lacks {', '.join(missing)}; it must hold {', '.join(_KEYS)}")
            joints, offsets, names = archive["joints"], archive["offsets"], archive["names"]
            fps = float(archive["fps"])
    except (*UNREADABLE, TypeError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if joints.ndim != 3 or joints.shape[1:] != (HUMANML3D.num_joints, 3) or joints.dtype.kind != "f":
        raise ValueError(
            f"{path}: joints of shape {joints.shape} and type {joints.dtype}; (frames, 22, 3) of floats is due, "
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
    if offsets[0] != 0 or offsets[-1] != len(joints) or (np.diff(offsets) < 0).any():
        raise ValueError(f"{path}: offsets must rise from 0 to the number of frames, {len(joints)}")
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"{path}: fps is {fps}; a positive number is due")
    clips: dict[str, np.ndarray | Path] = {}
    for index, name in enumerate(names):
        if str(name) in clips:
            raise ValueError(f"{path}: the name {str(name)!r} occurs twice; give every clip its own")
        clips[str(name)] = joints[offsets[index] : offsets[index + 1]]
    return clips, fps


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
