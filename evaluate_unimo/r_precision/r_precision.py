"""R-Precision of texts and motions as an `evaluate` module."""

from typing import Any

import datasets
import evaluate
import numpy as np

from evaluate_unimo import functional, streaming_metric
from evaluate_unimo.citations import GUO_2022
from evaluate_unimo.row_store import RowStore

_DESCRIPTION = """\
Share of texts whose own motion is among the k nearest of a pool of motions, by embeddings of a text-motion evaluator.
Higher is better. The published protocol takes pools of 32 and k of 1, 2 and 3.
"""

_KWARGS_DESCRIPTION = """
Args:
    text_embeddings: (N, D) numpy, torch or nested lists.
    motion_embeddings: (N, D), row i belonging to text i.
    top_k: largest k, default 3.
    pool_size: motions in a pool, default 32. Rows are pooled in the order in which they come; rows left over at the
        end are not scored. When batches are added, give it to `load`.
    shuffle: draw the pools at random, default False; keeps all rows until then, beyond 64 MB a side in a temporary
        file. When batches are added, give it and `seed` to `load`.
    seed: of that draw; None takes numpy's global generator.

Returns:
    r_precision_top1, ..., r_precision_top<top_k>: each in 0..1.

Examples:
    >>> import evaluate_unimo
    >>> r_precision = evaluate_unimo.load("r_precision")
    >>> texts, motions = [[0.0], [10.0], [20.0], [21.0]], [[0.0], [10.0], [21.0], [20.0]]
    >>> r_precision.compute(text_embeddings=texts, motion_embeddings=motions, top_k=2, pool_size=4)
    {'r_precision_top1': 0.5, 'r_precision_top2': 1.0}
"""


class RPrecision(streaming_metric.StreamingMetric):
    """Keeps how often each rank occurred and less than one pool of rows; all rows where pools are drawn at random."""

    def _info(self) -> evaluate.MetricInfo:
        embedding = datasets.Sequence(datasets.Value("float32"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=GUO_2022,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"text_embeddings": embedding, "motion_embeddings": embedding}),
            reference_urls=["https://github.com/EricGuo5513/text-to-motion"],
        )

    def _start(self, pool_size=32, shuffle=False, seed=None) -> None:
        self._pool_size = functional.positive_integer(pool_size, "pool_size")
        self._shuffle, self._seed = shuffle, seed
        self._rank_counts = np.zeros(self._pool_size, np.int64)
        self._waiting: tuple[np.ndarray, np.ndarray] | None = None  # rows whose pool is not full yet
        self._texts, self._motions = RowStore(), RowStore()  # all rows, where pools are drawn

    def _add(self, text_embeddings, motion_embeddings) -> int:
        texts, motions = functional.as_pairs(
            text_embeddings, motion_embeddings, ("text_embeddings", "motion_embeddings")
        )
        if self._shuffle:
            self._texts.append(texts)
            self._motions.append(motions)
        else:
            self._pool(texts, motions)
        return len(texts)

    def _pool(self, texts: np.ndarray, motions: np.ndarray) -> None:
        """Score the whole pools that these rows make with those that wait; the rest waits."""
        if self._waiting is not None:
            if texts.shape[1] != self._waiting[0].shape[1]:
                width = self._waiting[0].shape[1]
                raise ValueError(f"embeddings have {texts.shape[1]} dimensions, earlier ones had {width}")
            texts, motions = (np.concatenate(pair) for pair in zip(self._waiting, (texts, motions), strict=True))
        full = len(texts) // self._pool_size * self._pool_size
        self._rank_counts += functional.pooled_rank_counts(texts[:full], motions[:full], self._pool_size)
        # Copied, so that the rest does not keep the whole batch alive, nor change with it.
        self._waiting = (texts[full:].copy(), motions[full:].copy())

    def _state(self) -> dict[str, Any]:
        if self._shuffle or self._waiting is None:
            rows = self._texts.all(), self._motions.all()
        else:
            rows = self._waiting
        return {"rank_counts": self._rank_counts, "texts": rows[0], "motions": rows[1]}

    def _join(self, state) -> None:
        if self._shuffle:
            self._texts.append(state["texts"])
            self._motions.append(state["motions"])
        else:
            self._pool(state["texts"], state["motions"])
            self._rank_counts += state["rank_counts"]

    def _result(self, top_k=3) -> dict[str, float]:
        if len(self) < self._pool_size:
            raise ValueError(
                f"{len(self)} pairs do not fill one pool of {self._pool_size}; add pairs or lower pool_size"
            )
        if not self._shuffle:
            return functional.hits_within(self._rank_counts, top_k)
        order = functional.generator(self._seed).permutation(len(self._texts))
        counts = np.zeros(self._pool_size, np.int64)
        for begin in range(0, len(order) // self._pool_size * self._pool_size, self._pool_size):
            pool = order[begin : begin + self._pool_size]
            counts += functional.pooled_rank_counts(self._texts.take(pool), self._motions.take(pool), self._pool_size)
        return functional.hits_within(counts, top_k)
