"""The feet: jumps, hops and jumping jacks, kicks, knees and feet raised on the spot, marches, lunges."""

from dataclasses import replace
from functools import cached_property

import numpy as np

from datasets_scripts.verify.evidence.ground import Ground
from datasets_scripts.verify.evidence.movement import Movement, named_way, series_of
from datasets_scripts.verify.kinematics import PELVIS, SIDES, TOES, Span, quantile, seen_from, spans_above

# Metres: strides of captured runs (CMU, Bandai-Namco) are at most .11 high, leaps of its dancers .25 to .68.
_LEAP = 0.15
# A kick on the run, m/s of the toes against the hips, and how far the foot swings to the front, in leg lengths: soccer
# kicks of captured motion (CMU) have 6.4 to 7.3 and .64 to .68, walks up to 3.7 and .57, runs up to 4.2 and .30.
_KICK_SPEED, _SURE_KICK_SPEED, _KICK_FRONT = 5.0, 5.6, 0.5
# Seconds on one foot that are surely a balance, and those that may be one.
_BALANCE, _SURE_BALANCE = 0.5, 1.2


class Feet(Ground):
    """What the feet do, besides carrying the body over the ground."""

    # -- jumps and hops ---------------------------------------------------------------------------------------------

    @cached_property
    def jacks(self) -> list[Movement]:
        """Arms go up while the feet go apart, and back."""
        m = self.m
        wide = np.abs(m.foot[:, 0, 0] - m.foot[:, 1, 0]) * m.leg_length
        up = m.hand[..., 1].min(axis=1)
        both = np.minimum((wide - float(quantile(wide, 0.2))) / 0.2, (up - 0.0) / 0.3)
        spans = spans_above(both, 0.9, 0.3, 2)
        return series_of("jack", [(span, True) for span in spans], gap=self.near(1.2))

    @cached_property
    def jumps(self) -> list[Movement]:
        """Both feet leave the ground and land together."""
        jacks = [jack.span for jack in self.jacks]
        wide = self.near(0.4)
        onward: list[tuple[Span, bool]] = []
        upward: list[tuple[Span, bool]] = []
        within: list[tuple[Span, bool]] = []
        for span, kind, height, sure in self.flights:
            if kind not in ("jump", "stride"):
                continue
            if height < _LEAP and any(run.gait == "run" and run.span.overlap(span) for run in self.bouts):
                # A runner's stride; it is a leap where it goes higher than any stride.
                continue
            sure = sure and (kind == "jump" or height > _LEAP)
            if any(span.start < j.stop + wide and j.start - wide < span.stop for j in jacks):
                within.append((span, False))
            elif np.hypot(*self._gain(max(span.start - 2, 0), min(span.stop + 2, self.frames - 1))) > 0.2:
                onward.append((span, sure))
            else:
                upward.append((span, sure))
        found: list[Movement] = []
        for spans in (onward, upward, within):
            found.extend(self._jump(jump) for jump in series_of("jump", spans, gap=self.near(1.1)))
        return found

    def _jump(self, jump: Movement) -> Movement:
        ahead, left = self._gain(max(jump.start - 2, 0), min(jump.stop + 2, self.frames - 1))
        each = float(np.hypot(ahead, left)) / jump.count[1]
        names, unlike = frozenset({"in place", "up"}), frozenset({"forward", "backward", "left", "right"})
        if each > 0.2:
            names, unlike = named_way(ahead, left, 0.0, (ahead, left))
            names |= {"up"}
        elif each > 0.12:
            unlike = frozenset()
        height = float(self.clear[jump.start : jump.stop].min(axis=1).max())
        airborne = self._airborne(jump, "jump")
        return replace(jump, directions=names, unlike=unlike, metres=height, airborne=airborne)

    def _airborne(self, leaps: Movement, kind: str) -> tuple[float, float] | None:
        """Seconds of the shortest and of the longest flight of a kind in a movement that is made of such flights.

        None where the clip shows none of them from the take-off to the landing.
        """
        flights = [span for span, name, *_ in self.flights if name == kind and span.overlap(leaps.span)]
        seconds = [len(span) / self.fps for span in flights if span.start > 0 and span.stop < self.frames]
        return (min(seconds), max(seconds)) if seconds else None

    def _gain(self, first: int, last: int) -> tuple[float, float]:
        move = self.pose[last, PELVIS, ::2] - self.pose[first, PELVIS, ::2]
        ahead, left = seen_from(move, self.m.hip_heading[first])
        return float(ahead), float(left)

    @cached_property
    def hops(self) -> list[Movement]:
        """Flights from one foot to the same foot, the other held up."""
        found: list[Movement] = []
        for side in SIDES:
            kind = f"hop {side}"
            spans = [(span, sure) for span, name, _, sure in self.flights if name == kind]
            for hop in series_of("hop", spans, gap=self.near(1.0)):
                found.append(replace(hop, side=side, airborne=self._airborne(hop, kind)))
        return found

    @cached_property
    def free_feet(self) -> list[Movement]:
        """The foot held up while the other hops."""
        return [replace(hop, side="right" if hop.side == "left" else "left", count=(1, 1)) for hop in self.hops]

    # -- feet raised and put forward on the spot --------------------------------------------------------------------

    @cached_property
    def lifts(self) -> list[tuple[Span, int, str, int]]:
        """(span, foot, form, top frame) of each foot that leaves the ground in place: kick, knee, or up."""
        m, found = self.m, []
        position = self.m.position
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
            lifts = [(span, top) for span, which, form, top in self.lifts if which == foot and form == "kick"]
            by_way: dict[tuple[frozenset[str], frozenset[str]], list[tuple[Span, bool]]] = {}
            for span, top in lifts:
                by_way.setdefault(self._lift_directions(foot, top), []).append((span, True))
            for (names, unlike), spans in by_way.items():
                for kick in series_of("kick", spans, gap=self.near(1.2)):
                    high = float(self.pose[kick.start : kick.stop, TOES[foot], 1].max())
                    floor = float(quantile(self.pose[:, TOES[foot], 1], 0.02))
                    found.append(replace(kick, side=side, directions=names, unlike=unlike, metres=high - floor))
        return found + [kick for kick in self._running_kicks if not any(k.span.overlap(kick.span) for k in found)]

    @cached_property
    def _running_kicks(self) -> list[Movement]:
        """A foot swung to the front much faster than any step, on the run or with the whole body behind it."""
        against = self.pose[:, TOES] - self.pose[:, [PELVIS]]
        speed = np.linalg.norm(np.gradient(against, axis=0), axis=-1) * self.fps
        found: list[Movement] = []
        for foot, side in enumerate(SIDES):
            for span in spans_above(speed[:, foot], _KICK_SPEED, 0.6 * _KICK_SPEED, 2):
                after = slice(span.start, min(span.stop + self.near(0.2), self.frames))
                if float(self.m.foot[after, foot, 2].max()) > _KICK_FRONT:
                    sure = float(speed[span.slice, foot].max()) > _SURE_KICK_SPEED
                    ahead = frozenset({"forward"})
                    found.append(Movement("kick", span.start, after.stop, sure, side, directions=ahead))
        return found

    @cached_property
    def balances(self) -> list[Movement]:
        """Standing on one foot, the other held up: `side` is the foot that stands."""
        found: list[Movement] = []
        for foot, side in enumerate(SIDES):
            other = self.clear[:, 1 - foot]
            for span in spans_above(np.where(self.clear[:, foot] < 0.04, other, 0.0), 0.08, 0.03, self.near(_BALANCE)):
                shift = float(np.ptp(self.m.position[span.slice], axis=0).max())
                sure = len(span) > self.near(_SURE_BALANCE) and shift < 0.2
                found.append(Movement("balance", span.start, span.stop, sure=sure, side=side))
        return found

    @cached_property
    def knees(self) -> list[Movement]:
        """A knee raised to the front while the other leg stands."""
        return [self._on(foot, lift) for foot in (0, 1) for lift in self._lift_series("knee", foot, ("knee",))]

    @cached_property
    def leg_lifts(self) -> list[Movement]:
        """Any foot taken off the ground in place."""
        high, low = ("knee", "kick", "up"), ("small",)
        found = [self._on(foot, lift) for foot in (0, 1) for lift in self._lift_series("leg", foot, high)]
        small = [self._on(foot, lift) for foot in (0, 1) for lift in self._lift_series("leg", foot, low)]
        return found + self.unsure(small)

    def _lift_series(self, kind: str, foot: int, forms: tuple[str, ...]) -> list[Movement]:
        """Lifts of one foot, as series that neither the other foot nor a clear change of height interrupts."""
        runs: list[list[tuple[Span, bool]]] = []
        previous: tuple[int, float] | None = None
        for span, which, form, _ in self.lifts:
            high = float(self.m.knee_height[span.slice, which].max())
            if which == foot and form in forms:
                if not runs or previous is None or previous[0] != foot or abs(previous[1] - high) > 0.12:
                    runs.append([])
                runs[-1].append((span, True))
            previous = (which, high)
        return [lift for run in runs for lift in series_of(kind, run, gap=self.near(0.9))]

    def _on(self, foot: int, lift: Movement) -> Movement:
        return replace(lift, side=SIDES[foot])

    @cached_property
    def marches(self) -> list[Movement]:
        """Feet lifted in turn on the spot."""
        lifts = [(span, foot, form) for span, foot, form, _ in self.lifts if form in ("knee", "up", "small")]
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
            for lunge in series_of("lunge", spans, gap=self.near(1.3)):
                depth = float(self.drop[lunge.start : lunge.stop].max())
                found.append(replace(lunge, side=side, directions=frozenset({"forward"}), metres=depth))
        return found
