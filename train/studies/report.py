"""The tables of an ablation: every arm's mean, and its paired difference to the baseline with a 95% t-interval."""

import csv
import io
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from modeling_unimo.files_unimo import write_text
from modeling_unimo.visualization_unimo import page_html

TASKS = {"t2m": "test split", "t2m_hard": "hard split", "m2t": "motion to text"}
# Name, and which way is better.
FIGURES = {
    "r_precision_top1": ("R@1", +1),
    "r_precision_top3": ("R@3", +1),
    "fid": ("FID", -1),
    "mm_dist": ("MM-Dist", -1),
    "consistency": ("Instruction accuracy", +1),
    "bleu1": ("BLEU@1", +1),
    "bleu4": ("BLEU@4", +1),
    "rouge_l": ("ROUGE-L", +1),
    "cider": ("CIDEr", +1),
    "valid_free": ("Valid sampled free", +1),
}
Scores = dict[str, float]  # by "task.figure" or "task.held_out.figure"

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 68rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; margin: 1rem 0 2rem; } caption { text-align: left; font-weight: 600; }
th, td { padding: .3rem .6rem; text-align: right; border-bottom: 1px solid #8884; white-space: nowrap; }
th { white-space: normal; vertical-align: bottom; }
th:first-child, td:first-child { text-align: left; }
table.warnings th, table.warnings td { text-align: left; white-space: normal; vertical-align: top; }
.better { color: #1a7f37; font-weight: 600; } .worse { color: #cf222e; font-weight: 600; }
figure { margin: 0 0 2rem; } figcaption { font-weight: 600; } svg { max-width: 100%; height: auto; }
svg text { font: 13px system-ui, sans-serif; fill: currentColor; }
@media (prefers-color-scheme: dark) { .better { color: #3fb950; } .worse { color: #ff7b72; } }
"""


@dataclass(frozen=True)
class Difference:
    """A paired difference of `n` seeds: its mean and the half width of its 95% t-interval (None for one seed)."""

    mean: float
    half_width: float | None

    def verdict(self, better: int) -> str:
        """ "better", "worse", or "" where the interval does not exclude zero."""
        if self.half_width is None or abs(self.mean) <= self.half_width:
            return ""
        return "better" if self.mean * better > 0 else "worse"


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Mean of ours - theirs, seed by seed, with the 95% t-interval.

    Raises:
        ValueError: different counts, or none.
    """
    if len(ours) != len(theirs) or not len(ours):
        raise ValueError(f"paired values must be as many, at least one: got {len(ours)} and {len(theirs)}")
    differences = np.subtract(ours, theirs, dtype=float)
    return Difference(float(differences.mean()), half_width(differences))


def half_width(values: Sequence[float] | np.ndarray) -> float | None:
    """Half width of the 95% t-interval of a mean over seeds; None for one value."""
    if len(values) < 2:
        return None
    return float(stats.t.ppf(0.975, len(values) - 1) * np.std(values, ddof=1) / np.sqrt(len(values)))


def scores(path: Path) -> Scores:
    """The figures of one evaluation (`results.json` of evaluate_unimo.run), flat."""
    results = json.loads(path.read_text(encoding="utf-8"))
    found: Scores = {}
    for task in TASKS:
        if task not in results:
            continue
        generated = results[task]["generated"] if "generated" in results[task] else results[task]
        sides = {task: generated, f"{task}.held_out": generated.get("held_out", {})}
        for prefix, side in sides.items():
            for figure in FIGURES:
                if figure in side:
                    value = side[figure]
                    found[f"{prefix}.{figure}"] = float(value["mean"] if isinstance(value, dict) else value)
    return found


def rows(baseline: str, results: Mapping[str, Sequence[Scores]]) -> list[dict[str, Any]]:
    """One row a figure and arm: mean, interval, and the paired difference to the baseline."""
    order = list(dict.fromkeys(key for arm in results.values() for score in arm for key in score))
    table = []
    for key in order:
        task, *judge, figure = key.split(".")
        name, better = FIGURES[figure]
        for arm, seeds in results.items():
            if not all(key in score for score in seeds):
                continue
            values = [score[key] for score in seeds]
            row: dict[str, Any] = {
                "split": TASKS[task],
                "judge": "held out" if judge else "",
                "figure": name,
                "arm": arm,
                "mean": float(np.mean(values)),
                "ci95": half_width(values),
                "seeds": values,
            }
            reference = [score[key] for score in results[baseline] if key in score]
            if arm != baseline and len(reference) == len(values):
                difference = paired_difference(values, reference)
                row |= {
                    "difference": difference.mean,
                    "difference_ci95": difference.half_width,
                    "verdict": difference.verdict(better),
                }
            table.append(row)
    return table


def write_results(
    folder: Path,
    about: dict[str, Any],
    baseline: str,
    results: Mapping[str, Sequence[Scores]],
    warnings: Sequence[Mapping[str, Any]] = (),
) -> list[Path]:
    """Write results.json, results.csv, results.md and results.html; returns their paths.

    Args:
        warnings: of guards, see `train.ablate.guard_warnings`.
    """
    table = rows(baseline, results)
    found = {"about": about, "baseline": baseline, "rows": table, "warnings": warnings}
    folder.mkdir(parents=True, exist_ok=True)
    contents = {
        "results.json": json.dumps(found, indent=2) + "\n",
        "results.csv": _csv(table),
        "results.md": _markdown(about, baseline, table, warnings),
        "results.html": _html(about, baseline, table, warnings),
    }
    for name, content in contents.items():
        write_text(folder / name, content)
    return [folder / name for name in contents]


def _csv(table: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    columns = ["split", "judge", "figure", "arm", "mean", "ci95", "difference", "difference_ci95", "verdict", "seeds"]
    writer = csv.DictWriter(out, columns, lineterminator="\n")
    writer.writeheader()
    for row in table:
        writer.writerow({**row, "seeds": " ".join(f"{value:.6g}" for value in row["seeds"])})
    return out.getvalue()


def _number(value: float, half: float | None, sign: bool = False) -> str:
    shown = f"{value:+.3f}" if sign else f"{value:.3f}"
    return shown if half is None else f"{shown} ± {half:.3f}"


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['figure']}, {row['split']}" + (f" ({row['judge']} judge)" if row["judge"] else "")


def _lines(
    table: Sequence[Mapping[str, Any]], arms: Sequence[str]
) -> list[tuple[str, list[Mapping[str, Any] | None]]]:
    """The table as it is shown: each figure with its row of every arm, None where an arm has not got it."""
    by_figure: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in table:
        by_figure.setdefault(_label(row), {})[row["arm"]] = row
    return [(label, [rows_of.get(arm) for arm in arms]) for label, rows_of in by_figure.items()]


def _warned(warning: Mapping[str, Any]) -> tuple[str, str, str, str]:
    """A row of warnings in words: of which arms, in which training, by which guard with which seeds, and of what."""
    seeds = [
        f"{seed} (from step {when['first_step']}, {when['bad']} of {when['readings']} readings)" if when else str(seed)
        for seed, when in warning["seeds"].items()
    ]
    by = f"{'seeds' if len(seeds) > 1 else 'seed'} {', '.join(seeds)}"
    if warning["guard"]:
        by = f"{warning['guard']}, {by}"
    return "; ".join(warning["arms"]), warning["stage"].upper(), by, warning["said"]


def _markdown_cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    cell = _number(row["mean"], row["ci95"])
    if "difference" in row:
        change = f"({_number(row['difference'], row['difference_ci95'], sign=True)})"
        cell += " " + (f"**{change}**" if row["verdict"] else change)
    return cell


def _html_cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return "<td></td>"
    cell = escape(_number(row["mean"], row["ci95"]))
    if "difference" in row:
        change = _number(row["difference"], row["difference_ci95"], sign=True)
        cell += f'<br><span class="{row["verdict"]}">{escape(change)}</span>'
    return f"<td>{cell}</td>"


def _markdown(
    about: Mapping[str, Any],
    baseline: str,
    table: Sequence[Mapping[str, Any]],
    warnings: Sequence[Mapping[str, Any]],
) -> str:
    arms = list(dict.fromkeys(row["arm"] for row in table))
    lines = [
        f"## {about['question']}",
        "",
        f"{about['seeds']} paired seeds; mean ± half width of the 95% t-interval. In brackets the paired difference "
        f"to *{baseline}*; bold where its interval excludes zero.",
        "",
        "| | " + " | ".join(arms) + " |",
        "| --- |" + " ---: |" * len(arms),
    ]
    for label, of_arms in _lines(table, arms):
        lines.append(f"| {label} | " + " | ".join(map(_markdown_cell, of_arms)) + " |")
    lines += ["", "Guards warned of nothing." if not warnings else "Guards warned, and ended no training:", ""]
    for arms_of, stage, by, said in map(_warned, warnings):
        lines.append(f"- *{arms_of}*, {stage}, {by}: {said}")
    known = ", ".join(f"{key} {value}" for key, value in about.items() if key not in ("question", "seeds"))
    return "\n".join([*lines, "", known, ""])


def _html(
    about: Mapping[str, Any],
    baseline: str,
    table: Sequence[Mapping[str, Any]],
    warnings: Sequence[Mapping[str, Any]],
) -> str:
    arms = list(dict.fromkeys(row["arm"] for row in table))
    head = "".join(f"<th>{escape(arm)}</th>" for arm in arms)
    body = []
    for label, of_arms in _lines(table, arms):
        body.append(f"<tr><td>{escape(label)}</td>{''.join(map(_html_cell, of_arms))}</tr>")
    settings = "".join(
        f"<tr><td>{escape(str(key))}</td><td>{escape(json.dumps(value))}</td></tr>" for key, value in about.items()
    )
    warned = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in _warned(warning)) + "</tr>" for warning in warnings
    )
    of_guards = (
        '<table class="warnings"><caption>Warnings of guards, which ended no training</caption><tr><th>Arms</th>'
        f"<th>Training</th><th>Guard</th><th>Said last</th></tr>{warned}</table>"
        if warnings
        else "<p>Guards warned of nothing.</p>"
    )
    content = (
        f"<h1>{escape(about['question'])}</h1>"
        f"<p>{about['seeds']} paired seeds. Below each mean, the paired difference to <b>{escape(baseline)}</b> with "
        "its 95% t-interval; green is better and red is worse where the interval excludes zero.</p>"
        f"<table><caption>Figures</caption><tr><th></th>{head}</tr>{''.join(body)}</table>{of_guards}"
        + "".join(
            _forest(arm, baseline, [row for row in table if row["arm"] == arm]) for arm in arms if arm != baseline
        )
        + f"<table><caption>Settings and content hashes</caption>{settings}</table>"
    )
    return page_html(content, f"Ablation: {about['question']}", _STYLE)


def _forest(arm: str, baseline: str, table: Sequence[Mapping[str, Any]]) -> str:
    """Paired differences in units of the baseline's value, better to the right, as points with intervals."""
    points = []
    better_by_name = dict(FIGURES.values())
    for row in table:
        reference = row["mean"] - row["difference"] if "difference" in row else 0.0
        if abs(reference) < 1e-9:
            continue
        unit = 100.0 * better_by_name[row["figure"]] / abs(reference)
        points.append((_label(row), row["difference"] * unit, abs((row["difference_ci95"] or 0.0) * unit)))
    if not points:
        return ""
    # A figure with a wild interval must not squeeze the others into a line: it leaves the plot, as arrows say.
    reach = 1.15 * max(1.0, float(np.quantile([abs(mean) + half for _, mean, half in points], 0.9)))
    left, width, step = 300, 820, 24
    height = step * len(points) + 46

    def x(value: float) -> float:
        return left + (max(-reach, min(reach, value)) + reach) / (2 * reach) * (width - left - 60)

    parts = [f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(arm)} against {escape(baseline)}">']
    zero = x(0.0)
    parts.append(
        f'<line x1="{zero:.1f}" x2="{zero:.1f}" y1="4" y2="{height - 38}" stroke="#888" stroke-dasharray="3"/>'
    )
    for index, (label, mean, half) in enumerate(points):
        y = 16 + step * index
        color = "#888" if abs(mean) <= half or not half else "#1a7f37" if mean > 0 else "#cf222e"
        parts.append(f'<text x="{left - 12}" y="{y + 4}" text-anchor="end">{escape(label)}</text>')
        parts.append(f'<line x1="{x(mean - half):.1f}" x2="{x(mean + half):.1f}" y1="{y}" y2="{y}" stroke="{color}"/>')
        for end, way in ((mean - half, -1), (mean + half, 1)):
            if way * end > reach:
                tip, base = x(way * reach) + 7 * way, x(way * reach)
                arrow = f"{tip:.1f},{y} {base:.1f},{y - 4} {base:.1f},{y + 4}"
                parts.append(f'<polygon points="{arrow}" fill="{color}"/>')
        parts.append(f'<circle cx="{x(mean):.1f}" cy="{y}" r="4" fill="{color}"/>')
        parts.append(f'<text x="{width - 52}" y="{y + 4}">{mean:+.1f}%</text>')
    for value in (-reach, 0.0, reach):
        parts.append(f'<text x="{x(value):.1f}" y="{height - 20}" text-anchor="middle">{value:+.0f}%</text>')
    parts.append(f'<text x="{zero:.1f}" y="{height - 3}" text-anchor="middle">better to the right</text></svg>')
    caption = f"{escape(arm)}: change of each figure against {escape(baseline)}"
    return f"<figure><figcaption>{caption}</figcaption>{''.join(parts)}</figure>"
