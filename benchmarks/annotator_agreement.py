"""How often the kinematic annotator's statements are true, on real motion capture and on planned motion; its speed.

    python -m benchmarks.annotator_agreement --data_dir DIR [--split test] [--clips 300]
    python -m benchmarks.annotator_agreement --synthetic 1500

`DIR` holds `mocap_joints.npz` (joints, offsets, names) and `mocap_captions.jsonl` with a `content` label such as
"raise-up-left-hand" or "walk-turn-right". Only claims on something that the label states are counted: the side of a
raised or waved hand, the direction of travel, the side of a turn. A direction must be the label's and no other:
"forward and to the left" is wrong for walk-left; how many are right in part is told as well. A turn claimed where the
label has none is counted as a wrong claim. Claims are read from the finished text, clips go in as features, as they
come from a data set.

On synthetic clips the truth is the plan that they were animated from. Each event of the annotator's reading is
compared with the action that it coincides with: precision is the share of events of a kind that this action really
contains, then of the sides, counts, directions, angles that are stated with them; recall is the share of the planned
actions of which the annotator found the event that should tell them.
"""

import argparse
import json
import random
import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from datasets_scripts.sources.synthetic.generator import SPLITS, draw_clip
from datasets_scripts.sources.synthetic.motion import Plan, Segment
from datasets_scripts.thoughts.annotate.event_reader import read
from datasets_scripts.thoughts.annotate.event_words import direction
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
    Posture,
    Reach,
    Reading,
    Rise,
    Travel,
    Turn,
    Twist,
)
from datasets_scripts.thoughts.annotate.kinematic_annotator import KinematicAnnotator
from datasets_scripts.verify.kinematics import Span, measure
from modeling_unimo.motion_representation import joints_to_features

_HAND = re.compile(
    r"\b(both hands|the (left|right) hand)\b.*?\b(?:rise|rises|go|goes|move|moves|stay up|stays up|wave|waves)\b"
)
_TRAVEL = re.compile(r"\b(?:walks|runs|moves) ((?:forward|backward)?(?: and )?(?:to the (?:left|right))?)\s*about")
_TURN = re.compile(r"\babout [\d.]+ (?:degrees|full turns?) to the (left|right)\b")
_HANDS = {"left-hand": {"left"}, "right-hand": {"right"}, "both-hands": {"left", "right"}}
_TRAVELS = {
    "walk": "forward",
    "run": "forward",
    "dash": "forward",
    "walk-back": "backward",
    "walk-left": "to the left",
    "walk-right": "to the right",
}
# Labels whose motion has no turn by its name.
_NO_TURN = tuple(_TRAVELS)

# Planned actions that contain what an event states.
_ACTIONS: dict[str, frozenset[str]] = {
    "walk": frozenset({"walk", "walk_back", "curve", "sidestep"}),
    "run": frozenset({"run"}),
    "move": frozenset({"walk", "walk_back", "curve", "sidestep", "run"}),
    "turn": frozenset({"turn", "curve"}),
    "jump": frozenset({"jump"}),
    "jump forward": frozenset({"jump_forward"}),
    "jumping jack": frozenset({"jack"}),
    "hop": frozenset({"hop"}),
    "march": frozenset({"march"}),
    "kick": frozenset({"kick"}),
    "knee": frozenset({"knee"}),
    "wave": frozenset({"wave"}),
    # Whoever throws, bends to the side, boxes, claps or takes a seat lifts hands as well.
    "hand": frozenset({"raise", "wave", "throw", "lean", "punch", "clap", "jack", "circle", "pick", "kick", "squat"}),
    "thrust": frozenset({"punch"}),
    "reach": frozenset({"raise", "throw", "punch", "squat"}),
    "clap": frozenset({"clap"}),
    "circle": frozenset({"circle"}),
    "twist": frozenset({"look"}),
    "lean": frozenset({"lean", "kick"}),
    "bow": frozenset({"bow"}),
    "squatting": frozenset({"squat"}),
    "crouching": frozenset({"squat"}),
    "lunging": frozenset({"lunge"}),
    "reaching down": frozenset({"pick"}),
    "sitting": frozenset({"sit"}),
    "standing up": frozenset({"stand"}),
    "kneeling": frozenset(),
    "lying": frozenset(),
}
# The kinds of event that tell a planned action.
_TELLS: dict[str, frozenset[str]] = {
    "walk": frozenset({"walk", "move"}),
    "walk_back": frozenset({"walk", "move"}),
    "curve": frozenset({"turn"}),
    "sidestep": frozenset({"walk", "move"}),
    "run": frozenset({"run", "move"}),
    "turn": frozenset({"turn"}),
    "jump": frozenset({"jump"}),
    "jump_forward": frozenset({"jump forward"}),
    "jack": frozenset({"jumping jack"}),
    "hop": frozenset({"hop"}),
    "march": frozenset({"march"}),
    "kick": frozenset({"kick"}),
    "knee": frozenset({"knee"}),
    "wave": frozenset({"wave", "hand"}),
    "raise": frozenset({"hand", "reach"}),
    "punch": frozenset({"thrust"}),
    "throw": frozenset({"hand"}),
    "clap": frozenset({"clap"}),
    "circle": frozenset({"circle"}),
    "look": frozenset({"twist"}),
    "lean": frozenset({"lean"}),
    "bow": frozenset({"bow"}),
    "squat": frozenset({"squatting", "crouching"}),
    "lunge": frozenset({"lunging"}),
    "pick": frozenset({"reaching down"}),
    "sit": frozenset({"sitting"}),
    "stand": frozenset({"standing up"}),
}
# Which arms go up in an action with a side; in the others both may.
_ARM_OF_SIDE = frozenset({"raise", "wave", "circle", "pick"})
_OTHER = {"left": "right", "right": "left", "both": "both", "": ""}


def claims(thought: str, label: str, in_part: bool = False) -> list[tuple[str, bool]]:
    """The claims in a thought on which the label has something to say.

    Args:
        thought: Of the annotator.
        label: What the clip shows, such as "walk-left".
        in_part: A direction agrees as well that holds the label's besides another.

    Returns:
        (kind, agrees) of each claim; kinds are direction, turn and side.
    """
    found = []
    _, *sentences = thought.split(". ")
    hands = next((sides for name, sides in _HANDS.items() if label.endswith(name)), None)
    raised: set[str] = set()
    for sentence in sentences:
        if hands and (match := _HAND.search(sentence)):
            raised |= {match[2]} if match[2] else {"left", "right"}
        if label in _TRAVELS and (match := _TRAVEL.search(sentence)):
            ways = match[1].split(" and ")
            found.append(("direction", _TRAVELS[label] in ways if in_part else ways == [_TRAVELS[label]]))
        turns = _TURN.findall(sentence)
        if label.startswith("walk-turn-"):
            found.extend(("turn", side == label.removeprefix("walk-turn-")) for side in turns)
        elif hands or label in _NO_TURN:
            found.extend(("turn", False) for _ in turns)
    if hands and raised:
        found.append(("side", raised == hands))
    return found


# -- planned motion --------------------------------------------------------------------------------------------------


def _kind_of(event: Event) -> str:
    """What an event states, by the names of `_ACTIONS`."""
    match event:
        case Travel():
            return event.gait
        case Turn():
            return "turn"
        case HandRaise():
            return "wave" if event.waves else "hand"
        case Reach():
            return "thrust" if event.thrust else "reach"
        case Clap():
            return "clap"
        case Circle():
            return "circle"
        case Twist():
            return "twist"
        case Lean():
            return "lean"
        case Bow():
            return "bow"
        case Lowering():
            return event.pose
        case Rise():
            return "standing up"
        case LegRaise():
            return "kick" if event.kick else "knee"
        case March():
            return "march"
        case Jump():
            if event.spread:
                return "jumping jack"
            return "hop" if event.foot else "jump forward" if event.forward else "jump"


def judged(event: Event, plan: Plan, spans: list[tuple[int, int]]) -> list[tuple[str, bool]]:
    """Whether an event is true, and each attribute that is stated with it.

    Args:
        event: Of the annotator's reading.
        plan: What the motion was animated from.
        spans: [start, stop) in frames of each action of the plan.

    Returns:
        (kind, true), first of the event itself.
    """
    kind = _kind_of(event)
    # The end of one action and the start of the next share frames: a third of either must coincide.
    near = [
        segment
        for segment, (start, stop) in zip(plan.segments, spans, strict=True)
        if Span(start, stop).overlap(event.span) > 0.34 * min(len(event.span), stop - start)
    ]
    told = [segment for segment in near if segment.action in _ACTIONS[kind]]
    if not told:
        return [(kind, False)]
    return [(kind, True), *((f"{kind}: {name}", agrees) for name, agrees in _attributes(event, told))]


def _attributes(event: Event, told: list[Segment]) -> list[tuple[str, bool]]:
    sides = {segment.side for segment in told}
    counts = {segment.count for segment in told} | {sum(segment.count for segment in told)}
    match event:
        case Travel():
            ways = {
                "backward" if s.action == "walk_back" else f"to the {s.side}" if s.action == "sidestep" else "forward"
                for s in told
            }
            return [("direction", set(direction(event).split(" and ")) <= ways)]
        case Turn():
            side = "left" if event.angle > 0 else "right"
            angles = [s.angle for s in told if s.side == side]
            angles.append(sum(angles))
            close = any(abs(abs(event.angle) - angle) <= max(20.0, 0.12 * angle) for angle in angles)
            return [("side", side in sides), ("angle", close)]
        case HandRaise():
            arms = {s.side if s.action in _ARM_OF_SIDE else _OTHER[s.side] if s.action == "lean" else "" for s in told}
            named = event.sides[0] if len(event.sides) == 1 else "both"
            # Where both go up, what is said of one of them is true as well.
            found = [("side", bool(arms & {named, "both", ""}))]
            if event.waves:
                found.append(("count", min(abs(event.waves - count) for count in counts) <= 1))
            return found
        case Reach() if event.thrust:
            return [("side", event.side in sides), ("count", event.count in counts)]
        case Reach():
            # A thrower's other arm is put out first.
            return [("side", bool(sides & {event.side, "both", ""}) or any(s.action == "throw" for s in told))]
        case Clap() | March():
            return [("count", event.count in counts)]
        case Circle():
            ways = {s.direction for s in told}
            return [
                ("side", (event.sides[0] if len(event.sides) == 1 else "both") in sides),
                ("direction", ("backward" if event.backward else "forward") in ways),
                ("count", event.count in counts),
            ]
        case Twist():
            return [("side", event.side in sides)]
        case Lean():
            # Whoever kicks to a side leans to the other.
            away = {_OTHER[s.side] if s.action == "kick" else s.side for s in told}
            return [("side", event.side in away), ("count", event.count in counts)]
        case Lowering():
            found = [("count", event.count in (counts if max(counts) else {1}))]
            return [*found, ("side", event.side in sides)] if event.side else found
        case LegRaise():
            found = [("side", event.side in sides), ("count", event.count in counts)]
            if event.kick:
                ways = {{"front": "forward", "side": "to the side"}[s.direction] for s in told}
                found.append(("direction", event.direction in ways))
            return found
        case Jump():
            found = [("count", event.count in counts)]
            return [*found, ("side", event.foot in sides)] if event.foot else found
        case _:
            return []


def judged_postures(reading: Reading, plan: Plan) -> list[tuple[str, bool]]:
    """Whether the poses of the first and the last frame are those of the plan, seated or standing.

    Args:
        reading: Of the annotator.
        plan: What the motion was animated from.

    Returns:
        (kind, true) of the start and of the end.
    """
    seat = [s.action for s in plan.segments if s.action in ("sit", "stand")]
    seated = bool(seat) and seat[-1] == "sit"
    low = {"sitting", "squatting", "crouching", "kneeling", "lying"}
    return [
        ("posture at the start", reading.start.body not in low),
        ("posture at the end", reading.end.body == "sitting" if seated else reading.end.body not in low),
    ]


def found_by(segment: Segment, span: tuple[int, int], events: tuple[Event, ...]) -> bool:
    """Whether an event tells a planned action.

    Args:
        segment: The planned action.
        span: Its [start, stop) in frames.
        events: Of the annotator's reading.

    Returns:
        True where an event of a kind that tells it shares over a third of the shorter's frames.
    """
    return any(
        _kind_of(event) in _TELLS[segment.action]
        and event.span.overlap(Span(*span)) > 0.34 * min(len(event.span), span[1] - span[0])
        for event in events
    )


def _synthetic(clips: int, split: str, seed: int, examples: int) -> None:
    """Print precision and recall by kind on the first `clips` planned motions of a split, with wrong `examples`."""
    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    recalled: Counter[str] = Counter()
    planned: Counter[str] = Counter()
    shown: Counter[str] = Counter()
    for index in tqdm(range(clips), unit="clip"):
        rng = np.random.default_rng((seed, SPLITS.index(split), index))
        plan, motion = draw_clip(rng, split == "test_hard")
        reading = read(measure(motion.joints))
        facts: list[tuple[tuple[str, bool], Event | Posture]]
        facts = [(fact, event) for event in reading.events for fact in judged(event, plan, motion.spans)]
        facts += [(fact, reading.end) for fact in judged_postures(reading, plan)]
        for (kind, agrees), event in facts:
            total[kind] += 1
            right[kind] += agrees
            shown[kind] += not agrees
            if not agrees and shown[kind] <= examples:
                tqdm.write(f"{index} {kind}: {event}\n    {plan.manner} {plan.segments} {motion.spans}")
        for segment, span in zip(plan.segments, motion.spans, strict=True):
            if segment.action in _TELLS:
                planned[segment.action] += 1
                recalled[segment.action] += found_by(segment, span, reading.events)
    print("precision, by what is stated")
    for kind in sorted(total):
        print(f"  {kind:24s} {right[kind]}/{total[kind]} = {right[kind] / total[kind]:.3f}")
    print(f"  all {sum(right.values())}/{sum(total.values())} = {sum(right.values()) / sum(total.values()):.4f}")
    print("recall, by planned action")
    for action in sorted(planned):
        print(f"  {action:24s} {recalled[action]}/{planned[action]} = {recalled[action] / planned[action]:.3f}")
    print(f"  all {sum(recalled.values())}/{sum(planned.values())} = {recalled.total() / planned.total():.4f}")


# -- real motion -----------------------------------------------------------------------------------------------------


def _mocap(arguments: argparse.Namespace) -> None:
    """Print the agreement with the labels of motion capture, and the speed."""
    with np.load(arguments.data_dir / "mocap_joints.npz", allow_pickle=False) as archive:
        joints, offsets, names = archive["joints"], archive["offsets"], archive["names"].tolist()
    with open(arguments.data_dir / "mocap_captions.jsonl", encoding="utf-8") as lines:
        rows = {row["id"]: row for row in map(json.loads, lines)}
    chosen = [i for i, name in enumerate(names) if rows[name]["split"] == arguments.split]
    random.Random(arguments.seed).shuffle(chosen)
    chosen = chosen[: arguments.clips]
    features = [joints_to_features(joints[offsets[i] : offsets[i + 1]]) for i in chosen]
    labels = [rows[names[i]]["content"] for i in chosen]
    captions = [rows[names[i]]["captions"][0] for i in chosen]
    thoughts = KinematicAnnotator(arguments.seed).annotate(features, captions)

    right: Counter[str] = Counter()
    total: Counter[str] = Counter()
    silent = in_part = 0
    for label, index, thought in zip(labels, chosen, thoughts, strict=True):
        found = claims(thought, label)
        named = label in _TRAVELS or label.startswith("walk-turn-") or any(label.endswith(name) for name in _HANDS)
        silent += named and not found
        in_part += sum(agrees for _, agrees in claims(thought, label, in_part=True))
        for kind, agrees in found:
            total[kind] += 1
            right[kind] += agrees
            if not agrees:
                print(f"disagrees ({kind}): {names[index]}: {thought}")
    for kind in sorted(total):
        print(f"{kind:10s} {right[kind]}/{total[kind]} = {right[kind] / total[kind]:.3f}")
    both = sum(right.values()), sum(total.values())
    print(f"all claims {both[0]}/{both[1]} = {both[0] / max(1, both[1]):.3f} on {len(chosen)} clips; ", end="")
    print(f"labelled clips without any such claim: {silent}")
    share = in_part / max(1, both[1])
    print(f"counting directions as right that hold the label's besides another: {in_part}/{both[1]} = {share:.3f}")
    words = [len(thought.split()) for thought in thoughts]
    print(f"words per thought: {min(words)} to {max(words)}, mean {np.mean(words):.1f}")

    # Speed on clips of 6 seconds: the motions repeated to 120 frames.
    clips = [np.resize(motion, (120, motion.shape[1])) for motion in features]
    annotator = KinematicAnnotator(arguments.seed)
    seconds = []
    for _ in range(3):
        start = time.process_time()
        annotator.annotate(clips)
        seconds.append(time.process_time() - start)
    print(f"{len(clips) / min(seconds):.0f} clips of 6 seconds a second of one core (features in, thoughts out)")


def main(argv: Sequence[str] | None = None) -> None:
    """Measure on motion capture or on planned motion, and print.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--data_dir", type=Path)
    source.add_argument("--synthetic", type=int, metavar="N", help="measure on N planned motions instead")
    parser.add_argument("--split", default="test")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--examples", type=int, default=0, help="wrong events of each kind to show")
    arguments = parser.parse_args(argv)
    if arguments.synthetic is None:
        _mocap(arguments)
    elif arguments.synthetic < 1:
        raise SystemExit(f"error: --synthetic needs at least one clip, got {arguments.synthetic}")
    elif arguments.split not in SPLITS[:4]:
        raise SystemExit(f"error: --split {arguments.split}: planned motion has {', '.join(SPLITS[:4])}")
    else:
        _synthetic(arguments.synthetic, arguments.split, arguments.seed, arguments.examples)


if __name__ == "__main__":
    main()
