"""What a motion shows of each kind of action: the verifier's own reading of the joints.

`Evidence(joints)` looks for one kind of movement at a time, only when asked, and keeps what it found. Every movement
carries what can be compared with words (side, count, direction, angle, lengths) and whether it is `sure`: a movement
that is not sure would let a statement pass unjudged, and the absence of both kinds contradicts it. None of the bounds
here are shared with the annotator, whose texts are to be checked with them.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from datasets_scripts.cot.kinematics import (
    ELBOWS,
    HEAD,
    HIPS,
    NECK,
    PELVIS,
    SHOULDERS,
    SIDES,
    TOES,
    WRISTS,
    Measurements,
    Span,
    measure,
    quantile,
    smooth,
    spans_above,
    swings,
)

# Travel: pelvis speed (m/s), and the factor by which it must fall between two bouts of it.
_BOUT, _BOUT_END, _BOUT_VALLEY, _BOUT_METRES = 0.22, 0.10, 1.9, 0.18
# A swinging foot: toe speed across the ground (m/s) and metres gained.
_SWING, _SWING_END, _SWING_METRES, _SURE_SWING_METRES = 0.5, 0.25, 0.10, 0.16
# Runners have both feet on the move at once (share of the time), walkers never.
_BOTH_MOVING, _RUN_SHARE, _WALK_SHARE, _RUN_SPEED, _WALK_SPEED = 0.8, 0.06, 0.03, 2.3, 1.9
_TURN, _SURE_TURN = 17.0, 27.0
_FLIGHT, _SURE_FLIGHT, _HELD_FOOT = 0.03, 0.055, 0.12


@dataclass(frozen=True)
class Movement:
    """Something the body does in frames `start` up to `stop`.

    `side`: left, right, both or empty. `count`: fewest and most repetitions that can be read. `directions`: every
    name that fits; a name in `unlike` clearly does not. `angle` degrees (signed, positive to the left, for turns),
    `metres` the extent that a text would give, `speed` m/s, `level` names of heights reached, `shown` a readable
    description.
    """

    kind: str
    start: int
    stop: int
    sure: bool = True
    side: str = ""
    count: tuple[int, int] = (1, 1)
    directions: frozenset[str] = frozenset()
    unlike: frozenset[str] = frozenset()
    angle: float | None = None
    metres: float | None = None
    speed: float | None = None
    levels: frozenset[str] = frozenset()
    gait: str = ""

    @property
    def span(self) -> Span:
        """Its frames."""
        return Span(self.start, self.stop)


@dataclass(frozen=True)
class _Step:
    """A foot (0 left, 1 right) carried across the ground: metres to the body's front and left."""

    foot: int
    start: int
    stop: int
    front: float
    left: float

    @property
    def metres(self) -> float:
        return float(np.hypot(self.front, self.left))

    @property
    def middle(self) -> float:
        return 0.5 * (self.start + self.stop)


class Evidence:
    """Movements of joints (T, 22, 3), metres, Y up, found on demand.

    Raises ValueError as `kinematics.measure` does: another shape, fewer than two frames, values that are not finite.
    """

    def __init__(self, joints: np.ndarray, fps: float = 20.0):
        self.m: Measurements = measure(joints, fps)
        self.fps = float(fps)
        self.pose = smooth(np.asarray(joints, dtype=np.float64), 0.05 * fps)
        m = self.m
        standing = min(max(float(quantile(m.hip_height, 0.8)), 0.85), 1.02)
        self.drop = (standing - m.hip_height) * m.leg_length
        self.clear = m.foot_clearance
        self.frames = m.num_frames

    def near(self, seconds: float) -> int:
        """Seconds in frames."""
        return round(seconds * self.fps)

    # -- the ground and the way -------------------------------------------------------------------------------------

    @cached_property
    def hip_heading(self) -> np.ndarray:
        """Facing of the hips alone (T,), degrees, unwrapped, positive to the left: a twisted chest is no turn."""
        across = self.pose[:, HIPS[0]] - self.pose[:, HIPS[1]]
        heading = np.degrees(np.unwrap(np.arctan2(-across[:, 2], across[:, 0])))
        return smooth(heading, 0.2 * self.fps)

    @cached_property
    def twist(self) -> np.ndarray:
        """Shoulders against hips (T,), degrees, positive to the left."""
        across = self.pose[:, SHOULDERS[0]] - self.pose[:, SHOULDERS[1]]
        heading = np.degrees(np.unwrap(np.arctan2(-across[:, 2], across[:, 0])))
        hips = self.pose[:, HIPS[0]] - self.pose[:, HIPS[1]]
        below = np.degrees(np.unwrap(np.arctan2(-hips[:, 2], hips[:, 0])))
        return _wrapped(heading - below)

    @cached_property
    def path(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Smoothed pelvis x, z (T, 2), its velocity to the (front, left) (T, 2) and speed (T,)."""
        position = smooth(self.pose[:, PELVIS, ::2], 0.15 * self.fps)
        step = np.gradient(position, axis=0) * self.fps
        angle = np.radians(self.hip_heading)
        front = step[:, 0] * np.sin(angle) + step[:, 1] * np.cos(angle)
        left = step[:, 0] * np.cos(angle) - step[:, 1] * np.sin(angle)
        return position, np.stack([front, left], axis=-1), np.hypot(front, left)

    @cached_property
    def toe_speed(self) -> np.ndarray:
        """Speed of the toes across the ground (T, 2), m/s."""
        toes = self.pose[:, TOES][..., ::2]
        return np.linalg.norm(np.gradient(toes, axis=0), axis=-1) * self.fps

    @cached_property
    def steps(self) -> list[_Step]:
        """Every foot swing that carries a foot somewhere, in order of time."""
        found = []
        angle = np.radians(self.hip_heading)
        for foot in (0, 1):
            toe = self.pose[:, TOES[foot], ::2]
            for span in spans_above(self.toe_speed[:, foot], _SWING, _SWING_END):
                move = toe[min(span.stop, self.frames - 1)] - toe[max(span.start - 1, 0)]
                facing = angle[(span.start + span.stop) // 2 if span.stop < self.frames else span.start]
                front = float(move[0] * np.sin(facing) + move[1] * np.cos(facing))
                left = float(move[0] * np.cos(facing) - move[1] * np.sin(facing))
                # A foot that was held up in the air is set down, which is no step.
                if np.hypot(front, left) >= _SWING_METRES and self.clear[span.start, foot] < 0.2:
                    found.append(_Step(foot, span.start, span.stop, front, left))
        return sorted(found, key=lambda step: step.middle)

    @cached_property
    def bouts(self) -> list[Movement]:
        """Travel: from standing to standing, and the parts that clear slowing down divides it into."""
        _, velocity, speed = self.path
        found: list[Movement] = []
        for span in spans_above(speed, _BOUT, _BOUT_END, max(2, self.near(0.3))):
            parts = [way for part in _parts(speed, span, _BOUT_VALLEY) for way in self._ways(part)]
            bouts = [bout for part in parts if (bout := self._bout(part, velocity)) is not None]
            found.extend(bouts)
            if len(bouts) > 1 and (whole := self._bout(span, velocity)) is not None:
                found.append(whole)
        return found

    def _ways(self, span: Span) -> list[Span]:
        """Divide a span where the direction of travel (front, back, left, right) changes for good."""
        velocity = self.path[1][span.slice]
        along = np.abs(velocity[:, 0]) >= np.abs(velocity[:, 1])
        label = np.where(along, np.sign(velocity[:, 0]), 2.0 * np.sign(velocity[:, 1]))
        edges = [0, *(np.flatnonzero(label[1:] != label[:-1]) + 1).tolist(), len(label)]
        runs = [(a, b) for a, b in zip(edges, edges[1:], strict=False) if b - a >= self.near(0.4)]
        cuts = [span.start]
        for (a, _), (b, _) in zip(runs, runs[1:], strict=False):
            if label[a] != label[b]:
                cuts.append(span.start + b)
        cuts.append(span.stop)
        return [Span(a, b) for a, b in zip(cuts, cuts[1:], strict=False)]

    def _bout(self, span: Span, velocity: np.ndarray) -> Movement | None:
        ahead, left = velocity[span.slice].sum(axis=0) / self.fps
        metres = float(np.hypot(ahead, left))
        if metres < _BOUT_METRES:
            return None
        way = np.array([ahead, left]) / metres
        along = [
            (step, step.front * way[0] + step.left * way[1])
            for step in self.steps
            if span.start - 2 <= step.middle <= span.stop + 2
        ]
        # A step of the way goes along it; what turns on the spot or comes back does not.
        taken = [(step, gain) for step, gain in along if gain > 0.5 * step.metres]
        usual = float(np.median([gain for _, gain in taken])) if taken else 0.0
        sure = [step for step, gain in taken if gain >= max(_SURE_SWING_METRES, 0.3 * usual)]
        feet = {step.foot for step in sure}
        seconds = len(span) / self.fps
        speed = metres / seconds
        both = float((self.toe_speed[span.slice].min(axis=1) > _BOTH_MOVING).mean())
        gait = "run" if (both > _RUN_SHARE and not self._jumps_in(span)) or speed > _RUN_SPEED else ""
        gait = "walk" if not gait and both < _WALK_SHARE and speed < _WALK_SPEED else gait
        turned = float(self.hip_heading[min(span.stop, self.frames - 1)] - self.hip_heading[span.start])
        # Feet that pass each other walk; a body that shifts over planted feet, lunges or jumps does not.
        alternate = sum(a.foot != b.foot for a, b in zip(sure, sure[1:], strict=False))
        walks = len(feet) == 2 and alternate >= 1 and len(sure) >= 2 and metres > 0.25
        if not taken:
            return None
        names, unlike = _way(ahead, left, turned, self._net(span))
        return Movement(
            "travel",
            span.start,
            span.stop,
            sure=walks,
            count=(len(sure), len(taken)),
            directions=names,
            unlike=unlike,
            angle=turned,
            metres=metres,
            speed=speed,
            gait=gait,
        )

    def _net(self, span: Span) -> tuple[float, float]:
        """Metres gained to the (front, left) of the body as it faced at the start of the span."""
        position = self.path[0]
        move = position[span.stop - 1] - position[span.start]
        angle = np.radians(self.hip_heading[span.start])
        return (
            float(move[0] * np.sin(angle) + move[1] * np.cos(angle)),
            float(move[0] * np.cos(angle) - move[1] * np.sin(angle)),
        )

    def _jumps_in(self, span: Span) -> bool:
        return any(flight[0].overlap(span) and flight[1] == "jump" for flight in self._flights)

    @cached_property
    def side_steps(self) -> list[Movement]:
        """Travel to a side: the count is that of the leading foot's steps."""
        found: list[Movement] = []
        for bout in self.bouts:
            for side in SIDES:
                if side not in bout.directions or side in bout.unlike:
                    continue
                sign = 1.0 if side == "left" else -1.0
                inside = [s for s in self.steps if bout.start - 2 <= s.middle <= bout.stop + 2]
                leads = [s for s in inside if s.foot == (side == "right") and sign * s.left > 0.12]
                sideways = abs(float(self._aside(bout))) > 0.7
                found.append(replace(bout, kind="sidestep", side=side, sure=sideways, count=(len(leads), len(leads))))
        return found

    def _aside(self, bout: Movement) -> float:
        ahead, left = self.path[1][bout.span.slice].sum(axis=0) / self.fps
        return float(left / max(np.hypot(ahead, left), 1e-6))

    @cached_property
    def curves(self) -> list[Movement]:
        """Travel that turns on the way."""
        return [
            replace(
                bout,
                kind="curve",
                side="left" if bout.angle > 0 else "right",
                directions=bout.directions | {"left" if bout.angle > 0 else "right"},
                unlike=frozenset({"right" if bout.angle > 0 else "left"}),
                sure=bout.sure and abs(bout.angle) > 35.0,
            )
            for bout in self.bouts
            if bout.angle is not None and abs(bout.angle) > 20.0
        ]

    @cached_property
    def turns(self) -> list[Movement]:
        """Changes of the hips' heading, whole and divided where travel begins or ends."""
        edges = sorted({frame for bout in self.bouts for frame in (bout.start, bout.stop)})
        rate = np.abs(np.gradient(self.hip_heading)) * self.fps
        found: list[Movement] = []
        for first, last, angle in swings(self.hip_heading, 10.0):
            if abs(angle) < _TURN:
                continue
            found.append(self._turn(first, last))
            cuts = [first, *(e for e in edges if first < e < last), last]
            cuts = sorted({*cuts, *(p.start for p in _parts(rate, Span(first, last + 1), 2.5)[1:])})
            if len(cuts) > 2:
                pairs = [(a, b) for i, a in enumerate(cuts) for b in cuts[i + 1 : i + 4] if (a, b) != (first, last)]
                for a, b in pairs:
                    if abs(self.hip_heading[b] - self.hip_heading[a]) >= _TURN:
                        found.append(self._turn(a, b))
        return found

    def _turn(self, first: int, last: int) -> Movement:
        part = self.hip_heading[first : last + 1]
        angle = float(part[-1] - part[0])
        progress = (part - part[0]) / angle
        start = first + int(np.argmax(progress >= 0.08))
        stop = first + int(np.argmax(progress >= 0.92)) + 1
        side = "left" if angle > 0 else "right"
        return Movement(
            "turn",
            start,
            stop,
            sure=abs(angle) >= _SURE_TURN,
            side=side,
            angle=angle,
            directions=frozenset({side}),
            unlike=frozenset({"right" if angle > 0 else "left"}),
        )

    @cached_property
    def upper_turns(self) -> list[Movement]:
        """Changes of heading that only hips and shoulders together show: perhaps a turn, perhaps a twist."""
        if self.turns:
            return []
        found: list[Movement] = []
        for first, last, angle in swings(self.m.heading, 12.0):
            span = Span(first, last + 1)
            if abs(angle) > 22.0 and not any(look.sure and look.span.overlap(span) for look in self.looks):
                side = "left" if angle > 0 else "right"
                found.append(
                    Movement("turn", first, last + 1, sure=False, side=side, angle=angle, directions=frozenset({side}))
                )
        return found

    @cached_property
    def single_steps(self) -> list[Movement]:
        """Steps that make no travel: enough for "takes a step", not for a walk."""
        found: list[Movement] = []
        for step in self.steps:
            names, unlike = _way(step.front, step.left, 0.0, (step.front, step.left))
            found.append(
                Movement(
                    "travel",
                    step.start,
                    step.stop,
                    sure=step.metres > 0.2,
                    directions=names,
                    unlike=unlike if step.metres > 0.3 else frozenset(),
                    metres=step.metres,
                )
            )
        return found

    @cached_property
    def free_feet(self) -> list[Movement]:
        """The foot held up while the other hops."""
        return [replace(hop, side="right" if hop.side == "left" else "left", count=(1, 1)) for hop in self.hops]

    @staticmethod
    def unsure(found: list[Movement]) -> list[Movement]:
        """The same movements as something that they may also be called."""
        return [replace(movement, sure=False) for movement in found]

    # -- the feet ---------------------------------------------------------------------------------------------------

    @cached_property
    def _flights(self) -> list[tuple[Span, str, float, bool]]:
        """Spans with both feet off the ground, what they are (jump, hop left, hop right, stride), height, sure."""
        low = self.clear.min(axis=1)
        found = []
        for span in spans_above(low, _FLIGHT, 0.6 * _FLIGHT, 2):
            before, after = max(span.start - self.near(0.1), 0), min(span.stop + self.near(0.1), self.frames) - 1
            held = [
                side
                for side in (0, 1)
                if self.clear[before, side] > _HELD_FOOT
                and self.clear[after, side] > _HELD_FOOT
                and self.clear[before, 1 - side] < _HELD_FOOT
            ]
            top = span.start + int(low[span.slice].argmax())
            apart = abs(float(self.clear[top, 0] - self.clear[top, 1]))
            if held:
                kind = f"hop {SIDES[1 - held[0]]}"
            else:
                kind = "jump" if apart < 0.15 and self._lands_together(span) else "stride"
            height = float(low[span.slice].max())
            found.append((span, kind, height, height > _SURE_FLIGHT))
        return found

    def _lands_together(self, span: Span) -> bool:
        """Whether both feet leave and meet the ground at about the same time."""
        reach = self.near(0.25)
        around = slice(max(span.start - reach, 0), min(span.stop + reach, self.frames))
        off = self.clear[around] > 0.6 * _FLIGHT
        lone = float((off[:, 0] != off[:, 1]).sum())
        return lone <= 0.6 * max(len(span), self.near(0.3))

    @cached_property
    def jacks(self) -> list[Movement]:
        """Arms go up while the feet go apart, and back."""
        m = self.m
        wide = np.abs(m.foot[:, 0, 0] - m.foot[:, 1, 0]) * m.leg_length
        up = m.hand[..., 1].min(axis=1)
        both = np.minimum((wide - float(quantile(wide, 0.2))) / 0.2, (up - 0.0) / 0.3)
        spans = spans_above(both, 0.9, 0.3, 2)
        return self._series("jack", [(span, True) for span in spans], gap=1.2)

    @cached_property
    def jumps(self) -> list[Movement]:
        """Both feet leave the ground and land together."""
        jacks = [jack.span for jack in self.jacks]
        wide = self.near(0.4)
        onward: list[tuple[Span, bool]] = []
        upward: list[tuple[Span, bool]] = []
        within: list[tuple[Span, bool]] = []
        for span, kind, _, sure in self._flights:
            if kind != "jump":
                continue
            if any(span.start < j.stop + wide and j.start - wide < span.stop for j in jacks):
                within.append((span, False))
            elif np.hypot(*self._gain(max(span.start - 2, 0), min(span.stop + 2, self.frames - 1))) > 0.2:
                onward.append((span, sure))
            else:
                upward.append((span, sure))
        found: list[Movement] = []
        for spans in (onward, upward, within):
            found.extend(self._jump(jump) for jump in self._series("jump", spans, gap=1.1))
        return found

    def _jump(self, jump: Movement) -> Movement:
        ahead, left = self._gain(max(jump.start - 2, 0), min(jump.stop + 2, self.frames - 1))
        each = float(np.hypot(ahead, left)) / jump.count[1]
        names, unlike = frozenset({"in place", "up"}), frozenset({"forward", "backward", "left", "right"})
        if each > 0.2:
            names, unlike = _way(ahead, left, 0.0, (ahead, left))
            names |= {"up"}
        elif each > 0.12:
            unlike = frozenset()
        height = float(self.clear[jump.start : jump.stop].min(axis=1).max())
        return replace(jump, directions=names, unlike=unlike, metres=height)

    def _gain(self, first: int, last: int) -> tuple[float, float]:
        move = self.pose[last, PELVIS, ::2] - self.pose[first, PELVIS, ::2]
        angle = np.radians(self.hip_heading[first])
        return (
            float(move[0] * np.sin(angle) + move[1] * np.cos(angle)),
            float(move[0] * np.cos(angle) - move[1] * np.sin(angle)),
        )

    @cached_property
    def hops(self) -> list[Movement]:
        """Flights from one foot to the same foot, the other held up."""
        found: list[Movement] = []
        for side in SIDES:
            spans = [(span, sure) for span, kind, _, sure in self._flights if kind == f"hop {side}"]
            found.extend(replace(hop, side=side) for hop in self._series("hop", spans, gap=1.0))
        return found

    @cached_property
    def _lifts(self) -> list[tuple[Span, int, str, int]]:
        """(span, foot, form, top frame) of each foot that leaves the ground in place: kick, knee, or up."""
        m, found = self.m, []
        position = self.path[0]
        for foot in (0, 1):
            height = m.foot_height[:, foot]
            for span in spans_above(height, 0.2, 0.08, 2):
                if (
                    self.clear[span.slice, 1 - foot].min() > 0.05
                    or float(self.clear[span.slice, 1 - foot].mean()) > 0.04
                ):
                    continue
                shift = float(np.linalg.norm(position[span.stop - 1] - position[span.start]))
                if shift > 0.25:
                    continue
                outward = m.foot[span.slice, foot, 0] * (1.0 if foot == 0 else -1.0)
                front = m.foot[span.slice, foot, 2]
                reach = np.maximum(np.maximum(front, outward - 0.12), -front)
                far = int(reach.argmax())
                straight = float(m.knee[span.slice, foot][max(far - 2, 0) : far + 3].max())
                knee = float(m.knee_height[span.slice, foot].max())
                high = float(height[span.slice].max())
                if float(reach.max()) > (0.38 if straight > 138.0 else 0.5) and straight > 100.0:
                    form = "kick"
                elif knee > 0.74:
                    form = "knee"
                else:
                    form = "up" if high > 0.25 else "small"
                found.append((span, foot, form, span.start + far))
        return sorted(found, key=lambda lift: lift[0].start)

    def _lift_directions(self, foot: int, top: int) -> tuple[frozenset[str], frozenset[str]]:
        outward = float(self.m.foot[top, foot, 0]) * (1.0 if foot == 0 else -1.0)
        front = float(self.m.foot[top, foot, 2])
        if front > 1.6 * abs(outward):
            return frozenset({"forward"}), frozenset({"sideways", "backward"})
        if outward > 1.6 * abs(front):
            return frozenset({"sideways", SIDES[foot]}), frozenset({"forward", "backward"})
        if -front > 1.6 * abs(outward):
            return frozenset({"backward"}), frozenset({"forward"})
        return frozenset({"forward", "sideways", "backward"}), frozenset()

    @cached_property
    def kicks(self) -> list[Movement]:
        """A leg put out from the body while the other stands."""
        found: list[Movement] = []
        for foot, side in enumerate(SIDES):
            lifts = [(span, top) for span, which, form, top in self._lifts if which == foot and form == "kick"]
            by_way: dict[tuple[frozenset[str], frozenset[str]], list[tuple[Span, bool]]] = {}
            for span, top in lifts:
                by_way.setdefault(self._lift_directions(foot, top), []).append((span, True))
            for (names, unlike), spans in by_way.items():
                for kick in self._series("kick", spans, gap=1.2):
                    high = float(self.pose[kick.start : kick.stop, TOES[foot], 1].max())
                    floor = float(quantile(self.pose[:, TOES[foot], 1], 0.02))
                    found.append(replace(kick, side=side, directions=names, unlike=unlike, metres=high - floor))
        return found

    @cached_property
    def knees(self) -> list[Movement]:
        """A knee raised to the front while the other leg stands."""
        return [self._on(foot, lift) for foot in (0, 1) for lift in self._lift_series("knee", foot, ("knee",))]

    @cached_property
    def leg_lifts(self) -> list[Movement]:
        """Any foot taken off the ground in place."""
        forms = ("knee", "kick", "up")
        return [self._on(foot, lift) for foot in (0, 1) for lift in self._lift_series("leg", foot, forms)]

    def _lift_series(self, kind: str, foot: int, forms: tuple[str, ...]) -> list[Movement]:
        """Lifts of one foot, as series that neither the other foot nor a clear change of height interrupts."""
        runs: list[list[tuple[Span, bool]]] = []
        previous: tuple[int, float] | None = None
        for span, which, form, _ in self._lifts:
            high = float(self.m.knee_height[span.slice, which].max())
            if which == foot and form in forms:
                if not runs or previous is None or previous[0] != foot or abs(previous[1] - high) > 0.12:
                    runs.append([])
                runs[-1].append((span, True))
            previous = (which, high)
        return [lift for run in runs for lift in self._series(kind, run, gap=0.9)]

    def _on(self, foot: int, lift: Movement) -> Movement:
        return replace(lift, side=SIDES[foot])

    @cached_property
    def marches(self) -> list[Movement]:
        """Feet lifted in turn on the spot."""
        lifts = [(span, foot, form) for span, foot, form, _ in self._lifts if form in ("knee", "up", "small")]
        runs: list[list[tuple[Span, int, str]]] = []
        for lift in lifts:
            previous = runs[-1][-1] if runs else None
            if (
                previous
                and previous[1] != lift[1]
                and lift[0].start - previous[0].stop < self.near(0.6)
                and abs(self._knee_top(previous) - self._knee_top(lift)) < 0.15
            ):
                runs[-1].append(lift)
            else:
                runs.append([lift])
        found: list[Movement] = []
        for run in runs:
            if len(run) < 2:
                continue
            clear = sum(form != "small" for _, _, form in run)
            found.append(
                Movement(
                    "march",
                    run[0][0].start,
                    run[-1][0].stop,
                    sure=clear >= 2,
                    count=(clear, len(run)),
                    directions=frozenset({"in place"}),
                    unlike=frozenset({"forward", "backward"}),
                )
            )
        return found

    def _knee_top(self, lift: tuple[Span, int, str]) -> float:
        """How high the knee of a lift gets, in leg lengths: a march keeps to one height."""
        return float(self.m.knee_height[lift[0].slice, lift[1]].max())

    @cached_property
    def lunges(self) -> list[Movement]:
        """One foot far before the other, the hips low."""
        m = self.m
        gap = (m.foot[:, 0, 2] - m.foot[:, 1, 2]) * m.leg_length
        found: list[Movement] = []
        for foot, side in enumerate(SIDES):
            ahead = gap if foot == 0 else -gap
            both = np.minimum(ahead / 0.45, self.drop / 0.15)
            spans = [(span, bool(both[span.slice].max() > 1.2)) for span in spans_above(both, 0.8, 0.4, 2)]
            for lunge in self._series("lunge", spans, gap=1.3):
                depth = float(self.drop[lunge.start : lunge.stop].max())
                found.append(replace(lunge, side=side, directions=frozenset({"forward"}), metres=depth))
        return found

    # -- the trunk and the hips -------------------------------------------------------------------------------------

    @cached_property
    def _lows(self) -> list[Span]:
        return spans_above(self.drop, 0.13, 0.07, max(2, self.near(0.2)))

    def _feet_side_by_side(self, span: Span) -> bool:
        gap = np.abs(self.m.foot[span.slice, 0, 2] - self.m.foot[span.slice, 1, 2]) * self.m.leg_length
        return float(np.median(gap)) < 0.3

    def _leaps(self, span: Span) -> bool:
        """Whether the feet leave the ground right before or after a span."""
        reach = self.near(0.3)
        flights = [flight[0] for flight in self._flights if flight[2] > 0.05]
        return any(f.start - reach < span.stop and span.start < f.stop + reach for f in flights)

    @cached_property
    def squats(self) -> list[Movement]:
        """Hips go down over feet side by side and come up again: no crouch before a jump, no seat."""
        found: list[tuple[Span, bool]] = []
        for low in self._lows:
            for span in _dips(self.drop, low, 0.10):
                depth = float(self.drop[span.slice].max())
                bottom = span.start + int(self.drop[span.slice].argmax())
                reaches = float(self.m.hand_height[bottom].min()) < 0.3 and float(self.m.trunk_pitch[bottom]) > 48.0
                if (
                    self._leaps(span)
                    or float(self.clear[span.slice].max()) > 0.08
                    or not self._feet_side_by_side(span)
                    or depth < 0.13
                ):
                    continue
                sits = self._sits(span)
                found.append((span, not reaches and not sits and span.stop < self.frames))
        squats = self._series("squat", [f for f in found if f[1]], gap=1.3)
        others = self._series("squat", [f for f in found if not f[1]], gap=1.3)
        return [
            replace(squat, metres=float(self.drop[squat.start : squat.stop].max())) for squat in [*squats, *others]
        ]

    def _sits(self, span: Span) -> bool:
        """Whether the hips rest low behind the feet, the trunk upright, for a while."""
        low = self.drop[span.slice] > 0.8 * float(self.drop[span.slice].max())
        if float(low.sum()) < 0.5 * self.fps and span.stop < self.frames:
            return False
        behind = self.m.foot[span.slice, :, 2].mean(axis=1)[low] * self.m.leg_length
        tilted = self.m.trunk_pitch[span.slice][low]
        return bool(np.median(behind) > 0.22 and np.median(tilted) < 32.0 and self.drop[span.slice].max() > 0.22)

    @cached_property
    def sits(self) -> list[Movement]:
        """Hips go down behind the feet and stay."""
        found: list[Movement] = []
        for low in self._lows:
            sure = self._sits(low)
            depth = float(self.drop[low.slice].max())
            if not sure and (depth < 0.3 or len(low) < 0.7 * self.fps):
                continue
            down = low.start + int(np.argmax(self.drop[low.slice] > 0.9 * depth)) + 1
            found.append(Movement("sit", low.start, down, sure=sure, metres=depth))
        return found

    @cached_property
    def lows(self) -> list[Movement]:
        """The hips low in any way, again and again."""
        dips = [(dip, float(self.drop[dip.slice].max())) for low in self._lows for dip in _dips(self.drop, low, 0.1)]
        # Squats, lunges and the crouches around a jump follow one another without being one series.
        form = [(self._feet_side_by_side(dip), self._leaps(dip)) for dip, _ in dips]
        found: list[Movement] = []
        for one in sorted(set(form)):
            same = [(dip, depth > 0.18) for (dip, depth), this in zip(dips, form, strict=True) if this == one]
            found.extend(self._series("low", same, gap=1.3))
        return [replace(low, metres=float(self.drop[low.start : low.stop].max())) for low in found]

    @cached_property
    def stands(self) -> list[Movement]:
        """Hips come up from a seat or another low pose and stay up."""
        found: list[Movement] = []
        for low in self._lows:
            depth = float(self.drop[low.slice].max())
            if low.stop >= self.frames or depth < 0.14:
                continue
            start = low.start + int(np.flatnonzero(self.drop[low.slice] > 0.9 * depth)[-1])
            sure = self._sits(low) or (low.start == 0 and depth > 0.25)
            found.append(Movement("stand", start, low.stop, sure=sure, metres=depth))
        return found

    @cached_property
    def lies(self) -> list[Movement]:
        """The body lies: trunk level and hips near the ground."""
        m = self.m
        flat = np.minimum(m.trunk_tilt / 55.0, (0.55 * m.leg_length) / np.maximum(m.pelvis_height, 0.05))
        return [Movement("lie", s.start, s.stop) for s in spans_above(flat, 1.0, 0.9, max(2, self.near(0.3)))]

    @cached_property
    def kneels(self) -> list[Movement]:
        """A knee at the ground."""
        low = -self.m.knee_height.min(axis=1)
        return [
            Movement("kneel", s.start, s.stop, sure=bool(low[s.slice].max() > -0.16))
            for s in spans_above(low, -0.24, -0.30, max(2, self.near(0.2)))
        ]

    @cached_property
    def pitch(self) -> np.ndarray:
        """Forward pitch of the trunk over the clip's usual one (T,), degrees."""
        return self.m.trunk_pitch - max(float(quantile(self.m.trunk_pitch, 0.3)), -5.0)

    @cached_property
    def bows(self) -> list[Movement]:
        """The trunk bends forward over legs that stay straight."""
        spans = []
        for span in spans_above(self.pitch, 8.0, 5.0, max(2, self.near(0.25))):
            top = span.start + int(self.pitch[span.slice].argmax())
            low = float(self.drop[top])
            angle = float(self.pitch[top])
            clear = angle > 13.0 and low < 0.12 and self._standing(span) and self._hand_off_floor(top)
            walks = any(bout.sure and bout.span.overlap(span) > 0.5 * len(span) for bout in self.bouts)
            leaps = low > 0.1 and any(
                flight[0].start - self.near(0.4) < span.stop and span.start < flight[0].stop + self.near(0.4)
                for flight in self._flights
            )
            if (low < 0.2 or angle > 40.0) and not leaps and not (walks and angle < 25.0):
                spans.append((span, clear))
        return [
            replace(
                bow,
                angle=float(self.m.trunk_pitch[bow.start : bow.stop].max()),
                metres=float(self.drop[bow.start : bow.stop].max()),
                directions=frozenset({"forward", "down"}),
                unlike=frozenset({"backward"}),
            )
            for group in ([s for s in spans if s[1]], [s for s in spans if not s[1]])
            for bow in self._series("bow", group, gap=1.0)
        ]

    def _hand_off_floor(self, frame: int) -> bool:
        return float(self.m.hand_height[frame].min()) > 0.33

    def _standing(self, span: Span) -> bool:
        """Both feet stay on the ground and where they are."""
        return float(self.clear[span.slice].max()) < 0.06 and float(np.median(self.toe_speed[span.slice])) < 0.25

    @cached_property
    def stoops(self) -> list[Movement]:
        """The trunk held forward all the time: perhaps what a text calls bending."""
        pitch = self.m.trunk_pitch
        return [
            Movement("bow", span.start, span.stop, sure=False, directions=frozenset({"forward", "down"}))
            for span in spans_above(pitch, 14.0, 9.0, max(2, self.near(0.5)))
        ]

    @cached_property
    def leans(self) -> list[Movement]:
        """The trunk bends to a side."""
        lean = self.m.trunk_lean - float(np.median(self.m.trunk_lean))
        found: list[Movement] = []
        for sign, side in ((1.0, "left"), (-1.0, "right")):
            spans = [
                (s, bool(np.abs(lean[s.slice]).max() > 13.0) and float(self.clear[s.slice].max()) < 0.1)
                for s in spans_above(sign * lean, 8.0, 4.0, max(2, self.near(0.2)))
            ]
            for one in self._series("lean", spans, gap=1.2):
                angle = float(np.abs(lean[one.start : one.stop]).max())
                other = "right" if side == "left" else "left"
                names = frozenset({side, "sideways"})
                found.append(replace(one, side=side, angle=angle, directions=names, unlike=frozenset({other})))
        return found

    @cached_property
    def picks(self) -> list[Movement]:
        """A hand goes down to the ground."""
        hand = self.m.hand_height
        lowest = np.minimum(hand[:, 0], hand[:, 1])
        found: list[Movement] = []
        for span in spans_above(-lowest, -0.45, -0.55, 2):
            frame = span.start + int(lowest[span.slice].argmin())
            apart = float(hand[frame, 0] - hand[frame, 1])
            side = "both" if abs(apart) < 0.05 else "left" if apart < 0 else "right"
            names = {"left", "right", "both"} if abs(apart) < 0.08 else {side}
            bent = float(self.pitch[frame]) > 20.0 or float(self.drop[frame]) > 0.25
            found.append(
                Movement(
                    "pick",
                    span.start,
                    span.stop,
                    sure=bent and float(lowest[frame]) < 0.33,
                    side=side,
                    directions=frozenset(names | {"down"}),
                    metres=float(self.drop[frame]),
                )
            )
        return found

    @cached_property
    def looks(self) -> list[Movement]:
        """The head or the chest turned against the hips."""
        facing = self.pose[:, HEAD] - self.pose[:, NECK]
        length = np.hypot(facing[:, 0], facing[:, 2])
        hips = self.pose[:, HIPS[0]] - self.pose[:, HIPS[1]]
        below = np.degrees(np.arctan2(-hips[:, 2], hips[:, 0]))
        head = np.degrees(np.arctan2(facing[:, 0], facing[:, 2]))
        # With the head straight above the neck its direction is noise.
        turned = np.where(length > 0.02, _wrapped(head - below), 0.0)
        turned = turned - float(np.clip(np.median(turned), -12.0, 12.0))
        found: list[Movement] = []
        for sign, side in ((1.0, "left"), (-1.0, "right")):
            # The chest goes along with a look but also with every punch and step.
            both = np.where(
                length > 0.02, np.minimum(sign * turned / 30.0, sign * self.twist / 18.0), sign * self.twist / 18.0
            )
            for span in spans_above(np.maximum(both, sign * turned / 55.0), 0.62, 0.3, 2):
                other = "right" if side == "left" else "left"
                sure = bool(both[span.slice].max() > 1.0) and self._hands_still(span) and self._standing(span)
                found.append(
                    Movement(
                        "look",
                        span.start,
                        span.stop,
                        sure=sure,
                        side=side,
                        directions=frozenset({side}),
                        unlike=frozenset({other}),
                    )
                )
        return found

    def _hands_still(self, span: Span) -> bool:
        return float(np.ptp(self.m.hand[span.slice, :, 1], axis=0).max()) < 0.25

    @cached_property
    def head_is_still(self) -> bool:
        """Whether head and chest never leave the hips' direction, as far as joints can tell."""
        return not self.looks

    # -- the arms ---------------------------------------------------------------------------------------------------

    @cached_property
    def hand_swings(self) -> list[Movement]:
        """Hands that go up, not very far, as part of another movement."""
        return [
            one for one in self._rises if not one.sure and float(one.metres or 0.0) <= -0.1 and self._incidental(one)
        ]

    @cached_property
    def _rises(self) -> list[Movement]:
        m, found = self.m, []
        hands: list[list[tuple[Span, Movement]]] = [[], []]
        for side, name in enumerate(SIDES):
            height = m.hand[:, side, 1]
            turning = swings(height, 0.22)
            if turning and turning[0][2] < 0 and float(height[0]) > -0.4:
                # Up from the first frame on.
                turning.insert(0, (0, max(1, turning[0][0]), 1.0))
            for first, last, change in turning:
                if change < 0.28 or float(height[last]) < -0.52:
                    continue
                rises = _climbs(height, first, last) if height[last] > height[first] else [Span(first, last + 1)]
                for span in rises:
                    top = min(span.stop, self.frames) - 1 if span is not rises[-1] else last
                    if float(height[top]) > -0.52:
                        hands[side].append((span, self._raise(side, name, span, top)))
        joint: set[int] = set()
        for span, left in hands[0]:
            for other, right in hands[1]:
                if span.overlap(other) > 0.4 * max(len(span), len(other)):
                    alike = abs(float(left.metres or 0.0) - float(right.metres or 0.0)) < 0.25
                    joint |= {id(left), id(right)} if alike else set()
                    found.append(
                        replace(
                            left,
                            side="both",
                            start=min(left.start, right.start),
                            stop=max(left.stop, right.stop),
                            sure=left.sure and right.sure,
                            directions=left.directions | right.directions,
                            unlike=left.unlike & right.unlike,
                            levels=left.levels | right.levels,
                        )
                    )
        # Hands that rise together are raised together: neither is the one hand that a text may speak of.
        found.extend(one for side in (0, 1) for _, one in hands[side] if id(one) not in joint)
        found = [replace(one, sure=False) if self._incidental(one) else one for one in found]
        return found

    @cached_property
    def raises(self) -> list[Movement]:
        """A hand goes up and may come down; the movement is the way up. With series of them."""
        # Arms that swing below the shoulders as part of something else are not raised by anybody's account.
        found = [one for one in self._rises if one not in self.hand_swings]
        return found + self._repeated(found)

    def _incidental(self, one: Movement) -> bool:
        """Whether the hand goes up as part of something else: a blow, a throw, a circle, a run, a leap."""
        busy = [Span(a, b) for side, a, b, _, _ in self._thrusts if one.side in (SIDES[side], "both")]
        busy += [circle.span for circle in self.circles if one.side in (circle.side, "both") and circle.sure]
        busy += [bout.span for bout in self.bouts if bout.gait == "run"]
        busy += [flight[0] for flight in self._flights]
        busy += [march.span for march in self.marches] + [lift[0] for lift in self._lifts if lift[2] != "small"]
        reach = self.near(0.2)
        return any(b.start - reach < one.stop and one.start < b.stop + reach for b in busy)

    def _raise(self, side: int, name: str, span: Span, top: int) -> Movement:
        m = self.m
        sign = 1.0 if side == 0 else -1.0
        up, front = float(m.hand[top, side, 1]), float(m.hand[top, side, 2])
        out = float(m.hand[top, side, 0]) * sign
        high = float(m.hand_height[top, side] - m.head_height[top])
        names, unlike = set(), set()
        for label, value, rest in (("front", front, out), ("side", out, front)):
            if value > 0.5 and value > 0.8 * rest:
                names.add(label)
            if value < 0.3 or (value < 0.55 * rest):
                unlike.add(label)
        if high > -0.08 or up > 0.45:
            names.add("overhead")
        if high < -0.12 and up < 0.4:
            unlike.add("overhead")
        steep = float(np.degrees(np.arctan2(up, max(float(np.hypot(front, out)), 1e-6))))
        if steep > 42.0:
            # More up than out: whoever says "to the side" means another pose.
            names -= {"front", "side"}
            unlike |= {"front", "side"}
        elif steep > 28.0:
            unlike -= {"front", "side"}
        levels = frozenset(
            label
            for label, low, top_ in (
                ("waist", -0.9, -0.3),
                ("chest", -0.75, 0.15),
                ("shoulder", -0.45, 0.45),
                ("head", -0.1, 0.95),
                ("overhead", 0.4, 2.0),
            )
            if low <= up <= top_
        )
        levels |= {"overhead"} if high > -0.02 else set()
        return Movement(
            "raise",
            span.start,
            max(top, span.start + 1),
            sure=up > -0.42,
            side=name,
            directions=frozenset(names),
            unlike=frozenset(unlike),
            levels=levels,
            metres=up,
        )

    def _repeated(self, found: list[Movement]) -> list[Movement]:
        """The same hand up again and again, also as one movement with a count."""
        series = []
        for side in (*SIDES, "both"):
            one = sorted((f for f in found if f.side == side), key=lambda f: f.start)
            for i in range(len(one)):
                for j in range(i + 1, len(one)):
                    if one[j].start - one[j - 1].stop > 2.0 * self.fps:
                        break
                    series.append(replace(one[i], stop=one[j].stop, count=(j - i + 1, j - i + 1)))
                    if j - i > 8:
                        break
        return series

    @cached_property
    def waves(self) -> list[Movement]:
        """A raised forearm goes back and forth."""
        found: list[Movement] = []
        for side, name in enumerate(SIDES):
            found.extend(self._waves_of(side, name))
        left = [wave for wave in found if wave.side == "left"]
        right = [wave for wave in found if wave.side == "right"]
        for one in left:
            for other in right:
                if one.span.overlap(other.span) > 0.5 * max(len(one.span), len(other.span)):
                    count = (min(one.count[0], other.count[0]), max(one.count[1], other.count[1]))
                    found.append(replace(one, side="both", sure=one.sure and other.sure, count=count))
        return found

    def _waves_of(self, side: int, name: str) -> list[Movement]:
        hand = self.m.hand[:, side]
        found = [w for s in spans_above(hand[:, 1], -0.15, -0.35, self.near(0.35)) if (w := self._wave(side, name, s))]
        if not found:
            # Small or weary waves stay below the shoulder; so do many other things.
            base = float(quantile(hand[:, 1], 0.1))
            enter = max(-0.55, base + 0.2)
            spans = spans_above(hand[:, 1], enter, enter - 0.2, self.near(0.35))
            low = [w for s in spans if (w := self._wave(side, name, s))]
            found = [replace(wave, sure=False) for wave in low]
        return found

    def _wave(self, side: int, name: str, span: Span) -> Movement | None:
        forearm = (self.pose[span.slice, WRISTS[side]] - self.pose[span.slice, ELBOWS[side]]) / self.m.arm_length
        quick = forearm - smooth(forearm, 0.35 * self.fps)
        along = np.linalg.eigh(quick.T @ quick)[1].T[-1] @ quick.T
        few = (len(swings(along, 0.16)) + 1) // 2
        many = (len(swings(along, 0.07)) + 1) // 2
        elbow = self.m.elbow[span.slice, side]
        bends = swings(elbow, 18.0)
        bent = sum(change < 0 for _, _, change in bends)
        # A hand that is thrust forward again and again punches; hands that meet clap.
        thrusts = any(
            s == side and form == "punch" and span.overlap(Span(a, b)) > 2 for s, a, b, form, _ in self._thrusts
        )
        cycles = max(few, bent)
        if max(cycles, many) < 2 or thrusts:
            return None
        count = (bent, bent) if float(np.ptp(elbow)) > 30.0 and bent else (few, many)
        high = float(np.median(self.m.hand[span.slice, side, 1]))
        meets = self._meets(span)
        if meets and high < -0.1:
            return None
        first = span.start + (bends[0][0] if bends else 0)
        sure = cycles >= 2 and high > -0.12 and not meets
        return Movement("wave", first, span.stop, sure=sure, side=name, count=count)

    def _meets(self, span: Span) -> bool:
        return any(span.overlap(clap.span) > 0.3 * len(span) for clap in self.claps)

    @cached_property
    def hands_apart(self) -> np.ndarray:
        """Distance of the wrists (T,), metres."""
        return np.linalg.norm(self.pose[:, WRISTS[0]] - self.pose[:, WRISTS[1]], axis=-1)

    @cached_property
    def claps(self) -> list[Movement]:
        """The hands meet before the body."""
        apart, reach = self.hands_apart, self.m.hand[..., 2]
        low = self.m.hand[..., 1].max(axis=1) < 0.45
        near = np.where((reach.min(axis=1) > 0.2) & low, apart, 1.0)
        uneven = np.abs(reach[:, 0] - reach[:, 1])
        spans = []
        for span in spans_above(-near, -0.33, -0.36, 1):
            for part in _dips(-apart, span, 0.06) if len(span) > 2 else [span]:
                middle = part.start + int(near[part.slice].argmin())
                around = slice(max(middle - self.near(0.5), 0), middle + self.near(0.5) + 1)
                # Fists held before the chest are as near to each other; there, one of them is thrust out.
                if float(uneven[around].max()) < 0.3:
                    opens = float(apart[around].max()) > float(near[middle]) + 0.08
                    if opens:
                        spans.append((part, bool(near[middle] < 0.26)))
        return self._series("clap", spans, gap=0.9)

    @cached_property
    def _thrusts(self) -> list[tuple[int, int, int, str, float]]:
        """(side, first frame, last frame, form, strength) of each extension of an arm: punch, throw or reach."""
        found = []
        for side in (0, 1):
            hand = self.m.hand[:, side]
            length = np.linalg.norm(hand, axis=-1)
            out = np.sign(0.5 - side)
            for first, last, change in swings(length, 0.15):
                if change < 0.2:
                    continue
                if any(run.gait == "run" and run.start <= first < run.stop for run in self.bouts):
                    continue
                up, front, aside = float(hand[first, 1]), float(hand[first, 2]), float(hand[first, 0] * out)
                window = slice(first, min(last + 1, self.frames))
                reach = float(hand[window, 2].max())
                end = first + int(hand[window, 2].argmax())
                quick = float(np.gradient(hand[window, 2]).max()) * self.fps if last > first else 0.0
                gain = reach - front
                # Where most of the stretching is done: an arm let down from a guard stretches too, but not forward.
                done = first + int(np.argmax(length[first : last + 1] >= length[first] + 0.9 * change))
                height, ahead = float(hand[done, 1]), float(hand[done, 2])
                if up > 0.0 and gain > 0.45 and quick > 1.8 and (front < 0.15 or aside > 0.45):
                    found.append((side, first, end + 1, "throw", quick))
                elif (
                    length[first] < 0.7
                    and min(reach, ahead + 0.15) > 0.66
                    and gain > 0.25
                    and -0.5 < height < 0.5
                    and up < 0.12
                    and front > 0.0
                ):
                    if float(self.pitch[min(end, self.frames - 1)]) > 35.0:
                        continue
                    found.append((side, first, done + 1, "punch", quick))
        return found

    @cached_property
    def punches(self) -> list[Movement]:
        """An arm bent before the chest is thrust forward."""
        return self._arm_series("punch", 1.0)

    @cached_property
    def throws(self) -> list[Movement]:
        """A hand drawn back beside the head comes forward."""
        return self._arm_series("throw", 1.6)

    def _arm_series(self, form: str, gap: float) -> list[Movement]:
        found: list[Movement] = []
        for side, name in enumerate(SIDES):
            spans = [(Span(a, b), quick > 0.9) for s, a, b, kind, quick in self._thrusts if s == side and kind == form]
            spans = [(span, sure) for span, sure in spans if not self._meets(span)]
            found.extend(replace(one, side=name) for one in self._series(form, spans, gap=gap))
        return found

    @cached_property
    def reaches(self) -> list[Movement]:
        """A hand put out to the front."""
        found: list[Movement] = []
        for side, name in enumerate(SIDES):
            spans = [
                (s, bool(self.m.hand[s.slice, side, 2].max() > 0.7))
                for s in spans_above(self.m.hand[:, side, 2], 0.5, 0.35, 2)
            ]
            names = frozenset({"forward", "front"})
            found.extend(replace(one, side=name, directions=names) for one in self._series("reach", spans, gap=1.5))
        return found

    @cached_property
    def circles(self) -> list[Movement]:
        """A hand goes all around its shoulder."""
        found: list[Movement] = []
        for side, name in enumerate(SIDES):
            hand = self.m.hand[:, side]
            for plane, across in (("front", hand[:, 2]), ("side", hand[:, 0] * (1.0 if side == 0 else -1.0))):
                angle = np.degrees(np.unwrap(np.arctan2(across, -hand[:, 1])))
                for first, last, turned in swings(angle, 60.0):
                    if abs(turned) < 200.0:
                        continue
                    around = _around(angle, hand[:, 1], first, last)
                    # A round seen edge-on winds as well, but says little: only the plane it really runs in counts.
                    if around is None or np.ptp(across[around[0] : around[1]]) < 0.9:
                        continue
                    begin, end, rounds = around
                    way = "backward" if turned > 0 else "forward"
                    other = "forward" if turned > 0 else "backward"
                    found.append(
                        Movement(
                            "circle",
                            begin,
                            end,
                            sure=abs(turned) > 270.0,
                            side=name,
                            count=(rounds, rounds),
                            directions=frozenset({way} if plane == "front" else {"forward", "backward"}),
                            unlike=frozenset({other} if plane == "front" and abs(turned) > 300.0 else ()),
                            angle=turned,
                        )
                    )
        left = [one for one in found if one.side == "left"]
        for one in left:
            for other_one in (f for f in found if f.side == "right"):
                if one.span.overlap(other_one.span) > 0.5 * min(len(one.span), len(other_one.span)):
                    found.append(replace(one, side="both", sure=one.sure and other_one.sure))
        return found

    # -- helpers ----------------------------------------------------------------------------------------------------

    def _series(self, kind: str, spans: list[tuple[Span, bool]], gap: float) -> list[Movement]:
        """Repetitions, each with whether it is sure, closer than `gap` seconds as one movement with a count.

        Unsure repetitions widen the count downward.
        """
        runs: list[list[tuple[Span, bool]]] = []
        for span, sure in sorted(spans, key=lambda item: item[0].start):
            if runs and span.start - runs[-1][-1][0].stop < self.near(gap):
                runs[-1].append((span, sure))
            else:
                runs.append([(span, sure)])
        found = []
        for run in runs:
            clear = sum(sure for _, sure in run)
            found.append(
                Movement(kind, run[0][0].start, run[-1][0].stop, sure=clear > 0, count=(max(clear, 1), len(run)))
            )
        return found


def _wrapped(degrees: np.ndarray) -> np.ndarray:
    return (degrees + 180.0) % 360.0 - 180.0


def _climbs(series: np.ndarray, first: int, last: int) -> list[Span]:
    """The steep parts of a rise `first..last` that add something; a rest half-way up divides it."""
    part = series[first : last + 1]
    rate = np.gradient(part) if len(part) > 1 else np.zeros(len(part))
    top = float(rate.max())
    spans = [s for s in spans_above(rate, 0.35 * top, 0.12 * top) if float(part[s.stop - 1] - part[s.start]) > 0.2]
    return [Span(first + s.start, first + s.stop) for s in spans] or [Span(first, last + 1)]


def _around(angle: np.ndarray, up: np.ndarray, first: int, last: int) -> tuple[int, int, int] | None:
    """First and last frame of the rounds within `first..last` of an angle about the shoulder (0 hangs), and how many.

    A round goes over the top (180 degrees) with the hand really up there (`up` in arm lengths); what the arm does near
    hanging before and after is no part of it.
    """
    part = angle[first : last + 1]
    part = part if part[-1] > part[0] else -part
    lowest = int(np.ceil((part[0] - 180.0) / 360.0))
    highest = int(np.floor((part[-1] - 180.0) / 360.0))
    over = [int(np.argmax(part >= 360.0 * turn + 180.0)) for turn in range(lowest, highest + 1)]
    tops = [(top, turn) for top, turn in zip(over, range(lowest, highest + 1), strict=True) if up[first + top] > 0.58]
    if not tops:
        return None
    (begin, lowest), (end, highest) = tops[0], tops[-1]
    moving = np.abs(np.gradient(part))
    moving = (moving > 0.12 * moving.max()) & (part > 360.0 * lowest + 15.0) & (part < 360.0 * highest + 345.0)
    while begin > 0 and moving[begin - 1]:
        begin -= 1
    while end < len(part) and (moving[end] or end <= begin):
        end += 1
    return first + begin, first + end, len(tops)


def _parts(series: np.ndarray, span: Span, factor: float) -> list[Span]:
    """Divide a span where `series` (positive) falls to less than 1/`factor` of both neighbouring peaks."""
    part = np.log(np.maximum(series[span.slice], 1e-3))
    turning = swings(part, float(np.log(factor)))
    cuts = [span.start, *(span.start + last for _, last, change in turning[:-1] if change < 0), span.stop]
    if turning and turning[0][2] > 0 and turning[0][0] > 0.3 * len(part):
        cuts.insert(1, span.start + turning[0][0])
    cuts = sorted(set(cuts))
    return [Span(a, b) for a, b in zip(cuts, cuts[1:], strict=False) if b - a > 1]


def _dips(series: np.ndarray, span: Span, reversal: float) -> list[Span]:
    """Divide a span at the valleys between peaks of `series` that are `reversal` apart."""
    turning = swings(series[span.slice], reversal)
    cuts = [span.start + last for _, last, change in turning[:-1] if change < 0]
    if turning and turning[0][2] > 0 and turning[0][0] > 2:
        # The stretch before the first rise holds no peak of its own.
        cuts = [cut for cut in cuts if cut > span.start + turning[0][0]]
    edges = [span.start, *cuts, span.stop]
    return [Span(a, b) for a, b in zip(edges, edges[1:], strict=False) if b > a]


def _way(ahead: float, left: float, turned: float, net: tuple[float, float]) -> tuple[frozenset[str], frozenset[str]]:
    """Names of a direction of travel that fit, and those that clearly do not.

    `ahead` and `left` are metres in the body's own directions; `net` those as the body faced at first: somebody who
    turns left and walks on walks "to the left" as well as "forward".
    """
    length = max(float(np.hypot(ahead, left)), 1e-6)
    names, unlike = set(), set()
    for name, share in (("forward", ahead), ("backward", -ahead), ("left", left), ("right", -left)):
        if share > 0.35 * length:
            names.add(name)
        if share < 0.12 * length and name in ("forward", "backward"):
            unlike.add(name)
        if share < 0.15 * length and name in ("left", "right"):
            unlike.add(name)
    sign = {"left": 1.0, "right": -1.0}
    for side, value in sign.items():
        if value * turned > 25.0 or value * net[1] > 0.3 * max(float(np.hypot(*net)), 0.2):
            names.add(side)
            unlike.discard(side)
        elif value * turned > 12.0 or value * net[1] > 0.15 * max(float(np.hypot(*net)), 0.2):
            unlike.discard(side)
    if names & {"left", "right"}:
        names.add("sideways")
    if abs(left) < 0.3 * length and abs(turned) < 20.0:
        unlike.add("sideways")
    return frozenset(names), frozenset(unlike)
