"""How far raters agree and what their marks say: Krippendorff's alpha, means with intervals, paired differences.

Krippendorff's alpha is used throughout, for one coefficient serves all that a sheet asks: any number of raters
(Cohen's kappa takes two), marks that are names, ranks or numbers (Fleiss' kappa takes names alone, so that 4 against 5
would count as far apart as 1 against 5), and marks that are missing. For two raters and names it is Scott's pi with a
correction for small samples. Source: K. Krippendorff, "Computing Krippendorff's Alpha-Reliability", 2011.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

LEVELS = ("nominal", "ordinal", "interval")


def krippendorff_alpha(marks: np.ndarray, level: str = "nominal") -> float | None:
    """Agreement beyond chance: 1 is perfect, 0 what chance gives, below 0 is systematic disagreement.

    Args:
        marks: (raters, units) numbers, NaN where a rater gave none; units with one mark or none do not count.
        level: "nominal" (marks are names), "ordinal" (ranks) or "interval" (numbers whose differences mean something).

    Returns:
        alpha, or None where it is undefined: no unit has two marks, or all marks are the same.

    Raises:
        ValueError: not a table of numbers, or another level.

        >>> krippendorff_alpha(np.array([[1, 2, 3, 3], [1, 2, 3, 4]]), "ordinal") > 0.9
        True
    """
    table = np.asarray(marks, dtype=np.float64)
    if table.ndim != 2:
        raise ValueError(f"marks have shape {table.shape}; expected (raters, units)")
    if np.isinf(table).any():
        raise ValueError("marks hold infinite values; leave a missing mark NaN")
    if level not in LEVELS:
        raise ValueError(f"level is {level!r}; expected one of {', '.join(LEVELS)}")
    values = np.unique(table[~np.isnan(table)])
    # How often each value was given to each unit, (units, values).
    counts = (table.T[:, :, None] == values).sum(axis=1).astype(np.float64)
    counts = counts[counts.sum(axis=1) >= 2]
    per_unit = counts.sum(axis=1)
    # Pairs within units, each unit weighted by its number of marks.
    weights = 1.0 / (per_unit - 1.0)
    coincidences = (counts * weights[:, None]).T @ counts - np.diag((counts * weights[:, None]).sum(axis=0))
    totals = counts.sum(axis=0)
    distance = _distances(values, totals, level)
    expected = float(totals @ distance @ totals) / max(totals.sum() - 1.0, 1.0)
    if expected == 0.0:
        return None
    return 1.0 - float((coincidences * distance).sum()) / expected


def _distances(values: np.ndarray, totals: np.ndarray, level: str) -> np.ndarray:
    if level == "nominal":
        return 1.0 - np.eye(len(values))
    if level == "interval":
        return (values[:, None] - values) ** 2
    # Ranks are as far apart as there are marks between them, half of those at either end.
    middle = np.cumsum(totals) - 0.5 * totals
    return (middle[:, None] - middle) ** 2


def raw_agreement(marks: np.ndarray) -> float | None:
    """Share of the pairs of marks of one unit that are equal; None where no unit has two marks."""
    table = np.asarray(marks, dtype=np.float64)
    agreeing = pairs = 0
    for unit in table.T:
        given = unit[~np.isnan(unit)]
        pairs += len(given) * (len(given) - 1) // 2
        agreeing += sum(int((given[i + 1 :] == given[i]).sum()) for i in range(len(given)))
    return agreeing / pairs if pairs else None


@dataclass(frozen=True)
class Estimate:
    """A mean over `n` units and the half-width of its 95% t-interval; None where one unit gives none."""

    mean: float
    ci95: float | None
    n: int

    def __str__(self) -> str:
        around = f" ± {self.ci95:.3f}" if self.ci95 is not None else ""
        return f"{self.mean:.3f}{around} (n={self.n})"


def estimate(values: np.ndarray) -> Estimate:
    """The mean of `values` (N,), one for each unit, with its 95% t-interval.

    Raises:
        ValueError: no values.
    """
    from scipy.stats import t

    values = np.asarray(values, dtype=np.float64)
    if values.ndim != 1 or not len(values):
        raise ValueError(f"values have shape {values.shape}; expected at least one number")
    half = None
    if len(values) > 1:
        half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
    return Estimate(float(values.mean()), half, len(values))
