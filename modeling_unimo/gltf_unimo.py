"""A rigid motion as a binary glTF file: a skeleton, its animation and the figure it moves, through pygltflib.

Source: Khronos Group, "glTF 2.0 Specification" (metres, Y up, faces +Z, left at +X: as this project's joints).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .bodies_unimo import SIDE_COLORS
from .figure_unimo import skinned_figure
from .rigid_motion_unimo import RigidMotion

_SIDES = ("trunk", "left", "right")
_COMPONENTS = {np.dtype(np.float32): 5126, np.dtype(np.uint16): 5123, np.dtype(np.uint8): 5121}
_VERTICES, _INDICES = 34962, 34963


def load_pygltflib() -> Any:
    """The library, which the extra "gltf" brings.

    Returns:
        The module.

    Raises:
        ImportError: it is not installed.
    """
    try:
        import pygltflib
    except ImportError as error:
        raise ImportError("GLB files need pygltflib: pip install 'unimo[gltf]'") from error
    return pygltflib


def glb_bytes(motion: RigidMotion, fps: float, names: Sequence[str], extras: Mapping[str, Any]) -> bytes:
    """A rigid motion as a GLB file.

    Args:
        motion: the motion.
        fps: its frames per second.
        names: of the joints.
        extras: what else the file says of the motion, such as its text.

    Returns:
        The file's bytes.

    Raises:
        ImportError: pygltflib is not installed.
    """
    from .rotations_unimo import quaternion_continuous

    library = load_pygltflib()
    figure, skeleton = skinned_figure(motion), motion.skeleton
    gltf, data = library.GLTF2(), bytearray()
    gltf.asset = library.Asset(version="2.0", generator="UniMo")
    rest = figure.rest_joints
    for joint, name in enumerate(names):
        children = [child for child, parent in enumerate(skeleton.parents) if parent == joint]
        offset = motion.offsets[joint] if joint else rest[0]
        gltf.nodes.append(library.Node(name=name, translation=offset.tolist(), children=children))
    gltf.nodes.append(library.Node(name="body", mesh=0, skin=0))
    # A skinned mesh follows its joints alone, so it stands beside them.
    gltf.scenes = [library.Scene(nodes=[0, len(names)], extras={**extras, "fps": fps})]
    gltf.scene = 0

    bind = np.tile(np.eye(4, dtype=np.float32), (len(names), 1, 1))
    bind[:, :3, 3] = -rest
    gltf.skins = [
        library.Skin(
            name="skeleton",
            joints=list(range(len(names))),
            skeleton=0,
            # Matrices are stored by columns.
            inverseBindMatrices=append_array(gltf, data, bind.swapaxes(1, 2).reshape(-1, 16), "MAT4"),
        )
    ]
    attributes = library.Attributes(
        POSITION=append_array(gltf, data, figure.points, "VEC3", _VERTICES, bounds=True),
        NORMAL=append_array(gltf, data, figure.normals, "VEC3", _VERTICES),
        JOINTS_0=append_array(gltf, data, figure.joints, "VEC4", _VERTICES),
        WEIGHTS_0=append_array(gltf, data, figure.weights, "VEC4", _VERTICES),
    )
    primitives = []
    for side, (triangles, color) in enumerate(zip(figure.triangles, SIDE_COLORS, strict=True)):
        gltf.materials.append(
            library.Material(
                name=_SIDES[side],
                pbrMetallicRoughness=library.PbrMetallicRoughness(
                    baseColorFactor=[*linear_color(color), 1.0], metallicFactor=0.0, roughnessFactor=0.8
                ),
            )
        )
        indices = append_array(gltf, data, triangles.astype(np.uint16).reshape(-1, 1), "SCALAR", _INDICES)
        primitives.append(library.Primitive(attributes=attributes, indices=indices, material=side))
    gltf.meshes = [library.Mesh(name="body", primitives=primitives)]

    times = append_times(gltf, data, len(motion.rotations), fps)
    animation = library.Animation(name="motion")
    add_channel(gltf, data, animation, times, 0, "translation", motion.root_positions)
    rotations = quaternion_continuous(motion.rotations)
    for joint, kids in enumerate(gltf.nodes[: len(names)]):
        if kids.children:  # joints without children keep their rest
            add_channel(gltf, data, animation, times, joint, "rotation", rotations[:, joint, [1, 2, 3, 0]])
    gltf.animations = [animation]
    gltf.buffers = [library.Buffer(byteLength=len(data))]
    gltf.set_binary_blob(bytes(data))
    return b"".join(gltf.save_to_bytes())


def linear_color(color: Sequence[int]) -> list[float]:
    """An sRGB colour of three bytes as linear numbers from 0 to 1.

    Args:
        color: Red, green and blue, 0 to 255.

    Returns:
        Red, green and blue, 0 to 1.
    """
    share = np.asarray(color) / 255.0
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4).tolist()


def append_times(gltf: Any, data: bytearray, frames: int, fps: float) -> int:
    """Appends the times of keyframes; returns the accessor's index.

    Args:
        gltf: The document, which gets a buffer view and an accessor.
        data: Its binary data, appended to.
        frames: Number of keyframes.
        fps: Keyframes per second.

    Returns:
        Index of the accessor.
    """
    times = (np.arange(frames) / fps).astype(np.float32)
    return append_array(gltf, data, times[:, None], "SCALAR", bounds=True)


def add_channel(
    gltf: Any, data: bytearray, animation: Any, times: int, node: int, path: str, values: np.ndarray
) -> None:
    """Adds one animated property of a node to an animation.

    Args:
        gltf: the file.
        data: its binary buffer.
        animation: the animation.
        times: accessor of the keyframes' times.
        node: the node that moves.
        path: "translation" (T, 3) or "rotation" (T, 4), quaternions (x, y, z, w).
        values: one row a keyframe.
    """
    library = load_pygltflib()
    output = append_array(gltf, data, values, "VEC3" if path == "translation" else "VEC4")
    target = library.AnimationChannelTarget(node=node, path=path)
    animation.channels.append(library.AnimationChannel(sampler=len(animation.samplers), target=target))
    animation.samplers.append(library.AnimationSampler(input=times, output=output, interpolation="LINEAR"))


def append_array(
    gltf: Any, data: bytearray, array: np.ndarray, kind: str, target: int | None = None, bounds: bool = False
) -> int:
    """Appends an array to the binary buffer, with its view and accessor.

    Args:
        gltf: the file.
        data: its binary buffer, which grows.
        array: (N, components); floats are stored as float32.
        kind: "SCALAR", "VEC3", "VEC4" or "MAT4".
        target: what the GPU uses it for, where it does.
        bounds: state the least and greatest values, as the format asks of positions and times.

    Returns:
        The accessor's index.
    """
    library = load_pygltflib()
    array = np.ascontiguousarray(array, dtype=np.float32 if array.dtype.kind == "f" else array.dtype)
    data.extend(bytes(-len(data) % 4))
    gltf.bufferViews.append(library.BufferView(buffer=0, byteOffset=len(data), byteLength=array.nbytes, target=target))
    data.extend(array.tobytes())
    accessor = library.Accessor(
        bufferView=len(gltf.bufferViews) - 1,
        componentType=_COMPONENTS[array.dtype],
        count=len(array),
        type=kind,
    )
    if bounds:
        accessor.min, accessor.max = array.min(0).tolist(), array.max(0).tolist()
    gltf.accessors.append(accessor)
    return len(gltf.accessors) - 1
