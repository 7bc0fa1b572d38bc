"""Instruction accuracy of motions as an `evaluate` module."""

from dataclasses import asdict
from typing import Any

import datasets
import evaluate

from evaluate_unimo import functional, instruction_accuracy, streaming_metric

_DESCRIPTION = """\
Instruction accuracy: the share of what a text asks for (action, side, count, direction, angle, order, height, time)
that its motion does, measured on the joints. Claims that the motion does not settle are counted apart. Higher is
better.
"""

_KWARGS_DESCRIPTION = """
Args:
    joints: a clip (T, 22, 3), a batch (B, T, 22, 3) or a list of clips of any lengths, in metres, Y up: numpy, torch
        or nested lists. When batches are added, give the option below to `load`.
    texts: one English text for each clip, a caption or a thought.
    fps: frames per second, default 20.
    exclude_kinds: kinds of claim left out of `consistency`, default `datasets_scripts.verify.UNRELIABLE_KINDS`: those
        whose verdicts do not hold on text that people wrote.

Returns:
    consistency: share of the decided claims that hold, over all texts together, 0..1.
    decided, undecided: number of claims it rests on. excluded: number of claims of excluded kinds.
    coverage: share of the sentences that could be read. by_kind: the same share for each kind of claim, of all kinds.
    contradictions: for each text the claims that its motion contradicts.

Examples:
    >>> import evaluate_unimo
    >>> from datasets_scripts.sources.synthetic.motion import Plan, Segment, animate
    >>> motion_consistency = evaluate_unimo.load("motion_consistency")
    >>> joints = animate(Plan((Segment("wave", "left", 2),))).joints
    >>> texts = ["a person waves the right hand twice."]
    >>> scores = motion_consistency.compute(joints=joints, texts=texts, exclude_kinds=[])
    >>> round(scores["consistency"], 3), scores["contradictions"]
    (0.667, [['side: said right, measured left']])
"""

_CITATION = ""


class MotionConsistency(streaming_metric.StreamingMetric):
    """Keeps the claims of each text, not the motion."""

    def _info(self) -> evaluate.MetricInfo:
        clip = datasets.Sequence(datasets.Sequence(datasets.Sequence(datasets.Value("float32"))))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"joints": clip, "texts": datasets.Value("string")}),
        )

    def _start(self, fps=20.0) -> None:
        self._fps = fps
        self._checked: list[instruction_accuracy.Verification] = []

    def _add(self, joints, texts) -> int:
        clips = functional.split_clips(joints)
        texts = [texts] if isinstance(texts, str) and len(clips) == 1 else texts
        self._checked += instruction_accuracy.check_pairs(clips, texts, self._fps, first=len(self._checked))
        return len(clips)

    def _state(self) -> dict[str, Any]:
        return {"checked": [asdict(one) for one in self._checked]}

    def _join(self, state) -> None:
        self._checked += [instruction_accuracy.restore(one) for one in state["checked"]]

    def _result(self, exclude_kinds=instruction_accuracy.UNRELIABLE_KINDS) -> dict:
        return instruction_accuracy.merge(self._checked, exclude_kinds)
