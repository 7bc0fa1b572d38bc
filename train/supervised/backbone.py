"""The causal LM that supervised training starts from: a pretrained one, or a small one made from nothing."""

import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from accelerate import PartialState
from tokenizers.pre_tokenizers import ByteLevel
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
)
from transformers.utils import PROCESSOR_NAME, cached_file
from trl import SFTConfig

from datasets_scripts.captioned_motions import CaptionedMotion
from modeling_unimo import UniMoProcessor
from modeling_unimo.model_loading import load_model
from modeling_unimo.tokenization_unimo import motion_token

if TYPE_CHECKING:
    from train.sft import SFTArguments

NEW_BASE = "new_base"  # subfolder with the untrained LM and its tokenizer
BASE = "as base_model a causal language model"
# Qwen2.5's own turn format, so that a run from nothing and a run on Qwen2.5 read alike.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def train_tokenizer(corpus: Iterable[str], vocab_size: int) -> PreTrainedTokenizerBase:
    """Train a byte-level BPE tokenizer of Qwen2's class; any other text still encodes, as bytes.

    Args:
        corpus: Texts.
        vocab_size: Number of tokens.

    Returns:
        The tokenizer.
    """
    alphabet = {"<|endoftext|>": 0} | {c: i + 1 for i, c in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Qwen2Tokenizer(vocab=alphabet, merges=[]).train_new_from_iterator(
        corpus, vocab_size, new_special_tokens=["<|im_start|>", "<|im_end|>"], show_progress=False
    )
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def new_causal_lm(tokenizer: PreTrainedTokenizerBase, settings: dict[str, Any]) -> PreTrainedModel:
    """Create a Qwen2 with random weights.

    Args:
        tokenizer: Its tokenizer.
        settings: Of Qwen2Config.

    Returns:
        The model.
    """
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        **settings,
    )
    return Qwen2ForCausalLM(config)


def check_codebook(base_model: str, codebook_size: int, vqvae: str) -> None:
    """Refuse a base that already has a motion vocabulary of another size than the VQ-VAE's codebook.

    Args:
        base_model: Folder or Hub name of the base.
        codebook_size: Number of codes.
        vqvae: Folder of the VQ-VAE, for the message.

    Raises:
        ValueError: The sizes differ.
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
    """Refuse position gaps for a base with learned position embeddings.

    Args:
        base_model: Folder or Hub name of the base.
        position_gaps: Share of the gaps.

    Raises:
        ValueError: The base has a table of positions.
    """
    if position_gaps and not hasattr(AutoConfig.from_pretrained(base_model), "rope_parameters"):
        raise ValueError(f"position_gaps is for rotary positions; {base_model} has a table of positions: set it to 0")


def words_before_training(base_model: str, tokenizer: PreTrainedTokenizerBase) -> list[str] | None:
    """The words that earlier training on motion taught a base, none without such training; None: not known.

    Args:
        base_model: folder or Hub name; empty for a new model.
        tokenizer: the base's, before it is extended.

    Returns:
        The words; None if they are not known.
    """
    if motion_token(0) not in tokenizer.get_vocab():
        return []
    path = cached_file(base_model, PROCESSOR_NAME, _raise_exceptions_for_missing_entries=False)
    return None if path is None else json.loads(Path(path).read_text(encoding="utf-8")).get("taught_words")


def backbone(
    arguments: "SFTArguments", training: SFTConfig, entries: Sequence[CaptionedMotion]
) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The causal LM and its tokenizer: pretrained if `base_model` names one, else new over the captions' words.

    A new one is made by one process and loaded by all: two trainings of a tokenizer need not number its tokens alike.

    Args:
        arguments: Of the stage.
        training: Of the trainer.
        entries: The captioned motions.

    Returns:
        Model and tokenizer.
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
