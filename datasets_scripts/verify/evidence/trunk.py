"""The trunk and the hips: squats, sitting, standing up, lying, kneeling, bows, leans, picking up, looks and twists."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from datasets_scripts.verify.evidence.feet import Feet
from datasets_scripts.verify.evidence.movement import Movement, dips, series_of
from datasets_scripts.verify.kinematics import HEAD, HIPS, NECK, Span, quantile, spans_above, swings

# Degrees of the trunk from upright: 150 and more in cartwheels of captured motion (CMU), at most 78 in reaches to the
# floor.
_UPSIDE_DOWN = 100.0


class Trunk(Feet):
    """What the trunk and the hips do: up and down, forward and aside, and against each other."""

    # -- the hips, up and down --------------------------------------------------------------------------------------

    @cached_property
    def _lows(self) -> list[Span]:
        return spans_above(self.drop, 0.13, 0.07, max(2, self.near(0.2)))

    def _feet_side_by_side(self, span: Span) -> bool:
        gap = np.abs(self.m.foot[span.slice, 0, 2] - self.m.foot[span.slice, 1, 2]) * self.m.leg_length
        return float(np.median(gap)) < 0.3

    def _leaps(self, span: Span) -> bool:
        """Whether the feet leave the ground right before or after a span."""
        reach = self.near(0.3)
        flights = [flight[0] for flight in self.flights if flight[2] > 0.05]
        return any(f.start - reach < span.stop and span.start < f.stop + reach for f in flights)

    @cached_property
    def squats(self) -> list[Movement]:
        """Hips go down over feet side by side and come up again: no crouch before a jump, no seat."""
        found: list[tuple[Span, bool]] = []
        for low in self._lows:
            for span in dips(self.drop, low, 0.10):
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
        squats = series_of("squat", [f for f in found if f[1]], gap=self.near(1.3))
        others = series_of("squat", [f for f in found if not f[1]], gap=self.near(1.3))
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
            if not sure and (depth < 0.3 or len(low) < 0.7 * self.fps or self._leaps(low)):
                continue
            down = low.start + int(np.argmax(self.drop[low.slice] > 0.9 * depth)) + 1
            found.append(Movement("sit", low.start, down, sure=sure, metres=depth))
        return found

    @cached_property
    def lows(self) -> list[Movement]:
        """The hips low in any way, again and again."""
        deep = [(dip, float(self.drop[dip.slice].max())) for low in self._lows for dip in dips(self.drop, low, 0.1)]
        # Squats, lunges and the crouches around a jump follow one another without being one series.
        form = [(self._feet_side_by_side(dip), self._leaps(dip)) for dip, _ in deep]
        found: list[Movement] = []
        for one in sorted(set(form)):
            same = [(dip, depth > 0.18) for (dip, depth), this in zip(deep, form, strict=True) if this == one]
            found.extend(series_of("low", same, gap=self.near(1.3)))
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
    def inversions(self) -> list[Movement]:
        """The trunk upside down, as in a cartwheel."""
        spans = spans_above(self.m.trunk_tilt, _UPSIDE_DOWN, 0.9 * _UPSIDE_DOWN, 2)
        return [
            Movement("invert", s.start, s.stop, sure=bool(self.m.trunk_tilt[s.slice].max() > 120.0)) for s in spans
        ]

    @cached_property
    def crawls(self) -> list[Movement]:
        """On the hands and the knees or feet: both hands near the ground for a while."""
        low = -self.m.hand_height.max(axis=1)
        return [Movement("crawl", s.start, s.stop) for s in spans_above(low, -0.35, -0.45, self.near(0.4))]

    @cached_property
    def kneels(self) -> list[Movement]:
        """A knee at the ground."""
        low = -self.m.knee_height.min(axis=1)
        return [
            Movement("kneel", s.start, s.stop, sure=bool(low[s.slice].max() > -0.16))
            for s in spans_above(low, -0.24, -0.30, max(2, self.near(0.2)))
        ]

    # -- the trunk, forward and aside -------------------------------------------------------------------------------

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
                for flight in self.flights
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
            for bow in series_of("bow", group, gap=self.near(1.0))
        ]

    def _hand_off_floor(self, frame: int) -> bool:
        return float(self.m.hand_height[frame].min()) > 0.33

    def _standing(self, span: Span) -> bool:
        """Both feet stay on the ground and where they are."""
        return float(self.clear[span.slice].max()) < 0.06 and float(np.median(self.m.toe_speed[span.slice])) < 0.25

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
            for one in series_of("lean", spans, gap=self.near(1.2)):
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

    # -- shoulders and head against the hips ------------------------------------------------------------------------

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
                length > 0.02,
                np.minimum(sign * turned / 30.0, sign * self.m.chest_twist / 18.0),
                sign * self.m.chest_twist / 18.0,
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


def _wrapped(degrees: np.ndarray) -> np.ndarray:
    return (degrees + 180.0) % 360.0 - 180.0
