"""FID between generated and real motion as an `evaluate` module."""

from typing import Any

import datasets
import evaluate

from evaluate_unimo import functional, streaming_metric

_DESCRIPTION = """\
Frechet distance between Gaussians fitted to the embeddings of generated and of real motions. Lower is better. The
value falls with the number of motions: state that number beside it and compare only figures of one number.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: (N, D) embeddings of generated motions: numpy, torch or nested lists.
    references: (M, D) embeddings of real motions by the same evaluator; M may differ from N. With `add_batch` either
        side may come alone.

Returns:
    fid: at least 0.

Examples:
    >>> import evaluate_unimo
    >>> motion_fid = evaluate_unimo.load("motion_fid")
    >>> result = motion_fid.compute(predictions=[[0.0], [2.0]], references=[[1.0], [3.0], [5.0]])
    >>> round(result["fid"], 6)
    4.343146
"""

_CITATION = """\
@inproceedings{heusel2017gans,
  title = {GANs Trained by a Two Time-Scale Update Rule Converge to a Local Nash Equilibrium},
  author = {Heusel, Martin and Ramsauer, Hubert and Unterthiner, Thomas and Nessler, Bernhard and Hochreiter, Sepp},
  booktitle = {Advances in Neural Information Processing Systems},
  year = {2017}
}
"""


class MotionFid(streaming_metric.StreamingMetric):
    """Keeps mean and scatter of either side: D x D numbers however many motions come."""

    def _info(self) -> evaluate.MetricInfo:
        embedding = datasets.Sequence(datasets.Value("float32"))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"predictions": embedding, "references": embedding}),
            reference_urls=["https://arxiv.org/abs/1706.08500"],
        )

    def _start(self) -> None:
        self._sides = {"predictions": functional.Gaussian(), "references": functional.Gaussian()}

    def _add(self, predictions=None, references=None) -> int:
        given = {"predictions": predictions, "references": references}
        # Both are checked before either is taken in.
        rows = {k: functional.as_array(v, k, 2) for k, v in given.items() if v is not None}
        widths = {k: v.shape[1] for k, v in rows.items()}
        widths |= {f"earlier {k}": len(side.mean) for k, side in self._sides.items() if side.count}
        if len(set(widths.values())) > 1:
            raise ValueError(f"embeddings differ in dimensions: {widths}; all must come from one evaluator")
        for name, array in rows.items():
            self._sides[name].add(array, name)
        return sum(len(array) for array in rows.values())

    def _state(self) -> dict[str, Any]:
        parts = ("count", "mean", "scatter")
        return {f"{name}.{part}": getattr(side, part) for name, side in self._sides.items() for part in parts}

    def _join(self, state) -> None:
        for name, side in self._sides.items():
            side.merge(functional.Gaussian(*(state[f"{name}.{part}"] for part in ("count", "mean", "scatter"))), name)

    def _result(self) -> dict[str, float]:
        return {"fid": functional.gaussian_fid(self._sides["predictions"], self._sides["references"])}
