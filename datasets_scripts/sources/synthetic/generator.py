"""The embedded dataset: seeded synthetic clips with captions and thoughts, made on the spot.

Splits: train, validation and test share one distribution; `test_hard` has longer sequences, combinations of action,
side, count and manner that no other split contains, and captions that leave out what can be worked out;
`test_attributes` has pools of eight clips that differ in one attribute only. On request there is `test_vague`, whose
captions tell goals and leave the movement open, and one such caption for each training clip that serves goals.
"""

import itertools
import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

import numpy as np

from datasets_scripts.captions import tokenize_caption
from datasets_scripts.schema import Caption, Clip
from datasets_scripts.sources.synthetic import goals
from datasets_scripts.sources.synthetic.language import MIRRORED_ACTIONS, captions, mirrored, relation, thought
from datasets_scripts.sources.synthetic.motion import FPS, MANNERS, SPEEDS, Motion, Plan, Segment, animate
from datasets_scripts.sources.synthetic.retelling import retellings

LANGUAGES = ("plain", "wide")  # wide: further captions in the forms that people use
RETELLINGS = 3  # of each clip in wide language, beside its five or so captions
SPLITS = ("train", "validation", "test", "test_hard", "test_attributes")
ATTRIBUTES = ("side", "count", "direction", "speed", "angle")
POOL_SIZE = 8
VAGUE = "test_vague"
_VAGUE_STREAM = len(SPLITS) + 1  # of draws; len(SPLITS) itself is that of `new_captions`

_SIDES = ("left", "right")
_WITH_BOTH = ("left", "right", "both")


@dataclass(frozen=True)
class _Choice:
    """What may vary in an action, and how often the action is drawn."""

    weight: float
    sides: tuple[str, ...] = ("",)
    counts: tuple[int, ...] = (0,)
    paced: bool = True
    directions: tuple[str, ...] = ("",)
    angles: tuple[int, ...] = (0,)
    sizes: tuple[str, ...] = ("",)
    seated: bool = False  # can also be done on a seat


CHOICES: dict[str, _Choice] = {
    "walk": _Choice(2.2, counts=(3, 4, 5, 6, 7)),
    "walk_back": _Choice(1.2, counts=(3, 4, 5)),
    "run": _Choice(1.2, counts=(4, 5, 6, 7), paced=False),
    "curve": _Choice(1.2, sides=_SIDES, angles=(90, 180)),
    "sidestep": _Choice(1.0, sides=_SIDES, counts=(1, 2, 3, 4)),
    "turn": _Choice(1.8, sides=_SIDES, angles=(45, 90, 180, 360)),
    "jump": _Choice(1.2, counts=(1, 2, 3), paced=False, sizes=("small", "", "large")),
    "jump_forward": _Choice(0.8, counts=(1, 2, 3), paced=False),
    "hop": _Choice(0.8, sides=_SIDES, counts=(1, 2, 3, 4), paced=False),
    "march": _Choice(0.8, counts=(3, 4, 5, 6)),
    "knee": _Choice(0.8, sides=_SIDES, counts=(1, 2, 3)),
    "kick": _Choice(1.6, sides=_SIDES, counts=(1, 2, 3), directions=("front", "side"), sizes=("small", "", "large")),
    "lunge": _Choice(0.8, sides=_SIDES, counts=(1, 2)),
    "squat": _Choice(1.0, counts=(1, 2, 3), sizes=("small", "", "large")),
    "sit": _Choice(1.0),
    "stand": _Choice(4.0),
    "wave": _Choice(1.5, sides=_WITH_BOTH, counts=(2, 3, 4), seated=True),
    "raise": _Choice(1.5, sides=_WITH_BOTH, directions=("front", "side", "up"), seated=True),
    "punch": _Choice(1.4, sides=_SIDES, counts=(1, 2, 3, 4)),
    "clap": _Choice(1.0, counts=(2, 3, 4), seated=True),
    "bow": _Choice(0.9, sizes=("small", "", "large")),
    "throw": _Choice(1.0, sides=_SIDES, counts=(1, 2), paced=False),
    "look": _Choice(0.8, sides=_SIDES, seated=True),
    "lean": _Choice(0.8, sides=_SIDES, counts=(1, 2)),
    "jack": _Choice(0.8, counts=(2, 3, 4)),
    "circle": _Choice(1.0, sides=_WITH_BOTH, counts=(1, 2), directions=("forward", "backward")),
    "pick": _Choice(0.8, sides=_SIDES),
}
_STANDING = tuple(action for action in CHOICES if action != "stand")
_SEATED = tuple(action for action, choice in CHOICES.items() if choice.seated or action == "stand")
_ORDER = {action: index for index, action in enumerate(CHOICES)}


def held_out(segment: Segment, manner: str) -> bool:
    """Whether this combination of action, side, count and manner is kept for `test_hard` (one in nine, by rule).

    Only actions with a side or a count take part, and a side alone only together with a manner: otherwise a rule on
    "turns to the right" would take most right turns out of training.

    Args:
        segment: The action.
        manner: How it is done, such as "slowly".

    Returns:
        Whether it is.
    """
    if not segment.count and not (segment.side and manner):
        return False
    side = ("", "left", "right", "both").index(segment.side)
    key = ((_ORDER[segment.action] * 4 + side) * 16 + segment.count) * 4 + MANNERS.index(manner)
    # Multiplicative hashing scatters the choice over all four coordinates, the same on every machine.
    return (key * 2654435761 % 2**32 >> 12) % 9 == 4


def _pick(rng: np.random.Generator, values: tuple):
    return values[int(rng.integers(len(values)))] if len(values) > 1 else values[0]


def _weights(actions: tuple[str, ...]) -> np.ndarray:
    weights = np.array([CHOICES[action].weight for action in actions])
    return np.cumsum(weights / weights.sum())


_CUMULATIVE = {actions: _weights(actions) for actions in (_STANDING, _SEATED)}


def _draw_segment(rng: np.random.Generator, actions: tuple[str, ...]) -> Segment:
    return _draw_details(rng, actions[int(np.searchsorted(_CUMULATIVE[actions], rng.random()))])


def _draw_details(rng: np.random.Generator, action: str) -> Segment:
    choice = CHOICES[action]
    speed = "normal"
    if choice.paced:
        draw = rng.random()
        speed = "slow" if draw < 0.2 else "fast" if draw < 0.4 else "normal"
    return Segment(
        action,
        _pick(rng, choice.sides),
        _pick(rng, choice.counts),
        speed,
        _pick(rng, choice.directions),
        _pick(rng, choice.angles),
        _pick(rng, choice.sizes),
    )


def _draw_segments(rng: np.random.Generator, count: int, manner: str, hard: bool) -> list[Segment]:
    """`count` actions that can follow one another: nobody walks seated, nobody repeats an action unchanged."""
    segments: list[Segment] = []
    seated = False
    while len(segments) < count:
        related = rng.random() < (0.5 if hard else 0.14)
        segment = _related(rng, segments, seated) if related and segments else None
        if segment is None:
            segment = _draw_segment(rng, _SEATED if seated else _STANDING)
            if segments and segment.action == segments[-1].action:
                continue
        if not hard and held_out(segment, manner):
            continue
        segments.append(segment)
        seated = segment.action == "sit" or (seated and segment.action != "stand")
    return segments


def _related(rng: np.random.Generator, segments: list[Segment], seated: bool) -> Segment | None:
    """An action that a caption can tell by the one before: its mirror image, the way back, or the same count."""
    last = segments[-1]
    first_of_pair = len(segments) < 2 or segments[-2].action != last.action
    if last.action in MIRRORED_ACTIONS and last.side in _SIDES and first_of_pair:
        return mirrored(last)
    if last.action == "walk":
        return Segment("turn", _pick(rng, _SIDES), 0, "normal", "", 180)
    if len(segments) >= 2 and (last.action, last.angle) == ("turn", 180) and segments[-2].action == "walk":
        return segments[-2]
    if last.count >= 2:
        segment = replace(_draw_segment(rng, _SEATED if seated else _STANDING), speed="normal")
        if segment.action != last.action and last.count in CHOICES[segment.action].counts:
            return replace(segment, count=last.count)
    return None


def _draw_plan(rng: np.random.Generator, hard: bool) -> Plan:
    manner = "" if rng.random() < 0.6 else MANNERS[1 + int(rng.integers(3))]
    if hard:
        count = 4 if rng.random() < 0.5 else 5
    else:
        count = 1 + int(np.searchsorted((0.30, 0.74, 0.97), rng.random()))
    return _timed(rng, _draw_segments(rng, count, manner, hard), manner)


def _timed(rng: np.random.Generator, segments: list[Segment], manner: str) -> Plan:
    """A plan of actions with drawn pauses and sizes of movement."""
    return Plan(
        tuple(segments),
        manner,
        lead=1 + int(rng.integers(2)),
        gaps=tuple(int(gap) for gap in rng.integers(0, 2, len(segments) - 1)),
        tail=1 + int(rng.integers(2)),
        amplitude=float(rng.uniform(0.93, 1.07)),
        sway_phase=float(rng.uniform(0.0, 2 * np.pi)),
    )


def _acceptable_hard(plan: Plan) -> bool:
    novel = sum(held_out(segment, plan.manner) for segment in plan.segments)
    return novel >= 1 and any(relation(plan, index) for index in range(len(plan.segments)))


def draw_clip(rng: np.random.Generator, hard: bool = False) -> tuple[Plan, Motion]:
    """Draw a plan and animate it; actions that do not fit into 9.8 s are dropped from the end (hard: drawn anew).

    Args:
        rng: Source of the draws.
        hard: Draw a clip of `test_hard`.

    Returns:
        The plan and its motion.
    """
    while True:
        plan = _draw_plan(rng, hard)
        if hard:
            if _acceptable_hard(plan):
                motion = animate(plan)
                if motion is not None:
                    return plan, motion
            continue
        while plan.segments:
            motion = animate(plan)
            if motion is not None:
                return plan, motion
            plan = replace(plan, segments=plan.segments[:-1])


def draw_goals(rng: np.random.Generator) -> tuple[list[goals.Goal], Plan, Motion]:
    """Draw goals and one of the motions that serve them.

    Args:
        rng: Of all draws.

    Returns:
        One to `goals.MOST_GOALS` goals, the plan of the motion, and the motion.
    """
    while True:
        count = 1 + int(np.searchsorted((0.3, 0.8), rng.random()))
        drawn = [goals.GOALS[place] for place in rng.permutation(len(goals.GOALS))[:count].tolist()]
        segments = [_draw_details(rng, _pick(rng, goal.actions)) for goal in drawn]
        repeated = any(one.action == other.action for one, other in itertools.pairwise(segments))
        if repeated or any(held_out(segment, "") for segment in segments):
            continue
        plan = _timed(rng, segments, "")
        motion = animate(plan)
        if motion is not None:
            return drawn, plan, motion


def _goal_captions(rng: np.random.Generator, plan: Plan) -> list[str]:
    """A caption that tells what a plan may be for, or none where one of its actions serves no goal."""
    served = [[goal for goal in goals.GOALS if segment.action in goal.actions] for segment in plan.segments]
    if len(served) > goals.MOST_GOALS or not all(served):
        return []
    return goals.captions([several[int(rng.integers(len(several)))] for several in served], rng, count=1)


def _clip(name: str, split: str, plan: Plan, motion: Motion, texts: list[str]) -> Clip:
    from modeling_unimo.motion_representation import joints_to_features

    reasoning = thought(plan, motion.joints, motion.spans)
    features = np.asarray(joints_to_features(motion.joints), dtype=np.float32)
    rows = [Caption(text=text, tokens=tokenize_caption(text), start=0.0, end=0.0, thought=reasoning) for text in texts]
    return Clip(id=name, features=features, captions=rows, split=split, source="synthetic", fps=FPS)


def _values(attribute: str, action: str) -> tuple:
    """The values that one attribute takes in an action."""
    choice = CHOICES[action]
    return {
        "side": choice.sides,
        "count": choice.counts,
        "direction": choice.directions,
        "speed": SPEEDS if choice.paced else ("normal",),
        "angle": choice.angles,
    }[attribute]


def _pool_actions(rng: np.random.Generator, attribute: str) -> list[str]:
    """Two or three actions whose values of one attribute give at least eight different sequences."""
    able = [action for action in _STANDING if action != "sit" and len(_values(attribute, action)) > 1]
    if attribute == "angle":
        able.append("turn")
    elif attribute == "direction":
        able.append("raise")
    while True:
        chosen = [str(action) for action in rng.permutation(able)[: 2 + int(rng.integers(2))]]
        if math.prod(len(_values(attribute, action)) for action in chosen) >= POOL_SIZE:
            return chosen


def draw_pool(rng: np.random.Generator, attribute: str) -> list[tuple[Plan, Motion]]:
    """Eight clips of one sequence of actions that differ in the values of `attribute` and in nothing else.

    Args:
        rng: Source of the draws.
        attribute: What differs between the clips.

    Returns:
        Plan and motion of each clip.
    """
    while True:
        base = _draw_plan(rng, hard=False)
        segments = []
        for action in _pool_actions(rng, attribute):
            choice = CHOICES[action]
            count = min(choice.counts) if attribute != "count" else 0
            segments.append(
                Segment(
                    action,
                    _pick(rng, choice.sides),
                    count,
                    "normal",
                    _pick(rng, choice.directions),
                    _pick(rng, choice.angles[:2]),
                    "",
                )
            )
        combinations = list(itertools.product(*(_values(attribute, segment.action) for segment in segments)))
        members: list[tuple[Plan, Motion]] = []
        for index in rng.permutation(len(combinations)):
            varied = tuple(
                replace(segment, **{attribute: value})
                for segment, value in zip(segments, combinations[int(index)], strict=True)
            )
            if any(held_out(segment, base.manner) for segment in varied):
                continue
            plan = replace(base, segments=varied, gaps=(0,) * (len(varied) - 1))
            motion = animate(plan)
            if motion is not None:
                members.append((plan, motion))
            if len(members) == POOL_SIZE:
                return members


def new_captions(count: int, seed: int, avoid: Collection[str] = ()) -> list[str]:
    """Different captions of the kind of `test_hard`, from a stream of draws that no split has.

    Args:
        count: how many are wanted.
        seed: of the draws.
        avoid: captions that must not come out, such as those of a dataset's splits.

    Returns:
        The captions.
    """
    made: dict[str, None] = {}
    index = 0
    while len(made) < count:
        rng = np.random.default_rng((seed, len(SPLITS), index))
        plan, _ = draw_clip(rng, hard=True)
        text = captions(plan, rng, related=1.0)[0]
        if text not in avoid:
            made[text] = None
        index += 1
    return list(made)


def iter_clips(
    train: int = 3600,
    validation: int = 200,
    test: int = 1100,
    hard: int = 400,
    attribute_pools: int = 40,
    seed: int = 0,
    language: str = "plain",
    vague: int = 0,
) -> Iterator[Clip]:
    """Yield the clips of every split in order; each depends only on (seed, split, index), the language and `vague`.

    Args:
        train, validation, test, hard: Number of clips.
        attribute_pools: Number of pools of `POOL_SIZE` clips.
        seed: Of all draws.
        language: "plain", or "wide" for `RETELLINGS` more captions of each clip of the first three splits, in the
            forms in which people write.
        vague: Number of clips of `VAGUE`. With any, clips of the first two splits whose actions all serve goals have
            one more caption, which tells goals: a model cannot know the words from elsewhere.

    Yields:
        The clips; motions and the captions before those of "wide" are the same in both languages.

    Raises:
        ValueError: A count or the seed is negative, or an unknown language.
    """
    if language not in LANGUAGES:
        raise ValueError(f"synthetic data: language must be one of {', '.join(LANGUAGES)}, got {language!r}")
    sizes = dict(zip(SPLITS, (train, validation, test, hard, attribute_pools), strict=True))
    for name, value in {**sizes, VAGUE: vague, "seed": seed}.items():
        if value < 0:
            raise ValueError(f"synthetic data: {name} must not be negative, got {value}")
    for number, split in enumerate(SPLITS):
        for index in range(sizes[split]):
            rng = np.random.default_rng((seed, number, index))
            if split == "test_attributes":
                attribute = ATTRIBUTES[index % len(ATTRIBUTES)]
                for member, (plan, motion) in enumerate(draw_pool(rng, attribute)):
                    texts = captions(plan, rng, related=0.0, detailed_only=True)
                    yield _clip(f"pool-{index:04d}-{member:02d}", split, plan, motion, texts)
                continue
            is_hard = split == "test_hard"
            plan, motion = draw_clip(rng, is_hard)
            texts = captions(plan, rng, related=1.0 if is_hard else 0.5)
            if is_hard:
                texts = texts[:4]
            elif language == "wide":
                texts = [*texts, *retellings(plan, rng, RETELLINGS, texts)]
            if vague and split in ("train", "validation"):
                texts = [*texts, *_goal_captions(np.random.default_rng((seed, _VAGUE_STREAM, number, index)), plan)]
            yield _clip(f"{split}-{index:05d}", split, plan, motion, texts)
    for index in range(vague):
        rng = np.random.default_rng((seed, _VAGUE_STREAM, index))
        drawn, plan, motion = draw_goals(rng)
        yield _clip(f"{VAGUE}-{index:05d}", VAGUE, plan, motion, goals.captions(drawn, rng))
