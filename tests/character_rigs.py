"""Characters for tests of retargeting: bodies at rest in any pose and size, as BVH text and as skinned GLB files."""

import json
import struct
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from motion_files import NAMES, PARENTS, offsets
from scipy.spatial.transform import Rotation

from modeling_unimo.joint_names_unimo import JOINT_NAMES

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360f8cfc0000003010100"
    "c9fe92ef0000000049454e44ae426082"
)


@dataclass
class Character:
    """A skeleton at rest: names, parents before children, and joints (J, 3) in metres, Y up, facing +Z."""

    names: list[str]
    parents: list[int]
    joints: np.ndarray


def character(arms: float = 90.0, legs: float = 1.0, trunk: float = 1.0, twists: bool = False, names: str = "mixamo"):
    """A body at rest.

    Args:
        arms: degrees of the arms above straight down: 90 a T-pose, 45 an A-pose.
        legs, trunk: lengths as multiples of an ordinary body's.
        twists: a joint in the middle of each thigh and upper arm, between its ends.
        names: a scheme of `JOINT_NAMES`.
    """
    bones = offsets()
    for joint, name in enumerate(NAMES):
        part = name.rpartition("_")[2]
        if part in ("elbow", "wrist"):
            sign = 1.0 if name.startswith("left") else -1.0
            length = np.linalg.norm(bones[joint])
            bones[joint] = length * np.array([sign * np.sin(np.radians(arms)), -np.cos(np.radians(arms)), 0.0])
        bones[joint] *= legs if part in ("knee", "ankle") else trunk if "spine" in part or part == "neck" else 1.0
    joints = np.zeros((22, 3))
    order = [0]
    for joint in order:
        order.extend(child for child in range(22) if PARENTS[child] == joint)
        if joint:
            joints[joint] = joints[PARENTS[joint]] + bones[joint]
    joints[:, 1] -= joints[:, 1].min() - 0.03
    found = Character([], [], np.zeros((0, 3)))
    place: dict[int, int] = {}
    for joint in order:
        parent = place.get(PARENTS[joint], -1)
        if twists and NAMES[joint].rpartition("_")[2] in ("knee", "elbow"):
            found.names.append(f"{JOINT_NAMES[names][PARENTS[joint]]}Twist")
            found.parents.append(parent)
            found.joints = np.vstack((found.joints, (joints[joint] + joints[PARENTS[joint]]) / 2))
            parent = len(found.names) - 1
        place[joint] = len(found.names)
        found.names.append(JOINT_NAMES[names][joint])
        found.parents.append(parent)
        found.joints = np.vstack((found.joints, joints[joint]))
    return found


def bvh_rig(body: Character, scale: float = 1.0, turn: Rotation | None = None, order: str = "ZXY") -> str:
    """The body as a BVH file of two frames at rest, in another unit and, turned, in other axes."""
    joints = (body.joints if turn is None else turn.apply(body.joints)) * scale
    lines = ["HIERARCHY"]

    def write(joint: int, indent: str) -> None:
        parent = body.parents[joint]
        offset = joints[joint] - (joints[parent] if parent >= 0 else 0)
        channels = [f"{axis}rotation" for axis in order]
        if parent < 0:
            channels = ["Xposition", "Yposition", "Zposition", *channels]
        lines.append(f"{indent}{'ROOT' if parent < 0 else 'JOINT'} {body.names[joint]}")
        lines.append(indent + "{")
        lines.append(f"{indent}  OFFSET " + " ".join(f"{value:.6f}" for value in offset))
        lines.append(f"{indent}  CHANNELS {len(channels)} {' '.join(channels)}")
        children = [child for child, above in enumerate(body.parents) if above == joint]
        for child in children:
            write(child, indent + "  ")
        if not children:
            lines.extend(
                [f"{indent}  End Site", indent + "  {", f"{indent}    OFFSET 0 {0.05 * scale} 0", indent + "  }"]
            )
        lines.append(indent + "}")

    write(0, "")
    row = " ".join(f"{value:.6f}" for value in joints[0]) + " 0" * (3 * len(body.names))
    return "\n".join([*lines, "MOTION", "Frames: 2", "Frame Time: 0.05", row, row]) + "\n"


def glb_document(body: Character, unit: float = 1.0, seed: int | None = None) -> tuple[dict, bytes]:
    """JSON and buffer of a skinned character with a material, an embedded picture and an animation of its own.

    Args:
        body: the skeleton.
        unit: metres in a unit of the joints below the armature, whose node has this scale.
        seed: for random axes of the joints; None for those of the world.
    """
    count = len(body.names)
    random = np.random.default_rng(seed or 0)
    turns = Rotation.random(count, random) if seed is not None else Rotation.identity(count)
    data = bytearray()
    views, accessors = [], []

    def add(array: np.ndarray, kind: str, component: int = 5126, **more) -> int:
        data.extend(bytes(-len(data) % 4))
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": array.nbytes})
        data.extend(array.tobytes())
        accessors.append({"bufferView": len(views) - 1, "componentType": component, "count": len(array), "type": kind})
        accessors[-1] |= more
        return len(accessors) - 1

    nodes: list[dict] = []
    for joint, parent in enumerate(body.parents):
        offset = (body.joints[joint] - (body.joints[parent] if parent >= 0 else 0)) / unit
        local = turns[joint] if parent < 0 else turns[parent].inv() * turns[joint]
        offset = offset if parent < 0 else turns[parent].inv().apply(offset)
        children = [child for child, above in enumerate(body.parents) if above == joint]
        nodes.append({"name": body.names[joint], "translation": offset.tolist(), "rotation": local.as_quat().tolist()})
        if children:
            nodes[-1]["children"] = children
    nodes.append({"name": "Armature", "scale": [unit] * 3, "children": [0]})
    nodes.append({"name": "Body", "mesh": 0, "skin": 0})
    binds = np.tile(np.eye(4), (count, 1, 1))
    binds[:, :3, :3] = turns.as_matrix() * unit
    binds[:, :3, 3] = body.joints
    triangle = body.joints[:3].astype("<f4")
    times = np.array([0, 1], "<f4")
    document = {
        "asset": {"version": "2.0", "generator": "a modelling program", "extras": {"licence": "mine"}},
        "scene": 0,
        "scenes": [{"nodes": [count, count + 1]}],
        "nodes": nodes,
        "skins": [
            {
                "joints": list(range(count)),
                "inverseBindMatrices": add(np.linalg.inv(binds).swapaxes(1, 2).reshape(-1, 16).astype("<f4"), "MAT4"),
            }
        ],
        "meshes": [
            {
                "name": "Body",
                "primitives": [
                    {
                        "attributes": {
                            "POSITION": add(
                                triangle, "VEC3", min=triangle.min(0).tolist(), max=triangle.max(0).tolist()
                            ),
                            "JOINTS_0": add(np.zeros((3, 4), np.uint8), "VEC4", 5121),
                            "WEIGHTS_0": add(np.tile(np.array([1, 0, 0, 0], "<f4"), (3, 1)), "VEC4"),
                        },
                        "material": 0,
                    }
                ],
            }
        ],
        "materials": [{"name": "skin", "extensions": {"VRMC_materials_mtoon": {"shade": 0.5}}}],
        "animations": [
            {
                "name": "idle",
                "samplers": [{"input": add(times[:, None], "SCALAR", min=[0.0], max=[1.0]), "output": 0}],
                "channels": [{"sampler": 0, "target": {"node": 0, "path": "translation"}}],
            }
        ],
        "extensionsUsed": ["VRMC_materials_mtoon"],
        "accessors": accessors,
        "bufferViews": views,
    }
    document["animations"][0]["samplers"][0]["output"] = add(np.zeros((2, 3), "<f4"), "VEC3")
    data.extend(bytes(-len(data) % 4))
    views.append({"buffer": 0, "byteOffset": len(data), "byteLength": len(PIXEL)})
    data.extend(PIXEL)
    document["images"] = [{"bufferView": len(views) - 1, "mimeType": "image/png"}]
    document["buffers"] = [{"byteLength": len(data)}]
    return document, bytes(data)


def glb_bytes(document: dict, data: bytes) -> bytes:
    """The container around both."""
    text = json.dumps(document).encode()
    text += b" " * (-len(text) % 4)
    data += bytes(-len(data) % 4)
    head = struct.pack("<4sII", b"glTF", 2, 28 + len(text) + len(data))
    return head + struct.pack("<I4s", len(text), b"JSON") + text + struct.pack("<I4s", len(data), b"BIN\0") + data


def read_glb(path: Path) -> tuple[dict, bytes]:
    """JSON and buffer of a GLB file."""
    data = path.read_bytes()
    length = struct.unpack_from("<I", data, 12)[0]
    return json.loads(data[20 : 20 + length]), data[28 + length :]


def animated_nodes(path: Path, name: str) -> tuple[list[str], np.ndarray]:
    """Names and world positions (T, N, 3) of all nodes while an animation plays."""
    document, data = read_glb(path)

    def array(index: int) -> np.ndarray:
        accessor = document["accessors"][index]
        width = {"SCALAR": 1, "VEC3": 3, "VEC4": 4}[accessor["type"]]
        start = document["bufferViews"][accessor["bufferView"]]["byteOffset"]
        return np.frombuffer(data, "<f4", accessor["count"] * width, start).reshape(-1, width).astype(np.float64)

    animation = next(item for item in document["animations"] if item["name"] == name)
    tracks = {
        (channel["target"]["node"], channel["target"]["path"]): array(
            animation["samplers"][channel["sampler"]]["output"]
        )
        for channel in animation["channels"]
    }
    nodes = document["nodes"]
    frames = len(next(iter(tracks.values())))
    world = np.tile(np.eye(4), (len(nodes), frames, 1, 1))
    parents = {child: node for node, item in enumerate(nodes) for child in item.get("children", [])}
    order = [node for node in range(len(nodes)) if node not in parents]
    for node in order:
        order.extend(nodes[node].get("children", []))
        matrix = np.tile(np.eye(4), (frames, 1, 1))
        if "matrix" in nodes[node]:
            matrix[:] = np.array(nodes[node]["matrix"]).reshape(4, 4).T
        else:
            turn = tracks.get((node, "rotation"), np.tile(nodes[node].get("rotation", [0, 0, 0, 1]), (frames, 1)))
            matrix[:, :3, :3] = Rotation.from_quat(turn).as_matrix() * np.array(nodes[node].get("scale", [1, 1, 1]))
            matrix[:, :3, 3] = tracks.get((node, "translation"), np.array(nodes[node].get("translation", [0.0, 0, 0])))
        world[node] = world[parents[node]] @ matrix if node in parents else matrix
    return [item.get("name", "") for item in nodes], world[:, :, :3, 3].swapaxes(0, 1)
