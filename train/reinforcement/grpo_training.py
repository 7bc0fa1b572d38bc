"""Reinforcement learning on both tasks with GRPO, PPO, GSPO, RLOO or DPO.

Answers are sampled free (no grammar, temperature 1, no top-k or top-p), so that sampling and training
log-probabilities are one distribution and the format reward means something.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from datasets import Dataset
from transformers import AutoModelForCausalLM, PreTrainedModel, set_seed
from trl import DPOConfig, GRPOConfig, GRPOTrainer, RLOOConfig
from trl.import_utils import is_vllm_available

from datasets_scripts.captioned_motions import CaptionedMotion, captioned_motions
from datasets_scripts.schema import load_motion_dataset
from modeling_unimo import MotionVQVAEModel, TextMotionEvaluatorModel, UniMoForConditionalGeneration, UniMoProcessor
from modeling_unimo.command_line import exit_on_error
from modeling_unimo.model_loading import check_feature_dim, load_model
from modeling_unimo.tokenization_unimo import UniMoTokenizer, motion_vocabulary
from modeling_unimo.words_unimo import taught_words
from train.engine.arguments import check_evaluations, refuse_decided, require_folder, require_splits
from train.engine.cards import write_unimo_card
from train.engine.lora import check_lora, merged, trainable_share, with_adapters
from train.engine.push import push_stage
from train.engine.run_folder import already_finished, run_folder
from train.engine.sharding import is_fsdp, is_zero3, loaded_whole
from train.engine.stages import StageTrainer, finish_stage
from train.engine.vocabulary_rows import never_sampled
from train.guards.arguments import GuardArguments
from train.guards.base import Guard, require_sound, write_warnings
from train.guards.rollout_recorder import RolloutRecorder
from train.guards.stage_guards import watch_pairs, watch_policy
from train.reinforcement.algorithms import (
    check_off_policy,
    check_pairs,
    check_ppo,
    check_save_steps,
    make_trainer,
    prompts_drawn,
    settings_for,
)
from train.reinforcement.caption_encoder import CaptionEncoder
from train.reinforcement.motion_scorer import MotionScorer
from train.reinforcement.preferences import (
    COUNTS,
    PAIRS,
    choose_pairs,
    end_ids,
    read_pairs,
    sample_answers,
    write_pairs,
)
from train.reinforcement.prompts import draw_prompts
from train.reinforcement.rollouts import can_sample, group_rollouts
from train.rewards import RewardFunction, make_rewards, parse_weights

if TYPE_CHECKING:
    from train.grpo import GRPOArguments

# Sampled free: sampling and training log-probabilities are one distribution.
SAMPLED = {"temperature": 1.0, "top_p": 1.0, "top_k": 0, "min_p": None, "repetition_penalty": 1.0}
# And what else can be among generation_kwargs, of the library or of vLLM, and would part the two.
GENERATED = SAMPLED | {
    "do_sample": True,
    "num_beams": 1,
    "typical_p": 1.0,
    "epsilon_cutoff": 0.0,
    "eta_cutoff": 0.0,
    "no_repeat_ngram_size": 0,
    "presence_penalty": 0.0,
    "frequency_penalty": 0.0,
    "bad_words_ids": None,
    "suppress_tokens": None,
    "logit_bias": None,
}


def refuse_contradictions(arguments: "GRPOArguments", training: GRPOConfig) -> None:
    """Stop, before anything is loaded, where two settings exclude each other.

    Args:
        arguments: The options of the stage.
        training: GRPO's settings.

    Raises:
        SystemExit: the message names both and what to change.
    """
    refuse_decided(training, {"eval_strategy": "no"}, "train/grpo.py watches its rewards and has no validation")
    check_evaluations(training, ())
    if training.max_steps <= 0:
        raise SystemExit("error: max_steps must be positive, since it decides how many prompts are drawn")
    if training.reward_weights is not None:
        raise SystemExit(
            "error: reward_weights is given by position; set weights by name instead, like rewards: format_reward=0.5"
        )
    why = "answers are sampled free, so that sampling and training log-probabilities are one distribution"
    refuse_decided(training, SAMPLED, why)
    refuse_decided(training, {"remove_unused_columns": False}, "the rewards read the columns")
    for name, value in (training.generation_kwargs or {}).items():
        if name in GENERATED and value != GENERATED[name]:
            raise SystemExit(f"error: {name} in generation_kwargs is {value!r}, but {why}; remove it")
    if training.generation_kwargs and arguments.algorithm == "dpo":
        raise SystemExit("error: dpo samples its answers beforehand, with no generation_kwargs; remove them")
    if arguments.unimo_output_dir and (is_fsdp(training) or is_zero3(training)):
        raise SystemExit(
            "error: unimo_output_dir is given, but the weights are in shards, of which no process could assemble it; "
            "remove it and join the parts at the end with "
            "`python -m modeling_unimo.convert_checkpoint --kind unimo`"
        )
    if arguments.reference_model and not training.beta and arguments.algorithm != "dpo":  # which has its dpo_beta
        raise SystemExit("error: reference_model is given, but beta is 0, so it has no effect; set beta above 0")
    check_lora(arguments.lora_rank, arguments.base_dtype, training)
    if arguments.lora_rank and arguments.reference_model:
        raise SystemExit(
            "error: with lora_rank the policy without its adapters is the reference; remove reference_model"
        )
    if training.use_vllm and not is_vllm_available():
        raise SystemExit('error: use_vllm needs vLLM, which is not installed: pip install "trl[vllm]", or remove it')
    if arguments.algorithm == "dpo":
        check_pairs(training)
        return
    if arguments.algorithm == "gspo":
        check_off_policy(training)
    if arguments.algorithm == "ppo":
        check_ppo(training)
    check_save_steps(training)


def require_finite(model: PreTrainedModel, path: str) -> None:
    """Refuse a network whose weights are not finite: none of its scores would be.

    Args:
        model: The network.
        path: Where it was loaded from.

    Raises:
        ValueError: naming the first one.
    """
    for name, value in model.state_dict().items():
        if not torch.isfinite(value).all():
            raise ValueError(f"{path}: {name} holds NaN or infinite values; train that model again")


def require_codebook(processor: Any, vqvae: MotionVQVAEModel, arguments: "GRPOArguments") -> None:
    """Refuse a VQ-VAE whose codes are not those of the policy's vocabulary.

    Args:
        processor: The policy's.
        vqvae: The VQ-VAE.
        arguments: The options of the stage, which name both folders.

    Raises:
        ValueError: with both sizes.
    """
    if processor.num_codes != vqvae.config.codebook_size:
        raise ValueError(
            f"{arguments.sft_model} has a motion vocabulary of {processor.num_codes} codes, the VQ-VAE at "
            f"{arguments.vqvae} a codebook of {vqvae.config.codebook_size}; give the VQ-VAE it was trained with"
        )


def require_reference(arguments: "GRPOArguments", model: PreTrainedModel) -> None:
    """Refuse a reference that is not there or has another vocabulary than the policy.

    Args:
        arguments: The options of the stage, which name the reference.
        model: The policy.

    Raises:
        FileNotFoundError, ValueError: what is wrong with it.
    """
    reference = load_model(AutoModelForCausalLM, arguments.reference_model, "as reference_model a supervised model")
    if reference.config.vocab_size != model.config.vocab_size:
        raise ValueError(
            f"reference_model {arguments.reference_model} has {reference.config.vocab_size} tokens, sft_model "
            f"{model.config.vocab_size}: give a model with the same vocabulary"
        )


@dataclass
class Inputs:
    """What a run reads: the policy with its processor, the frozen networks, and the motions it asks about."""

    model: PreTrainedModel
    processor: Any
    vqvae: MotionVQVAEModel
    evaluator: TextMotionEvaluatorModel
    held_out: TextMotionEvaluatorModel | None
    caption_encoder: CaptionEncoder | None
    entries: list[CaptionedMotion]
    codes: list[np.ndarray]
    reader: PreTrainedModel | None = None


def load_inputs(
    arguments: "GRPOArguments", guarding: GuardArguments, training: GRPOConfig, reads: bool = False
) -> Inputs:
    """Load and check all that a run reads; frozen networks go to the training's device.

    Args:
        reads: also load what `self_consistency` reads motions with: the reference, a second copy of the policy.

    Returns:
        What the run reads.

    Raises:
        ValueError, OSError: an input that is missing, damaged or does not belong to the others.
    """
    dataset = require_splits(load_motion_dataset(arguments.dataset), arguments.dataset, "train")
    with loaded_whole(training):
        vqvae = load_model(MotionVQVAEModel, arguments.vqvae, "as vqvae the folder of a motion VQ-VAE")
        evaluator = load_model(TextMotionEvaluatorModel, arguments.evaluator, "as evaluator the folder of one")
        held_out = None
        if guarding.held_out_evaluator:
            needed = "as held_out_evaluator the folder of one"
            held_out = load_model(TextMotionEvaluatorModel, guarding.held_out_evaluator, needed)
        encoder = None
        if arguments.caption_encoder:
            encoder = CaptionEncoder(arguments.caption_encoder, arguments.caption_pooling, training.device)
    needed = "as sft_model the folder of a supervised model"
    model = load_model(AutoModelForCausalLM, arguments.sft_model, needed, dtype=arguments.base_dtype)
    processor = UniMoProcessor.from_pretrained(arguments.sft_model)
    require_codebook(processor, vqvae, arguments)
    entries = captioned_motions(dataset["train"])
    if not entries:
        raise ValueError(f"{arguments.dataset}: the dataset must hold at least one captioned motion")
    require_finite(model, arguments.sft_model)
    frozen = {arguments.vqvae: vqvae, arguments.evaluator: evaluator, guarding.held_out_evaluator: held_out}
    for path, network in frozen.items():
        if network is not None:
            check_feature_dim(network, entries[0].motion.shape[1], path)
            require_finite(network.to(training.device), path)
    if arguments.reference_model:
        with loaded_whole(training):
            require_reference(arguments, model)
    reader = None
    if reads:
        with loaded_whole(training):
            reference = arguments.reference_model or arguments.sft_model
            reader = load_model(AutoModelForCausalLM, reference, needed, dtype=arguments.base_dtype)
            reader = reader.to(training.device)
    codes = vqvae.encode_motions([entry.motion for entry in entries], processor.feature_extractor)
    return Inputs(model, processor, vqvae, evaluator, held_out, encoder, entries, codes, reader)


def train_grpo(arguments: "GRPOArguments", guarding: GuardArguments, training: GRPOConfig) -> None:
    """Train and save the policy with its processor, and the assembled UniMo where that is asked for.

    Args:
        arguments: The options of the stage.
        guarding: The options of its guards.
        training: GRPO's settings.

    Raises:
        SystemExit: an input or a setting is refused, a guard ends the training, or it ends without a model.
    """
    require_folder(arguments.dataset, "dataset", "python -m datasets_scripts.build")
    require_folder(arguments.sft_model, "supervised model", "accelerate launch train/sft.py")
    require_folder(arguments.vqvae, "motion VQ-VAE", "accelerate launch train/vqvae.py")
    require_folder(arguments.evaluator, "evaluator", "accelerate launch train/evaluator.py")
    refuse_contradictions(arguments, training)
    with exit_on_error():
        weights = parse_weights(arguments.rewards)
    assembled = [(arguments.unimo_output_dir, "-unimo")] if arguments.unimo_output_dir else []
    if already_finished(training, "grpo", asdict(arguments)):
        push_stage(training, *assembled)
        return
    with exit_on_error():
        inputs = load_inputs(arguments, guarding, training, reads="self_consistency" in weights)
    model, processor = inputs.model, inputs.processor
    with run_folder(training, "grpo", asdict(arguments), PAIRS, COUNTS) as checkpoint:
        set_seed(training.seed)
        rows = draw_prompts(
            processor, inputs.entries, inputs.codes, prompts_drawn(training), arguments.t2m_share, training.seed
        )
        if processor.taught_words is not None:
            processor.taught_words = taught_words((row["caption"] for row in rows), processor.taught_words)
        scorer = MotionScorer(
            inputs.vqvae,
            processor.feature_extractor,
            inputs.evaluator,
            dtype=getattr(torch, arguments.reward_dtype),
            caption_encoder=inputs.caption_encoder,
            physics="physical_plausibility" in weights,
        )
        recorder = RolloutRecorder()
        rewards = recorder.watch(make_rewards(processor, scorer, weights, arguments.caption_references, inputs.reader))
        training.reward_weights = list(weights.values())
        for name, value in SAMPLED.items():
            setattr(training, name, value)
        tokens = never_sampled(processor.tokenizer, model, training.use_vllm)
        training.generation_kwargs = tokens | (training.generation_kwargs or {}) or None
        if arguments.lora_rank:
            motion_ids = processor.tokenizer.convert_tokens_to_ids(motion_vocabulary(processor.num_codes))
            model = with_adapters(model, sorted(motion_ids), arguments.lora_rank, arguments.lora_alpha)
            if training.process_index == 0:
                print(f"[grpo] {trainable_share(model)}")
        training.remove_unused_columns = False
        guards: list[Guard]
        if arguments.algorithm == "dpo":
            model.to(training.device)
            with exit_on_error():
                pairs = preferences(arguments, training, model, processor, rows, rewards, weights)
            longest = max(len(p["prompt_ids"]) + max(len(p["chosen_ids"]), len(p["rejected_ids"])) for p in pairs)
            settings = settings_for("dpo", training, arguments.dpo_beta, longest)
            columns = ("prompt_ids", "chosen_ids", "rejected_ids")
            data = Dataset.from_list([{name: pair[name] for name in columns} for pair in pairs])
            trainer = policy_trainer(arguments, model, settings, data, processor, rewards)
            guards = watch_pairs(trainer, guarding, processor, pairs)
        else:
            settings = settings_for(arguments.algorithm, training)
            trainer = policy_trainer(arguments, model, settings, Dataset.from_list(rows), processor, rewards)
            # Beside what is never sampled any setting of `generate` is the library's to follow.
            if (
                isinstance(trainer, GRPOTrainer)
                and (training.generation_kwargs or {}) == tokens
                and can_sample(trainer)
            ):
                trainer.rollout_func = group_rollouts(
                    processor, end_ids(model, processor), tokens.get("suppress_tokens", ())
                )
            held_out = None
            if inputs.held_out is not None:
                held_out = MotionScorer(inputs.vqvae, processor.feature_extractor, inputs.held_out)
            guards = watch_policy(
                trainer, guarding, processor, recorder, weights, scorer, held_out, arguments.t2m_share
            )
        trainer.train(resume_from_checkpoint=checkpoint)
        require_sound(guards, training.output_dir)
        if arguments.lora_rank:
            trainer.model = merged(trainer.accelerator.unwrap_model(trainer.model))

        def leave() -> None:
            (Path(training.output_dir) / PAIRS).unlink(missing_ok=True)  # their counts stay
            write_warnings(guards, training.output_dir)
            processor.save_pretrained(training.output_dir)
            if arguments.unimo_output_dir:
                policy = trainer.accelerator.unwrap_model(trainer.model)
                # The wrapper's class is what AutoTokenizer finds there; the policy's own folder has the base's.
                processor.tokenizer = UniMoTokenizer.from_tokenizer(processor.tokenizer)
                model = UniMoForConditionalGeneration.from_parts(policy, inputs.vqvae, processor)
                model.save_pretrained(arguments.unimo_output_dir)
                processor.save_pretrained(arguments.unimo_output_dir)
                write_unimo_card(arguments.unimo_output_dir, training.output_dir)

        finish_stage(trainer, "grpo", leave)
    push_stage(training, *assembled)


def policy_trainer(
    arguments: "GRPOArguments",
    model: PreTrainedModel,
    settings: GRPOConfig | RLOOConfig | DPOConfig,
    data: Dataset,
    processor: Any,
    rewards: Sequence[RewardFunction],
) -> StageTrainer:
    """The algorithm's trainer; TRL loads the reference from the path the policy's configuration names.

    Args:
        arguments: The options of the stage.
        model: The policy.
        settings: As `settings_for` gives them.
        data: Prompts, or pairs for DPO.
        processor: That of the policy.
        rewards: Reward functions.

    Returns:
        The trainer.
    """
    own = model.config.name_or_path
    model.config.name_or_path = arguments.reference_model or own
    trainer = make_trainer(
        arguments.algorithm,
        model,
        settings,
        data,
        processor.tokenizer,
        rewards,
        arguments.gae_lambda,
        arguments.value_learning_rate,
    )
    model.config.name_or_path = own
    return trainer


def preferences(
    arguments: "GRPOArguments",
    training: GRPOConfig,
    model: PreTrainedModel,
    processor: Any,
    rows: list[dict[str, Any]],
    rewards: Sequence[RewardFunction],
    weights: Mapping[str, float],
) -> list[dict[str, Any]]:
    """DPO's pairs: those an earlier start of this run made, else chosen from answers sampled now.

    Args:
        arguments: The options of the stage.
        training: GRPO's settings.
        model: The policy.
        processor: Its processor.
        rows: Prompts, as `draw_prompts` makes them.
        rewards: Reward functions.
        weights: Of each reward, by name.

    Returns:
        The pairs, as `choose_pairs` makes them.

    Raises:
        ValueError: no prompt has answers that differ enough.
    """
    pairs = read_pairs(training.output_dir)
    if pairs is not None:
        return pairs
    answers = sample_answers(
        model,
        processor,
        rows,
        training.num_generations,
        training.max_completion_length,
        training.per_device_train_batch_size * training.steps_per_generation,
        training.seed,
        training.process_index,
        training.world_size,
    )
    pairs, counts = choose_pairs(processor, rows, answers, rewards, weights, arguments.dpo_margin)
    if training.process_index == 0:
        write_pairs(training.output_dir, pairs, counts)
        print("[grpo] dpo: " + "  ".join(f"{name} {value}" for name, value in counts.items()), flush=True)
    return pairs
