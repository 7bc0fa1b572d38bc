"""Which guards watch which stage."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from transformers import Trainer

from modeling_unimo.motion_representation import HUMANML3D
from train.guards.arguments import GuardArguments
from train.guards.base import Guard
from train.guards.collapse import CollapseGuard
from train.guards.motion_tokens import MotionTokenGuard
from train.guards.reward_balance import RewardBalanceGuard
from train.guards.reward_gaming import RewardGamingGuard
from train.guards.rollout_recorder import RolloutRecorder
from train.guards.tasks import TaskGuard, reward_figures, validation_figures
from train.guards.thoughts import ThoughtGuard
from train.reinforcement.motion_scorer import MotionScorer

SEQUENCES = 4  # of each process, for the probability of motion tokens: logits over the whole vocabulary are large


def watch(trainer: Trainer, guards: Sequence[Guard]) -> list[Guard]:
    """Add guards to a trainer.

    Args:
        trainer: The trainer.
        guards: The guards.

    Returns:
        The guards; none if they are switched off.
    """
    if not guards or guards[0].settings.guard_every == 0:
        return []
    for guard in guards:
        trainer.add_callback(guard)
    return list(guards)


def watch_sft(
    trainer: Trainer, settings: GuardArguments, processor: Any, t2m_only_fraction: float, t2m_share: float
) -> list[Guard]:
    """The guards of supervised training: motion tokens, and each task's validation loss; without one, that is said.

    Args:
        trainer: its train dataset holds `input_ids`.
        t2m_only_fraction, t2m_share: how tasks are mixed.

    Returns:
        The guards.
    """
    close, places = processor.vocabulary.motion_end, range(min(256, len(trainer.train_dataset)))
    ends = [list(trainer.train_dataset[i]["input_ids"])[-8:] for i in places]
    chosen = [i for i in places if close in ends[i]][:SEQUENCES]  # with the motion in the answer
    sequences = [list(trainer.train_dataset[i]["input_ids"]) for i in chosen]
    training = trainer.args
    a_step = training.train_batch_size * training.gradient_accumulation_steps * training.world_size
    # The schedule is one pass, whose rows are packed or not.
    steps = training.max_steps if training.max_steps > 0 else len(trainer.train_dataset) // a_step
    tokens = MotionTokenGuard(
        trainer, settings, processor, lambda: sequences, judged_from=round(settings.guard_grace * steps)
    )
    if training.eval_strategy == "no":
        if settings.guard_every and trainer.is_world_process_zero():
            print("[guard] tasks: no validation, not watched", flush=True)
        return watch(trainer, [tokens])
    joint_from = round(t2m_only_fraction * steps)
    return watch(trainer, [tokens, TaskGuard(trainer, settings, validation_figures, True, t2m_share, joint_from)])


def watch_policy(
    trainer: Trainer,
    settings: GuardArguments,
    processor: Any,
    recorder: RolloutRecorder,
    weights: Mapping[str, float],
    scorer: MotionScorer,
    held_out: MotionScorer | None,
    t2m_share: float,
) -> list[Guard]:
    """The guards of GRPO, PPO, GSPO and RLOO.

    The judges are compared if there is a held-out one, thoughts are checked if there are any. What thoughts say is
    measured on the 22-joint skeleton alone.

    Args:
        trainer: The trainer.
        settings: Of the guards.
        processor: The processor.
        recorder: Records the rollouts.
        weights: Weight of each reward.
        scorer: The rewarding judge.
        held_out: The held-out judge, or None.
        t2m_share: Share of text-to-motion prompts.

    Returns:
        The guards.
    """
    guards: list[Guard] = [
        CollapseGuard(trainer, settings),
        MotionTokenGuard(trainer, settings, processor, rollout_sequences(recorder, processor)),
        TaskGuard(trainer, settings, reward_figures(recorder, weights), False, t2m_share),
        RewardBalanceGuard(trainer, settings, recorder, weights, trainer.args.num_generations),
    ]
    if processor.thoughts and len(processor.feature_extractor.mean) == HUMANML3D.feature_dim:
        guards.append(ThoughtGuard(trainer, settings, recorder, processor, scorer))
    if held_out is not None:
        guards.append(RewardGamingGuard(trainer, settings, recorder, processor, scorer, held_out))
    return watch(trainer, guards)


def watch_pairs(
    trainer: Trainer, settings: GuardArguments, processor: Any, pairs: Sequence[Mapping[str, Any]]
) -> list[Guard]:
    """The guard of DPO, which samples no answers: its motion tokens, in the preferred answers.

    Args:
        trainer: The trainer.
        settings: Of the guards.
        processor: The processor.
        pairs: The preference pairs.

    Returns:
        The guards.
    """
    rows = [pair["prompt_ids"] + pair["chosen_ids"] for pair in pairs if pair["task"] == "t2m"][:SEQUENCES]
    return watch(trainer, [MotionTokenGuard(trainer, settings, processor, lambda: rows)])


def rollout_sequences(recorder: RolloutRecorder, processor: Any) -> Callable[[], list[list[int]]]:
    """Sequences of the last rollout that contain a motion.

    Args:
        recorder: Records the rollouts.
        processor: The processor.

    Returns:
        Function that returns prompts with answers as ids.
    """

    def sequences() -> list[list[int]]:
        if recorder.rollout is None:
            return []
        columns, start = recorder.rollout.columns, processor.vocabulary.motion_start
        ids = recorder.rollout.completion_ids
        rows = [i for i, task in enumerate(columns["task"]) if task == "t2m" and start in ids[i]]
        chosen = rows[:: max(1, len(rows) // SEQUENCES)][:SEQUENCES]
        return [processor.prompt_ids("t2m", columns["caption"][i]) + ids[i] for i in chosen]

    return sequences
