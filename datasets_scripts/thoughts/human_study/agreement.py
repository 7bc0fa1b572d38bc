"""How far raters agree and what their marks say: Krippendorff's alpha, means with intervals, paired differences.

Krippendorff's alpha is used throughout, because one coefficient serves all that a sheet asks: any number of raters
(Cohen's kappa takes two), marks that are names, ranks or numbers (Fleiss' kappa takes names only, so that 4 against 5
would count as far apart as 1 against 5), and missing marks. Source: K. Krippendorff, "Computing Krippendorff's
Alpha-Reliability", 2011.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Level = Literal["nominal", "ordinal", "interval"]


def krippendorff_alpha(marks: np.ndarray, level: Level = "nominal") -> float | None:
    """Agreement beyond chance: 1 is perfect, 0 what chance gives, below 0 is systematic disagreement.

    Args:
        marks: (raters, units) numbers, NaN where a rater gave none; units with fewer than two marks do not count.
        level: "nominal" (marks are names), "ordinal" (ranks) or "interval" (numbers whose differences mean something).

    Returns:
        alpha, or None where it is undefined: no unit has two marks, or all marks are the same.

    Raises:
        ValueError: not a table of finite numbers, or another level.
    """
    import krippendorff

    table = np.asarray(marks, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"marks must have shape (raters, units), got {table.shape}")
    if np.isinf(table).any():
        raise ValueError("marks must not be infinite; use NaN for a missing mark")
    if level not in get_args(Level):
        raise ValueError(f"level must be one of {', '.join(get_args(Level))}, got {level!r}")
    paired = table[:, (~np.isnan(table)).sum(axis=0) >= 2]
    if len(np.unique(paired[~np.isnan(paired)])) < 2:
        return None
    return float(krippendorff.alpha(reliability_data=paired, level_of_measurement=level))


def raw_agreement(marks: np.ndarray) -> float | None:
    """Share of the pairs of marks of one unit that are equal; None where no unit has two marks.

    Args:
        marks: (units, raters), NaN where there is no mark.

    Returns:
        The share.
    """
    table = np.asarray(marks, dtype=np.float64)
    agreeing = pairs = 0
    for unit in table.T:
        given = unit[~np.isnan(unit)]
        pairs += len(given) * (len(given) - 1) // 2
        agreeing += sum(int((given[i + 1 :] == given[i]).sum()) for i in range(len(given)))
    return agreeing / pairs if pairs else None


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` units and the half-width of its 95% t-interval; None with a single unit."""

    mean: float
    ci95: float | None
    n: int

    def __str__(self) -> str:
        around = f" ± {self.ci95:.3f}" if self.ci95 is not None else ""
        return f"{self.mean:.3f}{around} (n={self.n})"


def estimate(values: np.ndarray) -> Estimate:
    """The mean of `values` (N,), one for each unit, with its 95% t-interval.

    Args:
        values: (N,).

    Returns:
        The mean with its interval.

    Raises:
        ValueError: no values.
    """
    from scipy import stats

    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values must be a sequence of at least one number, got shape {values.shape}")
    half = float(stats.sem(values) * stats.t.ppf(0.975, len(values) - 1)) if len(values) > 1 else None
    return Estimate(float(values.mean()), half, len(values))
