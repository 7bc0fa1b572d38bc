"""Thoughts as plans: the events of a motion as clauses of one fixed form each, time first, then act, then amount.

`at 0.5 s left hand rises to the head, waves 3 times; from 2 to 4.5 s walks forward 3 m, turning left 90 degrees.`
No subject, no poses and no wordings to choose from: what is left is what a motion has to be written by.
"""

from datasets_scripts.thoughts.annotate.event_words import direction, half, salience, with_turns
from datasets_scripts.thoughts.annotate.events import (
    Bow,
    Circle,
    Clap,
    Event,
    HandRaise,
    Jump,
    Lean,
    LegRaise,
    Lowering,
    March,
    Reach,
    Reading,
    Rise,
    Travel,
    Turn,
    Twist,
)

_ACTS = {
    "crouching": "crouches",
    "squatting": "squats",
    "sitting": "sits down",
    "kneeling": "kneels down",
    "lying": "lies down",
}
_GAITS = {"walk": "walks", "run": "runs", "move": "moves"}


def write_plan(reading: Reading, most_words: int) -> str:
    """The events of a reading in order of time, the most telling ones where not all fit into `most_words`.

    A plan has at least one clause: of a motion without events, its posture and duration.

    Args:
        reading: What was found in a motion.
        most_words: The longest plan, in words.

    Returns:
        The plan.
    """
    groups = with_turns(reading.events)
    clauses: dict[int, str] = {}
    room = most_words
    for place in sorted(range(len(groups)), key=lambda i: (-salience(groups[i][0]), i)):
        event, turns = groups[place]
        clause = f"{_when(reading, event)} {_act(event, turns)}"
        words = len(clause.split())
        if words <= room or not clauses:
            clauses[place] = clause
            room -= words
    if not clauses:
        return f"{_body(reading.start.body)} still for {half(reading.duration):g} s."
    return "; ".join(clauses[place] for place in sorted(clauses)) + "."


def _when(reading: Reading, event: Event) -> str:
    first, last = (half(reading.seconds(frame)) for frame in (event.span.start, event.span.stop))
    if isinstance(event, Travel) and last - first >= 0.5:
        return f"from {first:g} to {last:g} s"
    return f"at {first:g} s"


def _act(event: Event, turns: list[Turn]) -> str:
    match event:
        case Travel():
            text = f"{_GAITS[event.gait]} {direction(event)} {_metres(event.distance)}"
            biggest = sorted(sorted(turns, key=lambda turn: -abs(turn.angle))[:2], key=lambda turn: turn.span.start)
            return text + "".join(f", turning {_angle(turn)}" for turn in biggest)
        case Turn():
            return f"turns {_angle(event)}"
        case HandRaise():
            both = len(event.sides) == 2
            hands = "hands" if both else f"{event.sides[0]} hand"
            level = event.levels[0]
            height = level if level == "above the head" else f"to {level}"
            if event.rises:
                acts = [f"{'rise' if both else 'rises'} {height}{_times(event.count)}"]
            else:
                acts = [f"{'stay' if both else 'stays'} {level if level == 'above the head' else f'at {level}'}"]
            if event.waves:
                acts.append(f"{'wave' if both else 'waves'} {event.waves} times")
            return f"{hands} {', '.join(acts)}"
        case Reach():
            return f"{event.side} hand {'punches' if event.thrust else 'reaches'} forward{_times(event.count)}"
        case Clap():
            return f"claps{_times(event.count)}"
        case Circle():
            arms = "arms circle" if len(event.sides) == 2 else f"{event.sides[0]} arm circles"
            return f"{arms} {'backward' if event.backward else 'forward'}{_times(event.count)}"
        case Twist():
            return f"upper body turns to the {event.side}"
        case Lean():
            return f"leans to the {event.side} {_degrees(event.angle)}{_times(event.count)}"
        case Bow():
            return f"bends forward {_degrees(event.angle)}"
        case Lowering():
            return f"{_lowering(event)}{_times(event.count)}"
        case Rise():
            return "stands up"
        case LegRaise():
            if event.kick:
                return f"{event.side} leg kicks {event.direction}{_times(event.count)}"
            return f"{event.side} knee lifts to {event.level}{_times(event.count)}"
        case March():
            return f"{event.count} steps in place"
        case Jump():
            return _jump(event)


def _lowering(event: Lowering) -> str:
    if event.pose == "lunging":
        return f"lunges with the {event.side} leg"
    if event.pose == "reaching down":
        return f"reaches to the floor with {'both hands' if event.side == 'both' else f'the {event.side} hand'}"
    return _ACTS[event.pose]


def _jump(event: Jump) -> str:
    if event.spread:
        return f"{event.count} jumping jack{'s' if event.count > 1 else ''}"
    if event.foot:
        return f"hops on the {event.foot} foot{_times(event.count)}"
    way = f" forward {_metres(event.forward)}" if event.forward else ""
    return f"jumps{way}{_times(event.count)}"


def _body(body: str) -> str:
    return "standing" if body == "upright" else f"standing {body}" if body.startswith("with") else body


def _times(count: int) -> str:
    return f" {count} times" if count > 1 else ""


def _metres(value: float) -> str:
    return f"{max(0.5, half(value)):g} m"


def _degrees(value: float) -> str:
    return f"{max(5, 5 * round(value / 5))} degrees"


def _angle(turn: Turn) -> str:
    side, turns = "left" if turn.angle > 0 else "right", abs(turn.angle) / 360.0
    if turns > 0.92:
        return f"{side} {half(turns):g} full turn{'s' if half(turns) != 1 else ''}"
    return f"{side} {15 * round(abs(turn.angle) / 15)} degrees"
