"""Skeletons of HumanML3D (22 joints) and KIT-ML (21 joints), and checks of joints and features against them.

Conventions: Y up; a person who faces +Z has the left side at +X; lengths in the skeleton's unit (metres for HumanML3D,
millimetres for KIT-ML). Only numpy is imported: torch tensors are accepted without importing torch.

Source: Guo et al., "Generating Diverse and Natural 3D Human Motions from Text" (CVPR 2022), and the feature scripts
published with HumanML3D and text-to-motion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .arrays_unimo import Array, is_tensor, without_graph

FACINGS = ("corrected", "published")
# A bone shorter than this fraction of the leg has no direction, only rounding noise.
SHORTEST_BONE = 1e-4


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A joint hierarchy and the constants of its feature format.

    Attributes:
        name: "humanml3d" or "kit".
        joint_names: J names.
        chains: kinematic chains, root first. A rotation chain starts again at the root rotation in each of them.
        raw_offsets: (J, 3) unit direction of the bone that ends at each joint, in the rest pose.
        default_offsets: (J, 3) target bones of the uniform skeleton; None where the published target is not known, in
            which case clips keep their own bone lengths unless the caller passes target offsets.
        left, right: paired joint indices that a mirror image swaps.
        face: right hip, left hip, right shoulder, left shoulder (the published order of the facing joints).
        feet_left, feet_right: joints whose contacts are in the features.
        leg: the two joints whose bone lengths add up to the leg that scales the root.
        fps: frames per second of the published data.
        foot_threshold: squared displacement per frame below which a foot joint is in contact, in squared units.
        unit_scale: metres in one unit of length.
    """

    name: str
    joint_names: tuple[str, ...]
    chains: tuple[tuple[int, ...], ...]
    raw_offsets: np.ndarray
    default_offsets: np.ndarray | None
    left: tuple[int, ...]
    right: tuple[int, ...]
    face: tuple[int, int, int, int]
    feet_left: tuple[int, int]
    feet_right: tuple[int, int]
    leg: tuple[int, int]
    fps: float
    foot_threshold: float
    unit_scale: float

    def __post_init__(self) -> None:
        for offsets in (self.raw_offsets, self.default_offsets):
            if offsets is not None:
                offsets.setflags(write=False)

    @property
    def num_joints(self) -> int:
        """Joints, the root included."""
        return len(self.joint_names)

    @property
    def feature_dim(self) -> int:
        """Numbers of a feature row: 12 a joint, less one."""
        return 12 * self.num_joints - 1

    @cached_property
    def parents(self) -> tuple[int, ...]:
        """Parent of each joint; -1 for the root."""
        parents = [-1] * self.num_joints
        for chain in self.chains:
            for parent, child in zip(chain, chain[1:], strict=False):
                parents[child] = parent
        return tuple(parents)

    @cached_property
    def rotation_parents(self) -> tuple[int, ...]:
        """The joint whose rotation a joint's local rotation is relative to: as `parents`, but 0 at a chain's start."""
        parents = list(self.parents)
        for chain in self.chains:
            parents[chain[1]] = 0
        return tuple(parents)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """All joints but the root, parents before children."""
        return tuple(joint for chain in self.chains for joint in chain[1:])

    @cached_property
    def slices(self) -> dict[str, slice]:
        """Where each group of numbers lies in a feature row."""
        widths = {
            "root_yaw": 1,  # half the yaw increment, rad/frame
            "root_linear": 2,  # x, z velocity in the facing frame, units/frame
            "root_height": 1,
            "positions": 3 * (self.num_joints - 1),
            "rotations": 6 * (self.num_joints - 1),
            "velocities": 3 * self.num_joints,
            "contacts": 4,  # left foot (2), right foot (2)
        }
        slices, start = {}, 0
        for name, width in widths.items():
            slices[name] = slice(start, start + width)
            start += width
        return slices

    @cached_property
    def mirror_order(self) -> tuple[int, ...]:
        """Joint order after swapping left and right."""
        order = list(range(self.num_joints))
        for left, right in zip(self.left, self.right, strict=True):
            order[left], order[right] = right, left
        return tuple(order)


def _unit_offsets(directions: str) -> np.ndarray:
    axes = {"0": (0, 0, 0), "+x": (1, 0, 0), "-x": (-1, 0, 0), "+y": (0, 1, 0), "-y": (0, -1, 0), "+z": (0, 0, 1)}
    return np.array([axes[direction] for direction in directions.split()], dtype=np.float32)


_HUMANML3D_DIRECTIONS = _unit_offsets("0 +x -x +y -y -y +y -y -y +y +z +z +y +x -x +z -y -y -y -y -y -y")
# Bone lengths of the published target skeleton (every processed HumanML3D clip has them).
_HUMANML3D_LENGTHS = np.array(
    [0.0, 0.10307395, 0.10988335, 0.13156825, 0.39362314, 0.39018813, 0.14319026, 0.43243298, 0.42564332, 0.057364706]
    + [0.14338174, 0.14941867, 0.219359994, 0.13748683, 0.14338283, 0.10303927, 0.13161398, 0.1229843, 0.25683984]
    + [0.26309186, 0.26601186, 0.2698763],
    dtype=np.float32,
)

HUMANML3D = Skeleton(
    name="humanml3d",
    joint_names=tuple(
        "pelvis left_hip right_hip spine1 left_knee right_knee spine2 left_ankle right_ankle spine3 left_foot "
        "right_foot neck left_collar right_collar head left_shoulder right_shoulder left_elbow right_elbow left_wrist "
        "right_wrist".split()
    ),
    chains=((0, 2, 5, 8, 11), (0, 1, 4, 7, 10), (0, 3, 6, 9, 12, 15), (9, 14, 17, 19, 21), (9, 13, 16, 18, 20)),
    raw_offsets=_HUMANML3D_DIRECTIONS,
    default_offsets=_HUMANML3D_DIRECTIONS * _HUMANML3D_LENGTHS[:, None],
    left=(1, 4, 7, 10, 13, 16, 18, 20),
    right=(2, 5, 8, 11, 14, 17, 19, 21),
    face=(2, 1, 17, 16),
    feet_left=(7, 10),
    feet_right=(8, 11),
    leg=(5, 8),
    fps=20.0,
    foot_threshold=0.002,
    unit_scale=1.0,
)

KIT = Skeleton(
    name="kit",
    joint_names=tuple(
        "pelvis spine chest neck head right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist "
        "right_hip right_knee right_ankle right_heel right_foot left_hip left_knee left_ankle left_heel "
        "left_foot".split()
    ),
    chains=((0, 11, 12, 13, 14, 15), (0, 16, 17, 18, 19, 20), (0, 1, 2, 3, 4), (3, 5, 6, 7), (3, 8, 9, 10)),
    raw_offsets=_unit_offsets("0 +y +y +y +y +x -y -y -x -y -y +x -y -y +z +z -x -y -y +z +z"),
    default_offsets=None,
    left=(8, 9, 10, 16, 17, 18, 19, 20),
    right=(5, 6, 7, 11, 12, 13, 14, 15),
    face=(11, 16, 5, 8),
    feet_left=(19, 20),
    feet_right=(14, 15),
    leg=(17, 18),
    fps=12.5,
    foot_threshold=0.05,
    unit_scale=0.001,
)


def skeleton_for(feature_dim: int) -> Skeleton:
    """The skeleton whose feature rows have this width.

    Args:
        feature_dim: Numbers a frame.

    Returns:
        HumanML3D's for 263, KIT's for 251.

    Raises:
        ValueError: the width is neither 263 nor 251.
    """
    for skeleton in (HUMANML3D, KIT):
        if skeleton.feature_dim == feature_dim:
            return skeleton
    raise ValueError(
        f"no skeleton has features of width {feature_dim}: HumanML3D (22 joints) has {HUMANML3D.feature_dim}, "
        f"KIT-ML (21 joints) has {KIT.feature_dim}"
    )


def _first_not_finite(array: Array) -> tuple[int, ...] | None:
    """Index of the first NaN or infinite number, or None."""
    # A sum is finite only if every term is: one pass instead of a mask. Overflow falls through to the exact test.
    with np.errstate(over="ignore", invalid="ignore"):
        if math.isfinite(float(array.sum())):
            return None
    bad = np.argwhere(~np.isfinite(array.cpu().double().numpy() if is_tensor(array) else array))
    return tuple(bad[0].tolist()) if len(bad) else None


def check_joints(joints: Array, skeleton: Skeleton = HUMANML3D, name: str = "") -> None:
    """Reject joints that are no motion of this skeleton.

    Args:
        joints: (..., T, J, 3), at least two frames.
        skeleton: The skeleton expected.
        name: What to call the array in the error, e.g. its file.

    Raises:
        ValueError: Wrong shape, fewer than two frames, NaN or infinite numbers, or all joints in one point.
    """
    prefix = f"{name}: " if name else ""
    joints = without_graph(joints, f"{prefix}joints")
    if joints.ndim < 3 or joints.shape[-1] != 3 or joints.shape[-2] != skeleton.num_joints:
        raise ValueError(
            f"{prefix}expected joints of shape (..., T, {skeleton.num_joints}, 3) for the {skeleton.name} skeleton, "
            f"got {tuple(joints.shape)}; select and order the joints as skeleton.joint_names first"
        )
    if 0 in joints.shape or joints.shape[-3] < 2:
        raise ValueError(f"{prefix}a clip needs at least 2 frames, got shape {tuple(joints.shape)}")
    bad = _first_not_finite(joints)
    if bad is not None:
        *_, frame, joint, axis = bad
        raise ValueError(
            f"{prefix}joints hold NaN or infinite numbers, first at frame {frame}, joint "
            f"{skeleton.joint_names[joint]}, axis {'xyz'[axis]}; repair or drop the clip"
        )
    first = joints[..., :1, :, :]
    if bool((first == first[..., :1, :]).all()) and bool((joints == joints[..., :1, :]).all()):
        raise ValueError(f"{prefix}all joints lie in one point in every frame")


def check_facing(facing: str) -> None:
    """Refuse a way of computing headings that does not exist.

    Args:
        facing: One of `FACINGS`.

    Raises:
        ValueError: It is none of them.
    """
    if facing not in FACINGS:
        raise ValueError(f"facing must be one of {', '.join(FACINGS)}, got {facing!r}")


def check_features(features: Array, skeleton: Skeleton = HUMANML3D, name: str = "") -> None:
    """Reject features that are no motion of this skeleton.

    Args:
        features: (..., T, D), at least one frame.
        skeleton: The skeleton expected.
        name: What to call the array in the error, e.g. its file.

    Raises:
        ValueError: Wrong shape, no frame, or NaN or infinite numbers.
    """
    prefix = f"{name}: " if name else ""
    features = without_graph(features, f"{prefix}features")
    if features.ndim < 2 or features.shape[-1] != skeleton.feature_dim:
        raise ValueError(
            f"{prefix}expected features of shape (..., T, {skeleton.feature_dim}) for the {skeleton.name} skeleton, "
            f"got {tuple(features.shape)}"
        )
    if 0 in features.shape:
        raise ValueError(f"{prefix}no frames: features have shape {tuple(features.shape)}")
    bad = _first_not_finite(features)
    if bad is not None:
        *_, frame, dim = bad
        group = next(group for group, where in skeleton.slices.items() if where.start <= dim < where.stop)
        raise ValueError(
            f"{prefix}features hold NaN or infinite numbers, first at frame {frame}, dimension {dim} ({group}); "
            "repair or drop the clip"
        )
