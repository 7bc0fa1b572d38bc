"""Collapse of the policy: reward, its spread, entropy, KL, groups without spread, and length of answers."""

from collections.abc import Sequence

from train.guards.base import Guard, Reading, baseline


class CollapseGuard(Guard):
    """Compares what GRPO logs with what it began with.

    What is logged already (`reward`, `reward_std`, `entropy`, `kl`, `frac_reward_zero_std`,
    `completions/mean_length`) is put in relation to the run's first readings.
    """

    name = "collapse"
    _WATCHED = {
        "reward": "reward",
        "spread": "reward_std",
        "entropy": "entropy",
        "length": "completions/mean_length",
        "kl": "kl",
        "zero_spread": "frac_reward_zero_std",
    }

    def read(self, logs: Reading, past: Sequence[Reading]) -> Reading:
        """Read the watched figures, some as shares of their means at the start.

        Args:
            logs: What the trainer logged.
            past: Earlier readings.

        Returns:
            Figures by name.
        """
        reading = {name: logs[key] for name, key in self._WATCHED.items() if logs.get(key) is not None}
        for name in ("spread", "entropy", "length"):
            start = baseline(past, name)
            if name in reading and start:
                reading[f"{name}_ratio"] = reading[name] / start
        begun, spread = baseline(past, "reward"), baseline(past, "spread")
        if begun is not None and spread:
            reading["reward_change"] = (reading["reward"] - begun) / spread
        return reading

    def faults(self, reading: Reading, past: Sequence[Reading]) -> list[str]:
        """Report figures out of bounds.

        Args:
            reading: The reading.
            past: Earlier readings.

        Returns:
            Faults, each with what to change.
        """
        limits = self.settings
        drift = limits.guard_length_drift
        bounds = [
            ("reward_change", -limits.guard_reward_drop, None, "the reward fell by {:.2g} of its spreads: lower "
             "learning_rate or raise beta"),
            ("spread_ratio", limits.guard_min_spread_ratio, None, "the rewards' spread is {:.1%} of its start: all "
             "answers are alike, raise beta or lower learning_rate"),
            ("entropy_ratio", limits.guard_min_entropy, limits.guard_max_entropy, "the entropy is {:.1%} of its "
             "start: lower learning_rate or raise beta"),
            ("kl", None, limits.guard_max_kl, "the KL from the reference is {:.2g} nats a token: raise beta or lower "
             "learning_rate"),
            ("zero_spread", None, limits.guard_max_zero_spread, "in {:.0%} of the groups all answers score the same: "
             "raise num_generations or begin from a model that answers validly"),
            ("length_ratio", 1 / drift, drift, "answers are {:.2g} times as long as at the start: add the reward "
             "length_closeness or raise beta"),
        ]  # fmt: skip
        found = []
        for name, low, high, words in bounds:
            value = reading.get(name)
            if value is not None and (low is not None and value < low or high is not None and value > high):
                found.append(words.format(abs(value)))
        return found
