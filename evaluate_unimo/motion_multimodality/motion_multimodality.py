"""Multimodality of motions as an `evaluate` module."""

from typing import Any

import datasets
import evaluate

from evaluate_unimo import functional, streaming_metric
from evaluate_unimo.citations import GUO_2020

_DESCRIPTION = """\
Mean Euclidean distance between the embeddings of motions that were generated from one text, over texts. Higher means
more varied answers. The published protocol compares 10 pairs of 30 motions for each of 100 texts.
"""

_KWARGS_DESCRIPTION = """
Args:
    embeddings: (N, S, D), S motions of each of N texts: numpy, torch or nested lists.
    times: number of pairs of each text, below S, default 10. When batches are added, give it and `seed` to `load`.
    seed: of the draw, the same pairs as after `np.random.seed(seed)`; None takes numpy's global generator.

Returns:
    multimodality: at least 0.

Examples:
    >>> import evaluate_unimo
    >>> multimodality = evaluate_unimo.load("motion_multimodality")
    >>> multimodality.compute(embeddings=[[[0.0], [1.0], [3.0]]], times=2, seed=0)
    {'multimodality': 0.5}
"""


class MotionMultimodality(streaming_metric.StreamingMetric):
    """Keeps a sum and a count: one draw of sample numbers serves all texts, so that it can come before them."""

    def _info(self) -> evaluate.MetricInfo:
        samples = datasets.Sequence(datasets.Sequence(datasets.Value("float32")))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=GUO_2020,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"embeddings": samples}),
            reference_urls=["https://github.com/EricGuo5513/text-to-motion"],
        )

    def _start(self, times=10, seed=None) -> None:
        self._times, self._seed = times, seed
        self._shape: tuple[int, ...] | None = None
        self._sum = 0.0

    def _add(self, embeddings) -> int:
        rows = functional.as_array(embeddings, "embeddings", 3)
        if self._shape is None:
            self._pairs = functional.multimodality_pairs(rows.shape[1], self._times, self._seed)
        self._check_shape(rows.shape[1:])
        self._sum += float(functional.sample_distances(rows, *self._pairs).sum())
        return len(rows)

    def _state(self) -> dict[str, Any]:
        return {"sum": self._sum, "shape": self._shape}

    def _join(self, state) -> None:
        self._check_shape(tuple(state["shape"]))
        self._sum += state["sum"]

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if self._shape not in (None, shape):
            raise ValueError(f"embeddings: {shape} samples and dimensions a text, earlier ones {self._shape}")
        self._shape = shape

    def _result(self) -> dict[str, float]:
        return {"multimodality": self._sum / len(self)}
