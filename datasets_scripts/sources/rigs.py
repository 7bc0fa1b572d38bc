"""Which joint of a rig is which of HumanML3D's: by the names that rigs use, else by the structure of the skeleton.

Names are compared by their words, without a side, prefixes, numbers and what else exporters add, so one table serves
CMU, Mixamo, MotionBuilder, Character Creator and iClone (CC_Base_), Daz, Poser, VRM, Unreal, Unity, Rigify, SOMA (of
BONES), SnapMoGen, Xsens, Perception Neuron, OptiTrack, Rokoko, DeepMotion, ARKit, Kinect, Bandai-Namco, LAFAN1, SMPL,
3ds Max Biped, MakeHuman, Second Life, ASF and MikuMikuDance.
"""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import combinations
from typing import Protocol

import numpy as np

from datasets_scripts.sources.bvh_format import BvhError
from modeling_unimo.skeletons_unimo import HUMANML3D

SPINE = ("spine1", "spine2", "spine3")
_UNLIKE = 0.15  # of the length of two branches: beyond that they are not a body's left and right
COINCIDENT = 0.01  # of the leg: joints nearer than this are one point
# Names of each joint of a side without the side, best first. Some mean another joint in another rig: `_means`.
_SIDED = {
    "hip": ("upleg", "upperleg", "legupper", "thigh", "thighbend", "femur", "hip", "leg"),
    "knee": ("lowerleg", "lowleg", "leglower", "shin", "calf", "knee", "tibia", "shank", "leg"),
    "ankle": ("ankle", "foot"),
    "foot": ("toebase", "toe", "toes", "ball", "forefoot", "foot"),
    "collar": ("collar", "clavicle", "collarbone", "shoulder"),
    "shoulder": ("upperarm", "uparm", "armupper", "uarm", "arm", "humerus", "shldr", "shldrbend", "shoulder"),
    "elbow": ("forearm", "forearmbend", "lowerarm", "lowarm", "armlower", "farm", "elbow", "radius"),
    "wrist": ("wrist", "hand"),
}
_MIDDLE = {
    "pelvis": ("hips", "pelvis", "hip", "lowertorso", "spinebase", "hipcenter", "root"),
    "neck": ("neck", "necktwist", "lowerneck", "necklower", "shouldercenter"),
    "head": ("head", "skull"),
}
_ALIASES = {alias for names in _SIDED.values() for alias in names}
_SIDES = {"l": "left", "left": "left", "lft": "left", "r": "right", "right": "right", "rgt": "right"}
# Words that say nothing about which joint it is: prefixes of rigs, kinds of bones, "c" for the middle.
_NOISE = set(
    "bip biped joint jnt bone bind def org skeleton skel avg valve character mixamorig cc base m f j b c jbip".split()
)
_JAPANESE = {
    "左": " left ", "右": " right ", "足首": " ankle ", "つま先": " toe ", "ひざ": " knee ", "足": " thigh ",
    "肩": " collar ", "腕": " arm ", "ひじ": " elbow ", "手首": " wrist ", "首": " neck ", "頭": " head ",
    "下半身": " pelvis ",
    "上半身": " spine ", "センター": " centre ",
}  # fmt: skip


class Hierarchy(Protocol):
    """A skeleton, of a BVH file or another: names, parents (before their children; -1 for the root) and offsets."""

    names: list[str]
    parents: list[int]
    offsets: np.ndarray


def map_joints(
    bvh: Hierarchy, positions: np.ndarray, joint_map: Mapping[str, str] | None = None
) -> tuple[dict[str, int], str]:
    """Finds HumanML3D's joints in a skeleton.

    Args:
        bvh: the skeleton.
        positions: (F, J, 3) some frames of it, for what names do not tell.
        joint_map: {HumanML3D joint: name in the file}; goes before everything else, and may be partial.

    Returns:
        {HumanML3D joint: index}, and how the skeleton was read where names did not tell ("" where they did). The spine
        joints and the collars may be absent.

    Raises:
        BvhError: a joint is not found, or `joint_map` names what is not there.
    """
    given = _given(bvh, joint_map or {})
    found = given | {name: index for name, index in _named(bvh).items() if name not in given}
    reading = ""
    if _missing(found):
        _complete(bvh, positions, found)
    if _missing(found):
        matched = _structure(bvh, positions)
        if matched is not None:
            found = matched | given
            shown = ", ".join(f"{name} = {bvh.names[index]}" for name, index in found.items())
            reading = f"joints matched by structure ({shown}); --joint_map overrules this"
    missing = _missing(found)
    if missing:
        there = [name for name in bvh.names if not name.endswith("_end")]
        more = f" and {len(there) - 40} more" if len(there) > 40 else ""
        raise BvhError(
            f"no joint found for {', '.join(missing)} among: {', '.join(there[:40])}{more}; if the skeleton has them, "
            "name them in a JSON file {HumanML3D joint: joint in the file} and give it as --joint_map"
        )
    if "neck" not in given:
        _raise_neck(bvh, positions, found)
    _reach_tips(bvh, positions, found, given)
    return found, reading


def ancestors(bvh: Hierarchy, index: int) -> Iterator[int]:
    """The joint, its parent and so on up to the root.

    Args:
        bvh: The hierarchy.
        index: Index of the joint.

    Yields:
        Indices of the joints.
    """
    while index >= 0:
        yield index
        index = bvh.parents[index]


def _given(bvh: Hierarchy, joint_map: Mapping[str, str]) -> dict[str, int]:
    names = {unicodedata.normalize("NFKC", name): index for index, name in reversed(list(enumerate(bvh.names)))}
    found = {}
    for target, name in joint_map.items():
        if target not in HUMANML3D.joint_names:
            raise BvhError(f"the joint map has the key {target!r}; its keys are {', '.join(HUMANML3D.joint_names)}")
        if unicodedata.normalize("NFKC", name) not in names:
            raise BvhError(f"the joint map names {name!r}, but the file has only: {', '.join(bvh.names)}")
        found[target] = names[unicodedata.normalize("NFKC", name)]
    return found


def _missing(found: Mapping[str, int]) -> list[str]:
    # What is not found of these is placed between the others.
    placed = {*SPINE, "left_collar", "right_collar", "left_foot", "right_foot"}
    return [name for name in HUMANML3D.joint_names if name not in found and name not in placed]


# ------------------------------------------------------------------------------------------------------- by names
def _named(bvh: Hierarchy) -> dict[str, int]:
    """The joints that names tell."""
    labels: dict[tuple[str, str], int] = {}
    for index, label in _labels(bvh.names).items():
        labels.setdefault(label, index)
    found: dict[str, int] = {}
    for side in ("left", "right"):
        present = {part for owner, part in labels if owner == side}
        for part, names in _SIDED.items():
            usable = [name for name in names if name in present and _means(part, name, present)]
            if usable:
                found[f"{side}_{part}"] = labels[side, usable[0]]
    for target, names in _MIDDLE.items():
        usable = [name for name in names if ("", name) in labels]
        if usable:
            found[target] = labels["", usable[0]]
    return found


def _labels(names: list[str]) -> dict[int, tuple[str, str]]:
    """("left" | "right" | "", the rest of the name in small letters without prefixes and numbers), by joint."""
    words = {index: _words(name) for index, name in enumerate(names) if not name.endswith("_end")}
    # A rig's own name in front of (nearly) all joints: Robot_Hips.
    first = Counter(w[0] for w in words.values() if len(w) > 1)
    prefix = next((word for word, count in first.items() if count > 0.8 * len(words) and word not in _SIDES), None)
    return {index: _label(w[1:] if len(w) > 1 and w[0] == prefix else w) for index, w in words.items()}


def _words(name: str) -> list[str]:
    name = re.split(r"[:|]", unicodedata.normalize("NFKC", name))[-1]
    for japanese, english in _JAPANESE.items():
        name = name.replace(japanese, english)
    if "hipjoint" in name.lower():  # CMU's point between pelvis and thigh
        return ["hipjoint", name]
    return [word.lower() for word in re.findall(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", name)]


def _label(words: list[str]) -> tuple[str, str]:
    side = next((_SIDES[word] for word in words if word in _SIDES), "")
    rest = "".join(word for word in words if word not in _SIDES and word not in _NOISE)
    if not side:
        match = re.fullmatch(r"(?:mixamorig)?(left|right|l|r)(\w+)", rest)
        if match and match.group(2) in _ALIASES:
            side, rest = _SIDES[match.group(1)], match.group(2)
    return side, rest or "".join(words)


def _means(part: str, name: str, present: set[str]) -> bool:
    """Whether the ambiguous `name` means `part` beside the other names of its side."""
    if name == "shoulder":  # the collar bone where there is an upper arm
        return bool(present & {"upperarm", "uparm", "armupper", "uarm", "arm", "humerus", "shldr", "shldrbend"}) == (
            part == "collar"
        )
    if name == "foot":  # the toes where there is an ankle
        return ("ankle" in present) == (part == "foot")
    if name == "leg":  # the thigh where there is a shin
        shin = bool(present & {"lowerleg", "lowleg", "leglower", "shin", "calf", "knee", "tibia", "shank"})
        return shin == (part == "hip")
    return True


def _complete(bvh: Hierarchy, positions: np.ndarray, found: dict[str, int]) -> None:
    """Fills pelvis, neck and head from the joints that names tell (Rigify and some solvers name no head)."""
    if {"left_hip", "right_hip", "left_shoulder", "right_shoulder"} <= found.keys():
        found.setdefault("pelvis", _meeting(bvh, found["left_hip"], found["right_hip"]))
        if "head" not in found or "neck" not in found:
            chest = found.get("neck", _meeting(bvh, found["left_shoulder"], found["right_shoulder"]))
            limbs = {*found.values()} - {chest}
            path = _path(bvh, _bones(bvh, positions), chest, avoid=limbs - {found.get("head", -1)})
            if "head" in found:
                path = list(ancestors(bvh, bvh.parents[found["head"]]))[::-1]
                path = path[path.index(chest) :] if chest in path else [chest, *path[-1:]]
                found.setdefault("neck", path[-1])
            elif len(path) > 2:
                found.setdefault("neck", path[1])
                found["head"] = _head(bvh, path[path.index(found["neck"]) :] if found["neck"] in path else path[1:])
            elif len(path) == 2 and "neck" in found:
                found["head"] = path[1]


def _head(bvh: Hierarchy, chain: list[int]) -> int:
    """The head on a chain that begins with the neck, of one or two joints; an end site is the top of the head."""
    joints = [index for index in chain if not bvh.names[index].endswith("_end")]
    if len(joints) < 2:
        return chain[-1]
    return joints[-1] if len(joints) <= 3 else joints[1]  # beyond come hair and hats


def _meeting(bvh: Hierarchy, left: int, right: int) -> int:
    """The joint at which two limbs branch off."""
    above = set(ancestors(bvh, right))
    return next(index for index in ancestors(bvh, left) if index in above)


def _raise_neck(bvh: Hierarchy, positions: np.ndarray, found: dict[str, int]) -> None:
    """Where the neck lies on the joint below it (CMU), takes the next one on the way to the head."""
    above = list(ancestors(bvh, found["head"]))[::-1]
    if found["neck"] not in above[1:]:
        return
    start = above.index(found["neck"])
    base = positions[:, bvh.parents[found["neck"]]]
    for index in above[start:-1]:
        if np.linalg.norm(positions[:, index] - base, axis=-1).mean() > COINCIDENT * _leg(positions, found):
            found["neck"] = index
            return


def _reach_tips(bvh: Hierarchy, positions: np.ndarray, found: dict[str, int], given: Mapping[str, int]) -> None:
    """Moves toes and head that lie on the joint before them (or are not named) to the next point of their chain."""
    least = COINCIDENT * _leg(positions, found)
    for target, base in (("left_foot", "left_ankle"), ("right_foot", "right_ankle"), ("head", "neck")):
        start = positions[:, found[base]]
        tip = found.get(target, found[base])
        while target not in given and np.linalg.norm(positions[:, tip] - start, axis=-1).mean() <= least:
            children = [index for index, parent in enumerate(bvh.parents) if parent == tip]
            if not children:
                break
            tip = max(children, key=lambda child: np.linalg.norm(bvh.offsets[child]))
        if tip != found[base]:
            found[target] = tip


def _leg(positions: np.ndarray, found: Mapping[str, int]) -> float:
    chain = [positions[:, found[f"left_{part}"]] for part in ("hip", "knee", "ankle")]
    return sum(float(np.linalg.norm(a - b, axis=-1).mean()) for a, b in zip(chain, chain[1:], strict=False))


# --------------------------------------------------------------------------------------------------- by structure
def _structure(bvh: Hierarchy, positions: np.ndarray) -> dict[str, int] | None:
    """Two legs, two arms and a head on a spine; None where the skeleton has no such parts.

    Limbs are the two longest pairs of like branches. The legs branch off nearer to the root; left and right are told
    by the toes, knees and elbows, in right-handed axes.
    """
    bones = _bones(bvh, positions)
    pairs = _pairs(bvh, bones)
    if len(pairs) < 2:
        return None
    legs, arms = sorted(pairs[:2], key=lambda pair: len(list(ancestors(bvh, pair[0]))))
    if legs[0] == arms[0]:
        return None
    found = {"pelvis": legs[0]}
    taken = {*legs[1:], *arms[1:]} | set(ancestors(bvh, legs[0])) | set(ancestors(bvh, arms[0]))
    neck = _path(bvh, bones, arms[0], avoid=taken - {arms[0]})[1:]
    if not neck:
        return None
    found |= {"neck": neck[0], "head": _head(bvh, neck)}
    limbs = {}
    for kind, (base, *starts), parts in (
        ("leg", legs, ("hip", "knee", "ankle", "foot")),
        ("arm", arms, ("shoulder", "elbow", "wrist", "collar")),
    ):
        for number, start in enumerate(starts):
            joints = _limb(positions, [base, *_path(bvh, bones, start)])
            if joints is None:
                return None
            before, first, middle, end, after = joints
            places = (first, middle, end, after if kind == "leg" else before)
            limbs[kind, number] = {part: place for part, place in zip(parts, places, strict=True) if place is not None}
    across = [positions[:, limbs[kind, 0][part]] - positions[:, limbs[kind, 1][part]] for kind, part in
              (("leg", "hip"), ("arm", "shoulder"))]  # fmt: skip
    crossed = (across[0] * across[1]).sum(-1).mean() < 0

    def sided(swap: bool) -> dict[str, int]:
        names = dict(found)
        for side, leg in (("left", int(swap)), ("right", int(not swap))):
            for kind, number in (("leg", leg), ("arm", leg ^ crossed)):
                names |= {f"{side}_{part}": index for part, index in limbs[kind, number].items()}
        return names

    return sided(_looks_mirrored(positions, sided(False)))


def _looks_mirrored(positions: np.ndarray, names: Mapping[str, int]) -> bool:
    from datasets_scripts.sources.orientation import gather

    joints = np.stack(
        [positions[:, names.get(name, names.get(name.replace("foot", "ankle"), names["pelvis"]))]
         for name in HUMANML3D.joint_names], axis=1)  # fmt: skip
    return gather([joints], 1.0)[0].decide().mirrored


def _pairs(bvh: Hierarchy, bones: Sequence[float]) -> list[tuple[int, int, int]]:
    """(branching joint, limb, limb): pairs of branches with joints in the same places, the longest first."""
    reach = list(bones)
    children: dict[int, list[int]] = {}
    for index in range(len(bvh.parents) - 1, 0, -1):  # children come after their parents
        parent = bvh.parents[index]
        if parent >= 0:
            reach[parent] = max(reach[parent], bones[parent] + reach[index])
            children.setdefault(parent, []).append(index)
    least = 0.3 * max(reach)
    pairs = []
    for parent, branches in children.items():
        long = sorted((branch for branch in branches if reach[branch] > least), key=lambda branch: -reach[branch])[:6]
        unlike = sorted((_unlikeness(bvh, bones, *pair), pair) for pair in combinations(long, 2))
        taken: set[int] = set()
        for difference, pair in unlike:
            if difference < _UNLIKE and taken.isdisjoint(pair):
                taken.update(pair)
                pairs.append((parent, *pair))
    return sorted(pairs, key=lambda pair: -reach[pair[1]])


def _unlikeness(bvh: Hierarchy, bones: Sequence[float], one: int, other: int) -> float:
    """By how much of their length the joints of two branches miss each other."""
    marks = [np.cumsum([bones[index] for index in _path(bvh, bones, branch)]) for branch in (one, other)]
    common = min(map(len, marks))
    apart = np.abs(marks[0][:common] - marks[1][:common]).max()
    return float(max(apart, abs(marks[0][-1] - marks[1][-1])) / max(marks[0][-1], marks[1][-1], 1e-12))


def _bones(bvh: Hierarchy, positions: np.ndarray) -> list[float]:
    """The distance of each joint from its parent; 0 for the root."""
    above = [parent if parent >= 0 else index for index, parent in enumerate(bvh.parents)]
    return np.linalg.norm(positions - positions[:, above], axis=-1).mean(axis=0).tolist()


def _path(bvh: Hierarchy, bones: Sequence[float], start: int, avoid: Collection[int] = ()) -> list[int]:
    """From a joint along its longest chain of descendants to the tip."""
    reach = [0.0] * len(bvh.parents)
    best: dict[int, int] = {}
    for index in range(len(bvh.parents) - 1, start, -1):  # children come after their parents
        parent = bvh.parents[index]
        if index in avoid:
            continue
        length = reach[index] + bones[index]
        if length > reach[parent]:
            reach[parent], best[parent] = length, index
    path = [start]
    while path[-1] in best:
        path.append(best[path[-1]])
    return path


def _limb(positions: np.ndarray, path: list[int]) -> tuple[int | None, int, int, int, int | None] | None:
    """(joint before, first, middle, end, joint after) of a limb: its two longest successive bones."""
    for joints in (path, _without_twists(positions, path)):
        bones = np.linalg.norm(np.diff(positions[:, joints], axis=1), axis=-1).mean(axis=0)
        if len(bones) < 2:
            return None
        at = int(np.argmax(bones[:-1] + bones[1:]))
        if 0.55 < bones[at] / max(bones[at + 1], 1e-12) < 1.8:
            after = joints[at + 3] if at + 3 < len(joints) else None
            return joints[at - 1] if at > 1 else None, joints[at], joints[at + 1], joints[at + 2], after
    return None


def _without_twists(positions: np.ndarray, path: list[int]) -> list[int]:
    """The chain without the joints that lie on a straight line between their neighbours in every frame."""
    joints = path[:2]
    for index, following in zip(path[2:], [*path[3:], None], strict=True):
        if following is not None:
            before, after = (
                positions[:, index] - positions[:, joints[-1]],
                positions[:, following] - positions[:, index],
            )
            bend = np.linalg.norm(np.cross(before, after), axis=-1)
            if (bend <= 0.02 * np.linalg.norm(before, axis=-1) * np.linalg.norm(after, axis=-1)).all():
                continue
        joints.append(index)
    return joints
