"""Small motions to test with, made by forward kinematics: no recorded data in the repository."""

import numpy as np

from modeling_unimo.motion_representation import HUMANML3D, Skeleton, forward_kinematics
from modeling_unimo.rotations_unimo import quaternion_multiply, quaternion_rotate


def yaw_quaternion(angle: np.ndarray) -> np.ndarray:
    """Rotations (..., 4) about +Y by angles in radians."""
    angle = np.asarray(angle, dtype=np.float64)
    zero = np.zeros_like(angle)
    return np.stack((np.cos(angle / 2), zero, np.sin(angle / 2), zero), -1)


def body_rotations(seed: int, frames: int, joints: int, sway: float = 0.5) -> np.ndarray:
    """Smooth random local rotations (frames, joints, 4) of up to about ``sway`` radians."""
    random = np.random.default_rng(seed)
    time = np.arange(frames)[:, None, None] / 20
    phase, speed = random.uniform(0, 6.3, (1, joints, 3)), random.uniform(0.5, 3, (1, joints, 3))
    axis = random.normal(size=(1, joints, 3))
    vector = sway * axis * np.sin(speed * time + phase) / 2
    angle = np.linalg.norm(vector, axis=-1, keepdims=True)
    return np.concatenate((np.cos(angle), np.sinc(angle / np.pi) * vector), -1)


def moving_body(
    seed: int = 0,
    frames: int = 60,
    turns: float = 0.0,
    skeleton: Skeleton = HUMANML3D,
    offsets: np.ndarray | None = None,
    sway: float = 0.5,
    start: float = 0.0,
) -> np.ndarray:
    """Joints (frames, J, 3) of a body that sways, walks along a curve and turns ``turns`` times at a steady rate.

    ``start`` is the heading in frame 0, radians from +Z towards +X.
    """
    local = body_rotations(seed, frames, skeleton.num_joints, sway)
    heading = start + 2 * np.pi * turns * np.arange(frames) / max(frames - 1, 1)
    # Every chain starts again at the root, so turning the root turns the body.
    local[:, 0] = yaw_quaternion(heading)
    step = 0.04 / skeleton.unit_scale * np.stack((np.sin(heading), 0.2 * np.sin(3 * heading), np.cos(heading)), -1)
    height = np.array((0, 0.9 / skeleton.unit_scale, 0))
    return forward_kinematics(local, np.cumsum(step, 0) + height, offsets, skeleton)


def rigid_body(seed: int, frames: int, sway: float) -> np.ndarray:
    """Joints whose bones are rigid and whose pelvis and chest are too: a BVH-like hierarchy, every joint turning."""
    random = np.random.default_rng(seed)
    shape = moving_body(seed, 1, sway=0.2)[0]
    seconds = np.arange(frames)[:, None] / 20
    world = np.zeros((frames, 22, 4))
    joints = np.zeros((frames, 22, 3))
    joints[:, 0] = np.cumsum(random.normal(0, 0.02, (frames, 3)), 0) + (0, 0.9, 0)
    world[:, 0] = yaw_quaternion(2 * seconds[:, 0])
    for joint in HUMANML3D.order:
        parent = HUMANML3D.parents[joint]
        joints[:, joint] = joints[:, parent] + quaternion_rotate(world[:, parent], shape[None, joint] - shape[parent])
        vector = sway * random.normal(size=3) * np.sin(random.uniform(0.5, 3, 3) * seconds + random.uniform(0, 6, 3))
        angle = np.linalg.norm(vector, axis=-1, keepdims=True)
        local = np.concatenate((np.cos(angle), np.sinc(angle / np.pi) * vector), -1)
        world[:, joint] = quaternion_multiply(world[:, parent], local)
    return joints


def turn(joints: np.ndarray, angle: float | np.ndarray) -> np.ndarray:
    """Turn joints (T, J, 3) about the world's Y axis, by one angle or one for each frame."""
    cos, sin = (np.asarray(f(angle))[..., None] for f in (np.cos, np.sin))
    x, y, z = np.moveaxis(joints, -1, 0)
    return np.stack((cos * x + sin * z, y, cos * z - sin * x), -1)


def compose(first: np.ndarray, *more: np.ndarray) -> np.ndarray:
    for quaternion in more:
        first = quaternion_multiply(first, quaternion)
    return first
