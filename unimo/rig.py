"""A character's skeleton: its hierarchy, its rest pose, and which of its joints is which of HumanML3D's."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from datasets_scripts.sources.bvh_skeleton import place_joints
from datasets_scripts.sources.conversion import place_toes
from datasets_scripts.sources.orientation import Convention
from datasets_scripts.sources.rigs import ancestors
from modeling_unimo.skeletons_unimo import HUMANML3D

# What of a limb must hang on what, for its bones to have a direction.
_LIMBS = (("hip", "knee", "ankle"), ("shoulder", "elbow", "wrist"))


@dataclass
class Rig:
    """A skeleton at rest, in the axes and unit of its file.

    Attributes:
        names: the joints, parents before their children.
        parents: their indices; -1 for the root.
        offsets: (J, 3) from each joint's parent to it, in the world's scale and the parent's axes.
        rest_rotations: (J, 3, 3) of the joints in the world.
        rest_positions: (J, 3) in the world.
        joints: {HumanML3D joint: index}.
        convention: how its axes are written.
        notes: what was assumed.
    """

    names: list[str]
    parents: list[int]
    offsets: np.ndarray
    rest_rotations: np.ndarray
    rest_positions: np.ndarray
    joints: dict[str, int] = field(default_factory=dict)
    convention: Convention = field(default_factory=Convention)
    notes: list[str] = field(default_factory=list)

    def rest_body(self) -> np.ndarray:
        """(1, 22, 3) HumanML3D's joints of the rest pose, Y up, left on the left, in the file's unit.

        Returns:
            The joints.

        Raises:
            ValueError: the legs have no length.
        """
        placed = place_joints(self, self.rest_positions[None], self.joints)
        return place_toes(self.convention.apply(placed))[0]

    def check(self) -> None:
        """Refuses a skeleton that cannot be turned to a body's pose.

        Raises:
            ValueError: a limb's joints do not hang on each other, or have no length between them.
        """
        leg = self.leg_length()
        for side in ("left", "right"):
            for limb in _LIMBS:
                for part, following in zip(limb, limb[1:], strict=False):
                    above, below = self.joints[f"{side}_{part}"], self.joints[f"{side}_{following}"]
                    if above == below or above not in ancestors(self, below):
                        raise ValueError(
                            f"{self.names[below]} ({side}_{following}) does not hang on {self.names[above]} "
                            f"({side}_{part}); name the joints that deform the body with --joint_map"
                        )
                    if np.linalg.norm(self.rest_positions[below] - self.rest_positions[above]) < 1e-3 * leg:
                        raise ValueError(
                            f"the bone from {self.names[above]} to {self.names[below]} has no length in the rest pose"
                        )

    def leg_length(self) -> float:
        """Thigh and shin at rest, mean of both legs, in the file's unit.

        Returns:
            The length.
        """
        lengths = [
            np.linalg.norm(
                self.rest_positions[self.joints[f"{side}_{a}"]] - self.rest_positions[self.joints[f"{side}_{b}"]]
            )
            for side in ("left", "right")
            for a, b in (("hip", "knee"), ("knee", "ankle"))
        ]
        return float(np.sum(lengths)) / 2


def leg_length(joints: np.ndarray) -> float:
    """Thigh and shin of HumanML3D joints (T, 22, 3): the median over time, mean of both legs.

    Args:
        joints: (T, 22, 3).

    Returns:
        The length, in the unit of the joints.
    """
    index = HUMANML3D.joint_names.index
    bones = [
        np.median(np.linalg.norm(joints[:, index(f"{side}_{a}")] - joints[:, index(f"{side}_{b}")], axis=-1))
        for side in ("left", "right")
        for a, b in (("hip", "knee"), ("knee", "ankle"))
    ]
    return float(np.sum(bones)) / 2


def descends(rig: Rig, joints: Mapping[str, int], above: str, below: str) -> bool:
    """Whether both joints are in the rig, are two, and one hangs on the other.

    Args:
        rig: The rig.
        joints: Index in the rig by HumanML3D's joint.
        above: HumanML3D's joint nearer to the root.
        below: HumanML3D's joint further from it.

    Returns:
        Whether they are.
    """
    if above not in joints or below not in joints or joints[above] == joints[below]:
        return False
    return joints[above] in ancestors(rig, joints[below])
