"""Small motion files for tests: a body that steps and swings, as joints, as BVH in any naming scheme, as HumanML3D."""

import json
from pathlib import Path

import numpy as np

from modeling_unimo.motion_representation import HUMANML3D, KIT, joints_to_features

NAMES = HUMANML3D.joint_names
PARENTS = HUMANML3D.parents
# Rest pose in metres: arms down, facing +Z, left at +X.
REST = {
    "left_hip": (0.06, -0.08, 0.0),
    "right_hip": (-0.06, -0.08, 0.0),
    "spine1": (0, 0.12, 0),
    "left_knee": (0, -0.39, 0.02),
    "right_knee": (0, -0.39, 0.02),
    "spine2": (0, 0.14, 0),
    "left_ankle": (0, -0.42, -0.03),
    "right_ankle": (0, -0.42, -0.03),
    "spine3": (0, 0.06, 0),
    "left_foot": (0, -0.06, 0.13),
    "right_foot": (0, -0.06, 0.13),
    "neck": (0, 0.21, 0),
    "left_collar": (0.08, 0.12, 0),
    "right_collar": (-0.08, 0.12, 0),
    "head": (0, 0.1, 0.02),
    "left_shoulder": (0.12, 0.02, 0),
    "right_shoulder": (-0.12, 0.02, 0),
    "left_elbow": (0.03, -0.25, 0),
    "right_elbow": (-0.03, -0.25, 0),
    "left_wrist": (0.02, -0.26, 0),
    "right_wrist": (-0.02, -0.26, 0),
}


def offsets() -> np.ndarray:
    """Rest bone vectors (22, 3)."""
    return np.array([REST.get(name, (0, 0, 0)) for name in NAMES], dtype=np.float64)


def swings(frames: int, fps: float) -> dict[str, np.ndarray]:
    """Rotation about x in degrees of some joints over `frames`: legs and arms swing once a second."""
    wave = 25.0 * np.sin(2 * np.pi * np.arange(frames) / fps)
    return {"left_hip": wave, "right_hip": -wave, "left_shoulder": -wave, "right_shoulder": wave}


def joints(frames: int = 80, fps: float = 20.0, speed: float = 0.8) -> np.ndarray:
    """Positions (T, 22, 3) of the body walking along +Z."""
    turns = swings(frames, fps)
    result = np.zeros((frames, 22, 3))
    world = np.broadcast_to(np.eye(3), (22, frames, 3, 3)).copy()
    result[:, 0] = np.array([0.0, 0.95, 0.0]) + np.arange(frames)[:, None] / fps * np.array([0.0, 0.0, speed])
    order = sorted(range(1, 22), key=lambda j: (len(_path(j)), j))
    rest = offsets()
    for joint in order:
        parent = PARENTS[joint]
        result[:, joint] = result[:, parent] + np.einsum("tij,j->ti", world[parent], rest[joint])
        world[joint] = world[parent]
        if NAMES[joint] in turns:
            angle = np.deg2rad(turns[NAMES[joint]])
            turn = np.zeros((frames, 3, 3))
            turn[:, 0, 0] = 1
            turn[:, 1, 1] = turn[:, 2, 2] = np.cos(angle)
            turn[:, 1, 2], turn[:, 2, 1] = -np.sin(angle), np.sin(angle)
            world[joint] = world[joint] @ turn
    return result


def _path(joint: int) -> list[int]:
    path = [joint]
    while PARENTS[path[-1]] >= 0:
        path.append(PARENTS[path[-1]])
    return path


def features(frames: int = 80, speed: float = 0.8) -> np.ndarray:
    """Raw features (frames, 263)."""
    clip = joints(frames + 1, speed=speed)
    return np.asarray(joints_to_features(clip, target_offsets=HUMANML3D.default_offsets), dtype=np.float32)


def bvh_text(
    names: dict[str, str] | None = None,
    frames: int = 60,
    fps: float = 20.0,
    scale: float = 1.0,
    order: str = "ZYX",
    positions: str = "root",
    axes: tuple[int, int, int] = (0, 1, 2),
    signs: tuple[int, int, int] = (1, 1, 1),
    speed: float = 0.8,
) -> str:
    """The same walk as BVH text.

    `names` renames joints, `scale` changes the unit, `order` the rotation channels. `positions` gives position
    channels to the "root" alone, to "all" joints (whole translations) or to all as "displacements" from OFFSET.
    `axes` and `signs` re-label the world's axes (a swing is about x, so x must stay x).
    """
    names = names or {}
    rest = offsets()[:, axes] * np.array(signs) * scale
    turns = swings(frames, fps)
    sign = signs[1] * signs[2] * (1 if axes[1] < axes[2] else -1)
    columns: list[np.ndarray] = []
    lines = ["HIERARCHY"]
    children = {j: [k for k in range(22) if PARENTS[k] == j] for j in range(22)}

    def write(joint: int, indent: str) -> None:
        kind = "ROOT" if joint == 0 else "JOINT"
        lines.append(f"{indent}{kind} {names.get(NAMES[joint], NAMES[joint])}")
        lines.append(indent + "{")
        lines.append(f"{indent}  OFFSET " + " ".join(f"{v:.6f}" for v in rest[joint]))
        channels = []
        if joint == 0 or positions != "root":
            channels += ["Xposition", "Yposition", "Zposition"]
            if joint == 0:
                start = np.array([0.0, 0.95, 0.0]) + np.arange(frames)[:, None] / fps * np.array([0.0, 0.0, speed])
                columns.extend((start[:, axes] * np.array(signs) * scale).T)
            else:
                value = rest[joint] if positions == "all" else np.zeros(3)
                columns.extend(np.tile(value, (frames, 1)).T)
        for axis in order:
            channels.append(f"{axis}rotation")
            swing = turns.get(NAMES[joint], np.zeros(frames)) if axis == "X" else np.zeros(frames)
            columns.append(swing * sign)
        lines.append(f"{indent}  CHANNELS {len(channels)} " + " ".join(channels))
        if not children[joint]:
            lines.extend([f"{indent}  End Site", indent + "  {", f"{indent}    OFFSET 0 0 0", indent + "  }"])
        for child in children[joint]:
            write(child, indent + "  ")
        lines.append(indent + "}")

    write(0, "")
    lines += ["MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.7f}"]
    for row in np.stack(columns, axis=1):
        lines.append(" ".join(f"{value:.6f}" for value in row))
    return "\n".join(lines) + "\n"


def kit_features(frames: int = 60, speed: float = 0.8) -> np.ndarray:
    """Raw features (frames, 251) of the body on KIT-ML's skeleton, in millimetres at 12.5 fps."""
    body = joints(frames + 1, fps=12.5, speed=speed)
    same = {"spine": "spine1", "chest": "spine3"}
    clip = np.empty((frames + 1, KIT.num_joints, 3))
    for index, name in enumerate(KIT.joint_names):
        side = name.split("_")[0]
        if name.endswith("heel"):
            ankle, foot = (body[:, NAMES.index(f"{side}_{part}")] for part in ("ankle", "foot"))
            clip[:, index] = ankle + 0.3 * (foot - ankle)
        else:
            clip[:, index] = body[:, NAMES.index(same.get(name, name))]
    return np.asarray(joints_to_features(1000 * clip, KIT), dtype=np.float32)


def write_captions(folder: Path, entries: list[dict]) -> None:
    """captions.jsonl of a folder."""
    text = "".join(json.dumps(entry) + "\n" for entry in entries)
    (folder / "captions.jsonl").write_text(text, encoding="utf-8")


def humanml3d_folder(folder: Path, dim: int = 263, clips: int = 6) -> Path:
    """A small sound folder in the official layout: `clips` clips and their mirrors over three splits."""
    for name in ("new_joint_vecs", "texts"):
        (folder / name).mkdir(parents=True)
    names = [f"{i:06d}" for i in range(clips)]
    every = []
    for index, name in enumerate([*names, *(f"M{name}" for name in names)]):
        frames, speed = 10 * (index % clips), 0.5 + 0.1 * index
        motion = features(60 + frames, speed) if dim == 263 else kit_features(40 + frames, speed)
        np.save(folder / "new_joint_vecs" / f"{name}.npy", motion)
        every.append(motion)
        line = "a person walks forward.#a/DET person/NOUN walk/VERB forward/ADV#0.0#0.0\n"
        (folder / "texts" / f"{name}.txt").write_text(line + line.replace("a person", "someone"), encoding="utf-8")
    for split, chosen in (("train", names[:-2]), ("val", names[-2:-1]), ("test", names[-1:])):
        text = "".join(f"{name}\n" for name in [*chosen, *(f"M{name}" for name in chosen)])
        (folder / f"{split}.txt").write_text(text, encoding="utf-8")
    stacked = np.concatenate(every)
    np.save(folder / "Mean.npy", stacked.mean(axis=0))
    np.save(folder / "Std.npy", stacked.std(axis=0) + 1e-3)
    return folder
