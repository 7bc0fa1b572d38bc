"""How far the verifier can be trusted on what people write about captured motion.

    python -m benchmarks.human_captions ../shared/data/human_captions/human_captions_visible [--output FILE.json]

Reads PREFIX.jsonl (a line a clip: `id`, `captions`, `captions_from`) and PREFIX.npz (`names`, `offsets`, `joints` of
shape (frames, 22, 3) at 20 fps), and reports, by source of the captions:

- false contradictions: texts that their own motion contradicts. People describe what they see, so these are errors of
  the reader or of the measurement.
- planted errors found: left for right, forward for backward, another count, another action, put into texts that their
  motion does not contradict and of which something holds.
- other clips' captions contradicted: not all can be, since many clips show the same action.
- read: texts in which a claim was found.

It also reports the false contradictions by kind of claim, which `datasets_scripts.verify.reliability` keeps. Intervals
are 95% Wilson intervals.
"""

import argparse
import json
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.verifier_planted_errors import wilson
from datasets_scripts.verify import verify
from modeling_unimo.files_unimo import write_json

# Errors to plant: the first pattern of a kind that is found in a text is replaced once.
_SWAPS: dict[str, tuple[tuple[str, str], ...]] = {
    "side": (
        (r"\bleft\b", "right"),
        (r"\bright\b(?! away| angle)", "left"),
        (r"\bcounter ?-?clockwise\b", "clockwise"),
        (r"\bclockwise\b", "counterclockwise"),
    ),
    "direction": ((r"\bforwards?\b", "backwards"), (r"\bbackwards?\b", "forwards")),
    "count": (
        (r"\b(once|one time)\b", "four times"),
        (r"\b(twice|two times)\b", "five times"),
        (r"\btwo (steps|hops|jumps|kicks|squats)\b", r"six \1"),
        (r"\b(three|four|five) (steps|hops|jumps|kicks|squats|times)\b", r"nine \2"),
    ),
    "action": (
        (r"\bwalk(s|ing)?\b", "jumps twice on the spot"),
        (r"\bjump(s|ing)?\b", "sits down"),
        (r"\b(runs?|running|jogs?|jogging)\b", "kneels down"),
        (r"\bkick(s|ing)?\b", "sits down"),
    ),
}
# The clip whose captions are another clip's: so many lines on, so that neighbours, which often show the same, are not.
_STRANGER = 41
MEASURES = ("false contradictions", "planted errors found", "other clips' captions contradicted", "read")


@dataclass(frozen=True)
class CaptionedClip:
    """Joints (T, 22, 3) at 20 fps, what people wrote about them, and whose words these are."""

    id: str
    joints: np.ndarray
    captions: list[str]
    source: str


def read_clips(prefix: Path) -> list[CaptionedClip]:
    """Read captions and their motions.

    Args:
        prefix: Of PREFIX.jsonl and PREFIX.npz.

    Returns:
        The clips in the order of the lines.

    Raises:
        ValueError: A line's clip has no joints.
    """
    with np.load(f"{prefix}.npz", allow_pickle=False) as archive:
        names, offsets, joints = archive["names"].tolist(), archive["offsets"], archive["joints"]
    motions = dict(zip(names, np.split(joints, offsets[1:-1]), strict=True))
    with open(f"{prefix}.jsonl", encoding="utf-8") as lines:
        rows = [json.loads(line) for line in lines]
    missing = [row["id"] for row in rows if row["id"] not in motions]
    if missing:
        raise ValueError(f"{prefix}.npz has no joints for {len(missing)} ids of {prefix}.jsonl, first {missing[0]!r}")
    return [
        CaptionedClip(row["id"], motions[row["id"]], row["captions"], row["captions_from"].split(" via ")[0])
        for row in rows
    ]


def planted(text: str) -> Iterator[tuple[str, str]]:
    """Plant one error of each kind that a text has a place for.

    Args:
        text: A caption.

    Yields:
        (kind, text with one error of that kind).
    """
    for kind, swaps in _SWAPS.items():
        for pattern, replacement in swaps:
            if re.search(pattern, text, re.IGNORECASE):
                yield kind, re.sub(pattern, replacement, text, count=1, flags=re.IGNORECASE)
                break


Tally = Counter[tuple[str, str, bool]]  # group, measure, yes or no
Shares = dict[str, dict[str, dict[str, Any]]]


def _measure(clips: list[CaptionedClip]) -> tuple[Tally, Tally]:
    """Count what happened: (source, measure, yes or no), and (kind of claim, "false contradictions", yes or no)."""
    tally: Tally = Counter()
    by_kind: Tally = Counter()
    for index, clip in enumerate(clips):
        for verification in verify(clip.captions, clip.joints):
            tally[clip.source, "read", bool(verification.claims)] += 1
            tally[clip.source, "false contradictions", bool(verification.contradicted)] += 1
            for claim in verification.claims:
                if claim.verdict != "undecided":
                    by_kind[claim.kind, "false contradictions", claim.verdict == "contradicted"] += 1
            if verification.contradicted or not any(claim.verdict == "holds" for claim in verification.claims):
                continue
            for kind, wrong in planted(verification.text):
                found = bool(verify([wrong], clip.joints)[0].contradicted)
                tally[clip.source, "planted errors found", found] += 1
                tally[f"planted: {kind}", "planted errors found", found] += 1
        stranger = clips[(index + _STRANGER) % len(clips)]
        for verification in verify(stranger.captions, clip.joints):
            tally[clip.source, "other clips' captions contradicted", bool(verification.contradicted)] += 1
    return tally, by_kind


def shares(tally: Tally) -> Shares:
    """Shares with their intervals.

    Args:
        tally: Of any groups and measures.

    Returns:
        {yes, of, share, ci95} by group and measure, in the order they were counted; nothing where none was counted.
    """
    rows: Shares = defaultdict(dict)
    for group, name in dict.fromkeys((group, name) for group, name, _ in tally):
        yes = tally[group, name, True]
        if total := yes + tally[group, name, False]:
            rows[group][name] = {"yes": yes, "of": total, "share": yes / total, "ci95": wilson(yes, total)}
    return dict(rows)


def summary(clips: list[CaptionedClip]) -> dict[str, Any]:
    """All figures.

    Args:
        clips: Each is also held against the captions of the clip `_STRANGER` lines on.

    Returns:
        Number of clips, and {yes, of, share, ci95} by group and measure: of texts (all, by source, by planted kind)
        and of kinds of claim.
    """
    tally, by_kind = _measure(clips)
    whole: Tally = Counter()
    for (group, name, yes), count in tally.items():
        if not group.startswith("planted: "):
            whole["all", name, yes] += count
    of_all, of_texts, of_kinds = (shares(Counter(dict(sorted(one.items())))) for one in (whole, tally, by_kind))
    return {"clips": len(clips), "texts": of_all | of_texts, "kinds of claim": of_kinds}


def cell(share: dict[str, Any]) -> str:
    """How a share is told.

    Args:
        share: An entry of `shares`.

    Returns:
        Such as `1/3 = 0.333 [0.061, 0.792]`.
    """
    low, high = share["ci95"]
    return f"{share['yes']}/{share['of']} = {share['share']:.3f} [{low:.3f}, {high:.3f}]"


def _table(rows: Shares, names: tuple[str, ...]) -> str:
    """Groups against measures, as Markdown."""
    lines = [f"| | {' | '.join(names)} |", "| --- " * (len(names) + 1) + "|"]
    for group, measures in rows.items():
        cells = [cell(measures[name]) if name in measures else "–" for name in names]
        lines.append(f"| {group} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(argv: list[str] | None = None) -> None:
    """Measure, print the tables and write the figures.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prefix", type=Path, help="PREFIX of PREFIX.jsonl (captions) and PREFIX.npz (joints)")
    parser.add_argument("--output", type=Path, help="JSON file for all figures")
    arguments = parser.parse_args(argv)
    try:
        figures = summary(read_clips(arguments.prefix))
    except (OSError, ValueError, KeyError) as error:
        raise SystemExit(f"error: {error}") from error
    print(_table(figures["texts"], MEASURES), "", _table(figures["kinds of claim"], MEASURES[:1]), sep="\n")
    if arguments.output:
        write_json(arguments.output, figures)


if __name__ == "__main__":
    main()
