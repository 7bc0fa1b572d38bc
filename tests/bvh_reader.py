"""A BVH reader of the tests' own, to compare with."""

from pathlib import Path

import numpy as np

from modeling_unimo.rotations_unimo import quaternion_multiply, quaternion_rotate


def read_bvh(path: Path) -> tuple[list[str], np.ndarray, np.ndarray, float]:
    """Names, joint positions (T, J, 3), channel values (T, C) and frame time: a reader of its own, to compare with."""
    words = path.read_text(encoding="ascii").split()
    names: list[str] = []
    parents: list[int] = []
    offsets: list[np.ndarray] = []
    channels: list[list[str]] = []
    stack: list[int] = []
    at, joint = 1, -1
    assert words[0] == "HIERARCHY"
    while words[at] != "MOTION":
        word = words[at]
        if word in ("ROOT", "JOINT", "End"):
            names.append(words[at + 1] if word != "End" else f"{names[stack[-1]]}_end")
            parents.append(stack[-1] if stack else -1)
            channels.append([])
            joint = len(names) - 1
            at += 2
        elif word == "{":
            stack.append(joint)
            at += 1
        elif word == "}":
            stack.pop()
            at += 1
        elif word == "OFFSET":
            offsets.append(np.array(words[at + 1 : at + 4], dtype=np.float64))
            at += 4
        else:
            assert word == "CHANNELS"
            count = int(words[at + 1])
            channels[stack[-1]] = words[at + 2 : at + 2 + count]
            at += 2 + count
    assert not stack
    assert words[at + 1] == "Frames:" and words[at + 3 : at + 5] == ["Frame", "Time:"]
    frames, frame_time = int(words[at + 2]), float(words[at + 5])
    values = np.array(words[at + 6 :], dtype=np.float64).reshape(frames, sum(map(len, channels)))

    positions, rotations = np.zeros((frames, len(names), 3)), np.zeros((frames, len(names), 4))
    column = 0
    for joint, (parent, offset) in enumerate(zip(parents, offsets, strict=True)):
        local, turn = np.tile(offset, (frames, 1)), np.tile((1.0, 0, 0, 0), (frames, 1))
        for channel in channels[joint]:
            axis = "XYZ".index(channel[0])
            if channel.endswith("position"):
                local[:, axis] = values[:, column]
            else:
                angle = np.radians(values[:, column])
                part = np.zeros((frames, 4))
                part[:, 0], part[:, 1 + axis] = np.cos(angle / 2), np.sin(angle / 2)
                turn = quaternion_multiply(turn, part)
            column += 1
        if parent < 0:
            positions[:, joint], rotations[:, joint] = local, turn
        else:
            positions[:, joint] = positions[:, parent] + quaternion_rotate(rotations[:, parent], local)
            rotations[:, joint] = quaternion_multiply(rotations[:, parent], turn)
    return names, positions, values, frame_time
