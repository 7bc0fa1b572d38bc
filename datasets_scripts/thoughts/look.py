"""A look at thoughts: one offline HTML page of random clips, each claim of each thought ticked or struck.

`python -m datasets_scripts.thoughts.look --dataset DIR --split train --number 12 --seed 0 --output look.html` shows
for each clip the motion (a player, a contact sheet or both), its captions and thoughts, every claim that `verify`
reads in a thought with its verdict and what was measured, the share of decided claims that hold, and where the thought
comes from. Nothing is fetched: style, script and motion are inside the page.
"""

from __future__ import annotations

import argparse
import base64
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.captioned_motions import motion_views
from datasets_scripts.schema import Skipped, load_motion_dataset
from datasets_scripts.thoughts.records import ThoughtRecord, earlier_records
from datasets_scripts.thoughts.render import SKELETONS, find_render_fault
from datasets_scripts.verify.verification import Claim, Verification, verify
from modeling_unimo.files_unimo import write_text
from modeling_unimo.motion_representation import HUMANML3D, features_to_joints
from modeling_unimo.rendering_unimo import contact_sheet, drawable, png_bytes
from modeling_unimo.visualization_unimo import page_html, player_assets, player_html

SHOWS = ("player", "sheet")
VERDICTS = {
    "holds": ("✓", "holds"),
    "contradicted": ("✗", "contradicted by the motion"),
    "undecided": ("?", "not decided"),
}
"""Sign and words of each verdict, the worst of overlapping ones shown in the text."""

_WORST = ("contradicted", "holds", "undecided")
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class ShownCaption:
    """One caption with its thought: what was found in it, and where it comes from; None where that is unknown."""

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
    """What is on a page."""

    title: str
    clips: list[ShownClip] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)

    def verdicts(self) -> dict[str, int]:
        """Number of claims on the page, by verdict."""
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

    Raises:
        FileNotFoundError: no such dataset or split.
        ValueError: no dataset of this package, no number of clips, or not one clip can be shown.
    """
    if number < 1:
        raise ValueError(f"number is {number}; a page shows at least 1 clip")
    loaded = load_motion_dataset(dataset, split)[split]
    width = loaded.features["motion"].shape[1]
    if width not in SKELETONS:
        raise ValueError(f"{dataset} has features of width {width}, which belong to no skeleton known here")
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

    A thought about a part that is no time, or shorter than two frames, stays unchecked.

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

    Raises:
        ValueError: `shows` is not of "player" and "sheet".
    """
    if not shows or set(shows) - set(SHOWS):
        raise ValueError(f"shows is {tuple(shows)}; expected {' or '.join(SHOWS)}, or both")
    counts = page.verdicts()
    decided = counts["holds"] + counts["contradicted"]
    share = (
        f"{counts['holds'] / decided:.1%} of the {decided} decided claims hold" if decided else "no claim was decided"
    )
    legend = "".join(
        f'<li class="{verdict}"><b>{sign}</b> {words} <span class="n">{counts[verdict]}</span></li>'
        for verdict, (sign, words) in VERDICTS.items()
    )
    cards = "".join(_card(number, clip, shows) for number, clip in enumerate(page.clips, start=1))
    skipped = ""
    if page.skipped:
        items = "".join(f"<li>{_text(s.id)}: {_text(s.reason)}. {_text(s.detail)}</li>" for s in page.skipped)
        skipped = f'<section class="skipped"><h2>Clips that could not be shown</h2><ul>{items}</ul></section>'
    body = (
        f"<main><header><h1>Thoughts of {_text(page.title)}</h1><p>{len(page.clips)} random clips; {share}.</p>"
        f'<ul class="legend">{legend}</ul></header>{cards}{skipped}</main>'
    )
    if "player" in shows:
        body += player_assets()
    return page_html(body, f"Thoughts of {_text_plain(page.title)}", _STYLE)


def _card(number: int, clip: ShownClip, shows: Sequence[str]) -> str:
    seconds = len(clip.joints) / clip.fps
    pictures = ""
    if "player" in shows:
        pictures += player_html([{"joints": clip.joints, "label": ""}], fps=clip.fps, height=320, assets=False)
    if "sheet" in shows:
        png = base64.b64encode(png_bytes(contact_sheet(clip.joints, 8, 4, 144, fps=clip.fps))).decode("ascii")
        pictures += f'<img class="sheet" alt="eight frames of the motion" src="data:image/png;base64,{png}">'
    # Captions that share a thought (the kinematic annotator looks at the motion alone) are shown with it once.
    groups: dict[tuple[str, float, float, str], list[ShownCaption]] = {}
    for caption in clip.captions:
        key = (caption.thought, caption.start, caption.end, _origin(caption.record))
        groups.setdefault(key, []).append(caption)
    captions = "".join(_captions(group) for group in groups.values())
    source = f"{_text(clip.source)}, " if clip.source else ""
    return (
        f'<section class="clip" id="clip-{number}"><h2><span class="n">{number}</span> <bdi>{_text(clip.id)}</bdi>'
        f"<small>{source}{seconds:.1f} s, {len(clip.joints)} frames</small></h2>"
        f'<div class="columns"><div class="pictures">{pictures}</div><div class="texts">{captions}</div></div>'
        "</section>"
    )


def _captions(group: Sequence[ShownCaption]) -> str:
    """Captions with one and the same thought."""
    caption = group[0]
    part = f'<span class="part">{caption.start:g} to {caption.end:g} s</span>' if caption.start or caption.end else ""
    head = "".join(f'<p class="caption" dir="auto">{_text(member.text)}{part}</p>' for member in group)
    if not caption.thought.strip():
        refused = f": {_text(caption.record.refused)}" if caption.record and caption.record.refused else ""
        return f'<article>{head}<p class="none">No thought{refused}.</p></article>'
    found = caption.verification
    claims = "".join(_claim(claim) for claim in found.claims) if found else ""
    if found is None:
        score = '<span class="score">not checked</span>'
    elif found.consistency is None:
        score = '<span class="score">nothing decided</span>'
    else:
        kind = "contradicted" if found.contradicted else "holds"
        score = f'<span class="score {kind}">consistency {found.consistency:.0%}</span>'
    unread = ""
    if found and found.unread:
        items = "".join(f"<li>{_text(sentence)}</li>" for sentence in found.unread)
        unread = (
            f"<details><summary>{len(found.unread)} of {found.sentences} sentences not read</summary>"
            f"<ul>{items}</ul></details>"
        )
    marked = mark_claims(caption.thought, found.claims if found else ())
    return (
        f'<article>{head}<p class="thought" dir="auto">{marked}</p>'
        f'<p class="facts">{score}{_origin(caption.record)}</p>'
        f"{f'<ul class=claims>{claims}</ul>' if claims else ''}{unread}</article>"
    )


def _origin(record: ThoughtRecord | None) -> str:
    if record is None:
        return '<span class="origin">origin not recorded</span>'
    words = [record.annotator, record.model, record.version and f"version {record.version}", record.views]
    words.append(record.prompt and f"prompt {record.prompt[:12]}")
    return f'<span class="origin">{_text(" · ".join(word for word in words if word))}</span>'


def _claim(claim: Claim) -> str:
    sign, words = VERDICTS[claim.verdict]
    measured = f' <span class="measured">measured {_text(claim.measured)}</span>' if claim.measured else ""
    return (
        f'<li class="{claim.verdict}"><b title="{words}" aria-label="{words}">{sign}</b>'
        f'<span class="kind">{_text(claim.kind)}</span><span><q>{_text(claim.text)}</q> '
        f'<span class="stated">says {_text(claim.stated)}</span>{measured}</span></li>'
    )


def mark_claims(text: str, claims: Sequence[Claim]) -> str:
    """`text` as HTML with the words of each claim marked by its verdict; where claims overlap, the worst shows."""
    places = sorted({0, len(text), *(min(max(p, 0), len(text)) for c in claims for p in (c.start, c.stop))})
    pieces = []
    for first, last in zip(places[:-1], places[1:], strict=True):
        over = {c.verdict for c in claims if c.start <= first and last <= c.stop}
        piece = _text(text[first:last])
        worst = next((verdict for verdict in _WORST if verdict in over), None)
        pieces.append(f'<mark class="{worst}" title="{VERDICTS[worst][1]}">{piece}</mark>' if worst else piece)
    return "".join(pieces)


def _text_plain(text: str) -> str:
    return _UNPRINTABLE.sub("\ufffd", text)


def _text(text: str) -> str:
    return escape(_text_plain(text))


_STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--edge:#d5dbe3;--panel:#fff;--ground:#f2f5f8;--good:#1c7c3f;--goodb:#d9f2e1;
--bad:#b3261e;--badb:#fbdcd9;--open:#6b7280;--openb:#e8eaee}
@media (prefers-color-scheme:dark){:root{--ink:#e3e8ee;--soft:#9aa6b5;--edge:#343d49;--panel:#1b2128;--ground:#12161b;
--good:#6fd492;--goodb:#173d26;--bad:#ff9c93;--badb:#53201c;--open:#a0a8b4;--openb:#2c333d}}
*{box-sizing:border-box}
body{margin:0;background:var(--ground);color:var(--ink);
font:15px/1.5 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
main{max-width:1240px;margin:0 auto;padding:24px 16px}
h1{font-size:24px;margin:0 0 4px}header p{margin:0 0 10px;color:var(--soft)}
.legend{display:flex;flex-wrap:wrap;gap:6px 18px;list-style:none;margin:0 0 20px;padding:0}
.legend b,.claims b{display:inline-block;width:20px;text-align:center;border-radius:5px;margin-right:5px}
.n{color:var(--soft);font-weight:400;font-variant-numeric:tabular-nums}
.clip{background:var(--panel);border:1px solid var(--edge);border-radius:12px;padding:14px 18px 18px;margin:0 0 18px}
.clip h2{font-size:16px;margin:0 0 10px;overflow-wrap:anywhere}
.clip h2 small{font-weight:400;color:var(--soft);margin-left:10px}
.columns{display:grid;grid-template-columns:minmax(300px,5fr) 7fr;gap:22px;align-items:start}
@media (max-width:820px){.columns{grid-template-columns:1fr}}
.pictures{position:sticky;top:12px}.sheet{width:100%;display:block;border-radius:8px;margin-top:8px}
article{padding:0 0 14px;margin:0 0 14px;border-bottom:1px solid var(--edge)}
article:last-child{border:0;padding:0;margin:0}
.caption{margin:0 0 3px;font-weight:600;overflow-wrap:anywhere}
.part{margin-left:8px;font-weight:400;color:var(--soft);font-size:13px}
.thought{margin:0 0 8px;white-space:pre-wrap;overflow-wrap:anywhere}
.none{margin:0;color:var(--soft);font-style:italic}
mark{color:inherit;background:none;border-bottom:2px solid var(--open);border-radius:2px}
mark.holds{background:var(--goodb);border-color:var(--good)}
mark.contradicted{background:var(--badb);border-color:var(--bad);text-decoration:line-through;
text-decoration-color:var(--bad)}
.facts{margin:0 0 6px;font-size:13px;color:var(--soft)}
.score{padding:1px 8px;border-radius:9px;background:var(--openb);color:var(--open);margin-right:10px;font-weight:600}
.score.holds{background:var(--goodb);color:var(--good)}.score.contradicted{background:var(--badb);color:var(--bad)}
.claims{list-style:none;margin:0;padding:0;font-size:13.5px}
.claims li{display:grid;grid-template-columns:25px 76px 1fr;padding:2px 0;overflow-wrap:anywhere}
.claims b{align-self:start}
.holds>b{color:var(--good);background:var(--goodb)}.contradicted>b{color:var(--bad);background:var(--badb)}
.undecided>b{color:var(--open);background:var(--openb)}
.claims .contradicted q{text-decoration:line-through;text-decoration-color:var(--bad)}
.claims .undecided{color:var(--open)}.kind{color:var(--soft);font-size:12.5px}
.stated,.measured{color:var(--soft)}.stated:before,.measured:before{content:"· "}
details{font-size:13px;color:var(--soft);margin-top:6px}details ul{margin:4px 0}
.skipped{color:var(--soft);font-size:13px}.skipped h2{font-size:14px}
@media print{.pictures{position:static}.clip{break-inside:avoid}}
"""


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
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
    """Runs the command; returns 0, or 2 where the input cannot be used."""
    arguments = make_parser().parse_args(argv)
    output = Path(arguments.output)
    try:
        if output.is_dir() or not output.parent.is_dir():
            raise FileNotFoundError(f"{output} names no file in a folder that exists; give --output such as look.html")
        page = choose_clips(arguments.dataset, arguments.split, arguments.number, arguments.seed)
        text = page_of(page, arguments.show)
        write_text(output, text)
    except (ValueError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
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
