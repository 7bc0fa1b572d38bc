"""Results of an evaluation: kept repeat by repeat, summarised, and written as JSON and as tables."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evaluate_unimo import functional
from evaluate_unimo.labels import TASKS, variant
from modeling_unimo.files_unimo import write_json, write_text

RESTS_ON = "consistency_"  # how the names of what instruction accuracy rests on begin
COUNTS = ("n", "multimodality_n", "pool_size", "diversity_times", "consistency_claims")
RESULTS, TABLES, CLIPS = "results.json", "results.md", "clips.json"
LISTED = 10  # names that a table shows, of unusable inputs and of words


class Repeats:
    """The finished repeats of a run, kept line by line so that a killed evaluation resumes where it stopped.

    Args:
        path: The file.
        key: Settings and protocol; a file with another key is refused.
    """

    def __init__(self, path: Path, key: dict[str, Any]):
        self.path, self.key = path, key
        self.done: dict[tuple[str, int], tuple[dict, dict]] = {}
        if not path.is_file():
            return
        # What follows the last newline was cut when the run was killed: that repeat is done again.
        complete = path.read_bytes().rpartition(b"\n")[0]
        lines = [json.loads(line) for line in complete.splitlines()]
        if lines and lines[0] != key:
            raise SystemExit(f"error: {path.parent} holds an evaluation with other settings; choose another --output")
        with path.open("r+b") as file:
            file.truncate(len(complete) + 1 if complete else 0)
        self.done = {(line["task"], line["repeat"]): (line["result"], line["clips"]) for line in lines[1:]}

    def get(self, task: str, repeat: int, compute: Callable[[], Any]) -> tuple[dict, dict]:
        """Scores of a repeat, computed once and kept in the file.

        The embeddings of a task's first repeat are kept in a file of their own.

        Args:
            task: The task.
            repeat: Number of the repeat.
            compute: Returns a `Scored`.

        Returns:
            Scores and values by clip.
        """
        if (task, repeat) not in self.done:
            scored = compute()
            if repeat == 0 and scored.embeddings is not None:
                scored.embeddings.save(self.path.parent, task)
            self.done[task, repeat] = scored.scores, scored.clips
            self._append({"task": task, "repeat": repeat, "result": scored.scores, "clips": scored.clips})
        return self.done[task, repeat]

    def _append(self, line: dict[str, Any]) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with self.path.open("a", encoding="utf-8") as file:
            if file.tell() == 0:
                file.write(json.dumps(self.key) + "\n")
            file.write(json.dumps(line) + "\n")


def summarise(repeats: Sequence[Mapping[str, Any]], interval: str = "student") -> dict[str, Any]:
    """Mean and confidence interval of each metric over repeats.

    Counts are the smallest one; nested scores stay nested.

    Args:
        repeats: Scores of each repeat.
        interval: See `functional.mean_ci95`.

    Returns:
        The summary.
    """
    summary: dict[str, Any] = {}
    for name in dict.fromkeys(name for repeat in repeats for name in repeat):
        values = [repeat[name] for repeat in repeats if name in repeat]
        if isinstance(values[0], dict):
            summary[name] = summarise(values, interval)
        elif name in COUNTS:
            summary[name] = int(np.min(values))
        else:
            summary[name] = functional.mean_ci95(values, interval)
    return summary


def gather(collected: Mapping[str, Sequence[Mapping[str, Any]]], interval: str = "student") -> dict[str, Any]:
    """Summarise the repeats of each task; what belongs to the generated side is put with it.

    Args:
        collected: Repeats of each task.
        interval: See `functional.mean_ci95`.

    Returns:
        Summary by task.
    """
    extras = ("_free", "_multimodality")
    results: dict[str, Any] = {k: summarise(v, interval) for k, v in collected.items() if not k.endswith(extras)}
    if "t2m_multimodality" in collected:
        _merge(results["t2m"]["generated"], summarise(collected["t2m_multimodality"], interval))
    if "t2m_free" in collected:
        results["t2m"]["generated"] |= collected["t2m_free"][0]
    if "m2t_free" in collected:
        results["m2t"] |= collected["m2t_free"][0]
    return results


def _merge(scores: dict[str, Any], more: Mapping[str, Any]) -> None:
    """Puts the metrics of `more` into `scores`, those of another judge into that judge's."""
    for name, value in more.items():
        if is_nested(scores.get(name)):
            _merge(scores[name], value)
        else:
            scores[name] = value


def is_nested(value: Any) -> bool:
    """Whether a value among scores is the scores of another judge or captioning protocol.

    Args:
        value: The value.

    Returns:
        Whether it is nested.
    """
    return isinstance(value, dict) and "mean" not in value


def sum_clips(repeats: Sequence[Mapping[str, Sequence[Any]]]) -> dict[str, Any]:
    """What each clip adds to each metric, summed over repeats.

    Args:
        repeats: `Scored.clips` of each.

    Returns:
        {"ids": [...], metric: {"sum": [one a clip], "count": [repeats in which the clip was scored]}}.
    """
    sums: dict[str, dict[str, Any]] = {}
    counts: dict[str, dict[str, int]] = {}
    ids: dict[str, None] = {}
    for clips in repeats:
        ids |= dict.fromkeys(clips["ids"])
        for metric, values in clips.items():
            if metric == "ids":
                continue
            sum_of, count_of = sums.setdefault(metric, {}), counts.setdefault(metric, {})
            for clip, value in zip(clips["ids"], values, strict=True):
                if value is not None:
                    sum_of[clip] = np.add(sum_of.get(clip, 0), value)
                    count_of[clip] = count_of.get(clip, 0) + 1
    table: dict[str, Any] = {"ids": list(ids)}
    for metric, sum_of in sums.items():
        zero = np.zeros_like(next(iter(sum_of.values()), 0))
        table[metric] = {
            "sum": [np.asarray(sum_of.get(clip, zero)).tolist() for clip in ids],
            "count": [counts[metric].get(clip, 0) for clip in ids],
        }
    return table


def write_results(
    output: Path, results: dict[str, Any], clips: Mapping[str, Sequence[Mapping[str, Sequence[Any]]]]
) -> None:
    """Write results.json, results.md and clips.json.

    Args:
        output: The folder.
        results: What results.json is to hold.
        clips: `Scored.clips` of each repeat by task.
    """
    output.mkdir(parents=True, exist_ok=True)
    tables = {task: sum_clips(of_task) for task, of_task in clips.items() if of_task and of_task[0]}
    write_json(output / CLIPS, tables, indent=None)
    write_json(output / RESULTS, results)
    write_text(output / TABLES, markdown(results))


def markdown(results: Mapping[str, Any]) -> str:
    """Format results as tables: a row for each side and judge or captioning protocol, a column for each metric.

    Args:
        results: What `results.json` holds.

    Returns:
        Markdown, with mean ± half-width.
    """
    lines: list[str] = ["# Evaluation", ""]
    first = next(iter(results["protocol"]["caption_protocols"]))
    for task in TASKS:
        if task not in results:
            continue
        sides = {f"generated, {variant(first)}": results[task]} if task == "m2t" else results[task]
        columns, rows = table(sides)
        lines += [f"## {task}", "", "| | " + " | ".join(columns) + " |", "| --- " * (len(columns) + 1) + "|"]
        lines += ["| " + " | ".join(row) + " |" for row in rows] + [""]
    lines += _input_lines(results.get("inputs", {})) + _word_lines(results.get("unknown_words", {}))
    if "generation" in results:
        lines += ["Generation: " + ", ".join(f"{k} {v}" for k, v in results["generation"].items()), ""]
    lines += ["Protocol: " + json.dumps(results["protocol"]), ""]
    return "\n".join(lines)


def table(sides: Mapping[str, Mapping[str, Any]]) -> tuple[list[str], list[list[str]]]:
    """Scores as a table: a row a side and, below it, one for each judge or captioning protocol nested in its scores.

    Args:
        sides: {name of a row: scores}.

    Returns:
        The metrics, and the cells of each row, the first of them its name.
    """
    scored: dict[str, Mapping[str, Any]] = {}
    for side, scores in sides.items():
        nested = {name for name, value in scores.items() if is_nested(value)}
        scored[side] = {name: value for name, value in scores.items() if name not in nested}
        scored |= {f"{side.partition(',')[0]}, {variant(name)}": scores[name] for name in scores if name in nested}
    names = dict.fromkeys(name for scores in scored.values() for name in scores)
    columns = [name for name in names if not name.startswith(RESTS_ON)]
    return columns, [[side, *(_cell(scores, name) for name in columns)] for side, scores in scored.items()]


def _cell(scores: Mapping[str, Any], metric: str) -> str:
    basis = rests_on(scores) if metric == "consistency" else ""
    return shown(scores.get(metric)) + (f" ({basis})" if basis else "")


def rests_on(scores: Mapping[str, Any]) -> str:
    """Coverage of instruction accuracy in words.

    >>> rests_on({"consistency_decided": 0.5, "consistency_unread": {"mean": 0.25}, "consistency_claims": 80})
    '50% of 80 claims decided, 25% of sentences unread'

    Args:
        scores: Scores of one side.

    Returns:
        The words; empty if the scores hold no instruction accuracy.
    """
    if "consistency_claims" not in scores:
        return ""
    decided, unread = (scores[RESTS_ON + name] for name in ("decided", "unread"))
    decided, unread = (value["mean"] if isinstance(value, Mapping) else value for value in (decided, unread))
    return f"{decided:.0%} of {scores['consistency_claims']} claims decided, {unread:.0%} of sentences unread"


def shown(value: Any) -> str:
    """Format a value.

    Args:
        value: A number, {"mean": .., "ci95": ..} or None.

    Returns:
        Text; empty for None.
    """
    if value is None:
        return ""
    if isinstance(value, Mapping):
        return f"{value['mean']:.4g}" + (f" ± {value['ci95']:.2g}" if "ci95" in value else "")
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _input_lines(inputs: Mapping[str, Any]) -> list[str]:
    """What was read, and what of it could not be used, for the tables."""
    lines: list[str] = []
    for kind, read in inputs.items():
        lines += [f"Input, {kind}: " + ", ".join(f"{k} {v}" for k, v in read.items() if k != "problems"), ""]
        for problem, names in read["problems"].items():
            more = f" and {len(names) - LISTED} more" if len(names) > LISTED else ""
            lines.append(f"- {problem}: {len(names)} ({', '.join(names[:LISTED])}{more})")
        if read["problems"]:
            lines.append("")
    return lines


def _word_lines(unknown: Mapping[str, Any]) -> list[str]:
    """How many captions were asked for with words that the model never met, for the tables."""
    lines: list[str] = []
    for task, found in unknown.items():
        named = f" ({', '.join(found['words'])})" if found["words"] else ""
        lines += [
            f"Prompts of {task}: {found['with_unknown_words']} of {found['captions']} captions have words that the "
            f"model's training on motion never met{named}",
            "",
        ]
    return lines
