"""What both styles of the kinematic annotator say alike: which events come first, and in which direction one goes."""

from collections.abc import Sequence

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
    Rise,
    Travel,
    Turn,
    Twist,
)

# Under this share of sideways in a travel's direction (tangent of the angle) it is straight on; a few steps sway more.
_STRAIGHT, _STRAIGHT_SHORT, _SHORT_TRAVEL = 0.28, 0.45, 1.0
_SIDEWAYS = 2.4


def with_turns(events: Sequence[Event]) -> list[tuple[Event, list[Turn]]]:
    """Events with the turns that happen on the way; a turn with nowhere to go stands alone.

    Args:
        events: In order of time.

    Returns:
        Each event that a text tells, with its turns.
    """
    travels = [event for event in events if isinstance(event, Travel)]
    turns: dict[int, list[Turn]] = {}
    alone: set[int] = set()
    for turn in (event for event in events if isinstance(event, Turn)):
        host = next((t for t in travels if turn.span.overlap(t.span) > 0.5 * len(turn.span)), None)
        if host is None:
            alone.add(id(turn))
        else:
            turns.setdefault(id(host), []).append(turn)
    return [(event, turns.get(id(event), [])) for event in events if not isinstance(event, Turn) or id(event) in alone]


def direction(event: Travel) -> str:
    """The direction of travel in the body's own terms: forward, to the left, backward and to the right, ...

    Args:
        event: Travel over the ground.

    Returns:
        A phrase.
    """
    ahead, aside = abs(event.forward), abs(event.left)
    along = "forward" if event.forward > 0 else "backward"
    side = f"to the {'left' if event.left > 0 else 'right'}"
    if aside < (_STRAIGHT if event.distance > _SHORT_TRAVEL else _STRAIGHT_SHORT) * ahead:
        return along
    return side if aside > _SIDEWAYS * ahead else f"{along} and {side}"


def salience(event: Event) -> float:
    """How much an event tells of a motion: where words run out, the most telling ones stay.

    Args:
        event: Of any kind.

    Returns:
        Larger for what is more telling.
    """
    match event:
        case Travel():
            return 2.0 + event.distance
        case Turn():
            return 1.0 + abs(event.angle) / 45.0
        case HandRaise():
            return 2.0 + len(event.sides) + 0.3 * event.waves
        case Jump():
            return 4.0
        case Lowering():
            return 2.0 + 4.0 * (1.0 - event.share)
        case Bow():
            return 1.0 + event.angle / 30.0
        case LegRaise() | March() | Clap() | Circle():
            return 3.0
        case Twist() | Lean() | Rise():
            return 2.0
        case Reach():
            return 3.0 if event.thrust else 1.5


def half(value: float) -> float:
    """To the nearest half.

    Args:
        value: A number.

    Returns:
        The nearest multiple of 0.5.
    """
    return round(2.0 * value) / 2.0
