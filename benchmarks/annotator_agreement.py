"""How often the kinematic annotator's statements agree with the labels of real motion capture, and how fast it is.

    python benchmarks/annotator_agreement.py --data_dir DIR [--split test] [--clips 300]

`DIR` holds `mocap_joints.npz` (joints, offsets, names) and `mocap_captions.jsonl` with a `content` label such as
"raise-up-left-hand" or "walk-turn-right". Only claims on something that the label states are counted: the side of a
raised or waved hand, the direction of travel, the side of a turn. A turn claimed where the label has none is counted
as a wrong claim. Claims are read from the finished text, clips go in as features, as they come from a data set.
"""

import argparse
import json
import random
import re
import time
from collections import Counter
from pathlib import Path

import numpy as np

from datasets_scripts.cot.kinematic_annotator import KinematicAnnotator
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


def claims(thought: str, label: str) -> list[tuple[str, bool]]:
    """(kind, agrees) of each claim in `thought` on which `label` has something to say."""
    found = []
    _, *sentences = thought.split(". ")
    hands = next((sides for name, sides in _HANDS.items() if label.endswith(name)), None)
    raised: set[str] = set()
    for sentence in sentences:
        if hands and (match := _HAND.search(sentence)):
            raised |= {match[2]} if match[2] else {"left", "right"}
        if label in _TRAVELS and (match := _TRAVEL.search(sentence)):
            found.append(("direction", _TRAVELS[label] in match[1]))
        turns = _TURN.findall(sentence)
        if label.startswith("walk-turn-"):
            found.extend(("turn", side == label.removeprefix("walk-turn-")) for side in turns)
        elif hands or label in _NO_TURN:
            found.extend(("turn", False) for _ in turns)
    if hands and raised:
        found.append(("side", raised == hands))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data_dir", type=Path, required=True)
    parser.add_argument("--split", default="test")
    parser.add_argument("--clips", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

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
    silent = 0
    for label, index, thought in zip(labels, chosen, thoughts, strict=True):
        found = claims(thought, label)
        named = label in _TRAVELS or label.startswith("walk-turn-") or any(label.endswith(name) for name in _HANDS)
        silent += named and not found
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
    words = [len(thought.split()) for thought in thoughts]
    print(f"words per thought: {min(words)} to {max(words)}, mean {np.mean(words):.1f}")

    # Speed on clips of 6 seconds: the motions repeated to 120 frames.
    clips = [np.resize(motion, (120, motion.shape[1])) for motion in features]
    annotator = KinematicAnnotator(arguments.seed)
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        annotator.annotate(clips)
        seconds.append(time.perf_counter() - start)
    print(f"{len(clips) / min(seconds):.0f} clips of 6 seconds a second (features in, thoughts out, one process)")


if __name__ == "__main__":
    main()
