"""How smoothly parts of a motion meet, and whether a long one keeps its feet on the ground."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from evaluate_unimo.functional.inputs import as_array

# Of the positions of joints, the first to third derivative by time.
DERIVATIVES = {"velocity": 1, "acceleration": 2, "jerk": 3}


def seam_peaks(joints: Any, seams: Iterable[int], fps: float = 20.0, seconds: float = 0.2) -> dict[str, np.ndarray]:
    """Peak velocity, acceleration and jerk of any joint around each seam.

    Args:
        joints: One motion (T, J, 3) in metres.
        seams: Frames at which a new part begins; one too near to an end to be measured is left out.
        fps: Frames per second.
        seconds: What is looked at before and after a seam.

    Returns:
        {"velocity": m/s, "acceleration": m/s^2, "jerk": m/s^3}, (seams,) each.

    Raises:
        ValueError: `joints` is no motion, or the window holds fewer than four frames.

    >>> walk = np.zeros((20, 1, 3))
    >>> walk[:, :, 0] = 0.05 * np.arange(20)[:, None]
    >>> {name: float(np.round(peaks[0], 6)) for name, peaks in seam_peaks(walk, [10]).items()}
    {'velocity': 1.0, 'acceleration': 0.0, 'jerk': 0.0}
    """
    positions = as_array(joints, "joints", 3)
    reach = round(seconds * fps)
    if reach < 2:
        raise ValueError(f"seconds must be at least {2 / fps:g}, two frames to either side, got {seconds:g}")
    windows = [positions[s - reach : s + reach] for s in seams if reach <= s <= len(positions) - reach]
    return {
        name: np.array(
            [np.linalg.norm(np.diff(window, n=n, axis=0), axis=-1).max() * fps**n for window in windows], dtype=float
        )
        for name, n in DERIVATIVES.items()
    }


def floor_drift(joints: Any, fps: float = 20.0, feet: Sequence[int] = (10, 11), seconds: float = 2.0) -> float:
    """How far a motion floats or sinks: the largest distance from the ground at which its lowest foot stays.

    Args:
        joints: One motion (T, J, 3) in metres, Y up, the ground at 0.
        fps: Frames per second.
        feet: Joints that stand on the ground.
        seconds: A foot comes down at least once in so much time.

    Returns:
        Metres, over windows of `seconds`.

    Raises:
        ValueError: `joints` is no motion.

    >>> floor_drift(np.zeros((100, 22, 3)))
    0.0
    """
    positions = as_array(joints, "joints", 3)
    heights = positions[:, list(feet), 1].min(axis=1)
    length = max(1, round(seconds * fps))
    lowest = [heights[begin : begin + length].min() for begin in range(0, max(1, len(heights) - length + 1), length)]
    return float(np.abs(lowest).max())
