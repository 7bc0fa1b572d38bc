"""Supervised fine-tuning: a causal LM with the motion vocabulary, trained on a schedule of both tasks."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from datasets import Dataset
from transformers import AutoModelForCausalLM, Qwen2Config, set_seed
from trl import SFTConfig

from datasets_scripts.captioned_motions import CaptionedMotion, captioned_motions
from datasets_scripts.schema import load_motion_dataset
from modeling_unimo import MotionFeatureExtractor, MotionVQVAEModel, UniMoProcessor
from modeling_unimo.command_line import exit_on_error
from modeling_unimo.model_loading import check_model_type, load_model
from modeling_unimo.processing_unimo import GIVEN_TASKS, TASKS
from modeling_unimo.tokenization_unimo import extend_vocabulary, motion_vocabulary
from modeling_unimo.words_unimo import taught_words
from train.engine.arguments import check_evaluations, check_settings, refuse_decided, require_folder, require_splits
from train.engine.lora import check_lora, merged, trainable_share, with_adapters
from train.engine.optimizer import check_muon, muon_with_adamw
from train.engine.push import push_stage
from train.engine.run_folder import already_finished, run_folder
from train.engine.sharding import is_zero3
from train.engine.stages import finish_stage
from train.engine.vocabulary_rows import owned_ids, rows_to_train
from train.guards.arguments import GuardArguments
from train.guards.base import require_sound, write_warnings
from train.guards.stage_guards import watch_sft
from train.supervised.added_rows import read_added_rows
from train.supervised.backbone import BASE, NEW_BASE, backbone, check_codebook, check_positions, words_before_training
from train.supervised.cut_examples import SHORTEST_CODES
from train.supervised.sft_examples import (
    Example,
    check_thoughts,
    dropped_report,
    encoder,
    every_pair,
    group_by_length,
    schedule,
    tokenized,
)
from train.supervised.sft_trainer import MotionSFTTrainer, check_weighted_loss

if TYPE_CHECKING:
    from train.sft import SFTArguments

MEASURED = ("loss",)  # losses of tasks and parts are logged alone
# The schedule is the order, and holds every pass over the data; prompts are not learned.
DECIDED = {
    "train_sampling_strategy": "sequential",
    "shuffle_dataset": False,
    "completion_only_loss": True,
    "assistant_only_loss": False,
}


def refuse_contradictions(arguments: "SFTArguments", training: SFTConfig) -> None:
    """Refuse settings that exclude each other, before anything is loaded.

    Args:
        arguments: Of the stage.
        training: Of the trainer.

    Raises:
        SystemExit: The message names both settings and what to change.
    """
    check_evaluations(training, MEASURED)
    if training.max_length is None:
        raise SystemExit("error: max_length must be set; longer examples are left out and counted")
    if is_zero3(training):
        raise SystemExit(
            "error: train/sft.py gives new rows to the embedding, which ZeRO-3 has split when it is loaded; "
            "launch with train/accelerate_configs/fsdp2.yaml or deepspeed_zero2.yaml"
        )
    refuse_decided(training, DECIDED, "train/sft.py sets the order of examples and learns thoughts and answers alone")
    if training.packing and training.packing_strategy != "bfd":
        raise SystemExit(f"error: packing_strategy {training.packing_strategy} cuts examples in two; use bfd")
    if training.packing and training.max_steps > 0:
        raise SystemExit(
            "error: with packing a step holds as many examples as fit, so max_steps does not determine how many are "
            "seen; set num_train_epochs instead"
        )
    if arguments.position_gaps and (training.packing or training.padding_free):
        raise SystemExit("error: packing and padding_free separate rows by their positions; set position_gaps to 0")
    if arguments.no_thought_share and not arguments.thoughts:
        raise SystemExit(
            "error: no_thought_share is a share of answers with thoughts; leave thoughts true, or set it to 0"
        )
    if arguments.thought_weight != 1.0:
        check_weighted_loss(training)
    if arguments.muon:
        check_muon(training)
    check_lora(arguments.lora_rank, arguments.base_dtype, training)
    if arguments.lora_rank and not arguments.base_model:
        raise SystemExit("error: lora_rank needs a base_model: a new model has to learn every weight")
    if arguments.lora_rank and arguments.muon:
        raise SystemExit(
            "error: muon is for full weight matrices, not for the factors of lora_rank; remove one of them"
        )


def check_validation(entries: list[CaptionedMotion], thoughts: bool) -> None:
    """`check_thoughts` for the split that only `eval_strategy` needs.

    Args:
        entries: The captioned motions.
        thoughts: Whether thoughts are needed.

    Raises:
        ValueError: See `check_thoughts`.
    """
    try:
        check_thoughts(entries, thoughts)
    except ValueError as error:
        raise ValueError(f"the validation split: {error}; or train with eval_strategy no") from error


def step_size(training: SFTConfig) -> int:
    """Examples of one optimizer step over all processes.

    Args:
        training: Of the trainer.

    Returns:
        Their number.
    """
    return training.per_device_train_batch_size * training.gradient_accumulation_steps * training.world_size


def cut_shares(arguments: "SFTArguments") -> dict[str, float]:
    """The share of each task that clips are cut for, of those that are taught.

    Args:
        arguments: Options of the script.

    Returns:
        Share by task.
    """
    shares = {"continue": arguments.continue_share, "fill": arguments.fill_share}
    return {task: share for task, share in shares.items() if share}


def training_rows(
    arguments: "SFTArguments",
    training: SFTConfig,
    processor: UniMoProcessor,
    entries: Sequence[CaptionedMotion],
    codes: Sequence[np.ndarray],
    added: int = 0,
) -> tuple[Dataset, list[Example]]:
    """Schedule and tokenize the training examples.

    The encoder keeps the tokens of every example; they are released here, not held through the training. The last
    `added` entries are learned as text-to-motion alone.

    Args:
        arguments: Of the stage.
        training: Of the trainer.
        processor: The processor.
        entries: The captioned motions.
        codes: Codes of each motion.

    Returns:
        The rows in order, and the scheduled examples, including those that are too long.

    Raises:
        ValueError: No example, or none that is short enough.
    """
    encode = encoder(processor, entries, codes)

    def fits(example: Example) -> bool:
        return len(encode(example)["input_ids"]) <= training.max_length

    by_steps = training.max_steps > 0
    total = training.max_steps * step_size(training) if by_steps else int(training.num_train_epochs * len(entries))
    examples = schedule(
        entries,
        total,
        int(total * arguments.t2m_only_fraction),
        arguments.t2m_share,
        seed=training.seed,
        m2t_captions=arguments.m2t_captions,
        # A number of steps needs a number of examples; epochs have what there is.
        fits=fits if by_steps else None,
        added=added,
        no_thought_share=arguments.no_thought_share,
        cut_shares=cut_shares(arguments),
        cuttable=lambda i: len(codes[i]) >= SHORTEST_CODES,
    )
    rows, dropped = tokenized(encode, examples, training.max_length)
    if dropped and training.process_index == 0:
        print(f"[sft] left out, longer than max_length {training.max_length}: {dropped_report(dropped, examples)}")
    if not training.packing:  # which fills its rows from a thousand examples at a time, in the order of the schedule
        lengths = [len(ids) for ids in rows["input_ids"]]
        # All that one step sees, on whichever process, is of like length.
        rows = rows.select(group_by_length(lengths, step_size(training), window_batches=32, seed=training.seed))
    return rows, examples


def validation_rows(
    training: SFTConfig,
    processor: UniMoProcessor,
    entries: Sequence[CaptionedMotion],
    codes: Sequence[np.ndarray],
    tasks: Sequence[str],
) -> Dataset:
    """Tokenize every validation motion with its first caption in each trained task.

    Args:
        training: Of the trainer.
        processor: The processor.
        entries: The captioned motions.
        codes: Codes of each motion.
        tasks: The tasks.

    Returns:
        The rows.

    Raises:
        ValueError: No example is short enough.
    """
    pairs = every_pair(entries, tasks)
    rows, dropped = tokenized(encoder(processor, entries, codes), pairs, training.max_length)
    if dropped and training.process_index == 0:
        print(
            f"[sft] left out of the validation, longer than max_length {training.max_length}: "
            f"{dropped_report(dropped, pairs)}"
        )
    return rows


def train_sft(arguments: "SFTArguments", guarding: GuardArguments, training: SFTConfig) -> None:
    """Train and save the supervised model with its processor.

    Args:
        arguments: Of the stage.
        guarding: Of the guards.
        training: Of the trainer.

    Raises:
        SystemExit: An input or a setting is refused, a guard ends the training, or it ends without a model.
    """
    require_folder(arguments.dataset, "dataset", "python -m datasets_scripts.build")
    require_folder(arguments.vqvae, "motion VQ-VAE", "accelerate launch train/vqvae.py")
    if arguments.added_rows and not Path(arguments.added_rows).is_file():
        raise SystemExit(f"error: no file at added_rows {arguments.added_rows}; train/self_train.py writes one")
    refuse_contradictions(arguments, training)
    check_settings(arguments.new_model, Qwen2Config, "new_model")
    if already_finished(training, "sft", asdict(arguments)):
        push_stage(training)
        return
    with exit_on_error():
        validated = training.eval_strategy != "no"
        splits = ("train", "validation") if validated else ("train",)
        dataset = require_splits(load_motion_dataset(arguments.dataset), arguments.dataset, *splits)
        vqvae = load_model(MotionVQVAEModel, arguments.vqvae, "as vqvae the folder of a motion VQ-VAE").eval()
        extractor = MotionFeatureExtractor.from_pretrained(arguments.vqvae)
        if arguments.base_model:
            check_model_type(AutoModelForCausalLM, arguments.base_model, BASE)
            check_codebook(arguments.base_model, vqvae.config.codebook_size, arguments.vqvae)
            check_positions(arguments.base_model, arguments.position_gaps)
        entries = captioned_motions(dataset["train"])
        check_thoughts(entries, arguments.thoughts)
        held_back = captioned_motions(dataset["validation"]) if validated else []
        if validated:
            check_validation(held_back, arguments.thoughts)
        codes = vqvae.to(training.device).encode_motions([entry.motion for entry in entries], extractor)
        added = 0
        if arguments.added_rows:
            own, own_codes = read_added_rows(arguments.added_rows, vqvae.config.codebook_size)
            added = len(own) * arguments.added_copies
            entries, codes = entries + own * arguments.added_copies, codes + own_codes * arguments.added_copies
        if training.max_steps <= 0 and training.num_train_epochs * len(entries) < 1:
            raise ValueError(
                f"num_train_epochs {training.num_train_epochs} of {len(entries)} motions gives no example"
            )
    with run_folder(training, "sft", asdict(arguments), NEW_BASE, f"{NEW_BASE}.part") as checkpoint:
        set_seed(training.seed)
        with exit_on_error():
            model, tokenizer = backbone(arguments, training, entries)
            words_before = words_before_training(arguments.base_model, tokenizer)
        owned = owned_ids(tokenizer)
        vocabulary = extend_vocabulary(
            tokenizer,
            model,
            num_codes=vqvae.config.codebook_size,
            embedding_init=arguments.embedding_init,
            codebook=vqvae.quantizer.codebook,
            seed=training.seed,
        )
        processor = UniMoProcessor(
            feature_extractor=extractor,
            tokenizer=tokenizer,
            thoughts=arguments.thoughts,
            optional_thoughts=arguments.no_thought_share > 0,
            tasks=[*TASKS, *cut_shares(arguments)],
        )
        validation_dataset = None
        with exit_on_error():
            train_dataset, examples = training_rows(arguments, training, processor, entries, codes, added)
            if words_before is not None:
                captions = {(example.motion, example.caption) for example in examples}
                texts = (entries[motion].texts[caption] for motion, caption in captions)
                processor.taught_words = taught_words(texts, words_before)
            if validated:
                motions = vqvae.encode_motions([entry.motion for entry in held_back], extractor)
                tasks = sorted({example.task for example in examples} - {*GIVEN_TASKS})
                validation_dataset = validation_rows(training, processor, held_back, motions, tasks)
        if arguments.lora_rank:
            motion_ids = tokenizer.convert_tokens_to_ids(motion_vocabulary(vqvae.config.codebook_size))
            rows = rows_to_train(owned, model, motion_ids)
            model = with_adapters(model, rows, arguments.lora_rank, arguments.lora_alpha)
            if training.process_index == 0:
                print(f"[sft] {trainable_share(model)}, {len(rows)} rows of the vocabulary among them")
        for name, value in DECIDED.items():
            setattr(training, name, value)
        training.num_train_epochs = 1
        trainer = MotionSFTTrainer(
            model=model,
            args=training,
            train_dataset=train_dataset,
            eval_dataset=validation_dataset,
            processing_class=tokenizer,
            vocabulary=vocabulary,
            position_gaps=arguments.position_gaps,
            thought_weight=arguments.thought_weight,
            optimizer_cls_and_kwargs=muon_with_adamw(training) if arguments.muon else None,
        )
        guards = watch_sft(trainer, guarding, processor, arguments.t2m_only_fraction, arguments.t2m_share)
        trainer.train(resume_from_checkpoint=checkpoint)
        require_sound(guards, training.output_dir)
        if arguments.lora_rank:
            trainer.model = merged(trainer.accelerator.unwrap_model(trainer.model))

        def leave() -> None:
            write_warnings(guards, training.output_dir)
            processor.save_pretrained(training.output_dir)

        finish_stage(trainer, "sft", leave)
    push_stage(training)
