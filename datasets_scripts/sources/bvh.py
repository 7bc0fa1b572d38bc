"""BVH files as a source: a reader for any hierarchy and channel order, and the way from its skeleton to the 22 joints.

The joints are found by name (the usual schemes are built in: CMU, Mixamo, MotionBuilder, Xsens, Bandai-Namco, LAFAN1,
SMPL, 3ds Max Biped, Unreal, Unity, Rokoko, Poser, ASF), the spine by where its joints lie, and scale, units and bone
lengths become HumanML3D's through the uniform skeleton.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np

from datasets_scripts.schema import FPS, MAX_FRAMES, NOTE, Clip, Skipped
from datasets_scripts.sources.clips import (
    ClipRules,
    Record,
    captioned,
    is_constant,
    make_rows,
    map_in_order,
    resample,
)
from datasets_scripts.sources.orientation import standardise
from modeling_unimo.motion_representation import FACINGS, HUMANML3D, joints_to_features

# A folder of BVH files is usually small and somebody's own: nothing is dropped for its length unless it is asked for.
BVH_RULES = ClipRules(min_frames=8, max_frames=MAX_FRAMES, crop_frames=MAX_FRAMES, long_clips="crop")

_SIDES = {"l": "left", "left": "left", "lft": "left", "r": "right", "right": "right", "rgt": "right"}
# Words in joint names that say nothing about which joint it is (exporters' prefixes).
_NOISE = {"bip", "bip01", "bip001", "joint", "jnt", "bone", "def", "valvebiped", "skeleton", "avg", "m", "f", "j", "b"}
# Names of each joint of a side without its side, best first. "shoulder" is the collar bone where the side has an arm
# bone of its own, "leg" the shin where it has a thigh, "foot" the toes where it has an ankle.
_SIDED = {
    "hip": ("upleg", "upperleg", "thigh", "femur", "hip"),
    "knee": ("lowerleg", "lowleg", "shin", "calf", "knee", "tibia", "shank", "leg"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toe", "toes", "ball", "foot"),
    "collar": ("collar", "clavicle", "collarbone", "shoulder"),
    "shoulder": ("upperarm", "uparm", "arm", "humerus", "shoulder", "shldr"),
    "elbow": ("forearm", "lowerarm", "lowarm", "elbow", "radius"),
    "wrist": ("wrist", "hand"),
}
_MIDDLE = {
    "pelvis": ("hips", "pelvis", "hip", "lowertorso", "root"),
    "neck": ("neck", "lowerneck"),
    "head": ("head", "skull"),
}
_ALIASES = {alias for names in _SIDED.values() for alias in names}
_SPINE = ("spine1", "spine2", "spine3")
_COINCIDENT = 0.01  # of the leg length: joints nearer than this are one point


class BvhError(ValueError):
    """A BVH file that cannot be read, or whose joints cannot be mapped."""


@dataclass
class Bvh:
    """A BVH file.

    `names` are the joints (end sites as "<parent>_end"), `parents` their indices (-1 for the root), `offsets` (J, 3)
    the OFFSET lines, `channels` the channel names of each joint, `values` (T, C) the frames, `frame_time` in seconds.
    """

    names: list[str]
    parents: list[int]
    offsets: np.ndarray
    channels: list[list[str]]
    values: np.ndarray
    frame_time: float

    @property
    def fps(self) -> float:
        """Frames per second."""
        return 1.0 / self.frame_time


@dataclass
class BvhJoints:
    """The 22 joints of a BVH file: positions (T, 22, 3) Y up at 20 fps in the file's unit, and what was assumed."""

    joints: np.ndarray
    notes: list[str] = field(default_factory=list)


# ---------------------------------------------------------------------------------------------------- reading


def read_bvh(path: str | Path) -> Bvh:
    """Reads a BVH file.

    Raises:
        FileNotFoundError: no such file.
        BvhError: the file is cut, has a wrong number of values, a frame time of zero, or is no BVH file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such BVH file")
    try:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
        return parse_bvh(text)
    except BvhError as error:
        raise BvhError(f"{path}: {error}") from None


def parse_bvh(text: str) -> Bvh:
    """Parses the text of a BVH file; see `read_bvh`."""
    head, motion, tail = _split_sections(text)
    bvh = _Hierarchy(head.split()).parse()
    match = re.match(r"\s*Frames\s*:\s*(\S+)\s+Frame\s+Time\s*:\s*(\S+)", tail, re.IGNORECASE)
    if not motion or match is None:
        raise BvhError(
            'no "MOTION", "Frames: N", "Frame Time: seconds" after the hierarchy: the file is cut or no BVH'
        )
    frames = _integer(match.group(1), "Frames")
    frame_time = _number(match.group(2), "Frame Time")
    if not 1e-4 < frame_time <= 1.0:
        raise BvhError(f"Frame Time is {frame_time:g}; seconds a frame are due, such as 0.0333333")
    if frames < 1:
        raise BvhError(f"Frames is {frames}; the file holds no motion")
    words = tail[match.end() :].split()
    columns = sum(len(names) for names in bvh.channels)
    if columns == 0:
        raise BvhError("no joint has CHANNELS: nothing in the file moves")
    if len(words) != frames * columns:
        whole, rest = divmod(len(words), columns)
        raise BvhError(
            f"{len(words)} values where Frames {frames} x {columns} channels = {frames * columns} are due "
            f"({whole} whole frames and {rest} values): the file is cut or its CHANNELS do not fit its frames"
        )
    try:
        values = np.array(words, dtype=np.float64)
    except ValueError as error:
        raise BvhError(f"a frame holds something else than numbers ({error})") from None
    if not np.isfinite(values).all():
        raise BvhError("a frame holds NaN or infinite values")
    bvh.values, bvh.frame_time = values.reshape(frames, columns), frame_time
    return bvh


def _split_sections(text: str) -> tuple[str, str, str]:
    if not re.match(r"\s*HIERARCHY\b", text, re.IGNORECASE):
        raise BvhError(f"begins with {text[:20]!r} where HIERARCHY is due: it is no BVH file")
    match = re.search(r"^\s*MOTION\s*$", text, re.IGNORECASE | re.MULTILINE)
    if match is None:
        return text, "", ""
    return text[: match.start()], match.group(), text[match.end() :]


def _number(word: str, what: str) -> float:
    try:
        value = float(word)
    except ValueError:
        raise BvhError(f"{what} is {word!r} where a number is due") from None
    if not math.isfinite(value):
        raise BvhError(f"{what} is {word!r} where a finite number is due")
    return value


def _integer(word: str, what: str) -> int:
    try:
        return int(word)
    except ValueError:
        raise BvhError(f"{what} is {word!r} where a whole number is due") from None


class _Hierarchy:
    """The hierarchy part, word by word: braces and lines may be arranged in any way."""

    def __init__(self, words: list[str]):
        self.words = words
        self.at = 1  # after HIERARCHY
        self.bvh = Bvh([], [], np.zeros((0, 3)), [], np.zeros((0, 0)), 0.0)
        self.offsets: list[list[float]] = []

    def parse(self) -> Bvh:
        stack: list[int] = []
        roots = 0
        while self.at < len(self.words):
            word = self._next()
            kind = word.upper()
            if kind in ("ROOT", "JOINT", "END"):
                if kind == "ROOT":
                    roots += 1
                    if roots > 1:
                        raise BvhError("two ROOTs: one skeleton a file is due; write each to its own file")
                elif not stack:
                    raise BvhError(f"{word} outside the ROOT")
                name = self._name()
                if kind == "END":
                    name = f"{self.bvh.names[stack[-1]]}_end"
                self.bvh.names.append(name)
                self.bvh.parents.append(stack[-1] if stack else -1)
                self.bvh.channels.append([])
                self.offsets.append([0.0, 0.0, 0.0])
                stack.append(len(self.bvh.names) - 1)
            elif kind == "OFFSET":
                joint = self._open(stack, word)
                self.offsets[joint] = [_number(self._next(), f"OFFSET of {self.bvh.names[joint]}") for _ in range(3)]
            elif kind == "CHANNELS":
                joint = self._open(stack, word)
                self.bvh.channels[joint] = self._channels(self.bvh.names[joint])
            elif word == "}":
                self._open(stack, word)
                stack.pop()
            else:
                raise BvhError(f"{word!r} in the hierarchy where JOINT, End Site, OFFSET, CHANNELS or a brace is due")
        if stack or not roots:
            raise BvhError("the hierarchy does not end: the file is cut")
        self.bvh.offsets = np.array(self.offsets)
        return self.bvh

    def _next(self) -> str:
        if self.at >= len(self.words):
            raise BvhError("the hierarchy does not end: the file is cut")
        self.at += 1
        return self.words[self.at - 1]

    def _name(self) -> str:
        parts: list[str] = []
        while (word := self._next()) != "{":
            if len(parts) > 8:
                raise BvhError(f"no brace after the joint name {' '.join(parts)!r}")
            parts.append(word)
        return " ".join(parts)

    def _open(self, stack: list[int], word: str) -> int:
        if not stack:
            raise BvhError(f"{word} outside a joint")
        return stack[-1]

    def _channels(self, joint: str) -> list[str]:
        count = _integer(self._next(), f"CHANNELS of {joint}")
        names = []
        for _ in range(count):
            word = self._next()
            match = re.fullmatch(r"([XYZ])(position|rotation)", word, re.IGNORECASE)
            if match is None:
                raise BvhError(f"channel {word!r} of {joint}: CHANNELS {count} must be followed by as many names")
            names.append(match.group(1).upper() + match.group(2).lower())
        if len(set(names)) != len(names):
            raise BvhError(f"a channel of {joint} is named twice: {' '.join(names)}")
        return names


# ---------------------------------------------------------------------------------------------------- positions


def joint_positions(bvh: Bvh) -> np.ndarray:
    """World positions (T, J, 3) of all joints and end sites, in the file's unit and axes.

    Rotations apply in the order in which their channels are listed. Position channels are, as exporters write them,
    the joint's whole translation and replace its OFFSET; in the few files that write displacements from the OFFSET
    (values near zero on most limbs) they are added to it.
    """
    count, frames = len(bvh.names), len(bvh.values)
    translations = np.broadcast_to(bvh.offsets, (frames, count, 3)).copy()
    rotations: list[np.ndarray | None] = [None] * count
    column = 0
    moved: dict[int, np.ndarray] = {}
    for joint, names in enumerate(bvh.channels):
        values = bvh.values[:, column : column + len(names)]
        column += len(names)
        axes = [("XYZ".index(name[0]), values[:, i]) for i, name in enumerate(names) if name.endswith("position")]
        if axes:
            moved[joint] = translations[:, joint].copy()
            for axis, value in axes:
                moved[joint][:, axis] = value
        for i, name in enumerate(names):
            if name.endswith("rotation"):
                turn = _axis_rotation("XYZ".index(name[0]), np.deg2rad(values[:, i]))
                before = rotations[joint]
                rotations[joint] = turn if before is None else before @ turn
    relative = _are_displacements(bvh, moved)
    for joint, value in moved.items():
        translations[:, joint] = value + bvh.offsets[joint] if relative and bvh.parents[joint] >= 0 else value
    positions = np.empty((frames, count, 3))
    world: list[np.ndarray] = []
    for joint, parent in enumerate(bvh.parents):
        if parent < 0:
            positions[:, joint] = translations[:, joint]
            base = np.broadcast_to(np.eye(3), (frames, 3, 3))
        else:
            base = world[parent]
            positions[:, joint] = positions[:, parent] + np.einsum("tij,tj->ti", base, translations[:, joint])
        own = rotations[joint]
        world.append(base if own is None else base @ own)
    return positions


def _axis_rotation(axis: int, angle: np.ndarray) -> np.ndarray:
    cos, sin = np.cos(angle), np.sin(angle)
    matrix = np.zeros((len(angle), 3, 3))
    a, b = (axis + 1) % 3, (axis + 2) % 3
    matrix[:, axis, axis] = 1.0
    matrix[:, a, a] = matrix[:, b, b] = cos
    matrix[:, a, b], matrix[:, b, a] = -sin, sin
    return matrix


def _are_displacements(bvh: Bvh, moved: dict[int, np.ndarray]) -> bool:
    """Whether the position channels of the limbs hold displacements from OFFSET rather than whole translations."""
    votes = []
    for joint, value in moved.items():
        # The root and what hangs directly on it may travel, so only the joints further out can tell.
        depth_two = bvh.parents[joint] >= 0 and bvh.parents[bvh.parents[joint]] >= 0
        length = np.linalg.norm(bvh.offsets[joint])
        if depth_two and length > 0:
            mean = value.mean(axis=0)
            votes.append(np.linalg.norm(mean) < np.linalg.norm(mean - bvh.offsets[joint]))
    return len(votes) >= 3 and np.mean(votes) > 0.5


# ---------------------------------------------------------------------------------------------------- the 22 joints


def map_joints(bvh: Bvh, joint_map: dict[str, str] | None = None) -> dict[str, int]:
    """Finds HumanML3D's joints in a BVH hierarchy by name.

    Args:
        bvh: the file.
        joint_map: {HumanML3D joint: name in the file}; goes before the built-in names, and may be partial.

    Returns:
        {HumanML3D joint: index}. The spine joints and the collars may be absent: `to_joints` places them.

    Raises:
        BvhError: a joint is not found, or `joint_map` names what is not there.
    """
    found: dict[str, int] = {}
    for target, name in (joint_map or {}).items():
        if target not in HUMANML3D.joint_names:
            raise BvhError(
                f"the joint map names {target!r}; its keys must be among {', '.join(HUMANML3D.joint_names)}"
            )
        if name not in bvh.names:
            raise BvhError(f"the joint map asks for {name!r}, but the file has only: {', '.join(bvh.names)}")
        found[target] = bvh.names.index(name)
    labels: dict[tuple[str, str], int] = {}
    for index, name in enumerate(bvh.names):
        if not name.endswith("_end"):
            labels.setdefault(_label(name), index)
    for side in ("left", "right"):
        present = {part for owner, part in labels if owner == side}
        for part, names in _SIDED.items():
            target = f"{side}_{part}"
            usable = [name for name in names if name in present and _applies(part, name, present)]
            if target not in found and usable:
                found[target] = labels[side, usable[0]]
        if f"{side}_foot" not in found and f"{side}_ankle" in found:
            ends = [i for i, parent in enumerate(bvh.parents) if parent == found[f"{side}_ankle"]]
            if ends and np.linalg.norm(bvh.offsets[ends[0]]) > 0:
                found[f"{side}_foot"] = ends[0]
    for target, names in _MIDDLE.items():
        usable = [name for name in names if ("", name) in labels]
        if target not in found and usable:
            found[target] = labels["", usable[0]]
    if "pelvis" not in found and {"left_hip", "right_hip"} <= found.keys():
        right = set(_ancestors(bvh, found["right_hip"]))
        found["pelvis"] = next(i for i in _ancestors(bvh, found["left_hip"]) if i in right)
    if "neck" not in found and "head" in found and bvh.parents[found["head"]] >= 0:
        found["neck"] = bvh.parents[found["head"]]
    if joint_map is None or "neck" not in joint_map:
        _raise_neck(bvh, found)
    needed = [n for n in HUMANML3D.joint_names if n not in found and n not in _SPINE and not n.endswith("collar")]
    if needed:
        names_there = ", ".join(name for name in bvh.names if not name.endswith("_end"))
        raise BvhError(
            f"no joint found for {', '.join(needed)} among: {names_there}; "
            "name them in a JSON file {HumanML3D joint: joint in the file} and give it as --joint_map"
        )
    return found


def _label(name: str) -> tuple[str, str]:
    """("left" | "right" | "", the rest of the name in small letters without prefixes and numbers)."""
    name = re.split(r"[:|]", name)[-1]
    words = [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+", name)]
    joined = "".join(words)
    for prefix in ("mixamorig", "valvebiped", "bip001", "bip01", "character1"):
        if joined.startswith(prefix) and len(joined) > len(prefix):
            joined = joined[len(prefix) :]
            words = _drop_prefix(words, prefix)
    side = next((_SIDES[word] for word in words if word in _SIDES), "")
    rest = "".join(w for w in words if w not in _SIDES and w not in _NOISE and not w.isdigit())
    if not side:
        match = re.fullmatch(r"(left|right|l|r)(\w+)", rest)
        if match and match.group(2) in _ALIASES:
            side, rest = _SIDES[match.group(1)], match.group(2)
    return side, rest or joined


def _drop_prefix(words: list[str], prefix: str) -> list[str]:
    """The words that are left when the leading ones that spell `prefix` are taken away."""
    spelt = ""
    for index, word in enumerate(words):
        spelt += word
        if spelt == prefix:
            return words[index + 1 :]
    return words


def _applies(part: str, name: str, present: set[str]) -> bool:
    """Whether the ambiguous `name` means `part` beside the other names of its side."""
    arms = {"upperarm", "uparm", "arm", "humerus", "shldr"}
    if name == "shoulder":
        return bool(present & arms) == (part == "collar")
    if name == "foot":
        return ("ankle" in present) == (part == "foot")
    return True


def _ancestors(bvh: Bvh, index: int) -> Iterator[int]:
    while index >= 0:
        yield index
        index = bvh.parents[index]


def _raise_neck(bvh: Bvh, found: dict[str, int]) -> None:
    """Where the neck lies on the joint below it (CMU), takes the next one on the way to the head."""
    if not {"neck", "head"} <= found.keys():
        return
    above = [i for i in _ancestors(bvh, found["head"])][::-1]
    if found["neck"] in above and np.linalg.norm(bvh.offsets[found["neck"]]) == 0:
        for index in above[above.index(found["neck"]) + 1 : -1]:
            if np.linalg.norm(bvh.offsets[index]) > 0:
                found["neck"] = index
                return


def to_joints(bvh: Bvh, joint_map: dict[str, str] | None = None, up: str = "auto", fps: float = FPS) -> BvhJoints:
    """The 22 joints of a BVH file at `fps`, Y up, in the file's unit; bone lengths still those of the file.

    Args:
        bvh: the file.
        joint_map: see `map_joints`.
        up: "y", "z" or "auto" (from how the body stands).
        fps: frames per second of the result.

    Raises:
        BvhError: joints are missing, or the skeleton has no legs to speak of.
        ValueError: `up` is none of auto, y, z.
    """
    found = map_joints(bvh, joint_map)
    positions = joint_positions(bvh)
    notes: list[str] = []
    if _begins_at_rest(bvh):
        positions = positions[1:]
        notes.append("rest pose in the first frame, left out")
    positions = resample(positions, bvh.fps, fps)
    joints = np.zeros((len(positions), 22, 3))
    for target, index in found.items():
        joints[:, HUMANML3D.joint_names.index(target)] = positions[:, index]
    leg = sum(_length(joints, a, b) for a, b in (("left_hip", "left_knee"), ("left_knee", "left_ankle")))
    if not leg > 0:
        raise BvhError("hip, knee and ankle of the left leg are one point: the skeleton has no size")
    _place_spine(bvh, found, positions, joints, leg)
    for side in ("left", "right"):
        _place_collar(side, found, joints, leg)
    joints, assumed = standardise(joints, up)
    return BvhJoints(joints.astype(np.float32), notes + assumed)


def _begins_at_rest(bvh: Bvh) -> bool:
    """Whether frame 0 is the skeleton's rest pose and the motion begins after it with a jump (CMU's conversions)."""
    turns = [name.endswith("rotation") for names in bvh.channels for name in names]
    if len(bvh.values) < 3 or not any(turns):
        return False
    first, second, third = bvh.values[:3, turns]
    jump, step = np.abs(second - first).max(), np.abs(third - second).max()
    return bool((first == 0).mean() > 0.9 and jump > 20.0 and jump > 5.0 * step)


def _at(joints: np.ndarray, name: str) -> np.ndarray:
    return joints[:, HUMANML3D.joint_names.index(name)]


def _length(joints: np.ndarray, a: str, b: str) -> float:
    return float(np.linalg.norm(_at(joints, a) - _at(joints, b), axis=-1).mean())


def _place_spine(bvh: Bvh, found: dict[str, int], positions: np.ndarray, joints: np.ndarray, leg: float) -> None:
    """Fills spine1..3: the file's own three joints, else points at HumanML3D's shares of the way pelvis to neck."""
    if all(name in found for name in _SPINE):
        return
    # In some rigs (Biped) the spine hangs beside the pelvis, on their common parent.
    up_to_neck = list(_ancestors(bvh, bvh.parents[found["neck"]]))
    fork = next(index for index in _ancestors(bvh, found["pelvis"]) if index in {*up_to_neck, 0})
    between = up_to_neck[: up_to_neck.index(fork)][::-1] if fork in up_to_neck else []
    points = [positions[:, found["pelvis"]]]
    for index in between:
        if np.linalg.norm(positions[:, index] - points[-1], axis=-1).mean() > _COINCIDENT * leg:
            points.append(positions[:, index])
    neck = positions[:, found["neck"]]
    if len(points) > 1 and np.linalg.norm(points[-1] - neck, axis=-1).mean() <= _COINCIDENT * leg:
        points.pop()
    line = np.stack([*points, neck], axis=1)
    if line.shape[1] == 5:
        placed = line[:, 1:4]
    else:
        indices = [HUMANML3D.joint_names.index(name) for name in (*_SPINE, "neck")]
        lengths = np.linalg.norm(np.asarray(HUMANML3D.default_offsets)[indices], axis=-1)
        shares = np.cumsum(lengths)[:3] / lengths.sum()
        placed = _along(line, shares)
    for i, name in enumerate(_SPINE):
        if name not in found:
            joints[:, HUMANML3D.joint_names.index(name)] = placed[:, i]


def _along(line: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """Points at `shares` of the length of each polyline of `line` (T, P, 3) -> (T, len(shares), 3)."""
    steps = np.linalg.norm(np.diff(line, axis=1), axis=-1).mean(axis=0)
    marks = np.concatenate([[0.0], np.cumsum(steps)])
    placed = []
    for share in shares:
        target = share * marks[-1]
        i = int(np.clip(np.searchsorted(marks, target, side="right") - 1, 0, len(steps) - 1))
        weight = (target - marks[i]) / max(steps[i], 1e-12)
        placed.append(line[:, i] * (1 - weight) + line[:, i + 1] * weight)
    return np.stack(placed, axis=1)


def _place_collar(side: str, found: dict[str, int], joints: np.ndarray, leg: float) -> None:
    """Puts a collar that the file lacks, or has on the spine or the neck, between upper spine and shoulder."""
    index = HUMANML3D.joint_names.index(f"{side}_collar")
    collar, spine, neck = joints[:, index], _at(joints, "spine3"), _at(joints, "neck")
    shoulder = _at(joints, f"{side}_shoulder")
    if f"{side}_collar" in found:
        middle = np.linalg.norm(np.cross(neck - spine, collar - spine), axis=-1)
        height = np.maximum(np.linalg.norm(neck - spine, axis=-1), 1e-9)
        if (middle / height).mean() > _COINCIDENT * leg:
            return
    # HumanML3D's proportions: the collar lies 0.55 of the way up to the neck and 0.4 of the way out to the shoulder.
    base = spine + 0.55 * (neck - spine)
    joints[:, index] = base + 0.4 * (shoulder - base)


def bvh_to_features(path: str | Path, joint_map: dict[str, str] | None = None, up: str = "auto") -> np.ndarray:
    """Raw features (T, 263) of a BVH file at 20 fps, on HumanML3D's skeleton.

    Raises:
        FileNotFoundError: no such file.
        BvhError: the file cannot be read or mapped, or is shorter than two frames at 20 fps.
    """
    joints = to_joints(read_bvh(path), joint_map, up).joints
    if len(joints) < 5:
        raise BvhError(f"{path}: {len(joints)} frames at 20 fps; at least 5 are needed")
    return joints_to_features(joints, target_offsets=HUMANML3D.default_offsets).astype(np.float32)


# ---------------------------------------------------------------------------------------------------- the source


def read_joint_map(path: str | Path) -> dict[str, str]:
    """Reads a user's joint map: a JSON object {HumanML3D joint: joint in the file}.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a JSON object of strings, or keys that are no joints.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such joint map")
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON ({error})") from error
    if not isinstance(entries, dict) or not all(isinstance(value, str) for value in entries.values()):
        raise ValueError(f'{path} must hold an object such as {{"left_hip": "LeftUpLeg"}}')
    unknown = [key for key in entries if key not in HUMANML3D.joint_names]
    if unknown:
        raise ValueError(f"{path}: {unknown} are none of the joints {', '.join(HUMANML3D.joint_names)}")
    return entries


def iter_clips(
    data_dir: str | Path,
    joint_map: dict[str, str] | str | Path | None = None,
    rules: ClipRules = BVH_RULES,
    subclips: str = "tagged",
    up: str = "auto",
    facing: str = "corrected",
    workers: int = 1,
) -> Iterator[Clip | Skipped]:
    """The clips of a folder of BVH files (searched with its subfolders) with a captions.jsonl.

    Args:
        data_dir: the folder.
        joint_map: {HumanML3D joint: joint in the file}, or a JSON file with it.
        rules: lengths to keep; by default nothing is dropped but clips below 0.4 s, and long ones are cropped.
        subclips: see `clips.make_rows`.
        up: "y", "z" or "auto".
        facing: "corrected", or "published" for features like those of the official datasets; see
            `joints_to_features`.
        workers: processes that convert.

    Raises:
        FileNotFoundError: no folder, no BVH file or no captions in it.
        ValueError: the captions or the joint map cannot be used at all, or facing is neither of the two.
    """
    folder = Path(data_dir)
    if facing not in FACINGS:
        raise ValueError(f"facing is {facing!r}; it must be one of {', '.join(FACINGS)}")
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder of BVH files")
    files = {
        path.relative_to(folder).with_suffix("").as_posix(): path
        for path in sorted(folder.rglob("*"))
        if path.suffix.lower() == ".bvh" and path.is_file()
    }
    if not files:
        raise FileNotFoundError(f"{folder} holds no .bvh file")
    if isinstance(joint_map, (str, Path)):
        joint_map = read_joint_map(joint_map)
    records, splits, skipped = captioned(folder, files)
    yield from skipped
    jobs = [(name, path, records[name], splits[name]) for name, path in files.items() if name in records]
    convert = partial(_convert, joint_map=joint_map, rules=rules, subclips=subclips, up=up, facing=facing)
    for rows in map_in_order(convert, jobs, workers):
        yield from rows


def _convert(
    job: tuple[str, Path, Record, str],
    joint_map: dict[str, str] | None,
    rules: ClipRules,
    subclips: str,
    up: str,
    facing: str,
) -> list[Clip | Skipped]:
    name, path, record, split = job
    try:
        found = to_joints(read_bvh(path), joint_map, up)
        if len(found.joints) < rules.min_frames + 1:
            frames = max(len(found.joints) - 1, 0)
            return [Skipped(name, f"too short (fewer than {rules.min_frames} frames)", f"{frames} frames at 20 fps")]
        if is_constant(found.joints):
            return [Skipped(name, "nothing moves in the clip", str(path.name))]
        features = joints_to_features(found.joints, target_offsets=HUMANML3D.default_offsets, facing=facing)
    except BvhError as error:
        return [Skipped(name, "unreadable BVH", str(error))]
    except (ValueError, OSError) as error:
        return [Skipped(name, "cannot be converted", str(error))]
    notes: list[Clip | Skipped] = [Skipped(name, note, kind=NOTE) for note in found.notes]
    clip = Clip(name, np.asarray(features, dtype=np.float32), record.captions, split, "bvh")
    return notes + list(make_rows(clip, rules, subclips))
