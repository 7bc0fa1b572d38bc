"""The tables of an ablation: every arm's mean, and its paired difference to the baseline with a 95% t-interval."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from evaluate_unimo.labels import METRICS, TASKS
from evaluate_unimo.results import COUNTS, RESTS_ON, rests_on

TASK_KEYS = ("t2m", "t2m_hard", "t2m_vague", "m2t")
FIGURES = (
    *("r_precision_top1", "r_precision_top3", "fid", "mm_dist", "consistency", "admissible", "admissible_other"),
    *("bleu1", "bleu4", "rouge_l", "cider", "valid_free"),
)
BASIS = tuple(name for name in METRICS if name.startswith(RESTS_ON))  # what instruction accuracy rests on
# The option of evaluate_unimo.run that says how often a task is asked; without it, --repeats does.
_REPEATS = {"t2m": "repeats", "t2m_hard": "hard_repeats", "t2m_vague": "hard_repeats", "m2t": "m2t_repeats"}
Scores = dict[str, float]  # by "task.figure" or "task.held_out.figure"


@dataclass(frozen=True)
class Difference:
    """A paired difference over seeds: its mean and the half-width of its 95% t-interval (None for one seed)."""

    mean: float
    half_width: float | None

    def verdict(self, better: int) -> str:
        """Judge the difference.

        Args:
            better: 1 if higher is better, -1 if lower is, 0 if neither.

        Returns:
            "better", "worse", or "" if the interval includes zero or neither is better.
        """
        if not better or self.half_width is None or abs(self.mean) <= self.half_width:
            return ""
        return "better" if self.mean * better > 0 else "worse"


def paired_difference(ours: Sequence[float], theirs: Sequence[float]) -> Difference:
    """Mean of ours - theirs, seed by seed, with the 95% t-interval.

    Args:
        ours: Value of each seed.
        theirs: Value of each seed, in the same order.

    Returns:
        The difference.

    Raises:
        ValueError: Different counts, or none.
    """
    if len(ours) != len(theirs) or not len(ours):
        raise ValueError(f"paired values must have the same length >= 1, got {len(ours)} and {len(theirs)}")
    differences = np.subtract(ours, theirs, dtype=float)
    return Difference(float(differences.mean()), half_width(differences))


def half_width(values: Sequence[float] | np.ndarray) -> float | None:
    """Half-width of the 95% t-interval of a mean over seeds.

    Args:
        values: Value of each seed.

    Returns:
        The half-width; None for one value.
    """
    if len(values) < 2:
        return None
    from scipy import stats

    return float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1))


def scores(path: Path) -> Scores:
    """Read the scores of one evaluation.

    Args:
        path: `results.json` of evaluate_unimo.run.

    Returns:
        Flat scores.
    """
    results = json.loads(path.read_text(encoding="utf-8"))
    found: Scores = {}
    for task in TASK_KEYS:
        if task not in results:
            continue
        generated = results[task]["generated"] if "generated" in results[task] else results[task]
        sides = {task: generated, f"{task}.held_out": generated.get("held_out", {})}
        for prefix, side in sides.items():
            for figure in (*FIGURES, *BASIS):
                if figure in side:
                    value = side[figure]
                    found[f"{prefix}.{figure}"] = float(value["mean"] if isinstance(value, dict) else value)
    return found


def answering_seconds(paths: Sequence[Path]) -> dict[str, float]:
    """What answering and scoring a split once took, by task, in the mean of several evaluations.

    Args:
        paths: `results.json` of each evaluation.

    Returns:
        Seconds by task.
    """
    found: dict[str, list[float]] = {}
    for path in paths:
        results = json.loads(path.read_text(encoding="utf-8"))
        asked = results["settings"]
        for task in TASK_KEYS:
            if task in results["seconds"]:
                repeats = asked.get(_REPEATS[task]) or asked["repeats"]
                found.setdefault(task, []).append(results["seconds"][task] / repeats)
    return {task: float(np.mean(values)) for task, values in found.items()}


def rows(baseline: str, results: Mapping[str, Sequence[Scores]]) -> list[dict[str, Any]]:
    """One row per figure and arm: mean, interval, and the paired difference to the baseline.

    Instruction accuracy also has, as words under "rests_on", what it rests on: means over seeds, of the number of
    claims the smallest.

    Args:
        baseline: name of the arm that the others are compared with.
        results: scores of each arm, one per seed, in the same order for all.

    Returns:
        The rows.
    """
    order = list(dict.fromkeys(key for arm in results.values() for score in arm for key in score))
    table = []
    for key in order:
        task, *judge, figure = key.split(".")
        if figure in BASIS:
            continue
        label = METRICS[figure]
        for arm, seeds in results.items():
            if not all(key in score for score in seeds):
                continue
            values = [score[key] for score in seeds]
            row: dict[str, Any] = {
                "split": TASKS[task].short,
                "judge": "held out" if judge else "",
                "figure": label.column,
                "arm": arm,
                "mean": float(np.mean(values)),
                "ci95": half_width(values),
                "seeds": values,
            }
            if figure == "consistency" and (basis := _rests_on(task, seeds)):
                row["rests_on"] = basis
            reference = [score[key] for score in results[baseline] if key in score]
            if arm != baseline and len(reference) == len(values):
                difference = paired_difference(values, reference)
                row |= {
                    "difference": difference.mean,
                    "difference_ci95": difference.half_width,
                    "verdict": difference.verdict(label.better),
                }
            table.append(row)
    return table


def _rests_on(task: str, seeds: Sequence[Scores]) -> str:
    """What an arm's instruction accuracy rests on, as words; empty where the scores of a seed do not say."""
    of_figures = {name: [score[f"{task}.{name}"] for score in seeds if f"{task}.{name}" in score] for name in BASIS}
    if any(len(values) < len(seeds) for values in of_figures.values()):
        return ""
    return rests_on(
        {name: int(min(values)) if name in COUNTS else float(np.mean(values)) for name, values in of_figures.items()}
    )
