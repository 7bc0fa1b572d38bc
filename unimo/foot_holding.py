"""Feet that stand on a rig: the body goes along with them, so that legs keep their directions wherever they can.

On a rig of other proportions the ways of two standing feet differ. Pulling each ankle back to its place by its own
leg bends legs by many degrees: a nearly straight leg that is shortened by 5 mm bends by 9. But a body may go elsewhere
without turning any bone. So its way is found for the whole motion at once, together with the place of each contact:
the smooth way that leaves least for the legs. What legs cannot take within some degrees, feet keep as a slide of
millimetres.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import spsolve

from modeling_unimo.foot_lock_unimo import FREE, contact_spans, faded_between, solve_leg, standing_shifts

_BEARABLE = np.radians(1.8)
"""Angle up to which a bone of the leg is turned for its foot; beyond, the foot slides as far as it may."""

_SLIP = 0.0045
"""Metres that a standing foot may be from its place, so that it never slides by a centimetre."""

_SINK = 0.005
"""Metres that a foot may stay below the ground."""

_TOLERANCE = np.radians(2.0)
_JERKY = 3.0  # metres a second squared of the body's correction that are as bad as bones off by the tolerance
_FAR = np.array([5.0, 1.0, 5.0])  # metres of it that are: feet decide, and this only where they do not
_ROUNDS = 12
_POWER = 8  # of the angles whose sum is least: with 2 many small ones would count for more than a large one


@dataclass(frozen=True)
class Legs:
    """Both legs in motion, metres at the size of a grown person, Y up.

    Attributes:
        hips, knees, ankles: (T, 2, 3) joints.
        forward: (T, 2, 3) directions in which a straight leg bends.
    """

    hips: np.ndarray
    knees: np.ndarray
    ankles: np.ndarray
    forward: np.ndarray


def hold_feet(
    legs: Legs, feet: np.ndarray, pins: np.ndarray, ground: float, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """How the body and its ankles must be moved so that standing feet stand still.

    Args:
        legs: the legs.
        feet: (T, 2, 2, 3) ankle and toe joint of both feet.
        pins: (T, 2) what of each foot stands, as `foot_pins` returns it; at least one stands once.
        ground: height below which no foot joint goes.
        fps: frames per second.

    Returns:
        (T, 3) shifts of the whole body, and (T, 2, 3) shifts of the ankles beside it.
    """
    frames, stands = len(pins), pins != FREE
    held = np.stack([standing_shifts(feet[:, side], pins[:, side]) for side in range(2)], 1)
    lifts = np.maximum(ground - feet[..., 1].min(2), 0.0)
    held[..., 1] += lifts
    contacts = np.full((frames, 2), -1)
    for side in range(2):
        for start, stop in contact_spans(pins[:, side]):
            contacts[start:stop, side] = contacts.max() + 1
    root, places = _carry(_turns_of_ankles(legs), held, stands, lifts > 0, contacts, fps)
    shifts = held - root[:, None]
    shifts[..., [0, 2]] += places[contacts]
    shifts = np.stack(
        [faded_between(shifts[:, side] * stands[:, side, None], pins[:, side], fps) for side in range(2)], 1
    )
    lowest = feet[..., 1].min(2) + root[:, None, 1] + shifts[..., 1]
    shifts[..., 1] += np.where(stands, 0.0, np.maximum(ground - lowest, 0.0))
    return root, _bearable(legs, shifts, stands)


def _turns_of_ankles(legs: Legs) -> np.ndarray:
    """(T, 2, 3, 3) how a way of the ankle (metres) turns thigh and shin in the leg's plane, and both across it.

    In units of the tolerance. How fast a leg bends when it is shortened grows without bounds as it straightens, so it
    is taken as the mean over what bends it by the tolerance to either side.
    """
    thigh = np.linalg.norm(legs.knees - legs.hips, axis=-1)
    shin = np.linalg.norm(legs.ankles - legs.knees, axis=-1)
    way = legs.ankles - legs.hips
    length = np.linalg.norm(way, axis=-1)
    along = way / length[..., None]
    bend = legs.knees - legs.hips
    bend = bend - (bend * along).sum(-1, keepdims=True) * along
    straight = np.linalg.norm(bend, axis=-1) < 1e-4 * (thigh + shin)
    bend = np.where(straight[..., None], legs.forward, bend)
    bend = bend - (bend * along).sum(-1, keepdims=True) * along
    bend /= np.maximum(np.linalg.norm(bend, axis=-1, keepdims=True), 1e-12)
    flexion = np.arccos(np.clip((length**2 - thigh**2 - shin**2) / (2 * thigh * shin), -1.0, 1.0))
    lengths, turned = [], []
    for angle in (np.minimum(flexion + _TOLERANCE, np.pi), np.maximum(flexion - _TOLERANCE, 0.0)):
        lengths.append(np.sqrt(thigh**2 + shin**2 + 2 * thigh * shin * np.cos(angle)))
        # The angles at hip and ankle between the leg's bones and the line from one to the other.
        turned.append(
            [np.arctan2(b * np.sin(angle), a + b * np.cos(angle)) for a, b in ((thigh, shin), (shin, thigh))]
        )
    stretch = np.maximum(lengths[1] - lengths[0], 1e-9)[..., None]
    at_hip, at_ankle = ((bent - straightened)[..., None] / stretch for bent, straightened in zip(*turned, strict=True))
    swing = bend / length[..., None]
    across = np.cross(along, bend) / length[..., None]
    # Both bones turn across the plane alike.
    return np.stack((swing - at_hip * along, swing + at_ankle * along, np.sqrt(2) * across), -2) / _TOLERANCE


def _carry(
    turns: np.ndarray, held: np.ndarray, stands: np.ndarray, lifted: np.ndarray, contacts: np.ndarray, fps: float
) -> tuple[np.ndarray, np.ndarray]:
    """The way of the body (T, 3) and the places of the contacts (C, 2) across the ground that leave least for legs.

    Sparse least squares, reweighted so that the largest angles count most (Burrus, "Iterative Reweighted Least
    Squares", 2012). Unknown are the body's shifts and, after them, how far each contact is moved from where `held` has
    it.
    """
    frames, count = len(turns), contacts.max() + 1
    unknowns = 3 * frames + 2 * count
    frame, side = np.nonzero(stands | lifted)
    rows = turns[frame, side]
    # A foot in the air goes along across the ground, and only must not sink.
    standing = stands[frame, side]
    of_root = rows * np.where(standing[:, None], 1.0, [0.0, 1.0, 0.0])[:, None]
    line = np.broadcast_to(np.arange(3 * len(rows)).reshape(-1, 3, 1), rows.shape)
    root_column = np.broadcast_to(3 * frame[:, None, None] + np.arange(3), rows.shape)
    place_column = 3 * frames + 2 * contacts[frame, side][standing][:, None, None] + np.arange(2)
    of_place = rows[standing][..., [0, 2]]
    equations = sparse.csr_matrix(
        (
            np.concatenate((-of_root.ravel(), of_place.ravel())),
            (
                np.concatenate((line.ravel(), line[standing][..., :2].ravel())),
                np.concatenate((root_column.ravel(), np.broadcast_to(place_column, of_place.shape).ravel())),
            ),
        ),
        (3 * len(rows), unknowns),
    )
    known = -(rows @ held[frame, side][..., None]).ravel()
    bends = sparse.diags([1.0, -2.0, 1.0], [0, 1, 2], shape=(max(frames - 2, 0), frames)) * (fps**2 / _JERKY)
    smooth = sparse.kron(bends.T @ bends, sparse.eye(3))
    near = sparse.kron(sparse.eye(frames), sparse.diags(_FAR**-2.0))
    steady = sparse.block_diag((smooth + near, 1e-6 * sparse.eye(2 * count)))
    weights = np.ones(len(rows))
    for _ in range(_ROUNDS):
        weighted = equations.T @ sparse.diags(np.repeat(weights, 3))
        found = spsolve((weighted @ equations + steady).tocsc(), weighted @ known)
        left = (equations @ found - known).reshape(-1, 3)
        angle = np.sqrt(np.square(left[:, :2]).max(1) + 0.5 * np.square(left[:, 2]))
        # Half of the step: whole ones go back and forth.
        weights = 0.5 * weights + 0.5 * np.clip(angle, 0.3, 8.0) ** (_POWER - 2)
    return found[: 3 * frames].reshape(-1, 3), found[3 * frames :].reshape(-1, 2)


def _bearable(legs: Legs, shifts: np.ndarray, stands: np.ndarray) -> np.ndarray:
    """Shifts (T, 2, 3) of ankles, less where they would turn a leg too far, as far as feet may slip and sink."""
    bones = legs.knees - legs.hips, legs.ankles - legs.knees

    def turned(share: np.ndarray) -> np.ndarray:
        targets = legs.ankles + share[..., None] * shifts
        knees, ankles = solve_leg(legs.hips, legs.knees, legs.ankles, targets, legs.forward)
        return np.maximum(_angle(knees - legs.hips, bones[0]), _angle(ankles - knees, bones[1]))

    whole = np.ones(stands.shape)
    low, high = np.zeros(stands.shape), whole
    for _ in range(12):
        middle = (low + high) / 2
        bearable = turned(middle) <= _BEARABLE
        low, high = np.where(bearable, middle, low), np.where(bearable, high, middle)
    across, up = np.linalg.norm(shifts[..., [0, 2]], axis=-1), np.abs(shifts[..., 1])
    least = np.maximum(np.where(stands, 1 - _SLIP / np.maximum(across, _SLIP), 0.0), 1 - _SINK / np.maximum(up, _SINK))
    return np.where(turned(whole) <= _BEARABLE, whole, np.maximum(low, least))[..., None] * shifts


def _angle(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    return np.arctan2(np.linalg.norm(np.cross(one, other), axis=-1), (one * other).sum(-1))
