"""The results of an ablation in four files: JSON, CSV, Markdown, and an HTML page with the differences as a chart."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets_scripts.templates import render
from evaluate_unimo.labels import METRICS, TASKS
from modeling_unimo.files_unimo import write_json, write_text
from train.studies.tables import Scores, rows

TEMPLATES = Path(__file__).parent / "templates"
_BETTER = {label.column: label.better for label in METRICS.values()}
BEST_OF = ", best of "  # between the way of answering and the number of answers in an arm's name
# Tasks whose quality is drawn over seconds, and the figure that is: the held-out judge's, where judges give it.
DRAWN = {"t2m": "r_precision_top1", "t2m_hard": "r_precision_top1", "t2m_vague": "admissible"}
_JUDGED = ("r_precision_top1",)
_COLUMNS = (
    "split",
    "judge",
    "figure",
    "arm",
    "mean",
    "ci95",
    "difference",
    "difference_ci95",
    "verdict",
    "rests_on",
    "seeds",
)


def write_results(
    folder: Path,
    about: dict[str, Any],
    baseline: str,
    results: Mapping[str, Sequence[Scores]],
    warnings: Sequence[Mapping[str, Any]] = (),
    seconds: Mapping[str, Mapping[str, float]] | None = None,
) -> list[Path]:
    """Write results.json, results.csv, results.md and results.html.

    Args:
        folder: made if it does not exist.
        about: the study's question, number of seeds, and whatever the results depend on.
        baseline: name of the arm that the others are compared with.
        results: scores of each arm, one per seed.
        warnings: of guards, see `train.ablate.guard_warnings`.
        seconds: what answering and scoring took by arm and task, for arms "WAY, best of N": quality is drawn over it.

    Returns:
        The paths of the four files.
    """
    table = rows(baseline, results)
    arms = list(dict.fromkeys(row["arm"] for row in table))
    by_figure: dict[str, dict[str, dict[str, Any]]] = {}
    for row in table:
        by_figure.setdefault(_label(row), {})[row["arm"]] = row
    shown: dict[str, Any] = {"about": about, "baseline": baseline, "arms": arms, "rows": by_figure}
    shown["warnings"] = [_warning(warning) for warning in warnings]
    folder.mkdir(parents=True, exist_ok=True)
    content = {"about": about, "baseline": baseline, "rows": table, "warnings": warnings}
    content |= {"seconds": seconds} if seconds else {}
    write_json(folder / "results.json", content)
    write_text(folder / "results.csv", _csv(table))
    write_text(folder / "results.md", render(TEMPLATES / "study_table.md", **shown))
    charts = {arm: chart for arm in arms if (chart := _chart(arm, baseline, table))}
    over_time = charts_over_time(table, seconds) if seconds else {}
    page = render(TEMPLATES / "study_page.html", **shown, charts=charts, over_time=over_time)
    write_text(folder / "results.html", page)
    return [folder / f"results.{suffix}" for suffix in ("json", "csv", "md", "html")]


def curves_over_time(
    table: Sequence[Mapping[str, Any]], seconds: Mapping[str, Mapping[str, float]]
) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Quality (`DRAWN`) over seconds: by split and way of answering, a point for each number of answers.

    Args:
        table: Rows of the study's table.
        seconds: Seconds of answering by arm and task.

    Returns:
        Points (seconds, quality) by way of answering, by split; none for a study of one way.
    """
    curves: dict[str, dict[str, list[tuple[float, float]]]] = {}
    drawn = {(TASKS[task].short, METRICS[name].column, name in _JUDGED): task for task, name in DRAWN.items()}
    for row in table:
        way, _, count = row["arm"].rpartition(BEST_OF)
        task = drawn.get((row["split"], row["figure"], bool(row["judge"])))
        if task and count:
            point = (seconds[row["arm"]][task], row["mean"])
            curves.setdefault(row["split"], {}).setdefault(way, []).append(point)
    return {
        split: {way: sorted(points) for way, points in ways.items()} for split, ways in curves.items() if len(ways) > 1
    }


def charts_over_time(table: Sequence[Mapping[str, Any]], seconds: Mapping[str, Mapping[str, float]]) -> dict[str, str]:
    """Draw quality over seconds.

    Args:
        table: Rows of the study's table.
        seconds: Seconds of answering by arm and task.

    Returns:
        An SVG by split.
    """
    from train.report.charts import line_chart

    curves = curves_over_time(table, seconds)
    label = "seconds to answer and score the split once"
    names = {TASKS[task].short: name for task, name in DRAWN.items()}
    quality = {
        split: METRICS[name].column + (", held-out judge" if name in _JUDGED else "") for split, name in names.items()
    }
    return {split: line_chart(ways, label, quality[split], split) for split, ways in curves.items()}


def _label(row: Mapping[str, Any]) -> str:
    return f"{row['figure']}, {row['split']}" + (f" ({row['judge']} judge)" if row["judge"] else "")


def _csv(table: Sequence[Mapping[str, Any]]) -> str:
    out = io.StringIO()
    writer = csv.DictWriter(out, _COLUMNS, lineterminator="\n")
    writer.writeheader()
    for row in table:
        writer.writerow({**row, "seeds": " ".join(f"{value:.6g}" for value in row["seeds"])})
    return out.getvalue()


def _warning(warning: Mapping[str, Any]) -> dict[str, str]:
    """A row of warnings in words: of which arms, in which training, by which guard with which seeds, and of what."""
    seeds = [
        f"{seed} (from step {when['first_step']}, {when['bad']} of {when['readings']} readings)" if when else str(seed)
        for seed, when in warning["seeds"].items()
    ]
    by = f"{'seeds' if len(seeds) > 1 else 'seed'} {', '.join(seeds)}"
    if warning["guard"]:
        by = f"{warning['guard']}, {by}"
    return {
        "arms": "; ".join(warning["arms"]),
        "stage": warning["stage"].upper(),
        "by": by,
        "said": warning["said"],
    }


def _chart(arm: str, baseline: str, table: Sequence[Mapping[str, Any]]) -> str:
    """Paired differences in percent of the baseline's value, better to the right; "" if there are none."""
    from train.report.charts import forest

    changes = []
    for row in table:
        if row["arm"] != arm or "difference" not in row or not _BETTER[row["figure"]]:
            continue
        reference = row["mean"] - row["difference"]
        if abs(reference) >= 1e-9:
            unit = 100.0 * _BETTER[row["figure"]] / abs(reference)
            changes.append((_label(row), row["difference"] * unit, abs((row["difference_ci95"] or 0.0) * unit)))
    return forest(changes, f"{arm} against {baseline}") if changes else ""
