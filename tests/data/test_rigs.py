"""Skeletons with the joint names that rigs are published with, and with names that say nothing, to the 22 joints."""

import itertools

import motion_files as files
import numpy as np
import pytest

from datasets_scripts.sources import bvh
from datasets_scripts.sources.bvh_format import BvhError, parse_bvh
from modeling_unimo.skeletons_unimo import HUMANML3D

NAMES = HUMANML3D.joint_names
FRAMES = 24
# Chains of joints, the first one there already but for the root; "name=joint" lies where that joint of HumanML3D is,
# "name=joint+" a little above it, a name alone halfway to the next one. A chain with "{" is one of each side, named by
# l, L, left or Left.
RIGS = {
    "Character Creator": """
        CC_Base_BoneRoot=pelvis+ CC_Base_Hip=pelvis CC_Base_Waist=spine1 CC_Base_Spine01=spine2 \
CC_Base_Spine02=spine3 CC_Base_NeckTwist01=neck CC_Base_NeckTwist02 CC_Base_Head=head CC_Base_FacialBone=head
        CC_Base_Hip CC_Base_Pelvis=pelvis
        CC_Base_Pelvis CC_Base_{L}_Thigh=hip CC_Base_{L}_ThighTwist01 CC_Base_{L}_Calf=knee CC_Base_{L}_Foot=ankle \
CC_Base_{L}_ToeBase=foot
        CC_Base_{L}_Foot CC_Base_{L}_ToeBaseShareBone=foot
        CC_Base_{L}_Calf CC_Base_{L}_KneeShareBone=knee
        CC_Base_Spine02 CC_Base_{L}_Clavicle=collar CC_Base_{L}_Upperarm=shoulder CC_Base_{L}_Forearm=elbow \
CC_Base_{L}_Hand=wrist
        CC_Base_Spine02 CC_Base_{L}_RibsTwist=spine3
    """,
    "Daz": """
        hip=pelvis abdomenLower=spine1 abdomenUpper=spine2 chestLower=spine3 chestUpper=spine3+ neckLower=neck \
neckUpper head=head
        hip pelvis=pelvis
        pelvis {l}ThighBend=hip {l}ThighTwist {l}Shin=knee {l}Foot=ankle {l}Metatarsals {l}Toe=foot
        chestUpper {l}Collar=collar {l}ShldrBend=shoulder {l}ShldrTwist {l}ForearmBend=elbow \
{l}ForearmTwist {l}Hand=wrist
        head {l}Eye=head
    """,
    "VRM": """
        J_Bip_C_Hips=pelvis J_Bip_C_Spine=spine1 J_Bip_C_Chest=spine2 J_Bip_C_UpperChest=spine3 J_Bip_C_Neck=neck \
J_Bip_C_Head=head
        J_Bip_C_Hips J_Bip_{L}_UpperLeg=hip J_Bip_{L}_LowerLeg=knee J_Bip_{L}_Foot=ankle J_Bip_{L}_ToeBase=foot
        J_Bip_C_UpperChest J_Bip_{L}_Shoulder=collar J_Bip_{L}_UpperArm=shoulder J_Bip_{L}_LowerArm=elbow \
J_Bip_{L}_Hand=wrist
        J_Bip_C_UpperChest J_Sec_{L}_Bust1=spine3
    """,
    "Unreal": """
        root=pelvis+ pelvis=pelvis spine_01=spine1 spine_02=spine2 spine_03=spine3 spine_04=spine3+ \
neck_01=neck neck_02 head=head
        pelvis thigh_{l}=hip calf_{l}=knee foot_{l}=ankle ball_{l}=foot
        thigh_{l} thigh_twist_01_{l}=hip
        spine_04 clavicle_{l}=collar upperarm_{l}=shoulder lowerarm_{l}=elbow hand_{l}=wrist
        upperarm_{l} upperarm_twist_01_{l}=shoulder
        root ik_foot_root=pelvis ik_foot_{l}=ankle
    """,
    "Rigify": """
        spine=pelvis spine.001=spine1 spine.002=spine2 spine.003=spine3 spine.004=neck spine.005 spine.006=head
        spine pelvis.{L}=hip
        spine thigh.{L}=hip shin.{L}=knee foot.{L}=ankle toe.{L}=foot
        foot.{L} heel.02.{L}=ankle
        spine.003 shoulder.{L}=collar upper_arm.{L}=shoulder forearm.{L}=elbow hand.{L}=wrist
        spine.003 breast.{L}=spine3
    """,
    "SOMA": """
        Hips=pelvis Spine1=spine1 Spine2=spine2 Chest=spine3 Neck1=neck Neck2 Head=head
        Hips {Left}Leg=hip {Left}Shin=knee {Left}Foot=ankle {Left}ToeBase=foot
        Chest {Left}Shoulder=collar {Left}Arm=shoulder {Left}ForeArm=elbow {Left}Hand=wrist
    """,
    "SnapMoGen": """
        ROOT=pelvis C_pelvis0001_bind_JNT=pelvis
        ROOT C_spine0001_bind_JNT=spine1 C_spine0002_bind_JNT=spine2 C_spine0003_bind_JNT=spine3 \
C_neck0001_bind_JNT=neck C_neck0002_bind_JNT C_head_bind_JNT=head
        C_pelvis0001_bind_JNT {L}_legUpper0001_bind_JNT=hip {L}_legLower0001_bind_JNT=knee \
{L}_foot0001_bind_JNT=ankle {L}_foot0002_bind_JNT=foot
        C_spine0003_bind_JNT {L}_clavicle_bind_JNT=collar {L}_armUpper0001_bind_JNT=shoulder \
{L}_armLower0001_bind_JNT=elbow {L}_hand0001_bind_JNT=wrist
    """,
    "Xsens": """
        Hips=pelvis Chest=spine1 Chest2=spine2 Chest3=spine3 Chest4=spine3+ Neck=neck Head=head
        Hips {Left}Hip=hip {Left}Knee=knee {Left}Ankle=ankle {Left}Toe=foot
        Chest4 {Left}Collar=collar {Left}Shoulder=shoulder {Left}Elbow=elbow {Left}Wrist=wrist
    """,
    "Xsens MVN": """
        Pelvis=pelvis L5=spine1 L3=spine2 T12=spine3 T8=spine3+ Neck=neck Head=head
        Pelvis {Left}UpperLeg=hip {Left}LowerLeg=knee {Left}Foot=ankle {Left}Toe=foot
        T8 {Left}Shoulder=collar {Left}UpperArm=shoulder {Left}ForeArm=elbow {Left}Hand=wrist
    """,
    "Perception Neuron": """
        Hips=pelvis Spine=spine1 Spine1=spine2 Spine2=spine3 Neck=neck Neck1 Head=head
        Hips {Left}UpLeg=hip {Left}Leg=knee {Left}Foot=ankle
        Spine2 {Left}Shoulder=collar {Left}Arm=shoulder {Left}ForeArm=elbow {Left}Hand=wrist
        {Left}Hand {Left}HandThumb1=wrist
        {Left}Hand {Left}InHandIndex=wrist
    """,
    "OptiTrack": """
        Hip=pelvis Ab=spine1 Chest=spine3 Neck=neck Head=head
        Hip {L}Thigh=hip {L}Shin=knee {L}Foot=ankle {L}Toe=foot
        Chest {L}Shoulder=collar {L}UArm=shoulder {L}FArm=elbow {L}Hand=wrist
    """,
    "ARKit": """
        root=pelvis+ hips_joint=pelvis spine_1_joint spine_2_joint=spine1 spine_3_joint spine_4_joint=spine2 \
spine_5_joint spine_6_joint spine_7_joint=spine3 neck_1_joint=neck neck_2_joint neck_3_joint neck_4_joint \
head_joint=head
        hips_joint {left}_upLeg_joint=hip {left}_leg_joint=knee {left}_foot_joint=ankle {left}_toes_joint=foot
        spine_7_joint {left}_shoulder_1_joint=collar {left}_arm_joint=shoulder {left}_forearm_joint=elbow \
{left}_hand_joint=wrist
    """,
    "MikuMikuDance": """
        センター=pelvis+ 下半身=pelvis
        センター 上半身=spine1 上半身2=spine3 首=neck 頭=head
        下半身 {左}足=hip {左}ひざ=knee {左}足首=ankle {左}つま先=foot
        上半身2 {左}肩=collar {左}腕=shoulder {左}ひじ=elbow {左}手首=wrist
    """,
    "names that say nothing": """
        j0=pelvis j1=spine1 j2=spine2 j3=spine3 j4=neck j5=head
        j0 {a}0=hip {a}1=knee {a}2=ankle {a}3=foot
        j3 {a}4=collar {a}5=shoulder {a}6=elbow {a}7=wrist
    """,
    "names that say nothing, with twists": """
        j0=pelvis j1=spine1 j2=spine2 j3=spine3 j4=neck j5 j6=head
        j0 {a}0=hip {a}1 {a}2=knee {a}3=ankle {a}4=foot
        j3 {a}5=collar {a}6=shoulder {a}7 {a}8=elbow {a}9=wrist
    """,
}
SIDES = {"l": "r", "L": "R", "left": "right", "Left": "Right", "左": "右", "a": "b"}
LIMBS = [name for name in NAMES if name.rsplit("_")[-1] in ("hip", "knee", "ankle", "shoulder", "elbow", "wrist")]


def rest_places() -> dict[str, np.ndarray]:
    """Where each joint of HumanML3D is at rest, and a little above it with a "+" behind its name."""
    rest = files.offsets()
    for joint in range(1, 22):
        rest[joint] += rest[files.PARENTS[joint]]
    places = dict(zip(NAMES, rest, strict=True))
    return places | {f"{name}+": place + [0, 0.05, 0] for name, place in places.items()}


def sided(chain: str) -> list[tuple[str, str]]:
    """The chains of both sides, or one of the middle, with what goes before the names of joints."""
    marks = [mark for mark in SIDES if f"{{{mark}}}" in chain]
    if not marks:
        return [(chain, "")]
    (mark,) = marks
    return [(chain.replace(f"{{{mark}}}", mark), "left_"), (chain.replace(f"{{{mark}}}", SIDES[mark]), "right_")]


def skeleton(rig: str) -> dict[str, tuple[str | None, np.ndarray, str]]:
    """{joint: (its parent, its place at rest, what swings with it)} of one of `RIGS`."""
    known, found = rest_places(), {}
    chains = [sided(line.strip()) for line in RIGS[rig].strip().splitlines()]
    for chain, side in itertools.chain.from_iterable(chains):
        words = [word.partition("=") for word in chain.split()]
        parent = None if not found else words.pop(0)[0]
        for number, (name, _, place) in enumerate(words):
            full = side + place if side + place in known else place
            if full:
                found[name] = (parent, known[full], full)
            else:
                following = next(word[2] for word in words[number + 1 :] if word[2])
                following = known[side + following if side + following in known else following]
                found[name] = (parent, (found[parent][1] + following) / 2, "")
            parent = name
    return found


def bvh_of(rig: str, rename: dict[str, str] | None = None) -> str:
    """The walk of `motion_files` as a BVH file of a rig, in centimetres."""
    joints, swings, rename = skeleton(rig), files.swings(FRAMES, 20.0), rename or {}
    lines, columns = ["HIERARCHY"], []
    swung: set[str] = set()

    def write(name: str) -> None:
        parent, place, target = joints[name]
        lines.append(f"{'JOINT' if parent else 'ROOT'} {rename.get(name, name)}\n{{")
        offset = 100 * (place - (joints[parent][1] if parent else joints[name][1]))
        lines.append("OFFSET " + " ".join(f"{number:.5f}" for number in offset))
        if parent is None:
            path = files.joints(FRAMES)[:, 0] + place
            columns.extend(100 * path.T)
            lines.append("CHANNELS 6 Xposition Yposition Zposition Zrotation Yrotation Xrotation")
        else:
            lines.append("CHANNELS 3 Zrotation Yrotation Xrotation")
        # What hangs on a joint swings with it, and each limb once.
        swing = swings[target] if target in swings and target not in swung and _carries(joints, name) else None
        swung.update({target} if swing is not None else ())
        columns.extend([np.zeros(FRAMES), np.zeros(FRAMES), np.zeros(FRAMES) if swing is None else swing])
        children = [child for child, (above, *_) in joints.items() if above == name]
        for child in children:
            write(child)
        lines.append("}" if children else "End Site\n{\nOFFSET 0 0 0\n}\n}")

    write(next(iter(joints)))
    rows = [" ".join(f"{number:.5f}" for number in row) for row in np.stack(columns, axis=1)]
    return "\n".join([*lines, "MOTION", f"Frames: {FRAMES}", "Frame Time: 0.05", *rows]) + "\n"


def _carries(joints: dict[str, tuple], name: str) -> bool:
    """Whether the joint is the limb's own, not a helper beside it."""
    below = [child for child, (above, *_) in joints.items() if above == name]
    return any(
        joints[child][2].endswith(("knee", "elbow", "ankle", "wrist")) or _carries(joints, child) for child in below
    )


@pytest.mark.parametrize("rig", RIGS)
def test_every_rig_gives_the_limbs_of_the_body(rig: str) -> None:
    found = bvh.to_joints(parse_bvh(bvh_of(rig)))
    expected = 100 * files.joints(FRAMES)
    for name in LIMBS:
        joint = NAMES.index(name)
        np.testing.assert_allclose(found.joints[:, joint], expected[:, joint], atol=0.02, err_msg=f"{rig}: {name}")
    for name, least in (("head", 2.0), ("neck", 12.0), ("spine3", 12.0), ("left_collar", 12.0), ("left_foot", 16.0)):
        joint = NAMES.index(name)
        away = np.linalg.norm(found.joints[:, joint] - expected[:, joint], axis=-1).max()
        assert away <= least, f"{rig}: {name} is {away:.1f} cm away"
    assert any("matched by structure" in note for note in found.notes) == rig.startswith("names that say nothing")


@pytest.mark.parametrize("rig", ["names that say nothing", "names that say nothing, with twists"])
def test_a_match_by_structure_is_told_and_overruled(rig: str) -> None:
    file = parse_bvh(bvh_of(rig))
    (note,) = bvh.to_joints(file).notes
    assert "left_hip = a0" in note and "right_hip = b0" in note and "--joint_map overrules this" in note
    crossed = bvh.to_joints(file, {"left_wrist": "b9" if "twists" in rig else "b7"}).joints
    np.testing.assert_array_equal(crossed[:, NAMES.index("left_wrist")], crossed[:, NAMES.index("right_wrist")])


@pytest.mark.parametrize("limb", ["leg", "arm"])
def test_a_skeleton_without_a_limb_is_refused(limb: str) -> None:
    text = bvh_of("names that say nothing")
    joint = {"leg": "b0", "arm": "b4"}[limb]
    lines = text.splitlines()
    start = next(i for i, line in enumerate(lines) if line == f"JOINT {joint}")
    depth, stop = 0, start + 1
    while depth or stop == start + 1:
        depth += lines[stop].count("{") - lines[stop].count("}")
        stop += 1
    columns = sum(int(line.split()[1]) for line in lines[:start] if line.startswith("CHANNELS"))
    gone = sum(int(line.split()[1]) for line in lines[start:stop] if line.startswith("CHANNELS"))
    frames = lines.index("Frame Time: 0.05") + 1
    rows = [" ".join(row.split()[:columns] + row.split()[columns + gone :]) for row in lines[frames:]]
    with pytest.raises(BvhError, match="no joint found for .*give it as --joint_map"):
        bvh.to_joints(parse_bvh("\n".join([*lines[:start], *lines[stop:frames], *rows]) + "\n"))
