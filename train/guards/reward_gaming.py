"""The reward being gamed: the judge that rewards sees a gain that a judge which never rewards does not see."""

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

    Each judge has its own scale, so gains are compared in spreads of its scores over answers.
    """

    name = "reward_gaming"

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
        reading: Reading = {}
        for name, judge in self.judges.items():
            scores: list[float] = []
            if answers:
                motions = judge.embed_codes([answer.codes for answer in answers.values()])
                truths = judge.embed_codes([columns["reference_codes"][i] for i in answers])
                texts = judge.embed_tokens([columns["caption_tokens"][i] for i in answers])
                scores = ((motions * truths).sum(-1) + (motions * texts).sum(-1)).div(2).tolist()
            scores = gather_object(scores)
            if len(scores) < 2:
                return {}
            reading |= {f"{name}_score": float(np.mean(scores)), f"{name}_spread": float(np.std(scores, ddof=1))}
        for name in self.judges:
            begun, spread = baseline(past, f"{name}_score"), baseline(past, f"{name}_spread")
            now = latest(past, reading, f"{name}_score")
            if begun is None or now is None or not spread:
                return reading
            reading[f"{name}_gain"] = (now - begun) / spread
        return reading | {"gap": reading["reward_gain"] - reading["held_out_gain"]}

    def faults(self, reading: Reading, past: Sequence[Reading]) -> list[str]:
        """Report a gain by the rewarding judge that the held-out judge does not confirm.

        Args:
            reading: The reading.
            past: Earlier readings.

        Returns:
            Faults, each with what to change.
        """
        if reading.get("gap", 0.0) <= self.settings.guard_max_drift or reading["reward_gain"] <= 0:
            return []
        return [
            f"the judge that rewards sees a gain of {reading['reward_gain']:.2g} spreads, the held-out judge "
            f"{reading['held_out_gain']:.2g}: raise beta, train fewer steps, or reward with a better evaluator"
        ]
