"""Clean-up of joint positions: standing feet held in place, jitter smoothed, never far from where joints were."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays_unimo import Array
from .foot_lock_unimo import (
    FREE,
    carried_shift,
    faded_between,
    foot_pins,
    skating,
    slides,
    solve_leg,
    standing_shifts,
)
from .rigid_motion_unimo import to_numpy
from .skeletons_unimo import HUMANML3D, check_joints

_SKATING_CONTACT = 0.8
"""Metres a second below which a low foot is taken to stand, though it may skate; a step is much faster."""

_LEGS = ((1, 4, 7, 10), (2, 5, 8, 11))


@dataclass(frozen=True)
class CleaningReport:
    """What a clean-up changed.

    Attributes:
        skating_before, skating_after: share of the steps in which a foot skates (see `skating`).
        slide_before, slide_after: largest way in metres that a standing foot slides in one contact.
        largest_shift: metres that a joint was moved at most.
    """

    skating_before: float
    skating_after: float
    slide_before: float
    slide_after: float
    largest_shift: float

    def __str__(self) -> str:
        return (
            f"skating ratio {self.skating_before:.3f} before, {self.skating_after:.3f} after; feet slide "
            f"{100 * self.slide_before:.1f} cm at most before, {100 * self.slide_after:.1f} cm after; joints moved by "
            f"{100 * self.largest_shift:.1f} cm at most"
        )


def clean_joints(
    joints: Array, fps: float, foot_lock: bool = True, smooth: float = 0.0, max_shift: float = 0.05
) -> tuple[np.ndarray, CleaningReport]:
    """Holds standing feet in place and smooths jitter.

    Args:
        joints: (T, 22, 3) metres, Y up.
        fps: frames per second.
        foot_lock: hold standing feet across the ground by bending the legs.
        smooth: standard deviation in seconds of a Gaussian over time, for all joints; 0 for none.
        max_shift: metres that no joint moves further than.

    Returns:
        Joints (T, 22, 3), float32, and what was changed.

    Raises:
        ValueError: a setting out of range, or joints that are no motion of HumanML3D's skeleton.
    """
    if not 0 <= smooth <= 1:
        raise ValueError(f"smooth must be in [0, 1] seconds, got {smooth}")
    if not 0 < max_shift < float("inf"):
        raise ValueError(f"max_shift must be > 0 metres, got {max_shift}")
    before = to_numpy(joints, np.float64)
    check_joints(before, HUMANML3D)
    after = _smoothed(before, smooth * fps) if smooth else before.copy()
    pins = np.stack([foot_pins(before[:, [ankle, toe]], fps, _SKATING_CONTACT) for _, _, ankle, toe in _LEGS], 1)
    if foot_lock and (pins != FREE).any():
        after = _held(after, pins, fps, max_shift)
    moved = after - before
    length = np.linalg.norm(moved, axis=-1, keepdims=True)
    after = before + moved * np.minimum(1.0, max_shift / np.maximum(length, 1e-12))
    ratios: list[float] = []
    ways: list[float] = []
    for clip in (before, after):
        ratios.append(skating(clip[:, [10, 11]] - [0.0, before[:, [10, 11], 1].min(), 0.0], fps)[0])
        ways.append(
            max(float(slides(clip[:, leg[2:]], pins[:, side]).max(initial=0.0)) for side, leg in enumerate(_LEGS))
        )
    largest = float(np.linalg.norm(after - before, axis=-1).max())
    return after.astype(np.float32), CleaningReport(ratios[0], ratios[1], ways[0], ways[1], largest)


def _held(joints: np.ndarray, pins: np.ndarray, fps: float, max_shift: float) -> np.ndarray:
    """Joints whose standing feet stand; the body goes along with what both feet have in common."""
    feet = [joints[:, leg[2:]] for leg in _LEGS]
    shifts = np.stack(
        [faded_between(standing_shifts(foot, pin), pin, fps) for foot, pin in zip(feet, pins.T, strict=True)], 1
    )
    length = np.linalg.norm(shifts, axis=-1, keepdims=True)
    shifts = shifts * np.minimum(1.0, max_shift / np.maximum(length, 1e-12))
    carried = carried_shift(shifts, pins, fps)
    held = joints + carried[:, None]
    forward = np.cross(joints[:, 1] - joints[:, 2], [0.0, 1.0, 0.0])  # from left to right hip, across up
    for side, (hip, knee, ankle, toe) in enumerate(_LEGS):
        target = joints[:, ankle] + shifts[:, side]
        knees, ankles = solve_leg(held[:, hip], held[:, knee], held[:, ankle], target, forward)
        held[:, toe] = ankles + joints[:, toe] - joints[:, ankle]
        held[:, knee], held[:, ankle] = knees, ankles
    return held


def _smoothed(values: np.ndarray, sigma: float) -> np.ndarray:
    """Values (T, ...) under a Gaussian over time of `sigma` frames."""
    reach = min(int(4 * sigma) + 1, len(values) - 1)
    weights = np.exp(-0.5 * np.square(np.arange(-reach, reach + 1) / max(sigma, 1e-6)))
    weights /= weights.sum()
    padded = np.pad(values, ((reach, reach), *((0, 0),) * (values.ndim - 1)), mode="reflect", reflect_type="odd")
    smooth = np.zeros_like(values)
    for place, weight in enumerate(weights):
        smooth += weight * padded[place : place + len(values)]
    return smooth
