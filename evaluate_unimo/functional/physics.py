"""Physical plausibility of joints: foot skating."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from evaluate_unimo.functional.inputs import as_array
from modeling_unimo.foot_lock_unimo import skating


def foot_skating(
    joints: Any,
    fps: float = 20.0,
    feet: Sequence[int] | None = None,
    floor: float | None = 0.0,
    contact_height: float = 0.05,
    skating_speed: float = 0.5,
) -> dict[str, float]:
    """How much feet slide while they touch the ground.

    `skating_ratio` is the measure of GMD (Karunratanakul et al., ICCV 2023; also used by OmniControl): a foot touches
    the ground from one frame to the next where it is below `contact_height` in both; it skates where it then moves
    across the ground faster than `skating_speed`, in that step and on average over five steps; the ratio is the share
    of steps in which either foot skates, averaged over clips.
    `mean_slide_m` is the distance a touching foot moves across the ground in one step, averaged over all such steps of
    all clips (0 where no foot ever touches).

    >>> import numpy as np
    >>> still = np.zeros((10, 22, 3))
    >>> foot_skating(still)
    {'skating_ratio': 0.0, 'mean_slide_m': 0.0}
    >>> still[:, :, 2] = 0.0625 * np.arange(10)[:, None]
    >>> foot_skating(still)
    {'skating_ratio': 1.0, 'mean_slide_m': 0.0625}

    Args:
        joints: one clip (T, J, 3), a batch (B, T, J, 3) or a list of clips of any lengths; metres, Y up.
        fps: frames per second.
        feet: indices of the joints to watch; default the two feet (10, 11) of the 22-joint skeleton.
        floor: height of the ground in metres; None takes, in each clip, the lowest position of those joints.
        contact_height: metres. skating_speed: metres per second.

    Returns:
        {"skating_ratio": .., "mean_slide_m": ..}.

    Raises:
        ValueError: no clip, a clip of one frame, no or wrong feet for the skeleton, settings that are not positive,
            or unfit arrays.
    """
    measured = [
        clip_skating(clip, fps, feet, floor, contact_height, skating_speed, f"joints[{i}]")
        for i, clip in enumerate(split_clips(joints))
    ]
    return merge_skating(measured)


def split_clips(joints: Any) -> list[Any]:
    """Split an input into clips, whose values are not checked.

    Args:
        joints: One clip (T, J, 3), a batch (B, T, J, 3) or a list of clips.

    Returns:
        The clips.

    Raises:
        ValueError: None of these, or no clip.
    """
    dimensions = _dimensions(joints)
    if dimensions not in (3, 4):
        raise ValueError(
            f"joints must be a clip (T, J, 3), a batch (B, T, J, 3) or a list of clips, got {dimensions} dimensions"
        )
    clips = [joints] if dimensions == 3 else list(joints)
    if not clips:
        raise ValueError("joints must hold at least one clip")
    return clips


def _dimensions(values: Any) -> int:
    """Dimensions of nested lists of numbers or arrays, by their first elements: clips of a list differ in length."""
    levels = 0
    while isinstance(values, list | tuple):
        levels += 1
        values = values[0] if values else 0.0
    return levels + int(np.ndim(values))


@dataclass(frozen=True)
class ClipSkating:
    """What one clip adds to foot skating: its ratio, the metres its touching feet slid and over how many steps."""

    ratio: float
    slide: float
    steps: int


def merge_skating(clips: Sequence[ClipSkating]) -> dict[str, float]:
    """Merge the measurements of clips.

    Args:
        clips: Measurement of each clip.

    Returns:
        See `foot_skating`.
    """
    steps = sum(clip.steps for clip in clips)
    return {
        "skating_ratio": float(np.mean([clip.ratio for clip in clips])),
        "mean_slide_m": float(sum(clip.slide for clip in clips) / max(steps, 1)),
    }


def clip_skating(
    joints: Any,
    fps: float = 20.0,
    feet: Sequence[int] | None = None,
    floor: float | None = 0.0,
    contact_height: float = 0.05,
    skating_speed: float = 0.5,
    name: str = "joints",
) -> ClipSkating:
    """Measure foot skating of one clip, before averaging.

    Args:
        joints: (T, J, 3), metres, Y up.
        fps: Frames per second.
        feet: As for `foot_skating`.
        floor: As for `foot_skating`.
        contact_height: Metres.
        skating_speed: Metres per second.
        name: Name of the clip in error messages.

    Returns:
        The measurement.

    Raises:
        ValueError: See `foot_skating`.
    """
    clip = as_array(joints, name, 3)
    if clip.shape[2] != 3:
        raise ValueError(f"{name} must have shape (frames, joints, 3), got {clip.shape}")
    if len(clip) < 2:
        raise ValueError(f"{name} must have at least 2 frames, got 1")
    for setting, value in (("fps", fps), ("contact_height", contact_height), ("skating_speed", skating_speed)):
        if not value > 0:
            raise ValueError(f"{setting} must be > 0, got {value!r}")
    if feet is None and clip.shape[1] != 22:
        raise ValueError(f"{name} has {clip.shape[1]} joints instead of 22; name the feet: feet=(left, right)")
    feet = list((10, 11) if feet is None else feet)
    if not feet or not all(0 <= foot < clip.shape[1] for foot in feet):
        raise ValueError(f"feet must be joint indices in 0..{clip.shape[1] - 1}, got {feet}")

    positions = clip[:, feet]
    ground = positions[:, :, 1].min() if floor is None else floor
    return ClipSkating(*skating(positions - [0.0, ground, 0.0], fps, contact_height, skating_speed))
