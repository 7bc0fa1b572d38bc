"""The sheets that raters filled in, read against the key of the study."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datasets_scripts.thoughts.human_study.rater_page import COLUMNS, MOST_WRONG, SCORES
from modeling_unimo.files_unimo import read_json

STYLES = ("body", "skeleton")
TRUE, ALTERED = "true", "altered"
FORMAT = "unimo-human-evaluation"
KEY = "key.json"


@dataclass(frozen=True)
class Shown:
    """How a rater sees a row: which text is A, and which view comes first."""

    a: str
    first: str


@dataclass(frozen=True)
class Mark:
    """What one rater marked for one view of one row.

    `correct` is 1 if the true text was chosen; `first` whether the rater saw this view first.
    """

    rater: str
    row: str
    view: str
    correct: int
    score: int
    wrong: int
    first: bool


def read_key(sheets: Sequence[Path], key: str | Path | None = None) -> dict[str, Any]:
    """The key that belongs to `sheets`: the one given, or that beside the first sheet or one folder up.

    Args:
        sheets: Files of the raters.
        key: File of the key, if it lies elsewhere.

    Returns:
        The key.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is not a key of this command.
    """
    places = [Path(key)] if key is not None else [sheets[0].parent / KEY, sheets[0].absolute().parent.parent / KEY]
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        raise FileNotFoundError(
            f"no key at {' or '.join(map(str, places))}; give the one written by `prepare` with --key"
        )
    read = read_json(path)
    if read.get("format") != FORMAT:
        raise ValueError(f"{path} is not the key of a human study")
    return read


def read_sheets(paths: Sequence[Path], key: dict[str, Any]) -> list[Mark]:
    """The marks of filled-in sheets.

    Args:
        paths: Files of the raters.
        key: What the sheets ask about.

    Returns:
        The marks of all sheets.

    Raises:
        FileNotFoundError: a sheet is missing.
        ValueError: not a sheet, unknown raters or rows, a row twice or missing, a mark missing or out of range; the
            message names the first of them by file and line.
    """
    if not paths:
        raise ValueError("at least one sheet is required")
    marks: list[Mark] = []
    faults: list[str] = []
    owners: dict[str, Path] = {}
    for path in paths:
        lines = _sheet_lines(path)
        names = {line["rater"] for _, line in lines}
        if len(names) != 1:
            raise ValueError(f"{path}: the column `rater` must name one rater, got {sorted(names)}")
        rater = names.pop()
        if rater not in key["raters"]:
            raise ValueError(f"{path}: unknown rater {rater!r}; this study has {', '.join(key['raters'])}")
        if rater in owners:
            raise ValueError(f"{path} and {owners[rater]} are both sheets of {rater}; give one sheet per rater")
        owners[rater] = path
        seen: set[tuple[str, str]] = set()
        for number, line in lines:
            where = f"{path.name}, line {number}"
            row, view = line["row"], line["view"]
            if row not in key["raters"][rater] or view not in STYLES:
                faults.append(f"{where}: this study has no row {row!r} with view {view!r}")
                continue
            if (row, view) in seen:
                faults.append(f"{where}: duplicate of {row} {view}")
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
    """(line number, columns) of a sheet, with commas or semicolons as separators."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text; save the sheet as CSV") from error
    header = text.split("\n", 1)[0]
    reader = csv.DictReader(text.splitlines(), delimiter=";" if header.count(";") > header.count(",") else ",")
    missing = [name for name in COLUMNS if name not in (reader.fieldnames or [])]
    if missing:
        raise ValueError(f"{path} is not a sheet of this study: columns {', '.join(missing)} are missing")
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
        return f"choice must be A or B, got {line['choice']!r}"
    for name, low, high in (("score", min(SCORES), max(SCORES)), ("wrong", 0, MOST_WRONG)):
        value = line[name]
        if not (value.isascii() and value.isdigit() and low <= int(value) <= high):
            return f"{name} must be an integer from {low} to {high}, got {value!r}"
    return ""
