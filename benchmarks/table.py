"""What was measured as JSON, Markdown and an HTML page with the curves."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from html import escape
from pathlib import Path
from typing import Any

from benchmarks.timing import Item, Way
from modeling_unimo.files_unimo import whole
from train.report import line_chart

_HEAD = ("item", "way", "rate", "slowest to fastest", "times the baseline", "goal", "share of the limit")
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 72em; margin: 2em auto; padding: 0 1em; color: #222; }
table { border-collapse: collapse; } th, td { padding: .2em .7em; border-bottom: 1px solid #ccc; text-align: left; }
figure { display: inline-block; margin: 1em; } svg { width: 28em; } text { font-size: 11px; fill: #444; }
.grid { stroke: #e5e5e5; } .axis { stroke: #888; } polyline { fill: none; stroke: #1f6fb4; stroke-width: 2; }
.dot { fill: #1f6fb4; }
"""


def number(value: float) -> str:
    """Three digits that matter, with separators for thousands."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def limit_share(way: Way, limits: dict[str, float]) -> tuple[str, float] | None:
    """The limit that leaves the least time to gain, and which share of it a way reaches; None: not counted."""
    least = {}
    if way.operations is not None:
        least[f"{way.dtype} peak"] = way.operations / limits[way.dtype]
    if way.moved is not None:
        least["bandwidth"] = way.moved / limits["bandwidth"]
    if not least:
        return None
    name = max(least, key=lambda key: least[key])
    return name, least[name] * way.rate / way.amount


def as_json(items: Sequence[Item], machine: dict[str, Any], limits: dict[str, float]) -> dict[str, Any]:
    """Everything, with the rates, ratios and shares that follow from the seconds."""
    told = []
    for item in items:
        entry = asdict(item)
        for way, written in zip(item.ways, entry["ways"], strict=True):
            share = limit_share(way, limits)
            written |= {"rate": way.rate, "times_the_baseline": item.ratio(way)}
            written |= {"limit": share[0] if share else None, "share_of_limit": share[1] if share else None}
        told.append(entry)
    return {"machine": machine, "limits": limits, "items": told}


def rows(items: Sequence[Item], limits: dict[str, float]) -> list[tuple[str, ...]]:
    """The lines of the table."""
    lines = []
    for item in items:
        for way in item.ways:
            slowest, fastest = way.spread
            ratio, share = item.ratio(way), limit_share(way, limits)
            goals = [f">= {way.goal:g}"] if way.goal else []
            goals += [f">= {way.limit_goal:.0%} of the limit"] if way.limit_goal else []
            lines.append(
                (
                    item.title if way is item.ways[0] else "",
                    way.name,
                    f"{number(way.rate)} {item.unit}/s",
                    f"{number(slowest)} to {number(fastest)} ({len(way.seconds)})",
                    "" if ratio is None else f"{ratio:.1f}",
                    ", ".join(goals),
                    "" if share is None else f"{share[1]:.0%} of {share[0]}",
                )
            )
    return lines


def markdown(items: Sequence[Item], machine: dict[str, Any], limits: dict[str, float], missing: dict[str, str]) -> str:
    """The table, and below it the further figures and notes of each item."""
    words = [f"{name}: {value}" for name, value in machine.items()]
    lines = ["# Benchmarks", "", "; ".join(words) + ".", ""]
    lines.append(
        f"Limits measured in the same run: memory bandwidth {limits['bandwidth'] / 1e9:.1f} GB/s (a large copy, read "
        f"and written), arithmetic peak {limits['float32'] / 1e9:,.0f} GFLOP/s in float32 and "
        f"{limits['bfloat16'] / 1e9:,.0f} in bfloat16 (a large matrix product). A rate is that of the median repeat."
    )
    lines += ["", f"| {' | '.join(_HEAD)} |", f"|{' --- |' * len(_HEAD)}"]
    lines += [f"| {' | '.join(row)} |" for row in rows(items, limits)]
    lines += [""]
    for item in items:
        if item.facts or item.note:
            facts = "; ".join(f"{k}: {number(v) if isinstance(v, float) else v}" for k, v in item.facts.items())
            lines.append(f"- **{item.name}**: {' '.join(part for part in (item.note, facts) if part)}")
    lines += [f"- **{name}** was not measured: {reason}" for name, reason in missing.items()]
    return "\n".join(lines) + "\n"


def page(items: Sequence[Item], limits: dict[str, float]) -> str:
    """The table and the curves."""
    head = "".join(f"<th>{escape(name)}</th>" for name in _HEAD)
    body = "".join(f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in row)}</tr>" for row in rows(items, limits))
    charts = [
        line_chart(chart["points"], chart["x"], chart["y"], title)
        for item in items
        for title, chart in item.series.items()
    ]
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Benchmarks</title><style>{_STYLE}</style>'
        f"<h1>Benchmarks</h1>{''.join(charts)}<table><tr>{head}</tr>{body}</table></html>\n"
    )


def write(
    folder: Path,
    items: Sequence[Item],
    machine: dict[str, Any],
    limits: dict[str, float],
    missing: dict[str, str],
) -> None:
    """`benchmarks.json`, `benchmarks.md` and `benchmarks.html` in the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    texts = {
        "benchmarks.json": json.dumps(as_json(items, machine, limits) | {"missing": missing}, indent=2) + "\n",
        "benchmarks.md": markdown(items, machine, limits, missing),
        "benchmarks.html": page(items, limits),
    }
    for name, text in texts.items():
        with whole(folder / name) as part:
            part.write_text(text, encoding="utf-8")
