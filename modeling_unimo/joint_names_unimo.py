"""The names that other software gives the 22 joints, in HumanML3D's order."""

from __future__ import annotations

from .skeletons_unimo import HUMANML3D, Skeleton

JOINT_NAMES: dict[str, tuple[str, ...]] = {
    "smpl": HUMANML3D.joint_names,
    "mixamo": tuple(
        f"mixamorig:{name}"
        for name in (
            "Hips LeftUpLeg RightUpLeg Spine LeftLeg RightLeg Spine1 LeftFoot RightFoot Spine2 LeftToeBase "
            "RightToeBase Neck LeftShoulder RightShoulder Head LeftArm RightArm LeftForeArm RightForeArm LeftHand "
            "RightHand"
        ).split()
    ),
    "unreal": tuple(
        "pelvis thigh_l thigh_r spine_01 calf_l calf_r spine_02 foot_l foot_r spine_03 ball_l ball_r neck_01 "
        "clavicle_l clavicle_r head upperarm_l upperarm_r lowerarm_l lowerarm_r hand_l hand_r".split()
    ),
    "vrm": tuple(
        "hips leftUpperLeg rightUpperLeg spine leftLowerLeg rightLowerLeg chest leftFoot rightFoot upperChest "
        "leftToes rightToes neck leftShoulder rightShoulder head leftUpperArm rightUpperArm leftLowerArm "
        "rightLowerArm leftHand rightHand".split()
    ),
}
"""Naming schemes: SMPL's (this project's own), Mixamo's, Unreal Engine's mannequin and VRM's humanoid bones."""


def joint_names(skeleton: Skeleton, names: str = "smpl") -> tuple[str, ...]:
    """The names of a skeleton's joints in a naming scheme.

    Args:
        skeleton: The skeleton.
        names: Name of the scheme.

    Returns:
        One name a joint, in the skeleton's order.

    Raises:
        ValueError: no such scheme, or a skeleton of other joints than HumanML3D's in a foreign scheme.
    """
    if names not in JOINT_NAMES:
        raise ValueError(f"names must be one of {', '.join(JOINT_NAMES)}, got {names!r}")
    if skeleton is HUMANML3D:
        return JOINT_NAMES[names]
    if names != "smpl":
        raise ValueError(f"names={names!r} is defined for 22 joints; a {skeleton.name} motion keeps its own names")
    return skeleton.joint_names
