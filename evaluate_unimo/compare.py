"""Compare evaluations: `python -m evaluate_unimo.compare A B ...`, folders that `run` or `score` wrote.

Results side by side; each difference from the first with its 95% interval by a paired bootstrap over clips, bold where
the interval excludes zero. Refused where the protocol tags differ in anything but the system that was scored.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluate_unimo.embeddings import RESAMPLES, comparable, paired_spread
from evaluate_unimo.embeddings import load as load_embeddings
from evaluate_unimo.functional.captions import bleu_from_counts
from evaluate_unimo.labels import TASKS
from evaluate_unimo.results import CLIPS, RESTS_ON, RESULTS, is_nested, rests_on, shown
from modeling_unimo.command_line import command, exit_on_error, positive_int
from modeling_unimo.files_unimo import read_json, write_json

SYSTEM = ("model", "vqvae", "candidates", "think")  # what a tag says of the system scored, not of the protocol
_BATCH = 100  # resamples drawn at once


def load(folder: str | Path) -> dict[str, Any]:
    """Read an evaluation.

    Args:
        folder: Output folder of `evaluate_unimo.run` or `evaluate_unimo.score`.

    Returns:
        Content of results.json, with that of clips.json under "clips", and under "embeddings" those kept of each task.

    Raises:
        FileNotFoundError: A file is missing.
        ValueError: A file is not a result of this version.
    """
    folder = Path(folder)
    loaded = []
    for name in (RESULTS, CLIPS):
        path = folder / name
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file; run and score with --output write it")
        loaded.append(read_json(path))
    results, clips = loaded
    if "protocol" not in results:
        raise ValueError(f"{folder / RESULTS} has no protocol tag; evaluate again with this version")
    return results | {"clips": clips, "embeddings": {task: load_embeddings(folder, task) for task in TASKS}}


def check_tags(names: Sequence[str], evaluations: Sequence[Mapping[str, Any]]) -> None:
    """Refuse evaluations that are not comparable.

    Args:
        names: Name of each evaluation.
        evaluations: The evaluations, from `load`.

    Raises:
        ValueError: Protocol tags differ; the message lists the differences.
    """
    first = _protocol(evaluations[0])
    for name, evaluation in zip(names[1:], evaluations[1:], strict=True):
        other = _protocol(evaluation)
        differing = [key for key in {**first, **other} if first.get(key) != other.get(key)]
        if differing:
            lines = [f"  {key}: {first.get(key)!r} and {other.get(key)!r}" for key in differing]
            raise ValueError(
                f"the protocols of {names[0]} and {name} differ, so they cannot be compared:\n" + "\n".join(lines)
            )


def _protocol(evaluation: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in evaluation["protocol"].items() if key not in SYSTEM}


def statistics(clips: Mapping[str, Any], ids: Sequence[str]) -> dict[str, np.ndarray]:
    """Sums from which each metric of one task is computed, by clip.

    Args:
        clips: Values by clip of one task.
        ids: The clips to take.

    Returns:
        {metric: (N, 2)}, numerator and denominator of a mean; for BLEU (N, 10), see `functional.bleu_counts`.
    """
    rows = {clip: row for row, clip in enumerate(clips["ids"])}
    chosen = [rows[clip] for clip in ids]
    sums = {name: np.asarray(of["sum"], np.float64)[chosen] for name, of in clips.items() if name != "ids"}
    found: dict[str, np.ndarray] = {}
    for name, values in sums.items():
        if name == "claims_held":
            found["consistency"] = np.stack([values, sums["claims_decided"]], axis=1)
        elif name.rpartition("/")[2] == "bleu":
            found |= {f"{name}{n}": values for n in (1, 4)}
        elif name != "claims_decided":
            found[name] = np.stack([values, np.asarray(clips[name]["count"], np.float64)[chosen]], axis=1)
    return found


def _figure(metric: str, totals: np.ndarray) -> np.ndarray:
    """A metric from sums over clips (..., 2) or (..., 10)."""
    if totals.shape[-1] == 10:
        return bleu_from_counts(totals, int(metric[-1]))
    with np.errstate(divide="ignore", invalid="ignore"):
        return totals[..., 0] / totals[..., 1]


def paired_difference(
    metric: str, first: np.ndarray, second: np.ndarray, resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Difference of a metric, second minus first, with its 95% interval by a paired bootstrap over clips.

    Percentiles over resamples of the clips with replacement, the same for both sides (Efron and Tibshirani 1993).

    Args:
        metric: Its name.
        first, second: `statistics` of both, whose rows are the same clips.
        resamples: Number of resamples.
        seed: Of their draws.

    Returns:
        Difference, lower and upper bound.
    """
    random, count = np.random.default_rng(seed), len(first)
    differences = []
    for begin in range(0, resamples, _BATCH):
        size = min(_BATCH, resamples - begin)
        weights = random.multinomial(count, np.full(count, 1 / count), size=size).astype(np.float64)
        differences.append(_figure(metric, weights @ second) - _figure(metric, weights @ first))
    low, high = np.nanpercentile(np.concatenate(differences), [2.5, 97.5])
    whole = _figure(metric, second.sum(0)) - _figure(metric, first.sum(0))
    return float(whole), float(low), float(high)


def compare(
    names: Sequence[str], evaluations: Sequence[Mapping[str, Any]], resamples: int = 2000, seed: int = 0
) -> list[dict[str, Any]]:
    """Every metric of evaluations side by side.

    Args:
        names: What the evaluations are called.
        evaluations: What `load` returns; the first one is compared with.
        resamples, seed: See `paired_difference`.

    Returns:
        A row a task and metric: {"task", "metric", "values": [one an evaluation], "rests_on": [...], "differences":
        [{"difference", "low", "high", "clips"} or None, one for each but the first]}. None where an evaluation has not
        kept what an interval takes: values by clip, or for FID and Diversity embeddings of the same clips.

    Raises:
        ValueError: Fewer than two evaluations, protocol tags that differ, or no task in common.
    """
    if len(evaluations) < 2:
        raise ValueError(f"two evaluations or more are needed, got {len(evaluations)}")
    check_tags(names, evaluations)
    rows = []
    for task in TASKS:
        if not all(task in evaluation for evaluation in evaluations):
            continue
        sides = [evaluation[task].get("generated", evaluation[task]) for evaluation in evaluations]
        flat = [_flat(scores) for scores in sides]
        spreads = [_spreads(evaluations[0], other, task, resamples, seed) for other in evaluations[1:]]
        for metric in dict.fromkeys(name for scores in flat for name in scores):
            table = f"{task}_multimodality" if metric.rpartition("/")[2] == "multimodality" else task
            clips = [evaluation["clips"].get(table, {"ids": []}) for evaluation in evaluations]
            differences = [
                _around(metric, flat[0], scores, spread)
                if metric in spread
                else _difference(metric, clips[0], other, resamples, seed)
                if metric in flat[0] and metric in scores
                else None
                for other, scores, spread in zip(clips[1:], flat[1:], spreads, strict=True)
            ]
            row = {"task": task, "metric": metric, "values": [scores.get(metric) for scores in flat]}
            rests = [rests_on(scores) if metric == "consistency" else "" for scores in sides]
            rows.append(row | {"rests_on": rests, "differences": differences})
    if not rows:
        raise ValueError("the evaluations have no task in common")
    return rows


def _flat(scores: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in scores.items():
        if is_nested(value):
            flat |= _flat(value, f"{name}/")
        elif not name.startswith(RESTS_ON):
            flat[prefix + name] = value
    return flat


def _spreads(
    first: Mapping[str, Any], second: Mapping[str, Any], task: str, resamples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """{metric: {"half_width", "clips"}} of the figures of distributions, from the embeddings of both sides."""
    one, other = (evaluation.get("embeddings", {}).get(task) for evaluation in (first, second))
    found: dict[str, dict[str, Any]] = {}
    if not comparable(one, other):
        return found
    for judge in one.generated.keys() & other.generated.keys():
        prefix = "" if judge == "main" else f"{judge}/"
        spread = paired_spread(one, other, judge, max(2, min(resamples, RESAMPLES)), seed)
        for name, half_width in spread.items():
            found[prefix + name] = {"half_width": half_width, "clips": len(one.ids)}
    return found


def _around(
    metric: str, first: Mapping[str, Any], second: Mapping[str, Any], spreads: Mapping[str, Mapping[str, Any]]
) -> dict[str, Any]:
    """The difference of two figures with an interval as wide as the spread of its resamples."""
    values = [scores[metric] for scores in (first, second)]
    one, other = (value["mean"] if isinstance(value, Mapping) else value for value in values)
    whole, half_width = other - one, spreads[metric]["half_width"]
    found = {"difference": whole, "low": whole - half_width, "high": whole + half_width}
    return found | {"clips": spreads[metric]["clips"]}


def _difference(
    metric: str, first: Mapping[str, Any], second: Mapping[str, Any], resamples: int, seed: int
) -> dict[str, Any] | None:
    known = set(second["ids"])
    ids = [clip for clip in first["ids"] if clip in known]
    if len(ids) < 2:
        return None
    sides = [statistics(clips, ids).get(metric) for clips in (first, second)]
    if sides[0] is None or sides[1] is None:
        return None
    whole, low, high = paired_difference(metric, sides[0], sides[1], resamples, seed)
    return {"difference": whole, "low": low, "high": high, "clips": len(ids)}


def markdown(names: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> str:
    """Format a comparison as one table for each task.

    Args:
        names: Name of each evaluation.
        rows: Rows of `compare`.

    Returns:
        Markdown.
    """
    lines: list[str] = []
    for task in dict.fromkeys(row["task"] for row in rows):
        columns = [names[0], *(column for name in names[1:] for column in (name, f"{name} - {names[0]}"))]
        lines += [f"## {task}", "", "| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
        for row in rows:
            if row["task"] != task:
                continue
            values = [shown(value) for value in row["values"]]
            values = [
                f"{value} ({rests})" if rests else value for value, rests in zip(values, row["rests_on"], strict=True)
            ]
            cells = [values[0]]
            for value, difference in zip(values[1:], row["differences"], strict=True):
                cells += [value, _shown_difference(difference)]
            lines.append(f"| {row['metric']} | " + " | ".join(cells) + " |")
        lines.append("")
    lines.append("Differences with 95% intervals by a paired bootstrap over clips, bold where they exclude zero.")
    lines.append(
        "Those of FID and Diversity are of the first repeat's answers; without an interval: not kept by clip."
    )
    return "\n".join(lines)


def _shown_difference(difference: Mapping[str, Any] | None) -> str:
    if difference is None:
        return ""
    text = f"{difference['difference']:+.4g} [{difference['low']:+.4g}, {difference['high']:+.4g}]"
    return f"**{text}**" if difference["low"] > 0 or difference["high"] < 0 else text


@command
def main(argv: Sequence[str] | None = None) -> None:
    """Run the command and print the table.

    Args:
        argv: Arguments; None takes those of the process.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument(
        "evaluations", nargs="+", metavar="FOLDER", help="--output of run or score; the first is compared with"
    )
    parser.add_argument("--output", help="also write the comparison as JSON to this file")
    parser.add_argument("--resamples", type=positive_int, default=2000, help="of the bootstrap (default: 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the bootstrap (default: 0)")
    arguments = parser.parse_args(argv)
    with exit_on_error():
        names = [Path(folder).name for folder in arguments.evaluations]
        names = names if len(set(names)) == len(names) else list(arguments.evaluations)
        evaluations = [load(folder) for folder in arguments.evaluations]
        rows = compare(names, evaluations, arguments.resamples, arguments.seed)
        if arguments.output:
            write_json(arguments.output, {"evaluations": names, "rows": rows})
    print(markdown(names, rows))


if __name__ == "__main__":
    main()
