"""The reward being gamed: what rewards sees a gain that a judge which never rewards does not see."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from accelerate.utils import gather_object
from transformers import Trainer

from train.guards.arguments import GuardArguments
from train.guards.base import Guard, Reading, baseline, latest
from train.guards.rollout_recorder import RolloutRecorder
from train.reinforcement.motion_scorer import MotionScorer


class RewardGamingGuard(Guard):
    """Scores a sample of the generated motions with both judges: cosine with caption and with the true motion.

    Where the policy's own reading rewards (`self_consistency`), its values are held against the held-out judge, too.
    Each judge has its own scale, so gains are compared in spreads of its scores over answers.
    """

    name = "reward_gaming"
    reading = "self_consistency"

    def __init__(
        self,
        trainer: Trainer,
        settings: GuardArguments,
        recorder: RolloutRecorder,
        processor: Any,
        judge: MotionScorer,
        held_out: MotionScorer,
    ):
        super().__init__(trainer, settings)
        self.recorder, self.processor, self.judges = recorder, processor, {"reward": judge, "held_out": held_out}

    def read(self, logs: Reading, past: Sequence[Reading]) -> Reading:
        """Measure mean and spread by each judge and, after the start, the gains and their gap.

        Args:
            logs: What the trainer logged.
            past: Earlier readings.

        Returns:
            Figures by name.
        """
        if self.recorder.rollout is None:
            return {}
        columns = self.recorder.rollout.columns
        answers = self.recorder.rollout.valid(self.processor, "t2m", self.settings.guard_sample)
        scores: dict[str, list[float]] = {}
        for name, judge in self.judges.items():
            scores[name] = []
            if answers:
                motions = judge.embed_codes([answer.codes for answer in answers.values()])
                truths = judge.embed_codes([columns["reference_codes"][i] for i in answers])
                texts = judge.embed_tokens([columns["caption_tokens"][i] for i in answers])
                scores[name] = ((motions * truths).sum(-1) + (motions * texts).sum(-1)).div(2).tolist()
        if self.reading in self.recorder.rollout.rewards:
            values = self.recorder.rollout.rewards[self.reading]
            scores[self.reading] = [value for i in answers if (value := values[i]) is not None]
        reading: Reading = {}
        for name, own in scores.items():
            of_all = gather_object(own)
            if len(of_all) < 2:
                return {}
            reading |= {f"{name}_score": float(np.mean(of_all)), f"{name}_spread": float(np.std(of_all, ddof=1))}
        for name in scores:
            begun, spread = baseline(past, f"{name}_score"), baseline(past, f"{name}_spread")
            now = latest(past, reading, f"{name}_score")
            if begun is None or now is None or not spread:
                return reading
            reading[f"{name}_gain"] = (now - begun) / spread
        if self.reading in scores:
            reading[f"{self.reading}_gap"] = reading[f"{self.reading}_gain"] - reading["held_out_gain"]
        return reading | {"gap": reading["reward_gain"] - reading["held_out_gain"]}

    def faults(self, reading: Reading, past: Sequence[Reading]) -> list[str]:
        """Report a gain by a judge or a reading that rewards, which the held-out judge does not confirm.

        Args:
            reading: The reading.
            past: Earlier readings.

        Returns:
            Faults, each with what to change.
        """
        sides = {
            "reward": ("gap", "the judge that rewards", "reward with a better evaluator"),
            self.reading: (f"{self.reading}_gap", "the policy's own reading", f"give {self.reading} less weight"),
        }
        return [
            f"{who} sees a gain of {reading[f'{name}_gain']:.2g} spreads, the held-out judge "
            f"{reading['held_out_gain']:.2g}: raise beta, train fewer steps, or {remedy}"
            for name, (gap, who, remedy) in sides.items()
            if reading.get(gap, 0.0) > self.settings.guard_max_drift and reading[f"{name}_gain"] > 0
        ]
