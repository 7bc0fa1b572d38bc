"""From a motion and its captions to rows: resampling, the rules of length, parts of a clip.

What the sources `joints`, `bvh`, `humanml3d` and `amass` share; each of them adds how its files are read.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol, TypeVar

import numpy as np

from datasets_scripts.schema import CAPTION, FPS, MAX_FRAMES, NOTE, Caption, Clip, Skipped

MAX_SECONDS = 3600.0  # bounds the memory of a clip
_RATES = (5.0, 1000.0)  # frames per second: slower ones lose steps and waves
SUBCLIPS = ("tagged", "per_caption", "none")
BEYOND = "time tag beyond the clip (cut at its end)"


@dataclass(frozen=True)
class ClipRules:
    """Which lengths are kept, in frames of features. The defaults are HumanML3D's published filter, 40 <= T < 200.

    Args:
        min_frames: shorter clips and spans are dropped.
        max_frames: longer ones are treated as `long_clips` says.
        crop_frames: no row is longer than this; what is left after `max_frames` is cut to it (the published
            loaders cut the same frames away when they trim to 196).
        long_clips: "drop", "crop" (keep the beginning) or "split" (consecutive pieces, the last one if long enough).
    """

    min_frames: int = 40
    max_frames: int = 199
    crop_frames: int = MAX_FRAMES
    long_clips: str = "drop"

    def __post_init__(self):
        if self.long_clips not in ("drop", "crop", "split"):
            raise ValueError(f"long_clips must be drop, crop or split, got {self.long_clips!r}")
        if not 4 <= self.min_frames <= self.crop_frames <= self.max_frames:
            raise ValueError(
                f"min_frames {self.min_frames}, crop_frames {self.crop_frames}, max_frames {self.max_frames}: "
                "4 <= min_frames <= crop_frames <= max_frames must hold (a motion code takes four frames)"
            )
        if self.crop_frames > MAX_FRAMES:
            raise ValueError(f"crop_frames must be <= {MAX_FRAMES} (what the model takes), got {self.crop_frames}")


def check_fps(fps: float) -> float:
    """A frame rate within bounds.

    Args:
        fps: Frames per second.

    Returns:
        The same.

    Raises:
        ValueError: it is not.
    """
    if not _RATES[0] <= fps <= _RATES[1]:
        raise ValueError(f"frames per second must be {_RATES[0]:g} to {_RATES[1]:g}, got {fps:g}")
    return fps


def read_rate(stored: np.ndarray) -> float:
    """The frame rate that an archive holds.

    Args:
        stored: Its array `fps`.

    Returns:
        Frames per second.

    Raises:
        ValueError: it is no number, or out of bounds.
    """
    try:
        if stored.size != 1 or stored.dtype.kind not in "fiu":
            raise ValueError(f"fps must be one number, got {stored.dtype} of shape {stored.shape}")
        return check_fps(float(stored.item()))
    except ValueError as error:
        raise ValueError(f"{error}; give the rate with --fps") from error


def check_length(frames: int, fps: float) -> None:
    """Refuses a clip before memory is taken for its frames at another rate.

    Args:
        frames: Number of frames.
        fps: Frames per second.

    Raises:
        ValueError: `fps` is out of bounds, or the clip is longer than an hour.
    """
    check_fps(fps)
    if frames > fps * MAX_SECONDS:
        raise ValueError(f"{frames / fps / 60:.0f} minutes long; at most {MAX_SECONDS / 60:.0f} are read as one clip")


def resample(joints: np.ndarray, fps: float, target_fps: float = FPS) -> np.ndarray:
    """Resamples positions (T, J, 3) from `fps` to `target_fps` by cubic interpolation in time.

    Catmull-Rom rather than straight lines: between 30 and 20 fps every second new frame lies halfway between two
    old ones, where a straight line cuts the corner of a fast swing by a centimetre, and the motion would jitter.
    Where old and new frames coincide, the old ones are returned as they are.

    Args:
        joints: (T, J, 3).
        fps: frames per second of the joints.
        target_fps: frames per second of the result.

    Returns:
        The positions at `target_fps`.

    Raises:
        ValueError: `fps` is out of bounds, or the clip is longer than an hour.
    """
    check_length(len(joints), fps)
    # Files write 0.008333 for 1/120: without rounding, frame k would drift off its time in long clips. 59.94 stays.
    nearest = round(fps)
    if nearest and abs(fps - nearest) < 2e-4 * nearest:
        fps = float(nearest)
    if fps == target_fps or len(joints) < 2:
        return joints
    frames = int(math.floor((len(joints) - 1) * target_fps / fps + 1e-6)) + 1
    times = np.arange(frames) * (fps / target_fps)
    left = np.clip(np.floor(times + 1e-6).astype(int), 0, len(joints) - 2)
    u = np.clip(times - left, 0.0, 1.0).reshape(-1, *[1] * (joints.ndim - 1))
    u = np.where(u < 1e-6, 0.0, u)
    # One frame more at either end, in a straight line.
    padded = np.concatenate([2 * joints[:1] - joints[1:2], joints, 2 * joints[-1:] - joints[-2:-1]])
    before, here, there, after = (padded[left + step] for step in range(4))
    tangent_here, tangent_there = (there - before) / 2, (after - here) / 2
    squared, cubed = u * u, u * u * u
    result = (
        (2 * cubed - 3 * squared + 1) * here
        + (cubed - 2 * squared + u) * tangent_here
        + (3 * squared - 2 * cubed) * there
        + (cubed - squared) * tangent_there
    )
    return result.astype(joints.dtype, copy=False)


class Job(Protocol):
    """What is converted to rows: a clip by its name, from a file."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def path(self) -> Path: ...  # noqa: D102


AnyJob = TypeVar("AnyJob", bound=Job)


def guarded(convert: Callable[[AnyJob], list[Clip | Skipped]], job: AnyJob) -> list[Clip | Skipped]:
    """What `convert` makes of a job; whatever goes wrong costs this clip and not the build.

    Args:
        convert: Converts a job.
        job: The job.

    Returns:
        Its clips, or why there is none.
    """
    try:
        return convert(job)
    except Exception as error:  # the one place for what no check foresaw in somebody's file
        return [Skipped(job.name, "error while converting", f"{type(error).__name__}: {error} ({job.path})")]


def make_rows(clip: Clip, rules: ClipRules, subclips: str = "tagged") -> Iterator[Clip | Skipped]:
    """Applies the rules of length to a clip and to the parts of it that its captions describe.

    A caption with time tags describes the frames [int(start * fps), int(end * fps)), as published. A part that is
    shorter or longer than the rules allow costs its caption.

    Args:
        clip: the whole clip with all its captions.
        rules: the lengths to keep.
        subclips: what becomes of captions of a part. "tagged": they stay in the clip's row, with start and end.
            "per_caption", the published loaders' way: each becomes a row of its own with the part cut out, named
            `<id>@<start>-<end>` (then `_2`, `_3`.. where captions share a part), so that any run gives the same names.
            "none": they are left out.

    Yields:
        Rows of the dataset, and what was left out.

    Raises:
        ValueError: `subclips` is none of these.
    """
    if subclips not in SUBCLIPS:
        raise ValueError(f"subclips must be one of {', '.join(SUBCLIPS)}, got {subclips!r}")
    # Pieces of a long clip have times of their own, so there captions of a part cannot stay in its row.
    pieces = rules.long_clips == "split" and len(clip.features) > rules.max_frames
    in_row = subclips == "tagged" and not pieces
    # A part that stays in the row is a part of what is left of the clip there.
    frames = min(len(clip.features), rules.crop_frames) if in_row else len(clip.features)
    whole = [caption for caption in clip.captions if not caption.start and not caption.end]
    tagged: list[Caption] = []
    for caption in clip.captions:
        if caption.start or caption.end:
            fault: tuple[str, str] | None = ("part of a clip (subclips none)", "")
            if subclips != "none":
                fault = part_fault(caption, frames, clip.fps, rules)
            if fault is not None:
                kind = NOTE if fault[0] == BEYOND else CAPTION
                yield Skipped(_part_name(clip, caption), fault[0], fault[1], kind)
            if fault is None or fault[0] == BEYOND:
                tagged.append(caption)
    if in_row:
        duration = frames / clip.fps
        kept = [
            c if c.end <= duration else replace(c, end=duration) for c in clip.captions if c in whole or c in tagged
        ]
        yield from _apply(replace(clip, captions=kept), rules)
        return
    if whole or not tagged:
        yield from _apply(replace(clip, captions=whole), rules)
    names: dict[str, int] = {}
    for caption in tagged:
        name = _part_name(clip, caption)
        names[name] = names.get(name, 0) + 1
        name = name if names[name] == 1 else f"{name}_{names[name]}"
        part = clip.features[slice(*_part(caption, frames, clip.fps))]
        yield from _apply(
            replace(clip, id=name, features=part, captions=[replace(caption, start=0.0, end=0.0)]), rules
        )


def _part(caption: Caption, frames: int, fps: float) -> tuple[int, int]:
    return int(caption.start * fps), int(min(caption.end * fps, frames))


def _part_name(clip: Clip, caption: Caption) -> str:
    return f"{clip.id}@{caption.start:g}-{caption.end:g}"


def part_fault(caption: Caption, frames: int, fps: float, rules: ClipRules) -> tuple[str, str] | None:
    """Why the time tags of a caption cannot be used, or are cut (`BEYOND`).

    Args:
        caption: The caption of a part.
        frames: Length of the clip.
        fps: Frames per second of the tags.
        rules: The lengths to keep.

    Returns:
        The reason and its particulars; None where nothing is wrong.
    """
    duration = frames / fps
    tags = f"{caption.start:g} to {caption.end:g} s in a clip of {duration:.2f} s"
    if not (math.isfinite(caption.start) and math.isfinite(caption.end)) or not 0 <= caption.start < caption.end:
        return "time tags make no part of the clip", tags
    if caption.start >= duration:
        return "time tags begin after the clip's end", tags
    start, end = _part(caption, frames, fps)
    if not rules.min_frames <= end - start:
        return f"part too short (fewer than {rules.min_frames} frames)", f"{end - start} frames"
    if end - start > rules.max_frames and rules.long_clips == "drop":
        return f"part too long (more than {rules.max_frames} frames)", f"{end - start} frames"
    if caption.end > duration + 1.0 / fps:
        return BEYOND, tags
    return None


def _apply(clip: Clip, rules: ClipRules) -> Iterator[Clip | Skipped]:
    frames = len(clip.features)
    if frames < rules.min_frames:
        yield Skipped(clip.id, f"too short (fewer than {rules.min_frames} frames)", f"{frames} frames")
    elif frames <= rules.crop_frames:
        yield clip
    elif frames <= rules.max_frames or rules.long_clips == "crop":
        if frames > rules.max_frames:
            yield Skipped(clip.id, f"cropped to {rules.crop_frames} frames", f"from {frames}", NOTE)
        yield replace(clip, features=clip.features[: rules.crop_frames])
    elif rules.long_clips == "drop":
        yield Skipped(clip.id, f"too long (more than {rules.max_frames} frames)", f"{frames} frames")
    else:
        yield Skipped(clip.id, f"split into pieces of {rules.crop_frames} frames", f"from {frames}", NOTE)
        for start in range(0, frames, rules.crop_frames):
            part = clip.features[start : start + rules.crop_frames]
            if len(part) >= rules.min_frames:
                yield replace(clip, id=f"{clip.id}@part{start // rules.crop_frames + 1}", features=part)
