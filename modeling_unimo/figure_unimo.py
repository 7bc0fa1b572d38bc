"""The capsule figure of `bodies_unimo` as a mesh that a skeleton moves, for scene formats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .bodies_unimo import BODIES, SIDE_COLORS, Body
from .rigid_motion_unimo import RigidMotion
from .skeletons_unimo import Skeleton

INFLUENCES = 4
_SEGMENTS = 12
_LATITUDES = (-45.0, 0.0)  # of the rings of a capsule's lower cap, degrees; the upper cap mirrors them


@dataclass(frozen=True)
class SkinnedFigure:
    """A mesh in the rest pose and the joints it follows.

    Attributes:
        rest_joints: (J, 3) joints of the rest pose, metres, soles on the ground.
        points: (V, 3) metres.
        normals: (V, 3) unit vectors, outwards.
        joints: (V, 4) joints that move each point.
        weights: (V, 4) their shares, which add up to 1; the joint of a share of 0 is 0.
        triangles: (F, 3) points of each triangle, counter-clockwise from outside, of trunk, left and right.
    """

    rest_joints: np.ndarray
    points: np.ndarray
    normals: np.ndarray
    joints: np.ndarray
    weights: np.ndarray
    triangles: tuple[np.ndarray, ...]


def skinned_figure(motion: RigidMotion) -> SkinnedFigure:
    """The figure of a motion's body in its rest pose.

    Args:
        motion: The motion.

    Returns:
        Vertices, faces and weights.
    """
    skeleton, body = motion.skeleton, BODIES[motion.skeleton.num_joints]
    rest = motion.rest_joints
    scale = body.scale(rest[None])
    places = body.points(rest[None], scale)[0]
    surfaces = ((end, radius) for a, b, start, stop, _ in body.capsules for end, radius in ((a, start), (b, stop)))
    lowest = min(places[end, 1] - radius * scale for end, radius in surfaces)
    rest, places = rest - [0.0, lowest, 0.0], places - [0.0, lowest, 0.0]
    carriers = _carriers(body, skeleton)
    points: list[np.ndarray] = []
    normals: list[np.ndarray] = []
    shares: list[np.ndarray] = []
    triangles: list[list[np.ndarray]] = [[] for _ in SIDE_COLORS]
    for start, end, radius, end_radius, side in body.capsules:
        triangles[side].append(_TRIANGLES + sum(map(len, points)))
        vertices, directions, share = _capsule(places[start], places[end], radius * scale, end_radius * scale)
        points.append(vertices)
        normals.append(directions)
        # A bone is moved by the joint it starts at; what lies across the body, by what its ends lie on.
        bone = start < skeleton.num_joints and end < skeleton.num_joints and skeleton.parents[end] == start
        ends = carriers[start], carriers[start if bone else end]
        shares.append((1.0 - share[:, None]) * ends[0] + share[:, None] * ends[1])
    joints, weights = _influences(np.concatenate(shares))
    return SkinnedFigure(
        rest,
        np.concatenate(points),
        np.concatenate(normals),
        joints,
        weights,
        tuple(np.concatenate(part) for part in triangles),
    )


def _carriers(body: Body, skeleton: Skeleton) -> np.ndarray:
    """(P, J) shares of the joints that carry each point of the figure."""
    carriers = list(np.eye(body.num_joints))
    for one, other, weight in body.between:
        carriers.append((1.0 - weight) * carriers[one] + weight * carriers[other])
    # Pushed on along a bone, which turns with the joint it starts at.
    carriers.extend(np.eye(body.num_joints)[origin] for _, origin, _ in body.beyond)
    return np.stack(carriers)


def _influences(shares: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(V, 4) joints and weights of shares (V, J)."""
    joints = np.argsort(-shares, axis=1, kind="stable")[:, :INFLUENCES]
    weights = np.take_along_axis(shares, joints, 1).astype(np.float32)
    weights /= weights.sum(1, keepdims=True)
    return np.where(weights > 0, joints, 0).astype(np.uint8), weights


def _capsule(
    start: np.ndarray, end: np.ndarray, radius: float, end_radius: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Points (V, 3), normals (V, 3) and how far along the bone each lies, 0 or 1 (V,)."""
    axis = end - start
    length = np.linalg.norm(axis)
    axis = axis / length if length > 1e-9 else np.array([0.0, 1.0, 0.0])
    side = np.cross(axis, [1.0, 0.0, 0.0] if abs(axis[0]) < 0.7 else [0.0, 0.0, 1.0])
    side /= np.linalg.norm(side)
    along = _SPHERE[:, :1] * side + _SPHERE[:, 1:2] * np.cross(axis, side) + _SPHERE[:, 2:] * axis
    half = len(_SPHERE) // 2
    upper = np.arange(len(_SPHERE)) >= half
    centres, radii = np.where(upper[:, None], end, start), np.where(upper, end_radius, radius)
    return centres + radii[:, None] * along, along, upper.astype(np.float64)


def _unit_capsule() -> tuple[np.ndarray, np.ndarray]:
    """Unit normals (V, 3) of a capsule along +Z, from pole to pole, and its triangles (F, 3)."""
    turns = np.arange(_SEGMENTS) * 2 * np.pi / _SEGMENTS
    latitudes = np.radians((*_LATITUDES, *(-latitude for latitude in reversed(_LATITUDES))))
    rings = [
        np.stack((np.cos(angle) * np.cos(turns), np.cos(angle) * np.sin(turns), np.full(_SEGMENTS, np.sin(angle))), -1)
        for angle in latitudes
    ]
    sphere = np.concatenate(([[0.0, 0.0, -1.0]], *rings, [[0.0, 0.0, 1.0]]))
    here = np.arange(_SEGMENTS)
    after = (here + 1) % _SEGMENTS
    top = len(sphere) - 1
    faces = [np.stack((np.zeros_like(here), 1 + after, 1 + here), -1)]
    for ring in range(len(rings) - 1):
        low, high = 1 + ring * _SEGMENTS, 1 + (ring + 1) * _SEGMENTS
        faces += [
            np.stack((low + here, low + after, high + here), -1),
            np.stack((low + after, high + after, high + here), -1),
        ]
    last = 1 + (len(rings) - 1) * _SEGMENTS
    faces.append(np.stack((last + here, last + after, np.full_like(here, top)), -1))
    return sphere, np.concatenate(faces)


_SPHERE, _TRIANGLES = _unit_capsule()
