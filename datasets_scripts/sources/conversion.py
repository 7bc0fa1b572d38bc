"""From joint positions as a file has them to joints ready for features: checked, 20 fps, upright, left on the left."""

from __future__ import annotations

import numpy as np

from datasets_scripts.schema import FPS, NOTE, Skipped
from datasets_scripts.sources.body_check import BodyError, UpsideDownError, bridge_jumps, check_body, check_numbers
from datasets_scripts.sources.clips import resample
from datasets_scripts.sources.orientation import Convention
from modeling_unimo.skeletons_unimo import HUMANML3D


class UnusableClip(Exception):
    """A clip that makes no row: a reason that many may share, and the particulars of this one."""

    def __init__(self, reason: str, detail: str = ""):
        super().__init__(f"{reason}: {detail}" if detail else reason)
        self.reason, self.detail = reason, detail


def convert(
    joints: np.ndarray, fps: float, convention: Convention, min_frames: int | None = None, hold: bool = False
) -> tuple[np.ndarray, list[str]]:
    """Joints as the features take them.

    Args:
        joints: (T, 22, 3) in any axes and unit.
        fps: their frames per second.
        convention: how they are written.
        min_frames: features that the clip must have (one fewer than joints) to be a row; None for any number.
        hold: a shorter clip in which nothing moves is held for so many.

    Returns:
        Joints (T', 22, 3), float32, Y up, at 20 fps, and notes on what was changed or is unusual.

    Raises:
        UnusableClip: they make no clip.
    """
    try:
        check_numbers(joints)
    except BodyError as error:
        reason, _, detail = str(error).partition(", ")
        raise UnusableClip(reason, detail) from error
    if joints.dtype not in (np.float32, np.float64):
        joints = joints.astype(np.float32)
    still = is_still(joints)  # before few frames become one
    try:
        joints = resample(joints, fps)
    except ValueError as error:
        raise UnusableClip("cannot be converted", str(error)) from error
    notes = []
    if still:
        notes = [f"nothing moves in the clip ({len(joints)} frames at {FPS:g} fps)"]
        if hold and min_frames is not None and len(joints) < min_frames + 1:
            joints = hold_pose(joints, min_frames + 1)
            notes = [f"nothing moves in the clip (one pose, held for {min_frames} frames)"]
    if min_frames is not None and len(joints) < min_frames + 1:
        raise UnusableClip(
            f"too short (fewer than {min_frames} frames)", f"{max(len(joints) - 1, 0)} frames at {FPS:g} fps"
        )
    joints, bridged = bridge_jumps(convention.apply(joints.astype(np.float32, copy=False)), FPS)
    joints, placed = place_toes(joints)
    try:
        unusual = check_body(joints, FPS)
    except UpsideDownError as error:
        raise UnusableClip("no body of a person", f"{error}; give it with --up") from error
    except BodyError as error:
        raise UnusableClip("no body of a person", str(error)) from error
    return joints, notes + [note for note in (bridged, placed) if note] + unusual


def is_still(joints: np.ndarray) -> bool:
    """Whether all frames of joints (T, J, 3) are one pose in one place, to the precision of a file's numbers.

    Args:
        joints: (T, J, 3) in any unit.

    Returns:
        Whether they are.
    """
    return len(joints) > 0 and bool(np.ptp(joints, axis=0).max() <= 1e-6 * max(1.0, float(np.abs(joints[0]).max())))


def hold_pose(joints: np.ndarray, frames: int) -> np.ndarray:
    """The first pose of joints (T, J, 3) for `frames` frames.

    Args:
        joints: (T, J, 3) metres.
        frames: how many.

    Returns:
        (frames, J, 3).
    """
    return np.repeat(joints[:1], frames, axis=0)


def place_toes(joints: np.ndarray) -> tuple[np.ndarray, str]:
    """Gives feet without length toes in front of the shin, as HumanML3D's skeleton has them at rest.

    Args:
        joints: (T, 22, 3), Y up, left on the left.

    Returns:
        The joints, and a note ("" where nothing was changed).
    """
    names = HUMANML3D.joint_names
    lacking: list[str] = []
    for side in ("left", "right"):
        knee, ankle, foot = (joints[:, names.index(f"{side}_{part}")] for part in ("knee", "ankle", "foot"))
        shin = knee - ankle
        length = np.linalg.norm(shin, axis=-1, keepdims=True)
        if np.linalg.norm(foot - ankle, axis=-1).mean() > 0.02 * length.mean():
            continue
        across = joints[:, names.index("left_hip")] - joints[:, names.index("right_hip")]
        forward = np.cross(across, shin)
        forward /= np.maximum(np.linalg.norm(forward, axis=-1, keepdims=True), 1e-9)
        if not lacking:
            joints = joints.copy()
        joints[:, names.index(f"{side}_foot")] = ankle + 0.3 * length * forward - 0.13 * shin
        lacking.append(side)
    return joints, "foot without length: toes placed in front of the ankle" if lacking else ""


def note(name: str, text: str) -> Skipped:
    """A note about a clip; what stands in brackets or behind a colon are its particulars, not a kind of its own.

    Args:
        name: Name of the clip.
        text: The note.

    Returns:
        The note as an entry of the build's summary.
    """
    reason, _, detail = text.partition(": ") if ": " in text else text.partition(" (")
    return Skipped(name, reason, detail.removesuffix(")"), NOTE)
