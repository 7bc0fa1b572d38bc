"""One reward deciding alone: the share of the advantage's variance that each reward has."""

from collections.abc import Mapping, Sequence

import numpy as np
from transformers import Trainer

from train.guards.arguments import GuardArguments
from train.guards.base import Guard, Reading, latest
from train.guards.rollout_recorder import RolloutRecorder

SATISFIED = 0.95  # every reward's best is 1: one that is nearly there for all answers has nothing left to decide


def variance_shares(
    rewards: Mapping[str, Sequence[float | None]], weights: Mapping[str, float], group: int
) -> dict[str, float]:
    """How much each reward adds to the variance of the advantage; the shares add up to 1.

    The advantage of an answer is its weighted sum of rewards less the mean of its group: what counts of a reward is
    its weighted value less its own mean in the group. Covariances between rewards are nobody's share.

    Args:
        rewards: by name, one value a row, groups side by side; None counts nothing, as in the trainer.
        weights: by name. group: rows a group.

    Returns:
        Shares by name; empty where all answers of every group score the same.
    """
    variances = {}
    for name, values in rewards.items():
        table = np.array([0.0 if value is None else value for value in values]).reshape(-1, group) * weights[name]
        variances[name] = float(table.var(axis=1).sum())
    total = sum(variances.values())
    return {name: variance / total for name, variance in variances.items()} if total > 1e-12 else {}


class RewardBalanceGuard(Guard):
    """Reads the shares of the last generation, and the mean of each reward."""

    name = "reward_balance"

    def __init__(
        self,
        trainer: Trainer,
        settings: GuardArguments,
        recorder: RolloutRecorder,
        weights: Mapping[str, float],
        group: int,
    ):
        super().__init__(trainer, settings)
        self.recorder, self.weights, self.group = recorder, weights, group

    def read(self, logs: Reading, past: Sequence[Reading]) -> Reading:
        """Measure each reward's share of the variance, and its mean.

        Args:
            logs: What the trainer logged.
            past: Earlier readings.

        Returns:
            `share_<reward>` and `mean_<reward>`.
        """
        if self.recorder.rollout is None:
            return {}
        rewards = self.recorder.rollout.gathered_rewards()
        reading: Reading = {}
        for name, share in variance_shares(rewards, self.weights, self.group).items():
            values = [value for value in rewards[name] if value is not None]
            if values:
                reading |= {f"share_{name}": share, f"mean_{name}": float(np.mean(values))}
        return reading

    def faults(self, reading: Reading, past: Sequence[Reading]) -> list[str]:
        """Report a reward with nearly all of the variance while another weighted reward is still low.

        Args:
            reading: The reading.
            past: Earlier readings.

        Returns:
            Faults, each with what to change.
        """
        limit = self.settings.guard_max_share
        found = []
        for name, weight in self.weights.items():
            share = latest(past, reading, f"share_{name}")  # of a few prompts alone it is mostly chance
            if share is None or share <= limit:
                continue
            left = [
                other
                for other, other_weight in self.weights.items()
                if other != name and other_weight and reading.get(f"mean_{other}", 1.0) < SATISFIED
            ]
            if left:
                # At this weight its share would be a half: variance goes with the square of the weight.
                advised = weight * max(1 - share, 0.01) ** 0.5 / share**0.5
                found.append(
                    f"{name} has {share:.0%} of the advantage's variance, {', '.join(left)} hardly any: give it "
                    f"less weight, like rewards: {name}={advised:.2g}"
                )
        return found
