"""What the policy answered last and what each reward gave for it, kept for the guards to look at."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from accelerate.utils import gather_object

from modeling_unimo.processing_unimo import Answer
from train.reinforcement.prompts import COLUMNS
from train.rewards import RewardFunction


@dataclass
class Rollout:
    """The answers of one process to the prompts of one generation, in whole or partial groups.

    Attributes:
        completion_ids: generated ids a row.
        columns: the dataset's columns, one value a row (`train.reinforcement.prompts.COLUMNS`).
        rewards: by reward name, one value a row; None where it does not cover the row's task.
    """

    completion_ids: list[list[int]]
    columns: dict[str, list[Any]]
    rewards: dict[str, list[float | None]] = field(default_factory=dict)

    def gathered_rewards(self) -> dict[str, list[float | None]]:
        """Gather the rewards of all processes, with whole groups; called on every process.

        Returns:
            Rewards by name.
        """
        return {name: gather_object(list(values)) for name, values in self.rewards.items()}

    def gathered_tasks(self) -> list[str]:
        """Gather the tasks of all processes' rows; called on every process.

        Returns:
            Task of each row.
        """
        return gather_object(list(self.columns["task"]))

    def valid(self, processor: Any, task: str, limit: int) -> dict[int, Answer]:
        """Valid answers of a task, spread evenly over the rows, since groups are adjacent.

        Args:
            processor: The processor.
            task: The task.
            limit: Number of answers at most.

        Returns:
            Answers by row.
        """
        rows = [i for i, t in enumerate(self.columns["task"]) if t == task]
        answers = {i: processor.parse(self.completion_ids[i], task) for i in rows}
        found = [i for i in rows if answers[i].valid]
        chosen = [found[k * len(found) // limit] for k in range(limit)] if len(found) > limit else found
        return {i: answers[i] for i in chosen}


class RolloutRecorder:
    """Watches reward functions at work.

    Attributes:
        rollout: the last generation; None before the first.
    """

    def __init__(self) -> None:
        self.rollout: Rollout | None = None

    def watch(self, rewards: Sequence[RewardFunction]) -> list["RecordedReward"]:
        """Wrap rewards so that their inputs and results are recorded.

        Args:
            rewards: The rewards.

        Returns:
            Rewards under the same names.
        """
        return [RecordedReward(reward, self, first=i == 0) for i, reward in enumerate(rewards)]


class RecordedReward:
    """A reward whose last values its recorder keeps.

    Args:
        reward: computes the values.
        recorder: keeps them, and the answers they are for.
        first: of the rewards that one generation is scored by: its answers replace the last ones.
    """

    def __init__(self, reward: RewardFunction, recorder: RolloutRecorder, first: bool):
        self.reward, self.recorder, self.first = reward, recorder, first
        self.__name__ = reward.__name__

    def __call__(
        self, completion_ids: Sequence[Sequence[int]], task: Sequence[str], **columns: Any
    ) -> list[float | None]:
        """The reward's values.

        Raises:
            SystemExit: one is NaN or infinite; the Trainer would take NaN for "not this task" and continue.
        """
        values = self.reward(completion_ids=completion_ids, task=task, **columns)
        for row, value in enumerate(values):
            if value is not None and not math.isfinite(value):
                raise SystemExit(
                    f"error: {self.__name__} is {value} for an answer of {task[row]} "
                    f"({columns['caption'][row]!r}): check the evaluator and the VQ-VAE it is computed with; the "
                    "last checkpoint is from before"
                )
        if self.first or self.recorder.rollout is None:
            kept = {"task": list(task)} | {name: list(columns[name]) for name in COLUMNS if name in columns}
            self.recorder.rollout = Rollout([list(ids) for ids in completion_ids], kept)
        self.recorder.rollout.rewards[self.__name__] = list(values)
        return values
