"""Measurements on 22-joint motion: what a reader of the motion may state as fact, without words or verdicts.

`measure` turns joints (T, 22, 3) into time series of body quantities (heading, speed in the body's own directions,
hand and foot heights, trunk pitch, leg bend, clearance). The other functions find events in such series; the bounds
that make an excursion an event are arguments, so that the annotator and whoever checks its texts choose their own.

Directions: the world is Y up; a person who faces +Z has their left side at +X, so a turn to the left increases the
heading. Lengths are metres, angles degrees, times seconds unless a name says otherwise.
"""

from dataclasses import dataclass

import numpy as np

PELVIS, SPINE, NECK, HEAD = 0, 3, 12, 15
# Index pairs are (left, right).
HIPS, KNEES, ANKLES, TOES = (1, 2), (4, 5), (7, 8), (10, 11)
SHOULDERS, ELBOWS, WRISTS = (16, 17), (18, 19), (20, 21)
NUM_JOINTS = 22
SIDES = ("left", "right")

# Smoothing in seconds (standard deviation of a Gaussian): `POSE` takes capture jitter off poses, `ROOT` takes the sway
# of a step off the path and the heading, which would otherwise read as small turns and changes of speed.
POSE_SMOOTHING = 0.05
ROOT_SMOOTHING = 0.2
# The share of frames that may lie under the "lowest" level: one bad frame must not move the floor.
_LOWEST = 0.02


@dataclass(frozen=True)
class Measurements:
    """Time series of one motion of T frames; `[..., side]` axes are (left, right).

    pose (T, 22, 3): the joints, capture jitter taken off, metres.
    heading (T,): smoothed facing direction, unwrapped, degrees, 0 in the first frame, increasing to the left.
    position (T, 2): smoothed pelvis x, z, metres from the first frame.
    velocity (T, 2): smoothed pelvis velocity towards the body's (front, left), m/s.
    speed (T,): its length.
    hip_height (T,): height of the hips over the ankles' floor level, in leg lengths (about 1: upright).
    pelvis_height (T,): metres over the floor.
    trunk_pitch, trunk_lean (T,): angle of pelvis->neck from the vertical, forward and to the left, degrees.
    trunk_tilt (T,): its angle from the vertical in any direction, 0 to 180 degrees.
    hand (T, 2, 3): wrist relative to its shoulder as (left, up, front), as a share of the arm's length.
    hand_height (T, 2), head_height (T,): wrist and head joint, metres over the floor.
    elbow (T, 2), knee (T, 2): inner angle, degrees, 180 = straight.
    foot (T, 2, 3): ankle relative to its hip as (left, up, front), as a share of the leg's length.
    foot_clearance (T, 2): the foot's lowest point over its own floor level, metres.
    foot_height (T, 2): the ankle over its own floor level, as a share of the leg's length.
    knee_height (T, 2): the knee over the ankles' floor level, as a share of the leg's length.
    hip_heading (T,): as `heading`, of the hips alone and from +Z on: a chest that twists does not turn the body.
    chest_twist (T,): the shoulders' direction against that of the hips, degrees, positive to the left.
    toe_speed (T, 2): speed of the toes over the ground, m/s.
    hands_apart (T,): distance between the wrists, metres.
    """

    fps: float
    pose: np.ndarray
    heading: np.ndarray
    position: np.ndarray
    velocity: np.ndarray
    speed: np.ndarray
    hip_height: np.ndarray
    pelvis_height: np.ndarray
    trunk_pitch: np.ndarray
    trunk_lean: np.ndarray
    trunk_tilt: np.ndarray
    hand: np.ndarray
    hand_height: np.ndarray
    head_height: np.ndarray
    elbow: np.ndarray
    knee: np.ndarray
    foot: np.ndarray
    foot_clearance: np.ndarray
    foot_height: np.ndarray
    knee_height: np.ndarray
    hip_heading: np.ndarray
    chest_twist: np.ndarray
    toe_speed: np.ndarray
    hands_apart: np.ndarray
    arm_length: float
    leg_length: float

    @property
    def num_frames(self) -> int:
        """Frames measured."""
        return len(self.heading)

    @property
    def duration(self) -> float:
        """Seconds measured."""
        return self.num_frames / self.fps


@dataclass(frozen=True)
class Span:
    """Frames `start` up to, not including, `stop`."""

    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def slice(self) -> slice:
        """To index frames with."""
        return slice(self.start, self.stop)

    def overlap(self, other: "Span") -> int:
        """Count the frames that both have.

        Args:
            other: Another span of the same clip.

        Returns:
            Number of frames.
        """
        return max(0, min(self.stop, other.stop) - max(self.start, other.start))


def measure(joints: np.ndarray, fps: float = 20.0) -> Measurements:
    """Measure a motion with any facing, floor height and bone lengths.

    Args:
        joints: (T, 22, 3) in metres, Y up, in the joint order of HumanML3D.
        fps: frames per second.

    Returns:
        The measurements.

    Raises:
        ValueError: if the joints have another shape, fewer than two frames, values that are not finite, or a body
            without arms or legs (bones of length 0), of which nothing can be stated.
    """
    p = np.asarray(joints, dtype=np.float64)
    if p.ndim != 3 or p.shape[1:] != (NUM_JOINTS, 3):
        raise ValueError(f"joints must have shape (T, {NUM_JOINTS}, 3), got {p.shape}")
    if len(p) < 2:
        raise ValueError(f"joints must have at least 2 frames, got {len(p)}")
    if not np.isfinite(p).all():
        raise ValueError("joints must be finite, got NaN or infinity")
    if not fps > 0:
        raise ValueError(f"fps must be > 0, got {fps}")

    pose = smooth(p, POSE_SMOOTHING * fps)
    left, front = _body_axes(pose)
    arm = _length(pose, SHOULDERS, ELBOWS) + _length(pose, ELBOWS, WRISTS)
    leg = _length(pose, HIPS, KNEES) + _length(pose, KNEES, ANKLES)
    if min(arm, leg) < 1e-3:
        raise ValueError(f"the body has no extent: arm {arm:.4f} m, leg {leg:.4f} m")

    heading = np.degrees(np.unwrap(np.arctan2(front[:, 0], front[:, 2])))
    hips = _direction(pose[:, HIPS[0]] - pose[:, HIPS[1]])
    twist = _direction(pose[:, SHOULDERS[0]] - pose[:, SHOULDERS[1]]) - hips
    root = np.concatenate([pose[:, PELVIS, ::2], heading[:, None], hips[:, None]], axis=1)
    root = smooth(root, ROOT_SMOOTHING * fps)
    position, heading, hip_heading = root[:, :2] - root[0, :2], root[:, 2], root[:, 3]
    # The heading that velocities refer to is the smoothed one: a runner's shoulders swing, the direction does not.
    velocity = seen_from(np.gradient(position, axis=0) * fps, heading)

    ankle_floor = quantile(pose[:, ANKLES, 1], _LOWEST)
    toe_floor = quantile(pose[:, TOES, 1], _LOWEST)
    ankle_clear = pose[:, ANKLES, 1] - ankle_floor
    toe_clear = pose[:, TOES, 1] - toe_floor
    floor = min(float(toe_floor.min()), float(ankle_floor.min()))

    trunk = pose[:, NECK] - pose[:, PELVIS]
    trunk_front = (trunk * front).sum(-1)
    trunk_left = (trunk * left).sum(-1)
    hand = _in_body(pose[:, WRISTS] - pose[:, SHOULDERS], left, front) / arm
    foot = _in_body(pose[:, ANKLES] - pose[:, HIPS], left, front) / leg
    return Measurements(
        fps=float(fps),
        pose=pose,
        heading=heading - heading[0],
        position=position,
        velocity=velocity,
        speed=np.hypot(velocity[:, 0], velocity[:, 1]),
        hip_height=(pose[:, HIPS, 1].mean(1) - ankle_floor.min()) / leg,
        pelvis_height=pose[:, PELVIS, 1] - floor,
        trunk_pitch=np.degrees(np.arctan2(trunk_front, np.abs(trunk[:, 1]))),
        trunk_lean=np.degrees(np.arctan2(trunk_left, np.abs(trunk[:, 1]))),
        trunk_tilt=np.degrees(np.arctan2(np.hypot(trunk_front, trunk_left), trunk[:, 1])),
        hand=hand,
        hand_height=pose[:, WRISTS, 1] - floor,
        head_height=pose[:, HEAD, 1] - floor,
        elbow=_inner_angle(pose, SHOULDERS, ELBOWS, WRISTS),
        knee=_inner_angle(pose, HIPS, KNEES, ANKLES),
        foot=foot,
        foot_clearance=np.minimum(ankle_clear, toe_clear),
        foot_height=ankle_clear / leg,
        knee_height=(pose[:, KNEES, 1] - ankle_floor.min()) / leg,
        hip_heading=hip_heading,
        chest_twist=(twist + 180.0) % 360.0 - 180.0,
        toe_speed=np.linalg.norm(np.gradient(pose[:, TOES][..., ::2], axis=0), axis=-1) * fps,
        hands_apart=np.linalg.norm(pose[:, WRISTS[0]] - pose[:, WRISTS[1]], axis=-1),
        arm_length=arm,
        leg_length=leg,
    )


def seen_from(way: np.ndarray, heading: float | np.ndarray) -> np.ndarray:
    """A way over the ground as the body sees it that faces a heading.

    Args:
        way: (..., 2) along the world's (X, Z).
        heading: (...) in degrees, 0 towards +Z, increasing to the left.

    Returns:
        (..., 2) to the (front, left), in the unit of `way`.
    """
    x, z, angle = way[..., 0], way[..., 1], np.radians(heading)
    return np.stack([x * np.sin(angle) + z * np.cos(angle), x * np.cos(angle) - z * np.sin(angle)], axis=-1)


def smooth(series: np.ndarray, sigma: float) -> np.ndarray:
    """Smooth along the first axis with a Gaussian, the ends held.

    Args:
        series: (T, ...).
        sigma: Standard deviation in frames.

    Returns:
        (T, ...).
    """
    radius = int(3.0 * sigma + 0.5)
    if radius < 1:
        return series
    flat = series.reshape(len(series), -1)
    padded = np.concatenate([np.repeat(flat[:1], radius, 0), flat, np.repeat(flat[-1:], radius, 0)])
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    weights /= weights.sum()
    if flat.shape[1] <= len(weights):
        columns = [np.convolve(column, weights, mode="valid") for column in padded.T]
        return np.stack(columns, axis=-1).reshape(series.shape)
    # Many columns and few taps: a weighted sum of shifted copies is much faster than a call per column.
    result = np.zeros_like(flat)
    for k, weight in enumerate(weights):
        result += weight * padded[k : k + len(flat)]
    return result.reshape(series.shape)


def quantile(series: np.ndarray, share: float) -> np.ndarray:
    """The value under which a share of the frames lie, without interpolation.

    An order statistic is all that is needed here, and `np.quantile` costs ten times as much on a short series.

    Args:
        series: (T, ...).
        share: Between 0 and 1.

    Returns:
        (...).
    """
    index = min(int(share * len(series)), len(series) - 1)
    return np.partition(series, index, axis=0)[index]


def spans_above(series: np.ndarray, enter: float, leave: float, min_frames: int = 1, max_gap: int = 0) -> list[Span]:
    """Maximal spans where `series` (T,) stays above `leave` and somewhere reaches `enter` (hysteresis).

    Spans closer than `max_gap` frames are joined; then those shorter than `min_frames` are dropped.

    Args:
        series: (T,).
        enter, leave: Bounds in the unit of the series.
        min_frames, max_gap: In frames.

    Returns:
        The spans in order of time.

    Raises:
        ValueError: `leave` exceeds `enter`.
    """
    if leave > enter:
        raise ValueError(f"leave ({leave}) must not exceed enter ({enter})")
    above = np.concatenate([[False], series > leave, [False]])
    edges = np.flatnonzero(above[1:] != above[:-1])
    spans: list[Span] = []
    for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
        if series[start:stop].max() < enter:
            continue
        if spans and start - spans[-1].stop < max_gap:
            start = spans.pop().start
        spans.append(Span(start, stop))
    return [span for span in spans if len(span) >= min_frames]


def swings(series: np.ndarray, reversal: float) -> list[tuple[int, int, float]]:
    """Split `series` (T,) at its turning points: (first frame, last frame, signed change) of each monotone stretch.

    A turning point counts when the series comes back from it by at least `reversal`; smaller wiggles are ignored, and
    so is what precedes the first stretch of at least that size.

    Args:
        series: (T,).
        reversal: In the unit of the series.

    Returns:
        The stretches in order of time.
    """
    values = series.tolist()
    low = high = 0
    turning: list[int] = []
    direction = 0
    for i, value in enumerate(values):
        if value > values[high]:
            high = i
        if value < values[low]:
            low = i
        if direction <= 0 and value - values[low] >= reversal:
            turning.append(low)
            direction, high = 1, i
        elif direction >= 0 and values[high] - value >= reversal:
            turning.append(high)
            direction, low = -1, i
    if direction:
        turning.append(high if direction > 0 else low)
    return [(a, b, values[b] - values[a]) for a, b in zip(turning[:-1], turning[1:], strict=True)]


def divided_at_valleys(series: np.ndarray, span: Span, factor: float) -> list[Span]:
    """Divide a span where a series falls to less than 1/`factor` of both neighbouring peaks.

    Args:
        series: (T,), positive.
        span: Frames to divide.
        factor: Of a valley.

    Returns:
        The parts, of two frames or more.
    """
    part = np.log(np.maximum(series[span.slice], 1e-3))
    turning = swings(part, float(np.log(factor)))
    cuts = [span.start, *(span.start + last for _, last, change in turning[:-1] if change < 0), span.stop]
    if turning and turning[0][2] > 0 and turning[0][0] > 0.3 * len(part):
        cuts.insert(1, span.start + turning[0][0])
    cuts = sorted(set(cuts))
    return [Span(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if b - a > 1]


def oscillations(points: np.ndarray, fps: float, reversal: float, slow: float = 0.6) -> tuple[int, np.ndarray]:
    """Count back-and-forth cycles of a point's path (T, 3): full cycles, and the axis (3,) along which they run.

    Movement slower than about `slow` seconds (the rise and fall of the limb) is taken off first; the path is then read
    along each of its principal axes, and two swings of at least `reversal` (in the path's unit) are one cycle. The
    axis with the most cycles wins: what is left of a fast rise may be larger than a small wave, but comes only once.

    Args:
        points: (T, 3).
        fps: Frames per second.
        reversal: In the unit of the points.
        slow: Seconds.

    Returns:
        The cycles, and a unit vector (3,).
    """
    quick = points - smooth(points, slow * fps)
    quick = quick - quick.mean(0)
    axes = np.linalg.eigh(quick.T @ quick)[1].T[::-1]
    counts = [(len(swings(along, reversal)) + 1) // 2 for along in axes @ quick.T]
    best = int(np.argmax(counts))
    return counts[best], axes[best]


def changing_span(series: np.ndarray, first: int, last: int, share: float = 0.1) -> Span:
    """The part of a monotone stretch in which all of its change happens but a share at either end.

    Args:
        series: (T,).
        first, last: First and last frame of the stretch.
        share: Of the change, left out at either end.

    Returns:
        The frames of the part.
    """
    part = series[first : last + 1]
    progress = (part - part[0]) / (part[-1] - part[0])
    start = int(np.argmax(progress >= share))
    stop = int(np.argmax(progress >= 1.0 - share))
    return Span(first + start, first + stop + 1)


def steps(m: Measurements, span: Span) -> int:
    """Count steps: how often the feet pass each other along the direction of travel.

    Args:
        m: The measurements.
        span: Frames to count in.

    Returns:
        Number of steps.
    """
    velocity = m.velocity[span.slice].mean(0)
    length = float(np.hypot(*velocity))
    if length < 1e-6:
        return 0
    # foot is (left, up, front); velocity (front, left).
    apart = m.foot[span.slice, 0] - m.foot[span.slice, 1]
    gap = (apart[:, 2] * velocity[0] + apart[:, 0] * velocity[1]) / length
    return len(swings(gap, 0.15))


def _body_axes(pose: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Horizontal unit vectors (T, 3) to the body's left and front, from hips and shoulders together."""
    left = (pose[:, HIPS[0]] - pose[:, HIPS[1]]) + (pose[:, SHOULDERS[0]] - pose[:, SHOULDERS[1]])
    left[:, 1] = 0.0
    length = np.linalg.norm(left, axis=-1)
    usable = length > 1e-3
    if not usable.all():
        # A body seen exactly end-on (lying on its side) has no heading: the last one that it had holds.
        if not usable.any():
            left[:] = (1.0, 0.0, 0.0)
        else:
            last = np.maximum.accumulate(np.where(usable, np.arange(len(left)), -1))
            left = left[np.where(last < 0, int(np.argmax(usable)), last)]
        length = np.linalg.norm(left, axis=-1)
    left = left / length[:, None]
    front = np.stack([-left[:, 2], np.zeros(len(left)), left[:, 0]], axis=-1)
    return left, front


def _direction(across: np.ndarray) -> np.ndarray:
    """Facing (T,) of a pair of joints whose left minus right is `across` (T, 3): unwrapped degrees, left positive."""
    return np.degrees(np.unwrap(np.arctan2(-across[:, 2], across[:, 0])))


def _in_body(vectors: np.ndarray, left: np.ndarray, front: np.ndarray) -> np.ndarray:
    """World vectors (T, 2, 3) as (left, up, front)."""
    aside = vectors[..., 0] * left[:, None, 0] + vectors[..., 2] * left[:, None, 2]
    ahead = vectors[..., 0] * front[:, None, 0] + vectors[..., 2] * front[:, None, 2]
    return np.stack([aside, vectors[..., 1], ahead], axis=-1)


def _length(pose: np.ndarray, upper: tuple[int, int], lower: tuple[int, int]) -> float:
    lengths = np.linalg.norm(pose[:, upper] - pose[:, lower], axis=-1)
    return float(quantile(lengths, 0.5).mean())


def _inner_angle(
    pose: np.ndarray, upper: tuple[int, int], middle: tuple[int, int], lower: tuple[int, int]
) -> np.ndarray:
    """Angle (T, 2) between the two bones that meet at `middle`, degrees; 180 is a straight limb."""
    a = pose[:, upper] - pose[:, middle]
    b = pose[:, lower] - pose[:, middle]
    product = (a * b).sum(-1)
    length = np.sqrt((a * a).sum(-1) * (b * b).sum(-1))
    return np.degrees(np.arccos(np.clip(product / np.maximum(length, 1e-12), -1.0, 1.0)))
