"""Motion features of HumanML3D (263) and KIT-ML (251): joints to features and back. No model in it.

Conventions of axes and units as in `skeletons_unimo`, of rotations as in `rotations_unimo`. Code that needs only the
skeletons and the checks imports `skeletons_unimo`, which does not import torch.

Public functions take numpy arrays or torch tensors and return the same kind; everything runs in torch underneath, in
the floating type of the input (half precision is computed in float32), and `features_to_joints` is differentiable.
Inside, positions and rotations are planes of shape ``(J, ..., T)``: joints first and time last keep every elementwise
operation on contiguous memory.

Sources: Guo et al., "Generating Diverse and Natural 3D Human Motions from Text" (CVPR 2022), and the feature scripts
published with HumanML3D and text-to-motion, whose numbers ``facing="published"`` reproduces.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
import torch

# Imports of remote code stay on one line each, so sorting must not merge these.
# isort: off
from .arrays_unimo import Array, multiply
from .recovery_unimo import check_width, features_to_joints, root_path, turn
from .rotations_unimo import Planes, apply_columns, as_tensor, between, columns_from_six, component_planes
from .rotations_unimo import conjugate, dot, first_columns, normalise, numpy_or_torch, rotate, tensor_like
from .skeletons_unimo import FACINGS, HUMANML3D, KIT, SHORTEST_BONE, Skeleton, check_facing, check_features
from .skeletons_unimo import check_joints, skeleton_for
# isort: on

__all__ = [
    "FACINGS",
    "HUMANML3D",
    "KIT",
    "SHORTEST_BONE",
    "Skeleton",
    "canonical_joints",
    "check_features",
    "check_joints",
    "feature_statistics",
    "features_to_joints",
    "features_to_joints_by_rotation",
    "forward_kinematics",
    "inverse_kinematics",
    "joints_to_features",
    "mirror_joints",
    "root_trajectory",
    "skeleton_for",
    "uniform_skeleton",
]

SMOOTHING_SIGMA = 20.0  # frames; published value, also for KIT-ML's 12.5 fps
SMOOTHING_RADIUS = 80  # 4 sigma, where the published filter is cut off
# Below this horizontal share of the unit vector across the body (a body lying on its side) the facing is rounding
# noise; the heading is then held.
FLATTEST_FACING = 0.1


# -------------------------------------------------------------------------------------------------- arguments
def _check_offsets(offsets: Array, skeleton: Skeleton) -> np.ndarray:
    offsets = offsets.detach().cpu().numpy() if torch.is_tensor(offsets) else np.asarray(offsets)
    if offsets.shape != (skeleton.num_joints, 3):
        raise ValueError(
            f"target offsets have shape {offsets.shape}; the {skeleton.name} skeleton needs ({skeleton.num_joints}, 3)"
        )
    if not np.isfinite(offsets).all():
        raise ValueError("target offsets hold NaN or infinite numbers")
    return offsets.astype(np.float64)


# ------------------------------------------------------------------------------------------------- planes of a clip
def _split(joints: torch.Tensor) -> Planes:
    """(..., T, J, 3) to three contiguous planes (J, ..., T)."""
    return tuple(plane.contiguous() for plane in joints.movedim(-2, 0).unbind(-1))


def _join(planes: Planes) -> torch.Tensor:
    """Planes (J, ..., T) to (..., T, J, C)."""
    return torch.stack(planes, -1).movedim(0, -2).contiguous()


def _per_joint(values: np.ndarray, plane: torch.Tensor) -> torch.Tensor:
    """(J,) constants that broadcast against a plane (J, ..., T)."""
    tensor = torch.as_tensor(np.array(values), dtype=plane.dtype, device=plane.device)
    return tensor.reshape(-1, *(1,) * (plane.ndim - 1))


def _constants(offsets: np.ndarray, plane: torch.Tensor) -> Planes:
    return tuple(_per_joint(offsets[:, axis], plane) for axis in range(3))


def _select(planes: Planes, joints: Iterable[int]) -> Planes:
    index = torch.tensor(list(joints), device=planes[0].device)
    return tuple(plane.index_select(0, index) for plane in planes)


def _bones(positions: Planes, skeleton: Skeleton) -> tuple[Planes, torch.Tensor, torch.Tensor | None]:
    """The bones that end at joints 1 to J-1: unit vectors and lengths, planes (J-1, ..., T).

    Third, which bones are too short to have a direction (their vectors are zero), or None if all have one.
    """
    parents = _select(positions, skeleton.parents[1:])
    bones = tuple(child[1:] - parent for child, parent in zip(positions, parents, strict=True))
    length = dot(bones, bones).sqrt()
    leg = length[skeleton.leg[0] - 1] + length[skeleton.leg[1] - 1]
    undefined = length <= SHORTEST_BONE * leg
    if bool(undefined.any()):
        scale = (1 / length.masked_fill(undefined, 1.0)).masked_fill(undefined, 0.0)
        return tuple(c * scale for c in bones), length, undefined
    scale = 1 / length
    return tuple(c * scale for c in bones), length, None


def _accumulate(root: Planes, bones: Planes, skeleton: Skeleton) -> Planes:
    """Joint positions from root (..., T) and bone vectors (J-1, ..., T)."""
    planes = []
    for start, steps in zip(root, bones, strict=True):
        joints: list[torch.Tensor] = [start] * skeleton.num_joints
        for joint in skeleton.order:
            joints[joint] = joints[skeleton.parents[joint]] + steps[joint - 1]
        planes.append(torch.stack(joints))
    return tuple(planes)


# ------------------------------------------------------------------------------------------------------- facing
def _forward(positions: Planes, skeleton: Skeleton, swap_hips: bool = False) -> tuple[torch.Tensor, torch.Tensor]:
    """Horizontal forward vector (x, z), each (..., T): the vector across the body turned by a quarter.

    The vector across has unit length in 3D, so the result is shorter the more the body leans sideways.
    ``swap_hips`` reproduces the published inverse kinematics, where the hips point against the shoulders.
    """
    right_hip, left_hip, right_shoulder, left_shoulder = skeleton.face
    hip = -1.0 if swap_hips else 1.0
    across = tuple(
        hip * (plane[left_hip] - plane[right_hip]) + (plane[left_shoulder] - plane[right_shoulder])
        for plane in positions
    )
    x, _, z = normalise(across)
    return -z, x


def _hold(angle: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """Replace angles (..., T) that are not valid by the last valid one before them, or else the first one after."""
    frames = torch.arange(angle.shape[-1], device=angle.device).expand(angle.shape)
    last = torch.where(valid, frames, -1).cummax(-1).values
    first = valid.to(torch.int8).argmax(-1, keepdim=True)
    return angle.gather(-1, torch.where(last < 0, first, last))


def _heading(positions: Planes, skeleton: Skeleton) -> torch.Tensor:
    """Heading angle (..., T) in radians from +Z towards +X, continuous over any number of turns."""
    x, z = _forward(positions, skeleton)
    angle = torch.atan2(x, z)
    valid = torch.hypot(x, z) > FLATTEST_FACING
    if not bool(valid.all()):
        # A clip without any upright frame gets one heading, that of its mean forward vector.
        never = ~valid.any(-1, keepdim=True)
        mean = torch.atan2(x.mean(-1, keepdim=True), z.mean(-1, keepdim=True))
        angle = _hold(torch.where(never, mean, angle), valid | never)
    step = angle.diff(dim=-1)
    step = step - 2 * math.pi * torch.round(step / (2 * math.pi))
    return torch.cat((angle[..., :1], angle[..., :1] + step.cumsum(-1)), -1)


def _gaussian_kernel(reference: torch.Tensor) -> torch.Tensor:
    taps = torch.arange(-SMOOTHING_RADIUS, SMOOTHING_RADIUS + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (taps / SMOOTHING_SIGMA) ** 2)
    return (kernel / kernel.sum()).to(device=reference.device, dtype=reference.dtype)


def _filter(padded: torch.Tensor) -> torch.Tensor:
    """Gaussian over the last axis of a signal already extended by the radius on both sides."""
    return (padded.unfold(-1, 2 * SMOOTHING_RADIUS + 1, 1) * _gaussian_kernel(padded)).sum(-1)


def _smooth_nearest(signal: torch.Tensor) -> torch.Tensor:
    """The published filter over (..., T): Gaussian, sigma 20, cut at 80 frames, ends repeated."""
    ends = (signal[..., :1], signal[..., -1:])
    before, after = (end.expand(*end.shape[:-1], SMOOTHING_RADIUS) for end in ends)
    return _filter(torch.cat((before, signal, after), -1))


def _smooth_odd(signal: torch.Tensor) -> torch.Tensor:
    """The same Gaussian over (..., T) with the signal continued point-symmetrically through both ends.

    Keeps the first and last value and any straight line as they are, so a smoothed heading starts where the body
    faces, and a body that spins at a steady rate keeps that rate up to the ends.
    """
    frames = signal.shape[-1]
    ramp = torch.linspace(0, 1, frames, dtype=signal.dtype, device=signal.device)
    line = signal[..., :1] + (signal[..., -1:] - signal[..., :1]) * ramp
    rest = signal - line  # zero at both ends, so its odd continuation has period 2 (T - 1)
    index = torch.arange(-SMOOTHING_RADIUS, frames + SMOOTHING_RADIUS, device=signal.device) % (2 * (frames - 1))
    sign = torch.where(index < frames, 1.0, -1.0).to(signal.dtype)
    index = torch.where(index < frames, index, 2 * (frames - 1) - index)
    smooth = line + _filter(rest[..., index] * sign)
    return torch.cat((signal[..., :1], smooth[..., 1:]), -1)


def _half_turn_to_front(x: torch.Tensor, z: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Yaw quaternion (w, y), w >= 0, that turns the horizontal vector (x, z) to +Z; no turn where it is zero."""
    length = torch.hypot(x, z)
    unit_x, unit_z = x / length.clamp_min(torch.finfo(x.dtype).tiny), z / length.clamp_min(torch.finfo(x.dtype).tiny)
    unit_z = torch.where(length > 0, unit_z, 1.0)
    half = torch.hypot(unit_x, 1 + unit_z)
    opposite = half < 8 * torch.finfo(x.dtype).eps
    half = torch.where(opposite, 1.0, half)
    return torch.where(opposite, 0.0, (1 + unit_z) / half), torch.where(opposite, 1.0, -unit_x / half)


def _root_rotation(
    positions: Planes, skeleton: Skeleton, facing: str, smooth: bool = True
) -> tuple[torch.Tensor, ...]:
    """The root's yaw per frame: (half angle, cos, sin of the half angle), each (..., T).

    It turns the facing direction to +Z. The half angle is continuous for "corrected"; "published" has w >= 0 and with
    smoothing the identity in frame 0, and its half angle lies within a quarter turn.
    """
    if facing == "corrected":
        heading = _heading(positions, skeleton)
        half = -0.5 * (_smooth_odd(heading) if smooth else heading)
        return half, half.cos(), half.sin()
    x, z = _forward(positions, skeleton, swap_hips=True)
    if smooth:
        x, z = _smooth_nearest(x), _smooth_nearest(z)
    w, y = _half_turn_to_front(x, z)
    if smooth:
        w = torch.cat((torch.ones_like(w[..., :1]), w[..., 1:]), -1)
        y = torch.cat((torch.zeros_like(y[..., :1]), y[..., 1:]), -1)
    return torch.atan2(y, w), w, y


# -------------------------------------------------------------------------------------------- rotations of the bones
def _bone_rotations(directions: Planes, undefined: torch.Tensor | None, root: Planes, skeleton: Skeleton) -> Planes:
    """World rotations (J, ..., T): the root's, then for every bone the shortest one from its rest direction.

    Bones without direction keep the rotation that their chain has reached.
    """
    rotations = between(_constants(skeleton.raw_offsets[1:], directions[0]), directions)
    rotations = tuple(torch.cat((r[None], b)) for r, b in zip(root, rotations, strict=True))
    if undefined is not None:
        columns = [list(plane.unbind(0)) for plane in rotations]
        for joint in skeleton.order:
            for plane in columns:
                carried = plane[skeleton.rotation_parents[joint]]
                plane[joint] = torch.where(undefined[joint - 1], carried, plane[joint])
        rotations = tuple(torch.stack(plane) for plane in columns)
    return rotations


def _local_rotations(rotations: Planes, skeleton: Skeleton) -> Planes:
    """Rotations (J-1, ..., T) of joints 1 to J-1 relative to the joint before them in their chain."""
    before = _select(rotations, skeleton.rotation_parents[1:])
    return multiply(conjugate(before), tuple(plane[1:] for plane in rotations))


@numpy_or_torch
def inverse_kinematics(
    joints: Array, skeleton: Skeleton = HUMANML3D, facing: str = "corrected", smooth: bool = False
) -> Array:
    """Local rotations of each bone, twist-free, as the feature format defines them.

    Entry 0 is the yaw that turns the facing direction to +Z; entry j rotates the rest direction of the bone that ends
    at j, relative to the entry before it in its chain (each chain starts again from entry 0).

    Args:
        joints: (..., T, J, 3).
        skeleton: the skeleton of the joints.
        facing: "corrected", or "published" for the published hip sign, quaternion sign and first frame.
        smooth: smooth the facing direction over time, as for features.

    Returns:
        Quaternions (..., T, J, 4).

    Raises:
        ValueError: the joints are no motion of this skeleton, or an unknown facing.
    """
    check_facing(facing)
    check_joints(joints, skeleton)
    positions = _split(joints)
    _, w, y = _root_rotation(positions, skeleton, facing, smooth)
    root = (w, torch.zeros_like(w), y, torch.zeros_like(w))
    directions, _, undefined = _bones(positions, skeleton)
    rotations = _bone_rotations(directions, undefined, root, skeleton)
    local = _local_rotations(rotations, skeleton)
    return _join(tuple(torch.cat((r[None], plane)) for r, plane in zip(root, local, strict=True)))


@numpy_or_torch
def forward_kinematics(
    quaternions: Array, root_positions: Array, offsets: Array | None = None, skeleton: Skeleton = HUMANML3D
) -> Array:
    """Joint positions from local rotations: the inverse of `inverse_kinematics` for bones of these offsets.

    Args:
        quaternions: (..., T, J, 4) unit quaternions.
        root_positions: (..., T, 3).
        offsets: (J, 3) rest bone vectors; the skeleton's default if None.
        skeleton: the skeleton.

    Returns:
        Joints (..., T, J, 3).

    Raises:
        ValueError: wrong shapes, or the skeleton has no default offsets and none were given.
    """
    if quaternions.ndim < 3 or quaternions.shape[-2:] != (skeleton.num_joints, 4):
        raise ValueError(
            f"expected quaternions (..., T, {skeleton.num_joints}, 4), got shape {tuple(quaternions.shape)}"
        )
    offsets = _check_offsets(_default_offsets(skeleton) if offsets is None else offsets, skeleton)
    local = tuple(plane.contiguous() for plane in quaternions.movedim(-2, 0).unbind(-1))
    world = [tuple(plane[0] for plane in local)] * skeleton.num_joints
    for joint in skeleton.order:
        world[joint] = multiply(world[skeleton.rotation_parents[joint]], tuple(plane[joint] for plane in local))
    rotations = tuple(torch.stack(planes)[1:] for planes in zip(*world, strict=True))
    bones = rotate(rotations, _constants(offsets[1:], local[0]))
    root = component_planes(tensor_like(root_positions, quaternions), 3, "root_positions")
    return _join(_accumulate(root, bones, skeleton))


def _default_offsets(skeleton: Skeleton) -> np.ndarray:
    if skeleton.default_offsets is None:
        raise ValueError(
            f"the {skeleton.name} skeleton has no default bone lengths; pass offsets of shape "
            f"({skeleton.num_joints}, 3)"
        )
    return skeleton.default_offsets


# ------------------------------------------------------------------------------------------------- uniform skeleton
def _retarget(positions: Planes, offsets: np.ndarray, skeleton: Skeleton) -> Planes:
    directions, length, undefined = _bones(positions, skeleton)
    leg = length[skeleton.leg[0] - 1, ..., :1] + length[skeleton.leg[1] - 1, ..., :1]
    if not bool((leg > 0).all()):
        names = " and ".join(skeleton.joint_names[joint] for joint in skeleton.leg)
        raise ValueError(f"the bones that end at {names} have no length in frame 0, so the clip cannot be scaled")
    target = float(sum(np.abs(offsets[joint]).max() for joint in skeleton.leg))
    if not target > 0:
        raise ValueError("the leg bones of the target offsets have no length")
    root = tuple(plane[0] * (target / leg) for plane in positions)
    raw = skeleton.raw_offsets.astype(np.float64)
    along_rest = np.allclose(np.cross(raw, offsets), 0, atol=1e-9 * target)
    if along_rest and undefined is None:
        # The usual case: target bones along the rest directions. Rotating them is scaling the source's directions.
        signed = _per_joint((raw * offsets).sum(-1)[1:], length)
        return _accumulate(root, tuple(c * signed for c in directions), skeleton)
    heading = -0.5 * _heading(positions, skeleton)
    still = torch.zeros_like(heading)
    rotations = _bone_rotations(directions, undefined, (heading.cos(), still, -heading.sin(), still), skeleton)
    bones = rotate(tuple(plane[1:] for plane in rotations), _constants(offsets[1:], length))
    return _accumulate(root, bones, skeleton)


@numpy_or_torch
def uniform_skeleton(joints: Array, target_offsets: Array | None = None, skeleton: Skeleton = HUMANML3D) -> Array:
    """Give a clip the bone lengths of a target skeleton, keeping every bone's direction and scaling the root path.

    The root is scaled by the ratio of the leg lengths, the source's measured in frame 0 as published. A bone without
    length takes its rest direction, carried along with its chain.

    Args:
        joints: (..., T, J, 3).
        target_offsets: (J, 3) rest bone vectors of the target; the skeleton's default if None.
        skeleton: the skeleton of the joints.

    Returns:
        Joints (..., T, J, 3).

    Raises:
        ValueError: the joints are no motion of this skeleton, wrong offsets, or legs without length.
    """
    check_joints(joints, skeleton)
    offsets = _check_offsets(_default_offsets(skeleton) if target_offsets is None else target_offsets, skeleton)
    return _join(_retarget(_split(joints), offsets, skeleton))


def _place(positions: Planes, skeleton: Skeleton, facing: str) -> Planes:
    """Put a clip on the floor, its first root at the origin, its first facing direction along +Z."""
    x, y, z = positions
    y = y - y.amin(dim=(0, -1), keepdim=True)
    x, z = x - x[:1, ..., :1], z - z[:1, ..., :1]
    if facing == "published":
        forward_x, forward_z = (c[..., :1] for c in _forward((x, y, z), skeleton))
        w, sin = _half_turn_to_front(forward_x, forward_z)
    else:
        half = -0.5 * _heading((x, y, z), skeleton)[..., :1]
        w, sin = half.cos(), half.sin()
    x, z = turn(w * w - sin * sin, 2 * w * sin, x, z)
    return x, y, z


def _canonical(joints: torch.Tensor, skeleton: Skeleton, target_offsets: Array | None, facing: str) -> Planes:
    check_facing(facing)
    check_joints(joints, skeleton)
    positions = _split(joints)
    if target_offsets is None:
        target_offsets = skeleton.default_offsets
    if target_offsets is not None:
        positions = _retarget(positions, _check_offsets(target_offsets, skeleton), skeleton)
    return _place(positions, skeleton, facing)


@numpy_or_torch
def canonical_joints(
    joints: Array, skeleton: Skeleton = HUMANML3D, target_offsets: Array | None = None, facing: str = "corrected"
) -> Array:
    """The joints that features describe: uniform skeleton, on the floor, starting at the origin and facing +Z.

    ``features_to_joints(joints_to_features(joints))`` gives these back, less the last frame. Raises what
    `joints_to_features` raises.

    Args:
        joints: Joint positions (..., T, J, 3) in the skeleton's unit.
        skeleton: The skeleton of the joints.
        target_offsets: Bone offsets (J, 3) to scale to; None keeps the skeleton's default.
        facing: "corrected" or "published", as for `joints_to_features`.

    Returns:
        Joint positions (..., T, J, 3).
    """
    return _join(_canonical(joints, skeleton, target_offsets, facing))


# ------------------------------------------------------------------------------------------------ joints to features
# Frames a core works on at a time: what it makes of more leaves its cache, and takes a quarter to a half longer.
_TOGETHER = 1600


def _contacts(positions: Planes, skeleton: Skeleton, threshold: float) -> torch.Tensor:
    """(4, ..., T-1): 1 where a foot joint moves less than the threshold until the next frame."""
    feet = _select(positions, (*skeleton.feet_left, *skeleton.feet_right))
    step = tuple(plane.diff(dim=-1) for plane in feet)
    return (dot(step, step) < threshold).to(step[0].dtype)


@numpy_or_torch
def joints_to_features(
    joints: Array,
    skeleton: Skeleton = HUMANML3D,
    target_offsets: Array | None = None,
    foot_threshold: float | None = None,
    facing: str = "corrected",
) -> Array:
    """Motion features of a clip, or of a stack of clips of equal length.

    The clip is given the target bone lengths, put on the floor, started at the origin and turned to face +Z; one row
    then describes a frame and the step to the next one (`Skeleton.slices` names the parts of a row).

    Args:
        joints: (..., T, J, 3), T >= 2, in the skeleton's unit and at its frame rate.
        skeleton: `HUMANML3D` or `KIT`.
        target_offsets: (J, 3) rest bone vectors to retarget to; None for the skeleton's default. KIT-ML's target is
            not published with its code, so there None keeps the clip's own bones.
        foot_threshold: squared displacement per frame that still counts as contact; the skeleton's if None.
        facing: "corrected" reads the heading from hips and shoulders alike, follows it over any number of turns and
            starts exactly at +Z. "published" reproduces the published files: hips against shoulders, a sign flip where
            the facing crosses 180 degrees from +Z (recovered headings drift from there), and a jump in frame 0.

    Returns:
        (..., T-1, D) features.

    Raises:
        ValueError: the joints are no motion of this skeleton, wrong offsets, legs without length, or unknown facing.
    """
    if joints.ndim > 3 and joints.device.type == "cpu":
        together = _TOGETHER * torch.get_num_threads() // max(1, joints.shape[-3])
        parts = joints.flatten(0, -4).split(max(1, together))
        if len(parts) > 1:
            made = [_features(part, skeleton, target_offsets, foot_threshold, facing) for part in parts]
            return torch.cat(made).unflatten(0, joints.shape[:-3])
    return _features(joints, skeleton, target_offsets, foot_threshold, facing)


def _features(
    joints: torch.Tensor,
    skeleton: Skeleton,
    target_offsets: Array | None,
    foot_threshold: float | None,
    facing: str,
) -> torch.Tensor:
    positions = _canonical(joints, skeleton, target_offsets, facing)
    half, cos, sin = _root_rotation(positions, skeleton, facing)
    if facing == "published":
        spin = torch.asin((sin[..., 1:] * cos[..., :-1] - cos[..., 1:] * sin[..., :-1]).clamp(-1, 1))
    else:
        spin = half.diff(dim=-1)

    full_cos, full_sin = cos * cos - sin * sin, 2 * cos * sin
    now_cos, now_sin = full_cos[..., :-1], full_sin[..., :-1]
    step_x, step_y, step_z = (plane.diff(dim=-1) for plane in positions)
    velocity_x, velocity_z = turn(now_cos, now_sin, step_x, step_z)
    linear_x, linear_z = turn(full_cos[..., 1:], full_sin[..., 1:], step_x[0], step_z[0])

    x, y, z = (plane[..., :-1] for plane in positions)
    local_x, local_z = turn(now_cos, now_sin, x[1:] - x[:1], z[1:] - z[:1])

    root = (cos[..., :-1], torch.zeros_like(x[0]), sin[..., :-1], torch.zeros_like(x[0]))
    directions, _, undefined = _bones((x, y, z), skeleton)
    rotations = _bone_rotations(directions, undefined, root, skeleton)
    six = first_columns(_local_rotations(rotations, skeleton))

    threshold = skeleton.foot_threshold if foot_threshold is None else foot_threshold
    rows = torch.cat(
        (
            torch.stack((spin, linear_x, linear_z, y[0])),
            torch.stack((local_x, y[1:], local_z), 1).flatten(0, 1),
            torch.stack(six, 1).flatten(0, 1),
            torch.stack((velocity_x, step_y, velocity_z), 1).flatten(0, 1),
            _contacts(positions, skeleton, threshold),
        )
    )
    return rows.movedim(0, -1).contiguous()


# ------------------------------------------------------------------------------------------------ features to joints
@numpy_or_torch
def root_trajectory(features: Array, skeleton: Skeleton = HUMANML3D) -> tuple[Array, Array]:
    """The root's path and heading, which features hold as increments only.

    Args:
        features: (..., T, D) raw features.
        skeleton: the skeleton of the features.

    Returns:
        Positions (..., T, 3), the first at x = z = 0, and heading (..., T) in radians from +Z towards +X, the first 0.

    Raises:
        ValueError: wrong shape.
    """
    check_width(features, skeleton)
    x, y, z, _, _ = root_path(features)
    spin = features[..., 0]
    heading = -2 * torch.cat((torch.zeros_like(spin[..., :1]), spin[..., :-1].cumsum(-1)), -1)
    return torch.stack((x, y, z), -1), heading


@numpy_or_torch
def features_to_joints_by_rotation(
    features: Array, offsets: Array | None = None, skeleton: Skeleton = HUMANML3D
) -> Array:
    """Joint positions from the root path and the rotations of features, on a skeleton with these bones.

    Args:
        features: (..., T, D) raw features.
        offsets: (J, 3) rest bone vectors; the skeleton's default if None.
        skeleton: the skeleton of the features.

    Returns:
        (..., T, J, 3).

    Raises:
        ValueError: wrong shapes, or the skeleton has no default offsets and none were given.
    """
    check_width(features, skeleton)
    offsets = _check_offsets(_default_offsets(skeleton) if offsets is None else offsets, skeleton)
    root_x, root_y, root_z, cos, sin = root_path(features)
    six = features[..., skeleton.slices["rotations"]].unflatten(-1, (skeleton.num_joints - 1, 6))
    local = columns_from_six(tuple(plane.contiguous() for plane in six.movedim(-2, 0).unbind(-1)))
    zero = torch.zeros_like(cos)
    yaw: tuple[Planes, ...] = ((cos, zero, -sin), (zero, zero + 1, zero), (sin, zero, cos))
    world = [yaw] * skeleton.num_joints
    vectors: list[Planes] = [(zero, zero, zero)] * skeleton.num_joints
    for joint in skeleton.order:
        before = world[skeleton.rotation_parents[joint]]
        world[joint] = tuple(apply_columns(before, tuple(c[joint - 1] for c in column)) for column in local)
        vectors[joint] = apply_columns(world[joint], tuple(offsets[joint].tolist()))
    bones = tuple(torch.stack(planes) for planes in zip(*vectors[1:], strict=True))
    return _join(_accumulate((root_x, root_y, root_z), bones, skeleton))


# ------------------------------------------------------------------------------------------------------- mirroring
@numpy_or_torch
def mirror_joints(joints: Array, skeleton: Skeleton = HUMANML3D) -> Array:
    """Mirror image of joints: x negated, left and right swapped.

    Args:
        joints: Joint positions (..., J, 3).
        skeleton: The skeleton of the joints.

    Returns:
        Joint positions (..., J, 3).

    Raises:
        ValueError: The shape is not (..., J, 3).
    """
    if joints.ndim < 2 or joints.shape[-2:] != (skeleton.num_joints, 3):
        raise ValueError(f"expected joints of shape (..., {skeleton.num_joints}, 3), got {tuple(joints.shape)}")
    order = torch.tensor(skeleton.mirror_order, device=joints.device)
    return joints.index_select(-2, order) * torch.tensor((-1, 1, 1), dtype=joints.dtype, device=joints.device)


# ------------------------------------------------------------------------------------------------------ statistics
def feature_statistics(
    clips: Iterable[Array], skeleton: Skeleton = HUMANML3D, feat_bias: float = 1.0
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of features over all frames of all clips, as published with HumanML3D.

    The deviation is averaged within each group of a row (`Skeleton.slices`), so that a group keeps its inner
    proportions; a group that never changes gets 1. One pass, in float64, clip by clip.

    Args:
        clips: raw features (T, D) each; any iterable, read once.
        skeleton: the skeleton of the features.
        feat_bias: divides the deviations of root yaw, root velocity, root height and contacts, which weighs these
            numbers up (text-to-motion trains its evaluator and its networks with 5).

    Returns:
        mean (D,) and std (D,), float32.

    Raises:
        ValueError: no clips, a clip that is no motion of this skeleton, or feat_bias not above 0.
    """
    if not feat_bias > 0:
        raise ValueError(f"feat_bias must be > 0, got {feat_bias}")
    count, mean, squares = 0, np.zeros(skeleton.feature_dim), np.zeros(skeleton.feature_dim)
    for index, clip in enumerate(clips):
        check_features(clip, skeleton, name=f"clip {index}")
        frames = as_tensor(clip).detach().cpu().double().numpy().reshape(-1, skeleton.feature_dim)
        clip_mean = frames.mean(0)
        total, shift = count + len(frames), clip_mean - mean
        squares += np.square(frames - clip_mean).sum(0) + shift**2 * (count * len(frames) / total)
        mean += shift * (len(frames) / total)
        count = total
    if count == 0:
        raise ValueError("clips must hold at least one clip")
    std = np.sqrt(squares / count)
    for name, where in skeleton.slices.items():
        # A constant group leaves rounding only; dividing by that would turn it into noise.
        group = std[where].mean()
        std[where] = group if group > 1e-7 * max(1.0, np.abs(mean[where]).max()) else 1.0
        if name in ("root_yaw", "root_linear", "root_height", "contacts"):
            std[where] /= feat_bias
    return mean.astype(np.float32), std.astype(np.float32)
