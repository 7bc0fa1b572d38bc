"""The report of a run: one self-contained HTML page from what the stages wrote (`write_report(run_dir)`).

Reads `metrics.json` (required) and, if they exist, `curves.json`, `samples/samples.json` with `samples/samples.npz`,
and each stage's `training_run.json`. What is missing is named on the page. Charts are inline SVG, motions play in the
browser, and nothing is fetched from the network.
"""

from __future__ import annotations

import base64
import json
import math
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datasets_scripts.templates import render
from evaluate_unimo.labels import METRICS, MODELS, Metric, metric, model_name, variant
from evaluate_unimo.results import is_nested, rests_on
from modeling_unimo.files_unimo import read_json, write_text
from modeling_unimo.rendering_unimo import contact_sheet, png_bytes
from modeling_unimo.visualization_unimo import player_assets, player_html
from modeling_unimo.words_unimo import unknown_words_message
from train.report.charts import histogram
from train.report.curves import stage_curves

TEMPLATE = Path(__file__).parent / "templates" / "run_page.html"
SAMPLES = Path("samples") / "samples.json"
JOINTS = Path("samples") / "samples.npz"
STAGE_SETTINGS = "training_run.json"
WRITE_AGAIN = "run the stage that writes it again"
MAX_SAMPLES = 12
MAX_WORDS = 600  # words taught that the page lists; of more it gives the number
SHEET_VIEWS = (("three-quarter",), ("three-quarter", "front", "side", "top"))
PLAYER_BUDGET = 7_000_000
"""Bytes of players on one page; motions beyond it are named instead, which keeps the page below 10 MB."""

STAGES = {
    "data": "Data",
    "vqvae": "Motion VQ-VAE",
    "evaluator": "Evaluator (the judge)",
    "evaluator_held_out": "Held-out judge",
    "sft": "Supervised fine-tuning",
    "grpo": "GRPO",
    "evaluate_sft": "Evaluation after SFT",
    "evaluate_grpo": "Evaluation after GRPO",
    "evaluate_candidates": "Evaluation, best of several",
    "evaluate_plain": "Evaluation without thoughts",
    "samples": "Samples",
}
SPLITS = {
    "t2m": ("Standard test split", "FID of real motion: one half of the test motions against the other."),
    "t2m_hard": ("Hard split", "Longer sequences, combinations held out of training, captions that say less."),
    "t2m_attributes": ("Attribute pools", "R-Precision among captions that differ in one attribute only."),
}


class Value(NamedTuple):
    """A metric as it is shown: digits, half-width of its interval ("" for none), and its unit."""

    digits: str
    ci95: str = ""
    unit: str = ""


def write_report(run_dir: str | Path) -> Path:
    """Write `report.html` into a run folder.

    Args:
        run_dir: holds `metrics.json`; `curves.json` and `samples/` are used if they exist.

    Returns:
        Path of the page.

    Raises:
        FileNotFoundError: no such folder, or no `metrics.json` in it.
        ValueError: a file has invalid content; the message names it.
    """
    run = Path(run_dir)
    if not run.is_dir():
        raise FileNotFoundError(f"no folder at {run}; expected the run folder of a quickstart")
    if not (run / "metrics.json").is_file():
        raise FileNotFoundError(f"no metrics.json in {run}; it is written when a quickstart finishes")
    metrics = read_json(run / "metrics.json", WRITE_AGAIN)
    curves = read_json(run / "curves.json", WRITE_AGAIN) if (run / "curves.json").is_file() else {}
    samples = read_json(run / SAMPLES, WRITE_AGAIN) if (run / SAMPLES).is_file() else None
    joints = _read_joints(run / JOINTS) if (run / JOINTS).is_file() else {}
    # KIT-ML's 21 joints come at 12.5 frames per second, HumanML3D's 22 at 20.
    kit = any(array.ndim == 3 and array.shape[1] == 21 for array in joints.values())
    players = _Players(joints, fps=12.5 if kit else 20.0)
    vqvae, counts = _scores(metrics.get("vqvae")), (samples or {}).get("codebook_counts")
    page = render(
        TEMPLATE,
        run=run.resolve().name,
        seed=metrics.get("seed"),
        cards=_cards(metrics),
        t2m=[
            _metric_table(metrics[key], title, note)
            for key, (title, note) in SPLITS.items()
            if isinstance(metrics.get(key), dict)
        ],
        m2t=_metric_table(metrics["m2t"], "Standard test split") if isinstance(metrics.get("m2t"), dict) else None,
        samples=None if samples is None else _samples(samples, players),
        taught_words=(samples or {}).get("taught_words"),
        max_words=MAX_WORDS,
        sheets=_sheets(samples or {}, joints, players.fps),
        samples_file=str(SAMPLES),
        vqvae=[(metric(name).column, _shown(vqvae[name], metric(name))) for name in _ordered(vqvae)],
        codebook=_codebook_chart(counts) if counts else None,
        evaluator=_metric_table({"real": metrics["evaluator"]}, "Real motion, pools of 32")
        if _scores(metrics.get("evaluator"))
        else None,
        curves={
            STAGES.get(stage, stage): stage_curves(log if isinstance(log, list) else ())
            for stage, log in curves.items()
        },
        costs=_costs(metrics),
        settings=_settings(metrics, run),
        player_assets=player_assets() if players.made else "",
    )
    path = run / "report.html"
    write_text(path, page)
    return path


# ----------------------------------------------------------------------------------------------------------- reading


def _read_joints(path: Path) -> dict[str, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as archive:
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path} cannot be read ({error}); run the stage that writes it again") from error


# ----------------------------------------------------------------------------------------------------------- metrics


def _mean(value: Any) -> float | None:
    """The number in a metric, whether plain or {"mean", "ci95"}; None if it is something else."""
    if isinstance(value, Mapping):
        value = value.get("mean")
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value)


def _scores(side: Any) -> dict[str, Any]:
    """The metrics of one model by the first judge."""
    return {k: v for k, v in side.items() if _mean(v) is not None} if isinstance(side, Mapping) else {}


def _ordered(scores: Mapping[str, Any]) -> list[str]:
    return [name for name in METRICS if name in scores] + sorted(set(scores) - set(METRICS))


def _shown(value: Any, label: Metric, interval: bool = True) -> Value:
    mean = _mean(value)
    if mean is None:
        return Value("–")
    if not math.isfinite(mean):
        return Value("not finite")
    factor, unit = (100.0, "%") if label.share else (1.0, "")
    # A share just below 1 must not be shown as 100%.
    decimals = label.decimals
    while label.share and mean < 1 and round(mean * 100, decimals) == 100 and decimals < 6:
        decimals += 1
    width = value.get("ci95") if interval and isinstance(value, Mapping) else None
    if not isinstance(width, (int, float)) or not (0 < width < math.inf):
        return Value(f"{mean * factor:,.{decimals}f}", "", unit)
    return Value(f"{mean * factor:,.{decimals}f}", f"{width * factor:.{decimals}f}", unit)


def _metric_table(sides: Mapping[str, Any], caption: str, note: str = "") -> dict[str, Any]:
    """Metrics as rows; real motion and the models as columns, once for each judge."""
    arms = [arm for arm in MODELS if arm in sides]
    arms += [arm for arm in sides if arm not in MODELS and isinstance(sides[arm], Mapping)]
    judges = {"Judge": {arm: _scores(sides[arm]) for arm in arms}}
    for name in dict.fromkeys(name for arm in arms for name, value in sides[arm].items() if is_nested(value)):
        judges[variant(name).capitalize()] = {arm: _scores(sides[arm].get(name)) for arm in arms}
    rows = []
    for name in _ordered({name: None for scores in judges.values() for found in scores.values() for name in found}):
        label = metric(name)
        cells = []
        for scores in judges.values():
            best = _best(scores, name, label.better)
            cells += [(_shown(scores[arm].get(name), label), arm == best, arm == arms[0]) for arm in arms]
        rows.append((label.column + {1: " ↑", -1: " ↓", 0: ""}[label.better], cells))
    names = [model_name(arm) for arm in arms]
    names = [name if name == arm else name[:1].upper() + name[1:] for name, arm in zip(names, arms, strict=True)]
    return {"caption": caption, "note": note, "judges": list(judges), "arms": names, "rows": rows}


def _best(scores: Mapping[str, Mapping[str, Any]], name: str, better: int) -> str | None:
    """The trained model with the best mean, if there are several and they differ."""
    means = {arm: _mean(found.get(name)) for arm, found in scores.items() if arm != "real"}
    values = {arm: mean for arm, mean in means.items() if mean is not None and math.isfinite(mean)}
    if not better or len(values) < 2 or len(set(values.values())) < 2:
        return None
    return max(values, key=lambda arm: better * values[arm])


def _cards(metrics: Mapping[str, Any]) -> list[tuple[str, Value, str]]:
    """Key results: (name, value, note)."""

    def get(*path: str) -> Any:
        value: Any = metrics
        for part in path:
            value = value.get(part) if isinstance(value, Mapping) else None
        return value

    def real(name: str) -> str:
        value = get("t2m", "real", name)
        return "" if _mean(value) is None else "real motion {0.digits}{0.unit}".format(_shown(value, metric(name)))

    arm = "grpo" if get("t2m", "grpo") else "sft"
    basis = [note for note in (real("consistency"), rests_on(get("t2m", arm) or {})) if note]
    candidates = [
        (("t2m", arm, "r_precision_top1"), "R@1, text to motion", real("r_precision_top1")),
        (("t2m", arm, "consistency"), "Instruction accuracy", "; ".join(basis)),
        (("t2m", arm, "fid"), "FID", real("fid")),
        (("m2t", arm, "bleu4"), "BLEU@4, motion to text", ""),
        (("t2m", arm, "valid_free"), "Valid answers, free", "sampled without the grammar"),
        (("vqvae", "mpjpe_mm"), "VQ-VAE joint error, mm", "root taken off"),
        (("vqvae", "codes_used"), "Codes used", ""),
    ]
    cards = [
        (name, _shown(get(*path), metric(path[-1]), interval=False), note)
        for path, name, note in candidates
        if _mean(get(*path)) is not None
    ]
    total, memory = _mean(get("seconds", "total")), _mean(metrics.get("peak_memory_mb"))
    if total is not None:
        cards.append(("Time, all stages", Value(_duration(total)), f"peak {_memory(memory)}" if memory else ""))
    return cards


# ----------------------------------------------------------------------------------------------------------- samples


class _Players:
    """Makes players of the joint arrays of a run until the page is full."""

    def __init__(self, joints: Mapping[str, np.ndarray], fps: float):
        self.joints, self.fps, self.spent, self.made = joints, fps, 0, 0

    def make(self, keys: Sequence[tuple[str, str]], height: int) -> dict[str, str]:
        """A player of the tracks (array name, label), or why there is none: {"player"} or {"missing"}."""
        absent = [name for name, _ in keys if name not in self.joints]
        if absent:
            return {"missing": f"No motion {', '.join(map(str, absent))} in {JOINTS}."}
        tracks = [
            {"joints": self.joints[name], "label": f"{label} · {len(self.joints[name]) / self.fps:.1f} s"}
            for name, label in keys
        ]
        try:
            player = player_html(tracks, fps=self.fps, height=height, assets=False)
        except ValueError as error:
            return {"missing": f"This motion cannot be drawn: {error}"}
        if self.spent + len(player) > PLAYER_BUDGET:
            return {"missing": f"Left out to keep the page small; the motion is in {JOINTS}."}
        self.spent += len(player)
        self.made += 1
        return {"player": player}


def _samples(samples: Mapping[str, Any], players: _Players) -> dict[str, list[dict[str, Any]]]:
    """Generated motions and descriptions, each with its player."""
    generated = []
    for entry in list(samples.get("t2m", ()))[:MAX_SAMPLES]:
        keys = [(entry.get("reference", ""), "Ground truth"), (entry.get("generated", ""), "Generated")]
        unknown = entry.get("unknown_words")
        warning = unknown_words_message(unknown) if unknown else ""
        generated.append({"caption": "", "thought": ""} | entry | {"warning": warning} | players.make(keys, 300))
    described = []
    for entry in list(samples.get("m2t", ()))[:MAX_SAMPLES]:
        player = players.make([(entry.get("motion", ""), "Motion")], 250)
        described.append({"caption": "", "thought": "", "references": ()} | entry | player)
    return {"generated": generated, "described": described}


def _sheets(samples: Mapping[str, Any], joints: Mapping[str, np.ndarray], fps: float) -> list[dict[str, str]]:
    """Two generated motions as the frame renderer draws them: what a vision-language model or a person is shown."""
    sheets = []
    for entry, views in zip(list(samples.get("t2m", ()))[:2], SHEET_VIEWS, strict=False):
        motion = joints.get(entry.get("generated", ""))
        if motion is None:
            continue
        frames, columns = (4, 2) if len(views) > 1 else (8, 4)
        try:
            sheet = contact_sheet(motion, n=frames, columns=columns, size=180, view=views, fps=fps)
        except ValueError as error:
            sheets.append({"missing": f"This motion cannot be drawn: {error}"})
            continue
        picture = base64.b64encode(png_bytes(sheet)).decode("ascii")
        sheets.append({"picture": picture, "caption": str(entry.get("caption", "")), "views": ", ".join(views)})
    return sheets


def _codebook_chart(counts: Sequence[int]) -> tuple[str, str]:
    used = sum(1 for count in counts if count > 0)
    title = f"{used} of {len(counts)} codes used ({100 * used / len(counts):.1f}%)"
    return title, histogram(counts, "codes, most used first", "times used in the test split", title)


# -------------------------------------------------------------------------------------------------- cost and settings


def _duration(seconds: float) -> str:
    seconds = round(seconds)
    if seconds < 60:
        return f"{seconds} s"
    if seconds < 3600:
        return f"{seconds / 60:.1f} min"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"


def _memory(megabytes: float) -> str:
    return f"{megabytes / 1024:.1f} GB" if megabytes >= 1024 else f"{megabytes:.0f} MB"


def _costs(metrics: Mapping[str, Any]) -> dict[str, Any] | None:
    """Time and memory of each stage as (text, percentage of the largest); None if nothing is known."""
    seconds, memory = (_scores(metrics.get(name)) for name in ("seconds", "memory_mb"))
    total = seconds.pop("total", None)
    stages = [stage for stage in STAGES if stage in seconds or stage in memory]
    stages += sorted((seconds.keys() | memory.keys()) - STAGES.keys())
    if not stages:
        return None

    def bars(values: dict[str, Any], show: Any) -> dict[str, tuple[str, float]]:
        largest = max(values.values(), default=0.0)
        return {stage: (show(value), 100 * value / largest if largest else 0.0) for stage, value in values.items()}

    time, space = bars(seconds, _duration), bars(memory, _memory)
    peak = _mean(metrics.get("peak_memory_mb"))
    return {
        "rows": [(STAGES.get(stage, stage), time.get(stage), space.get(stage)) for stage in stages],
        "total": "–" if total is None else _duration(total),
        "peak": "–" if peak is None else _memory(peak),
    }


def _settings(metrics: Mapping[str, Any], run: Path) -> dict[str, list[tuple[str, list[tuple[str, str]]]]]:
    """(title, rows) of what was generated and scored with, and of each stage."""
    titles = {"generation": "Generation", "protocol": "Evaluation protocol"}
    return {
        "open": [(title, _flatten(metrics[key])) for key, title in titles.items() if metrics.get(key)],
        "folded": [
            (title, _flatten(read_json(run / stage / STAGE_SETTINGS, WRITE_AGAIN)))
            for stage, title in STAGES.items()
            if (run / stage / STAGE_SETTINGS).is_file()
        ],
    }


def _flatten(value: Any, prefix: str = "") -> list[tuple[str, str]]:
    if isinstance(value, Mapping):
        return [row for k, v in value.items() for row in _flatten(v, f"{prefix}.{k}" if prefix else str(k))]
    return [(prefix, value if isinstance(value, str) else json.dumps(value))]
