"""GLB files as rigs: the skeleton read, an animation added, everything else in the file left byte for byte.

The JSON of the file is changed itself, not objects made of it: glTF libraries fill in defaults and drop what they do
not know, and somebody's character must come out as it went in.

Source: Khronos Group, "glTF 2.0 Specification", sections 4.4 (GLB) and 5.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.sources.bvh_skeleton import place_joints
from datasets_scripts.sources.conversion import place_toes
from datasets_scripts.sources.orientation import Convention, gather
from datasets_scripts.sources.rigs import map_joints
from modeling_unimo.array_files_unimo import check_regular
from modeling_unimo.rigid_motion_unimo import slerp
from modeling_unimo.rotations_unimo import matrix_to_quaternion, quaternion_continuous, quaternion_to_matrix
from unimo.motion_files import LARGEST
from unimo.retargeting import RetargetedMotion
from unimo.rig import Rig
from unimo.scenes import even_times

_JSON, _BIN = 0x4E4F534A, 0x004E4942
_FLOAT = 5126
_EVEN = 1e-3  # relative difference of scales that counts as none
_FEWEST = 12  # joints of a skin that may be a body; with fewer it is a hat or a tail
ANIMATION = "motion"


@dataclass
class GlbRig:
    """A GLB file as a rig, with what its animation is written to.

    Attributes:
        rig: the skeleton: the joints of its skin and the nodes above them.
        nodes: index of each joint's node.
        scales: (J,) scale of each joint's own axes in the world.
        document: the JSON of the file.
        binary: its binary buffer.
    """

    rig: Rig
    nodes: list[int]
    scales: np.ndarray
    document: dict[str, Any]
    binary: bytes


def read_glb_rig(path: Path, joint_map: Mapping[str, str] | None = None, up: str = "auto") -> GlbRig:
    """Reads the skeleton of a GLB file; its rest pose is where its nodes are.

    Args:
        path: the file.
        joint_map: {HumanML3D joint: node in the file}, where names do not tell.
        up: the axis that points up; "auto" is Y, as glTF says.

    Returns:
        The rig.

    Raises:
        ValueError: it is no GLB file, has no skin or several skeletons, scales that are not uniform, or joints that
            cannot be mapped.
    """
    document, binary = _read_container(path)
    nodes = _skeleton_nodes(document)
    chosen = {node: place for place, node in enumerate(nodes)}
    parents_of = _parents(document)
    parents = [chosen.get(parents_of.get(node, -1), -1) for node in nodes]
    count = len(nodes)
    positions, turns, scales = np.zeros((count, 3)), np.tile(np.eye(3), (count, 1, 1)), np.ones(count)
    for joint, parent in enumerate(parents):
        translation, rotation, scale = _local(document["nodes"][nodes[joint]], nodes[joint])
        if parent < 0:
            positions[joint], turns[joint], scales[joint] = translation, rotation, scale
        else:
            positions[joint] = positions[parent] + scales[parent] * (turns[parent] @ translation)
            turns[joint], scales[joint] = turns[parent] @ rotation, scales[parent] * scale
    offsets = np.array([positions[j] - (positions[p] if p >= 0 else 0.0) for j, p in enumerate(parents)])
    names = [document["nodes"][node].get("name") or f"node {node}" for node in nodes]
    found, reading = map_joints(Rig(names, parents, offsets, turns, positions), positions[None], joint_map)
    rig = Rig(names, parents, offsets, turns, positions, found, notes=[reading] if reading else [])
    body = np.repeat(rig.rest_body(), 2, 0)
    mirrored = gather([body], 20.0)[0].decide("y" if up == "auto" else up).mirrored
    rig.convention = Convention("y" if up == "auto" else up, mirrored)
    return GlbRig(rig, nodes, scales, document, binary)


def glb_rig_bytes(source: GlbRig, motion: RetargetedMotion, fps: float, name: str = ANIMATION) -> bytes:
    """The file with one more animation.

    Args:
        source: The rig.
        motion: The motion on it.
        fps: Frames per second.
        name: Name of the animation.

    Returns:
        Content of the GLB file.

    Raises:
        ValueError: its first buffer lies in another file.
    """
    document = json.loads(json.dumps(source.document))
    buffers = document.setdefault("buffers", [{"byteLength": 0}])
    if "uri" in buffers[0]:
        raise ValueError("its buffers lie in other files; export the character as one GLB file")
    data = bytearray(source.binary[: buffers[0]["byteLength"]])
    frames, rig = len(motion.positions), source.rig
    times = _append(document, data, (np.arange(frames) / fps)[:, None], bounds=True)
    animation: dict[str, Any] = {"name": name, "channels": [], "samplers": []}

    def add(node: int, path: str, values: np.ndarray) -> None:
        animation["channels"].append({"sampler": len(animation["samplers"]), "target": {"node": node, "path": path}})
        sampler = {"input": times, "output": _append(document, data, values), "interpolation": "LINEAR"}
        animation["samplers"].append(sampler)
        _split_matrix(document["nodes"][node], node)

    moved, parent = motion.moved, rig.parents[motion.moved]
    place = motion.positions[:, moved]
    if parent >= 0:
        place = np.einsum("tji,tj->ti", motion.rotations[:, parent], place - motion.positions[:, parent])
        place = place / source.scales[parent]
    add(source.nodes[moved], "translation", place)
    for joint in motion.turned:
        local = motion.rotations[:, joint]
        if rig.parents[joint] >= 0:
            local = motion.rotations[:, rig.parents[joint]].swapaxes(-1, -2) @ local
        quaternions = quaternion_continuous(matrix_to_quaternion(np.ascontiguousarray(local))[:, None])[:, 0]
        add(source.nodes[joint], "rotation", quaternions[:, [1, 2, 3, 0]])
    document.setdefault("animations", []).append(animation)
    buffers[0]["byteLength"] = len(data)
    return _container(document, bytes(data))


def read_glb_motion(
    path: Path, joint_map: Mapping[str, str] | None = None, up: str = "auto"
) -> tuple[np.ndarray, float, list[str]]:
    """The joints of a GLB file's animation, of several the one that moves most joints (of equals the last).

    Args:
        path: the file.
        joint_map: as `read_glb_rig`.
        up: as `read_glb_rig`.

    Returns:
        Joints (T, 22, 3) Y up in the file's unit, metres by definition; frames per second; what was assumed.

    Raises:
        ValueError: as `read_glb_rig`, or nothing in it moves the skeleton.
    """
    source = read_glb_rig(path, joint_map, up)
    document, rig = source.document, source.rig
    place = {node: joint for joint, node in enumerate(source.nodes)}

    def moving(animation: dict[str, Any]) -> list[dict[str, Any]]:
        return [channel for channel in animation["channels"] if channel["target"].get("node") in place]

    animations = document.get("animations") or []
    animation = max(reversed(animations), key=lambda item: len(moving(item)), default=None)
    if animation is None or not moving(animation):
        raise ValueError("no animation in it moves the skeleton")
    tracks: dict[tuple[int, str], tuple[np.ndarray, np.ndarray]] = {}
    for channel in moving(animation):
        sampler = animation["samplers"][channel["sampler"]]
        if sampler.get("interpolation", "LINEAR") == "CUBICSPLINE":
            raise ValueError("its animation has cubic splines; export it with sampled (linear) keyframes")
        times, values = (_array(source, sampler[key]) for key in ("input", "output"))
        tracks[place[channel["target"]["node"]], channel["target"]["path"]] = times[:, 0], values
    every = np.unique(np.concatenate([times for times, _ in tracks.values()]).round(6))
    grid, step = even_times(every)
    positions = _animated(source, tracks, grid)
    joints, placed = place_toes(rig.convention.apply(place_joints(rig, positions, rig.joints)))
    name = animation.get("name", "without a name")
    return joints, round(1 / step, 3), [note for note in (*rig.notes, f"animation {name}", placed) if note]


def _array(source: GlbRig, index: int) -> np.ndarray:
    """An accessor's floats (N, components)."""
    accessor = source.document["accessors"][index]
    if accessor["componentType"] != _FLOAT or "sparse" in accessor or "bufferView" not in accessor:
        raise ValueError("its keyframes are no plain floats; export it without compression of animations")
    view = source.document["bufferViews"][accessor["bufferView"]]
    width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
    start = view.get("byteOffset", 0) + accessor.get("byteOffset", 0)
    if view.get("buffer") != 0 or start + 4 * width * accessor["count"] > len(source.binary):
        raise ValueError("its keyframes lie outside the file's binary part")
    flat = np.frombuffer(source.binary, "<f4", width * accessor["count"], start)
    return flat.reshape(-1, width).astype(np.float64)


def _animated(
    source: GlbRig, tracks: Mapping[tuple[int, str], tuple[np.ndarray, np.ndarray]], grid: np.ndarray
) -> np.ndarray:
    """(T, J, 3) positions of the joints in the world at some times."""
    rig = source.rig
    count = len(rig.names)
    turns, positions = np.empty((len(grid), count, 3, 3)), np.empty((len(grid), count, 3))
    for joint, parent in enumerate(rig.parents):
        node = source.nodes[joint]
        translation, rotation, _ = _local(source.document["nodes"][node], node)
        moved, turned = np.broadcast_to(translation, (len(grid), 3)), np.broadcast_to(rotation, (len(grid), 3, 3))
        if (joint, "translation") in tracks:
            times, values = tracks[joint, "translation"]
            moved = np.stack([np.interp(grid, times, column) for column in values.T], 1)
        if (joint, "rotation") in tracks:
            times, values = tracks[joint, "rotation"]
            before = np.clip(np.searchsorted(times, grid + 1e-9) - 1, 0, max(len(times) - 2, 0))
            after = np.minimum(before + 1, len(times) - 1)
            share = np.clip((grid - times[before]) / np.maximum(times[after] - times[before], 1e-12), 0.0, 1.0)
            quaternions = values[:, [3, 0, 1, 2]]
            turned = quaternion_to_matrix(slerp(quaternions[before], quaternions[after], share))
        if parent < 0:
            positions[:, joint], turns[:, joint] = moved, turned
        else:
            offset = np.einsum("tij,tj->ti", turns[:, parent], moved) * source.scales[parent]
            positions[:, joint] = positions[:, parent] + offset
            turns[:, joint] = turns[:, parent] @ turned
    return positions


# ----------------------------------------------------------------------------------------------------- the container
def _read_container(path: Path) -> tuple[dict[str, Any], bytes]:
    size = check_regular(path)
    if size > LARGEST:
        raise ValueError(f"{size >> 20} MB; rigs of at most {LARGEST >> 20} MB are read")
    data = path.read_bytes()
    if data[:4] != b"glTF" or len(data) < 20:
        raise ValueError(f"is not a GLB file: it begins with {data[:4]!r}, expected b'glTF'")
    version, length = struct.unpack_from("<II", data, 4)
    if version != 2:
        raise ValueError(f"glTF version {version}; version 2 is read")
    if length != len(data):
        raise ValueError(f"the file is cut: it says {length} bytes and has {len(data)}")
    chunks: dict[int, bytes] = {}
    place = 12
    while place + 8 <= length:
        chunk, kind = struct.unpack_from("<II", data, place)
        if place + 8 + chunk > length:
            raise ValueError("the file is cut: a chunk ends behind its end")
        chunks.setdefault(kind, data[place + 8 : place + 8 + chunk])
        place += 8 + chunk
    try:
        document = json.loads(chunks.get(_JSON, b""))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"its JSON cannot be read ({error})") from error
    if not isinstance(document, dict) or not isinstance(document.get("nodes"), list):
        raise ValueError("holds no nodes")
    return document, chunks.get(_BIN, b"")


def _container(document: dict[str, Any], data: bytes) -> bytes:
    text = json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode("utf-8")
    text += b" " * (-len(text) % 4)
    data += bytes(-len(data) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 12 + 8 + len(text) + 8 + len(data))
    return head + struct.pack("<II", len(text), _JSON) + text + struct.pack("<II", len(data), _BIN) + data


def _append(document: dict[str, Any], data: bytearray, values: np.ndarray, bounds: bool = False) -> int:
    """Appends floats (N, components) to the binary buffer; returns the accessor's index."""
    values = np.ascontiguousarray(values, dtype="<f4")
    data.extend(bytes(-len(data) % 4))
    views = document.setdefault("bufferViews", [])
    views.append({"buffer": 0, "byteOffset": len(data), "byteLength": values.nbytes})
    data.extend(values.tobytes())
    kind = {1: "SCALAR", 3: "VEC3", 4: "VEC4"}[values.shape[1]]
    accessor = {"bufferView": len(views) - 1, "componentType": _FLOAT, "count": len(values), "type": kind}
    if bounds:
        accessor |= {"min": values.min(0).tolist(), "max": values.max(0).tolist()}
    accessors = document.setdefault("accessors", [])
    accessors.append(accessor)
    return len(accessors) - 1


# ---------------------------------------------------------------------------------------------------------- the nodes
def _parents(document: dict[str, Any]) -> dict[int, int]:
    return {child: node for node, item in enumerate(document["nodes"]) for child in item.get("children", [])}


def _skeleton_nodes(document: dict[str, Any]) -> list[int]:
    """The joints of the one skeleton and the nodes above them, parents first."""
    skins = document.get("skins") or []
    if not skins:
        raise ValueError("has no skin: no skeleton moves its mesh; bind the mesh to an armature and export it again")
    skeletons: list[set[int]] = []
    for skin in skins:  # skins that share a joint (body, hair, clothes) belong to one skeleton
        joints = set(skin["joints"])
        sharing = [other for other in skeletons if other & joints]
        skeletons = [other for other in skeletons if not other & joints] + [joints.union(*sharing)]
    parents = _parents(document)
    bodies = [joints for joints in skeletons if len(joints) >= _FEWEST] or [max(skeletons, key=len)]
    if len(bodies) > 1:
        names = " and ".join(_top_name(document, joints, parents) for joints in bodies)
        raise ValueError(f"holds {len(bodies)} skeletons ({names}); keep one of them in the file")
    chosen: set[int] = set()
    for joint in bodies[0]:
        while joint >= 0 and joint not in chosen:
            chosen.add(joint)
            joint = parents.get(joint, -1)
    order = [node for node in chosen if parents.get(node, -1) not in chosen]
    if len(order) > 1:
        names = ", ".join(str(document["nodes"][node].get("name", node)) for node in order)
        raise ValueError(f"its skeleton has {len(order)} roots ({names}); give them one parent")
    for node in order:  # grows while it is walked
        order.extend(child for child in document["nodes"][node].get("children", []) if child in chosen)
    return order


def _top_name(document: dict[str, Any], joints: set[int], parents: dict[int, int]) -> str:
    top = next(joint for joint in sorted(joints) if parents.get(joint, -1) not in joints)
    return str(document["nodes"][top].get("name", top))


def _local(node: dict[str, Any], index: int) -> tuple[np.ndarray, np.ndarray, float]:
    """Translation (3,), rotation (3, 3) and scale of a node."""
    name = node.get("name", index)
    if "matrix" in node:
        matrix = np.array(node["matrix"], dtype=np.float64).reshape(4, 4).T
        columns = matrix[:3, :3]
        scales = np.linalg.norm(columns, axis=0)
        if np.linalg.det(columns) <= 0:
            raise ValueError(f"the node {name} is mirrored or flat; apply its scale where the character was made")
        translation, rotation = matrix[:3, 3], columns / scales
    else:
        translation = np.array(node.get("translation", (0.0, 0.0, 0.0)), dtype=np.float64)
        x, y, z, w = node.get("rotation", (0.0, 0.0, 0.0, 1.0))
        rotation = quaternion_to_matrix(np.array((w, x, y, z), dtype=np.float64))
        scales = np.array(node.get("scale", (1.0, 1.0, 1.0)), dtype=np.float64)
    if not np.isfinite([*translation, *scales]).all() or scales.min() <= 0 or np.ptp(scales) > _EVEN * scales.max():
        shown = ", ".join(f"{scale:g}" for scale in scales)
        raise ValueError(
            f"the node {name} has the scale ({shown}), which must be uniform and positive; apply it where the "
            "character was made"
        )
    return translation, rotation, float(scales.mean())


def _split_matrix(node: dict[str, Any], index: int) -> None:
    """Gives a node translation, rotation and scale in place of a matrix, which cannot be animated."""
    if "matrix" not in node:
        return
    translation, rotation, scale = _local(node, index)
    w, x, y, z = matrix_to_quaternion(rotation).tolist()
    del node["matrix"]
    node |= {"translation": translation.tolist(), "rotation": [x, y, z, w], "scale": [scale] * 3}
