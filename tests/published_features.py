"""The published way from joints to features, written out step by step and frame by frame, to compare with.

Slow on purpose: every step of the feature script published with HumanML3D appears as it is described, with its hip
sign, its quaternion sign and its first frame. float64 throughout.
"""

import numpy as np
from scipy.ndimage import gaussian_filter1d

from modeling_unimo.motion_representation import Skeleton


def between(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    q = np.array([np.sqrt((u @ u) * (v @ v)) + u @ v, *np.cross(u, v)])
    return q / np.linalg.norm(q)


def multiply(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    return np.array([p[0] * q[0] - p[1:] @ q[1:], *(p[0] * q[1:] + q[0] * p[1:] + np.cross(p[1:], q[1:]))])


def conjugate(q: np.ndarray) -> np.ndarray:
    return q * (1, -1, -1, -1)


def rotate(q: np.ndarray, v: np.ndarray) -> np.ndarray:
    return multiply(multiply(q, np.array([0, *v])), conjugate(q))[1:]


def six(q: np.ndarray) -> np.ndarray:
    return np.concatenate([rotate(q, np.eye(3)[0]), rotate(q, np.eye(3)[1])])


def inverse_kinematics(joints: np.ndarray, skeleton: Skeleton, smooth: bool) -> np.ndarray:
    first, second, third, fourth = skeleton.face
    across = (joints[:, second] - joints[:, first]) + (joints[:, third] - joints[:, fourth])
    across /= np.linalg.norm(across, axis=-1, keepdims=True)
    forward = np.cross([[0, 1, 0]], across)
    if smooth:
        forward = gaussian_filter1d(forward, 20, axis=0, mode="nearest")
    rotations = np.zeros((*joints.shape[:2], 4))
    for t, pose in enumerate(joints):
        direction = forward[t] / np.linalg.norm(forward[t])
        root = between(direction, np.array([0.0, 0, 1]))
        if smooth and t == 0:
            root = np.array([1.0, 0, 0, 0])
        rotations[t, 0] = root
        for chain in skeleton.chains:
            reached = root
            for parent, child in zip(chain, chain[1:], strict=False):
                bone = pose[child] - pose[parent]
                whole = between(skeleton.raw_offsets[child].astype(float), bone / np.linalg.norm(bone))
                rotations[t, child] = multiply(conjugate(reached), whole)
                reached = multiply(reached, rotations[t, child])
    return rotations


def uniform(joints: np.ndarray, offsets: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    length = {j: np.linalg.norm(joints[0, j] - joints[0, skeleton.parents[j]]) for j in range(1, skeleton.num_joints)}
    scale = sum(np.abs(offsets[j]).max() for j in skeleton.leg) / sum(length[j] for j in skeleton.leg)
    rotations = inverse_kinematics(joints, skeleton, smooth=False)
    result = np.zeros_like(joints)
    result[:, 0] = joints[:, 0] * scale
    for t in range(len(joints)):
        for chain in skeleton.chains:
            reached = rotations[t, 0]
            for parent, child in zip(chain, chain[1:], strict=False):
                reached = multiply(reached, rotations[t, child])
                result[t, child] = result[t, parent] + rotate(reached, offsets[child].astype(float))
    return result


def features(joints: np.ndarray, offsets: np.ndarray, skeleton: Skeleton) -> np.ndarray:
    p = uniform(joints, offsets.astype(np.float64), skeleton)
    p[..., 1] -= p[..., 1].min()
    p -= p[0, 0] * (1, 0, 1)
    right_hip, left_hip, right_shoulder, left_shoulder = skeleton.face
    across = (p[0, right_hip] - p[0, left_hip]) + (p[0, right_shoulder] - p[0, left_shoulder])
    forward = np.cross([0, 1, 0], across / np.linalg.norm(across))
    start = between(forward / np.linalg.norm(forward), np.array([0.0, 0, 1]))
    p = np.array([[rotate(start, joint) for joint in pose] for pose in p])

    rotations = inverse_kinematics(p, skeleton, smooth=True)
    root = rotations[:, 0]
    rows = []
    for t in range(len(p) - 1):
        linear = rotate(root[t + 1], p[t + 1, 0] - p[t, 0])
        yaw = np.arcsin(multiply(root[t + 1], conjugate(root[t]))[2])
        local = [rotate(root[t], joint - p[t, 0] * (1, 0, 1)) for joint in p[t, 1:]]
        velocity = [rotate(root[t], after - before) for after, before in zip(p[t + 1], p[t], strict=True)]
        feet = [*skeleton.feet_left, *skeleton.feet_right]
        contact = ((p[t + 1, feet] - p[t, feet]) ** 2).sum(-1) < skeleton.foot_threshold
        parts = [[yaw, linear[0], linear[2], p[t, 0, 1]], *local, *map(six, rotations[t, 1:]), *velocity, contact]
        rows.append(np.concatenate(parts))
    return np.array(rows)
