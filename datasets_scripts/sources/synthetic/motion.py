"""Animates a plan of everyday actions as 22 body joints: keyframed poses, planned footsteps, analytic limbs.

Every channel (pelvis, spine, arms, feet) is a list of keys joined by minimum-jerk curves, so positions, velocities and
accelerations are continuous.  Feet are planted at fixed footholds and legs reach them by two-bone inverse kinematics,
so a standing foot cannot slide.  Actions begin and end on a grid of 0.2 s (one VQ-VAE code).

Frame: metres, Y up, the person starts at the origin facing +Z with the left side at +X.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from modeling_unimo.skeletons_unimo import HUMANML3D

FPS = 20.0
TICK = 0.2  # seconds; action boundaries lie on this grid
FRAMES_PER_TICK = 4
MAX_TICKS = 49
MIN_TICKS = 10

SPEEDS = ("slow", "normal", "fast")
MANNERS = ("", "tired", "proud", "careful")

_LENGTHS = np.linalg.norm(np.asarray(HUMANML3D.default_offsets, dtype=np.float64), axis=-1)


def _bone(joint: int, *direction: float) -> np.ndarray:
    vector = np.asarray(direction, dtype=np.float64)
    return vector / np.linalg.norm(vector) * _LENGTHS[joint]


# Directions of the bones that keep their place in the pelvis or chest, from a standing HumanML3D pose.
_LEFT_HIP, _RIGHT_HIP = _bone(1, 0.60, -0.79, -0.10), _bone(2, -0.60, -0.79, -0.10)
_SPINE = {3: _bone(3, 0, 0.97, -0.22), 6: _bone(6, 0, 0.98, 0.12), 9: _bone(9, 0, 0.97, 0.2)}
_NECK, _HEAD = _bone(12, 0, 0.99, -0.04), _bone(15, 0, 0.85, 0.53)
_COLLARS = (_bone(13, 0.53, 0.83, -0.16), _bone(14, -0.53, 0.83, -0.16))
_SHOULDERS = (_bone(16, 0.89, -0.42, -0.05), _bone(17, -0.89, -0.42, -0.05))
_FOOT_DROP, _FOOT_REACH = 0.38, 0.925  # unit vector ankle -> toe of a flat foot

STAND_HEIGHT = 0.948
_TOE_SIDE, _TOE_FRONT, _TOE_OUT = 0.125, 0.105, 0.20  # toe of a standing foot relative to the root; outward yaw (rad)
_REACH = 0.996  # share of the straight leg that a planted foot may take up


@dataclass(frozen=True)
class Segment:
    """One action of a plan.

    `side` is left, right, both or empty; `count` repetitions or steps (0 where the action has none); `speed` one of
    `SPEEDS`; `direction` where the action has one; `angle` degrees turned, unsigned; `size` small or large, or empty.
    """

    action: str
    side: str = ""
    count: int = 0
    speed: str = "normal"
    direction: str = ""
    angle: int = 0
    size: str = ""


@dataclass(frozen=True)
class Plan:
    """Actions in order, the manner of the whole clip, and the individual variation that no caption names."""

    segments: tuple[Segment, ...]
    manner: str = ""
    lead: int = 1  # ticks of standing before the first action
    gaps: tuple[int, ...] = ()  # ticks of standing after each action but the last
    tail: int = 1
    amplitude: float = 1.0
    sway_phase: float = 0.0


@dataclass
class Motion:
    """Joints (T, 22, 3) in metres and the frame span [start, end) of each action of the plan."""

    joints: np.ndarray
    spans: list[tuple[int, int]]


def _minimum_jerk(u: np.ndarray) -> np.ndarray:
    return u * u * u * (u * (6.0 * u - 15.0) + 10.0)


@dataclass
class _Track:
    times: list[float] = field(default_factory=lambda: [0.0])
    values: list[float] = field(default_factory=lambda: [0.0])

    def sample(self, time: np.ndarray) -> np.ndarray:
        if len(self.times) == 1:
            return np.full(len(time), self.values[0])
        keys, values = np.array(self.times), np.array(self.values)
        index = np.minimum(np.searchsorted(keys, time, side="right") - 1, len(keys) - 2)
        start, span = keys[index], keys[index + 1] - keys[index]
        u = np.minimum((time - start) / span, 1.0)
        low = values[index]
        return low + (values[index + 1] - low) * _minimum_jerk(u)


def _rotate(heading: float, side: float, front: float) -> tuple[float, float]:
    """World x, z of an offset given to the left and to the front of somebody with this heading."""
    c, s = math.cos(heading), math.sin(heading)
    return c * side + s * front, -s * side + c * front


class Animator:
    """Collects the keys of a plan, action after action; `motion()` evaluates them."""

    def __init__(self, plan: Plan):
        self.plan = plan
        self.time = 0.0
        self.tracks: dict[str, _Track] = {}
        self.heading, self.x, self.z = 0.0, 0.0, 0.0
        self.seated = False
        frames = 2 * MAX_TICKS * FRAMES_PER_TICK  # room for a last action that runs past the end, dropped later
        self._clock = np.arange(frames) / FPS
        self._root = np.zeros((frames, 3))  # x, z, heading
        self.gain = plan.amplitude
        for foot, sign in (("l", 1.0), ("r", -1.0)):
            x, z = _rotate(0.0, sign * _TOE_SIDE, _TOE_FRONT)
            self._track(f"{foot}_x").values[0] = x
            self._track(f"{foot}_z").values[0] = z
            self._track(f"{foot}_yaw").values[0] = sign * _TOE_OUT

    # -- keys -------------------------------------------------------------------------------------------------------
    def _track(self, name: str) -> _Track:
        track = self.tracks.get(name)
        if track is None:
            track = self.tracks[name] = _Track()
        return track

    def move(self, name: str, start: float, end: float, value: float) -> None:
        """Let a channel keep its value until `start` and reach `value` at `end` (seconds).

        Args:
            name: Name of the channel.
            start: Time in seconds.
            end: Time in seconds.
            value: The value, in the channel's unit.
        """
        track = self._track(name)
        last = track.times[-1]
        if start > last + 1e-6:
            track.times.append(start)
            track.values.append(track.values[-1])
            last = start
        if end > last + 1e-6:
            track.times.append(end)
            track.values.append(value)

    def pose(self, start: float, end: float, **values: float) -> None:
        """Move several channels to `values` between two times.

        Args:
            start: Time in seconds.
            end: Time in seconds.
            **values: Value by name of the channel.
        """
        for name, value in values.items():
            self.move(name, start, end, value)

    def arm(self, start: float, end: float, side: str, flex: float, abduct: float, twist: float, elbow: float) -> None:
        """Move one arm (or both) to a pose, in radians away from the hanging arm.

        Args:
            start: Time in seconds.
            end: Time in seconds.
            side: "left", "right" or "both".
            flex, abduct, twist, elbow: Angles in radians.
        """
        for prefix in _prefixes(side):
            self.pose(
                start,
                end,
                **{
                    f"{prefix}_flex": flex,
                    f"{prefix}_abduct": abduct,
                    f"{prefix}_twist": twist,
                    f"{prefix}_elbow": elbow,
                },
            )

    def drop_arms(self, start: float, end: float, side: str = "both") -> None:
        """Let one arm (or both) hang again.

        Args:
            start: Time in seconds.
            end: Time in seconds.
            side: "left", "right" or "both".
        """
        self.arm(start, end, side, 0.0, 0.0, 0.0, 0.0)

    # -- root and feet ----------------------------------------------------------------------------------------------
    def travel(self, knots: list[tuple[float, float, float]], path: Callable[[np.ndarray], tuple]) -> None:
        """Lead the root along `path(s) -> x, z, heading`, s given by Hermite knots (time, s, ds/dt).

        Args:
            knots: (time, s, ds/dt), times in seconds.
            path: Place and heading along the path, for an array of s.
        """
        first = int(math.ceil(knots[0][0] * FPS - 1e-9))
        time = self._clock[first:]
        keys, values, slopes = (np.array(column) for column in zip(*knots, strict=True))
        index = np.clip(np.searchsorted(keys, time, side="right") - 1, 0, len(keys) - 2)
        span = keys[index + 1] - keys[index]
        u = np.clip((time - keys[index]) / span, 0.0, 1.0)
        u2, u3 = u * u, u * u * u
        s = (
            (2 * u3 - 3 * u2 + 1) * values[index]
            + (u3 - 2 * u2 + u) * span * slopes[index]
            + (3 * u2 - 2 * u3) * values[index + 1]
            + (u3 - u2) * span * slopes[index + 1]
        )
        x, z, heading = path(s)
        root = self._root[first:]
        root[:, 0], root[:, 1], root[:, 2] = x, z, heading
        self.x, self.z, self.heading = (float(value[-1]) for value in (root[:, 0], root[:, 1], root[:, 2]))

    def step(
        self,
        foot: str,
        start: float,
        end: float,
        place: Sequence[float],
        lift: float = 0.07,
        heel: float = 0.75,
        push: float = 0.12,
    ) -> None:
        """Swing one foot to the standing place of a root at `place` (x, z, heading).

        The heel leaves the ground `push` seconds before `start`, while the toe is still planted.

        Args:
            foot: "l" or "r".
            start: Time in seconds.
            end: Time in seconds.
            place: x and z in metres, heading in radians.
            lift: Height of the swing in metres.
            heel: Pitch of the foot in radians as the heel leaves the ground.
            push: Seconds before `start` at which it does.
        """
        sign = 1.0 if foot == "l" else -1.0
        x, z, heading = place
        dx, dz = _rotate(heading, sign * _TOE_SIDE, _TOE_FRONT)
        swing = end - start
        self.pose(start, end, **{f"{foot}_x": x + dx, f"{foot}_z": z + dz, f"{foot}_yaw": heading + sign * _TOE_OUT})
        self.move(f"{foot}_y", start, start + 0.45 * swing, lift)
        self.move(f"{foot}_y", start + 0.45 * swing, end, 0.0)
        self.move(f"{foot}_pitch", max(start - push, 0.0), start + 0.25 * swing, heel)
        self.move(f"{foot}_pitch", start + 0.25 * swing, end, 0.0)

    def lift_foot(
        self, foot: str, start: float, end: float, side: float, up: float, front: float, pitch: float
    ) -> None:
        """Take a foot off the ground to a toe position relative to the root's standing place for that foot.

        Args:
            foot: "l" or "r".
            start: Time in seconds.
            end: Time in seconds.
            side, up, front: Toe position in metres.
            pitch: Pitch of the foot in radians.
        """
        sign = 1.0 if foot == "l" else -1.0
        dx, dz = _rotate(self.heading, sign * (_TOE_SIDE + side), _TOE_FRONT + front)
        self.pose(
            start, end, **{f"{foot}_x": self.x + dx, f"{foot}_z": self.z + dz, f"{foot}_y": up, f"{foot}_pitch": pitch}
        )

    def set_foot_down(self, foot: str, start: float, end: float) -> None:
        """Put a lifted foot back on the ground.

        Args:
            foot: "l" or "r".
            start: Time in seconds.
            end: Time in seconds.
        """
        self.lift_foot(foot, start, end, 0.0, 0.0, 0.0, 0.0)

    # -- evaluation -------------------------------------------------------------------------------------------------
    def motion(self, ticks: int, spans: list[tuple[int, int]]) -> Motion:
        """The joints of the first `ticks` ticks.

        Args:
            ticks: Number of ticks (0.2 s each).
            spans: First frame of each action and the one after its last.

        Returns:
            The motion.
        """
        frames = ticks * FRAMES_PER_TICK + 1
        time = self._clock[:frames]
        channels = {name: track.sample(time) for name, track in self.tracks.items()}
        root = self._root[:frames]
        return Motion(_pose_body(time, channels, root, self.plan), spans)


def _prefixes(side: str) -> tuple[str, ...]:
    return {"left": ("l",), "right": ("r",), "both": ("l", "r")}[side]


# Posture of each manner: offsets added to every frame.
_POSTURE: Mapping[str, Mapping[str, float]] = {
    "": {},
    "tired": {"spine_pitch": 0.42, "neck_pitch": 0.55, "height": -0.03, "flex": 0.10, "abduct": -0.06},
    "proud": {"spine_pitch": -0.16, "neck_pitch": -0.30, "abduct": 0.20, "elbow": 0.25},
    "careful": {"spine_pitch": 0.16, "pitch": 0.12, "height": -0.10, "flex": 0.30, "abduct": 0.10, "elbow": 0.85},
}


def _turned(vector: np.ndarray, yaw: np.ndarray, pitch: np.ndarray, roll: np.ndarray) -> np.ndarray:
    """Rotate (3,) or (T, 3) by Ry(yaw) Rx(pitch) Rz(roll); angles (T,). Returns (T, 3)."""
    x, y, z = vector[..., 0], vector[..., 1], vector[..., 2]
    c, s = np.cos(roll), np.sin(roll)
    x, y = c * x - s * y, s * x + c * y
    c, s = np.cos(pitch), np.sin(pitch)
    y, z = c * y - s * z, s * y + c * z
    c, s = np.cos(yaw), np.sin(yaw)
    return np.stack([c * x + s * z, y, c * z - s * x], axis=-1)


def _pose_body(time: np.ndarray, channels: Mapping[str, np.ndarray], root: np.ndarray, plan: Plan) -> np.ndarray:
    zero = np.zeros(len(time))
    posture = _POSTURE[plan.manner]

    def channel(name: str) -> np.ndarray:
        return channels.get(name, zero) + posture.get(name, 0.0)

    heading = root[:, 2]
    sway = 0.004 * np.sin(2 * math.pi * time / 4.0 + plan.sway_phase)
    yaw, pitch, roll = heading + channel("yaw"), channel("pitch"), channel("roll")
    bend, tilt, twist = channel("spine_pitch"), channel("spine_roll"), channel("spine_twist")
    side, front = channel("side") + sway, channel("front")

    pelvis = np.empty((len(time), 3))
    c, s = np.cos(heading), np.sin(heading)
    pelvis[:, 0] = root[:, 0] + c * side + s * front
    pelvis[:, 2] = root[:, 1] - s * side + c * front
    pelvis[:, 1] = STAND_HEIGHT + channel("height")

    # Feet: the toe is the planted point, the ankle pivots about it.
    hips, ankles, toes = [], [], []
    for index, (foot, hip) in enumerate((("l", _LEFT_HIP), ("r", _RIGHT_HIP))):
        length = _LENGTHS[10 + index]
        toe = np.stack([channel(f"{foot}_x"), channel(f"{foot}_y"), channel(f"{foot}_z")], axis=-1)
        sole = np.array([0.0, -_FOOT_DROP, _FOOT_REACH])
        sole *= length / np.linalg.norm(sole)
        ankle = toe - _turned(sole, channel(f"{foot}_yaw"), channel(f"{foot}_pitch"), zero)
        hips.append(_turned(hip, yaw, pitch, roll))
        ankles.append(ankle)
        toes.append(toe)

    # The pelvis may rise no higher than both legs reach; the soft minimum keeps the height smooth.
    height = pelvis[:, 1]
    for index in range(2):
        leg = _REACH * (_LENGTHS[4 + index] + _LENGTHS[7 + index])
        offset = hips[index]
        flat = (pelvis[:, 0] + offset[:, 0] - ankles[index][:, 0]) ** 2
        flat = flat + (pelvis[:, 2] + offset[:, 2] - ankles[index][:, 2]) ** 2
        limit = ankles[index][:, 1] - offset[:, 1] + np.sqrt(np.maximum(leg * leg - flat, 0.01))
        height = 0.5 * (height + limit - np.sqrt((height - limit) ** 2 + 2e-4))
    pelvis[:, 1] = height

    joints = np.empty((len(time), 22, 3))
    joints[:, 0] = pelvis
    for index, sign in ((0, 1.0), (1, -1.0)):
        hip = pelvis + hips[index]
        foot_yaw = channel("l_yaw" if index == 0 else "r_yaw")
        knee_yaw = 0.5 * (yaw + foot_yaw) - 0.25 * sign * _TOE_OUT
        knee, ankle = _bend_leg(hip, ankles[index], knee_yaw, _LENGTHS[4 + index], _LENGTHS[7 + index])
        joints[:, 1 + index], joints[:, 4 + index], joints[:, 7 + index] = hip, knee, ankle
        joints[:, 10 + index] = toes[index] + (ankle - ankles[index])

    # Spine: the bend is shared by three joints.
    joints[:, 3] = pelvis + _turned(_SPINE[3], yaw, pitch, roll)
    for joint, parent, share in ((6, 3, 0.4), (9, 6, 0.75)):
        joints[:, joint] = joints[:, parent] + _turned(
            _SPINE[joint], yaw + share * twist, pitch + share * bend, roll + share * tilt
        )
    chest = (yaw + twist, pitch + bend, roll + tilt)
    joints[:, 12] = joints[:, 9] + _turned(_NECK, *chest)
    joints[:, 15] = joints[:, 12] + _turned(
        _HEAD, chest[0] + channel("neck_yaw"), chest[1] + channel("neck_pitch"), chest[2]
    )
    for index, (prefix, sign) in enumerate((("l", 1.0), ("r", -1.0))):
        joints[:, 13 + index] = joints[:, 9] + _turned(_COLLARS[index], *chest)
        joints[:, 16 + index] = joints[:, 13 + index] + _turned(_SHOULDERS[index], *chest)
        flex = channel(f"{prefix}_flex") + posture.get("flex", 0.0) + 0.06
        abduct = sign * (channel(f"{prefix}_abduct") + posture.get("abduct", 0.0) + 0.16)
        inward = -sign * (channel(f"{prefix}_twist") + 0.15)
        elbow = channel(f"{prefix}_elbow") + posture.get("elbow", 0.0) + 0.28
        ca, sa, cf, sf = np.cos(abduct), np.sin(abduct), np.cos(flex), np.sin(flex)

        def out(x: np.ndarray, y: np.ndarray, z: np.ndarray, ca=ca, sa=sa, cf=cf, sf=sf) -> np.ndarray:
            x, y = ca * x - sa * y, sa * x + ca * y
            y, z = cf * y + sf * z, cf * z - sf * y
            return _turned(np.stack([x, y, z], axis=-1), *chest)

        upper = out(zero, zero - 1.0, zero)
        ce, se = np.cos(elbow), np.sin(elbow)
        lower = out(se * np.sin(inward), -ce, se * np.cos(inward))
        joints[:, 18 + index] = joints[:, 16 + index] + upper * _LENGTHS[18 + index]
        joints[:, 20 + index] = joints[:, 18 + index] + lower * _LENGTHS[20 + index]
    return joints


def _bend_leg(
    hip: np.ndarray, ankle: np.ndarray, yaw: np.ndarray, thigh: float, shin: float
) -> tuple[np.ndarray, np.ndarray]:
    """Knee and ankle (T, 3) of a leg that hinges about the sideways axis at `yaw`: the knee always points forward."""
    line = ankle - hip
    distance = np.sqrt((line * line).sum(-1))
    direction = line / distance[:, None]
    reach = np.clip(distance, abs(thigh - shin) + 0.12, 0.9995 * (thigh + shin))
    hinge = np.stack([np.cos(yaw), np.zeros(len(yaw)), -np.sin(yaw)], axis=-1)
    pole = np.cross(direction, hinge)
    pole /= np.sqrt((pole * pole).sum(-1))[:, None]
    along = (thigh * thigh - shin * shin + reach * reach) / (2 * reach)
    bulge = np.sqrt(np.maximum(thigh * thigh - along * along, 0.0))
    return hip + along[:, None] * direction + bulge[:, None] * pole, hip + reach[:, None] * direction


# -- the actions ----------------------------------------------------------------------------------------------------
# Each takes the animator at its current time, writes keys and returns its duration in ticks.

_STEP_TICKS = {"slow": 4, "normal": 3, "fast": 2}


def _gait(
    body: Animator,
    count: int,
    length: float,
    ticks: int,
    curve: float = 0.0,
    run: bool = False,
    first: str = "l",
) -> int:
    """`count` steps of signed `length` metres, `ticks` each, the last one closing; `curve` is the heading change."""
    start, period = body.time, ticks * TICK
    air = 1.4 if run else 0.8  # swing, in step periods: above 1 both feet fly
    x0, z0, h0 = body.x, body.z, body.heading
    total = (count - 1) * length

    def path(s):
        s = np.asarray(s, dtype=np.float64)
        turn = curve * s / total
        if abs(curve) < 1e-9:
            side, front = 0.0 * s, s
        else:
            radius = total / curve
            side, front = radius * (1 - np.cos(turn)), radius * np.sin(turn)
        c, sn = math.cos(h0), math.sin(h0)
        return x0 + c * side + sn * front, z0 - sn * side + c * front, h0 + turn

    end = start + count * period + (2 * TICK if run else 0.0)
    lead = 0.7 if run else 0.5
    knots = [(start, 0.0, 0.0)]
    knots += [(start + (i + air) * period, (i + lead) * length, length / period) for i in range(count - 1)]
    knots.append((end, total, 0.0))
    body.travel(knots, path)
    feet = (first, "r" if first == "l" else "l")
    lift, heel = (0.20, 1.25) if run else (0.07, 0.25 + 0.95 * abs(length))
    swing_arm = (0.75 if run else 0.30 + 0.22 * min(abs(length) / 0.6, 1.3)) * body.gain
    if body.plan.manner == "tired":
        swing_arm *= 0.5
    elif body.plan.manner == "careful":
        swing_arm *= 0.25
    if run:
        body.pose(start, start + period, l_elbow=1.25, r_elbow=1.25, pitch=0.08, spine_pitch=0.12)
    for i in range(count):
        foot = feet[i % 2]
        lift_off, landing = start + i * period, start + (i + air) * period
        s = min(i + 1, count - 1) * length
        place = tuple(float(value) for value in path(s))
        step_lift = lift if i < count - 1 else 0.8 * lift
        push = (0.35 if i else 0.0) * period
        body.step(foot, lift_off, landing, place, step_lift, heel if i < count - 1 else 0.6 * heel, push)
        # The arm opposite to the swinging leg comes forward with it; hips and chest counter-rotate.
        forward = 1.0 if length > 0 else -1.0
        scale = 1.0 if i < count - 1 else 0.0
        ahead, behind = ("r", "l") if foot == "l" else ("l", "r")
        previous = start + (i - 1 + air) * period if i else start
        body.pose(
            previous,
            landing,
            **{f"{ahead}_flex": scale * forward * swing_arm, f"{behind}_flex": -0.8 * scale * forward * swing_arm},
        )
        if not run:
            body.pose(previous, landing, **{f"{ahead}_elbow": 0.25 * scale, f"{behind}_elbow": 0.0})
        yaw = (-0.13 if foot == "l" else 0.13) * scale * min(abs(length) / 0.6, 1.2)
        body.pose(previous, landing, yaw=yaw, spine_twist=-1.9 * yaw)
        # Weight over the standing leg.
        body.move("side", previous, 0.5 * (previous + landing), -0.022 if foot == "l" else 0.022)
        if run:
            body.move("height", previous, 0.5 * (previous + landing), -0.055)
            body.move("height", 0.5 * (previous + landing), landing, 0.015 if i < count - 1 else -0.05)
        else:
            low = -0.012 - 0.05 * abs(length)
            body.move("height", previous, 0.5 * (previous + landing), -0.012)
            body.move("height", 0.5 * (previous + landing), landing, low if i < count - 1 else -0.01)
    settle = end if end > start + (count - 1 + air) * period + 1e-6 else end + TICK
    body.pose(start + (count - 1 + air) * period, settle, side=0.0, height=0.0)
    if run:
        body.pose(end - 3 * TICK, end, l_elbow=0.0, r_elbow=0.0, pitch=0.0, spine_pitch=0.0)
    return round((end - start) / TICK)


def _walk(body: Animator, segment: Segment) -> int:
    length = {"slow": 0.50, "normal": 0.60, "fast": 0.66}[segment.speed]
    return _gait(body, segment.count, length * body.gain, _STEP_TICKS[segment.speed])


def _walk_back(body: Animator, segment: Segment) -> int:
    length = {"slow": 0.36, "normal": 0.44, "fast": 0.48}[segment.speed]
    return _gait(body, segment.count, -length * body.gain, _STEP_TICKS[segment.speed])


def _run(body: Animator, segment: Segment) -> int:
    return _gait(body, segment.count, 0.82 * body.gain, 2, run=True)


def _curve(body: Animator, segment: Segment) -> int:
    sign = 1.0 if segment.side == "left" else -1.0
    length = {"slow": 0.46, "normal": 0.54, "fast": 0.58}[segment.speed]
    count = 5 if segment.angle == 90 else 7
    return _gait(
        body, count, length, _STEP_TICKS[segment.speed], sign * math.radians(segment.angle), first=segment.side[0]
    )


def _sidestep(body: Animator, segment: Segment) -> int:
    sign = 1.0 if segment.side == "left" else -1.0
    ticks = {"slow": 3, "normal": 2, "fast": 1}[segment.speed]
    swing = ticks * TICK
    length = 0.36 * body.gain
    x0, z0, heading = body.x, body.z, body.heading
    start, total = body.time, segment.count * length

    def path(s):
        dx, dz = _rotate(heading, sign, 0.0)
        return x0 + dx * s, z0 + dz * s, heading + 0.0 * s

    end = start + 2 * segment.count * swing
    speed = length / (2 * swing)
    knots = [(start, 0.0, 0.0)]
    for i in range(segment.count):
        middle = start + (2 * i + 1) * swing
        knots.append((middle, (i + 0.5) * length, 1.2 * speed))
    knots.append((end, total, 0.0))
    body.travel(knots, path)
    lead, trail = ("l", "r") if segment.side == "left" else ("r", "l")
    for i in range(segment.count):
        place = tuple(float(value) for value in path(np.float64((i + 1) * length)))
        moment = start + 2 * i * swing
        body.step(lead, moment, moment + swing, place, 0.06, 0.25, 0.0)
        body.step(trail, moment + swing, moment + 2 * swing, place, 0.06, 0.25, 0.0)
        body.move("height", moment, moment + swing, -0.045)
        body.move("height", moment + swing, moment + 2 * swing, -0.005)
        for prefix in ("l", "r"):
            body.move(f"{prefix}_abduct", moment, moment + swing, 0.22)
            body.move(f"{prefix}_abduct", moment + swing, moment + 2 * swing, 0.0)
    return 2 * segment.count * ticks


def _turn(body: Animator, segment: Segment) -> int:
    sign = 1.0 if segment.side == "left" else -1.0
    angle = sign * math.radians(segment.angle)
    count = {45: 2, 90: 3, 180: 4, 360: 7}[segment.angle]
    ticks = {"slow": 3, "normal": 2, "fast": 2}[segment.speed]
    if segment.speed == "fast" and count > 3:
        count -= 1
    period = ticks * TICK
    start, x, z, heading = body.time, body.x, body.z, body.heading

    def path(s):
        return x + 0.0 * s, z + 0.0 * s, heading + angle * s

    end = start + count * period
    knots = [(start, 0.0, 0.0)]
    pieces = count - 1
    knots += [(start + (i + 0.8) * period, (i + 0.6) / pieces, 1 / (pieces * period)) for i in range(pieces)]
    knots[-1] = (knots[-1][0], min(knots[-1][1], 0.85), knots[-1][2] * 0.8)
    knots.append((end, 1.0, 0.0))
    body.travel(knots, path)
    feet = ("l", "r") if sign > 0 else ("r", "l")
    for i in range(count):
        place = tuple(float(value) for value in path(np.float64(min(i + 1, pieces) / pieces)))
        moment = start + i * period
        body.step(feet[i % 2], moment, moment + 0.8 * period, place, 0.06, 0.35, 0.0)
        body.move("side", moment, moment + 0.4 * period, (-0.03 if feet[i % 2] == "l" else 0.03))
    body.move("side", end - 0.4 * period, end, 0.0)
    body.pose(start, start + period, neck_yaw=0.5 * sign, spine_twist=0.2 * sign)
    body.pose(end - period, end, neck_yaw=0.0, spine_twist=0.0)
    return count * ticks


def _jump(body: Animator, segment: Segment) -> int:
    height = {"small": 0.14, "": 0.24, "large": 0.36}[segment.size] * body.gain
    distance = 0.0 if segment.action == "jump" else 0.55 * body.gain
    moment = body.time
    for _ in range(segment.count):
        low, up, top, land, rest = (moment + TICK * n for n in (2, 2.6, 3.5, 4.4, 5))
        body.pose(moment, low, height=-0.20, pitch=0.25, spine_pitch=0.25)
        body.arm(moment, low, "both", -0.45, 0.05, 0.0, 0.15)
        x0, z0, heading = body.x, body.z, body.heading
        if distance:

            def path(s, x0=x0, z0=z0, heading=heading):
                dx, dz = _rotate(heading, 0.0, 1.0)
                return x0 + dx * s, z0 + dz * s, heading + 0.0 * s

            knots = [
                (moment, 0.0, 0.0),
                (up, 0.2 * distance, 1.35),
                (land, 0.9 * distance, 0.9),
                (rest, distance, 0.0),
            ]
            body.travel(knots, path)
        body.pose(low, top, height=height + 0.03, pitch=0.0, spine_pitch=0.0)
        body.arm(low, top, "both", 0.9 if distance else 1.15, 0.30, 0.0, 0.45)
        for foot, sign in (("l", 1.0), ("r", -1.0)):
            dx, dz = _rotate(heading, sign * _TOE_SIDE, _TOE_FRONT + distance)
            body.move(f"{foot}_pitch", low, up, 0.75)
            body.move(f"{foot}_y", up - 0.05, top, height)
            body.move(f"{foot}_pitch", up, top, 0.55)
            body.pose(up, land, **{f"{foot}_x": x0 + dx, f"{foot}_z": z0 + dz})
            body.move(f"{foot}_y", top, land, 0.0)
            body.move(f"{foot}_pitch", top, land + 0.05, 0.0)
        body.pose(top, rest, height=-0.15, pitch=0.2, spine_pitch=0.2)
        body.arm(top, rest, "both", 0.2, 0.15, 0.0, 0.2)
        moment = rest
    body.pose(moment, moment + 2 * TICK, height=0.0, pitch=0.0, spine_pitch=0.0)
    body.drop_arms(moment, moment + 2 * TICK)
    return 5 * segment.count + 2


def _hop(body: Animator, segment: Segment) -> int:
    stand, free = ("l", "r") if segment.side == "left" else ("r", "l")
    lean = 1.0 if stand == "l" else -1.0
    start = body.time
    ready = start + 2 * TICK
    body.pose(start, ready, side=0.085 * lean, height=-0.06, pitch=0.1)
    body.arm(start, ready, "both", 0.25, 0.55, 0.0, 0.6)
    body.lift_foot(free, start, ready, -0.02, 0.34, -0.28, 1.1)
    moment = ready
    for _ in range(segment.count):
        top, land = moment + TICK * 1.2, moment + 2 * TICK
        lift = 0.15 * body.gain
        body.move("height", moment, top, lift - 0.01)
        body.move("height", top, land, -0.08)
        body.move(f"{stand}_pitch", moment, top, 0.6)
        body.move(f"{stand}_pitch", top, land, 0.0)
        body.move(f"{stand}_y", moment + 0.04, top, lift)
        body.move(f"{stand}_y", top, land - 0.02, 0.0)
        body.move(f"{free}_y", moment, top, 0.34 + lift)
        body.move(f"{free}_y", top, land, 0.34)
        for prefix in ("l", "r"):
            body.move(f"{prefix}_abduct", moment, top, 0.85)
            body.move(f"{prefix}_abduct", top, land, 0.55)
        moment = land
    end = moment + 2 * TICK
    body.set_foot_down(free, moment, end)
    body.pose(moment, end, side=0.0, height=0.0, pitch=0.0)
    body.drop_arms(moment, end)
    return 2 * segment.count + 4


def _march(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 4, "normal": 3, "fast": 2}[segment.speed]
    moment = body.time
    for i in range(segment.count):
        foot = "lr"[i % 2]
        top, end = moment + 0.5 * ticks * TICK, moment + 0.95 * ticks * TICK
        _raise_knee(body, foot, moment, top, 0.36 * body.gain)
        body.set_foot_down(foot, top, end)
        ahead, behind = ("r", "l") if foot == "l" else ("l", "r")
        body.pose(moment, top, **{f"{ahead}_flex": 0.75, f"{ahead}_elbow": 0.8, f"{behind}_flex": -0.45})
        body.pose(top, end, **{f"{ahead}_flex": 0.0, f"{ahead}_elbow": 0.0, f"{behind}_flex": 0.0})
        body.move("side", moment, top, -0.05 if foot == "l" else 0.05)
        body.move("side", top, end, 0.0)
        moment += ticks * TICK
    return segment.count * ticks


def _raise_knee(body: Animator, foot: str, start: float, end: float, up: float) -> None:
    # The toe hangs below the raised knee; the thigh comes up to the front.
    body.lift_foot(foot, start, end, -0.015, up, 0.02 + 0.45 * up, 0.35)


def _knee(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 5, "normal": 4, "fast": 3}[segment.speed]
    foot = segment.side[0]
    away = -1.0 if foot == "l" else 1.0
    start = body.time
    moment = start
    for _ in range(segment.count):
        top, end = moment + 0.5 * ticks * TICK, moment + ticks * TICK
        _raise_knee(body, foot, moment, top, 0.50 * body.gain)
        body.set_foot_down(foot, top, end)
        body.move("side", moment, top, 0.075 * away)
        body.move("side", top, end, 0.0)
        body.arm(moment, top, "both", 0.1, 0.35, 0.0, 0.5)
        body.drop_arms(top, end)
        moment = end
    return segment.count * ticks


def _kick(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 8, "normal": 6, "fast": 5}[segment.speed]
    foot, other = ("l", "r") if segment.side == "left" else ("r", "l")
    away = -1.0 if foot == "l" else 1.0
    moment = body.time
    sideways = segment.direction == "side"
    # A sideways leg stays below the hip: above it, a knee that hinges about the sideways axis would flip backward.
    heights = {"small": 0.25, "": 0.45, "large": 0.66} if sideways else {"small": 0.32, "": 0.62, "large": 0.92}
    up = heights[segment.size] * body.gain
    for _ in range(segment.count):
        back, hit, fold, end = (moment + share * ticks * TICK for share in (0.28, 0.58, 0.76, 1.0))
        body.pose(moment, back, side=0.085 * away, height=-0.03)
        if sideways:
            body.lift_foot(foot, moment, back, 0.0, 0.30, 0.0, 0.3)
            body.lift_foot(foot, back, hit, 0.62, up, -0.02, -0.2)
            body.lift_foot(foot, hit, fold, 0.15, 0.25, 0.0, 0.2)
            body.pose(back, hit, spine_roll=-0.45 * away, roll=-0.22 * away)
            body.pose(hit, end, spine_roll=0.0, roll=0.0)
        else:
            body.lift_foot(foot, moment, back, -0.02, 0.16, -0.30, 0.9)
            # Far enough to the front for a nearly straight leg at this height.
            front = math.sqrt(0.78**2 - (0.83 - up) ** 2) + 0.05
            body.lift_foot(foot, back, hit, -0.05, up, front, -0.55)
            body.lift_foot(foot, hit, fold, -0.03, 0.25, 0.15, 0.2)
            body.pose(back, hit, pitch=-0.18, spine_pitch=0.12)
            body.pose(hit, end, pitch=0.0, spine_pitch=0.0)
        body.set_foot_down(foot, fold, end)
        body.arm(moment, hit, {"l": "left", "r": "right"}[other], 0.85, 0.3, 0.2, 0.7)
        body.arm(moment, hit, {"l": "left", "r": "right"}[foot], -0.35, 0.4, 0.0, 0.5)
        body.drop_arms(hit, end)
        body.pose(fold, end, side=0.0, height=0.0)
        moment = end
    return segment.count * ticks


def _lunge(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 5, "normal": 4, "fast": 3}[segment.speed]
    foot, other = ("l", "r") if segment.side == "left" else ("r", "l")
    length = 0.72 * body.gain
    start = body.time
    for _ in range(segment.count):
        down = start + ticks * TICK
        land = start + 0.7 * ticks * TICK
        hold = down + TICK
        end = hold + ticks * TICK
        home = (body.x, body.z, body.heading)
        dx, dz = _rotate(body.heading, 0.0, length)
        body.step(foot, start, land, (home[0] + dx, home[1] + dz, home[2]), 0.10, 0.2, 0.0)
        body.pose(start, down, height=-0.30, front=0.5 * length, pitch=0.05)
        body.move(f"{other}_pitch", start, down, 0.95)
        body.arm(start, down, "both", 0.2, 0.35, 0.35, 1.25)
        body.pose(hold, end, height=0.0, front=0.0, pitch=0.0)
        body.move(f"{other}_pitch", hold, end, 0.0)
        body.step(foot, hold + 0.25 * ticks * TICK, end, home, 0.10, 0.3, 0.1)
        body.drop_arms(hold, end)
        start = end
    return segment.count * (2 * ticks + 1)


def _squat(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 5, "normal": 4, "fast": 3}[segment.speed]
    depth = {"small": 0.22, "": 0.38, "large": 0.50}[segment.size] * body.gain
    moment = body.time
    for _ in range(segment.count):
        low, up = moment + ticks * TICK, moment + 2 * ticks * TICK
        body.pose(moment, low, height=-depth, front=-0.25 * depth, pitch=0.75 * depth, spine_pitch=0.6 * depth)
        body.arm(moment, low, "both", 1.15, 0.0, 0.1, 0.15)
        body.pose(low, up, height=0.0, front=0.0, pitch=0.0, spine_pitch=0.0)
        body.drop_arms(low, up)
        moment = up
    return segment.count * 2 * ticks


def _sit(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 9, "normal": 6, "fast": 4}[segment.speed]
    start, end = body.time, body.time + ticks * TICK
    middle = 0.5 * (start + end)
    body.pose(start, end, height=-0.44, front=-0.40)
    body.pose(start, middle, pitch=0.35, spine_pitch=0.45)
    body.pose(middle, end, pitch=-0.02, spine_pitch=0.06)
    body.arm(start, end, "both", 0.55, -0.02, 0.25, 0.75)
    body.seated = True
    return ticks


def _stand(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 9, "normal": 6, "fast": 4}[segment.speed]
    start, end = body.time, body.time + ticks * TICK
    lean = start + 0.42 * (end - start)
    body.pose(start, lean, pitch=0.4, spine_pitch=0.45)
    body.pose(lean, end, pitch=0.0, spine_pitch=0.0)
    body.pose(start + 0.15 * (end - start), end, height=0.0, front=0.0)
    body.drop_arms(start, end)
    body.seated = False
    return ticks


def _rest_arms(body: Animator, start: float, end: float, side: str) -> None:
    """Bring arms back: to the thighs of somebody seated, else to hanging."""
    if body.seated:
        body.arm(start, end, side, 0.55, -0.02, 0.25, 0.75)
    else:
        body.drop_arms(start, end, side)


def _wave(body: Animator, segment: Segment) -> int:
    beat = {"slow": 2, "normal": 1.5, "fast": 1}[segment.speed] * TICK
    start = body.time
    up = start + 3 * TICK
    body.arm(start, up, segment.side, 0.10, 1.25, -1.05, 1.35)
    body.move("spine_roll", start, up, 0.05 if segment.side == "left" else -0.05)
    moment = up
    for _ in range(segment.count):
        for prefix in _prefixes(segment.side):
            body.move(f"{prefix}_elbow", moment, moment + beat, 2.05)
            body.move(f"{prefix}_elbow", moment + beat, moment + 2 * beat, 1.2)
        moment += 2 * beat
    moment = start + math.ceil((moment - start) / TICK - 1e-6) * TICK
    end = moment + 3 * TICK
    _rest_arms(body, moment, end, segment.side)
    body.move("spine_roll", moment, end, 0.0)
    return round((end - start) / TICK)


_RAISED = {"front": (1.42, -0.08, 0.0, -0.2), "side": (0.0, 1.38, 0.0, -0.2), "up": (2.45, 0.10, 0.0, -0.15)}


def _raise(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 6, "normal": 4, "fast": 2}[segment.speed]
    start = body.time
    up = start + ticks * TICK
    hold = up + 3 * TICK
    end = hold + ticks * TICK
    body.arm(start, up, segment.side, *_RAISED[segment.direction])
    lean = {"left": -0.06, "right": 0.06, "both": 0.0}[segment.side]
    body.pose(start, up, spine_roll=lean)
    _rest_arms(body, hold, end, segment.side)
    body.pose(hold, end, spine_roll=0.0)
    return 2 * ticks + 3


def _punch(body: Animator, segment: Segment) -> int:
    beat = {"slow": 2, "normal": 1.5, "fast": 1}[segment.speed] * TICK
    start = body.time
    ready = start + 2 * TICK
    turn = -1.0 if segment.side == "left" else 1.0
    guard = (0.30, 0.12, 0.35, 1.65)
    body.arm(start, ready, "both", *guard)
    body.pose(start, ready, height=-0.03, spine_twist=-0.15 * turn)
    moment = ready
    for _ in range(segment.count):
        body.arm(moment, moment + beat, segment.side, 1.42, -0.12, 0.1, -0.12)
        body.pose(moment, moment + beat, spine_twist=0.42 * turn, yaw=0.10 * turn)
        body.arm(moment + beat, moment + 2 * beat, segment.side, *guard)
        body.pose(moment + beat, moment + 2 * beat, spine_twist=-0.15 * turn, yaw=0.0)
        moment += 2 * beat
    moment = start + math.ceil((moment - start) / TICK - 1e-6) * TICK
    end = moment + 2 * TICK
    body.pose(moment, end, height=0.0, spine_twist=0.0)
    body.drop_arms(moment, end)
    return round((end - start) / TICK)


def _clap(body: Animator, segment: Segment) -> int:
    beat = {"slow": 2, "normal": 1.5, "fast": 1}[segment.speed] * TICK
    start = body.time
    ready = start + 2 * TICK
    apart, together = (0.72, 0.28, 0.35, 1.05), (0.78, -0.02, 0.62, 1.0)
    body.arm(start, ready, "both", *apart)
    moment = ready
    for _ in range(segment.count):
        body.arm(moment, moment + beat, "both", *together)
        body.arm(moment + beat, moment + 2 * beat, "both", *apart)
        moment += 2 * beat
    moment = start + math.ceil((moment - start) / TICK - 1e-6) * TICK
    end = moment + 2 * TICK
    _rest_arms(body, moment, end, "both")
    return round((end - start) / TICK)


def _bow(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 6, "normal": 4, "fast": 3}[segment.speed]
    depth = {"small": 0.32, "": 0.60, "large": 0.95}[segment.size] * body.gain
    start = body.time
    low = start + ticks * TICK
    hold, end = low + 2 * TICK, low + (2 + ticks) * TICK
    body.pose(start, low, pitch=0.75 * depth, spine_pitch=0.75 * depth, front=-0.14 * depth, neck_pitch=0.15)
    body.arm(start, low, "both", 0.5 * depth, -0.05, 0.0, -0.05)
    body.pose(hold, end, pitch=0.0, spine_pitch=0.0, front=0.0, neck_pitch=0.0)
    body.drop_arms(hold, end)
    return 2 * ticks + 2


def _throw(body: Animator, segment: Segment) -> int:
    moment = body.time
    turn = -1.0 if segment.side == "left" else 1.0
    other = "right" if segment.side == "left" else "left"
    for _ in range(segment.count):
        back, release, follow, end = (moment + TICK * n for n in (3, 5, 6, 8))
        body.arm(moment, back, segment.side, 0.75, 1.25, -1.30, 1.35)
        body.arm(moment, back, other, 0.9, 0.15, 0.0, 0.2)
        body.pose(moment, back, spine_twist=-0.55 * turn, yaw=-0.18 * turn, spine_pitch=-0.10, front=-0.04)
        body.arm(back, release, segment.side, 1.85, 0.15, -0.3, 0.05)
        body.pose(back, follow, spine_twist=0.45 * turn, yaw=0.15 * turn, spine_pitch=0.30, front=0.05)
        body.arm(back, follow, other, -0.3, 0.2, 0.0, 0.3)
        body.arm(release, follow, segment.side, 0.85, -0.35, 0.3, 0.15)
        body.pose(follow, end, spine_twist=0.0, yaw=0.0, spine_pitch=0.0, front=0.0)
        body.drop_arms(follow, end)
        moment = end
    return 8 * segment.count


def _look(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 4, "normal": 3, "fast": 2}[segment.speed]
    sign = 1.0 if segment.side == "left" else -1.0
    start = body.time
    there = start + ticks * TICK
    hold, end = there + 2 * TICK, there + (2 + ticks) * TICK
    body.pose(start, there, neck_yaw=0.75 * sign, spine_twist=0.75 * sign)
    body.pose(hold, end, neck_yaw=0.0, spine_twist=0.0)
    return 2 * ticks + 2


def _lean(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 5, "normal": 4, "fast": 2}[segment.speed]
    sign = 1.0 if segment.side == "left" else -1.0
    far = "r" if segment.side == "left" else "l"
    moment = body.time
    for _ in range(segment.count):
        there, end = moment + ticks * TICK, moment + 2 * ticks * TICK
        body.pose(moment, there, spine_roll=-0.62 * sign, roll=-0.08 * sign, side=-0.03 * sign)
        body.pose(moment, there, **{f"{far}_abduct": 1.55, f"{far}_elbow": 0.45, f"{far}_flex": 0.35})
        body.pose(there, end, spine_roll=0.0, roll=0.0, side=0.0)
        body.pose(there, end, **{f"{far}_abduct": 0.0, f"{far}_elbow": 0.0, f"{far}_flex": 0.0})
        moment = end
    return 2 * ticks * segment.count


def _jack(body: Animator, segment: Segment) -> int:
    beat = {"slow": 3, "normal": 2, "fast": 2}[segment.speed] * TICK
    moment = body.time
    for _ in range(segment.count):
        for spread, height, abduct in ((0.22, 0.09, 2.35), (0.0, 0.09, 0.0)):
            end = moment + beat
            off, top, land = (moment + share * beat for share in (0.15, 0.5, 0.85))
            body.pose(moment, top, height=height - 0.02)
            body.pose(top, end, height=-0.05 if spread else -0.01)
            for foot, sign in (("l", 1.0), ("r", -1.0)):
                dx, dz = _rotate(body.heading, sign * (_TOE_SIDE + spread), _TOE_FRONT)
                body.pose(off, land, **{f"{foot}_x": body.x + dx, f"{foot}_z": body.z + dz})
                body.move(f"{foot}_y", off, top, height)
                body.move(f"{foot}_y", top, land, 0.0)
                body.move(f"{foot}_pitch", moment, top, 0.5)
                body.move(f"{foot}_pitch", top, land, 0.0)
                body.move(f"{foot}_abduct", moment, end, abduct)
            moment = end
    body.move("height", moment, moment + TICK, 0.0)
    return round((moment - body.time) / TICK) + 1


def _circle(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 8, "normal": 6, "fast": 4}[segment.speed]
    moment = body.time
    sign = 1.0 if segment.direction == "backward" else -1.0
    # A backward circle goes up in front, over the head and down behind.
    angle = 0.0
    for prefix in _prefixes(segment.side):
        body.pose(moment, moment + TICK, **{f"{prefix}_abduct": 0.30, f"{prefix}_elbow": -0.12})
    for _ in range(segment.count):
        angle += sign * 2 * math.pi
        for prefix in _prefixes(segment.side):
            body.move(f"{prefix}_flex", moment, moment + ticks * TICK, angle)
        moment += ticks * TICK
    for prefix in _prefixes(segment.side):
        body.pose(moment - TICK, moment, **{f"{prefix}_abduct": 0.0, f"{prefix}_elbow": 0.0})
        track = body.tracks[f"{prefix}_flex"]
        # Whole turns later the arm hangs as before: continue from the equivalent angle.
        track.times.append(moment + 1e-4)
        track.values.append(angle - sign * 2 * math.pi * segment.count)
    return ticks * segment.count


def _pick(body: Animator, segment: Segment) -> int:
    ticks = {"slow": 7, "normal": 5, "fast": 4}[segment.speed]
    start = body.time
    low = start + ticks * TICK
    hold, end = low + TICK, low + (1 + ticks) * TICK
    turn = -1.0 if segment.side == "left" else 1.0
    body.pose(start, low, height=-0.46, front=-0.10, pitch=0.62, spine_pitch=0.75, spine_twist=0.18 * turn)
    body.arm(start, low, segment.side, 0.95, -0.10, 0.0, -0.15)
    body.pose(hold, end, height=0.0, front=0.0, pitch=0.0, spine_pitch=0.0, spine_twist=0.0)
    middle = 0.5 * (hold + end)
    body.arm(hold, middle, segment.side, 0.35, 0.0, 0.2, 1.3)
    body.drop_arms(middle, end + TICK, segment.side)
    return 2 * ticks + 2


ACTIONS: Mapping[str, Callable[[Animator, Segment], int]] = {
    "walk": _walk,
    "walk_back": _walk_back,
    "run": _run,
    "curve": _curve,
    "sidestep": _sidestep,
    "turn": _turn,
    "jump": _jump,
    "jump_forward": _jump,
    "hop": _hop,
    "march": _march,
    "knee": _knee,
    "kick": _kick,
    "lunge": _lunge,
    "squat": _squat,
    "sit": _sit,
    "stand": _stand,
    "wave": _wave,
    "raise": _raise,
    "punch": _punch,
    "clap": _clap,
    "bow": _bow,
    "throw": _throw,
    "look": _look,
    "lean": _lean,
    "jack": _jack,
    "circle": _circle,
    "pick": _pick,
}


def animate(plan: Plan) -> Motion | None:
    """Animate a plan; None if it does not fit into the longest clip of 49 ticks (9.8 s).

    Args:
        plan: The plan.

    Returns:
        The motion, or None.

    Raises:
        ValueError: if the plan is empty or an action is unknown.
    """
    if not plan.segments:
        raise ValueError("a plan needs at least one action")
    body = Animator(plan)
    ticks, spans = plan.lead, []
    for index, segment in enumerate(plan.segments):
        action = ACTIONS.get(segment.action)
        if action is None:
            raise ValueError(f"unknown action {segment.action!r}; known: {', '.join(ACTIONS)}")
        body.time = ticks * TICK
        length = action(body, segment)
        spans.append((ticks * FRAMES_PER_TICK, (ticks + length) * FRAMES_PER_TICK))
        ticks += length
        if ticks > MAX_TICKS:
            return None
        if index + 1 < len(plan.segments):
            ticks += plan.gaps[index] if index < len(plan.gaps) else 0
    ticks = max(min(ticks + plan.tail, MAX_TICKS), MIN_TICKS)
    return body.motion(ticks, spans)
