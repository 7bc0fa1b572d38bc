"""Diversity of motions as an `evaluate` module."""

import datasets
import evaluate
import numpy as np

from evaluate_unimo import functional, streaming

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

_CITATION = """\
@inproceedings{guo2020action2motion,
  title = {Action2Motion: Conditioned Generation of 3D Human Motions},
  author = {Guo, Chuan and Zuo, Xinxin and Wang, Sen and Zou, Shihao and Sun, Qingyao and Deng, Annan and Gong, Minglun
            and Cheng, Li},
  booktitle = {ACM International Conference on Multimedia},
  year = {2020}
}
"""


class MotionDiversity(streaming.StreamingMetric):
    """Keeps all rows: which ones the published draw takes depends on how many there are in the end."""

    def _info(self) -> evaluate.MetricInfo:
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"embeddings": datasets.Sequence(datasets.Value("float32"))}),
            reference_urls=["https://github.com/EricGuo5513/text-to-motion"],
        )

    def _start(self) -> None:
        self._batches: list[np.ndarray] = []

    def _add(self, embeddings) -> int:
        rows = functional.as_array(embeddings, "embeddings", 2)
        if self._batches and rows.shape[1] != self._batches[0].shape[1]:
            raise ValueError(
                f"embeddings have {rows.shape[1]} dimensions, earlier ones had {self._batches[0].shape[1]}"
            )
        # Copied: the caller may fill the same array with the next batch.
        self._batches.append(rows.copy())
        return len(rows)

    def _result(self, times=300, seed=None) -> dict[str, float]:
        return {"diversity": functional.diversity(np.concatenate(self._batches), times, seed)}
