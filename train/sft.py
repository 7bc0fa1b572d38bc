"""Supervised fine-tuning on chain-of-thought data: text-to-motion first, then jointly with motion-to-text.

`accelerate launch train/sft.py --config train/configs/quickstart/sft.yaml`
"""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from accelerate import PartialState
from datasets import Dataset
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2Config,
    set_seed,
)
from trl import SFTConfig

from datasets_scripts.captioned_motions import CaptionedMotion, captioned_motions
from datasets_scripts.schema import load_motion_dataset
from modeling_unimo import MotionFeatureExtractor, MotionVQVAEModel, UniMoProcessor
from modeling_unimo.command_line import exit_on_error
from modeling_unimo.model_loading import check_model_type, load_model
from modeling_unimo.tokenization_unimo import extend_vocabulary, motion_token, motion_vocabulary
from train.engine.arguments import (
    already_finished,
    check_settings,
    parse_arguments,
    prepare_output,
    refusals_once_claimed,
    refuse_decided,
    require_folder,
    require_range,
    require_splits,
)
from train.engine.base_lm import new_causal_lm, train_tokenizer
from train.engine.lora import check_lora, merged, trainable_share, with_adapters
from train.engine.optimizer import muon_with_adamw
from train.engine.push import push_stage
from train.engine.sharding import is_zero3
from train.engine.stages import finish_stage
from train.engine.vocabulary_rows import owned_ids, rows_to_train
from train.guards.base import GuardArguments, require_sound, write_warnings
from train.guards.watch import watch_sft
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
from train.supervised.sft_trainer import MotionSFTTrainer

NEW_BASE = "new_base"  # subfolder with the untrained LM and its tokenizer
BASE = "as base_model a causal language model"
# The schedule is the order, and holds every pass over the data; prompts are not learned.
DECIDED = {
    "train_sampling_strategy": "sequential",
    "shuffle_dataset": False,
    "completion_only_loss": True,
    "assistant_only_loss": False,
}


@dataclass
class SFTArguments:
    """Data, codec and backbone, and how the two tasks are mixed."""

    dataset: str = field(metadata={"help": "Dataset folder with thoughts: `python -m datasets_scripts.build`."})
    vqvae: str = field(metadata={"help": "Folder of the trained motion VQ-VAE."})
    base_model: str = field(default="", metadata={"help": "Folder or Hub name of a causal LM; empty: a new Qwen2."})
    new_model: dict[str, Any] = field(
        default_factory=dict, metadata={"help": "Qwen2Config settings of the new LM when base_model is empty."}
    )
    new_vocab_size: int = field(default=1024, metadata={"help": "Text vocabulary of the new LM's tokenizer."})
    thoughts: bool = field(default=True, metadata={"help": "Think before answering; false for the comparison."})
    embedding_init: Literal["sampled", "mean", "codebook"] = field(
        default="sampled", metadata={"help": "How the rows of the new tokens start."}
    )
    t2m_only_fraction: float = field(default=0.5, metadata={"help": "First share of the run: text-to-motion alone."})
    t2m_share: float = field(default=0.5, metadata={"help": "Share of text-to-motion in the joint part."})
    m2t_captions: int = field(
        default=0, metadata={"help": "Motion-to-text learns the first so many captions of a motion; 0: all."}
    )
    position_gaps: float = field(
        default=0.0,
        metadata={"help": "Up to so many positions are left out a token: a new model reads longer captions."},
    )
    attention: Literal["sdpa", "eager", "flash_attention_2"] = field(
        default="sdpa", metadata={"help": "Attention of the training; at 200 tokens on CPU eager is faster."}
    )
    muon: bool = field(default=False, metadata={"help": "Muon for the matrices instead of AdamW."})
    lora_rank: int = field(
        default=0, metadata={"help": "0: every weight is trained; else LoRA of this rank and the rows of new tokens."}
    )
    lora_alpha: int = field(default=32, metadata={"help": "Adapters are scaled by lora_alpha / lora_rank."})
    base_dtype: Literal["float32", "bfloat16"] = field(
        default="float32", metadata={"help": "Weights of base_model in memory; bfloat16 only where LoRA freezes them."}
    )

    def __post_init__(self) -> None:
        require_range(self, "t2m_only_fraction", "t2m_share", least=0, most=1)
        require_range(self, "position_gaps", least=0, most=10)
        require_range(self, "m2t_captions", least=0)
        require_range(self, "new_vocab_size", "lora_alpha", least=1)


def refuse_contradictions(arguments: SFTArguments, training: SFTConfig) -> None:
    """Stop, before anything is loaded, where two settings exclude each other.

    Raises:
        SystemExit: the message names both and what to change.
    """
    if training.max_length is None:
        raise SystemExit("error: max_length must be set: longer examples are left out and counted")
    if is_zero3(training):
        raise SystemExit(
            "error: train/sft.py gives new rows to the embedding, which ZeRO-3 has split when it is loaded; "
            "launch with train/accelerate_configs/fsdp2.yaml or deepspeed_zero2.yaml"
        )
    refuse_decided(training, DECIDED, "train/sft.py has an order of its own and learns thoughts and answers alone")
    if training.packing and training.packing_strategy != "bfd":
        raise SystemExit(f"error: packing_strategy {training.packing_strategy} cuts examples in two; use bfd")
    if training.packing and training.max_steps > 0:
        raise SystemExit(
            "error: with packing a step holds as many examples as fit, so max_steps does not say how many are seen; "
            "give num_train_epochs instead"
        )
    if arguments.position_gaps and (training.packing or training.padding_free):
        raise SystemExit("error: packing and padding_free tell rows apart by their positions; set position_gaps to 0")
    check_lora(arguments.lora_rank, arguments.base_dtype, training)
    if arguments.lora_rank and not arguments.base_model:
        raise SystemExit("error: lora_rank needs a base_model: a new model has to learn every weight")
    if arguments.lora_rank and arguments.muon:
        raise SystemExit("error: muon is for whole matrices, not for the factors of lora_rank; leave one of them away")


def check_codebook(base_model: str, codebook_size: int, vqvae: str) -> None:
    """Refuse a base that already has a motion vocabulary of another size than the VQ-VAE's codebook.

    Raises:
        ValueError: the two sizes, and where they come from.
    """
    known = AutoTokenizer.from_pretrained(base_model).get_vocab()
    size = 0
    while motion_token(size) in known:
        size += 1
    if size not in (0, codebook_size):
        raise ValueError(
            f"{base_model} has a motion vocabulary of {size} codes, the VQ-VAE at {vqvae} a codebook of "
            f"{codebook_size}; take the VQ-VAE that the model was trained with, or a base without motion tokens"
        )


def check_positions(base_model: str, position_gaps: float) -> None:
    """Refuse gaps in the positions of a base that has a table of them.

    Raises:
        ValueError: with the remedy.
    """
    if position_gaps and not hasattr(AutoConfig.from_pretrained(base_model), "rope_parameters"):
        raise ValueError(f"position_gaps is for rotary positions; {base_model} has a table of positions: set it to 0")


def backbone(
    arguments: SFTArguments, training: SFTConfig, entries: list[CaptionedMotion]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The causal LM and its tokenizer: pretrained when `base_model` names one, else new over the captions' words.

    A new one is made by one process and loaded by all: two trainings of a tokenizer need not number its tokens alike.
    """
    base = arguments.base_model or str(Path(training.output_dir) / NEW_BASE)
    if not arguments.base_model and training.process_index == 0 and not Path(base).is_dir():
        # Each line once, in the order of the data: the order of a set differs from process to process.
        lines = dict.fromkeys(line for entry in entries for line in (*entry.texts, *entry.thoughts))
        tokenizer = train_tokenizer([*lines, *UniMoProcessor.template_texts()], arguments.new_vocab_size)
        part = f"{base}.part"  # a run that is killed meanwhile makes it again
        new_causal_lm(tokenizer, arguments.new_model).save_pretrained(part)
        tokenizer.save_pretrained(part)
        os.rename(part, base)
    PartialState().wait_for_everyone()
    settings = {"dtype": arguments.base_dtype, "attn_implementation": arguments.attention}
    return load_model(AutoModelForCausalLM, base, BASE, **settings), AutoTokenizer.from_pretrained(base)


def check_validation(entries: list[CaptionedMotion], thoughts: bool) -> None:
    """As `check_thoughts`, for the split that only `eval_strategy` asks for."""
    try:
        check_thoughts(entries, thoughts)
    except ValueError as error:
        raise ValueError(f"the validation split: {error}; or train with eval_strategy no") from error


def learned(
    arguments: SFTArguments,
    training: SFTConfig,
    processor: UniMoProcessor,
    entries: list[CaptionedMotion],
    codes: list[np.ndarray],
    total: int,
) -> tuple[Dataset, list[Example], dict[str, int]]:
    """What is trained on as tokens, the examples in order with those left out, and how many those are, by task.

    The tokens that the encoder keeps of every example are let go here, not held through the training.
    """
    encode = encoder(processor, entries, codes)

    def fits(example: Example) -> bool:
        return len(encode(example)["input_ids"]) <= training.max_length

    examples = schedule(
        entries,
        total,
        int(total * arguments.t2m_only_fraction),
        arguments.t2m_share,
        seed=training.seed,
        m2t_captions=arguments.m2t_captions,
        # So many steps need so many examples; so many epochs have what there is.
        fits=fits if training.max_steps > 0 else None,
    )
    train_dataset, dropped = tokenized(encode, examples, training.max_length)
    return train_dataset, examples, dropped


def main(argv: list[str] | None = None) -> None:
    """Runs the script."""
    arguments, guarding, training = parse_arguments((SFTArguments, GuardArguments, SFTConfig), argv)
    require_folder(arguments.dataset, "dataset", "python -m datasets_scripts.build")
    require_folder(arguments.vqvae, "motion VQ-VAE", "accelerate launch train/vqvae.py")
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
        if training.max_steps <= 0 and training.num_train_epochs * len(entries) < 1:
            raise ValueError(f"num_train_epochs {training.num_train_epochs} of {len(entries)} motions is no example")
    checkpoint = prepare_output(training, "sft", asdict(arguments))
    set_seed(training.seed)

    with refusals_once_claimed(training, checkpoint, NEW_BASE, f"{NEW_BASE}.part"):
        model, tokenizer = backbone(arguments, training, entries)
    owned = owned_ids(tokenizer)
    vocabulary = extend_vocabulary(
        tokenizer,
        model,
        num_codes=vqvae.config.codebook_size,
        embedding_init=arguments.embedding_init,
        codebook=vqvae.quantizer.codebook,
        seed=training.seed,
    )
    processor = UniMoProcessor(feature_extractor=extractor, tokenizer=tokenizer, thoughts=arguments.thoughts)

    step_size = training.per_device_train_batch_size * training.gradient_accumulation_steps * training.world_size
    per_epoch = len(entries)
    total = training.max_steps * step_size if training.max_steps > 0 else int(training.num_train_epochs * per_epoch)
    with refusals_once_claimed(training, checkpoint, NEW_BASE):
        train_dataset, examples, dropped = learned(arguments, training, processor, entries, codes, total)
    validation_dataset = None
    if validated:
        pairs = every_pair(held_back, tasks=sorted({task for task, _, _ in examples}))
        motions = vqvae.encode_motions([entry.motion for entry in held_back], extractor)
        with refusals_once_claimed(training, checkpoint, NEW_BASE):
            validation_dataset, too_long = tokenized(
                encoder(processor, held_back, motions), pairs, training.max_length
            )
        if too_long and training.process_index == 0:
            print(
                f"[sft] left out of the validation, longer than max_length {training.max_length}: "
                f"{dropped_report(too_long, pairs)}"
            )
    if dropped and training.process_index == 0:
        print(f"[sft] left out, longer than max_length {training.max_length}: {dropped_report(dropped, examples)}")
    if not training.packing:  # which fills its rows from a thousand examples at a time, in the order of the schedule
        lengths = [len(ids) for ids in train_dataset["input_ids"]]
        # All that one step sees, on whichever process, is of like length.
        train_dataset = train_dataset.select(
            group_by_length(lengths, step_size, window_batches=32, seed=training.seed)
        )
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


if __name__ == "__main__":
    main()
