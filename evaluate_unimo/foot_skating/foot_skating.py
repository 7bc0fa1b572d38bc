"""Sliding feet as an `evaluate` module."""

from dataclasses import astuple
from typing import Any

import datasets
import evaluate

from evaluate_unimo import functional, streaming_metric

_DESCRIPTION = """\
How much feet slide while they touch the ground: the share of time in which a touching foot skates (the measure of GMD
and OmniControl) and how far touching feet move from one frame to the next. Lower is better.
"""

_KWARGS_DESCRIPTION = """
Args:
    joints: a clip (T, J, 3), a batch (B, T, J, 3) or a list of clips of any lengths, in metres, Y up: numpy, torch or
        nested lists. When batches are added, give the options below to `load`.
    fps: frames per second, default 20.
    feet: indices of the joints to watch, default (10, 11), the feet of the 22-joint skeleton.
    floor: height of the ground in metres, default 0; None takes in each clip the lowest position of those joints.
    contact_height: metres below which a foot touches the ground, default 0.05.
    skating_speed: metres per second above which a touching foot skates, default 0.5.

Returns:
    skating_ratio: mean over clips of the share of steps in which either foot skates, 0..1.
    mean_slide_m: metres across the ground that a touching foot moves from one frame to the next, over all clips.

Examples:
    >>> import evaluate_unimo
    >>> import numpy as np
    >>> foot_skating = evaluate_unimo.load("foot_skating")
    >>> joints = np.zeros((10, 22, 3))
    >>> joints[:, :, 2] = 0.0625 * np.arange(10)[:, None]
    >>> foot_skating.compute(joints=joints)
    {'skating_ratio': 1.0, 'mean_slide_m': 0.0625}
"""

_CITATION = """\
@inproceedings{karunratanakul2023gmd,
  title = {Guided Motion Diffusion for Controllable Human Motion Synthesis},
  author = {Karunratanakul, Korrawe and Preechakul, Konpat and Suwajanakorn, Supasorn and Tang, Siyu},
  booktitle = {IEEE/CVF International Conference on Computer Vision},
  year = {2023}
}
"""


class FootSkating(streaming_metric.StreamingMetric):
    """Keeps three numbers a clip."""

    def _info(self) -> evaluate.MetricInfo:
        clip = datasets.Sequence(datasets.Sequence(datasets.Sequence(datasets.Value("float32"))))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features({"joints": clip}),
            reference_urls=["https://github.com/korrawe/guided-motion-diffusion"],
        )

    def _start(self, fps=20.0, feet=None, floor=0.0, contact_height=0.05, skating_speed=0.5) -> None:
        self._settings = {"fps": fps, "feet": feet, "floor": floor}
        self._settings |= {"contact_height": contact_height, "skating_speed": skating_speed}
        self._clips: list[functional.ClipSkating] = []

    def _add(self, joints) -> int:
        clips = functional.split_clips(joints)
        first = len(self._clips)
        names = [f"joints[{first + i}]" for i in range(len(clips))]
        self._clips += [
            functional.clip_skating(clip, **self._settings, name=name) for clip, name in zip(clips, names, strict=True)
        ]
        return len(clips)

    def _state(self) -> dict[str, Any]:
        return {"clips": [astuple(clip) for clip in self._clips]}

    def _join(self, state) -> None:
        self._clips += [functional.ClipSkating(*clip) for clip in state["clips"]]

    def _result(self) -> dict[str, float]:
        return functional.merge_skating(self._clips)
