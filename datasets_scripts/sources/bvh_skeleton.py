"""From the skeleton of a BVH file to HumanML3D's 22 joints: world positions, and the joints that rigs lack."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import numpy as np

from datasets_scripts.sources.bvh_format import Bvh, BvhError
from datasets_scripts.sources.rigs import COINCIDENT, SPINE, Hierarchy, ancestors, map_joints
from modeling_unimo.skeletons_unimo import HUMANML3D

_BLOCK = 2048  # frames whose positions are computed at once: bounds the memory of long files
_LOOK = 32  # frames from which joints are told apart


def joint_positions(bvh: Bvh, displaced: Collection[int] | None = None) -> np.ndarray:
    """World positions (T, J, 3) of all joints and end sites, in the file's unit and axes.

    Rotations apply in the order in which their channels are listed. Position channels are, as exporters write them,
    the joint's whole translation and replace its OFFSET; some files write displacements from the OFFSET instead.

    Args:
        bvh: the file.
        displaced: joints whose position channels are displacements; None for those that `displaced_joints` finds.

    Returns:
        The positions.
    """
    if displaced is None:
        displaced = displaced_joints(bvh)
    count, frames = len(bvh.names), len(bvh.values)
    positions = np.empty((frames, count, 3))
    world: list[np.ndarray] = []
    column = 0
    for joint, (parent, names) in enumerate(zip(bvh.parents, bvh.channels, strict=True)):
        translation = np.broadcast_to(bvh.offsets[joint], (frames, 3)).copy()
        own: np.ndarray | None = None
        for name in names:
            axis, values = "XYZ".index(name[0]), bvh.values[:, column]
            column += 1
            if name.endswith("position"):
                translation[:, axis] = values + bvh.offsets[joint, axis] if joint in displaced else values
            else:
                turn = _axis_rotation(axis, np.deg2rad(values))
                own = turn if own is None else own @ turn
        if parent < 0:
            positions[:, joint] = translation
            base = np.broadcast_to(np.eye(3), (frames, 3, 3))
        else:
            base = world[parent]
            positions[:, joint] = positions[:, parent] + np.einsum("tij,tj->ti", base, translation)
        world.append(base if own is None else base @ own)
    return positions


def position_votes(bvh: Bvh) -> dict[int, int]:
    """What position channels of joints hold, where it shows: 1 whole translations, -1 displacements from OFFSET.

    Args:
        bvh: The file.

    Returns:
        1 or -1 by index of the joint.
    """
    votes, column = {}, 0
    for joint, names in enumerate(bvh.channels):
        axes = {name[0]: column + i for i, name in enumerate(names) if name.endswith("position")}
        column += len(names)
        length = float(np.linalg.norm(bvh.offsets[joint]))
        if bvh.parents[joint] >= 0 and len(axes) == 3 and length > 0:
            mean = bvh.values[:, [axes[axis] for axis in "XYZ"]].mean(axis=0)
            if np.linalg.norm(mean - bvh.offsets[joint]) < 0.3 * length:
                votes[joint] = 1
            elif np.linalg.norm(mean) < 0.3 * length:
                votes[joint] = -1
    return votes


def displaced_joints(bvh: Bvh, others: int = 0) -> frozenset[int]:
    """The joints whose position channels hold displacements from OFFSET.

    Args:
        bvh: the file.
        others: sum of the votes of other files of its source, for joints whose values do not show it.

    Returns:
        Indices of the joints.
    """
    votes = position_votes(bvh)
    unclear = -1 if sum(votes.values()) + others < 0 else 1
    return frozenset(
        joint
        for joint, names in enumerate(bvh.channels)
        if bvh.parents[joint] >= 0
        and any(name.endswith("position") for name in names)
        and votes.get(joint, unclear) < 0
    )


def _axis_rotation(axis: int, angle: np.ndarray) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.zeros((len(angle), 3, 3))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix[:, axis, axis] = 1.0
    matrix[:, a, a] = matrix[:, b, b] = cos
    matrix[:, a, b], matrix[:, b, a] = -sin, sin
    return matrix


def read_joints(bvh: Bvh, joint_map: Mapping[str, str] | None = None, others: int = 0) -> tuple[np.ndarray, str]:
    """The 22 joints of each frame, in the file's rate, axes and unit.

    Args:
        bvh: the file.
        joint_map: see `rigs.map_joints`.
        others: see `displaced_joints`.

    Returns:
        Joints (T, 22, 3), and how the skeleton was read ("" where its names told). Toes that the file lacks lie on
        the ankle.

    Raises:
        BvhError: joints are missing, or the legs have no length.
    """
    displaced = displaced_joints(bvh, others)
    look = np.linspace(0, len(bvh.values) - 1, min(_LOOK, len(bvh.values))).astype(int)
    found, reading = map_joints(bvh, joint_positions(_at_frames(bvh, look), displaced), joint_map)
    joints = np.empty((len(bvh.values), 22, 3))
    for start in range(0, len(joints), _BLOCK):
        block = slice(start, start + _BLOCK)
        positions = joint_positions(_at_frames(bvh, block), displaced)
        joints[block] = place_joints(bvh, positions, found)
    return joints, reading


def _at_frames(bvh: Bvh, frames: slice | np.ndarray) -> Bvh:
    return replace(bvh, values=bvh.values[frames])


def begins_at_rest(bvh: Bvh) -> bool:
    """Whether frame 0 is the skeleton's rest pose and the motion begins after it with a jump (CMU's conversions).

    Args:
        bvh: The file.

    Returns:
        Whether it does.
    """
    turns = [name.endswith("rotation") for names in bvh.channels for name in names]
    if len(bvh.values) < 3 or not any(turns):
        return False
    first, second, third = bvh.values[:3, turns]
    jump, step = np.abs(second - first).max(), np.abs(third - second).max()
    return bool((first == 0).mean() > 0.9 and jump > 20.0 and jump > 5.0 * step)


def spine_joints(bvh: Hierarchy, found: Mapping[str, int]) -> list[int]:
    """The joints of the file between pelvis and neck.

    Args:
        bvh: The hierarchy.
        found: Index in the file by HumanML3D's joint.

    Returns:
        Their indices, upwards.
    """
    up_to_neck = list(ancestors(bvh, bvh.parents[found["neck"]]))
    # In some rigs (Biped) the spine hangs beside the pelvis, on their common parent.
    fork = next(index for index in ancestors(bvh, found["pelvis"]) if index in {*up_to_neck, 0})
    return up_to_neck[: up_to_neck.index(fork)][::-1] if fork in up_to_neck else []


def place_joints(bvh: Hierarchy, positions: np.ndarray, found: Mapping[str, int]) -> np.ndarray:
    """The 22 joints (T, 22, 3) of some frames; what a skeleton lacks of spine and collars is put where it belongs.

    Args:
        bvh: the skeleton.
        positions: (T, J, 3) its joints.
        found: {HumanML3D joint: index}, as `rigs.map_joints` returns it.

    Returns:
        The joints, in the file's unit.

    Raises:
        BvhError: the legs have no length.
    """
    between = spine_joints(bvh, found)
    joints = np.zeros((len(positions), 22, 3))
    for target, index in found.items():
        _at(joints, target)[:] = positions[:, index]
    leg = sum(
        _distance(_at(joints, a), _at(joints, b)) for a, b in (("left_hip", "left_knee"), ("left_knee", "left_ankle"))
    )
    if not leg > 0:
        raise BvhError("hip, knee and ankle of the left leg are one point: the skeleton has no size")
    _place_spine(joints, [positions[:, index] for index in between], found, leg)
    for side in ("left", "right"):
        _place_collar(joints, side, f"{side}_collar" in found, leg)
        if f"{side}_foot" not in found:
            _at(joints, f"{side}_foot")[:] = _at(joints, f"{side}_ankle")
    return joints


def _at(joints: np.ndarray, name: str) -> np.ndarray:
    return joints[:, HUMANML3D.joint_names.index(name)]


def _distance(a: np.ndarray, b: np.ndarray) -> float:
    return float(np.linalg.norm(a - b, axis=-1).mean())


def _place_spine(joints: np.ndarray, between: list[np.ndarray], found: Mapping[str, int], leg: float) -> None:
    """Fills spine1..3: the file's own three joints, else points at HumanML3D's shares of the way pelvis to neck."""
    if all(name in found for name in SPINE):
        return
    points, neck = [_at(joints, "pelvis")], _at(joints, "neck")
    for point in between:
        if _distance(point, points[-1]) > COINCIDENT * leg:
            points.append(point)
    if len(points) > 1 and _distance(points[-1], neck) <= COINCIDENT * leg:
        points.pop()
    line = np.stack([*points, neck], axis=1)
    if line.shape[1] == 5:
        placed = line[:, 1:4]
    else:
        indices = [HUMANML3D.joint_names.index(name) for name in (*SPINE, "neck")]
        lengths = np.linalg.norm(np.asarray(HUMANML3D.default_offsets)[indices], axis=-1)
        placed = _along(line, np.cumsum(lengths)[:3] / lengths.sum())
    for i, name in enumerate(SPINE):
        if name not in found:
            _at(joints, name)[:] = placed[:, i]


def _along(line: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Points at `shares` of the length of each polyline of `line` (T, P, 3) -> (T, len(shares), 3)."""
    steps = np.linalg.norm(np.diff(line, axis=1), axis=-1).mean(axis=0)
    marks = np.concatenate([[0.0], np.cumsum(steps)])
    placed = []
    for share in shares:
        target = share * marks[-1]
        i = int(np.clip(np.searchsorted(marks, target, side="right") - 1, 0, len(steps) - 1))
        weight = (target - marks[i]) / max(steps[i], 1e-12)
        placed.append(line[:, i] * (1 - weight) + line[:, i + 1] * weight)
    return np.stack(placed, axis=1)


def _place_collar(joints: np.ndarray, side: str, named: bool, leg: float) -> None:
    """Puts a collar that the file lacks, or has on the spine or the neck, between upper spine and shoulder."""
    collar, spine, neck = (_at(joints, name) for name in (f"{side}_collar", "spine3", "neck"))
    if named:
        aside = np.linalg.norm(np.cross(neck - spine, collar - spine), axis=-1)
        height = np.maximum(np.linalg.norm(neck - spine, axis=-1), 1e-9)
        if (aside / height).mean() > COINCIDENT * leg:
            return
    # HumanML3D's proportions: the collar lies 0.55 of the way up to the neck and 0.4 of the way out to the shoulder.
    base = spine + 0.55 * (neck - spine)
    collar[:] = base + 0.4 * (_at(joints, f"{side}_shoulder") - base)
