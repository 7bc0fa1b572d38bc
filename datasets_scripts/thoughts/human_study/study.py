"""Does a skeleton rendering mislead the annotator? Sheets for people to fill in, and what the filled sheets say.

    python -m datasets_scripts.thoughts.human_study.study prepare --dataset DIR --number 40 --raters 3 --output FOLDER
    python -m datasets_scripts.thoughts.human_study.study agreement FOLDER/raters/*.csv

`prepare` draws each clip as a body and as a skeleton, alike in all else, and puts both beside each other with two
texts: the clip's thought, and one that the motion contradicts (the thought with left and right exchanged, else
another clip's). FOLDER/raters is for the raters: a page and an empty sheet for each. FOLDER/key.json tells which text
was which; it stays with whoever evaluates. Order of clips, of views and of texts is drawn with the seed, each
view coming first equally often.

`agreement` reads the sheets and reports, for each question, how far the raters agree, the mean of each view, and the
difference skeleton minus body, paired by clip, each with its 95% interval.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from datasets_scripts.captioned_motions import motion_views
from datasets_scripts.schema import load_motion_dataset
from datasets_scripts.thoughts.human_study.agreement import Estimate, estimate, krippendorff_alpha, raw_agreement
from datasets_scripts.thoughts.human_study.page import COLUMNS, MOST_WRONG, SCORES, PageRow, rater_page
from datasets_scripts.thoughts.render import find_render_fault, iter_motion
from datasets_scripts.verify.verification import verify
from modeling_unimo import rendering_unimo
from modeling_unimo.files_unimo import atomic_write, write_json, write_text
from modeling_unimo.motion_representation import HUMANML3D, features_to_joints
from modeling_unimo.rendering_unimo import VIEWS, drawable, save_gif, save_mp4

STYLES = ("body", "skeleton")
TRUE, ALTERED = "true", "altered"
FORMAT = "unimo-human-evaluation"
KEY = "key.json"

QUESTIONS = {"correct": "nominal", "score": "ordinal", "wrong": "interval"}
"""What is reported of each view, and how alpha weighs disagreement: whether the true text was chosen, how well the
chosen text fits (1 to 5), and how many of its statements are wrong."""

_SIDES = re.compile(r"\b(left|right)(s?|ward|wards|hand|handed|most)\b", re.IGNORECASE)
_DRAWN, _TRIES = 400, 20  # clips drawn for an untrue text, and those of them that are tried


@dataclass(frozen=True)
class Item:
    """One clip of the evaluation: its texts, and how the untrue one was made ("sides" or "other clip")."""

    row: str
    id: str
    true: str
    altered: str
    how: str
    joints: np.ndarray
    fps: float


def swap_sides(text: str) -> str:
    """`text` with left and right exchanged, capitals kept."""

    def other(found: re.Match[str]) -> str:
        word = found[1]
        swapped = "right" if word.lower() == "left" else "left"
        if word.isupper():
            swapped = swapped.upper()
        elif word[0].isupper():
            swapped = swapped.capitalize()
        return swapped + found[2]

    return _SIDES.sub(other, text)


def choose_items(dataset: str | Path, split: str, number: int, seed: int) -> list[Item]:
    """Random clips whose thought can be set against a text that the motion contradicts.

    Raises:
        FileNotFoundError: no such dataset or split.
        ValueError: not of 22 joints, or fewer such clips than asked for.
    """
    if number < 2:
        raise ValueError(f"number is {number}; an evaluation needs at least 2 clips")
    loaded = load_motion_dataset(dataset, split)[split]
    width = loaded.features["motion"].shape[1]
    if width != HUMANML3D.feature_dim:
        raise ValueError(f"{dataset} has features of width {width}; texts are checked on HumanML3D's 22 joints (263)")
    rows = loaded.remove_columns(["motion"]).with_format(None)
    motions = motion_views(loaded)
    rng = np.random.default_rng(seed)
    items: list[Item] = []
    for index in rng.permutation(len(loaded)).tolist():
        if len(items) == number:
            return items
        row, features = rows[index], np.array(motions[index])
        thought = _thought(row)
        if not thought or find_render_fault(row["id"], features, row["fps"]):
            continue
        joints = np.asarray(features_to_joints(features))
        try:
            drawable(joints)
        except ValueError:
            continue
        # Of about the same length: a text that speaks of 5 seconds would give itself away beside a film of 3.
        picks = rng.permutation(len(loaded))[:_DRAWN].tolist()
        picks = sorted(picks, key=lambda pick: abs(len(motions[pick]) - len(features)))[:_TRIES]
        others = [text for text in (_thought(rows[pick]) for pick in picks) if text and text != thought]
        try:
            found = _untrue_text(thought, others, joints, row["fps"])
        except ValueError:
            continue  # all joints in one place, say: what cannot be measured contradicts no text
        if found is not None:
            items.append(Item(f"r{len(items) + 1:03d}", row["id"], thought, *found, joints, row["fps"]))
    if len(items) == number:
        return items
    raise ValueError(
        f"{dataset} has only {len(items)} clips in {split} with a thought that a contradicted text can be made for, "
        f"and {number} are asked for; give a smaller --number, or annotate it with python -m datasets_scripts.annotate"
    )


def _thought(row: dict[str, Any]) -> str:
    """The first thought about the whole clip."""
    for caption in row["captions"]:
        if caption["thought"].strip() and not (caption["start"] or caption["end"]):
            return caption["thought"].strip()
    return ""


def _untrue_text(thought: str, others: list[str], joints: np.ndarray, fps: float) -> tuple[str, str] | None:
    """A text that the motion contradicts where it does not contradict the thought, and how it was made."""
    swapped = swap_sides(thought)
    texts = [swapped] * (swapped != thought) + others
    own, *found = verify([thought, *texts], joints, fps)
    if own.contradicted:
        return None
    for text, verification in zip(texts, found, strict=True):
        if verification.contradicted:
            return text, "sides" if text == swapped else "other clip"
    return None


def prepare(
    dataset: str | Path,
    output: str | Path,
    number: int = 40,
    raters: int = 2,
    split: str = "test",
    seed: int = 0,
    view: str = "three-quarter",
    size: int = 336,
    progress: bool = False,
) -> dict[str, Any]:
    """Make the folder of an evaluation; returns what is in its key.

    Raises:
        FileNotFoundError, ValueError: see `choose_items`; or an impossible number of raters, view or size.
        FileExistsError: `output` is there and not empty.
        ImportError: neither PyAV nor Pillow is installed.
    """
    from tqdm.auto import tqdm

    if raters < 1:
        raise ValueError(f"raters is {raters}; expected at least 1")
    output = Path(output)
    if output.exists() and (not output.is_dir() or any(output.iterdir())):
        raise FileExistsError(f"{output} is there and not empty; give --output a new folder")
    suffix = _film_suffix()
    items = choose_items(dataset, split, number, seed)
    media = output / "raters" / "media"
    media.mkdir(parents=True)
    for item in tqdm(items, unit="clip", desc="draw", disable=not progress):
        for style in STYLES:
            frames = iter_motion(item.joints, (view,), size, style, fps=item.fps)
            save = save_mp4 if suffix == ".mp4" else save_gif
            save(media / f"{item.row}-{style}{suffix}", frames, item.fps)
    words = "".join(f"{item.id}\0{item.true}\0{item.altered}\0" for item in items)
    key: dict[str, Any] = {
        "format": FORMAT,
        "version": 1,
        "dataset": Path(dataset).name,
        "split": split,
        "seed": seed,
        "view": view,
        "size": size,
        "study": hashlib.sha256(f"{seed}\0{words}".encode("utf-8", "replace")).hexdigest()[:12],
        "rows": {i.row: {"id": i.id, "altered_by": i.how, TRUE: i.true, ALTERED: i.altered} for i in items},
        "raters": {},
    }
    for place in range(raters):
        name = f"rater-{place + 1}"
        plan = _plan(items, place, seed)
        key["raters"][name] = {row: asdict(shown) for row, shown in plan.items()}
        by_row = {item.row: item for item in items}
        rows = [_page_row(by_row[row], shown, suffix) for row, shown in plan.items()]
        write_text(output / "raters" / f"{name}.html", rater_page(name, f"{key['study']}-{name}", rows))
        with (
            atomic_write(output / "raters" / f"{name}.csv") as part,
            open(part, "w", encoding="utf-8", newline="") as file,
        ):
            writer = csv.writer(file)
            writer.writerow(COLUMNS)
            writer.writerows([name, row.name, style, "", "", ""] for row in rows for style, _ in row.films)
    # Last: a folder with a key is a whole one.
    write_json(output / KEY, key, ensure_ascii=False)
    return key


@dataclass(frozen=True)
class Shown:
    """How a rater gets a row: which text is A, and which view comes first."""

    a: str
    first: str


def _plan(items: Sequence[Item], rater: int, seed: int) -> dict[str, Shown]:
    """A rater's rows in the order shown. Over two raters each clip has either view first once; within one rater half
    of the clips do, and half have the true text as A."""
    fixed = np.random.default_rng([seed, 0]).permutation(len(items))
    own = np.random.default_rng([seed, 1, rater])
    texts = own.permutation(len(items))
    plan = {}
    for index in own.permutation(len(items)).tolist():
        first = STYLES[(int(fixed[index]) + rater) % 2]
        plan[items[index].row] = Shown(TRUE if texts[index] % 2 else ALTERED, first)
    return plan


def _page_row(item: Item, shown: Shown, suffix: str) -> PageRow:
    texts = (item.true, item.altered) if shown.a == TRUE else (item.altered, item.true)
    order = STYLES if shown.first == STYLES[0] else STYLES[::-1]
    first, second = ((style, f"media/{item.row}-{style}{suffix}") for style in order)
    return PageRow(item.row, texts, (first, second))


def _film_suffix() -> str:
    if rendering_unimo.av is not None:
        return ".mp4"
    if rendering_unimo.Image is not None:
        return ".gif"
    raise ImportError("The films need PyAV (pip install av), or Pillow for animated pictures (pip install pillow).")


# -------------------------------------------------------------------------------------------------- filled-in sheets


@dataclass(frozen=True)
class Mark:
    """What one rater marked for one view of one row."""

    rater: str
    row: str
    view: str
    correct: int
    score: int
    wrong: int
    first: bool


def read_key(sheets: Sequence[Path], key: str | Path | None = None) -> dict[str, Any]:
    """The key that belongs to `sheets`: the one given, or that beside the first sheet or one folder up.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not a key of this command.
    """
    places = [Path(key)] if key is not None else [sheets[0].parent / KEY, sheets[0].absolute().parent.parent / KEY]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"{' and '.join(map(str, places))}: no such key; give the one of `prepare` with --key")
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error})") from error
    if not isinstance(read, dict) or read.get("format") != FORMAT:
        raise ValueError(f"{path} is not the key of a human evaluation")
    return read


def read_sheets(paths: Sequence[Path], key: dict[str, Any]) -> list[Mark]:
    """The marks of filled-in sheets.

    Raises:
        FileNotFoundError: a sheet is missing.
        ValueError: not a sheet, unknown raters or rows, a row twice or missing, a mark missing or out of range; the
            message names the first of them by file and line.
    """
    if not paths:
        raise ValueError("no sheets were given")
    marks: list[Mark] = []
    faults: list[str] = []
    owners: dict[str, Path] = {}
    for path in paths:
        lines = _sheet_lines(path)
        names = {line["rater"] for _, line in lines}
        if len(names) != 1:
            raise ValueError(f"{path}: the column rater holds {sorted(names)}; a sheet is of one rater")
        rater = names.pop()
        if rater not in key["raters"]:
            raise ValueError(f"{path}: no rater {rater!r} in this evaluation, only {', '.join(key['raters'])}")
        if rater in owners:
            raise ValueError(f"{path} and {owners[rater]} are both of {rater}; give each rater's sheet once")
        owners[rater] = path
        seen: set[tuple[str, str]] = set()
        for number, line in lines:
            where = f"{path.name}, line {number}"
            row, view = line["row"], line["view"]
            if row not in key["raters"][rater] or view not in STYLES:
                faults.append(f"{where}: no row {row!r} with a view {view!r} in this evaluation")
                continue
            if (row, view) in seen:
                faults.append(f"{where}: {row} {view} is there twice")
                continue
            seen.add((row, view))
            problem = _mark_fault(line)
            if problem:
                faults.append(f"{where} ({row} {view}): {problem}")
                continue
            shown = Shown(**key["raters"][rater][row])
            chosen_a = line["choice"].upper() == "A"
            correct = chosen_a == (shown.a == TRUE)
            marks.append(
                Mark(rater, row, view, int(correct), int(line["score"]), int(line["wrong"]), view == shown.first)
            )
        missing = [f"{row} {view}" for row in key["raters"][rater] for view in STYLES if (row, view) not in seen]
        if missing:
            faults.append(f"{path.name}: {len(missing)} views are missing ({', '.join(missing[:3])})")
    if faults:
        more = f"\n... and {len(faults) - 10} more" if len(faults) > 10 else ""
        raise ValueError("the sheets cannot be used:\n" + "\n".join(faults[:10]) + more)
    return marks


def _sheet_lines(path: Path) -> list[tuple[int, dict[str, str]]]:
    """(line number, columns) of a sheet, whichever separator the spreadsheet program chose."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not a text file in UTF-8; save the sheet as CSV") from error
    header = text.split("\n", 1)[0]
    reader = csv.DictReader(text.splitlines(), delimiter=";" if header.count(";") > header.count(",") else ",")
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    if missing:
        raise ValueError(f"{path} lacks the columns {', '.join(missing)}; it is no sheet of this evaluation")
    lines = []
    for row in reader:
        line = {name: (row[name] or "").strip() for name in COLUMNS}
        if any(line.values()):
            lines.append((reader.line_num, line))
    if not lines:
        raise ValueError(f"{path} has no rows")
    return lines


def _mark_fault(line: dict[str, str]) -> str:
    empty = [name for name in ("choice", "score", "wrong") if not line[name]]
    if empty:
        return f"not filled in: {', '.join(empty)}"
    if line["choice"].upper() not in ("A", "B"):
        return f"choice is {line['choice']!r}; expected A or B"
    for name, low, high in (("score", min(SCORES), max(SCORES)), ("wrong", 0, MOST_WRONG)):
        value = line[name]
        if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            return f"{name} is {value!r}; expected a whole number from {low} to {high}"
    return ""


@dataclass(frozen=True)
class Finding:
    """What the sheets say to one question.

    `alpha` and `raw` have an entry a view; `means` too, over clips (raters averaged). `difference` is skeleton minus
    body, paired by clip; `first_seen` the same from the view that each rater saw first alone, which no memory of the
    other view can touch; None where no clip has both from its raters.
    """

    question: str
    level: str
    alpha: dict[str, float | None]
    raw: dict[str, float | None]
    means: dict[str, Estimate]
    difference: Estimate
    first_seen: Estimate | None


def findings(marks: Sequence[Mark]) -> list[Finding]:
    """What `marks`, whole sheets of one or more raters, say to each question."""
    raters = sorted({mark.rater for mark in marks})
    rows = sorted({mark.row for mark in marks})
    return [_finding(question, level, marks, raters, rows) for question, level in QUESTIONS.items()]


def _finding(question: str, level: str, marks: Sequence[Mark], raters: list[str], rows: list[str]) -> Finding:
    tables = {view: np.full((len(raters), len(rows)), np.nan) for view in STYLES}
    firsts = {view: np.full((len(raters), len(rows)), np.nan) for view in STYLES}
    for mark in marks:
        place = raters.index(mark.rater), rows.index(mark.row)
        tables[mark.view][place] = getattr(mark, question)
        if mark.first:
            firsts[mark.view][place] = getattr(mark, question)
    body, skeleton = (tables[view].mean(axis=0) for view in STYLES)
    both = ~np.isnan(firsts["body"]).all(axis=0) & ~np.isnan(firsts["skeleton"]).all(axis=0)
    first_seen = None
    if both.any():
        means = {view: np.nanmean(firsts[view][:, both], axis=0) for view in STYLES}
        first_seen = estimate(means["skeleton"] - means["body"])
    return Finding(
        question,
        level,
        {view: krippendorff_alpha(tables[view], level) for view in STYLES},
        {view: raw_agreement(tables[view]) for view in STYLES},
        {"body": estimate(body), "skeleton": estimate(skeleton)},
        estimate(skeleton - body),
        first_seen,
    )


def report(found: Sequence[Finding], marks: Sequence[Mark]) -> Iterator[str]:
    """The findings as lines of text."""
    raters, rows = ({getattr(mark, name) for mark in marks} for name in ("rater", "row"))
    yield f"{len(raters)} raters, {len(rows)} clips; means over clips with 95% t-intervals"
    titles = {"correct": "chose the true text", "score": "fit of the text, 1 to 5", "wrong": "wrong statements"}
    for finding in found:
        yield f"{titles[finding.question]} (alpha: {finding.level})"
        for view in STYLES:
            alpha, raw = finding.alpha[view], finding.raw[view]
            yield (f"  {view:<10}{finding.means[view]!s:<28}alpha {_shown(alpha):<11}raw agreement {_shown(raw)}")
        yield f"  skeleton - body       {finding.difference}"
        if finding.first_seen is not None:
            yield f"  the same, first seen  {finding.first_seen}"


def _shown(value: float | None) -> str:
    return "undefined" if value is None else f"{value:.3f}"


def make_parser() -> argparse.ArgumentParser:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    commands = parser.add_subparsers(dest="command", required=True)
    making = commands.add_parser("prepare", help="make pages and sheets")
    making.add_argument("--dataset", required=True, help="dataset folder with thoughts")
    making.add_argument("--output", required=True, help="new folder")
    making.add_argument("--number", type=int, default=40, help="clips (40)")
    making.add_argument("--raters", type=int, default=2, help="an even number balances which view comes first (2)")
    making.add_argument("--split", default="test")
    making.add_argument("--seed", type=int, default=0)
    making.add_argument("--view", choices=VIEWS, default=VIEWS[0])
    making.add_argument("--size", type=int, default=336, help="pixels of a film (336)")
    making.add_argument("--quiet", action="store_true", help="no progress bar")
    reading = commands.add_parser("agreement", help="evaluate filled-in sheets")
    reading.add_argument("sheets", nargs="+", help="CSV files, one a rater")
    reading.add_argument("--key", help="key.json of prepare, where it is not beside the sheets or one folder up")
    reading.add_argument("--output", help="also write the figures to this JSON file")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Runs the command; returns 0, or 2 where the input cannot be used."""
    arguments = make_parser().parse_args(argv)
    try:
        if arguments.command == "prepare":
            key = prepare(
                arguments.dataset,
                arguments.output,
                arguments.number,
                arguments.raters,
                arguments.split,
                arguments.seed,
                arguments.view,
                arguments.size,
                progress=not arguments.quiet,
            )
            ways = [row["altered_by"] for row in key["rows"].values()]
            print(f"{len(ways)} clips, untrue texts: " + ", ".join(f"{ways.count(w)} {w}" for w in sorted(set(ways))))
            print(f"-> {Path(arguments.output) / 'raters'} for the raters; keep {KEY} from them")
            return 0
        paths = [Path(sheet) for sheet in arguments.sheets]
        marks = read_sheets(paths, read_key(paths, arguments.key))
        found = findings(marks)
        if arguments.output:
            write_json(arguments.output, [asdict(f) for f in found])
    except (ValueError, OSError, ImportError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    print("\n".join(report(found, marks)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
