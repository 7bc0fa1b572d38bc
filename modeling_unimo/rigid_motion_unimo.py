"""Joint positions as a rigid skeleton that turns at its joints, which is what animation formats hold.

The rotations are solved from the joint positions. Reading the rotations of the features instead would be wrong: they
are relative within chains that all start at the root, which is not an animation hierarchy, and a network's rotations
and positions disagree.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np

from .arrays_unimo import Array, is_tensor
from .skeletons_unimo import HUMANML3D, KIT, Skeleton, check_joints

OUTPUT_FPS = (20.0, 120.0)
"""Lowest and highest rate to which a motion is resampled."""

# Rest direction of the bone that ends at a joint, by the joint's name without its side: a T-pose, which other software
# expects, and in which no bone of ordinary motion comes near its opposite (where the shortest rotation would flip).
_REST = {"hip": "side", "knee": "down", "ankle": "down", "heel": "front", "foot": "front", "collar": "side"}
_REST |= {"shoulder": "side", "elbow": "side", "wrist": "side", "head": "up", "neck": "up", "chest": "up"}
_REST |= {"spine": "up", "spine1": "up", "spine2": "up", "spine3": "up"}
_AXES = {"up": (0, 1, 0), "down": (0, -1, 0), "front": (0, 0, 1)}
_TEMPLATE_ROUNDS = 10


@dataclass(frozen=True)
class RigidMotion:
    """A motion as a rigid skeleton that turns at its joints.

    Attributes:
        skeleton: names and hierarchy.
        offsets: (J, 3) rest position of each joint relative to its parent, metres, T-pose, Y up, facing +Z.
        root_positions: (T, 3) metres.
        rotations: (T, J, 4) quaternions relative to the parent; joints without children keep the identity.
        error: (T, J) distance in metres between this skeleton's joints and the joints it was fitted to.
    """

    skeleton: Skeleton
    offsets: np.ndarray
    root_positions: np.ndarray
    rotations: np.ndarray
    error: np.ndarray

    @property
    def rest_joints(self) -> np.ndarray:
        """(J, 3) joints of the rest pose with the root in the origin, metres."""
        joints = np.zeros_like(self.offsets)
        for joint in self.skeleton.order:
            joints[joint] = joints[self.skeleton.parents[joint]] + self.offsets[joint]
        return joints

    def joints(self) -> np.ndarray:
        """(T, J, 3) positions of this skeleton's joints, metres.

        Returns:
            (T, J, 3) positions.
        """
        return self.world()[1]

    def world(self) -> tuple[np.ndarray, np.ndarray]:
        """(T, J, 4) rotations and (T, J, 3) positions of the joints in the world.

        Returns:
            Quaternions (T, J, 4), w first, and positions (T, J, 3) in metres.
        """
        # Imports of remote code stay on one line each.
        from .rotations_unimo import quaternion_multiply, quaternion_rotate

        turns, positions = self.rotations.copy(), np.empty((*self.rotations.shape[:2], 3))
        positions[:, 0] = self.root_positions
        for joint in self.skeleton.order:
            parent = self.skeleton.parents[joint]
            positions[:, joint] = positions[:, parent] + quaternion_rotate(turns[:, parent], self.offsets[joint][None])
            turns[:, joint] = quaternion_multiply(turns[:, parent], self.rotations[:, joint])
        return turns, positions

    def resampled(self, fps: float, output_fps: float) -> RigidMotion:
        """The same motion at another frame rate: rotations by slerp, positions on straight lines.

        Args:
            fps: frames per second of this motion.
            output_fps: frames per second wanted.

        Returns:
            The motion at `output_fps`.

        Raises:
            ValueError: `output_fps` is out of range.
        """
        low, high = OUTPUT_FPS
        if not low <= output_fps <= high:
            raise ValueError(f"output_fps must be in [{low:g}, {high:g}], got {output_fps:g}")
        count = math.floor((len(self.rotations) - 1) * output_fps / fps + 1e-6) + 1
        places = np.minimum(np.arange(count) * (fps / output_fps), len(self.rotations) - 1)
        before = np.minimum(places.astype(int), max(len(self.rotations) - 2, 0))
        after = np.minimum(before + 1, len(self.rotations) - 1)
        share = places - before
        positions = self.root_positions[before] + share[:, None] * (
            self.root_positions[after] - self.root_positions[before]
        )
        error = np.maximum(self.error[before], self.error[after])
        rotations = slerp(self.rotations[before], self.rotations[after], share[:, None])
        return replace(self, root_positions=positions, rotations=rotations, error=error)


def slerp(start: np.ndarray, end: np.ndarray, share: np.ndarray) -> np.ndarray:
    """Quaternions (..., 4) at `share` (...,) of the shortest way from unit quaternions `start` to `end`.

    Args:
        start: (..., 4) unit quaternions.
        end: (..., 4) unit quaternions.
        share: (...,) from 0 to 1.

    Returns:
        (..., 4) unit quaternions.
    """
    cosine = (start * end).sum(-1, keepdims=True)
    end = np.where(cosine < 0, -end, end)
    angle = np.arccos(np.clip(np.abs(cosine), 0.0, 1.0))
    sine = np.sin(angle)
    close = sine < 1e-6
    divisor = np.where(close, 1.0, sine)
    share = share[..., None]
    first = np.where(close, 1.0 - share, np.sin((1.0 - share) * angle) / divisor)
    second = np.where(close, share, np.sin(share * angle) / divisor)
    turned = first * start + second * end
    return turned / np.linalg.norm(turned, axis=-1, keepdims=True)


def skeleton_of(joints: np.ndarray) -> Skeleton:
    """The skeleton of one motion's joints, by their number.

    Args:
        joints: (T, J, 3).

    Returns:
        HumanML3D's or KIT's.

    Raises:
        ValueError: neither (T, 22, 3) nor (T, 21, 3).
    """
    for skeleton in (HUMANML3D, KIT):
        if joints.ndim == 3 and joints.shape[1:] == (skeleton.num_joints, 3):
            return skeleton
    raise ValueError(f"expected joints (T, 22, 3) or (T, 21, 3) of one motion, got shape {joints.shape}")


def to_numpy(array: Array, dtype: type) -> np.ndarray:
    """A numpy array of a tensor or anything numpy takes.

    Args:
        array: The tensor or array.
        dtype: Type of the result's numbers.

    Returns:
        The array, on the host.
    """
    if is_tensor(array):
        array = array.detach().cpu().float().numpy()
    return np.asarray(array, dtype=dtype)


def rest_direction(name: str) -> np.ndarray:
    """(3,) direction of the bone that ends at the named joint in the T-pose.

    Args:
        name: Name of a joint.

    Returns:
        A unit vector.
    """
    side, _, part = name.rpartition("_")
    kind = _REST[part]
    if kind == "side":
        return np.array((1.0 if side == "left" else -1.0, 0.0, 0.0))
    return np.array(_AXES[kind], dtype=np.float64)


def align(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) that bring vectors source (..., K, 3) onto target (T, K, 3) with least squared distance.

    Args:
        source: (..., K, 3).
        target: (T, K, 3).

    Returns:
        Rotation matrices.
    """
    covariance = np.swapaxes(target, -1, -2) @ source
    left, _, right = np.linalg.svd(covariance)
    left[..., -1] *= np.sign(np.linalg.det(left @ right))[..., None]  # a rotation, never a reflection
    return left @ right


def _rigid_template(vectors: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """The shape (K, 3) that vectors (T, K, 3) share up to a rotation per frame, turned towards the rest directions."""
    template = vectors[0]
    for _ in range(_TEMPLATE_ROUNDS):
        rotations = align(template, vectors)
        template = np.einsum("tij,tki->kj", rotations, vectors) / len(vectors)
    turn = align(template, rest[None] * np.linalg.norm(template, axis=-1)[None, :, None])[0]
    return template @ turn.T


def _children(skeleton: Skeleton) -> list[list[int]]:
    children: list[list[int]] = [[] for _ in skeleton.parents]
    for joint in skeleton.order:
        children[skeleton.parents[joint]].append(joint)
    return children


def _t_pose(joints: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    """Offsets (J, 3) of a T-pose of the body whose joints (T, J, 3) move."""
    offsets = np.zeros((skeleton.num_joints, 3))
    for joint, kids in enumerate(_children(skeleton)):
        if not kids:
            continue
        rest = np.stack([rest_direction(skeleton.joint_names[kid]) for kid in kids])
        bones = joints[:, kids] - joints[:, joint, None]
        if len(kids) == 1:
            offsets[kids] = rest * np.median(np.linalg.norm(bones[:, 0], axis=-1))
        else:
            offsets[kids] = _rigid_template(bones, rest)
    return offsets


def fit_rigid_motion(joints: Array, offsets: np.ndarray | None = None) -> RigidMotion:
    """Solve the rotations of a rigid skeleton from joint positions.

    From the root outwards every joint is aimed at the *given* position of its child from where the skeleton's own
    joint came to lie, so errors do not add up along a limb. A joint with one child turns by the shortest rotation
    relative to its parent, without twist of its own. A joint with several (pelvis, upper spine) turns its children as
    one rigid body, fitted by least squares.

    Motion of constant bone lengths whose pelvis and chest are rigid, as in captured motion, is reproduced to rounding.
    A network's joints stretch a little from frame to frame; no rigid skeleton reproduces that, and what is left is in
    ``error``.

    Args:
        joints: (T, 22, 3) metres, or (T, 21, 3) millimetres.
        offsets: (J, 3) rest position of each joint relative to its parent, metres, of a skeleton to turn; default: a
            T-pose with the bone lengths of the joints.

    Returns:
        The motion in metres.

    Raises:
        ValueError: the joints are no motion of either skeleton.
    """
    from .rotations_unimo import (
        matrix_to_quaternion,
        quaternion_between,
        quaternion_inverse,
        quaternion_multiply,
        quaternion_rotate,
    )

    joints = to_numpy(joints, np.float64)
    skeleton = skeleton_of(joints)
    if len(joints) == 1:  # a pose is a motion that stands still
        still = fit_rigid_motion(np.repeat(joints, 2, 0), offsets)
        return RigidMotion(skeleton, still.offsets, still.root_positions[:1], still.rotations[:1], still.error[:1])
    check_joints(joints, skeleton)
    joints = joints * skeleton.unit_scale
    if offsets is None:
        offsets = _t_pose(joints, skeleton)

    children = _children(skeleton)
    rotations = np.zeros((len(joints), skeleton.num_joints, 4))
    rotations[..., 0] = 1
    world, positions = rotations.copy(), joints.copy()
    for joint in (0, *skeleton.order):
        parent, kids = skeleton.parents[joint], children[joint]
        before = world[:, parent] if joint else rotations[:, 0].copy()
        if joint:
            positions[:, joint] = positions[:, parent] + quaternion_rotate(before, offsets[joint][None])
        if not kids:
            world[:, joint] = before
            continue
        aims = joints[:, kids] - positions[:, joint, None]
        if len(kids) == 1:
            rotations[:, joint] = quaternion_between(
                np.broadcast_to(offsets[kids], (len(joints), 3)),
                quaternion_rotate(quaternion_inverse(before), aims[:, 0]),
            )
            world[:, joint] = quaternion_multiply(before, rotations[:, joint])
        else:
            world[:, joint] = matrix_to_quaternion(align(offsets[kids], aims))
            rotations[:, joint] = quaternion_multiply(quaternion_inverse(before), world[:, joint])
    error = np.linalg.norm(positions - joints, axis=-1)
    return RigidMotion(skeleton, offsets, joints[:, 0], rotations, error)
