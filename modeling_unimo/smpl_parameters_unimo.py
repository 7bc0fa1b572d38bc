"""Joint positions as SMPL-H parameters, as AMASS stores them."""

from __future__ import annotations

import numpy as np

from .arrays_unimo import Array
from .rigid_motion_unimo import fit_rigid_motion, skeleton_of, to_numpy
from .skeletons_unimo import HUMANML3D
from .smpl_unimo import AVERAGE_BODY, NUM_JOINTS, BodyModel

_SMPLH_JOINTS = 52
_BETAS = 16


def smpl_parameters(
    joints: Array, fps: float, output_fps: float | None = None, body_model: BodyModel = AVERAGE_BODY
) -> dict[str, np.ndarray]:
    """The rotations that turn a body in SMPL's rest pose into given joints: AMASS's fields, Z up.

    Positions say nothing about a bone's turn about itself; it is the least from the rest pose. Bones keep the body's
    own lengths, so that joints of other proportions are met in direction, not in place. `joints_from_smpl` reads the
    parameters back.

    Args:
        joints: (T, 22, 3) metres, Y up.
        fps: frames per second.
        output_fps: frames per second of the parameters, by slerp; default: `fps`.
        body_model: whose rest pose they are relative to; default: the average skeleton, which needs no file.

    Returns:
        poses (T, 156) axis-angle in radians with the hands at rest, trans (T, 3) metres, betas (16,) zero, gender
        "neutral" and mocap_framerate.

    Raises:
        ValueError: the joints are not HumanML3D's 22, or `output_fps` is out of range.
    """
    from .rotations_unimo import matrix_to_quaternion, quaternion_multiply

    joints = to_numpy(joints, np.float64)
    if skeleton_of(joints) is not HUMANML3D:
        raise ValueError(f"SMPL parameters need HumanML3D's 22 joints, got {joints.shape[1]}")
    rest = body_model.rest_joints
    offsets = rest - rest[list(HUMANML3D.parents)]
    offsets[0] = 0.0
    motion, rate = fit_rigid_motion(joints, offsets), fps
    if output_fps is not None:
        motion, rate = motion.resampled(fps, output_fps), output_fps
    to_z_up = np.array([[1.0, 0.0, 0.0], [0.0, 0.0, -1.0], [0.0, 1.0, 0.0]])
    turn = matrix_to_quaternion(to_z_up[None])
    rotations = motion.rotations.copy()
    rotations[:, 0] = quaternion_multiply(np.repeat(turn, len(rotations), 0), rotations[:, 0])
    poses = np.zeros((len(rotations), 3 * _SMPLH_JOINTS))
    poses[:, : 3 * NUM_JOINTS] = rotation_vectors(rotations).reshape(len(rotations), -1)
    return {
        "poses": poses,
        "trans": motion.root_positions @ to_z_up.T - rest[0],
        "betas": np.zeros(_BETAS),
        "gender": np.array("neutral"),
        "mocap_framerate": np.float64(rate),
    }


def rotation_vectors(quaternions: np.ndarray) -> np.ndarray:
    """Axis times angle in radians (..., 3), of at most half a turn, of unit quaternions (..., 4).

    Args:
        quaternions: (..., 4), w first.

    Returns:
        (..., 3) in radians.
    """
    quaternions = np.where(quaternions[..., :1] < 0, -quaternions, quaternions)
    sine = np.linalg.norm(quaternions[..., 1:], axis=-1, keepdims=True)
    angle = 2.0 * np.arctan2(sine, quaternions[..., :1])
    return quaternions[..., 1:] * np.where(sine > 1e-12, angle / np.maximum(sine, 1e-12), 2.0)
