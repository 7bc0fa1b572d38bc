"""GRPO, PPO, GSPO, RLOO and DPO from one set of arguments: what each makes of them, and the trainer that runs it."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import fields
from typing import Any

from datasets import Dataset
from transformers import PreTrainedModel, PreTrainedTokenizerBase
from trl import DPOConfig, DPOTrainer, GRPOConfig, GRPOTrainer, RLOOConfig, RLOOTrainer

from train.engine.arguments import refuse_decided
from train.engine.stages import StageTrainer
from train.reinforcement.ppo import MotionPPOTrainer
from train.rewards import RewardFunction

# Clipping of GSPO, whose ratio is of whole sequences (Zheng et al., 2025, section 5.1).
GSPO = {"importance_sampling_level": "sequence", "loss_type": "grpo", "epsilon": 3e-4, "epsilon_high": 4e-4}
# What PPO takes over of GRPO's settings has these values: a ratio a token, clipped, and rewards that are added up.
CLIPPED = ("grpo", "bnpo", "dr_grpo", "dapo")
PPO = {"importance_sampling_level": "token", "multi_objective_aggregation": "sum_then_normalize"}


class PolicyConfig(GRPOConfig):
    """TRL's settings of GRPO, which serve all algorithms."""

    def __post_init__(self) -> None:
        try:
            super().__post_init__()
        except ValueError as error:
            if "divisible by num_generations" not in str(error):
                raise
            raise ValueError(
                f"the answers of a step must make whole groups: per_device_train_batch_size "
                f"{self.per_device_train_batch_size} x gradient_accumulation_steps {self.gradient_accumulation_steps} "
                f"x {self.world_size} processes = {self.generation_batch_size}, num_generations is "
                f"{self.num_generations}; change one of them so that it divides the product"
            ) from error


class MotionGRPOTrainer(StageTrainer, GRPOTrainer):
    """TRL's trainer with the card of the stage."""


class MotionRLOOTrainer(StageTrainer, RLOOTrainer):
    """TRL's trainer with the card of the stage."""


class MotionDPOTrainer(StageTrainer, DPOTrainer):
    """TRL's trainer with the card of the stage, over pairs of the very ids that were sampled."""

    def _prepare_dataset(self, dataset: Dataset, *args: Any, **kwargs: Any) -> Dataset:
        """Nothing: text tokenised anew need not give the ids a model sampled, and invalid answers would be closed."""
        return dataset


def prompts_drawn(training: GRPOConfig) -> int:
    """The prompts of a whole run: those of each time that answers are sampled, as often as its steps need.

    Where answers serve several iterations, more than are used.

    Args:
        training: GRPO's settings.

    Returns:
        How many prompts.
    """
    batches = training.max_steps * training.gradient_accumulation_steps
    samplings = math.ceil(batches / training.steps_per_generation)
    return samplings * (training.generation_batch_size // training.num_generations)


def pairs_a_step(training: GRPOConfig) -> int:
    """The prompts whose answers a GRPO step learns from, which are the pairs a DPO step learns from.

    Args:
        training: GRPO's settings.

    Returns:
        How many prompts, over all processes.
    """
    batch = training.per_device_train_batch_size * training.world_size
    return batch * training.gradient_accumulation_steps // training.num_generations


def cycle_steps(training: GRPOConfig) -> int:
    """Optimiser steps until answers are sampled anew and no sampled answer is left over.

    Args:
        training: GRPO's settings.

    Returns:
        How many steps.
    """
    passes = training.steps_per_generation * training.num_iterations
    return math.lcm(passes, training.gradient_accumulation_steps) // training.gradient_accumulation_steps


def check_save_steps(training: GRPOConfig) -> None:
    """Refuse checkpoints in the middle of a generation cycle, whose answers are in none and cannot be resumed.

    Args:
        training: GRPO's settings.

    Raises:
        SystemExit: with the nearest step count that is at the end of one.
    """
    if training.save_strategy != "steps":
        return
    cycle = cycle_steps(training)
    steps = training.save_steps
    if steps < 1:
        steps = math.ceil(training.max_steps * steps)
    if steps % cycle:
        nearest = max(1, round(steps / cycle)) * cycle
        raise SystemExit(
            f"error: save_steps {training.save_steps} would save within a generation cycle of {cycle} steps "
            f"(steps_per_generation {training.steps_per_generation} x num_iterations {training.num_iterations} / "
            f"gradient_accumulation_steps {training.gradient_accumulation_steps}), which cannot be resumed; use "
            f"save_steps {nearest}"
        )


def check_off_policy(training: GRPOConfig) -> None:
    """Refuse GSPO where each answer is learned from by the very policy that gave it: every ratio is 1, as in GRPO.

    Then TRL keeps no log-probabilities of the sampling policy, and neither ratios of sequences nor their clipping act.

    Args:
        training: GRPO's settings.

    Raises:
        SystemExit: with settings under which they do.
    """
    accumulated, batches = training.gradient_accumulation_steps, training.steps_per_generation
    if accumulated % (batches * training.num_iterations) == 0:
        iterations = next(n for n in itertools.count(2) if accumulated % (batches * n))
        raise SystemExit(
            f"error: with num_iterations {training.num_iterations}, steps_per_generation {batches} every answer is "
            "learned from by the policy that gave it, so all ratios are 1 and gspo is grpo; set num_iterations "
            f"{iterations}, or steps_per_generation {2 * accumulated}, above gradient_accumulation_steps"
        )


def check_ppo(training: GRPOConfig) -> None:
    """Refuse what has no meaning where every token has an advantage of its own.

    Args:
        training: GRPO's settings.

    Raises:
        SystemExit: naming the setting.
    """
    refuse_decided(training, PPO, "ppo clips the ratio of each token and adds rewards up")
    if training.loss_type not in CLIPPED:
        raise SystemExit(
            f"error: loss_type is {training.loss_type!r}, but ppo clips ratios; choose one of {', '.join(CLIPPED)}"
        )


def check_pairs(training: GRPOConfig) -> int:
    """How many of the pairs of a DPO step each process has.

    Args:
        training: GRPO's settings.

    Returns:
        Pairs of a process.

    Raises:
        SystemExit: they cannot be shared out evenly over the processes.
    """
    pairs, processes = pairs_a_step(training), training.world_size
    if pairs % processes:
        raise SystemExit(
            f"error: the {pairs} prompts of a step make {pairs} pairs, which {processes} processes cannot share "
            "evenly; change per_device_train_batch_size, gradient_accumulation_steps or the number of processes"
        )
    return pairs // processes


def settings_for(
    algorithm: str, training: GRPOConfig, dpo_beta: float = 0.1, max_length: int | None = None
) -> GRPOConfig | RLOOConfig | DPOConfig:
    """The trainer's arguments of an algorithm, from those of GRPO.

    PPO has GRPO's. GSPO is GRPO with ratios of whole sequences and their clipping. RLOO takes over what it has. A DPO
    step learns from the best and worst answer of as many prompts as a GRPO step answers.

    Args:
        algorithm: "grpo", "ppo", "gspo", "rloo" or "dpo".
        training: GRPO's, changed in place where it is returned.
        dpo_beta: DPO's own temperature; a KL weight of GRPO is another quantity.
        max_length: tokens of the longest prompt with its answer, so that DPO cuts none.

    Returns:
        The settings, of the class that the trainer takes.

    Raises:
        SystemExit: DPO's pairs of a step cannot be shared out evenly over the processes.
    """
    if algorithm in ("grpo", "ppo"):
        return training
    if algorithm == "gspo":
        _report_changes("gspo", training, GSPO)
        for name, value in GSPO.items():
            setattr(training, name, value)
        return training
    if algorithm == "rloo":
        # GRPO's has derived one of the two from the other; both given count as a contradiction.
        return _converted(RLOOConfig, training, steps_per_generation=None)
    share = check_pairs(training)
    # A pair is two sequences: no more of them at once than GRPO holds.
    at_once = max(n for n in range(1, share + 1) if share % n == 0 and (n == 1 or 2 * n <= training.train_batch_size))
    _report_changes("dpo", training, {"loss_type": "sigmoid", "beta": dpo_beta})
    return _converted(
        DPOConfig,
        training,
        beta=dpo_beta,
        loss_type=["sigmoid"],
        max_length=max_length,
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=share // at_once,
        remove_unused_columns=True,
    )


def _report_changes(algorithm: str, training: GRPOConfig, own: dict[str, Any]) -> None:
    """Print which of GRPO's settings the algorithm replaces."""
    changed = [f"{name} {value} (not {getattr(training, name)})" for name, value in own.items()]
    if training.process_index == 0:
        print(f"[grpo] {algorithm} sets {', '.join(changed)}", flush=True)


def _converted(config_class: type[Any], training: GRPOConfig, **changed: Any) -> Any:
    """Another trainer's arguments, with all values that both have; others that the user set are printed."""
    known = {field.name for field in fields(config_class) if field.init}
    defaults = {field.name: field.default for field in fields(GRPOConfig)}
    values = {field.name: getattr(training, field.name) for field in fields(GRPOConfig) if field.init}
    # Derived ones, and those that answers are sampled and scored by whatever learns from them.
    used = {"generation_batch_size", "steps_per_generation", "reward_weights", "temperature", "top_p", "top_k"}
    used |= {"num_generations", "max_completion_length", "generation_kwargs"}
    unused = sorted(n for n, v in values.items() if n not in known | used and v != defaults[n])
    if unused and training.process_index == 0:
        print(f"[grpo] not used by {config_class.__name__}: {', '.join(unused)}", flush=True)
    return config_class(**{name: value for name, value in values.items() if name in known} | changed)


def make_trainer(
    algorithm: str,
    model: PreTrainedModel,
    settings: GRPOConfig | RLOOConfig | DPOConfig,
    train_dataset: Dataset,
    tokenizer: PreTrainedTokenizerBase,
    rewards: Sequence[RewardFunction],
    gae_lambda: float = 0.95,
    value_learning_rate: float = 1e-3,
) -> StageTrainer:
    """The trainer of an algorithm; DPO's dataset holds pairs, the others' prompts that rewards are called for.

    Args:
        algorithm: "grpo", "ppo", "gspo", "rloo" or "dpo".
        model: The policy.
        settings: As `settings_for` gives them.
        train_dataset: The pairs or prompts.
        tokenizer: That of the policy.
        rewards: Reward functions; DPO calls none.
        gae_lambda, value_learning_rate: PPO's, see `MotionPPOTrainer`.

    Returns:
        The trainer.
    """
    common = {"model": model, "args": settings, "train_dataset": train_dataset, "processing_class": tokenizer}
    if algorithm == "dpo":
        return MotionDPOTrainer(**common)
    common["reward_funcs"] = list(rewards)
    if algorithm == "ppo":
        return MotionPPOTrainer(**common, gae_lambda=gae_lambda, value_learning_rate=value_learning_rate)
    trainer_class = MotionRLOOTrainer if algorithm == "rloo" else MotionGRPOTrainer
    return trainer_class(**common)
