"""Captions and thoughts of synthetic clips.

Captions come from the plan, in several wordings from plain to detailed.  Thoughts say in time order what moves, when
and how far; what they state is measured on the joints, and a repetition count that the joints do not show is left out.
"""

import math
from collections.abc import Callable, Mapping

import numpy as np

from datasets_scripts.sources.synthetic.motion import FPS, Plan, Segment

_NUMBERS = ("no", "one", "two", "three", "four", "five", "six", "seven", "eight")
_TIMES = ("", "once", "twice", "three times", "four times")
_SPEED_ADVERB = {"slow": "slowly", "normal": "", "fast": "quickly"}
_PACE = {"slow": "slow ", "normal": "", "fast": "quick "}
_TURN_NOUN = {45: "slight", 90: "quarter", 180: "half", 360: "full"}
_TURN_ADVERB = {45: "slightly", 90: "a quarter", 180: "halfway", 360: "all the way around"}
_ARC_NOUN = {90: "a quarter circle", 180: "a half circle"}
_TOWARD = {"front": "to the front", "side": "to the side", "up": "overhead"}
_SIZE_ADVERB = {
    "jump": {"small": "low", "large": "high"},
    "kick": {"small": "low", "large": "high"},
    "squat": {"small": "slightly", "large": "deeply"},
    "bow": {"small": "slightly", "large": "deeply"},
}
_SIZE_ADJECTIVE = {
    "jump": {"small": "low ", "large": "high "},
    "kick": {"small": "low ", "large": "high "},
    "squat": {"small": "slight ", "large": "deep "},
    "bow": {"small": "slight ", "large": "deep "},
}

# Per action: three detailed wordings, one without count, speed and size, and the plainest one.
# {t} "twice", {n} "two", {p} plural ending, {side}, {hand}/{arm} with article, {far} opposite side, {adv}/{adj} size.
_WORDINGS: Mapping[str, tuple[str, str, str, str, str]] = {
    "walk": (
        "walks {n} steps forward",
        "walks forward for {n} steps",
        "takes {n} steps forward",
        "walks forward",
        "walks",
    ),
    "walk_back": (
        "walks {n} steps backward",
        "walks backward for {n} steps",
        "takes {n} steps backward",
        "walks backward",
        "walks backward",
    ),
    "run": ("runs {n} steps forward", "runs forward for {n} steps", "runs {n} steps", "runs forward", "runs"),
    "curve": (
        "walks in {arc} to the {side}",
        "walks {arc} to the {side}",
        "walks along {arc} to the {side}",
        "walks in a curve to the {side}",
        "walks in a curve",
    ),
    "sidestep": (
        "steps sideways to the {side} {t}",
        "sidesteps to the {side} {t}",
        "takes {n} side step{p} to the {side}",
        "steps sideways to the {side}",
        "steps sideways",
    ),
    "turn": (
        "makes a {turn} turn to the {side}",
        "turns {around} to the {side}",
        "does a {turn} turn to the {side}",
        "turns to the {side}",
        "turns",
    ),
    "jump": ("jumps {adv} {t}", "jumps up {adv} {t}", "does {n} {adj}jump{p}", "jumps {adv}", "jumps"),
    "jump_forward": (
        "jumps forward {t}",
        "leaps forward {t}",
        "does {n} jump{p} forward",
        "jumps forward",
        "jumps forward",
    ),
    "hop": (
        "hops on the {side} foot {t}",
        "hops {t} on the {side} foot",
        "does {n} hop{p} on the {side} foot",
        "hops on the {side} foot",
        "hops on one foot",
    ),
    "march": (
        "marches {n} steps in place",
        "marches in place for {n} steps",
        "takes {n} marching steps in place",
        "marches in place",
        "marches in place",
    ),
    "knee": (
        "raises the {side} knee {t}",
        "lifts the {side} knee {t}",
        "does {n} knee raise{p} with the {side} leg",
        "raises the {side} knee",
        "raises a knee",
    ),
    "kick": (
        "kicks {adv} {toward} with the {side} leg {t}",
        "kicks {t} {adv} {toward} with the {side} leg",
        "does {n} {adj}{kind} kick{p} with the {side} leg",
        "kicks {toward} with the {side} leg",
        "kicks",
    ),
    "lunge": (
        "lunges forward with the {side} leg {t}",
        "lunges {t} with the {side} leg",
        "does {n} lunge{p} with the {side} leg",
        "lunges with the {side} leg",
        "lunges",
    ),
    "squat": ("squats {adv} {t}", "squats down {adv} {t}", "does {n} {adj}squat{p}", "squats", "squats"),
    "sit": ("sits down", "sits down on a seat", "takes a seat", "sits down", "sits down"),
    "stand": ("stands up", "gets up again", "stands up from the seat", "stands up", "stands up"),
    "wave": (
        "waves {hand} {t}",
        "waves {t} with {hand}",
        "raises {hand} and waves {t}",
        "waves with {hand}",
        "waves",
    ),
    "raise": (
        "raises {arm} {toward}",
        "lifts {arm} {toward}",
        "holds {arm} up {toward}",
        "raises {arm}",
        "raises {limb}",
    ),
    "punch": (
        "punches with the {side} hand {t}",
        "punches {t} with the {side} hand",
        "throws {n} punch{es} with the {side} hand",
        "punches with the {side} hand",
        "punches",
    ),
    "clap": ("claps {t}", "claps both hands {t}", "claps the hands {t}", "claps", "claps"),
    "bow": ("bows {adv}", "bows down {adv}", "takes a {adj}bow", "bows", "bows"),
    "throw": (
        "throws something with the {side} hand {t}",
        "throws something {t} with the {side} hand",
        "makes {n} throw{p} with the {side} hand",
        "throws something with the {side} hand",
        "throws something",
    ),
    "look": (
        "looks to the {side}",
        "looks over to the {side}",
        "turns the head to the {side}",
        "looks to the {side}",
        "looks around",
    ),
    "lean": (
        "leans to the {side} {t}",
        "bends to the {side} {t}",
        "does {n} side bend{p} to the {side}",
        "leans to the {side}",
        "leans to one side",
    ),
    "jack": (
        "does {n} jumping jack{p}",
        "performs {n} jumping jack{p}",
        "makes {n} jumping jack{p}",
        "does jumping jacks",
        "does jumping jacks",
    ),
    "circle": (
        "circles {arm} {way} {t}",
        "swings {arm} in {n} circle{p} {way}",
        "makes {n} {way} circle{p} with {arm}",
        "circles {arm}",
        "circles {limb}",
    ),
    "pick": (
        "picks something up with the {side} hand",
        "bends down and picks something up with the {side} hand",
        "picks up something from the floor with the {side} hand",
        "picks something up",
        "picks something up",
    ),
}

_OTHER = {"left": "right", "right": "left", "both": "both", "": ""}
_SAME_AGAIN = {
    "wave": "with the other hand",
    "punch": "with the other hand",
    "throw": "with the other hand",
    "pick": "with the other hand",
    "raise": "with the other arm",
    "circle": "with the other arm",
    "kick": "with the other leg",
    "lunge": "with the other leg",
    "knee": "with the other knee",
    "hop": "on the other foot",
    "sidestep": "to the other side",
    "turn": "to the other side",
    "curve": "to the other side",
    "lean": "to the other side",
    "look": "to the other side",
}
# Actions whose first wording counts with {t}: their count can be told by comparison with the action before.
_COUNTED_BY_TIMES = frozenset(action for action, wording in _WORDINGS.items() if "{t}" in wording[0])
MIRRORED_ACTIONS = frozenset(_SAME_AGAIN)

DETAILED, MEDIUM, PLAIN = (0, 1, 2), 3, 4


def filled(text: str, segment: Segment, times: str = "") -> str:
    """A wording with its placeholders filled.

    Args:
        text: The wording.
        segment: What it tells.
        times: How often, instead of the segment's count.

    Returns:
        The words, separated by single spaces.
    """
    count, both = segment.count, segment.side == "both"
    kind = "jump" if segment.action == "jump_forward" else segment.action
    text = text.format(
        t=times or _TIMES[min(count, 4)],
        n=_NUMBERS[count],
        p="" if count == 1 else "s",
        es="" if count == 1 else "es",
        side=segment.side,
        far=_OTHER[segment.side],
        hand="both hands" if both else f"the {segment.side} hand",
        arm="both arms" if both else f"the {segment.side} arm",
        limb="both arms" if both else "an arm",
        adv=_SIZE_ADVERB.get(kind, {}).get(segment.size, ""),
        adj=_SIZE_ADJECTIVE.get(kind, {}).get(segment.size, ""),
        toward=_TOWARD.get(segment.direction, ""),
        kind=segment.direction,
        way=segment.direction,
        turn=_TURN_NOUN.get(segment.angle, ""),
        around=_TURN_ADVERB.get(segment.angle, ""),
        arc=_ARC_NOUN.get(segment.angle, ""),
        pace=_PACE[segment.speed],
    )
    return " ".join(text.split())


def paced(text: str, segment: Segment, before: bool) -> str:
    """A clause with the adverb of its speed, if it has one, before its verb or at its end.

    Args:
        text: The clause.
        segment: What it tells.
        before: Whether the adverb stands before the verb.

    Returns:
        The clause.
    """
    adverb = _SPEED_ADVERB[segment.speed]
    if not adverb:
        return text
    return f"{adverb} {text}" if before else f"{text} {adverb}"


def _phrase(segment: Segment, style: int, times: str = "") -> str:
    text = filled(_WORDINGS[segment.action][style], segment, times)
    # Two adverbs in a row read badly: "slowly bows deeply", not "bows deeply slowly".
    return paced(text, segment, style == 1 or bool(segment.size)) if style in DETAILED else text


def mirrored(segment: Segment) -> Segment:
    """The same action with left and right exchanged.

    Args:
        segment: The action.

    Returns:
        The mirrored action.
    """
    return Segment(
        segment.action,
        _OTHER[segment.side],
        segment.count,
        segment.speed,
        segment.direction,
        segment.angle,
        segment.size,
    )


def relation(plan: Plan, index: int) -> str:
    """What a caption may leave out of action `index` because an earlier action tells it.

    `mirror`: the action before on the other side; `return`: the second walk of walk, half turn, walk with equal steps;
    `as_many`: the count of the action before; empty where there is none.

    Args:
        plan: The plan.
        index: Index of the action.

    Returns:
        "mirror", "return", "as_many" or "".
    """
    if index == 0:
        return ""
    segments = plan.segments
    segment, before = segments[index], segments[index - 1]
    if segment.action in MIRRORED_ACTIONS and segment.side in ("left", "right") and segment == mirrored(before):
        return "mirror"
    if (
        index >= 2
        and segment.action == "walk"
        and segment == segments[index - 2]
        and (before.action, before.angle) == ("turn", 180)
    ):
        return "return"
    if (
        segment.action in _COUNTED_BY_TIMES
        and before.action in _COUNTED_BY_TIMES
        and segment.action != before.action
        and segment.count == before.count >= 2
        and segment.speed == "normal"
    ):
        return "as_many"
    return ""


def clause(plan: Plan, index: int, style: int, related: bool = False) -> str:
    """What a caption says of action `index` in a style: one of `DETAILED`, `MEDIUM` or `PLAIN`.

    `related` tells it by an earlier action where `relation` allows that.

    Args:
        plan: The plan.
        index: Index of the action.
        style: Index of the wording.
        related: Tell it by an earlier action where `relation` allows that.

    Returns:
        The clause.
    """
    segment = plan.segments[index]
    kind = relation(plan, index) if related else ""
    if kind == "mirror":
        return f"does the same {_SAME_AGAIN[segment.action]}"
    if kind == "return":
        return "walks back the same way"
    if kind == "as_many":
        return _phrase(segment, 0, times="as many times")
    return _phrase(segment, style)


def _join(subject: str, clauses: list[str], style: int) -> str:
    if style == 2 and len(clauses) > 1:
        middle = "".join(f", then {clause}" for clause in clauses[1:-1])
        return f"{subject} first {clauses[0]}{middle} and finally {clauses[-1]}."
    joint = " and then " if style in (1, PLAIN) else ", then "
    return f"{subject} {joint.join(clauses)}."


def captions(plan: Plan, rng: np.random.Generator, related: float = 0.5, detailed_only: bool = False) -> list[str]:
    """Distinct wordings of a plan: three detailed ones first, in drawn order, then a shorter and a plain one.

    `related` is the chance of each caption to tell an action by its relation to an earlier one where there is such a
    relation ("does the same with the other hand"), so that side or count must be worked out.

    Args:
        plan: The plan.
        rng: Source of the draws.
        related: Chance of each caption to use such a relation.
        detailed_only: Leave the shorter and the plain one out.

    Returns:
        The captions.
    """
    count = len(plan.segments)
    manner = f"{plan.manner} " if plan.manner else ""
    subjects = (
        f"a {manner}person",
        f"someone {manner}".strip(),
        f"the {manner}person",
        f"a {manner}person",
        "a person",
    )
    order = [int(style) for style in rng.permutation(3)]
    draws = rng.random(5)
    result: list[str] = []
    for style in order if detailed_only else [*order, MEDIUM, PLAIN]:
        use = bool(draws[style] < related) and style != PLAIN
        text = _join(subjects[style], [clause(plan, index, style, use) for index in range(count)], style)
        if text not in result:
            result.append(text)
    for subject in ("the person", "a man", "a woman"):  # short plans have few distinct wordings
        if len(result) >= 4 or detailed_only:
            break
        manner_subject = f"{subject.split()[0]} {manner}{subject.split()[1]}"
        text = _join(manner_subject, [clause(plan, index, 0) for index in range(count)], 0)
        if text not in result:
            result.append(text)
    return result


# -- measurements ---------------------------------------------------------------------------------------------------


def repetitions(signal: np.ndarray, low: float = 0.60, high: float = 0.78) -> int:
    """How often a signal rises above `high` of its range after having been below `low` of it.

    Args:
        signal: (T,).
        low: Share of the range below which it must fall.
        high: Share of the range above which it must rise.

    Returns:
        The count.
    """
    bottom, top = float(signal.min()), float(signal.max())
    if top - bottom < 1e-6:
        return 0
    share = (signal - bottom) / (top - bottom)
    state = np.where(share > high, 1, np.where(share < low, -1, 0))
    state = state[state != 0]
    return int(((state[1:] == 1) & (state[:-1] == -1)).sum() + (state[0] == 1))


def hip_heading(joints: np.ndarray) -> np.ndarray:
    """Facing of the hips (T,) in radians: 0 toward +Z, growing to the left, unwrapped.

    Args:
        joints: (T, 22, 3).

    Returns:
        (T,) radians.
    """
    across = joints[:, 1] - joints[:, 2]
    return np.unwrap(np.arctan2(-across[:, 2], across[:, 0]))


def count_swings(joints: np.ndarray) -> int:
    """Steps taken: spans in which a toe is off the ground, both feet together.

    Args:
        joints: (T, 22, 3) in metres.

    Returns:
        The count.
    """
    toes = joints[:, 10:12, 1]
    off = toes > joints[:, :, 1].min() + 0.012
    return int((off[1:] & ~off[:-1]).sum())


def _signal(segment: Segment, joints: np.ndarray) -> np.ndarray:
    """The signal (T,) that rises once with each repetition of an action."""
    left = segment.side != "right"
    shoulder, elbow, wrist = (16, 18, 20) if left else (17, 19, 21)
    hip, foot = (1, 10) if left else (2, 11)
    action = segment.action
    if action in ("jump", "jump_forward", "hop"):
        feet = (10, 11) if action != "hop" else (foot,)
        return np.min([joints[:, f, 1] for f in feet], axis=0)
    if action == "knee":
        return joints[:, 4 if left else 5, 1]
    if action == "kick":
        return np.linalg.norm(joints[:, foot] - joints[:, 11 if left else 10], axis=-1)
    if action == "lunge":
        return np.linalg.norm(joints[:, 10] - joints[:, 11], axis=-1)
    if action == "squat":
        return -joints[:, 0, 1]
    if action == "wave":
        bend = joints[:, wrist] - joints[:, shoulder]
        return -np.linalg.norm(bend, axis=-1)
    if action == "throw":
        across = joints[:, 1] - joints[:, 2]
        forward = np.stack([-across[:, 2], across[:, 0]], axis=-1)
        return ((joints[:, wrist] - joints[:, 0])[:, [0, 2]] * forward).sum(-1)
    if action == "punch":
        return np.linalg.norm((joints[:, wrist] - joints[:, 0])[:, [0, 2]], axis=-1)
    if action == "clap":
        return -np.linalg.norm(joints[:, 20] - joints[:, 21], axis=-1)
    if action == "lean":
        trunk = joints[:, 12] - joints[:, 0]
        side = joints[:, 1] - joints[:, 2]
        return (trunk * side).sum(-1) * (1.0 if left else -1.0)
    if action == "jack":
        return np.linalg.norm(joints[:, 10] - joints[:, 11], axis=-1)
    if action == "circle":
        return joints[:, wrist, 1] - joints[:, shoulder, 1]
    return joints[:, hip, 1]


_SWINGS: Mapping[str, Callable[[Segment], int]] = {
    "walk": lambda segment: segment.count,
    "walk_back": lambda segment: segment.count,
    "run": lambda segment: segment.count,
    "march": lambda segment: segment.count,
    "sidestep": lambda segment: 2 * segment.count,
}


def count_agrees(segment: Segment, joints: np.ndarray) -> bool:
    """Whether the joints (T, 22, 3) of an action show as many repetitions as the plan says.

    Args:
        segment: The action.
        joints: (T, 22, 3) in metres, of this action alone.

    Returns:
        Whether they do.
    """
    if segment.action in _SWINGS:
        return count_swings(joints) == _SWINGS[segment.action](segment)
    signal = _signal(segment, joints)
    if segment.action in ("jump", "jump_forward", "hop"):
        return repetitions(signal, 0.3, 0.6) == segment.count
    return repetitions(signal) == segment.count


# -- thoughts -------------------------------------------------------------------------------------------------------

_DIRECTIONS = ("front", "front left", "left", "back left", "back", "back right", "right", "front right")
_THOUGHT_MANNER = {
    "": "",
    "tired": "Slumped, head down. ",
    "proud": "Upright, chest out. ",
    "careful": "Low, forearms raised. ",
}


def _metres(value: float) -> str:
    return f"{value:.1f} m"


def _statement(segment: Segment, joints: np.ndarray) -> str:
    """What happens in one action, from its joints (T, 22, 3); the last frame is the first of what follows."""
    action, side, far = segment.action, segment.side, _OTHER[segment.side]
    pace = _PACE[segment.speed]
    sure = segment.count > 0 and count_agrees(segment, joints)
    n = _NUMBERS[segment.count] + " " if sure else ""
    times = f" {_TIMES[segment.count]}" if sure and segment.count <= 4 else ""
    plural = "" if sure and segment.count == 1 else "s"
    root = joints[:, 0]
    travel = float(np.linalg.norm((root[-1] - root[0])[[0, 2]]))
    turned = math.degrees(float(hip_heading(joints)[-1] - hip_heading(joints)[0]))
    angle = f"{round(abs(turned) / 5) * 5} degrees"
    drop = _metres(float(root[0, 1] - root[:, 1].min()))
    if action in ("walk", "walk_back", "run"):
        kind = "running steps" if action == "run" else "steps"
        way = "backward" if action == "walk_back" else "forward"
        return f"{n}{pace}{kind} {way}, {_metres(travel)}"
    if action == "curve":
        return f"{pace}steps on an arc to the {side}, turning {angle}"
    if action == "sidestep":
        return f"{n}{pace}side step{plural} {side}, {_metres(travel)}"
    if action == "turn":
        return f"{pace}turn {side} in place, {angle}"
    if action in ("jump", "jump_forward"):
        height = _metres(float(joints[:, [10, 11], 1].min(axis=1).max()))
        way = f" forward, {_metres(travel)}" if action == "jump_forward" else f", feet {height} up"
        return f"{n}jump{plural}{way}"
    if action == "hop":
        return f"{n}hop{plural} on the {side} foot, {far} foot up"
    if action == "march":
        return f"{n}{pace}steps in place, knees up"
    if action == "knee":
        return f"{side} knee up to the hip{times}" + _manner_of(pace)
    if action == "kick":
        height = _metres(float(joints[:, 10 if side == "left" else 11, 1].max()))
        return f"{side} foot kicks {_TOWARD[segment.direction]}{times}, {height} high" + _manner_of(pace)
    if action == "lunge":
        return f"{side} foot lunges forward{times}, hips {drop} down" + _manner_of(pace)
    if action == "squat":
        return f"knees bend{times}, hips {drop} down" + _manner_of(pace)
    if action == "sit":
        return f"{pace}sit, hips back and {drop} down"
    if action == "stand":
        return f"{pace}rise from the seat to standing"
    limb = "hands" if side == "both" else f"{side} hand"
    if action == "wave":
        return f"{limb} up beside the head, {n}{pace}wave{plural}"
    if action == "raise":
        wrists = [20, 21] if side == "both" else [20 if side == "left" else 21]
        over_head = float((joints[:, wrists, 1] - joints[:, [15], 1]).max())
        level = "above the head" if over_head > 0.05 else "at shoulder height"
        where = {"front": "in front", "side": "sideways", "up": "overhead"}[segment.direction]
        arms = "both arms" if side == "both" else f"{side} arm"
        return f"{arms} {where}, {'hands' if side == 'both' else 'hand'} {level}" + _manner_of(pace)
    if action == "punch":
        return f"fists up, {n}{pace}{side} punch{'' if plural == '' else 'es'}"
    if action == "clap":
        return f"hands meet at the chest, {n}{pace}clap{plural}"
    if action == "bow":
        trunk = joints[:, 12] - joints[:, 0]
        tilt = float(np.degrees(np.arccos(trunk[:, 1] / np.linalg.norm(trunk, axis=-1))).max())
        return f"trunk bends forward {round(tilt / 10) * 10} degrees" + _manner_of(pace)
    if action == "throw":
        return f"{side} arm back, then {n}throw{plural}"
    if action == "look":
        return f"head and chest turn {side}" + _manner_of(pace)
    if action == "lean":
        return f"trunk bends {side}{times}, {far} arm up" + _manner_of(pace)
    if action == "jack":
        return f"{n}{pace}jumping jack{plural}, arms up"
    if action == "circle":
        arms = "both arms" if side == "both" else f"{side} arm"
        return f"{arms}, {n}{pace}{segment.direction} circle{plural}"
    if action == "pick":
        return f"{side} hand down to the floor, hips {drop} down" + _manner_of(pace)
    raise ValueError(f"no statement for action {action!r}")


def _manner_of(pace: str) -> str:
    return {"": "", "slow ": ", slowly", "quick ": ", quickly"}[pace]


def thought(plan: Plan, joints: np.ndarray, spans: list[tuple[int, int]]) -> str:
    """The thought of a clip: start time and measured course of each action, the whole length and the final facing.

    Args:
        plan: The plan.
        joints: (T, 22, 3) in metres.
        spans: First frame of each action and the one after its last.

    Returns:
        The thought.
    """
    parts = []
    for segment, (start, end) in zip(plan.segments, spans, strict=True):
        parts.append(f"At {start / FPS:.1f} s {_statement(segment, joints[start : end + 1])}.")
    turned = float(hip_heading(joints)[-1] - hip_heading(joints)[0])
    facing = _DIRECTIONS[round(turned / (math.pi / 4)) % 8]
    seated = "seated, " if joints[-1, 0, 1] < 0.7 else ""
    length = (len(joints) - 1) / FPS
    return f"{_THOUGHT_MANNER[plan.manner]}{' '.join(parts)} End at {length:.1f} s, {seated}facing {facing}."
