"""The results of an ablation in four files: JSON, CSV, Markdown, and an HTML page with the differences as a chart."""

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from datasets_scripts.templates import render
from evaluate_unimo.labels import METRICS
from modeling_unimo.files_unimo import write_json, write_text
from train.studies.tables import Scores, rows

TEMPLATES = Path(__file__).parent / "templates"
_BETTER = {label.column: label.better for label in METRICS.values()}
_COLUMNS = ("split", "judge", "figure", "arm", "mean", "ci95", "difference", "difference_ci95", "verdict", "seeds")


def write_results(
    folder: Path,
    about: dict[str, Any],
    baseline: str,
    results: Mapping[str, Sequence[Scores]],
    warnings: Sequence[Mapping[str, Any]] = (),
) -> list[Path]:
    """Write results.json, results.csv, results.md and results.html.

    Args:
        folder: made if it does not exist.
        about: the study's question, number of seeds, and whatever the results depend on.
        baseline: name of the arm that the others are compared with.
        results: scores of each arm, one per seed.
        warnings: of guards, see `train.ablate.guard_warnings`.

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
    write_json(folder / "results.json", {"about": about, "baseline": baseline, "rows": table, "warnings": warnings})
    write_text(folder / "results.csv", _csv(table))
    write_text(folder / "results.md", render(TEMPLATES / "study_table.md", **shown))
    charts = {arm: chart for arm in arms if (chart := _chart(arm, baseline, table))}
    write_text(folder / "results.html", render(TEMPLATES / "study_page.html", **shown, charts=charts))
    return [folder / f"results.{suffix}" for suffix in ("json", "csv", "md", "html")]


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
        if row["arm"] != arm or "difference" not in row:
            continue
        reference = row["mean"] - row["difference"]
        if abs(reference) >= 1e-9:
            unit = 100.0 * _BETTER[row["figure"]] / abs(reference)
            changes.append((_label(row), row["difference"] * unit, abs((row["difference_ci95"] or 0.0) * unit)))
    return forest(changes, f"{arm} against {baseline}") if changes else ""
