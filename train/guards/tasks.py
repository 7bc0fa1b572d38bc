"""One task paying for the other: each task's validation loss or reward on its own, and which way to shift the mix."""

import math
from collections.abc import Callable, Mapping, Sequence

from transformers import Trainer

from train.guards.arguments import GuardArguments
from train.guards.base import Guard, Reading, baseline, latest
from train.guards.rollout_recorder import RolloutRecorder

OTHER = {"t2m": "m2t", "m2t": "t2m"}


class TaskGuard(Guard):
    """Warns when a task gets worse than it was while both are trained, with the share of tasks to try.

    Args:
        trainer, settings: see `Guard`.
        figures: from what is logged, a figure of each task, the same on every process; a task without data is left
            out, and where there is none nothing is read.
        lower_is_better: whether figures are losses or rewards.
        t2m_share: the mix that is trained on.
        joint_from: first step at which both tasks are trained; a task is not judged before.
    """

    name = "tasks"

    def __init__(
        self,
        trainer: Trainer,
        settings: GuardArguments,
        figures: Callable[[Reading], Mapping[str, float]],
        lower_is_better: bool,
        t2m_share: float,
        joint_from: int = 0,
    ):
        super().__init__(trainer, settings)
        self.figures, self.lower_is_better = figures, lower_is_better
        self.t2m_share, self.joint_from = t2m_share, joint_from
        self.unit = "loss" if lower_is_better else "reward"

    def concerned(self, logs: Reading) -> bool:
        """Whether logs hold each task's validation loss or, where rewards are compared, are those of training.

        Args:
            logs: What the trainer logged.

        Returns:
            Whether the guard reads now.
        """
        return bool(self.figures(logs)) if self.lower_is_better else super().concerned(logs)

    def read(self, logs: Reading, past: Sequence[Reading]) -> Reading:
        """Read the figure of each task.

        Args:
            logs: What the trainer logged.
            past: Earlier readings.

        Returns:
            `<task>_loss` or `<task>_reward`.
        """
        return {f"{task}_{self.unit}": value for task, value in self.figures(logs).items()}

    def faults(self, reading: Reading, past: Sequence[Reading]) -> list[str]:
        """Report a task that is worse than its best loss, or its first rewards, by more than the margin.

        Args:
            reading: The reading.
            past: Earlier readings.

        Returns:
            Faults, each with what to change.
        """
        found = []
        shares = {"t2m": self.t2m_share, "m2t": 1 - self.t2m_share}
        past = [earlier for earlier in past if earlier["step"] >= self.joint_from]
        for task, other in OTHER.items():
            key = f"{task}_{self.unit}"
            if key not in reading or not 0 < shares[task] < 1:
                continue
            if self.lower_is_better:
                best = min((earlier[key] for earlier in past if key in earlier), default=math.inf)
                worse, margin = reading[key] - best, self.settings.guard_task_loss
            else:
                begun, now = baseline(past, key), latest(past, reading, key)
                if begun is None or now is None:
                    continue
                worse, margin = begun - now, self.settings.guard_task_reward
            if worse > margin:
                share = shares[task] + (1 - shares[task]) / 3
                advised = share if task == "t2m" else 1 - share
                found.append(
                    f"{task} got worse by {worse:.2g} ({self.unit} {reading[key]:.3g}) beside {other}: give it more "
                    f"of the mix, like t2m_share: {advised:.2g}, or stop earlier"
                )
        return found


def validation_figures(logs: Reading) -> dict[str, float]:
    """Loss of each task in an evaluation of train/sft.py.

    Args:
        logs: What the trainer logged.

    Returns:
        Loss by task.
    """
    return {task: logs[f"eval_loss/{task}"] for task in OTHER if f"eval_loss/{task}" in logs}


def reward_figures(recorder: RolloutRecorder, weights: Mapping[str, float]) -> Callable[[Reading], dict[str, float]]:
    """Mean weighted reward of each task in the last rollout.

    Args:
        recorder: Records the rollouts.
        weights: Weight of each reward.

    Returns:
        Function of the logs that returns the figures.
    """

    def figures(logs: Reading) -> dict[str, float]:
        if recorder.rollout is None:
            return {}
        tasks, rewards = recorder.rollout.gathered_tasks(), recorder.rollout.gathered_rewards()
        totals: dict[str, list[float]] = {}
        for i, task in enumerate(tasks):
            total = math.fsum(weights[name] * (values[i] or 0.0) for name, values in rewards.items())
            totals.setdefault(task, []).append(total)
        return {task: math.fsum(values) / len(values) for task, values in sorted(totals.items())}

    return figures
