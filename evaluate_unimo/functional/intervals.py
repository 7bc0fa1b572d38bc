"""Confidence intervals of figures over repeats."""

from collections.abc import Iterable

import numpy as np

from evaluate_unimo.functional.inputs import as_array

INTERVALS = {
    "student": "95%: Student's t, sample standard deviation",
    "published": "95%: 1.96 population standard deviations / sqrt(repeats)",
}


def mean_ci95(values: Iterable[float], interval: str = "student") -> dict[str, float]:
    """Mean and 95% half-width of one metric over repeats.

    Args:
        values: One figure per repeat.
        interval: "student" for Student's t with the sample standard deviation, which covers 95% at any number of
            repeats; "published" for the formula of text-to-motion's `final_evaluations.py`, 1.96 population standard
            deviations divided by sqrt(n), for figures that stand beside published ones.

    Returns:
        {"mean", "ci95"}; {"mean"} alone for a single repeat, of whose spread nothing is known.

    Raises:
        ValueError: Unknown `interval`, no value, or a value that is not finite.

    >>> mean_ci95([1.0, 2.0, 3.0, 2.0], interval="published")
    {'mean': 2.0, 'ci95': 0.6929646455628166}
    >>> mean_ci95([1.0])
    {'mean': 1.0}
    """
    if interval not in INTERVALS:
        raise ValueError(f"interval must be one of {', '.join(INTERVALS)}, got {interval!r}")
    array = as_array(list(values), "values", 1)
    summary = {"mean": float(array.mean())}
    if len(array) > 1:
        if interval == "published":
            quantile, deviation = 1.96, array.std()
        else:
            from scipy.special import stdtrit

            quantile, deviation = stdtrit(len(array) - 1, 0.975), array.std(ddof=1)
        summary["ci95"] = float(quantile * deviation / np.sqrt(len(array)))
    return summary
