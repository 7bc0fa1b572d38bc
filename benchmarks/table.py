"""What was measured as JSON, Markdown and an HTML page with the curves."""

import json
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from benchmarks.timing import Figure, Item, Way
from datasets_scripts.templates import render
from modeling_unimo.files_unimo import write_json, write_text
from train.report.charts import line_chart

_TEMPLATES = Path(__file__).parent / "templates"
_FORM = 2  # of benchmarks.json; figures of another form are not taken over
_SAME = ("machine", "versions")  # what figures must have in common to stand in one table
_HEAD = (
    "item",
    "way",
    "rate or figure",
    "slowest to fastest",
    "times the baseline",
    "times the published repository",
    "goal",
    "share of the limit",
)


def _number(value: float) -> str:
    """A number with three significant digits and separators for thousands."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def limit_share(way: Way, limits: dict[str, float]) -> tuple[str, float] | None:
    """The limit that a way comes closest to.

    Args:
        way: With the operations and bytes that were counted.
        limits: Of `limits.measure`.

    Returns:
        The limit's name, and the share of it that the way reaches; None if nothing was counted.
    """
    least, host = {}, "host " if way.host else ""
    if way.operations is not None:
        least[f"{host}{way.dtype} peak"] = way.operations / limits[f"{host}{way.dtype}"]
    if way.moved is not None:
        least[f"{host}bandwidth"] = way.moved / limits[f"{host}bandwidth"]
    if not least:
        return None
    name = max(least, key=lambda key: least[key])
    return name, least[name] * way.rate / way.amount


def _as_json(
    items: Sequence[Item], machine: dict[str, Any], limits: dict[str, float], missing: dict[str, str]
) -> dict[str, Any]:
    """All results as JSON, with the rates, ratios and shares that follow from the seconds."""
    found = []
    for item in items:
        entry = asdict(item)
        for way, written in zip(item.ways, entry["ways"], strict=True):
            share = limit_share(way, item.limits)
            written |= {"rate": way.rate, "times_the_baseline": item.ratio(way)}
            written |= {"times_the_published_repository": item.published_ratio(way)}
            written |= {"limit": share[0] if share else None, "share_of_limit": share[1] if share else None}
        found.append(entry)
    return {"form": _FORM, "machine": machine, "limits": limits, "items": found, "missing": missing}


def read(folder: Path, machine: dict[str, Any]) -> tuple[dict[str, Item], dict[str, str]]:
    """What an earlier run on the same machine with the same versions left.

    Args:
        folder: Of the earlier run.
        machine: Of `run.machine_of`.

    Returns:
        Items by name, and reasons by item that was missing; both empty where machine, versions or form are others.

    Raises:
        ValueError: the folder's benchmarks.json was not written by this program.
    """
    file = folder / "benchmarks.json"
    if not file.is_file():
        return {}, {}
    try:
        told = json.loads(file.read_text(encoding="utf-8"))
        if told.get("form") != _FORM or any(told["machine"][name] != machine[name] for name in _SAME):
            return {}, {}
        return {entry["name"]: _item(entry) for entry in told["items"]}, dict(told["missing"])
    except (json.JSONDecodeError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{file} is not a file of benchmarks ({error!r}); delete it or use another folder") from error


def _item(entry: dict[str, Any]) -> Item:
    names = {place.name for place in fields(Way)}  # without what follows from the seconds
    ways = [Way(**{name: value for name, value in way.items() if name in names}) for way in entry["ways"]]
    return Item(**(entry | {"ways": ways, "figures": [Figure(**figure) for figure in entry["figures"]]}))


def rows(items: Sequence[Item]) -> list[tuple[str, ...]]:
    """The rows of the table.

    Args:
        items: In the order of the table.

    Returns:
        Cells of each line, as `_HEAD` names them.
    """
    lines = []
    for item in items:
        titles = iter([item.title + (f" ({item.kind})" if item.kind else "")])
        for way in item.ways:
            slowest, fastest = way.spread
            ratios, share = (item.ratio(way), item.published_ratio(way)), limit_share(way, item.limits)
            goals = [f">= {way.goal:g}"] if way.goal else []
            goals += [f">= {way.limit_goal:.0%} of the limit"] if way.limit_goal else []
            lines.append(
                (
                    next(titles, ""),
                    way.name,
                    f"{_number(way.rate)} {item.unit}/s",
                    f"{_number(slowest)} to {_number(fastest)} ({way.spread_of or len(way.seconds)})",
                    *("" if ratio is None else f"{ratio:.1f}" for ratio in ratios),
                    ", ".join(goals),
                    "" if share is None else f"{share[1]:.0%} of {share[0]}",
                )
            )
        for figure in item.figures:
            unit = f" {figure.unit}" if figure.unit else ""
            goal = "" if figure.at_most is None else f"<= {_number(figure.at_most)}{unit}"
            lines.append((next(titles, ""), figure.name, f"{_number(figure.value)}{unit}", "", "", "", goal, ""))
    return lines


def _machine(machine: dict[str, Any], limits: dict[str, float]) -> list[str]:
    """Paragraphs on the machine and its measured limits."""
    host = (
        f" The host, for what runs on it in any case: {limits['host bandwidth'] / 1e9:.1f} GB/s and "
        f"{limits['host float64'] / 1e9:,.0f} GFLOP/s in float64."
    )
    return [
        "; ".join(f"{name}: {value}" for name, value in machine.items()) + ".",
        f"Limits measured in the same run: memory bandwidth {limits['bandwidth'] / 1e9:.1f} GB/s (a large copy, read "
        f"and written), arithmetic peak {limits['float32'] / 1e9:,.0f} GFLOP/s in float32 and "
        f"{limits['bfloat16'] / 1e9:,.0f} in bfloat16 (a large matrix product).{host} A rate is that of the median "
        "repeat. A share of a limit goes by the limits of the run in which its item was measured.",
        "A published repository is its own code (`--published`); every other published way is that step rebuilt.",
    ]


def _published(item: Item) -> str:
    """A sentence on which published code ran, or why none did."""
    told = item.published
    if not told:
        return ""
    if "not run" in told:
        return f"Published repository not run: {told['not run']}."
    return (
        f"Published repository: {told['repository']} ({told['url']}) at {told['commit']}, {', '.join(told['files'])}: "
        f"{told['functions']}. Adapted: {told['adapted']}."
    )


def _notes(items: Sequence[Item], missing: dict[str, str]) -> list[tuple[str, str]]:
    """Notes and further facts of each item, and what was not measured: (name, text)."""
    notes = []
    for item in items:
        facts = [f"{name}: {_number(v) if isinstance(v, float) else v}" for name, v in item.facts.items()]
        facts += [f"measured {item.measured}"] if item.measured else []
        words = " ".join(part for part in (item.note, _published(item), "; ".join(facts)) if part)
        notes += [(item.name, f": {words}")] if words else []
    return notes + [(name, f" was not measured: {reason}") for name, reason in missing.items()]


def write(
    folder: Path,
    items: Sequence[Item],
    machine: dict[str, Any],
    limits: dict[str, float],
    missing: dict[str, str],
) -> None:
    """Write `benchmarks.json`, `benchmarks.md` and, with the curves, `benchmarks.html`.

    Args:
        folder: made if it does not exist.
        items: what was measured.
        machine, limits: what it was measured on, and what that can do at most.
        missing: items that were not measured, with the reason.
    """
    folder.mkdir(parents=True, exist_ok=True)
    charts = [
        (title, line_chart(chart["points"], chart["x"], chart["y"], title))
        for item in items
        for title, chart in item.series.items()
    ]
    content = {"paragraphs": _machine(machine, limits), "head": _HEAD, "rows": rows(items)}
    content |= {"notes": _notes(items, missing), "charts": charts}
    write_json(folder / "benchmarks.json", _as_json(items, machine, limits, missing))
    for suffix in ("md", "html"):
        write_text(folder / f"benchmarks.{suffix}", render(_TEMPLATES / f"benchmarks.{suffix}", **content))
