"""Tests statements of a text against what a motion shows: holds, contradicted, or undecided in between.

The statements of a text are first assigned to movements so that as much as possible agrees and the order told is the
order of time; what a statement says is then compared with its movement, and a statement that finds none is wrong about
the action or about the order. Between a clear yes and a clear no there is always a band that decides nothing.
The bounds come from where `datasets_scripts.verify.evidence` says, unless their comment names a source.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from datasets_scripts.verify.claims import LEG_KINDS, Statement
from datasets_scripts.verify.evidence import Evidence, Movement

Verdict = Literal["holds", "contradicted", "undecided"]

# Seconds: how much later "then" is at least, how much earlier the next sentence may begin, and how far a stated time
# may be off before it is neither right nor, further still, wrong.
_LATER, _SLACK = 0.05, 0.4
_TIME_NEAR, _TIME_EARLY, _TIME_LATE = 0.7, 1.0, 0.5
_NEVER = 1e9
# The same for seconds in the air: some see the heels leave the ground and some the toes.
_AIRBORNE_NEAR, _AIRBORNE_FAR = 0.15, 0.35
# What an agreement is worth when statements are assigned to movements, and what a disagreement costs.
_WORTH = {"sure": 2.0, "unsure": 0.8, "holds": 0.5, "contradicted": -1.0}
_LEVELS = ("down", "waist", "chest", "shoulder", "head", "overhead")
_OPPOSITE = {"left": "right", "right": "left", "forward": "backward", "backward": "forward"}
# An arm held somewhere: arm lengths that way, those that are not even near it, and the share of the time that is
# enough; an arm that is never up. No true statement that people wrote about captured motion (CMU) falls below.
_LOW_HAND = -0.4
_HELD, _NOT_HELD, _HELD_SHARE = 0.25, 0.0, 0.1
_HEIGHTS = {"down": -0.9, "waist": -0.6, "chest": -0.3, "shoulder": 0.0, "head": 0.4, "overhead": 0.8}
_FACINGS = {"front": 0.0, "forward": 0.0, "left": 90.0, "back": 180.0, "backward": 180.0, "right": -90.0}


@dataclass(frozen=True)
class Claim:
    """One checkable part of what a text says, and what the motion says to it.

    `kind`: action, side, direction, turn, angle, count, order, height, distance, time, speed, gait, posture. `text` is
    the passage at `start`..`stop` of the whole text.
    """

    kind: str
    text: str
    start: int
    stop: int
    stated: str
    measured: str
    verdict: Verdict


@dataclass(frozen=True)
class _Finding:
    """A verdict on one attribute, before it is put beside the text."""

    kind: str
    stated: str
    measured: str
    verdict: Verdict


def _walked(e: Evidence) -> list[Movement]:
    """Who walks or runs takes two steps or goes a metre at least."""
    return [bout for bout in e.bouts if bout.sure or bout.count[1] > 1 or (bout.metres or 0.0) > 1.0]


# The movements that a kind of statement may speak of. What stands after "or" counts only where nothing else is found;
# a kind that is not here says where something is, or something that joints do not show, and has no place in the order.
_MOVEMENTS: Mapping[str, Callable[[Evidence], list[Movement]]] = {
    "travel": lambda e: e.bouts + e.single_steps,
    "walk travel": _walked,
    # A jog may stay on the spot.
    "run travel": lambda e: _walked(e) + e.unsure(e.marches),
    "sidestep": lambda e: e.side_steps or e.single_side_steps,
    "march": lambda e: e.marches,
    "curve": lambda e: e.curves,
    "turn": lambda e: e.turns + e.upper_turns,
    "jump": lambda e: e.jumps + e.unsure(e.hops),
    "hop": lambda e: e.hops + e.unsure([jump for jump in e.jumps if not jump.sure]),
    "jack": lambda e: e.jacks,
    "kick": lambda e: e.kicks,
    "balance": lambda e: e.balances or e.unsure(e.hops),
    "knee": lambda e: e.knees,
    "leg": lambda e: e.leg_lifts,
    "foot": lambda e: e.leg_lifts + e.free_feet,
    "lunge": lambda e: e.lunges,
    "squat": lambda e: e.squats,
    "low": lambda e: e.lows,
    "sit": lambda e: e.sits,
    "stand": lambda e: e.stands,
    "invert": lambda e: e.inversions,
    "crawl": lambda e: e.crawls,
    "kneel": lambda e: e.kneels,
    "lie": lambda e: e.lies,
    "raise": lambda e: e.raises,
    "low raise": lambda e: e.raises + e.unsure(e.hand_swings),
    "reach": lambda e: e.reaches + e.unsure(e.raises),
    "wave": lambda e: e.waves,
    "punch": lambda e: e.punches or e.quick_hands,
    "throw": lambda e: e.throws or e.quick_hands,
    "clap": lambda e: e.claps or e.unsure(e.meetings),
    "join": lambda e: e.claps + e.meetings,
    "circle": lambda e: e.circles,
    "bow": lambda e: e.bows,
    "bend": lambda e: e.bows + e.picks + e.unsure(e.lows) + e.stoops,
    "lean": lambda e: e.leans,
    "look": lambda e: e.looks,
    "twist": lambda e: e.looks,
    "pick": lambda e: e.picks,
    # From the floor, or from a table that joints do not show.
    "take": lambda e: e.picks + e.unsure(e.reaches),
}


class Checker:
    """Tests the statements of any number of texts against one motion; what is measured once is kept."""

    def __init__(self, evidence: Evidence):
        self.evidence = evidence
        self._found: dict[str, list[Movement]] = {}
        self._judged: dict[tuple[Statement, Movement], list[_Finding]] = {}

    def check(self, text: str, statements: Sequence[Statement]) -> list[Claim]:
        """Test the statements of a text against the motion.

        Args:
            text: The text.
            statements: What was read in it.

        Returns:
            The claims of all statements, in the order of the text.
        """
        chosen, bounds = self._assign(statements)
        repeated = self._used_twice(statements, chosen)
        claims: list[Claim] = []
        alone = not any(s.kind in _MOVEMENTS and not s.negated for s in statements)
        for index, statement in enumerate(statements):
            findings = self._findings(statement, chosen.get(index), bounds.get(index))
            if index in repeated:
                shown = f"once, {self._shown(chosen[index])}"
                findings = [_Finding("action", f"{_said(statement)} again", shown, "contradicted")]
            elif statement.link == "then" and index in chosen and any(before < index for before in chosen):
                shown = self._shown(chosen[index])
                findings.append(_Finding("order", f"{_said(statement)} later", shown, "holds"))
            if statement.kind == "still" and not alone:
                # Whoever does something else as well stands still before or after it, for as long as may be.
                findings = [replace(finding, verdict="undecided") for finding in findings]
            for finding in findings:
                passage = text[statement.start : statement.stop]
                claims.append(
                    Claim(
                        finding.kind,
                        passage,
                        statement.start,
                        statement.stop,
                        finding.stated,
                        finding.measured,
                        finding.verdict,
                    )
                )
        self._judged.clear()
        return claims

    # -- which movement a statement speaks of -----------------------------------------------------------------------

    def candidates(self, statement: Statement) -> list[Movement]:
        """Movements that a statement may speak of.

        Args:
            statement: Of a kind that has movements.

        Returns:
            The movements found of that kind.
        """
        kind = f"{statement.gait} {statement.kind}".strip()
        if statement.kind == "raise" and statement.level in ("waist", "chest"):
            kind = "low raise"
        if kind not in self._found:
            self._found[kind] = _MOVEMENTS[kind](self.evidence)
        return self._found[kind]

    def _assign(self, statements: Sequence[Statement]) -> tuple[dict[int, Movement], dict[int, tuple[float, float]]]:
        """The movement of each statement that has one, and for the others the seconds between which it would start.

        A chain over the statements: the state is the latest start so far, of which there are only as many as
        movements, so that the work grows with the length of the text and not with its square.
        """
        fps = self.evidence.fps
        Node = tuple[float, tuple | None]
        best: dict[float, Node] = {-_NEVER: (0.0, None)}
        for index, statement in enumerate(statements):
            if statement.negated or statement.vague or statement.kind not in _MOVEMENTS:
                continue
            fresh: dict[float, Node] = {}
            for movement in self.candidates(statement):
                gain = self._score(statement, movement)
                start, stop = movement.start / fps, movement.stop / fps
                limit = {"then": start - _LATER, "next": start + _SLACK, "and": stop - 0.3}.get(statement.link, _NEVER)
                for bound, (score, chain) in best.items():
                    if bound > limit or (statement.link == "then" and self._again(statements, chain, index, movement)):
                        continue
                    later = bound if statement.link == "with" else max(bound, start)
                    known = fresh.get(later)
                    if known is None or score + gain > known[0]:
                        fresh[later] = (score + gain, (index, movement, bound, chain))
            for later, node in fresh.items():
                if later not in best or node[0] > best[later][0]:
                    best[later] = node
        chain = max(best.values(), key=lambda node: node[0])[1]
        chosen: dict[int, Movement] = {}
        starts: list[tuple[int, float]] = []
        while chain is not None:
            index, movement, _, chain = chain
            chosen[index] = movement
            starts.append((index, movement.start / fps))
        starts.reverse()
        return dict(sorted(chosen.items())), self._bounds(statements, starts)

    def _again(self, statements: Sequence[Statement], chain: tuple | None, index: int, movement: Movement) -> bool:
        """Whether the chain's last statement, of the same kind, speaks of this movement already."""
        if chain is None or statements[chain[0]].kind != statements[index].kind:
            return False
        return self._same(chain[1], movement)

    @staticmethod
    def _bounds(statements: Sequence[Statement], starts: list[tuple[int, float]]) -> dict[int, tuple[float, float]]:
        """For each statement without a movement the seconds between which the order told would have it start."""
        known = dict(starts)
        bounds: dict[int, tuple[float, float]] = {}
        latest = -_NEVER
        for index in range(len(statements)):
            if index in known:
                latest = max(latest, known[index])
            else:
                bounds[index] = (latest, _NEVER)
        earliest, ordered = _NEVER, False
        for index in reversed(range(len(statements))):
            if index in known:
                # Only what the text puts into an order with it bounds the statements before.
                earliest = min(earliest, known[index]) if ordered or earliest == _NEVER else known[index]
                ordered = False
            else:
                bounds[index] = (bounds[index][0], earliest if ordered else _NEVER)
            ordered = ordered or statements[index].link in ("then", "next")
        return bounds

    def _used_twice(self, statements: Sequence[Statement], chosen: dict[int, Movement]) -> set[int]:
        """Statements that speak of a movement once more of which an earlier one of the same kind has spoken.

        They do where the text puts one after the other or gives the two another time, and the movement does not hold
        as many repetitions as both say.
        """
        repeated: set[int] = set()
        told: dict[str, int] = {}
        later: dict[str, bool] = {}
        for index, statement in enumerate(statements):
            if statement.link == "then":
                later = dict.fromkeys(told, True)
            if index not in chosen:
                continue
            kind, movement = statement.kind, chosen[index]
            if kind in told:
                before, earlier = statements[told[kind]], chosen[told[kind]]
                if self._same(earlier, movement) and self._twice(before, statement, movement, later.get(kind, False)):
                    at = movement.start / self.evidence.fps
                    off = [abs((s.at if s.at is not None else at) - at) for s in (before, statement)]
                    repeated.add(told[kind] if off[0] > off[1] else index)
            told[kind] = index
            later[kind] = False
        return repeated

    @staticmethod
    def _same(one: Movement, other: Movement) -> bool:
        shorter = min(len(one.span), len(other.span))
        return one.side == other.side and one.span.overlap(other.span) > 0.6 * shorter

    def _twice(self, one: Statement, other: Statement, movement: Movement, later: bool) -> bool:
        if one.count is not None and other.count is not None:
            room = one.count + other.count <= movement.count[1]
        else:
            room = movement.count[1] > 1
        if room:
            return False
        if one.at is not None and other.at is not None:
            return abs(one.at - other.at) > 0.8
        return later and one.side == other.side

    def _score(self, statement: Statement, movement: Movement) -> float:
        score = _WORTH["sure" if movement.sure else "unsure"]
        for finding in self._attributes(statement, movement):
            score += _WORTH.get(finding.verdict, 0.0)
        if not movement.sure and statement.side == movement.side != "":
            # What may be meant goes before what was clearly done with the other hand.
            score += _WORTH["holds"]
        return max(score, 0.05)

    # -- what is said of it -----------------------------------------------------------------------------------------

    def _findings(
        self, statement: Statement, movement: Movement | None, bound: tuple[float, float] | None
    ) -> list[_Finding]:
        said = _said(statement)
        if statement.kind not in _MOVEMENTS:
            return self._still_facts(statement)
        found = self.candidates(statement)
        if statement.negated:
            return [self._absent(statement, found)]
        if statement.vague:
            return [_Finding("action", said, "not measured", "undecided")]
        if movement is None:
            return [self._missing(statement, found, bound)]
        verdict: Verdict = "holds" if movement.sure else "undecided"
        findings = [_Finding("action", said, self._shown(movement), verdict)]
        findings += self._attributes(statement, movement)
        return findings

    def _missing(self, statement: Statement, found: list[Movement], bound: tuple[float, float] | None) -> _Finding:
        said = _said(statement)
        if statement.kind in ("look", "twist") and not self.evidence.head_is_still:
            found = [movement for movement in found if movement.sure]
            if not found:
                return _Finding("action", said, "not clear", "undecided")
        if not found:
            if statement.kind == "raise" and self._held(statement).verdict != "contradicted":
                # It may be up from the start.
                return _Finding("action", said, "not clear", "undecided")
            return _Finding("action", said, f"no {_name(statement.kind)}", "contradicted")
        nearest = max(found, key=lambda movement: self._score(statement, movement))
        after, before = bound if bound is not None else (-_NEVER, _NEVER)
        start = nearest.start / self.evidence.fps
        if start < after + _LATER:
            return _Finding("order", f"{said} after {after:.1f} s", self._shown(nearest), "contradicted")
        if start > before - _LATER:
            return _Finding("order", f"{said} before {before:.1f} s", self._shown(nearest), "contradicted")
        return _Finding("action", said, self._shown(nearest), "undecided")

    def _absent(self, statement: Statement, found: list[Movement]) -> _Finding:
        named = [m for m in found if statement.side in ("", "both", m.side) or m.side == "both"]
        said = f"no {_name(statement.kind)}"
        sure = [m for m in named if m.sure]
        if sure:
            return _Finding("action", said, self._shown(sure[0]), "contradicted")
        return _Finding("action", said, "none" if not named else "not clear", "undecided" if named else "holds")

    def _shown(self, movement: Movement) -> str:
        fps = self.evidence.fps
        parts = [movement.side, _name(movement.kind), movement.gait]
        if movement.count != (1, 1):
            low, high = movement.count
            parts.append(f"{low} times" if low == high else f"{low} to {high} times")
        parts.append(f"from {movement.start / fps:.1f} to {movement.stop / fps:.1f} s")
        return " ".join(part for part in parts if part)

    def _attributes(self, statement: Statement, movement: Movement) -> list[_Finding]:
        key = (statement, movement)
        if key not in self._judged:
            found: list[_Finding] = []
            for test in _TESTS:
                finding = test(statement, movement, self.evidence)
                if finding is not None:
                    found.append(finding)
            self._judged[key] = found
        return self._judged[key]

    # -- poses and other facts without a movement -------------------------------------------------------------------

    def _still_facts(self, statement: Statement) -> list[_Finding]:
        match statement.kind:
            case "pose":
                return [self._pose(statement)]
            case "hand":
                return self._hand(statement)
            case "face":
                return [self._facing(statement)]
            case "end":
                return [self._length(statement)]
            case "still":
                return [self._stillness(statement)]
            case "held" if statement.ways or statement.level in _LEVELS:
                return [self._held(statement)]
        return [_Finding("action", _said(statement), "not measured", "undecided")]

    def _frame(self, when: str) -> int:
        return self.evidence.frames - 1 if when == "end" else 0

    def _pose(self, statement: Statement) -> _Finding:
        e, m = self.evidence, self.evidence.m
        frames = range(e.frames) if not statement.when else [self._frame(statement.when)]
        said = f"{statement.pose} {('at the ' + statement.when) if statement.when else ''}".strip()
        drop, pitch = e.drop[frames], m.trunk_pitch[frames]
        shown = f"hips {float(drop[-1]):.2f} m down, trunk {float(pitch[-1]):.0f} degrees forward"
        yes: bool
        no: bool
        match statement.pose:
            case "standing" | "upright":
                yes, no = bool(drop.min() < 0.15), bool(drop.min() > 0.32)
            case "seated" | "low":
                yes, no = bool(drop.max() > 0.2), bool(drop.max() < 0.08)
            case "bent":
                yes, no = bool(pitch.max() > 15.0), bool(pitch.max() < 3.0)
            case "leaning":
                yes, no = bool(np.abs(pitch).max() > 9.0), bool(np.abs(pitch).max() < 3.0)
            case "lying":
                tilt = m.trunk_tilt[frames]
                yes, no = bool(tilt.max() > 50.0), bool(tilt.max() < 25.0)
            case _:
                yes = no = False
        return _Finding("posture", said, shown, "holds" if yes else "contradicted" if no else "undecided")

    def _hand(self, statement: Statement) -> list[_Finding]:
        e, findings = self.evidence, []
        frame = self._frame(statement.when)
        for side, name in enumerate(("left", "right")):
            if statement.side not in (name, "both"):
                continue
            up = float(e.m.hand[frame, side, 1])
            over = float(e.m.hand_height[frame, side] - e.m.head_height[frame])
            near = _LEVELS.index(statement.level) if statement.level in _LEVELS else None
            at = _level_of(up, over)
            if near is None:
                verdict: Verdict = "undecided"
            else:
                off = min(abs(near - level) for level in at)
                verdict = "holds" if off == 0 else "contradicted" if off >= 2 else "undecided"
            shown = f"{name} hand {' or '.join(_LEVELS[level] for level in at)}"
            findings.append(_Finding("posture", f"{name} hand {statement.level}", shown, verdict))
        return findings

    def _held(self, statement: Statement) -> _Finding:
        """Where an arm is said to be, without saying when: for a part of the clip, or never even near it."""
        m = self.evidence.m
        outward = m.hand[..., 0] * (1.0, -1.0)
        by_way = {"up": m.hand[..., 1], "overhead": m.hand[..., 1] - 0.3, "front": m.hand[..., 2], "sideways": outward}
        by_way["out"] = np.maximum(m.hand[..., 2], outward)
        by_way["down"] = by_way["hanging"] = -0.3 - m.hand[..., 1]
        aside = statement.ways & {"overhead", "front", "sideways", "down", "hanging"}
        # "up to the front" is no higher than the front.
        series = [by_way[way] for way in sorted(aside or statement.ways & set(by_way) or {"up"})]
        if statement.level in _LEVELS and "overhead" not in statement.ways:
            series.append(_HELD + 0.05 - np.abs(m.hand[..., 1] - _HEIGHTS[statement.level]))
        hands = np.min(series, axis=0)
        if statement.side in ("left", "right"):
            best = hands[:, ("left", "right").index(statement.side)]
        else:
            best = hands.min(axis=1) if statement.side == "both" else hands.max(axis=1)
        share = float((best > _HELD).mean())
        said = " ".join([statement.side, "arm", *sorted(statement.ways), statement.level]).strip()
        verdict: Verdict = (
            "holds" if share > _HELD_SHARE else "contradicted" if float(best.max()) < _NOT_HELD else "undecided"
        )
        return _Finding("posture", said, f"{share:.0%} of the time", verdict)

    def _facing(self, statement: Statement) -> _Finding:
        ways = sorted(statement.ways & set(_FACINGS))
        said = f"facing {' '.join(ways)}"
        if not ways or statement.when != "end":
            return _Finding("direction", said, "not measured", "undecided")
        angles = np.radians([_FACINGS[way] for way in ways])
        stated = float(np.degrees(np.arctan2(np.sin(angles).sum(), np.cos(angles).sum())))
        heading = self.evidence.m.hip_heading
        turned = float(heading[-1] - heading[0])
        off = abs((turned - stated + 180.0) % 360.0 - 180.0)
        verdict: Verdict = "holds" if off < 40.0 else "contradicted" if off > 62.0 else "undecided"
        return _Finding("direction", said, f"{turned:.0f} degrees to the left of the start", verdict)

    def _length(self, statement: Statement) -> _Finding:
        length = (self.evidence.frames - 1) / self.evidence.fps
        if statement.at is None:
            return _Finding("time", "end", "not measured", "undecided")
        off = abs(length - statement.at)
        verdict: Verdict = "holds" if off < 0.6 else "contradicted" if off > 1.3 else "undecided"
        return _Finding("time", f"ends at {statement.at:g} s", f"{length:.1f} s", verdict)

    def _stillness(self, statement: Statement) -> _Finding:
        e = self.evidence
        moved = float(np.ptp(e.m.hand, axis=0).max())
        travels = any(bout.sure for bout in e.bouts)
        lively = travels or moved > 0.6
        quiet = not e.bouts and moved < 0.3
        verdict: Verdict = "contradicted" if lively and not statement.when else "holds" if quiet else "undecided"
        return _Finding("posture", "still", "travels" if travels else f"hands move {moved:.2f} arm lengths", verdict)


# -- attributes of a movement ---------------------------------------------------------------------------------------


def _side(statement: Statement, movement: Movement, evidence: Evidence) -> _Finding | None:
    if statement.kind in ("travel", "jump") or statement.side not in ("left", "right", "both") or not movement.side:
        return None
    kind = "turn" if statement.kind in ("turn", "curve") else "side"
    if movement.kind == "pick" and statement.side in movement.directions:
        certain = movement.side == statement.side and not movement.directions >= {"left", "right"}
        return _Finding(kind, statement.side, movement.side, "holds" if certain else "undecided")
    if statement.side == movement.side:
        return _Finding(kind, statement.side, movement.side, "holds" if movement.sure else "undecided")
    if statement.kind in ("raise", "wave", "reach") and statement.side == "both":
        # One arm goes up while the other is up already, or soon after, or does less.
        highest = float(evidence.m.hand[..., 1].max(axis=0).min())
        return _Finding(kind, "both", movement.side, "contradicted" if highest < _LOW_HAND else "undecided")
    if statement.side == "both" and statement.kind in LEG_KINDS and len({lift[1] for lift in evidence.lifts}) > 1:
        # First one leg, then the other.
        return _Finding(kind, "both", movement.side, "undecided")
    # Two arms that rise alike are not the one arm that a text speaks of, whatever else they do.
    clear = movement.sure or (statement.kind == "raise" and movement.side == "both")
    verdict: Verdict = "contradicted" if clear else "undecided"
    if movement.kind == "look" and not movement.sure:
        verdict = "undecided"
    return _Finding(kind, statement.side, movement.side, verdict)


_NAMES: dict[str, dict[str, str]] = {
    "kick": {
        "front": "forward",
        "forward": "forward",
        "sideways": "sideways",
        "back": "backward",
        "backward": "backward",
    },
    "raise": {"front": "front", "forward": "front", "sideways": "side", "out": "", "overhead": "overhead"},
    "circle": {"forward": "forward", "backward": "backward", "back": "backward"},
    "travel": {
        "forward": "forward",
        "front": "forward",
        "backward": "backward",
        "left": "left",
        "right": "right",
        "sideways": "sideways",
    },
    "march": {"forward": "forward", "backward": "backward"},
    "jump": {
        "forward": "forward",
        "backward": "backward",
        "left": "left",
        "right": "right",
        "in place": "in place",
        "back": "backward",
    },
    "hop": {},
    "sidestep": {},
    "bow": {"backward": "backward"},
}


def _direction(statement: Statement, movement: Movement, evidence: Evidence) -> _Finding | None:
    names = _NAMES.get(statement.kind, {})
    stated = [names[way] for way in sorted(statement.ways) if names.get(way)]
    if not stated:
        return None
    shown = ", ".join(sorted(movement.directions)) or "no clear direction"
    said = " and ".join(stated)
    modest = {names.get(way) for way in statement.modest}
    if statement.kind == "travel":
        # Left and right may be those of the viewer's path or of the walker's: only the other side contradicts them.
        modest |= {"left", "right", "sideways"}
    if any(way in movement.unlike for way in stated if way not in modest):
        # Whether a body that goes to the left jumps or shuffles may be open; that it does not go to the right is not.
        opposite = any(_OPPOSITE.get(way or "") in movement.directions for way in stated if way not in modest)
        clear = movement.sure or statement.kind == "raise" or (statement.kind == "jump" and opposite)
        return _Finding("direction", said, shown, "contradicted" if clear else "undecided")
    if all(way in movement.directions for way in stated):
        return _Finding("direction", said, shown, "holds")
    if any(_OPPOSITE.get(way or "") in movement.directions for way in modest & set(stated)) and movement.sure:
        # "slightly to the right" allows for what is hardly seen, not for a way to the left.
        return _Finding("direction", said, shown, "contradicted")
    return _Finding("direction", said, shown, "undecided")


_UNCOUNTED = frozenset(
    "turn curve sit stand pick take join lie kneel look bend twist foot balance invert crawl".split()
)


def _count(statement: Statement, movement: Movement, evidence: Evidence) -> _Finding | None:
    if statement.kind in LEG_KINDS and statement.side == "both" and movement.side in ("left", "right"):
        return None
    low, high = movement.count
    shown = str(low) if low == high else f"{low} to {high}"
    if statement.kind in _UNCOUNTED:
        return None
    if statement.kind == "travel" and statement.unit == "times":
        return None
    if statement.least is not None and statement.count is None:
        verdict: Verdict = "holds" if low >= 2 else "contradicted" if high < statement.least else "undecided"
        return _Finding("count", f"at least {statement.least}", shown, verdict)
    if statement.count is None:
        return None
    off = max(low - statement.count, statement.count - high, 0)
    allowed = max(1, round(0.3 * statement.count)) if statement.rough else 0
    # One step that may be part of something else is still not four steps.
    allowed = max(allowed, 0 if movement.sure else 1)
    verdict = "holds" if off == 0 else "undecided" if off <= allowed else "contradicted"
    if statement.kind == "wave" and statement.rough and verdict == "contradicted":
        # Where one wave ends and the next begins is a matter of opinion.
        verdict = "undecided"
    if not movement.sure and (off == 0 or statement.kind != "travel"):
        verdict = "undecided"
    return _Finding("count", str(statement.count), shown, verdict)


def _angle(statement: Statement, movement: Movement, evidence: Evidence) -> _Finding | None:
    if statement.angle is None or movement.angle is None or statement.kind in ("circle", "lean"):
        return None
    measured = abs(movement.angle)
    off = abs(measured - statement.angle)
    near, far = max(22.0, 0.25 * statement.angle), max(38.0, 0.45 * statement.angle)
    verdict: Verdict = "holds" if off <= near else "contradicted" if off > far else "undecided"
    return _Finding("angle", f"{statement.angle:g} degrees", f"{measured:.0f} degrees", verdict)


def _metres(statement: Statement, movement: Movement, evidence: Evidence) -> _Finding | None:
    if statement.metres is None or movement.metres is None:
        return None
    distance = statement.kind in ("travel", "sidestep", "curve")
    if statement.kind in ("jump", "hop", "raise", "reach", "pick") and (
        statement.ways & {"forward", "backward"} or statement.kind in ("raise", "reach")
    ):
        return None
    off = abs(movement.metres - statement.metres)
    if distance:
        near, far = max(0.35, 0.25 * statement.metres), max(0.8, 0.55 * statement.metres)
    else:
        near, far = max(0.15, 0.35 * statement.metres), max(0.35, 0.8 * statement.metres)
    verdict: Verdict = "holds" if off <= near else "contradicted" if off > far else "undecided"
    kind = "distance" if distance else "height"
    return _Finding(kind, f"{statement.metres:g} m", f"{movement.metres:.2f} m", verdict)


def _airborne(statement: Statement, movement: Movement, evidence: Evidence) -> _Finding | None:
    if statement.airborne is None or movement.airborne is None:
        return None
    (least, most), (shortest, longest) = statement.airborne, movement.airborne
    off = max(least - longest, shortest - most, 0.0)
    wrong = off > _AIRBORNE_FAR and movement.sure
    verdict: Verdict = "holds" if off <= _AIRBORNE_NEAR else "contradicted" if wrong else "undecided"
    return _Finding("time", f"{_between(least, most)} in the air", _between(shortest, longest), verdict)


def _between(least: float, most: float) -> str:
    return f"{least:.2g} s" if least == most else f"{least:.2g} to {most:.2g} s"


def _level(statement: Statement, movement: Movement, evidence: Evidence) -> _Finding | None:
    if statement.kind != "raise" or statement.level not in _LEVELS or not movement.levels:
        return None
    if statement.level in movement.levels:
        return _Finding("height", statement.level, ", ".join(sorted(movement.levels)), "holds")
    stated = _LEVELS.index(statement.level)
    off = min(abs(stated - _LEVELS.index(level)) for level in movement.levels)
    verdict: Verdict = "contradicted" if off >= 2 and movement.sure else "undecided"
    return _Finding("height", statement.level, ", ".join(sorted(movement.levels)), verdict)


def _time(statement: Statement, movement: Movement, evidence: Evidence) -> _Finding | None:
    if statement.at is None:
        return None
    start, stop = movement.start / evidence.fps, movement.stop / evidence.fps
    shown = f"{start:.1f} to {stop:.1f} s"
    if statement.until is not None:
        said = f"{statement.at:g} to {statement.until:g} s"
        both = min(stop, statement.until) - max(start, statement.at)
        near = both >= 0.5 * min(stop - start, statement.until - statement.at)
        verdict: Verdict = "holds" if near else "contradicted" if both < -_TIME_LATE else "undecided"
        return _Finding("time", said, shown, verdict)
    said = f"{statement.at:g} s"
    if start - _TIME_NEAR <= statement.at <= max(stop, start + _TIME_NEAR):
        return _Finding("time", said, shown, "holds")
    far = statement.at < start - _TIME_EARLY or statement.at > stop + _TIME_LATE
    return _Finding("time", said, shown, "contradicted" if far else "undecided")


def _speed(statement: Statement, movement: Movement, evidence: Evidence) -> _Finding | None:
    if not statement.pace or statement.kind != "travel" or movement.speed is None:
        return None
    shown = f"{movement.speed:.1f} m/s"
    slow, fast = movement.speed < 0.95, movement.speed > 0.75
    if statement.pace == "slow":
        verdict: Verdict = "holds" if slow else "contradicted" if movement.speed > 1.7 else "undecided"
    else:
        verdict = "holds" if fast else "contradicted" if movement.speed < 0.3 else "undecided"
    return _Finding("speed", statement.pace, shown, verdict)


def _gait(statement: Statement, movement: Movement, evidence: Evidence) -> _Finding | None:
    if not statement.gait or statement.kind != "travel" or movement.kind != "travel":
        return None
    if not movement.gait:
        return _Finding("gait", statement.gait, "between walk and run", "undecided")
    verdict: Verdict = "holds" if movement.gait == statement.gait else "contradicted"
    return _Finding("gait", statement.gait, movement.gait, verdict)


_TESTS: tuple[Callable[[Statement, Movement, Evidence], _Finding | None], ...] = (
    _side,
    _direction,
    _count,
    _angle,
    _metres,
    _airborne,
    _level,
    _time,
    _speed,
    _gait,
)


def _level_of(up: float, over_head: float) -> list[int]:
    """Indices in `_LEVELS` that fit a hand `up` arm lengths over its shoulder: bands overlap."""
    bands = ((-2.0, -0.55), (-0.9, -0.3), (-0.75, 0.05), (-0.4, 0.4), (0.0, 0.9), (0.4, 2.0))
    fits = [i for i, (low, high) in enumerate(bands) if low <= up <= high]
    if over_head > 0.0 and 5 not in fits:
        fits.append(5)
    return fits


_READABLE = {
    "jack": "jumping jack",
    "travel": "travel",
    "low": "lowering",
    "raise": "raised hand",
    "leg": "leg lift",
    "knee": "knee raise",
    "bend": "bend",
    "stand": "standing up",
    "foot": "lifted foot",
    "take": "pick",
    "invert": "body upside down",
    "join": "hands together",
    "balance": "standing on one foot",
}


def _name(kind: str) -> str:
    return _READABLE.get(kind, kind)


def _said(statement: Statement) -> str:
    parts = [
        "no" if statement.negated else "",
        statement.side,
        statement.gait or _name(statement.kind),
        " ".join(sorted(statement.ways - {statement.side})),
    ]
    return " ".join(part for part in parts if part)
