"""What the marks of a study say: agreement of the raters, means of each view, and the difference between the views."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from datasets_scripts.thoughts.human_study.agreement import (
    Estimate,
    Level,
    estimate,
    krippendorff_alpha,
    raw_agreement,
)
from datasets_scripts.thoughts.human_study.sheets import STYLES, Mark

QUESTIONS: dict[str, Level] = {"correct": "nominal", "score": "ordinal", "wrong": "interval"}
"""What is reported of each view, and how alpha weighs disagreement: whether the true text was chosen, how well the
chosen text fits (1 to 5), and how many of its statements are wrong."""


@dataclass(frozen=True)
class Finding:
    """What the sheets say about one question.

    Attributes:
        question, level: key and value of `QUESTIONS`.
        alpha, raw: agreement of the raters, by view.
        means: over clips, raters averaged, by view.
        difference: skeleton minus body, paired by clip.
        first_seen: the same from the views that the raters saw first only, which no memory of the other view can
            affect; None if no clip has both.
    """

    question: str
    level: str
    alpha: dict[str, float | None]
    raw: dict[str, float | None]
    means: dict[str, Estimate]
    difference: Estimate
    first_seen: Estimate | None


def findings(marks: Sequence[Mark]) -> list[Finding]:
    """What `marks`, complete sheets of one or more raters, say about each question.

    Args:
        marks: Of complete sheets.

    Returns:
        A finding for each question.
    """
    raters = sorted({mark.rater for mark in marks})
    rows = sorted({mark.row for mark in marks})
    return [_finding(question, level, marks, raters, rows) for question, level in QUESTIONS.items()]


def _finding(question: str, level: Level, marks: Sequence[Mark], raters: list[str], rows: list[str]) -> Finding:
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
    """The findings as lines of text.

    Args:
        found: The findings.
        marks: What they rest on.

    Yields:
        Lines of text.
    """
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
