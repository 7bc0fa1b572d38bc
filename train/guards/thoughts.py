"""Hallucinated thoughts: what generated thoughts say against what the generated motion does."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from accelerate.utils import gather_object
from transformers import Trainer

from datasets_scripts.verify.verification import verify
from modeling_unimo.motion_representation import features_to_joints
from train.guards.arguments import GuardArguments
from train.guards.base import Guard, Reading, baseline
from train.guards.rollout_recorder import RolloutRecorder
from train.reinforcement.motion_scorer import MotionScorer

MIN_DECIDED = 8  # claims below which a share says nothing


class ThoughtGuard(Guard):
    """Holds a sample of generated thoughts against the motion that was generated after them."""

    name = "thoughts"

    def __init__(
        self,
        trainer: Trainer,
        settings: GuardArguments,
        recorder: RolloutRecorder,
        processor: Any,
        scorer: MotionScorer,
    ):
        super().__init__(trainer, settings)
        self.recorder, self.processor, self.scorer = recorder, processor, scorer

    def read(self, logs: Reading, past: Sequence[Reading]) -> Reading:
        """Check what the thoughts claim against the generated motions.

        Args:
            logs: What the trainer logged.
            past: Earlier readings.

        Returns:
            `decided`: claims that could be checked; `consistency`: the share of them that hold; `coverage`.
        """
        if self.recorder.rollout is None:
            return {}
        answers = list(self.recorder.rollout.valid(self.processor, "t2m", self.settings.guard_sample).values())
        motions = self.scorer.decode([answer.codes for answer in answers]) if answers else []
        verdicts: list[str] = []
        coverage: list[float] = []
        for answer, motion in zip(answers, motions, strict=True):
            joints = features_to_joints(motion.cpu().numpy())
            (verification,) = verify([answer.thought], joints, fps=self.processor.feature_extractor.fps)
            verdicts += [claim.verdict for claim in verification.claims if claim.verdict != "undecided"]
            coverage.append(verification.coverage)
        verdicts, coverage = gather_object(verdicts), gather_object(coverage)
        if not coverage:
            return {}
        reading: Reading = {"decided": float(len(verdicts)), "coverage": float(np.mean(coverage))}
        if len(verdicts) >= MIN_DECIDED:
            reading["consistency"] = verdicts.count("holds") / len(verdicts)
        return reading

    def faults(self, reading: Reading, past: Sequence[Reading]) -> list[str]:
        """Report thoughts that hold no more often than guesses, or less often than at the start.

        Args:
            reading: The reading.
            past: Earlier readings.

        Returns:
            Faults, each with what to change.
        """
        consistency = reading.get("consistency")
        if consistency is None:
            return []
        begun = baseline(past, "consistency")
        remedy = "check the thoughts trained on with datasets_scripts.verify.verification, or raise beta"
        if consistency < self.settings.guard_min_consistency:
            return [f"{consistency:.0%} of the checked claims hold: {remedy}"]
        if begun is not None and begun - consistency > self.settings.guard_consistency_drop:
            return [f"{consistency:.0%} of the checked claims hold, {begun:.0%} at the start: {remedy}"]
        return []
