"""A motion on another skeleton: the directions of its bones, its root by the length of the leg, feet that stand still.

Each joint turns from the rig's rest pose as the moving body's turned from its own T-pose, so the rest pose may be any
and axes of bones do not matter; then every bone is aimed exactly. What no name maps (fingers, twist joints, props)
keeps its rest pose and follows its parent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from datasets_scripts.sources.bvh_skeleton import spine_joints
from datasets_scripts.sources.rigs import SPINE, ancestors
from modeling_unimo.foot_lock_unimo import FREE, foot_pins, slides, solve_leg
from modeling_unimo.rigid_motion_unimo import fit_rigid_motion
from modeling_unimo.skeletons_unimo import HUMANML3D
from unimo.foot_holding import Legs, hold_feet
from unimo.rig import Rig, descends, leg_length

_SIDES = ("left", "right")
_INDEX = {name: index for index, name in enumerate(HUMANML3D.joint_names)}
# Bones that one joint turns: (joint, where it points).
_BONES = tuple(
    (f"{side}_{one}", f"{side}_{other}")
    for side in _SIDES
    for one, other in (
        ("hip", "knee"), ("knee", "ankle"), ("ankle", "foot"), ("collar", "shoulder"), ("shoulder", "elbow"),
        ("elbow", "wrist"),
    )
) + (("neck", "head"),)  # fmt: skip
# A rig whose lowest foot joint rests so near to the ground (in leg lengths) stands on it.
_STANDS = (-0.02, 0.25)


@dataclass(frozen=True)
class RetargetReport:
    """How well a rig follows a motion.

    Attributes:
        bone_degrees: (largest, mean) angle between the bones of the motion and of the rig.
        furthest_bone: the bone of the largest angle, as "left_hip to left_knee".
        body_moved: largest way in metres, at the size of the moving body, that holding feet moved the whole body.
        slide_before, slide_after: largest way in metres, at the size of the moving body, that a foot slides in one
            contact, without and with feet held.
        sink_before, sink_after: how far in metres the toes get below where the lowest standing toes are.
        contacts: number of contacts.
    """

    bone_degrees: tuple[float, float]
    furthest_bone: str
    body_moved: float
    slide_before: float
    slide_after: float
    sink_before: float
    sink_after: float
    contacts: int

    def __str__(self) -> str:
        largest, mean = self.bone_degrees
        slides, sinks = (self.slide_before, self.slide_after), (self.sink_before, self.sink_after)
        return (
            f"bone directions differ by {mean:.2f} degrees on average, {largest:.2f} at most ({self.furthest_bone})\n"
            f"feet in {self.contacts} contacts slide {100 * slides[0]:.1f} cm at most before, {100 * slides[1]:.1f} "
            f"after holding them; sink {100 * sinks[0]:.1f} cm before, {100 * sinks[1]:.1f} cm after\n"
            f"the body moved by {100 * self.body_moved:.1f} cm at most for it"
        )


@dataclass(frozen=True)
class RetargetedMotion:
    """A motion on a rig, in the rig's axes and unit.

    Attributes:
        turned: the joints that turn.
        moved: the joint whose position moves, which carries the body.
        rotations: (T, J, 3, 3) of all joints in the world.
        positions: (T, J, 3) of all joints in the world.
        report: how well it fits.
    """

    turned: list[int]
    moved: int
    rotations: np.ndarray
    positions: np.ndarray
    report: RetargetReport


def retarget(joints: np.ndarray, rig: Rig, fps: float, foot_lock: bool = True) -> RetargetedMotion:
    """Puts a motion on a rig.

    Args:
        joints: (T, 22, 3) metres, Y up.
        rig: the skeleton, its joints mapped.
        fps: frames per second.
        foot_lock: hold feet where they touch the ground, and the body low enough for the legs to reach.

    Returns:
        The motion on the rig, with a report of how well it fits.

    Raises:
        ValueError: the motion is none of 22 joints and at least two frames, or the rig's limbs are none.
    """
    rig.check()
    return _Retargeting(np.asarray(joints, dtype=np.float64), rig, fps).run(foot_lock)


class _Retargeting:
    """One motion on its way to one rig. All in Y up with left on the left, the rig's unit, until the end."""

    def __init__(self, joints: np.ndarray, rig: Rig, fps: float):
        self.rig, self.fps, self.source = rig, fps, joints
        axes = rig.convention.apply(np.eye(3)).T
        self.axes = axes  # from the rig's axes to ours
        self.rest = rig.rest_positions @ axes.T
        self.rest_turns = axes @ rig.rest_rotations @ axes.T
        self.scale = rig.leg_length() / leg_length(joints)
        motion, body = fit_rigid_motion(joints), fit_rigid_motion(rig.rest_body())
        source, rest = _matrices(motion.world()[0]), _matrices(body.world()[0])
        # (T, 22, 3, 3) how far each part of the body is turned from where it is in the rig's rest pose.
        self.turns = source @ rest.swapaxes(-1, -2)
        self.local_offsets = np.zeros_like(self.rest)
        self.local_turns = self.rest_turns.copy()
        for joint, parent in enumerate(rig.parents):
            if parent >= 0:
                inverse = self.rest_turns[parent].T
                self.local_offsets[joint] = inverse @ (self.rest[joint] - self.rest[parent])
                self.local_turns[joint] = inverse @ self.rest_turns[joint]
        self.spine = spine_joints(rig, rig.joints)
        pelvis = rig.joints["pelvis"]
        # Where the spine does not hang on the pelvis, both hang on the joint that carries the body.
        self.carrier = pelvis
        above = set(ancestors(rig, rig.joints["neck"]))
        if pelvis not in above:
            self.carrier = next((joint for joint in ancestors(rig, pelvis) if joint in above), pelvis)
        for side in _SIDES:
            if self.carrier not in ancestors(rig, rig.joints[f"{side}_hip"]):
                raise ValueError(
                    f"{rig.names[rig.joints[f'{side}_hip']]} ({side}_hip) does not hang on "
                    f"{rig.names[self.carrier]}, which carries the body; name the joints with --joint_map"
                )

    def run(self, foot_lock: bool) -> RetargetedMotion:
        names = self.rig.joints
        self.world: dict[int, np.ndarray] = {}  # (T, 3, 3) of each joint that turns by itself
        for name in ("pelvis", *(bone for bone, _ in _BONES if bone in names)):
            self._turn(names[name], _INDEX[name])
        if "head" in names and names["head"] != names["neck"]:
            self._turn(names["head"], _INDEX["head"])
        self._turn(self.carrier, 0)
        self._turn_spine()
        for bone, tip in _BONES:
            if descends(self.rig, names, bone, tip):
                self._aim(names[bone], names[tip], self.source[:, _INDEX[tip]] - self.source[:, _INDEX[bone]])
        pelvis = self.source[:, 0] * self.scale
        turns, positions = self._pose(pelvis)
        pelvis = pelvis + self._to_ground(positions)
        turns, positions = self._pose(pelvis)
        before = self._feet(positions)
        moved = 0.0
        if foot_lock:
            turns, positions, moved = self._hold_feet(turns, positions, pelvis)
        report = self._report(before, positions, moved)
        back = self.axes.T
        return RetargetedMotion(
            sorted(self.world), self.carrier, back @ turns @ self.axes, positions @ self.axes, report
        )

    # ------------------------------------------------------------------------------------------------------- rotations
    def _turn(self, joint: int, part: int) -> None:
        """Turns a joint as a part of the body turned."""
        self.world[joint] = self.turns[:, part] @ self.rest_turns[joint]

    def _aim(self, joint: int, tip: int, directions: np.ndarray) -> None:
        """Turns a joint by the shortest way so that the bone to `tip` has given directions (T, 3)."""
        bone = self.rest_turns[joint].T @ (self.rest[tip] - self.rest[joint])
        if np.linalg.norm(bone) > 1e-6 * self.rig.leg_length():
            self.world[joint] = _between(self.world[joint] @ bone, directions) @ self.world[joint]

    def _turn_spine(self) -> None:
        """The rig's joints from pelvis to neck, however many, along the body's own line."""
        names = self.rig.joints
        if not self.spine:
            return
        line = [0, *(_INDEX[name] for name in SPINE), _INDEX["neck"]]
        points = self.source[:, line]
        marks = _shares(points.mean(0)[None] if len(points) == 1 else points)
        chain = [names["pelvis"], *self.spine, names["neck"]]
        shares = _shares(self.rest[chain][None])
        places = np.stack([_at(points, marks, share) for share in shares], 1)
        for place, joint in enumerate(self.spine, start=1):
            nearest = int(np.argmin(np.abs(marks[:-1] - shares[place])))
            self._turn(joint, line[nearest])
            if chain[place] in ancestors(self.rig, chain[place + 1]):
                self._aim(joint, chain[place + 1], places[:, place + 1] - places[:, place])

    # ------------------------------------------------------------------------------------------------------- positions
    def _pose(self, pelvis: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rotations (T, J, 3, 3) and positions (T, J, 3) of all joints, with the pelvis in given places (T, 3)."""
        count, frames = len(self.rig.names), len(pelvis)
        turns, positions = np.empty((frames, count, 3, 3)), np.zeros((frames, count, 3))
        for joint, parent in enumerate(self.rig.parents):
            if joint in self.world:
                turns[:, joint] = self.world[joint]
            else:
                turns[:, joint] = (
                    turns[:, parent] @ self.local_turns[joint] if parent >= 0 else self.local_turns[joint]
                )
            if joint == self.carrier or parent < 0:
                positions[:, joint] = self.rest[joint]
            else:
                positions[:, joint] = positions[:, parent] + turns[:, parent] @ self.local_offsets[joint]
        moved = self._under_carrier()
        positions[:, moved] += (pelvis - positions[:, self.rig.joints["pelvis"]])[:, None]
        return turns, positions

    def _under_carrier(self) -> list[int]:
        return [joint for joint in range(len(self.rig.names)) if self.carrier in ancestors(self.rig, joint)]

    def _feet(self, positions: np.ndarray) -> np.ndarray:
        """(T, 2 sides, 2, 3) ankles and toes; where a rig has no toes, those of the body stand for them."""
        feet = np.empty((len(positions), 2, 2, 3))
        for number, side in enumerate(_SIDES):
            ankle = positions[:, self.rig.joints[f"{side}_ankle"]]
            feet[:, number, 0] = ankle
            toe = self.rig.joints.get(f"{side}_foot", self.rig.joints[f"{side}_ankle"])
            way = self.source[:, _INDEX[f"{side}_foot"]] - self.source[:, _INDEX[f"{side}_ankle"]]
            same = toe == self.rig.joints[f"{side}_ankle"]
            feet[:, number, 1] = ankle + way * self.scale if same else positions[:, toe]
        return feet

    def _source_feet(self) -> np.ndarray:
        return np.stack([self.source[:, [_INDEX[f"{s}_ankle"], _INDEX[f"{s}_foot"]]] for s in _SIDES], 1)

    def _pins(self) -> np.ndarray:
        """(T, 2) what of each foot stands, seen on the moving body."""
        feet = self._source_feet()
        return np.stack([foot_pins(feet[:, side], self.fps) for side in range(2)], 1)

    def _to_ground(self, positions: np.ndarray) -> np.ndarray:
        """(3,) how far the body must be moved up for its lowest toes to be where they belong."""
        lowest = float(self._source_feet()[..., 1].min()) * self.scale
        body = self.rig.rest_body()[0, [*HUMANML3D.feet_left, *HUMANML3D.feet_right], 1].min()
        low, high = (share * self.rig.leg_length() for share in _STANDS)
        wanted = float(body) if low <= body <= high else lowest
        feet = self._feet(positions)
        pins = self._pins()
        stands = pins != FREE
        found = np.median(feet[stands].min(1)[:, 1]) if stands.any() else feet[..., 1].min()
        reference = np.median(self._source_feet()[stands].min(1)[:, 1]) * self.scale if stands.any() else lowest
        return np.array([0.0, wanted + (reference - lowest) - found, 0.0])

    # ------------------------------------------------------------------------------------------------------------ feet
    def _hold_feet(
        self, turns: np.ndarray, positions: np.ndarray, pelvis: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, float]:
        """Rotations and positions with feet held, and how far the body was moved at most."""
        names, feet, pins = self.rig.joints, self._feet(positions), self._pins()
        if not (pins != FREE).any():
            return turns, positions, 0.0
        hips, knees, ankles = (
            np.stack([positions[:, names[f"{side}_{part}"]] for side in _SIDES], 1)
            for part in ("hip", "knee", "ankle")
        )
        forward = np.stack([self.turns[:, _INDEX[f"{side}_hip"], :, 2] for side in _SIDES], 1)
        legs = Legs(hips / self.scale, knees / self.scale, ankles / self.scale, forward)
        ground = self._ground(feet, pins) / self.scale
        root, shifts = hold_feet(legs, feet / self.scale, pins, ground, self.fps)
        held_knees, held_ankles = solve_leg(hips, knees, ankles, ankles + shifts * self.scale, forward)
        for number, side in enumerate(_SIDES):
            self._aim(names[f"{side}_hip"], names[f"{side}_knee"], held_knees[:, number] - hips[:, number])
            self._aim(names[f"{side}_knee"], names[f"{side}_ankle"], held_ankles[:, number] - held_knees[:, number])
        return *self._pose(pelvis + root * self.scale), float(np.linalg.norm(root, axis=-1).max())

    def _ground(self, feet: np.ndarray, pins: np.ndarray) -> float:
        """Height below which no foot joint goes: that of the lowest standing ones."""
        stands = pins != FREE
        return (
            float(feet[stands].min(1)[:, 1].mean()) - 0.01 * self.scale if stands.any() else float(feet[..., 1].min())
        )

    # ---------------------------------------------------------------------------------------------------------- report
    def _report(self, before: np.ndarray, positions: np.ndarray, moved: float) -> RetargetReport:
        pins, after = self._pins(), self._feet(positions)
        slid = [
            float(np.concatenate([slides(feet[:, side], pins[:, side]) for side in range(2)]).max(initial=0.0))
            for feet in (before, after)
        ]
        contacts = sum(len(slides(after[:, side], pins[:, side])) for side in range(2))
        ground = self._ground(before, pins)
        sunk = [max(0.0, ground - float(feet[..., 1].min())) for feet in (before, after)]
        bones, angles = self._angles(positions)
        return RetargetReport(
            bone_degrees=(float(angles.max()), float(angles.mean())),
            furthest_bone=bones[int(angles.max(0).argmax())],
            body_moved=moved,
            slide_before=slid[0] / self.scale,
            slide_after=slid[1] / self.scale,
            sink_before=sunk[0] / self.scale,
            sink_after=sunk[1] / self.scale,
            contacts=contacts,
        )

    def _angles(self, positions: np.ndarray) -> tuple[list[str], np.ndarray]:
        """Names of the bones, and (T, B) degrees between those of the motion and of the rig."""
        names = self.rig.joints
        bones, angles = [], []
        for bone, tip in _BONES:
            if descends(self.rig, names, bone, tip):
                ours = positions[:, names[tip]] - positions[:, names[bone]]
                theirs = self.source[:, _INDEX[tip]] - self.source[:, _INDEX[bone]]
                sine = np.linalg.norm(np.cross(ours, theirs), axis=-1)
                bones.append(f"{bone} to {tip}")
                angles.append(np.degrees(np.arctan2(sine, (ours * theirs).sum(-1))))
        return bones, np.stack(angles, 1)


def _matrices(quaternions: np.ndarray) -> np.ndarray:
    from modeling_unimo.rotations_unimo import quaternion_to_matrix

    return quaternion_to_matrix(quaternions)


def _between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(T, 3, 3) shortest rotations from directions (T, 3) to others."""
    from modeling_unimo.rotations_unimo import quaternion_between

    return _matrices(quaternion_between(np.ascontiguousarray(one), other))


def _shares(line: np.ndarray) -> np.ndarray:
    """How far along its length each point of a line (T, P, 3) lies, from 0 to 1."""
    steps = np.linalg.norm(np.diff(line, axis=1), axis=-1).mean(0)
    marks = np.concatenate(([0.0], np.cumsum(steps)))
    return marks / max(marks[-1], 1e-12)


def _at(points: np.ndarray, marks: np.ndarray, share: float) -> np.ndarray:
    """(T, 3) the point at `share` of the way along lines (T, P, 3) whose points lie at `marks`."""
    place = int(np.clip(np.searchsorted(marks, share, side="right") - 1, 0, len(marks) - 2))
    weight = (share - marks[place]) / max(marks[place + 1] - marks[place], 1e-12)
    return points[:, place] + weight * (points[:, place + 1] - points[:, place])
