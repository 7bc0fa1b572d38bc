"""Supervised fine-tuning on chain-of-thought data: text-to-motion first, then jointly with motion-to-text.

`accelerate launch train/sft.py --config train/configs/quickstart/sft.yaml`
"""

import os
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from accelerate import PartialState
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2Config,
    set_seed,
)
from trl import SFTConfig, SFTTrainer

from datasets_scripts.examples import CaptionedMotion, captioned_motions
from datasets_scripts.schema import load_motion_dataset
from modeling_unimo import MotionFeatureExtractor, MotionVQVAEModel, UniMoProcessor
from modeling_unimo.commands import load_whole, refusals, require_kind
from modeling_unimo.tokenization_unimo import extend_vocabulary
from train.arguments import (
    already_finished,
    check_settings,
    parse_arguments,
    prepare_output,
    require_folder,
    require_splits,
)
from train.base_lm import new_causal_lm, train_tokenizer
from train.optimizer import muon_with_adamw
from train.sft_data import check_thoughts, group_by_length, schedule, tokenized
from train.stages import StageTrainer, finish_stage

NEW_BASE = "new_base"  # subfolder with the untrained LM and its tokenizer
BASE = "as base_model a causal language model"


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
    attention: Literal["sdpa", "eager", "flash_attention_2"] = field(
        default="sdpa", metadata={"help": "Attention of the training; at 200 tokens on CPU eager is faster."}
    )
    muon: bool = field(default=False, metadata={"help": "Muon for the matrices instead of AdamW."})


class MotionSFTTrainer(StageTrainer, SFTTrainer):
    """TRL's trainer with the card of the stage."""


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
    settings = {"dtype": "float32", "attn_implementation": arguments.attention}
    return load_whole(AutoModelForCausalLM, base, BASE, **settings), AutoTokenizer.from_pretrained(base)


def main(argv: list[str] | None = None) -> None:
    """Runs the script."""
    arguments, training = parse_arguments((SFTArguments, SFTConfig), argv)
    require_folder(arguments.dataset, "dataset", "python -m datasets_scripts.build")
    require_folder(arguments.vqvae, "motion VQ-VAE", "accelerate launch train/vqvae.py")
    if training.max_length is None:
        raise SystemExit("error: max_length must be set: longer examples are left out and counted")
    check_settings(arguments.new_model, Qwen2Config, "new_model")
    if already_finished(training, "sft", asdict(arguments)):
        return
    with refusals():
        dataset = require_splits(load_motion_dataset(arguments.dataset), arguments.dataset, "train")
        vqvae = load_whole(MotionVQVAEModel, arguments.vqvae, "as vqvae the folder of a motion VQ-VAE").eval()
        extractor = MotionFeatureExtractor.from_pretrained(arguments.vqvae)
        if arguments.base_model:
            require_kind(AutoModelForCausalLM, arguments.base_model, BASE)
        entries = captioned_motions(dataset["train"])
        check_thoughts(entries, arguments.thoughts)
        codes = vqvae.to(training.device).encode_motions([entry.motion for entry in entries], extractor)
    checkpoint = prepare_output(training, "sft", asdict(arguments))
    set_seed(training.seed)

    with refusals():
        model, tokenizer = backbone(arguments, training, entries)
    extend_vocabulary(
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
    examples = schedule(
        entries,
        total,
        int(total * arguments.t2m_only_fraction),
        arguments.t2m_share,
        seed=training.seed,
        m2t_captions=arguments.m2t_captions,
    )
    with refusals():
        train_dataset, dropped = tokenized(processor, entries, codes, examples, training.max_length)
    if dropped and training.process_index == 0:
        print(f"[sft] left out, longer than max_length {training.max_length}: {dropped} of {len(examples)} examples")
    lengths = [len(ids) for ids in train_dataset["input_ids"]]
    # All that one step sees, on whichever process, is of like length.
    train_dataset = train_dataset.select(group_by_length(lengths, step_size, window_batches=32, seed=training.seed))

    # The schedule above is the order, and holds every pass over the data.
    training.train_sampling_strategy, training.num_train_epochs = "sequential", 1
    training.completion_only_loss = True
    trainer = MotionSFTTrainer(
        model=model,
        args=training,
        train_dataset=train_dataset,
        processing_class=tokenizer,
        optimizer_cls_and_kwargs=muon_with_adamw(training) if arguments.muon else None,
    )
    trainer.train(resume_from_checkpoint=checkpoint)
    finish_stage(trainer, "sft", leave=lambda: processor.save_pretrained(training.output_dir))


if __name__ == "__main__":
    main()
