"""The arms and hands: hands raised, waves, claps, punches, throws, reaches, arm circles."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from datasets_scripts.verify.evidence.movement import Movement, dips, series_of
from datasets_scripts.verify.evidence.trunk import Trunk
from datasets_scripts.verify.kinematics import ELBOWS, SIDES, WRISTS, Span, quantile, smooth, spans_above, swings

# Arm lengths a second: blows of captured motion (Bandai-Namco's punches, CMU's swordplay and paddle strokes) reach 4.7
# to 6.0. Half the captured walks stay below 4.3, but not all: this is only ever a perhaps.
_QUICK_HAND = 4.5
# Metres between the wrists of hands that touch.
_TOGETHER = 0.2


class Hands(Trunk):
    """What the arms and hands do. A hand that goes up as part of a run, a leap or a throw is not sure."""

    # -- hands that go up -------------------------------------------------------------------------------------------

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
        busy += [flight[0] for flight in self.flights]
        busy += [march.span for march in self.marches] + [lift[0] for lift in self.lifts if lift[2] != "small"]
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

    # -- waves and claps --------------------------------------------------------------------------------------------

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
    def claps(self) -> list[Movement]:
        """The hands meet before the body."""
        apart, reach = self.m.hands_apart, self.m.hand[..., 2]
        low = self.m.hand[..., 1].max(axis=1) < 0.45
        near = np.where((reach.min(axis=1) > 0.2) & low, apart, 1.0)
        uneven = np.abs(reach[:, 0] - reach[:, 1])
        spans = []
        for span in spans_above(-near, -0.33, -0.36, 1):
            for part in dips(-apart, span, 0.06) if len(span) > 2 else [span]:
                middle = part.start + int(near[part.slice].argmin())
                around = slice(max(middle - self.near(0.5), 0), middle + self.near(0.5) + 1)
                # Fists held before the chest are as near to each other; there, one of them is thrust out.
                if float(uneven[around].max()) < 0.3:
                    opens = float(apart[around].max()) > float(near[middle]) + 0.08
                    if opens:
                        spans.append((part, bool(near[middle] < 0.26)))
        return series_of("clap", spans, gap=self.near(0.9))

    # -- arms thrust out and swung around ---------------------------------------------------------------------------

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
            found.extend(replace(one, side=name) for one in series_of(form, spans, gap=self.near(gap)))
        return found

    @cached_property
    def quick_hands(self) -> list[Movement]:
        """A hand that moves fast against its shoulder in any direction: perhaps a blow or a throw of another form."""
        found: list[Movement] = []
        for side, name in enumerate(SIDES):
            speed = np.linalg.norm(np.gradient(self.m.hand[:, side], axis=0), axis=-1) * self.fps
            for span in spans_above(speed, _QUICK_HAND, 0.5 * _QUICK_HAND, 2):
                found.append(Movement("quick hand", span.start, span.stop, sure=False, side=name, count=(1, 9)))
        return found

    @cached_property
    def meetings(self) -> list[Movement]:
        """The hands together, wherever."""
        spans = spans_above(-self.m.hands_apart, -_TOGETHER, -1.3 * _TOGETHER, 2)
        return [Movement("join", span.start, span.stop) for span in spans]

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
            found.extend(
                replace(one, side=name, directions=names) for one in series_of("reach", spans, gap=self.near(1.5))
            )
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
