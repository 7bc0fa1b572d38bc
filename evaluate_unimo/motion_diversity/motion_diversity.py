"""Diversity of motions as an `evaluate` module."""

from typing import Any

import datasets
import evaluate

from evaluate_unimo import functional, streaming_metric
from evaluate_unimo.citations import GUO_2020
from evaluate_unimo.row_store import RowStore

_DESCRIPTION = """\
Mean Euclidean distance between the embeddings of randomly paired motions. Best where it is closest to that of real
motion. The published protocol draws 300 pairs from more than 300 motions and 100 from fewer.
"""

_KWARGS_DESCRIPTION = """
Args:
    embeddings: (N, D) numpy, torch or nested lists.
    times: number of pairs, below N, default 300.
    seed: of the draw, the same pairs as after `np.random.seed(seed)`; None takes numpy's global generator.

Returns:
    diversity: at least 0.

Examples:
    >>> import evaluate_unimo
    >>> diversity = evaluate_unimo.load("motion_diversity")
    >>> diversity.compute(embeddings=[[0.0], [1.0], [3.0], [7.0]], times=3, seed=0)
    {'diversity': 2.3333333333333335}
"""


class MotionDiversity(streaming_metric.StreamingMetric):
    """Keeps all rows, beyond a buffer in a temporary file: which the published draw takes depends on their number."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=GUO_2020,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"embeddings": datasets.Sequence(datasets.Value("float32"))}),
            reference_urls=["https://github.com/EricGuo5513/text-to-motion"],
        )

    def _start(self) -> None:
        self._embeddings = RowStore()

    def _add(self, embeddings) -> int:
        rows = functional.as_array(embeddings, "embeddings", 2)
        self._embeddings.append(rows)
        return len(rows)

    def _state(self) -> dict[str, Any]:
        return {"embeddings": self._embeddings.all()}

    def _join(self, state) -> None:
        self._embeddings.append(state["embeddings"])

    def _result(self, times=300, seed=None) -> dict[str, float]:
        first, second = functional.diversity_pairs(len(self._embeddings), times, seed)
        return {
            "diversity": float(
                functional.pair_distances(self._embeddings.take(first), self._embeddings.take(second)).mean()
            )
        }
