"""A rigid motion as a BVH file."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .rigid_motion_unimo import RigidMotion, rest_direction

UNITS = {"m": 1.0, "cm": 100.0}
"""Units of length that a BVH file is written in, and how many of them a metre has."""

# BVH ends a chain with a site beyond its last joint; metres from head, wrist and toe joint.
_END_LENGTH = {"head": 0.12, "wrist": 0.08, "foot": 0.06}
_EULER_ORDER = "zxy"


def bvh_text(motion: RigidMotion, fps: float, names: Sequence[str], unit: str = "m") -> str:
    """A rigid motion as a BVH file: Y up, root position and Z X Y rotations in degrees.

    Args:
        motion: the motion.
        fps: its frames per second.
        names: of the joints.
        unit: of length, one of `UNITS`.

    Returns:
        Content of the file.

    Raises:
        ValueError: no such unit.
    """
    from .rotations_unimo import quaternion_to_euler

    if unit not in UNITS:
        raise ValueError(f"unit must be one of {', '.join(UNITS)}, got {unit!r}")
    skeleton, scale = motion.skeleton, UNITS[unit]
    lines: list[str] = ["HIERARCHY"]
    written: list[int] = []  # the order of joints in the file is the order of their channels

    def write(joint: int, indent: str) -> None:
        inner = indent + "\t"
        position = "" if joint else "Xposition Yposition Zposition "
        lines.append(f"{indent}{'JOINT' if joint else 'ROOT'} {names[joint]}")
        lines.append(f"{indent}{{")
        lines.append(f"{inner}OFFSET {bvh_numbers(motion.offsets[joint] * scale)}")
        lines.append(f"{inner}CHANNELS {3 if joint else 6} {position}Zrotation Xrotation Yrotation")
        written.append(joint)
        children = [child for child in range(skeleton.num_joints) if skeleton.parents[child] == joint]
        for child in children:
            write(child, inner)
        if not children:
            name = skeleton.joint_names[joint]
            site = rest_direction(name) * _END_LENGTH[name.rpartition("_")[2]] * scale
            lines.extend((f"{inner}End Site", f"{inner}{{", f"{inner}\tOFFSET {bvh_numbers(site)}", f"{inner}}}"))
        lines.append(f"{indent}}}")

    write(0, "")
    angles = continuous_angles(quaternion_to_euler(motion.rotations[:, written], _EULER_ORDER))
    rows = np.concatenate(
        (motion.root_positions * scale, np.degrees(angles).reshape(len(angles), 3 * len(written))), 1
    )
    lines.extend(("MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / fps:.8f}"))
    lines.extend(bvh_numbers(row) for row in rows)
    return "\n".join(lines) + "\n"


def continuous_angles(angles: np.ndarray) -> np.ndarray:
    """Euler angles (T, J, 3) of the same rotations that move little between frames.

    Software that interpolates between frames must not spin a knee around where it bends past a right angle. Every
    rotation has a twin (a + pi, pi - b, c + pi). Changing to twins keeps distances, so the nearer of the two steps at
    each frame decides, and how often it was the twin's decides the sign.

    Args:
        angles: (T, J, 3) in degrees.

    Returns:
        (T, J, 3) in degrees.
    """
    twins = np.stack((angles[..., 0] + np.pi, np.pi - angles[..., 1], angles[..., 2] + np.pi), -1)

    def distance(after: np.ndarray, before: np.ndarray) -> np.ndarray:
        return np.abs(np.remainder(after - before + np.pi, 2 * np.pi) - np.pi).sum(-1)

    change = distance(twins[1:], angles[:-1]) < distance(angles[1:], angles[:-1])
    first = np.zeros((1, angles.shape[1]), dtype=bool)
    twin = np.concatenate((first, np.logical_xor.accumulate(change, axis=0)))
    return np.unwrap(np.where(twin[..., None], twins, angles), axis=0)


def bvh_numbers(values: np.ndarray) -> str:
    """The values as words of a BVH line, six decimals each.

    Args:
        values: Numbers of any shape.

    Returns:
        The words, separated by spaces.
    """
    return " ".join(f"{value:.6f}" for value in values + 0.0)
