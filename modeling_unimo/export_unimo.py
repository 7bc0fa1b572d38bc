"""Motions as files: features (.npy), a motion with its words (.npz), animation (.bvh), a web page, a video.

The BVH rotations are solved from the joint positions. Reading the rotations of the features instead would be wrong:
they are relative within chains that all start at the root, which is not a BVH hierarchy, and a network's rotations and
positions disagree.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .arrays_unimo import Array, is_tensor
from .files_unimo import atomic_write
from .rendering_unimo import iter_frames, save_mp4
from .skeletons_unimo import HUMANML3D, KIT, Skeleton, check_features, check_joints
from .visualization_unimo import save_html

SUFFIXES = (".npy", ".npz", ".bvh", ".html", ".mp4")
# Rest direction of the bone that ends at a joint, by the joint's name without its side: a T-pose, which other software
# expects, and in which no bone of ordinary motion comes near its opposite (where the shortest rotation would flip).
_REST = {"hip": "side", "knee": "down", "ankle": "down", "heel": "front", "foot": "front", "collar": "side"}
_REST |= {"shoulder": "side", "elbow": "side", "wrist": "side", "head": "up", "neck": "up", "chest": "up"}
_REST |= {"spine": "up", "spine1": "up", "spine2": "up", "spine3": "up"}
_AXES = {"up": (0, 1, 0), "down": (0, -1, 0), "front": (0, 0, 1)}
# BVH ends a chain with a site beyond its last joint; metres from head, wrist and toe joint.
_END_LENGTH = {"head": 0.12, "wrist": 0.08, "foot": 0.06}
_TEMPLATE_ROUNDS = 10
_EULER_ORDER = "zxy"


@dataclass(frozen=True)
class RigidMotion:
    """A motion as a rigid skeleton that turns at its joints, which is what animation formats hold.

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


def _skeleton_of(joints: np.ndarray) -> Skeleton:
    for skeleton in (HUMANML3D, KIT):
        if joints.ndim == 3 and joints.shape[1:] == (skeleton.num_joints, 3):
            return skeleton
    raise ValueError(f"expected joints (T, 22, 3) or (T, 21, 3) of one motion, got shape {joints.shape}")


def _to_numpy(array: Array, dtype: type) -> np.ndarray:
    if is_tensor(array):
        array = array.detach().cpu().float().numpy()
    return np.asarray(array, dtype=dtype)


def _rest_direction(name: str) -> np.ndarray:
    side, _, part = name.rpartition("_")
    kind = _REST[part]
    if kind == "side":
        return np.array((1.0 if side == "left" else -1.0, 0.0, 0.0))
    return np.array(_AXES[kind], dtype=np.float64)


def _align(source: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Rotations (T, 3, 3) that bring vectors source (..., K, 3) onto target (T, K, 3) with least squared distance."""
    covariance = np.swapaxes(target, -1, -2) @ source
    left, _, right = np.linalg.svd(covariance)
    left[..., -1] *= np.sign(np.linalg.det(left @ right))[..., None]  # a rotation, never a reflection
    return left @ right


def _rigid_template(vectors: np.ndarray, rest: np.ndarray) -> np.ndarray:
    """The shape (K, 3) that vectors (T, K, 3) share up to a rotation per frame, turned towards the rest directions."""
    template = vectors[0]
    for _ in range(_TEMPLATE_ROUNDS):
        rotations = _align(template, vectors)
        template = np.einsum("tij,tki->kj", rotations, vectors) / len(vectors)
    turn = _align(template, rest[None] * np.linalg.norm(template, axis=-1)[None, :, None])[0]
    return template @ turn.T


def fit_rigid_motion(joints: Array) -> RigidMotion:
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

    Returns:
        The motion in metres.

    Raises:
        ValueError: the joints are no motion of either skeleton.
    """
    # Imports of remote code stay on one line each.
    from .rotations_unimo import (
        matrix_to_quaternion,
        quaternion_between,
        quaternion_inverse,
        quaternion_multiply,
        quaternion_rotate,
    )

    joints = _to_numpy(joints, np.float64)
    skeleton = _skeleton_of(joints)
    if len(joints) == 1:  # a pose is a motion that stands still
        joints = np.repeat(joints, 2, 0)
        still = fit_rigid_motion(joints)
        return RigidMotion(skeleton, still.offsets, still.root_positions[:1], still.rotations[:1], still.error[:1])
    check_joints(joints, skeleton)
    joints = joints * skeleton.unit_scale

    children: list[list[int]] = [[] for _ in skeleton.parents]
    for joint in skeleton.order:
        children[skeleton.parents[joint]].append(joint)
    offsets = np.zeros((skeleton.num_joints, 3))
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
        rest = np.stack([_rest_direction(skeleton.joint_names[kid]) for kid in kids])
        aims = joints[:, kids] - positions[:, joint, None]
        if len(kids) == 1:
            length = np.median(np.linalg.norm(joints[:, kids[0]] - joints[:, joint], axis=-1))
            offsets[kids] = rest * length
            rotations[:, joint] = quaternion_between(
                np.broadcast_to(rest, (len(joints), 3)), quaternion_rotate(quaternion_inverse(before), aims[:, 0])
            )
            world[:, joint] = quaternion_multiply(before, rotations[:, joint])
        else:
            offsets[kids] = _rigid_template(joints[:, kids] - joints[:, joint, None], rest)
            world[:, joint] = matrix_to_quaternion(_align(offsets[kids], aims))
            rotations[:, joint] = quaternion_multiply(quaternion_inverse(before), world[:, joint])
    error = np.linalg.norm(positions - joints, axis=-1)
    return RigidMotion(skeleton, offsets, joints[:, 0], rotations, error)


def bvh_text(motion: RigidMotion, fps: float) -> str:
    """A rigid motion as a BVH file: metres, Y up, root position and Z X Y rotations in degrees."""
    from .rotations_unimo import quaternion_to_euler

    skeleton = motion.skeleton
    lines: list[str] = ["HIERARCHY"]
    written: list[int] = []  # the order of joints in the file is the order of their channels

    def write(joint: int, indent: str) -> None:
        name = skeleton.joint_names[joint]
        inner = indent + "\t"
        position = "" if joint else "Xposition Yposition Zposition "
        lines.append(f"{indent}{'JOINT' if joint else 'ROOT'} {name}")
        lines.append(f"{indent}{{")
        lines.append(f"{inner}OFFSET {_numbers(motion.offsets[joint])}")
        lines.append(f"{inner}CHANNELS {3 if joint else 6} {position}Zrotation Xrotation Yrotation")
        written.append(joint)
        children = [child for child in range(skeleton.num_joints) if skeleton.parents[child] == joint]
        for child in children:
            write(child, inner)
        if not children:
            site = _rest_direction(name) * _END_LENGTH[name.rpartition("_")[2]]
            lines.extend((f"{inner}End Site", f"{inner}{{", f"{inner}\tOFFSET {_numbers(site)}", f"{inner}}}"))
        lines.append(f"{indent}}}")

    write(0, "")
    angles = _continuous(quaternion_to_euler(motion.rotations[:, written], _EULER_ORDER))
    rows = np.concatenate((motion.root_positions, np.degrees(angles).reshape(len(angles), 3 * len(written))), 1)
    lines.extend(("MOTION", f"Frames: {len(rows)}", f"Frame Time: {1 / fps:.8f}"))
    lines.extend(_numbers(row) for row in rows)
    return "\n".join(lines) + "\n"


def _continuous(angles: np.ndarray) -> np.ndarray:
    """Euler angles (T, J, 3) of the same rotations that move little between frames.

    Software that interpolates between frames must not spin a knee around where it bends past a right angle. Every
    rotation has a twin (a + pi, pi - b, c + pi). Changing to twins keeps distances, so the nearer of the two steps at
    each frame decides, and how often it was the twin's decides the sign.
    """
    twins = np.stack((angles[..., 0] + np.pi, np.pi - angles[..., 1], angles[..., 2] + np.pi), -1)

    def distance(after: np.ndarray, before: np.ndarray) -> np.ndarray:
        return np.abs(np.remainder(after - before + np.pi, 2 * np.pi) - np.pi).sum(-1)

    change = distance(twins[1:], angles[:-1]) < distance(angles[1:], angles[:-1])
    first = np.zeros((1, angles.shape[1]), dtype=bool)
    twin = np.concatenate((first, np.logical_xor.accumulate(change, axis=0)))
    return np.unwrap(np.where(twin[..., None], twins, angles), axis=0)


def _numbers(values: np.ndarray) -> str:
    return " ".join(f"{value:.6f}" for value in values + 0.0)


def save_motion(
    path: str | Path,
    joints: Array,
    features: Array | None = None,
    fps: float = 20.0,
    codes: Sequence[int] | None = None,
    text: str | None = None,
    thought: str | None = None,
) -> Path:
    """Write one motion; the suffix says how.

    ``.npy``: the features alone. ``.npz``: features, joints, fps, and codes, text and thought where given (no pickle;
    strings are 0-d unicode arrays). ``.bvh``: rotations solved from the joints (see `fit_rigid_motion`), in metres.
    ``.html``: a page that plays the motion. ``.mp4``: a video; needs PyAV (the "video" extra).

    Args:
        path: the file; its folder is created.
        joints: (T, 22, 3) metres, or (T, 21, 3) millimetres.
        features: (T, D) raw features of these joints. Without them `.npy` and `.npz` hold features computed from the
            joints, which retargets to the default skeleton and loses the last frame.
        fps: frames per second.
        codes: the motion's VQ codes.
        text: the caption.
        thought: the thought that led to the motion.

    Returns:
        The path written.

    Raises:
        ValueError: an unknown suffix, joints or features that are no motion, or a frame rate not above 0.
        ImportError: `.mp4` without PyAV.
    """
    from .motion_representation import joints_to_features

    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"cannot tell from {path.name!r} how to write a motion; use one of {', '.join(SUFFIXES)}")
    if not (np.isfinite(fps) and fps > 0):
        raise ValueError(f"fps must be > 0, got {fps}")
    joints = _to_numpy(joints, np.float32)
    skeleton = _skeleton_of(joints)
    if not np.isfinite(joints).all():
        check_joints(joints, skeleton, name=path.name)
    if suffix in (".npy", ".npz"):
        rows = _to_numpy(joints_to_features(joints, skeleton) if features is None else features, np.float32)
        check_features(rows, skeleton, name=path.name)
    path.parent.mkdir(parents=True, exist_ok=True)

    if suffix == ".npy":
        with atomic_write(path) as part:
            np.save(part, rows, allow_pickle=False)
    elif suffix == ".npz":
        arrays: dict[str, Any] = {"features": rows, "joints": joints, "fps": np.float32(fps)}
        if codes is not None:
            arrays["codes"] = np.asarray(codes, dtype=np.int64)
        arrays |= {key: np.array(value) for key, value in (("text", text), ("thought", thought)) if value is not None}
        with atomic_write(path) as part:
            np.savez_compressed(part, **arrays)
    elif suffix == ".bvh":
        content = bvh_text(fit_rigid_motion(joints), fps)
        with atomic_write(path) as part:
            part.write_text(content, encoding="ascii")
    elif suffix == ".html":
        save_html(path, [{"joints": joints, "label": ""}], fps=fps, title=text, caption=thought)
    else:
        save_mp4(path, iter_frames(joints, fps=fps), fps=fps)
    return path
