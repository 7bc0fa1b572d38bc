"""The surface of a SMPL, SMPL-H or SMPL-X body in motion, from a body model file of the user's own.

Source: Loper et al., "SMPL: A Skinned Multi-Person Linear Model" (2015), equations 2 to 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .skeletons_unimo import HUMANML3D
from .smpl_unimo import NUM_JOINTS, BodyModel, load_body_model, read_body_arrays

_NEEDED = ("v_template", "posedirs", "weights", "kintree_table", "f")
_FRAMES_TOGETHER = 16  # 12 numbers for each of 10,475 vertices of so many frames are 16 MB


@dataclass(frozen=True, eq=False)
class BodyMesh:
    """The surface of the mean shape, as far as the body's 22 joints move it.

    Attributes:
        body: its joints.
        template: (V, 3) vertices in the rest pose, metres, Y up.
        pose_directions: (V, 3, 189) how far the rotations of the 21 joints behind the root move them.
        weights: (V, 22) how much each vertex follows each joint; hands, jaw and eyes count as wrists and head.
        faces: (F, 3) triangles.
    """

    body: BodyModel
    template: np.ndarray
    pose_directions: np.ndarray
    weights: np.ndarray
    faces: np.ndarray


def load_body_mesh(path: str | Path) -> BodyMesh:
    """Reads the surface of a body model.

    Args:
        path: as `load_body_model` reads it.

    Returns:
        The surface.

    Raises:
        FileNotFoundError, ValueError: as `load_body_model`, or the file has joints alone.
    """
    body = load_body_model(path)
    arrays = read_body_arrays(Path(path), _NEEDED)
    missing = [key for key in _NEEDED if key not in arrays]
    if missing:
        raise ValueError(f"{path}: a body model without a surface: it lacks {', '.join(missing)}")
    template, directions, weights, tree, faces = (arrays[key] for key in _NEEDED)
    vertices, joints = len(template), tree.shape[1]
    expected = {"posedirs": (vertices, 3, 9 * (joints - 1)), "weights": (vertices, joints), "f": (len(faces), 3)}
    for key, shape in expected.items():
        if arrays[key].shape != shape:
            raise ValueError(f"{path}: {key} has shape {arrays[key].shape}, expected {shape}")
    if faces.size and not 0 <= faces.min() <= faces.max() < vertices:
        raise ValueError(f"{path}: f names vertices beyond the {vertices} there are")
    # What hangs on a wrist or the head is at rest, so it moves as that joint does.
    followed = np.zeros((vertices, NUM_JOINTS))
    parents = tree[0].astype(np.int64)
    for joint in range(joints):
        ancestor = joint
        while ancestor >= NUM_JOINTS:
            ancestor = int(parents[ancestor])
        followed[:, ancestor] += weights[:, joint]
    used = 9 * (NUM_JOINTS - 1)
    return BodyMesh(
        body,
        template.astype(np.float64),
        np.ascontiguousarray(directions[..., :used], dtype=np.float64),
        followed,
        faces.astype(np.int32),
    )


def smpl_vertices(mesh: BodyMesh, poses: np.ndarray, trans: np.ndarray) -> np.ndarray:
    """The vertices of the mean shape in motion, hands, jaw and eyes at rest.

    Args:
        mesh: the surface.
        poses: (T, 66 or more) axis-angle in radians, root first; the first 22 joints count.
        trans: (T, 3) metres.

    Returns:
        (T, V, 3) float32, in the axes of the parameters.
    """
    vertices = np.empty((len(poses), *mesh.template.shape), dtype=np.float32)
    rest = mesh.body.rest_joints
    for first in range(0, len(poses), _FRAMES_TOGETHER):
        block = slice(first, first + _FRAMES_TOGETHER)
        turns = _matrices(poses[block, : 3 * NUM_JOINTS].reshape(-1, NUM_JOINTS, 3))
        bent = (turns[:, 1:] - np.eye(3)).reshape(len(turns), -1)
        surface = mesh.template + np.einsum("vcp,tp->tvc", mesh.pose_directions, bent, optimize=True)
        world, places = turns.copy(), np.repeat(rest[None], len(turns), 0)
        for joint in HUMANML3D.order:
            parent = HUMANML3D.parents[joint]
            world[:, joint] = world[:, parent] @ turns[:, joint]
            places[:, joint] = places[:, parent] + world[:, parent] @ (rest[joint] - rest[parent])
        moved = places - np.einsum("tjab,jb->tja", world, rest)
        blended = np.einsum("vj,tjab->tvab", mesh.weights, world, optimize=True)
        vertices[block] = (
            np.einsum("tvab,tvb->tva", blended, surface)
            + np.einsum("vj,tja->tva", mesh.weights, moved, optimize=True)
            + trans[block, None]
        )
    return vertices


def _matrices(vectors: np.ndarray) -> np.ndarray:
    """(..., 3, 3) rotations of axis times angle in radians (..., 3), by Rodrigues' formula."""
    angle = np.linalg.norm(vectors, axis=-1)[..., None, None]
    x, y, z = np.moveaxis(vectors, -1, 0)
    zero = np.zeros_like(x)
    cross = np.stack((zero, -z, y, z, zero, -x, -y, x, zero), -1).reshape(*x.shape, 3, 3)
    return np.eye(3) + np.sinc(angle / np.pi) * cross + 0.5 * np.sinc(angle / (2 * np.pi)) ** 2 * (cross @ cross)
