"""The page on which one rater fills in a sheet: two texts and two views of each motion.

The second view stays covered until the first is marked. The page keeps the marks in the browser and saves them as the
CSV sheet.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from datasets_scripts.templates import render

SCORES = {1: "not at all", 2: "little", 3: "half", 4: "mostly", 5: "fully"}
COLUMNS = ("rater", "row", "view", "choice", "score", "wrong")
MOST_WRONG = 20


@dataclass(frozen=True)
class PageRow:
    """One motion on a page: its name, texts A and B, and (view, file) in the order they are shown."""

    name: str
    texts: tuple[str, str]
    films: tuple[tuple[str, str], tuple[str, str]]


def rater_page(rater: str, study: str, rows: Sequence[PageRow]) -> str:
    """The HTML page of one rater.

    Args:
        rater: name, as in the sheet.
        study: names the sheet in the browser's storage.
        rows: the motions in the order they are shown.

    Returns:
        HTML.
    """
    return render(
        Path(__file__).parent / "templates" / "rater_page.html",
        rater=rater,
        study=study,
        rows=rows,
        order=[[row.name, view] for row in rows for view, _ in row.films],
        columns=COLUMNS,
        scores=SCORES,
        most_wrong=MOST_WRONG,
    )
