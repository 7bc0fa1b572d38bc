"""Distance between texts and their motions as an `evaluate` module."""

from typing import Any

import datasets
import evaluate

from evaluate_unimo import functional, streaming_metric
from evaluate_unimo.citations import GUO_2022

_DESCRIPTION = """\
Mean Euclidean distance between the embeddings of each text and of its own motion ("matching score", MM-Dist). Lower is
better; the scale is that of the evaluator.
"""

_KWARGS_DESCRIPTION = """
Args:
    text_embeddings: (N, D) numpy, torch or nested lists.
    motion_embeddings: (N, D), row i belonging to text i.

Returns:
    mm_dist: at least 0.

Examples:
    >>> import evaluate_unimo
    >>> mm_dist = evaluate_unimo.load("mm_dist")
    >>> mm_dist.compute(text_embeddings=[[0.0, 0.0], [1.0, 1.0]], motion_embeddings=[[3.0, 4.0], [1.0, 1.0]])
    {'mm_dist': 2.5}
"""


class MmDist(streaming_metric.StreamingMetric):
    """Keeps a sum and a count."""

    def _info(self) -> evaluate.MetricInfo:
        embedding = datasets.Sequence(datasets.Value("float32"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=GUO_2022,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"text_embeddings": embedding, "motion_embeddings": embedding}),
            reference_urls=["https://github.com/EricGuo5513/text-to-motion"],
        )

    def _start(self) -> None:
        self._sum = 0.0
        self._width: int | None = None

    def _add(self, text_embeddings, motion_embeddings) -> int:
        texts, motions = functional.as_pairs(
            text_embeddings, motion_embeddings, ("text_embeddings", "motion_embeddings")
        )
        self._check_width(texts.shape[1])
        self._sum += float(functional.pair_distances(texts, motions).sum())
        return len(texts)

    def _state(self) -> dict[str, Any]:
        return {"sum": self._sum, "width": self._width}

    def _join(self, state) -> None:
        self._check_width(state["width"])
        self._sum += state["sum"]

    def _check_width(self, width: int) -> None:
        if self._width not in (None, width):
            raise ValueError(f"embeddings have {width} dimensions, earlier ones had {self._width}")
        self._width = width

    def _result(self) -> dict[str, float]:
        return {"mm_dist": self._sum / len(self)}
