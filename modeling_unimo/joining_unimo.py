"""Parts of a motion put together in features: what is kept stays as it is, what is new meets it.

Features hold the root's path as increments, so a motion goes on in place and heading wherever it is joined. What could
jump at a seam is the pose: the kept frames are the given ones, the new ones come from a network. New frames therefore
take over the difference at the seam and let it fade, as games blend animations (inertialisation; Bollo, GDC 2018).
"""

from collections.abc import Sequence

import numpy as np

from .motion_representation import features_to_joints, root_trajectory, skeleton_for
from .skeletons_unimo import Skeleton

# Frames over which new frames let go of the difference at a seam.
FADE_FRAMES = 10
# Frames around a seam that are looked at.
_SEAM_FRAMES = 4
# Frames on either side of a seam that are smoothed, and the low-pass filter (binomial, of 5 frames).
_SMOOTHED_FRAMES = 5
_LOW_PASS = np.array([1, 4, 6, 4, 1]) / 16


def _fade(frames: int) -> np.ndarray:
    """(frames, 1) from nearly 1 to nearly 0, without a kink at either end."""
    place = (np.arange(frames) + 1) / (frames + 1)
    return (1 - place**3 * (place * (6 * place - 15) + 10))[:, None].astype(np.float32)


def meet(
    new: np.ndarray, before: tuple[np.ndarray, np.ndarray] | None, after: tuple[np.ndarray, np.ndarray] | None
) -> np.ndarray:
    """New features that meet the kept ones at their ends.

    Args:
        new: (n, D) raw features.
        before: the last kept row (D,) before them, and what the network makes of that frame; None: nothing is there.
        after: likewise the first kept row behind them.

    Returns:
        (n, D). Foot contacts, which are no quantity to fade, stay as they are.
    """
    met = new.copy()
    for seam, rows in ((before, slice(None, None, 1)), (after, slice(None, None, -1))):
        if seam is not None:
            kept, decoded = seam
            # Between two seams the fades must not reach past each other.
            frames = min(FADE_FRAMES, len(new) if before is None or after is None else max(1, len(new) // 2))
            part = met[rows][:frames]
            part[:, :-4] += (kept - decoded)[None, :-4] * _fade(frames)
    return met


def smooth_seams(features: np.ndarray, seams: Sequence[int], cyclic: bool = False) -> np.ndarray:
    """Features that are smoothed where parts meet, fully at a seam and less and less away from it.

    Args:
        features: (T, D) raw features.
        seams: Frames at which a new part begins.
        cyclic: Whether the last frame is followed by the first.

    Returns:
        (T, D). Foot contacts, which are no quantity to smooth, stay as they are.
    """
    side = len(_LOW_PASS) // 2
    padded = np.pad(features, ((side, side), (0, 0)), mode="wrap" if cyclic else "edge")
    low = sum(weight * padded[shift : shift + len(features)] for shift, weight in enumerate(_LOW_PASS))
    share = np.zeros(len(features))
    for seam in seams:
        distance = np.abs(np.arange(len(features)) + 0.5 - seam)
        if cyclic:
            distance = np.minimum(distance, len(features) - distance)
        near = 0.5 + 0.5 * np.cos(np.pi * np.minimum(distance / _SMOOTHED_FRAMES, 1))
        share = np.maximum(share, near)
    smoothed = features.copy()
    smoothed[:, :-4] += (share[:, None] * (low - features))[:, :-4].astype(features.dtype)
    return smoothed


def follow_path(new: np.ndarray, target: np.ndarray) -> tuple[np.ndarray, float]:
    """New features whose root ends where and as that of other features does, by a small steady push all along.

    Args:
        new: (n, D) raw features of a HumanML3D or KIT skeleton.
        target: (m, D) raw features; what counts is where the frame after their last one is, and how it faces.

    Returns:
        (n, D) features, and the extra speed of the root at most, in units of the skeleton a frame.
    """
    skeleton = skeleton_for(new.shape[1])
    pushed = new.copy()
    # One more row: the path up to the frame behind the last one.
    goal_path, goal_heading = root_trajectory(np.concatenate([target, target[-1:]]), skeleton)
    _, heading = root_trajectory(np.concatenate([pushed, pushed[-1:]]), skeleton)
    weights = np.sin(np.pi * (np.arange(len(new)) + 0.5) / len(new)) ** 2
    weights /= weights.sum()
    turn = (goal_heading[-1] - heading[-1] + np.pi) % (2 * np.pi) - np.pi
    # Feature 0 is the change of half the angle by which the root must be turned back.
    pushed[:, 0] -= 0.5 * turn * weights
    path, heading = root_trajectory(np.concatenate([pushed, pushed[-1:]]), skeleton)
    push = weights[:, None] * (goal_path[-1] - path[-1])[[0, 2]]
    for columns, facing in ((slice(1, 3), heading[1:]), *_velocity_columns(skeleton, heading[:-1])):
        cos, sin = np.cos(facing), np.sin(facing)
        # World to the frame of a body that faces (sin, cos).
        pushed[:, columns] += np.stack(
            [cos * push[:, 0] - sin * push[:, 1], sin * push[:, 0] + cos * push[:, 1]], axis=1
        ).astype(pushed.dtype)
    return pushed, float(np.abs(np.hypot(*push.T)).max())


def _velocity_columns(skeleton: Skeleton, facing: np.ndarray) -> list[tuple[slice, np.ndarray]]:
    """The columns of each joint's horizontal velocity, which move along with the root."""
    start = skeleton.slices["velocities"].start
    return [(slice(start + 3 * j, start + 3 * j + 3, 2), facing) for j in range(skeleton.num_joints)]


def seam_jerk(features: np.ndarray, seams: list[int], fps: float) -> float:
    """Peak jerk of any joint around frames where parts meet, in units of the skeleton per second cubed.

    Args:
        features: (T, D) raw features.
        seams: First frame after each seam.
        fps: Frames per second.

    Returns:
        The peak, 0 where there is no seam.
    """
    skeleton, peaks = skeleton_for(features.shape[1]), [0.0]
    for seam in seams:
        around = features[max(0, seam - _SEAM_FRAMES) : seam + _SEAM_FRAMES]
        if len(around) > 3:
            around = np.asarray(features_to_joints(around, skeleton=skeleton))
            peaks.append(float(np.linalg.norm(np.diff(around, n=3, axis=0), axis=-1).max()) * fps**3)
    return max(peaks)
