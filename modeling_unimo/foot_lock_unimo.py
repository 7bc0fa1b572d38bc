"""Feet that stand still where they touch the ground: contacts, where a foot is held, and the leg that reaches it."""

from __future__ import annotations

import numpy as np

CONTACT_HEIGHT = 0.05
"""Metres above its lowest place up to which a foot's joint may touch the ground."""

CONTACT_SPEED = 0.3
"""Metres a second below which it does."""

_SHORTEST = 0.15  # seconds; a shorter contact is a foot passing by
_BLEND = 0.2  # seconds in which a foot comes back to its own way
_REACH = 0.9999  # of the leg's length: a leg that is quite straight shakes
# Heights stay as they are: to hold them, too, would bend a stretched leg by many degrees for a few millimetres.
_ACROSS = np.array([1.0, 0.0, 1.0])
ANKLE, TOE, FREE = 0, 1, -1


def foot_pins(feet: np.ndarray, fps: float, speed: float = CONTACT_SPEED) -> np.ndarray:
    """What of a foot stands on the ground in each frame.

    Args:
        feet: (T, 2, 3) ankle and toe joint of one foot, metres, Y up.
        fps: frames per second.
        speed: metres a second below which a low joint stands.

    Returns:
        (T,) `TOE` where the toes stand (or the whole foot), `ANKLE` where the heel alone does, else `FREE`.
    """
    step = np.linalg.norm(np.diff(feet, axis=0), axis=-1) * fps
    still = np.concatenate((step[:1], step))  # a frame stands still if it came or goes on slowly
    slowest = np.minimum(still, np.concatenate((step, step[-1:]))) if len(step) else np.zeros(feet.shape[:2])
    low = feet[..., 1] < feet[..., 1].min(0) + CONTACT_HEIGHT
    stands = low & (slowest < speed)
    pins = np.where(stands[:, 1], TOE, np.where(stands[:, 0], ANKLE, FREE))
    for start, stop in contact_spans(pins):
        if (stop - start) / fps < _SHORTEST:
            pins[start:stop] = FREE
    return pins


def slides(feet: np.ndarray, pins: np.ndarray) -> np.ndarray:
    """How far each standing foot joint gets across the ground from where its contact began.

    Args:
        feet: (T, 2, 3) ankle and toe joint.
        pins: (T,) as `foot_pins` returns them.

    Returns:
        One distance for each contact of each of both joints, in the unit of `feet`.
    """
    found = []
    for pin in (ANKLE, TOE):
        for start, stop in _spans(pins == pin):
            way = feet[start:stop, pin][:, [0, 2]]
            found.append(np.linalg.norm(way - way[0], axis=-1).max())
    return np.array(found)


def skating(
    feet: np.ndarray, fps: float, contact_height: float = CONTACT_HEIGHT, skating_speed: float = 0.5
) -> tuple[float, float, int]:
    """How feet skate, by the measure of GMD (Karunratanakul et al., ICCV 2023).

    Args:
        feet: (T, F, 3) foot joints over a ground at height 0, metres, Y up.
        fps: frames per second.
        contact_height: metres below which a foot touches the ground.
        skating_speed: metres a second above which a touching foot skates, in a step and on average over five.

    Returns:
        Share of the steps in which a foot skates, metres that touching feet move across the ground, and number of
        their steps.
    """
    ways = np.linalg.norm(np.diff(feet[:, :, [0, 2]], axis=0), axis=2)
    touching = (feet[:-1, :, 1] < contact_height) & (feet[1:, :, 1] < contact_height)
    # As published, the mean over five steps takes what lies beyond either end of the clip as standing still.
    padded = np.pad(ways * fps, ((2, 2), (0, 0)))
    average = np.lib.stride_tricks.sliding_window_view(padded, 5, axis=0).mean(-1)
    skates = touching & (ways * fps > skating_speed) & (average > skating_speed)
    return float(skates.any(1).mean()), float(ways[touching].sum()), int(touching.sum())


def standing_shifts(feet: np.ndarray, pins: np.ndarray) -> np.ndarray:
    """How far a standing foot must be moved so that what stands of it stands still; zero between contacts.

    Only across the ground. Where contact passes from heel to toes the shift goes on as it is, so that nothing jumps.
    Each contact is held in its mean place, which moves the foot least.

    Args:
        feet: (T, 2, 3) ankle and toe joint.
        pins: (T,) as `foot_pins` returns them.

    Returns:
        (T, 3) shifts, in the unit of `feet`.
    """
    shifts = np.zeros((len(feet), 3))
    for start, stop in contact_spans(pins):
        pinned = pins[start + 1 : stop]
        steps = feet[start + 1 : stop] - feet[start : stop - 1]
        moved = np.take_along_axis(steps, pinned[:, None, None], 1)[:, 0] * _ACROSS
        held = np.concatenate((np.zeros((1, 3)), -np.cumsum(moved, 0)))
        shifts[start:stop] = held - held.mean(0)
    return shifts


def faded_between(shifts: np.ndarray, pins: np.ndarray, fps: float) -> np.ndarray:
    """Shifts (T, 3) of standing frames that rise before each contact and fade after it; short gaps are bridged.

    Args:
        shifts: (T, 3) of one foot.
        pins: (T,) what of the foot stands.
        fps: Frames per second.

    Returns:
        (T, 3).
    """
    shifts = shifts.copy()
    spans = contact_spans(pins)
    fade = max(1, round(_BLEND * fps))
    edges: list[tuple[int, int | None, int | None]] = [(0, None, spans[0][0])] if spans else []
    edges += [(before[1], before[1] - 1, after[0]) for before, after in zip(spans, spans[1:], strict=False)]
    edges += [(spans[-1][1], spans[-1][1] - 1, None)] if spans else []
    for first, left, right in edges:
        last = len(shifts) if right is None else right
        frames = np.arange(first, last)
        if left is not None and right is not None and last - first <= 2 * fade:
            share = _ease((frames - left) / (right - left))[:, None]
            shifts[first:last] = (1 - share) * shifts[left] + share * shifts[right]
            continue
        if left is not None:
            shifts[first:last] += _ease(1 - (frames - left) / fade)[:, None] * shifts[left]
        if right is not None:
            shifts[first:last] += _ease(1 - (right - frames) / fade)[:, None] * shifts[right]
    return shifts


def contact_spans(pins: np.ndarray) -> list[tuple[int, int]]:
    """(first frame, behind the last) of each contact of one foot's pins (T,).

    Args:
        pins: (T,) what of the foot stands.

    Returns:
        The spans, in order.
    """
    return _spans(pins != FREE)


def carried_shift(shifts: np.ndarray, pins: np.ndarray, fps: float) -> np.ndarray:
    """What of the shifts of both feet the whole body takes, so that the legs have less to bend for.

    Args:
        shifts: (T, 2, 3) of both feet.
        pins: (T, 2) what of each foot stands.
        fps: frames per second.

    Returns:
        (T, 3), smooth over time.
    """
    weights = np.where(pins != FREE, 1.0, 0.0) + 1e-3
    carried = (weights[..., None] * shifts).sum(1) / weights.sum(1)[:, None]
    return _smooth(carried, max(1, round(_BLEND * fps)))


def solve_leg(
    hip: np.ndarray, knee: np.ndarray, ankle: np.ndarray, target: np.ndarray, forward: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """The leg that reaches a target with its own lengths, bent in the plane in which it was bent.

    Args:
        hip, knee, ankle: (T, 3) joints of the leg.
        target: (T, 3) where the ankle shall be; one out of reach is approached as far as the leg goes.
        forward: (T, 3) direction in which a straight leg bends.

    Returns:
        (T, 3) knees and (T, 3) ankles.
    """
    upper = np.linalg.norm(knee - hip, axis=-1, keepdims=True)
    lower = np.linalg.norm(ankle - knee, axis=-1, keepdims=True)
    before, after = _unit(ankle - hip), _unit(target - hip)
    length = np.linalg.norm(target - hip, axis=-1, keepdims=True)
    length = np.clip(length, np.abs(upper - lower) + 1e-6, _REACH * (upper + lower))
    # A leg that was straighter than that may stay so.
    length = np.where(
        np.abs(target - ankle).max(-1, keepdims=True) < 1e-12,
        np.linalg.norm(ankle - hip, axis=-1, keepdims=True),
        length,
    )
    bend = knee - hip
    bend = bend - (bend * before).sum(-1, keepdims=True) * before
    straight = np.linalg.norm(bend, axis=-1, keepdims=True) < 1e-4 * (upper + lower)
    bend = np.where(straight, forward, bend)
    bend = bend - (bend * after).sum(-1, keepdims=True) * after
    along = (upper**2 - lower**2 + length**2) / (2 * length)
    out = np.sqrt(np.maximum(upper**2 - along**2, 0.0))
    return hip + along * after + out * _unit(bend), hip + length * after


def _smooth(values: np.ndarray, reach: int) -> np.ndarray:
    """Values (T, C) averaged over `reach` frames to either side, the nearer ones counting more."""
    weights = np.hanning(2 * reach + 3)[1:-1]
    padded = np.pad(values, ((reach, reach), (0, 0)), mode="edge")
    weights = weights / weights.sum()
    return np.stack([np.convolve(column, weights, mode="valid") for column in padded.T], 1)


def _spans(mask: np.ndarray) -> list[tuple[int, int]]:
    """(first, behind the last) of each run of True."""
    edges = np.flatnonzero(np.diff(np.concatenate(([0], mask.astype(np.int8), [0]))))
    return [(int(start), int(stop)) for start, stop in zip(edges[::2], edges[1::2], strict=True)]


def _ease(share: np.ndarray) -> np.ndarray:
    share = np.clip(share, 0.0, 1.0)
    return share * share * (3.0 - 2.0 * share)


def _unit(vectors: np.ndarray) -> np.ndarray:
    return vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
