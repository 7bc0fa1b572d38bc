"""What the policy answered last and what each reward gave for it, kept for the guards to look at."""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from accelerate.utils import gather_object

from modeling_unimo.processing_unimo import Answer
from train.rewards import Reward


@dataclass
class Rollout:
    """The answers of one process to the prompts of one generation, in whole or partial groups.

    Attributes:
        completion_ids: generated ids a row.
        columns: the dataset's columns a row (task, caption, references, reference_codes).
        rewards: by reward name, one value a row; None where it does not cover the row's task.
    """

    completion_ids: list[list[int]]
    columns: dict[str, list[Any]]
    rewards: dict[str, list[float | None]] = field(default_factory=dict)

    def gathered_rewards(self) -> dict[str, list[float | None]]:
        """The rewards of all processes, groups whole again; called on every process."""
        return {name: gather_object(list(values)) for name, values in self.rewards.items()}

    def gathered_tasks(self) -> list[str]:
        """The tasks of all processes' rows; called on every process."""
        return gather_object(list(self.columns["task"]))

    def valid(self, processor: Any, task: str, limit: int) -> dict[int, Answer]:
        """Up to `limit` valid answers of a task, by row, spread evenly over the rows: groups lie side by side."""
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

    def watch(self, rewards: Sequence[Reward]) -> list[Reward]:
        """The same functions under the same names, what they get and give remembered.

        A function raises SystemExit instead of returning a reward that is no number: the Trainer would take NaN for
        "not this task" and go on.
        """
        return [self._watched(reward, first=i == 0) for i, reward in enumerate(rewards)]

    def _watched(self, reward: Reward, first: bool) -> Reward:
        name = reward.__name__

        @functools.wraps(reward)
        def watched(prompts=None, completions=None, completion_ids=(), **columns):
            values = reward(prompts=prompts, completions=completions, completion_ids=completion_ids, **columns)
            for row, value in enumerate(values):
                if value is not None and not math.isfinite(value):
                    raise SystemExit(
                        f"error: {name} is {value} for an answer of {columns['task'][row]} "
                        f"({columns['caption'][row]!r}): look at the evaluator and the VQ-VAE it is made with; the "
                        "last checkpoint is from before"
                    )
            if first or self.rollout is None:
                kept = {key: list(columns[key]) for key in ("task", "caption", "references", "reference_codes")}
                self.rollout = Rollout([list(ids) for ids in completion_ids], kept)
            self.rollout.rewards[name] = list(values)
            return values

        return watched
