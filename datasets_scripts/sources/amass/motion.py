"""From one AMASS file to the joints of the clips that the index cuts out of it, with the published choices as options.

Source: raw_pose_processing and the index step of EricGuo5513/HumanML3D, whose numbers the defaults reproduce.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

from datasets_scripts.schema import FPS
from datasets_scripts.sources.amass.annotations import Row
from datasets_scripts.sources.amass.releases import HUMANACT12, trim_frames
from datasets_scripts.sources.clips import check_length
from datasets_scripts.sources.smpl import read_smpl, sample
from modeling_unimo.array_files_unimo import UNREADABLE, load_array
from modeling_unimo.skeletons_unimo import HUMANML3D
from modeling_unimo.smpl_unimo import NUM_BETAS, NUM_JOINTS, joints_from_smpl

RESAMPLINGS = ("published", "exact")
GENDER_RULES = ("published", "declared")
GENDERS = ("female", "male", "neutral")
POSE_COLUMNS = 156
RATE_TOLERANCE = 0.05  # frames per second by which a rate may miss 20 unnoticed
_SMPLX_COLUMNS = 165
# From Z up to Y up, and the left-handed axes of the published swap undone by the published negation of x.
_AXES, _SIGNS = [0, 2, 1], np.array([-1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Choices:
    """What the published build decided, and what may be had instead.

    Args:
        resampling: "published" takes every int(fps / 20)-th frame, which misses 20 fps for some files; "exact"
            interpolates those to 20 fps and keeps a clip's seconds.
        gender_rule: "published" takes the female body for all that is not exactly the text "male" (bytes, neutral);
            "declared" takes what the file says and refuses what it cannot tell.
        trims: cut the T-poses at the start of five datasets' recordings.
    """

    resampling: str = "published"
    gender_rule: str = "published"
    trims: bool = True

    def __post_init__(self) -> None:
        for name, value, allowed in (
            ("resampling", self.resampling, RESAMPLINGS),
            ("gender_rule", self.gender_rule, GENDER_RULES),
        ):
            if value not in allowed:
                raise ValueError(f"{name} must be one of {', '.join(allowed)}, got {value!r}")


class Unusable(Exception):
    """A file that makes no clip: a reason that many share, and the particulars."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(reason)
        self.reason, self.detail = reason, detail


@dataclass
class Cut:
    """The joints of a file's clips, and what is worth knowing about the file."""

    joints: dict[str, np.ndarray]  # by clip name: (T, 22, 3) float32, Y up, 20 fps
    fps: float
    rate: float  # frames per second that the index counts in: 20, but for files whose rate int(fps / 20) misses
    notes: list[str]


def cut_amass(
    file: str | Path | IO[bytes], name: str, rows: Sequence[Row], bodies: Mapping[str, Path], choices: Choices
) -> Cut:
    """The clips of one AMASS "SMPL+H G" file.

    Args:
        file: the .npz, a path or open.
        name: its name, for messages.
        rows: the clips to cut out of it.
        bodies: body model files by gender.
        choices: see `Choices`.

    Returns:
        The clips, and what was assumed.

    Raises:
        Unusable: the file is damaged, of another release, or holds no motion; or a body model is missing.
    """
    try:
        motion, *others = read_smpl(file, name)
    except (ValueError, FileNotFoundError) as error:
        raise Unusable("unreadable file", str(error)) from error
    columns = motion.poses.shape[1]
    if columns == _SMPLX_COLUMNS or motion.rate_key == "mocap_frame_rate":
        raise Unusable("file of the SMPL-X release", f"{columns} pose columns, frame rate in {motion.rate_key!r}")
    if columns != POSE_COLUMNS or others:
        raise Unusable("no SMPL+H file", f"{columns} pose columns where SMPL+H has {POSE_COLUMNS}")
    if motion.fps is None or motion.trans is None:
        missing = "mocap_framerate" if motion.fps is None else "trans"
        raise Unusable("no SMPL+H file", f"it lacks {missing}")
    try:
        check_length(len(motion.poses), motion.fps)
    except ValueError as error:
        raise Unusable("impossible frame rate", f"mocap_framerate is {motion.fps:g}: {error}") from error
    if not len(motion.poses):
        raise Unusable("no frames")
    if motion.betas is None or len(motion.betas) < NUM_BETAS:
        raise Unusable("too few betas", f"{0 if motion.betas is None else len(motion.betas)}; {NUM_BETAS} are used")
    notes = [] if len(motion.betas) > NUM_BETAS else [f"{NUM_BETAS} betas where the SMPL+H G release has 16"]
    gender = choose_gender(motion.gender, choices.gender_rule)
    if gender not in bodies:
        raise Unusable("no body model", f"body_models/smplh/{gender}/model.npz for a file of gender {motion.gender!r}")
    step = int(motion.fps / FPS)
    if not step and choices.resampling == "published":
        raise Unusable("frame rate below 20", f"{motion.fps:g} fps; the published step is 0: use --resampling exact")
    rate = motion.fps / step if step else FPS
    betas = motion.betas[:NUM_BETAS]
    model = bodies[gender]
    # What is within a thousandth of 20 fps drifts by less than a frame in the longest clip: no interpolation for that.
    if choices.resampling == "published" or (step and abs(rate - FPS) < 1e-3):
        joints = _upright(joints_from_smpl(motion.poses[::step], motion.trans[::step], betas, model))
        cuts = {row.name: joints[_skip(row, choices) :][row.start : row.end] for row in rows}
        return Cut(cuts, motion.fps, rate, notes)
    unit = float(step) if step else motion.fps / FPS  # frames of the file in one of the index
    cuts = {}
    for row in rows:
        poses, trans = sample(
            motion, _exact_frames(row, len(motion.poses), motion.fps / FPS, unit, _skip(row, choices))
        )
        cuts[row.name] = _upright(joints_from_smpl(poses, trans, betas, model))
    return Cut(cuts, motion.fps, rate, notes)


def choose_gender(stored: str | bytes | None, rule: str) -> str:
    """The body that a file's gender asks for.

    Args:
        stored: The gender as the file stores it, or None.
        rule: "published" or "declared".

    Returns:
        "male", "female" or "neutral".

    Raises:
        Unusable: rule "declared", and the gender is none of the three.
    """
    if rule == "published":
        return "male" if stored == "male" else "female"
    gender = (stored.decode("latin-1") if isinstance(stored, bytes) else stored or "").strip().lower()
    if gender not in GENDERS:
        raise Unusable("unknown gender", f"{stored!r}; --gender_rule published takes the female body")
    return gender


def _skip(row: Row, choices: Choices) -> int:
    return trim_frames(row.key) if choices.trims else 0


def _exact_frames(row: Row, available: int, advance: float, unit: float, skip: int) -> np.ndarray:
    """Frame numbers of the file, `advance` apart, over the seconds that the row covers in the index's `unit`."""
    first = (skip + (row.start or 0)) * unit
    end = available if row.end is None or row.end < 0 else min((skip + row.end) * unit, available)
    frames = first + np.arange(max(math.ceil((end - first) / advance - 1e-3), 0)) * advance
    return frames.clip(max=available - 1)


def _upright(joints: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray((joints[..., _AXES] * _SIGNS).astype(np.float32))


def cut_humanact12(file: Path | IO[bytes], rows: Sequence[Row]) -> Cut:
    """The clips of one HumanAct12 file: joints already, Y up, taken whole whatever the index says, as published.

    Args:
        file: The .npy file.
        rows: Rows of the index that name it.

    Returns:
        The clips.

    Raises:
        Unusable: the file is damaged or holds no joints.
    """
    try:
        joints = load_array(file) if isinstance(file, Path) else np.load(file, allow_pickle=False)
    except UNREADABLE as error:
        raise Unusable("unreadable file", str(error)) from error
    if joints.ndim != 3 or joints.shape[1] < NUM_JOINTS or joints.shape[2] != 3:
        raise Unusable("no joints", f"shape {joints.shape}; HumanAct12 has (frames, 22 or more, 3)")
    joints = joints[:, :NUM_JOINTS].astype(np.float32)
    return Cut({row.name: joints for row in rows}, FPS, FPS, [])


def is_humanact12(key: str) -> bool:
    """Whether a source is of HumanAct12, by its path as published.

    Args:
        key: Key of the source.

    Returns:
        Whether it is.
    """
    return HUMANACT12 in key


def mirrored(joints: np.ndarray) -> np.ndarray:
    """The mirror image (T, 22, 3): x negated, left and right exchanged.

    Args:
        joints: (T, 22, 3).

    Returns:
        (T, 22, 3).
    """
    return np.ascontiguousarray(joints[:, list(HUMANML3D.mirror_order)] * _SIGNS.astype(np.float32))
