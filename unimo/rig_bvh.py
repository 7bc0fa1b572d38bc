"""BVH files as rigs: read with their rest pose, written with their own hierarchy and another motion."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datasets_scripts.schema import FPS
from datasets_scripts.sources.bvh_format import Bvh, BvhError, parse_bvh
from datasets_scripts.sources.bvh_skeleton import displaced_joints, joint_positions, place_joints
from datasets_scripts.sources.orientation import gather
from datasets_scripts.sources.reading import read_text, unix_lines
from datasets_scripts.sources.rigs import ancestors, map_joints
from modeling_unimo.bvh_unimo import bvh_numbers, continuous_angles
from unimo.retargeting import RetargetedMotion
from unimo.rig import Rig

_LOOK = 64  # pairs of frames that tell joints, axes and sides


@dataclass
class BvhRig:
    """A BVH file as a rig, with what its motion is written from."""

    rig: Rig
    bvh: Bvh
    head: str


def read_bvh_rig(path: Path, joint_map: Mapping[str, str] | None = None, up: str = "auto") -> BvhRig:
    """Reads a BVH file as a rig; its rest pose is that of zero rotations.

    Args:
        path: the file.
        joint_map: {HumanML3D joint: joint in the file}, where names do not tell.
        up: the axis that points up, or "auto": by how the body in the file stands.

    Returns:
        The rig.

    Raises:
        ValueError: it is no BVH file, its joints cannot be mapped, or it has no room for rotations.
    """
    text = unix_lines(read_text(path).content)
    try:
        bvh = parse_bvh(text, max_frames=_LOOK)
    except BvhError:  # unless it is its rate alone, which the motion that it gets replaces
        bvh = parse_bvh(text, FPS, max_frames=_LOOK)
    match = re.search(r"^[^\S\n]*MOTION[^\S\n]*$", text, re.IGNORECASE | re.MULTILINE)
    assert match is not None, "the file was parsed"
    positions = joint_positions(bvh)
    found, reading = map_joints(bvh, positions, joint_map)
    count = len(bvh.names)
    rest = np.zeros((count, 3))
    for joint, parent in enumerate(bvh.parents):
        rest[joint] = bvh.offsets[joint] + (rest[parent] if parent >= 0 else 0.0)
    rig = Rig(bvh.names, bvh.parents, bvh.offsets, np.tile(np.eye(3), (count, 1, 1)), rest, found)
    evidence = gather([place_joints(bvh, positions, found)], bvh.fps)[0]
    rig.convention = evidence.decide(up)
    rig.notes = [note for note in (*bvh.notes, reading, f"{rig.convention}, {evidence.unit()}") if note]
    return BvhRig(rig, bvh, text[: match.start()].rstrip() + "\n")


def bvh_rig_text(source: BvhRig, motion: RetargetedMotion, fps: float) -> str:
    """The file of a rig with another motion.

    Args:
        source: The rig.
        motion: The motion on it.
        fps: Frames per second.

    Returns:
        Content of the BVH file.

    Raises:
        ValueError: a joint that must turn or move has no channels for it.
    """
    from modeling_unimo.rotations_unimo import matrix_to_quaternion, quaternion_to_euler

    bvh, rig = source.bvh, source.rig
    frames = len(motion.positions)
    mover = next((j for j in ancestors(rig, motion.moved) if _letters(bvh, j, "position") == 3), None)
    if mover is None:
        raise ValueError(
            f"neither {rig.names[motion.moved]} nor a joint above it has position channels: nothing can travel"
        )
    displaced = displaced_joints(bvh)
    columns: list[np.ndarray] = []
    for joint, channels in enumerate(bvh.channels):
        parent = rig.parents[joint]
        order = "".join(name[0] for name in channels if name.endswith("rotation")).lower()
        angles = np.zeros((frames, 3))
        if joint in motion.turned:
            if sorted(order) != ["x", "y", "z"]:
                raise ValueError(
                    f"{rig.names[joint]} must turn and has the rotation channels {order.upper() or 'none'}"
                )
            local = motion.rotations[:, joint]
            if parent >= 0:
                local = motion.rotations[:, parent].swapaxes(-1, -2) @ local
            turned = quaternion_to_euler(matrix_to_quaternion(np.ascontiguousarray(local)), order)
            angles = np.degrees(continuous_angles(turned[:, None])[:, 0])
        place = bvh.offsets[joint] * (joint not in displaced)
        travel = np.broadcast_to(place, (frames, 3))
        if joint == mover:
            travel = _travel(rig, motion, joint, bvh.offsets[joint] if joint in displaced else np.zeros(3))
        for name in channels:
            axis = "XYZ".index(name[0])
            columns.append(travel[:, axis] if name.endswith("position") else angles[:, order.index("xyz"[axis])])
    rows = np.stack(columns, 1)
    lines = ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.8f}", *(bvh_numbers(row) for row in rows)]
    return source.head + "\n".join(lines) + "\n"


def _letters(bvh: Bvh, joint: int, kind: str) -> int:
    return sum(name.endswith(kind) for name in bvh.channels[joint])


def _travel(rig: Rig, motion: RetargetedMotion, mover: int, offset: np.ndarray) -> np.ndarray:
    """(T, 3) translation of the joint that moves, so that the one which carries the body is where it shall be."""
    # Between both nothing turns: the way from one to the other is that at rest.
    place = motion.positions[:, motion.moved] - (rig.rest_positions[motion.moved] - rig.rest_positions[mover])
    parent = rig.parents[mover]
    if parent >= 0:
        place = place - motion.positions[:, parent]
        place = np.einsum("tji,tj->ti", motion.rotations[:, parent], place)
    return place - offset
