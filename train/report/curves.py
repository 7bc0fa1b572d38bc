"""Training curves of a run's stages as charts: which logged values share a panel, and what they are called."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from train.report.charts import line_chart

# Panels: title, unit, and patterns of the logged keys they show.
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
    ("Entropy", "nats per token", ("entropy", "eval_entropy")),
    ("Length of answers", "tokens", ("completions/mean_length",)),
    ("Groups whose answers all scored the same", "share", ("frac_reward_zero_std",)),
)
# Logged for bookkeeping, and never shown.
_HIDDEN = (
    *("step", "epoch", "total_flos", "num_tokens", "num_input_tokens_seen"),
    *("train_*", "*_runtime", "*_per_second", "*step_time"),
)


@dataclass
class StageCurves:
    """The curves of one stage: charts (title, SVG) of the panels, of everything else, and values logged once."""

    main: list[tuple[str, str]] = field(default_factory=list)
    rest: list[tuple[str, str]] = field(default_factory=list)
    once: list[str] = field(default_factory=list)


def stage_curves(log: Iterable[Any]) -> StageCurves:
    """The curves in a Trainer's log history: dictionaries with a "step" and logged values.

    Args:
        log: The log history.

    Returns:
        The curves.
    """
    series: dict[str, list[tuple[float, float]]] = {}
    for entry in log:
        if not isinstance(entry, Mapping) or _number(entry.get("step")) is None:
            continue
        for key, value in entry.items():
            number = _number(value)
            if number is not None and not any(fnmatchcase(key, pattern) for pattern in _HIDDEN):
                series.setdefault(key, []).append((float(entry["step"]), number))
    series = {key: points for key, points in series.items() if any(math.isfinite(y) for _, y in points)}
    curves = StageCurves()
    for key in [key for key, points in series.items() if len(points) == 1]:
        ((step, value),) = series.pop(key)
        curves.once.append(f"{_name(key)} {value:.4g} (step {step:g})")
    for title, unit, patterns in PANELS:
        keys = dict.fromkeys(key for pattern in patterns for key in series if fnmatchcase(key, pattern))
        if keys:
            named = {_name(key): series.pop(key) for key in keys}
            curves.main.append((title, line_chart(named, "step", unit, title)))
    curves.rest = [(key, line_chart({key: series[key]}, "step", key, key)) for key in sorted(series)]
    return curves


def _number(value: Any) -> float | None:
    # The Trainer logs some numbers as text.
    if isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _name(key: str) -> str:
    name = key.removeprefix("eval_").removeprefix("rewards/").removesuffix("/mean").replace("_", " ")
    name = name.replace("r precision top", "R@")
    return f"{name} (validation)" if key.startswith("eval_") else name
