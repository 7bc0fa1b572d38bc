"""Captions that say what for and not how: which movement serves a goal is left to whoever does it.

"A person greets somebody, then gets past something on the floor" is done by who waves and then jumps forward, and as
well by who bows and then steps aside. No side, count, direction or speed is told. `readings` gives all movements that
a caption admits, as sentences that `datasets_scripts.verify` can check.
"""

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

MOST_GOALS = 3  # of a caption


@dataclass(frozen=True)
class Goal:
    """Something that several movements serve.

    Attributes:
        clauses: ways to tell it, which name none of them.
        actions: the movements that serve it, by their names in `generator.CHOICES`.
    """

    clauses: tuple[str, ...]
    actions: tuple[str, ...]


GOALS = (
    Goal(("greets somebody", "says hello to somebody", "welcomes a guest"), ("wave", "bow")),
    Goal(
        ("gets past something on the floor", "avoids what lies on the floor"),
        ("jump_forward", "sidestep", "curve"),
    ),
    Goal(("goes somewhere else", "gets to the other end of the room"), ("walk", "run", "jump_forward")),
    Goal(("makes room for somebody", "gets out of the way"), ("sidestep", "walk_back")),
    Goal(("checks who is behind", "makes sure that nobody is there"), ("turn", "look")),
    Goal(("fends somebody off", "defends against an attacker"), ("punch", "kick")),
    Goal(("warms up", "gets ready for sports"), ("march", "jack", "squat", "knee", "lunge", "circle")),
    Goal(("loosens the shoulders", "makes the arms less stiff"), ("circle", "raise")),
    Goal(("praises somebody", "shows great joy"), ("clap", "jump", "raise")),
    Goal(("gets a thing from below", "looks for something under the table"), ("pick", "squat")),
    Goal(("draws attention from far away", "signals to somebody"), ("wave", "raise", "clap", "jack")),
    Goal(("keeps warm on the spot", "tests the strength of the legs"), ("march", "jump", "hop", "squat", "jack")),
)
# What is checked of a movement: that it is done, however often and on whichever side.
READINGS = {
    "wave": ("waves",),
    "bow": ("bows",),
    "jump_forward": ("jumps forward",),
    "sidestep": ("steps sideways",),
    "curve": ("walks in a curve",),
    "walk": ("walks forward",),
    "run": ("runs",),
    "walk_back": ("walks backward",),
    "turn": ("turns",),
    "look": ("looks to the left", "looks to the right"),
    "punch": ("punches",),
    "kick": ("kicks",),
    "march": ("marches in place",),
    "jack": ("does jumping jacks",),
    "squat": ("squats",),
    "knee": ("raises a knee",),
    "lunge": ("lunges",),
    "circle": ("circles an arm", "circles both arms"),
    "raise": ("raises an arm", "raises both arms"),
    "clap": ("claps",),
    "jump": ("jumps",),
    "pick": ("picks something up",),
    "hop": ("hops on one foot",),
}
_SUBJECTS = ("a person", "someone", "the person", "a man", "a woman")
_JOINTS = (", then ", " and then ", ", and after that ")
_OF_CLAUSE = {clause: goal for goal in GOALS for clause in goal.clauses}
_CLAUSE = "|".join(sorted(map(re.escape, _OF_CLAUSE), key=len, reverse=True))
_TEXT = re.compile(rf"(?:{'|'.join(_SUBJECTS)}) (?P<clauses>(?:{_CLAUSE})(?:(?:{'|'.join(_JOINTS)})(?:{_CLAUSE}))*)\.")


def captions(goals: Sequence[Goal], rng: np.random.Generator, count: int = 4) -> list[str]:
    """Different captions that tell goals one after the other.

    Args:
        goals: One to `MOST_GOALS` of them.
        rng: Of the wordings.
        count: How many captions.

    Returns:
        The captions.
    """
    made: dict[str, None] = {}
    while len(made) < count:
        clauses = [goal.clauses[int(rng.integers(len(goal.clauses)))] for goal in goals]
        subject, joint = _SUBJECTS[int(rng.integers(len(_SUBJECTS)))], _JOINTS[int(rng.integers(len(_JOINTS)))]
        made[f"{subject} {joint.join(clauses)}."] = None
    return list(made)


def goals_of(caption: str) -> list[Goal]:
    """The goals that a caption tells, in its order.

    Args:
        caption: As `captions` writes it.

    Returns:
        The goals.

    Raises:
        ValueError: The caption is of another form.
    """
    whole = _TEXT.fullmatch(caption.strip().lower())
    if whole is None:
        raise ValueError(f"captions of the split test_vague tell goals, as generated ones do; got {caption!r}")
    return [_OF_CLAUSE[clause] for clause in re.findall(_CLAUSE, whole["clauses"])]


def readings_of_goals(goals: Sequence[Goal]) -> list[list[str]]:
    """What serves each goal, as clauses of a sentence.

    Args:
        goals: The goals.

    Returns:
        A list of clauses for each goal.
    """
    return [[clause for action in goal.actions for clause in READINGS[action]] for goal in goals]


def sentences(clauses: Sequence[Sequence[str]]) -> list[str]:
    """Every way to take one clause of each goal, as sentences that tell them in this order.

    Args:
        clauses: Clauses of each goal.

    Returns:
        The sentences; none where a goal has no clause.
    """
    return [f"a person {', then '.join(several)}." for several in itertools.product(*clauses)]
