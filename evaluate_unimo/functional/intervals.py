"""Confidence intervals of figures."""

from collections.abc import Iterable

import numpy as np

from evaluate_unimo.functional.inputs import as_array


def mean_ci95(values: Iterable[float]) -> dict[str, float]:
    """{"mean", "ci95"} of one metric over repeats: the 95% half-width is 1.96 population deviations / sqrt(n).

    A single repeat has a half-width of 0: nothing is known about its spread.

    Raises:
        ValueError: no value, or one that is not finite.

    >>> mean_ci95([1.0, 2.0, 3.0, 2.0])
    {'mean': 2.0, 'ci95': 0.6929646455628166}
    """
    array = as_array(list(values), "values", 1)
    return {"mean": float(array.mean()), "ci95": float(1.96 * array.std() / np.sqrt(len(array)))}
