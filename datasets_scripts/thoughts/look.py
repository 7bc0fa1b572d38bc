"""A look at thoughts: one offline HTML page of random clips, with a verdict on each claim of each thought.

`python -m datasets_scripts.thoughts.look --dataset DIR --split train --number 12 --seed 0 --output look.html` shows
for each clip the motion (a player, a contact sheet or both), its captions and thoughts, every claim that `verify`
reads in a thought with its verdict and what was measured, the share of decidable claims that hold, and the thought's
origin. Nothing is fetched from the network: style, script and motion are inside the page.
"""

from __future__ import annotations

import argparse
import base64
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.locks import locked_output
from datasets_scripts.schema import Skipped, load_motion_dataset
from datasets_scripts.templates import render
from datasets_scripts.thoughts.records import ThoughtRecord, earlier_records
from datasets_scripts.thoughts.render import SKELETONS, find_render_fault
from datasets_scripts.verify.verification import Claim, Verification, verify
from modeling_unimo.bodies_unimo import drawable
from modeling_unimo.command_line import words_of
from modeling_unimo.files_unimo import write_text
from modeling_unimo.rendering_unimo import contact_sheet, png_bytes
from modeling_unimo.skeletons_unimo import HUMANML3D
from modeling_unimo.visualization_unimo import player_assets, player_html

TEMPLATE = Path(__file__).parent / "templates" / "look.html"
SHOWS = ("player", "sheet")
VERDICTS = {
    "holds": ("✓", "holds"),
    "contradicted": ("✗", "contradicted by the motion"),
    "undecided": ("?", "not decided"),
}
"""Sign and name of each verdict."""

# Where claims overlap, the text shows the first of these.
_WORST = ("contradicted", "holds", "undecided")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class ShownCaption:
    """One caption with its thought: what was found in it, and its origin; None if that is unknown."""

    text: str
    thought: str
    start: float = 0.0
    end: float = 0.0
    verification: Verification | None = None
    record: ThoughtRecord | None = None


@dataclass(frozen=True)
class ShownClip:
    """One clip of the page: `joints` (T,22,3) in metres or (T,21,3) in millimetres."""

    id: str
    source: str
    fps: float
    joints: np.ndarray
    captions: tuple[ShownCaption, ...]


@dataclass
class Page:
    """The clips of a page, and those that could not be shown."""

    title: str
    clips: list[ShownClip] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def verdicts(self) -> dict[str, int]:
        """Number of claims on the page, by verdict.

        Returns:
            {verdict: number}.
        """
        counts = dict.fromkeys(VERDICTS, 0)
        for clip in self.clips:
            for caption in clip.captions:
                for claim in caption.verification.claims if caption.verification else ():
                    counts[claim.verdict] += 1
        return counts


def choose_clips(dataset: str | Path, split: str = "train", number: int = 12, seed: int = 0) -> Page:
    """Random clips of a dataset folder with their thoughts checked; the same seed gives the same clips.

    Clips that cannot be shown or measured (NaN, fewer than two frames, no body) are skipped with a reason and others
    take their place.

    Args:
        dataset: Folder of the dataset.
        split: Name of the split.
        number: Of clips.
        seed: Of the choice.

    Returns:
        The page.

    Raises:
        FileNotFoundError: no such dataset or split.
        ValueError: not a dataset of this package, an invalid number of clips, or no clip that can be shown.
    """
    from datasets_scripts.captioned_motions import motion_views

    if number < 1:
        raise ValueError(f"number must be >= 1, got {number}")
    loaded = load_motion_dataset(dataset, split)[split]
    width = loaded.features["motion"].shape[1]
    if width not in SKELETONS:
        raise ValueError(f"{dataset} has {width}-dimensional features; expected {' or '.join(map(str, SKELETONS))}")
    records = earlier_records(dataset)
    motions = motion_views(loaded)
    rows = loaded.remove_columns(["motion"]).with_format(None)
    page = Page(f"{dataset}, split {split}")
    for index in np.random.default_rng(seed).permutation(len(loaded)).tolist():
        if len(page.clips) == number:
            break
        row, features = rows[index], np.array(motions[index])
        clip = _read_clip(row, features, {i: records.get((split, row["id"], i)) for i in range(len(row["captions"]))})
        if isinstance(clip, Skipped):
            page.skipped.append(clip)
        else:
            page.clips.append(clip)
    if not page.clips:
        reasons = "; ".join(f"{item.id}: {item.reason}" for item in page.skipped[:3])
        raise ValueError(f"{dataset} has no clip in {split} that can be shown ({reasons or 'it is empty'})")
    return page


def _read_clip(
    row: dict[str, Any], features: np.ndarray, records: dict[int, ThoughtRecord | None]
) -> ShownClip | Skipped:
    from modeling_unimo.recovery_unimo import features_to_joints

    fault = find_render_fault(row["id"], features, row["fps"])
    if fault is not None:
        return fault
    joints = np.asarray(features_to_joints(features, SKELETONS[features.shape[1]]))
    try:
        drawable(joints)
    except ValueError as error:
        return Skipped(row["id"], "cannot be drawn", str(error))
    captions = [
        ShownCaption(c["text"], c["thought"], c["start"], c["end"], record=records[index])
        for index, c in enumerate(row["captions"])
    ]
    if joints.shape[1] == HUMANML3D.num_joints:
        try:
            captions = check_thoughts(captions, joints, row["fps"])
        except ValueError as error:
            return Skipped(row["id"], "cannot be measured", str(error))
    return ShownClip(row["id"], row["source"], row["fps"], joints, tuple(captions))


def check_thoughts(captions: Sequence[ShownCaption], joints: np.ndarray, fps: float) -> list[ShownCaption]:
    """The captions with their thoughts checked on the part of `joints` (T,22,3) that each describes.

    A thought about a part with an invalid time, or shorter than two frames, stays unchecked.

    Args:
        captions: With the times of their parts.
        joints: (T, 22, 3) in metres, Y up.
        fps: Frames per second.

    Returns:
        The captions with the claims of their thoughts.

    Raises:
        ValueError: the motion cannot be measured.
    """
    parts: dict[tuple[int, int], list[int]] = {}
    for index, caption in enumerate(captions):
        if caption.thought.strip():
            first, last = 0, len(joints)
            if not (math.isfinite(caption.start * fps) and math.isfinite(caption.end * fps)):
                continue
            if caption.start or caption.end:
                first, last = (min(max(int(second * fps), 0), len(joints)) for second in (caption.start, caption.end))
            if last - first >= 2:
                parts.setdefault((first, last), []).append(index)
    checked = list(captions)
    for (first, last), members in parts.items():
        found = verify([captions[i].thought for i in members], joints[first:last], fps)
        for index, verification in zip(members, found, strict=True):
            old = captions[index]
            checked[index] = ShownCaption(old.text, old.thought, old.start, old.end, verification, old.record)
    return checked


def page_of(page: Page, shows: Sequence[str] = ("player",)) -> str:
    """The HTML page.

    Args:
        page: what is shown.
        shows: "player", "sheet" or both.

    Returns:
        HTML.

    Raises:
        ValueError: `shows` is empty or names something else.
    """
    if not shows or set(shows) - set(SHOWS):
        raise ValueError(f"shows must name {' or '.join(SHOWS)}, or both, got {tuple(shows)}")
    counts = page.verdicts()
    decided = counts["holds"] + counts["contradicted"]
    return render(
        TEMPLATE,
        page=page,
        share=f"{counts['holds'] / decided:.1%} of the {decided} decidable claims hold" if decided else "",
        counts=counts,
        verdicts=VERDICTS,
        cards=[_card(clip, shows) for clip in page.clips],
        player_assets=player_assets() if "player" in shows else "",
        plain=_plain,
    )


def _card(clip: ShownClip, shows: Sequence[str]) -> dict[str, Any]:
    """What the template shows of a clip: its pictures, and its captions grouped by thought."""
    card: dict[str, Any] = {"clip": clip, "player": "", "sheet": ""}
    if "player" in shows:
        card["player"] = player_html([{"joints": clip.joints, "label": ""}], fps=clip.fps, height=320, assets=False)
    if "sheet" in shows:
        sheet = contact_sheet(clip.joints, 8, 4, 144, fps=clip.fps)
        card["sheet"] = base64.b64encode(png_bytes(sheet)).decode("ascii")
    # Captions that share a thought (the kinematic annotator looks at the motion alone) are shown with it once.
    groups: dict[tuple[str, float, float, str], list[ShownCaption]] = {}
    for caption in clip.captions:
        key = (caption.thought, caption.start, caption.end, _origin(caption.record))
        groups.setdefault(key, []).append(caption)
    card["groups"] = [
        {
            "captions": captions,
            "first": captions[0],
            "origin": origin,
            "pieces": mark_claims(captions[0].thought, found.claims if (found := captions[0].verification) else ()),
        }
        for (_, _, _, origin), captions in groups.items()
    ]
    return card


def _origin(record: ThoughtRecord | None) -> str:
    if record is None:
        return "origin not recorded"
    words = [record.annotator, record.model, record.version and f"version {record.version}", record.views]
    words.append(record.prompt and f"prompt {record.prompt[:12]}")
    return " · ".join(word for word in words if word)


def mark_claims(text: str, claims: Sequence[Claim]) -> list[tuple[str, str]]:
    """`text` in pieces, each with the worst verdict of the claims made by its words, "" if there are none.

    Args:
        text: The text.
        claims: What was read in it.

    Returns:
        (piece, verdict) in the order of the text.
    """
    places = sorted({0, len(text), *(min(max(p, 0), len(text)) for c in claims for p in (c.start, c.stop))})
    pieces = []
    for first, last in zip(places[:-1], places[1:], strict=True):
        over = {claim.verdict for claim in claims if claim.start <= first and last <= claim.stop}
        pieces.append((text[first:last], next((verdict for verdict in _WORST if verdict in over), "")))
    return pieces


def _plain(text: str) -> str:
    """Text without characters that would not be seen, or would reorder what is seen."""
    return _UNPRINTABLE.sub("\ufffd", text)


def make_parser() -> argparse.ArgumentParser:
    """The command line.

    Returns:
        The parser.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--dataset", required=True, help="dataset folder with thoughts")
    parser.add_argument("--output", required=True, help="the page to write, such as look.html")
    parser.add_argument("--split", default="train")
    parser.add_argument("--number", type=int, default=12, help="clips on the page (12)")
    parser.add_argument("--seed", type=int, default=0, help="of the choice of clips")
    parser.add_argument(
        "--show", nargs="+", choices=SHOWS, default=["player"], help="a player, a contact sheet, or both"
    )
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command; returns 0, or 2 for input that cannot be used.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        Exit status.
    """
    arguments = make_parser().parse_args(argv)
    output = Path(arguments.output)
    try:
        if output.is_dir() or not output.parent.is_dir():
            raise FileNotFoundError(f"{output} is not a file in an existing folder; give --output such as look.html")
        with locked_output(output):
            page = choose_clips(arguments.dataset, arguments.split, arguments.number, arguments.seed)
            text = page_of(page, arguments.show)
            write_text(output, text)
    except (ValueError, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 2
    counts = page.verdicts()
    print(
        f"{len(page.clips)} clips, {sum(counts.values())} claims: "
        + ", ".join(f"{number} {verdict}" for verdict, number in counts.items())
        + (f"; {len(page.skipped)} clips could not be shown" if page.skipped else "")
    )
    print(f"-> {output} ({len(text) / 1e6:.1f} MB)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
