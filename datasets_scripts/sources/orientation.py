"""Which way is up and which side is left, read off how a body stands: files of motion seldom say."""

from __future__ import annotations

import numpy as np

from modeling_unimo.motion_representation import HUMANML3D

UPS = ("auto", "y", "z")


def upright(positions: np.ndarray, head: np.ndarray, feet: np.ndarray, up: str = "auto") -> tuple[np.ndarray, str]:
    """Turns positions so that Y is up.

    Args:
        positions: (T, J, 3) in a right-handed frame.
        head: (T, 3), a point at the head.
        feet: (T, 3), a point at the feet.
        up: the axis that points up, or "auto": z where the head is above the feet along z over most of the motion. A
            clip in which somebody lies along z all the time would be misread: give the axis then.

    Returns:
        Positions with Y up, and a note on what was assumed ("" where nothing was).

    Raises:
        ValueError: `up` is none of the three.
    """
    if up not in UPS:
        raise ValueError(f"up is {up!r}; it must be one of {', '.join(UPS)}")
    note = ""
    if up == "auto":
        body = head - feet
        body = body / np.maximum(np.linalg.norm(body, axis=-1, keepdims=True), 1e-9)
        direction = np.median(body, axis=0)
        up = "z" if direction[2] > 0.7 and direction[2] > abs(direction[1]) else "y"
        note = "taken as Z up" if up == "z" else ""
    if up == "z":
        positions = positions[..., [0, 2, 1]] * np.array([1.0, 1.0, -1.0], dtype=positions.dtype)
    return positions, note


def is_mirrored(joints: np.ndarray) -> bool:
    """Whether left and right are swapped in joints (T, 22, 3) with Y up, as left-handed axes make them.

    The toes then point away from where hips and shoulders say that the body faces.
    """

    def at(name: str) -> np.ndarray:
        return joints[:, HUMANML3D.joint_names.index(name)]

    across = at("left_hip") - at("right_hip") + at("left_shoulder") - at("right_shoulder")
    forward = np.cross(across, at("neck") - at("pelvis"))
    toes = at("left_foot") - at("left_ankle") + at("right_foot") - at("right_ankle")
    lengths = np.linalg.norm(forward, axis=-1) * np.linalg.norm(toes, axis=-1)
    return bool(np.median((forward * toes).sum(-1) / np.maximum(lengths, 1e-9)) < -0.2)


def standardise(joints: np.ndarray, up: str = "auto") -> tuple[np.ndarray, list[str]]:
    """Joints (T, 22, 3) with Y up and left on the left, with notes on what was changed.

    Raises:
        ValueError: `up` is none of auto, y, z.
    """
    names = HUMANML3D.joint_names
    feet = (joints[:, names.index("left_ankle")] + joints[:, names.index("right_ankle")]) / 2
    joints, note = upright(joints, joints[:, names.index("head")], feet, up)
    notes = [note] if note else []
    if is_mirrored(joints):
        joints = joints * np.array([-1.0, 1.0, 1.0], dtype=joints.dtype)
        notes.append("left-handed axes, mirrored")
    return joints, notes
