"""The report of a run: one self-contained HTML page from what the stages wrote (`write_report(run_dir)`).

Reads `metrics.json` (required) and, where they are there, `curves.json`, `samples/samples.json` with
`samples/samples.npz`, and each stage's `training_run.json`. What is missing is named on the page instead of left out
silently. Charts are inline SVG, motions play in the browser, nothing is fetched.
"""

import argparse
import base64
import json
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np

from modeling_unimo.files_unimo import write_text
from modeling_unimo.rendering_unimo import contact_sheet, png_bytes
from modeling_unimo.visualization_unimo import page_html, player_assets, player_html

SAMPLES = Path("samples") / "samples.json"
JOINTS = Path("samples") / "samples.npz"
STAGE_SETTINGS = "training_run.json"
SHOWN = 12
SHEET_VIEWS = (("three-quarter",), ("three-quarter", "front", "side", "top"))
PLAYER_BUDGET = 7_000_000
"""Bytes of players on one page; what goes beyond is named, so that the page stays below 10 MB."""

STAGES = {
    "data": "Data",
    "vqvae": "Motion VQ-VAE",
    "evaluator": "Evaluator (the judge)",
    "evaluator_held_out": "Held-out judge",
    "sft": "Supervised fine-tuning",
    "grpo": "GRPO",
    "evaluate_sft": "Evaluation after SFT",
    "evaluate_grpo": "Evaluation after GRPO",
    "samples": "Samples",
}
ARMS = {"real": "Real", "sft": "After SFT", "grpo": "After GRPO"}
SPLITS = {
    "t2m": ("Standard test split", "FID of real motion: one half of the test motions against the other."),
    "t2m_hard": ("Hard split", "Longer sequences, combinations held out of training, captions that say less."),
    "t2m_attributes": ("Attribute pools", "R-Precision among captions that differ in one attribute only."),
}


@dataclass(frozen=True)
class Figure:
    """How a metric is shown: its name, which way is better (+1, -1, 0 = neither), decimals, and whether a share."""

    name: str
    better: int = 0
    decimals: int = 3
    share: bool = False


FIGURES = {
    "r_precision_top1": Figure("R@1", +1),
    "r_precision_top2": Figure("R@2", +1),
    "r_precision_top3": Figure("R@3", +1),
    "consistency": Figure("Instruction accuracy", +1, 1, share=True),
    "fid": Figure("FID", -1),
    "mm_dist": Figure("MM-Dist", -1),
    "diversity": Figure("Diversity"),
    "multimodality": Figure("MultiModality"),
    "bleu1": Figure("BLEU@1", +1),
    "bleu4": Figure("BLEU@4", +1),
    "rouge_l": Figure("ROUGE-L", +1),
    "cider": Figure("CIDEr", +1),
    "bertscore_f1": Figure("BERTScore F1", +1),
    "valid": Figure("Valid under the grammar", +1, 1, share=True),
    "valid_free": Figure("Valid sampled free", +1, 1, share=True),
    "mpjpe_mm": Figure("Joint error (MPJPE), mm", -1, 1),
    "root_drift_m": Figure("Root drift at the end, m", -1),
    "codes_used": Figure("Codes used", +1, 1, share=True),
    "perplexity": Figure("Perplexity of the codes", +1, 0),
    "n": Figure("N", 0, 0),
}


# ------------------------------------------------------------------------------------------------- reading the run


def _read_object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); run the stage that writes it again.") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds {type(value).__name__}; expected an object with names.")
    return value


def _read_joints(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read ({error}); run the stage that writes it again.") from error


def _read_run(run: Path) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any] | None]:
    if not run.is_dir():
        raise FileNotFoundError(f"{run} is no folder; give the run folder of a quickstart.")
    if not (run / "metrics.json").is_file():
        raise FileNotFoundError(f"{run} holds no metrics.json; it is written when a quickstart finishes.")
    metrics = _read_object(run / "metrics.json")
    curves = _read_object(run / "curves.json") if (run / "curves.json").is_file() else {}
    samples = _read_object(run / SAMPLES) if (run / SAMPLES).is_file() else None
    return metrics, curves, samples


def _mean(value: Any) -> float | None:
    """The number in a metric, whether plain or {"mean", "ci95"}; None where there is none."""
    if isinstance(value, Mapping):
        value = value.get("mean")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)


def _scores(side: Any) -> dict[str, Any]:
    """The metrics of one side without the nested judge."""
    return {k: v for k, v in side.items() if _mean(v) is not None} if isinstance(side, Mapping) else {}


def _figure(name: str) -> Figure:
    return FIGURES.get(name) or Figure(name.replace("_", " "))


def _number(value: Any, figure: Figure, interval: bool = True) -> str:
    mean = _mean(value)
    if mean is None:
        return "–"
    if not math.isfinite(mean):
        return "not finite"
    factor, sign = (100.0, "%") if figure.share else (1.0, "")
    # A share that is not quite whole must not read as whole.
    decimals = figure.decimals
    while figure.share and mean < 1 and round(mean * 100, decimals) == 100 and decimals < 6:
        decimals += 1
    text = f"{mean * factor:,.{decimals}f}"
    width = value.get("ci95") if interval and isinstance(value, Mapping) else None
    if isinstance(width, (int, float)) and math.isfinite(width) and width > 0:
        text += f'<span class="ci"> ± {width * factor:.{decimals}f}</span>'
    return text + sign


def _duration(seconds: float) -> str:
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def _memory(megabytes: float) -> str:
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1024 else f"{megabytes:.0f} MB"


# ----------------------------------------------------------------------------------------------------------- charts


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """About ``count`` round values that cover [low, high]."""
    if not high > low:
        pad = abs(low) * 0.1 or 1.0
        low, high = low - pad, high + pad
    raw = (high - low) / count
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 2.5, 5, 10) if m * power >= raw * 0.999)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(i * step, 12) for i in range(first, last + 1)]


def _tick(value: float) -> str:
    if value == 0:
        return "0"
    if abs(value) >= 10_000 and value % 1000 == 0:
        return f"{value / 1000:g}k"
    return f"{value:.0e}" if abs(value) < 1e-4 else f"{value:g}"


def _moving_average(values: Sequence[float], window: int) -> list[float]:
    sums = np.cumsum(np.concatenate([[0.0], np.asarray(values, float)]))
    out = []
    for i in range(len(values)):
        reach = min(window, i, len(values) - 1 - i)
        out.append(float((sums[i + reach + 1] - sums[i - reach]) / (2 * reach + 1)))
    return out


def line_chart(series: Mapping[str, Sequence[tuple[float, float]]], x_label: str, y_label: str, title: str) -> str:
    """An SVG of one or more (x, y) series with axes, ticks and a legend below; noisy series also get their trend.

    Raises:
        ValueError: no series, or none with a finite point.
    """
    clean = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)] for name, points in series.items()
    }
    clean = {name: points for name, points in clean.items() if points}
    if not clean:
        raise ValueError(f"chart {title!r} has no finite point to draw.")
    xs = [x for points in clean.values() for x, _ in points]
    ys = [y for points in clean.values() for _, y in points]
    log = min(ys) > 0 and max(ys) > 100 * min(ys)
    scale = math.log10 if log else (lambda y: y)
    if log:
        y_ticks = [10.0**e for e in range(math.floor(scale(min(ys))), math.ceil(scale(max(ys))) + 1)]
    else:
        y_ticks = nice_ticks(min(ys), max(ys), 4)
    x_ticks = nice_ticks(min(xs), max(xs), 4)
    x_ticks = [t for t in x_ticks if min(xs) <= t <= max(xs)] or [xs[0]]
    labels = [_tick(t) for t in y_ticks]
    left, right, top, bottom, width, height = 14 + 7 * max(map(len, labels)), 14, 26, 40, 420, 250
    x_low, x_high = min(xs), max(xs)
    y_low, y_high = scale(y_ticks[0]), scale(y_ticks[-1])

    def place(x: float, y: float) -> tuple[float, float]:
        across = (x - x_low) / (x_high - x_low) if x_high > x_low else 0.5
        up = (scale(y) - y_low) / (y_high - y_low)
        return left + across * (width - left - right), height - bottom - up * (height - top - bottom)

    parts = [
        f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}: '
        f'{escape(", ".join(clean))} over {escape(x_label)}">'
    ]
    for tick, label in zip(y_ticks, labels, strict=True):
        y = place(x_low, tick)[1]
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{y:.1f}" y2="{y:.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{y + 4:.1f}" text-anchor="end">{label}</text>')
    for tick in x_ticks:
        x = place(tick, y_ticks[0])[0]
        parts.append(
            f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{height - bottom}" y2="{height - bottom + 4}"/>'
        )
        # Labels at the ends are kept inside the picture.
        anchor = "end" if x > width - right - 12 else "middle"
        parts.append(f'<text x="{x:.1f}" y="{height - bottom + 16}" text-anchor="{anchor}">{_tick(tick)}</text>')
    parts.append(
        f'<line class="axis" x1="{left}" x2="{width - right}" y1="{height - bottom}" y2="{height - bottom}"/>'
    )
    parts.append(f'<text class="name" x="{(left + width - right) / 2}" y="{height - 5}" text-anchor="middle">')
    parts.append(f"{escape(x_label)}</text>")
    parts.append(f'<text class="name" x="2" y="13">{escape(y_label)}{" (log scale)" if log else ""}</text>')
    for index, points in enumerate(clean.values()):
        color = f"s{index % 6}"
        placed = " ".join(f"{x:.1f},{y:.1f}" for x, y in (place(*p) for p in points))
        noisy = len(points) > 60
        if len(points) == 1:
            x, y = place(*points[0])
            parts.append(f'<circle class="{color} dot" cx="{x:.1f}" cy="{y:.1f}" r="3.5"/>')
        else:
            parts.append(f'<polyline class="{color}{" faint" if noisy else ""}" points="{placed}"/>')
        if noisy:
            trend = _moving_average([y for _, y in points], max(2, len(points) // 40))
            placed = " ".join(
                f"{x:.1f},{y:.1f}" for x, y in (place(p[0], y) for p, y in zip(points, trend, strict=True))
            )
            parts.append(f'<polyline class="{color}" points="{placed}"/>')
    parts.append("</svg>")
    legend = ""
    if len(clean) > 1:
        items = "".join(f'<li><i class="s{i % 6}"></i>{escape(name)}</li>' for i, name in enumerate(clean))
        legend = f'<ul class="legend">{items}</ul>'
    return f'<figure class="panel"><figcaption>{escape(title)}</figcaption>{"".join(parts)}{legend}</figure>'


def histogram(counts: Sequence[int], title: str, x_label: str, y_label: str) -> str:
    """An SVG of counts, largest first, as bars that touch."""
    ordered = sorted((int(c) for c in counts), reverse=True)
    ticks = nice_ticks(0, max(ordered[0], 1), 4)
    labels = [_tick(t) for t in ticks]
    left, right, top, bottom, width, height = 14 + 7 * max(map(len, labels)), 14, 26, 40, 420, 220
    span = width - left - right

    def up(value: float) -> float:
        return height - bottom - value / ticks[-1] * (height - top - bottom)

    parts = [f'<svg class="chart" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(title)}">']
    for tick, label in zip(ticks, labels, strict=True):
        parts.append(f'<line class="grid" x1="{left}" x2="{width - right}" y1="{up(tick):.1f}" y2="{up(tick):.1f}"/>')
        parts.append(f'<text x="{left - 6}" y="{up(tick) + 4:.1f}" text-anchor="end">{label}</text>')
    path = [f"M{left},{height - bottom}"]
    for i, count in enumerate(ordered):
        path.append(f"V{up(count):.1f}H{left + span * (i + 1) / len(ordered):.1f}")
    parts.append(f'<path class="bars" d="{"".join(path)}V{height - bottom}Z"/>')
    for tick in nice_ticks(0, len(ordered), 6):
        if tick <= len(ordered):
            x = left + span * tick / len(ordered)
            anchor = "end" if x > width - right - 12 else "middle"
            parts.append(f'<text x="{x:.1f}" y="{height - bottom + 16}" text-anchor="{anchor}">{_tick(tick)}</text>')
    parts.append(
        f'<line class="axis" x1="{left}" x2="{width - right}" y1="{height - bottom}" y2="{height - bottom}"/>'
    )
    parts.append(
        f'<text class="name" x="{left + span / 2}" y="{height - 5}" text-anchor="middle">{escape(x_label)}</text>'
    )
    parts.append(f'<text class="name" x="2" y="13">{escape(y_label)}</text></svg>')
    return f'<figure class="panel histogram"><figcaption>{escape(title)}</figcaption>{"".join(parts)}</figure>'


# Panels of the training curves: title, unit, and the logged keys they show (a trailing * matches the rest).
PANELS = (
    ("Loss", "loss", ("loss", "eval_loss")),
    ("Joint error on validation clips", "mm", ("eval_mpjpe_mm",)),
    ("Root drift on validation clips", "m", ("eval_root_drift_m",)),
    ("Codes used", "share of the codebook", ("eval_codes_used",)),
    ("Perplexity of the codes", "codes", ("perplexity", "eval_perplexity")),
    ("R-Precision on validation clips", "share", ("eval_r_precision_*",)),
    ("Reward", "mean of the sum", ("reward",)),
    ("Rewards by kind", "mean", ("rewards/*/mean",)),
    ("Distance from the SFT model", "KL", ("kl",)),
    ("Token accuracy", "share", ("mean_token_accuracy", "eval_mean_token_accuracy", "*accuracy_*")),
    ("Entropy", "nats a token", ("entropy", "eval_entropy")),
    ("Length of answers", "tokens", ("completions/mean_length",)),
    ("Groups whose answers all scored the same", "share", ("frac_reward_zero_std",)),
)
_BOOKKEEPING = ("step", "epoch", "total_flos", "num_tokens", "num_input_tokens_seen")
_BOOKKEEPING_ENDS = ("_runtime", "_per_second", "step_time")


def _matches(key: str, pattern: str) -> bool:
    head, star, tail = pattern.partition("*")
    return key == pattern if not star else len(key) >= len(head + tail) and key.startswith(head) and key.endswith(tail)


def _series(log: Iterable[Any]) -> dict[str, list[tuple[float, float]]]:
    """(step, value) per logged number of a Trainer's log history."""
    series: dict[str, list[tuple[float, float]]] = {}
    for entry in log:
        if not isinstance(entry, Mapping) or _mean(entry.get("step")) is None:
            continue
        for key, value in entry.items():
            number = _logged_number(value)
            skip = key in _BOOKKEEPING or key.startswith("train_") or key.endswith(_BOOKKEEPING_ENDS)
            if number is not None and not skip:
                series.setdefault(key, []).append((float(entry["step"]), number))
    return series


def _logged_number(value: Any) -> float | None:
    # The Trainer writes some numbers as text.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return _mean(value)


def _curve_panels(log: Iterable[Any]) -> tuple[list[str], list[str], str]:
    """Charts of one stage: the telling ones, everything else that was logged, and what was logged once."""
    series = {k: points for k, points in _series(log).items() if any(math.isfinite(y) for _, y in points)}
    # What was measured once is a number, not a curve.
    single = {k: points[0] for k, points in series.items() if len(points) == 1}
    series = {k: points for k, points in series.items() if len(points) > 1}
    main: list[str] = []
    used: set[str] = set()
    for title, unit, patterns in PANELS:
        keys = [k for pattern in patterns for k in series if _matches(k, pattern) and k not in used]
        if keys:
            used.update(keys)
            named = {_series_name(k): series[k] for k in keys}
            main.append(line_chart(named, "step", unit, title))
    rest = [line_chart({k: series[k]}, "step", k, k) for k in sorted(series) if k not in used]
    once = "; ".join(f"{_series_name(k)} {y:.4g} (step {x:g})" for k, (x, y) in single.items())
    return main, rest, once


def _series_name(key: str) -> str:
    name = key.removeprefix("eval_").removeprefix("rewards/").removesuffix("/mean").replace("_", " ")
    name = name.replace("r precision top", "R@")
    return f"{name} (validation)" if key.startswith("eval_") else name


# --------------------------------------------------------------------------------------------------------- sections


def _missing(what: str, file: str | Path) -> str:
    return f'<p class="missing">{escape(what)}: this run holds no <code>{escape(str(file))}</code>.</p>'


def _arms(sides: Mapping[str, Any]) -> list[str]:
    known = [arm for arm in ARMS if arm in sides]
    return known + [arm for arm in sides if arm not in ARMS and isinstance(sides[arm], Mapping)]


def _table(sides: Mapping[str, Any], caption: str, note: str) -> str:
    """Metrics as rows; Real, SFT, GRPO as columns, once for each judge."""
    arms = _arms(sides)
    judged = any(isinstance(sides[arm].get("held_out"), Mapping) for arm in arms)
    groups: list[tuple[str, dict[str, dict[str, Any]]]] = [("Judge", {arm: _scores(sides[arm]) for arm in arms})]
    if judged:
        groups.append(("Held-out judge", {arm: _scores(sides[arm].get("held_out")) for arm in arms}))
    present = {k for _, group in groups for scores in group.values() for k in scores}
    rows = [k for k in FIGURES if k in present] + sorted(present - set(FIGURES))
    head = "".join(f"<th scope=col>{escape(ARMS.get(arm, arm))}</th>" for arm in arms)
    html = [f'<div class="scroll"><table><caption>{escape(caption)}</caption><thead>']
    if judged:
        spans = "".join(f'<th scope=colgroup colspan="{len(arms)}">{name}</th>' for name, _ in groups)
        html.append(f"<tr><th class=blank></th>{spans}</tr>")
    html.append(f"<tr><th scope=col>Metric</th>{head * len(groups)}</tr></thead><tbody>")
    for key in rows:
        figure = _figure(key)
        arrow = {1: " ↑", -1: " ↓", 0: ""}[figure.better]
        html.append(f"<tr><th scope=row>{escape(figure.name)}{arrow}</th>")
        for index, (_, group) in enumerate(groups):
            best = _best(group, key, figure.better)
            for position, arm in enumerate(arms):
                classes = [c for c, on in (("best", arm == best), ("first", index and not position)) if on]
                mark = f' class="{" ".join(classes)}"' if classes else ""
                html.append(f"<td{mark}>{_number(group[arm].get(key), figure)}</td>")
        html.append("</tr>")
    html.append("</tbody></table></div>")
    return "".join(html) + (f'<p class="note">{escape(note)}</p>' if note else "")


def _best(group: Mapping[str, Mapping[str, Any]], key: str, better: int) -> str | None:
    """The trained arm with the better mean, if there are several and they differ."""
    means = {arm: _mean(scores.get(key)) for arm, scores in group.items() if arm != "real"}
    values = {arm: mean for arm, mean in means.items() if mean is not None and math.isfinite(mean)}
    if not better or len(values) < 2 or len(set(values.values())) < 2:
        return None
    return max(values, key=lambda arm: better * values[arm])


def _key_figures(metrics: Mapping[str, Any]) -> str:
    def get(*path: str) -> Any:
        value: Any = metrics
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    arm = "grpo" if get("t2m", "grpo") else "sft"
    cards: list[tuple[str, str, str]] = []

    def card(value: Any, key: str, name: str, note: str) -> None:
        if _mean(value) is not None:
            cards.append((name, _number(value, FIGURES[key], interval=False), note))

    def real(key: str) -> str:
        value = get("t2m", "real", key)
        return f"real motion {_number(value, FIGURES[key], interval=False)}" if _mean(value) is not None else ""

    card(get("t2m", arm, "r_precision_top1"), "r_precision_top1", "R@1, text to motion", real("r_precision_top1"))
    card(get("t2m", arm, "consistency"), "consistency", "Instruction accuracy", real("consistency"))
    card(get("t2m", arm, "fid"), "fid", "FID", real("fid"))
    card(get("m2t", arm, "bleu4"), "bleu4", "BLEU@4, motion to text", "")
    card(get("t2m", arm, "valid_free"), "valid_free", "Valid answers, free", "sampled without the grammar")
    card(get("vqvae", "mpjpe_mm"), "mpjpe_mm", "VQ-VAE joint error, mm", "root taken off")
    card(get("vqvae", "codes_used"), "codes_used", "Codes used", "")
    total, memory = _mean(get("seconds", "total")), _mean(metrics.get("peak_memory_mb"))
    if total is not None:
        cards.append(("Time, all stages", _duration(total), f"peak {_memory(memory)}" if memory is not None else ""))
    return "".join(
        f'<div class="card"><div class="what">{escape(name)}</div><div class="value">{value}</div>'
        f'<div class="aside">{note}</div></div>'
        for name, value, note in cards
    )


class _Players:
    """Makes players out of the joint arrays of a run until the page is full."""

    def __init__(self, joints: Mapping[str, np.ndarray], fps: float):
        self.joints, self.fps, self.spent, self.made = joints, fps, 0, 0

    def html(self, keys: Sequence[tuple[str, str]], height: int) -> str:
        """Tracks as (array name, label); a motion that cannot be drawn says why in its place."""
        absent = [name for name, _ in keys if name not in self.joints]
        if absent:
            return f'<p class="missing">No motion {escape(", ".join(map(str, absent)))} in {escape(str(JOINTS))}.</p>'
        tracks = [
            {"joints": self.joints[name], "label": f"{label} · {len(self.joints[name]) / self.fps:.1f} s"}
            for name, label in keys
        ]
        try:
            player = player_html(tracks, fps=self.fps, height=height, assets=False)
        except ValueError as error:
            return f'<p class="missing">This motion cannot be drawn: {escape(str(error))}</p>'
        if self.spent + len(player) > PLAYER_BUDGET:
            return f'<p class="missing">Left out to keep the page small; the motion is in {escape(str(JOINTS))}.</p>'
        self.spent += len(player)
        self.made += 1
        return player


def _thought(text: Any) -> str:
    if not text:
        return ""
    return f'<p class="thought"><b>Thought</b> {escape(str(text))}</p>'


def _motions_section(samples: Mapping[str, Any], players: _Players) -> str:
    html = []
    for entry in list(samples.get("t2m", ()))[:SHOWN]:
        keys = [(entry.get("reference", ""), "Ground truth"), (entry.get("generated", ""), "Generated")]
        html.append(
            f'<article class="sample"><h3>{escape(str(entry.get("caption", "")))}</h3>'
            f"{players.html(keys, 300)}{_thought(entry.get('thought'))}</article>"
        )
    return f'<div class="samples two">{"".join(html)}</div>' if html else '<p class="missing">No samples.</p>'


def _sheets_section(samples: Mapping[str, Any], joints: Mapping[str, np.ndarray], fps: float) -> str:
    """Two generated motions as the frame renderer draws them: what a vision-language model or a person is shown."""
    html = []
    for entry, views in zip(list(samples.get("t2m", ()))[:2], SHEET_VIEWS, strict=False):
        motion = joints.get(entry.get("generated", ""))
        if motion is None:
            continue
        across = len(views) > 1
        try:
            sheet = contact_sheet(
                motion, n=4 if across else 8, columns=2 if across else 4, size=180, view=views, fps=fps
            )
        except ValueError as error:
            html.append(f'<p class="missing">This motion cannot be drawn: {escape(str(error))}</p>')
            continue
        picture = base64.b64encode(png_bytes(sheet)).decode("ascii")
        text = escape(str(entry.get("caption", "")))
        html.append(
            f'<figure class="sheet"><img alt="{text}" src="data:image/png;base64,{picture}">'
            f"<figcaption>{text} ({escape(', '.join(views))} view)</figcaption></figure>"
        )
    return "".join(html) or '<p class="missing">No generated motion to draw.</p>'


def _descriptions_section(samples: Mapping[str, Any], players: _Players) -> str:
    html = []
    for entry in list(samples.get("m2t", ()))[:SHOWN]:
        references = "".join(f"<li>{escape(str(text))}</li>" for text in entry.get("references", ()))
        html.append(
            f'<article class="sample"><h3>{escape(str(entry.get("caption", "")))}</h3>'
            f"{players.html([(entry.get('motion', ''), 'Motion')], 250)}{_thought(entry.get('thought'))}"
            f'<p class="refs">Captions in the dataset</p><ul class="refs">{references}</ul></article>'
        )
    return f'<div class="samples three">{"".join(html)}</div>' if html else '<p class="missing">No samples.</p>'


def _codebook_section(metrics: Mapping[str, Any], samples: Mapping[str, Any] | None) -> str:
    html = []
    vqvae = _scores(metrics.get("vqvae"))
    if vqvae:
        ordered = [k for k in FIGURES if k in vqvae] + sorted(set(vqvae) - set(FIGURES))
        rows = "".join(
            f"<tr><th scope=row>{escape(_figure(k).name)}</th><td>{_number(vqvae[k], _figure(k))}</td></tr>"
            for k in ordered
        )
        html.append(f'<div class="scroll"><table class="narrow"><tbody>{rows}</tbody></table></div>')
    counts = samples.get("codebook_counts") if samples else None
    if counts:
        used = sum(1 for c in counts if c > 0)
        title = f"{used} of {len(counts)} codes used ({100 * used / len(counts):.1f}%)"
        html.append(histogram(counts, title, "codes, most used first", "times used in the test split"))
    else:
        html.append(_missing("No histogram of the codebook", SAMPLES))
    return "".join(html)


def _curves_section(curves: Mapping[str, Any]) -> str:
    if not curves:
        return _missing("No training curves", "curves.json")
    html = []
    for stage, log in curves.items():
        main, rest, once = _curve_panels(log if isinstance(log, list) else ())
        html.append(f"<h3>{escape(STAGES.get(stage, stage))}</h3>")
        if not (main or rest or once):
            html.append('<p class="missing">Nothing was logged.</p>')
        if main:
            html.append(f'<div class="panels">{"".join(main)}</div>')
        if once:
            html.append(f'<p class="note">Measured once: {escape(once)}.</p>')
        if rest:
            html.append(f"<details><summary>{len(rest)} more curve{'s' if len(rest) > 1 else ''}</summary>")
            html.append(f'<div class="panels">{"".join(rest)}</div></details>')
    return "".join(html)


def _known_means(figures: Mapping[str, Any]) -> dict[str, float]:
    means = {name: _mean(figure) for name, figure in figures.items()}
    return {name: mean for name, mean in means.items() if mean is not None}


def _cost_section(metrics: Mapping[str, Any]) -> str:
    seconds = _known_means(metrics.get("seconds") or {})
    seconds.pop("total", None)
    memory = _known_means(metrics.get("memory_mb") or {})
    stages = [s for s in STAGES if s in seconds or s in memory]
    stages += sorted((set(seconds) | set(memory)) - set(STAGES))
    if not stages:
        return '<p class="missing">metrics.json holds no seconds a stage.</p>'

    def bar(value: float | None, largest: float, text: str, kind: str) -> str:
        if value is None:
            return '<td class="barcell">–</td>'
        share = 100 * value / largest if largest > 0 else 0
        return (
            f'<td class="barcell"><div class="bar {kind}"><i style="width:{share:.1f}%"></i></div>'
            f"<span>{text}</span></td>"
        )

    longest, most = max(seconds.values(), default=0.0), max(memory.values(), default=0.0)
    rows = []
    for stage in stages:
        s, m = seconds.get(stage), memory.get(stage)
        rows.append(
            f"<tr><th scope=row>{escape(STAGES.get(stage, stage))}</th>"
            + bar(s, longest, _duration(s) if s is not None else "", "time")
            + bar(m, most, _memory(m) if m is not None else "", "space")
            + "</tr>"
        )
    total, peak = _mean((metrics.get("seconds") or {}).get("total")), _mean(metrics.get("peak_memory_mb"))
    note = "Stages that do not depend on each other run side by side, so the total is less than the sum."
    foot = (
        f"<tr><th scope=row>Whole run</th><td>{_duration(total) if total is not None else '–'}</td>"
        f"<td>{_memory(peak) if peak is not None else '–'}</td></tr>"
    )
    return (
        '<div class="scroll"><table class="cost"><thead><tr><th scope=col>Stage</th><th scope=col>Time</th>'
        f"<th scope=col>Peak memory</th></tr></thead><tbody>{''.join(rows)}</tbody><tfoot>{foot}</tfoot></table></div>"
        f'<p class="note">{note}</p>'
    )


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [row for k, v in value.items() for row in _flatten(v, f"{prefix}.{k}" if prefix else str(k))]
    return [(prefix, value if isinstance(value, str) else json.dumps(value))]


def _settings_table(value: Any) -> str:
    rows = "".join(f"<tr><th scope=row>{escape(k)}</th><td>{escape(v)}</td></tr>" for k, v in _flatten(value))
    return f'<div class="scroll"><table class="settings"><tbody>{rows}</tbody></table></div>'


def _settings_section(metrics: Mapping[str, Any], run: Path) -> str:
    html = []
    for key, title in (("generation", "Generation"), ("protocol", "Protocol of the figures")):
        if metrics.get(key):
            html.append(f"<h3>{title}</h3>{_settings_table(metrics[key])}")
    for stage, title in STAGES.items():
        if (run / stage / STAGE_SETTINGS).is_file():
            table = _settings_table(_read_object(run / stage / STAGE_SETTINGS))
            html.append(f"<details><summary>{title}</summary>{table}</details>")
    return "".join(html) or '<p class="missing">No settings recorded.</p>'


def write_report(run_dir: str | Path) -> Path:
    """Write `report.html` into a run folder and return its path.

    Args:
        run_dir: holds `metrics.json`; `curves.json` and `samples/` are used where they are there.

    Raises:
        FileNotFoundError: no such folder, or no `metrics.json` in it.
        ValueError: a file is not what it should be; the message names it.
    """
    run = Path(run_dir)
    metrics, curves, samples = _read_run(run)
    joints = _read_joints(run / JOINTS) if (run / JOINTS).is_file() else {}
    # KIT-ML's 21 joints come at 12.5 frames a second, HumanML3D's 22 at 20.
    kit = any(array.ndim == 3 and array.shape[1] == 21 for array in joints.values())
    players = _Players(joints, fps=12.5 if kit else 20.0)

    sections: list[tuple[str, str, str]] = []
    tables = [
        _table(metrics[key], title, note)
        for key, (title, note) in SPLITS.items()
        if isinstance(metrics.get(key), dict)
    ]
    intervals = (
        '<p class="note">Mean ± 95% half-width over repeats. Bold: the better of the trained models. The held-out '
        "judge was trained with another seed and width on half of the data, and no reward has seen it.</p>"
    )
    if tables:
        sections.append(("t2m", "Text to motion", intervals + "".join(tables)))
    if isinstance(metrics.get("m2t"), dict):
        sections.append(("m2t", "Motion to text", _table(metrics["m2t"], "Standard test split", "")))
    if samples is None:
        sections.append(("motions", "Generated motions", _missing("No samples to show", SAMPLES)))
    else:
        sections.append(("motions", "Generated motions", _motions_section(samples, players)))
        sections.append(("sheets", "Rendered frames", _sheets_section(samples, joints, players.fps)))
        sections.append(("descriptions", "Descriptions", _descriptions_section(samples, players)))
    sections.append(("codebook", "Motion VQ-VAE", _codebook_section(metrics, samples)))
    if _scores(metrics.get("evaluator")):
        table = _table({"real": metrics["evaluator"]}, "Real motion, pools of 32", "")
        sections.append(("evaluator", "Evaluator", table))
    sections.append(("curves", "Training curves", _curves_section(curves)))
    sections.append(("cost", "Time and memory", _cost_section(metrics)))
    sections.append(("settings", "Settings", _settings_section(metrics, run)))

    links = "".join(f'<a href="#{anchor}">{title}</a>' for anchor, title, _ in sections)
    seed = f"seed {escape(str(metrics['seed']))}" if "seed" in metrics else ""
    body = (
        f'<header><h1>UniMo</h1><p class="lead">One language model that writes human motion from text and text from '
        f"human motion, thinking in words first. Run <b>{escape(run.resolve().name)}</b>{', ' + seed if seed else ''}."
        f'</p><div class="cards">{_key_figures(metrics)}</div><nav>{links}</nav></header><main>'
        + "".join(f'<section id="{a}"><h2>{title}</h2>{html}</section>' for a, title, html in sections)
        + "</main>"
        + (player_assets() if players.made else "")
    )
    path = run / "report.html"
    write_text(path, page_html(body, f"UniMo run {run.resolve().name}", _STYLE))
    return path


_STYLE = """
:root{--ink:#1c2430;--soft:#5b6675;--edge:#dbe1e9;--bg:#fff;--panel:#f6f8fa;--accent:#2f7acd;
--c0:#2f7acd;--c1:#e0592b;--c2:#2a9d6f;--c3:#8a63c9;--c4:#b8860b;--c5:#c2417f}
@media (prefers-color-scheme:dark){:root{--ink:#e3e8ee;--soft:#9aa6b5;--edge:#323b47;--bg:#14181e;--panel:#1b2129;
--accent:#6aaef5;--c0:#6aaef5;--c1:#ff8a5c;--c2:#5ac79b;--c3:#b79bea;--c4:#dfb23f;--c5:#f07fb2}}
*{box-sizing:border-box}html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--bg);color:var(--ink);
font:16px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
header,main{max-width:1200px;margin:0 auto;padding:0 20px}header{padding-top:36px}main{padding-bottom:80px}
h1{font-size:34px;line-height:1.15;margin:0 0 6px;letter-spacing:-.02em}
h2{font-size:24px;line-height:1.25;margin:56px 0 14px;letter-spacing:-.01em}h3{font-size:17px;margin:26px 0 10px}
.lead{margin:0 0 22px;max-width:70ch;color:var(--soft);overflow-wrap:anywhere}.lead b{color:var(--ink)}
a{color:var(--accent)}nav{display:flex;flex-wrap:wrap;gap:4px 18px;margin:22px 0 0;padding:12px 0;
border-block:1px solid var(--edge);font-size:15px}nav a{text-decoration:none}nav a:hover{text-decoration:underline}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(150px,1fr));gap:12px}
.card{padding:12px 14px;border:1px solid var(--edge);border-radius:12px;background:var(--panel)}
.card .what{font-size:13px;line-height:1.35;color:var(--soft);min-height:2.7em}
.card .value{font-size:24px;font-weight:650;line-height:1.35;white-space:nowrap;
font-variant-numeric:tabular-nums}.card .aside{font-size:13px;color:var(--soft);min-height:1.4em}
.scroll{overflow-x:auto;margin:0 0 6px}table{border-collapse:collapse;font-size:15px;min-width:min(100%,640px);
font-variant-numeric:tabular-nums}caption{text-align:left;font-weight:600;padding:14px 0 6px;position:sticky;left:0}
th,td{padding:6px 12px;border-bottom:1px solid var(--edge);text-align:right;white-space:nowrap;vertical-align:top}
th:first-child{text-align:left;padding-left:0;position:sticky;left:0;background:var(--bg)}
thead th{font-weight:600;color:var(--soft);font-size:14px}
th.blank{border-bottom:0}th[scope=colgroup]{text-align:center;border-bottom:0;color:var(--ink)}
tbody th{font-weight:400}
td.best{font-weight:650}td.first{border-left:1px solid var(--edge)}
.ci{color:var(--soft);font-weight:400;font-size:13px}
table.narrow{min-width:0}table.narrow td{padding-left:40px}
table.settings{min-width:0;font-size:14px}table.settings td{text-align:left;white-space:normal;overflow-wrap:anywhere;
min-width:180px}table.settings th{padding-right:24px;color:var(--soft);white-space:normal;overflow-wrap:anywhere}
.note{margin:6px 0 12px;color:var(--soft);font-size:14px;max-width:80ch}
.missing{padding:10px 14px;border:1px dashed var(--edge);border-radius:10px;color:var(--soft);overflow-wrap:anywhere}
.samples{display:grid;gap:34px 26px}.samples.two{grid-template-columns:repeat(auto-fill,minmax(min(100%,460px),1fr))}
.samples.three{grid-template-columns:repeat(auto-fill,minmax(min(100%,320px),1fr))}
.sample{min-width:0}.sample h3{margin:0 0 8px;font-size:16px;line-height:1.4;overflow-wrap:anywhere}
.thought{margin:10px 0 0;padding-left:12px;border-left:3px solid var(--edge);font-size:15px;color:var(--soft);
overflow-wrap:anywhere}.thought b{color:var(--ink);font-weight:600;margin-right:4px}
p.refs{margin:10px 0 0;font-size:13px;color:var(--soft)}ul.refs{margin:2px 0 0;padding-left:20px;font-size:15px;
overflow-wrap:anywhere}
.sheet{margin:0 0 22px}.sheet img{display:block;max-width:100%;border-radius:10px}
.sheet figcaption{margin-top:6px;font-size:14px;color:var(--soft)}
.panels{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr));gap:22px 26px}
.panel{margin:0;min-width:0}.panel figcaption{font-weight:600;font-size:15px;margin-bottom:4px;overflow-wrap:anywhere}
.histogram{max-width:500px;margin-top:22px}
.chart{display:block;width:100%;height:auto}.chart text{font-size:12px;fill:var(--soft)}
.chart .grid{stroke:var(--edge)}
.chart .axis{stroke:var(--soft)}.chart polyline{fill:none;stroke-width:2;stroke-linejoin:round}
.chart .faint{stroke-width:1;opacity:.28}.chart .bars{fill:var(--c0)}
.s0{stroke:var(--c0)}.s1{stroke:var(--c1)}.s2{stroke:var(--c2)}.s3{stroke:var(--c3)}.s4{stroke:var(--c4)}
.s5{stroke:var(--c5)}.dot{fill:currentColor}
.s0.dot,i.s0{color:var(--c0)}.s1.dot,i.s1{color:var(--c1)}.s2.dot,i.s2{color:var(--c2)}.s3.dot,i.s3{color:var(--c3)}
.s4.dot,i.s4{color:var(--c4)}.s5.dot,i.s5{color:var(--c5)}
.legend{display:flex;flex-wrap:wrap;gap:2px 16px;margin:2px 0 0;padding:0;list-style:none;font-size:13px;
color:var(--soft)}.legend i{display:inline-block;width:14px;height:3px;margin-right:6px;vertical-align:middle;
background:currentColor;border-radius:2px}
details{margin:14px 0}summary{cursor:pointer;color:var(--accent)}details>.panels,details>.scroll{margin-top:12px}
table.cost th,table.cost td{text-align:left}table.cost .barcell{width:38%;min-width:190px}
.barcell .bar{display:inline-block;width:calc(100% - 96px);height:12px;vertical-align:middle;margin-right:10px}
.barcell .bar i{display:block;height:100%;min-width:2px;border-radius:3px}.bar.time i{background:var(--c0)}
.bar.space i{background:var(--c2)}.barcell span{font-size:14px}tfoot th,tfoot td{font-weight:600;border-bottom:0}
@media (max-width:640px){header,main{padding-left:14px;padding-right:14px}h1{font-size:28px}
table.cost .barcell{min-width:150px}th,td{padding:6px 9px}}
"""


def main(argv: Sequence[str] | None = None) -> None:
    """Runs the command: prints where the report is."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--run", required=True, help="run folder of a quickstart")
    arguments = parser.parse_args(argv)
    try:
        print(write_report(arguments.run))
    except (FileNotFoundError, ValueError) as error:
        parser.error(str(error))


if __name__ == "__main__":
    main()
