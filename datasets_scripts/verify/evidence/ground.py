"""The body over the ground: steps, travel, steps aside, curves, turns, and when both feet are off the ground.

The lowest layer of the evidence, so it also holds what all of them read: the measurements.
"""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from datasets_scripts.verify.evidence.movement import Movement, named_way
from datasets_scripts.verify.kinematics import (
    PELVIS,
    SIDES,
    TOES,
    Measurements,
    Span,
    divided_at_valleys,
    measure,
    quantile,
    seen_from,
    spans_above,
    swings,
)

# Travel: pelvis speed (m/s), and the factor by which it must fall between two bouts of it.
_BOUT, _BOUT_END, _BOUT_VALLEY, _BOUT_METRES = 0.22, 0.10, 1.9, 0.18
# A swinging foot: toe speed across the ground (m/s) and metres gained.
_SWING, _SWING_END, _SWING_METRES, _SURE_SWING_METRES = 0.5, 0.25, 0.10, 0.16
# Runners have both feet on the move at once (m/s, share of the time), walkers never: in captured motion that people
# call walking (CMU, Bandai-Namco) at most .02 of the time, in what they call running or jogging .08 to .77 at 1.4 to
# 3.8 m/s; a shuffle to a side has .18 and is called either.
_BOTH_MOVING, _RUN_SHARE, _WALK_SHARE, _RUN_SPEED, _WALK_SPEED = 0.8, 0.06, 0.03, 2.3, 1.9
_TURN, _SURE_TURN = 17.0, 27.0
# Metres of both feet over the ground: a flight, one that is sure, and a foot that is held up.
_FLIGHT, _SURE_FLIGHT, _HELD_FOOT = 0.03, 0.055, 0.12
# A body in free flight for t seconds rises by g t^2 / 8. Of that the hips show .99 to 1.02 in the jumps of captured
# motion (CMU) and .36 to .84 in its leaps; feet that are retargeted a little over the ground show at most .13.
_GRAVITY, _BALLISTIC, _SURE_BALLISTIC = 9.81, 0.16, 0.3


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


class Ground:
    """What the body does over the ground, in joints (T, 22, 3), metres, Y up."""

    def __init__(self, joints: np.ndarray, fps: float = 20.0):
        self.m: Measurements = measure(joints, fps)
        self.fps = float(fps)
        m = self.m
        self.pose = m.pose
        standing = min(max(float(quantile(m.hip_height, 0.8)), 0.85), 1.02)
        self.drop = (standing - m.hip_height) * m.leg_length
        self.clear = m.foot_clearance
        self.frames = m.num_frames

    def near(self, seconds: float) -> int:
        """Seconds in frames.

        Args:
            seconds: A duration.

        Returns:
            The nearest whole number of frames.
        """
        return round(seconds * self.fps)

    @staticmethod
    def unsure(found: list[Movement]) -> list[Movement]:
        """The same movements as something that they may also be called.

        Args:
            found: Movements of another kind.

        Returns:
            Copies that are not sure.
        """
        return [replace(movement, sure=False) for movement in found]

    # -- off the ground ---------------------------------------------------------------------------------------------

    @cached_property
    def flights(self) -> list[tuple[Span, str, float, bool]]:
        """Spans with both feet off the ground, what they are (jump, hop left, hop right, stride), height, sure."""
        low = self.clear.min(axis=1)
        found = []
        for span in self._airborne_spans(low):
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
            sure = height > _SURE_FLIGHT and self._ballistic(span) > _SURE_BALLISTIC
            found.append((span, kind, height, sure))
        return found

    def _airborne_spans(self, low: np.ndarray) -> list[Span]:
        """Spans in which the lower foot is off the ground and the hips rise and fall as in free flight."""
        found: list[Span] = []
        for span in spans_above(low, _FLIGHT, 0.6 * _FLIGHT, 2):
            if self._ballistic(span) >= _BALLISTIC:
                found.append(span)
                continue
            # Too slow to be a flight: the ground is higher here than elsewhere. What leaves that ground may be one.
            over = low[span.slice] - float(np.median(low[span.slice]))
            parts = [
                Span(span.start + p.start, span.start + p.stop) for p in spans_above(over, _FLIGHT, 0.6 * _FLIGHT, 2)
            ]
            found.extend(part for part in parts if len(part) < len(span) and self._ballistic(part) >= _SURE_BALLISTIC)
        return found

    def _ballistic(self, span: Span) -> float:
        """How far the hips rise over a span, as a share of what free flight of that length does."""
        height = self.pose[:, PELVIS, 1]
        ends = 0.5 * (height[max(span.start - 1, 0)] + height[min(span.stop, self.frames - 1)])
        return float(height[span.slice].max() - ends) / (_GRAVITY * (len(span) / self.fps) ** 2 / 8)

    def _lands_together(self, span: Span) -> bool:
        """Whether both feet leave and meet the ground at about the same time."""
        reach = self.near(0.25)
        around = slice(max(span.start - reach, 0), min(span.stop + reach, self.frames))
        off = self.clear[around] > 0.6 * _FLIGHT
        lone = float((off[:, 0] != off[:, 1]).sum())
        return lone <= 0.6 * max(len(span), self.near(0.3))

    # -- steps and travel -------------------------------------------------------------------------------------------

    @cached_property
    def steps(self) -> list[_Step]:
        """Every foot swing that carries a foot somewhere, in order of time."""
        found = []
        for foot in (0, 1):
            toe = self.pose[:, TOES[foot], ::2]
            for span in spans_above(self.m.toe_speed[:, foot], _SWING, _SWING_END):
                move = toe[min(span.stop, self.frames - 1)] - toe[max(span.start - 1, 0)]
                facing = (span.start + span.stop) // 2 if span.stop < self.frames else span.start
                front, left = map(float, seen_from(move, self.m.hip_heading[facing]))
                # A foot that was held up in the air is set down, which is no step.
                if np.hypot(front, left) >= _SWING_METRES and self.clear[span.start, foot] < 0.2:
                    found.append(_Step(foot, span.start, span.stop, front, left))
        return sorted(found, key=lambda step: step.middle)

    @cached_property
    def bouts(self) -> list[Movement]:
        """Travel: from standing to standing, and the parts that clear slowing down divides it into."""
        velocity, speed = self.m.velocity, self.m.speed
        found: list[Movement] = []
        for span in spans_above(speed, _BOUT, _BOUT_END, max(2, self.near(0.3))):
            parts = [way for part in divided_at_valleys(speed, span, _BOUT_VALLEY) for way in self._ways(part)]
            bouts = [bout for part in parts if (bout := self._bout(part, velocity)) is not None]
            found.extend(bouts)
            if len(bouts) > 1 and (whole := self._bout(span, velocity)) is not None:
                found.append(whole)
        return found

    def _ways(self, span: Span) -> list[Span]:
        """Divide a span where the direction of travel (front, back, left, right) changes for good."""
        velocity = self.m.velocity[span.slice]
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
        both = float((self.m.toe_speed[span.slice].min(axis=1) > _BOTH_MOVING).mean())
        strides = both > _RUN_SHARE and ahead > 0.8 * metres and not self._jumps_in(span)
        gait = "run" if strides or speed > _RUN_SPEED else ""
        gait = "walk" if not gait and both < _WALK_SHARE and speed < _WALK_SPEED else gait
        turned = float(self.m.hip_heading[min(span.stop, self.frames - 1)] - self.m.hip_heading[span.start])
        # Feet that pass each other walk; a body that shifts over planted feet, lunges or jumps does not.
        alternate = sum(a.foot != b.foot for a, b in zip(sure, sure[1:], strict=False))
        walks = len(feet) == 2 and alternate >= 1 and len(sure) >= 2 and metres > 0.25
        if not taken:
            return None
        names, unlike = named_way(ahead, left, turned, self._net(span))
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
        position = self.m.position
        ahead, left = seen_from(position[span.stop - 1] - position[span.start], self.m.hip_heading[span.start])
        return float(ahead), float(left)

    def _jumps_in(self, span: Span) -> bool:
        return any(flight[0].overlap(span) and flight[1] == "jump" for flight in self.flights)

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
        ahead, left = self.m.velocity[bout.span.slice].sum(axis=0) / self.fps
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
    def single_side_steps(self) -> list[Movement]:
        """Single steps to a side."""
        return [
            Movement("sidestep", step.start, step.stop, sure=False, side=SIDES[int(step.left < 0)])
            for step in self.steps
            if abs(step.left) > 0.5 * abs(step.front)
        ]

    @cached_property
    def single_steps(self) -> list[Movement]:
        """Steps that make no travel: enough for "takes a step", not for a walk."""
        found: list[Movement] = []
        for step in self.steps:
            names, unlike = named_way(step.front, step.left, 0.0, (step.front, step.left))
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

    # -- turns ------------------------------------------------------------------------------------------------------

    @cached_property
    def turns(self) -> list[Movement]:
        """Changes of the hips' heading, whole and divided where travel begins or ends."""
        edges = sorted({frame for bout in self.bouts for frame in (bout.start, bout.stop)})
        rate = np.abs(np.gradient(self.m.hip_heading)) * self.fps
        found: list[Movement] = []
        for first, last, angle in swings(self.m.hip_heading, 10.0):
            if abs(angle) < _TURN:
                continue
            found.append(self._turn(first, last))
            cuts = [first, *(e for e in edges if first < e < last), last]
            cuts = sorted({*cuts, *(p.start for p in divided_at_valleys(rate, Span(first, last + 1), 2.5)[1:])})
            if len(cuts) > 2:
                pairs = [(a, b) for i, a in enumerate(cuts) for b in cuts[i + 1 : i + 4] if (a, b) != (first, last)]
                for a, b in pairs:
                    if abs(self.m.hip_heading[b] - self.m.hip_heading[a]) >= _TURN:
                        found.append(self._turn(a, b))
        return found

    def _turn(self, first: int, last: int) -> Movement:
        part = self.m.hip_heading[first : last + 1]
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
