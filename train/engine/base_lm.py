"""A small causal LM and its tokenizer made from nothing, for runs without a pretrained backbone (the quickstart)."""

from collections.abc import Iterable
from typing import Any

from tokenizers.pre_tokenizers import ByteLevel
from transformers import PreTrainedModel, PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

# Qwen2.5's own turn format, so that a run from nothing and a run on Qwen2.5 read alike.
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>\\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)


def train_tokenizer(corpus: Iterable[str], vocab_size: int) -> PreTrainedTokenizerBase:
    """A byte-level BPE tokenizer of Qwen2's class, trained on `corpus`; any other text still encodes, as bytes."""
    alphabet = {"<|endoftext|>": 0} | {c: i + 1 for i, c in enumerate(sorted(ByteLevel.alphabet()))}
    tokenizer = Qwen2Tokenizer(vocab=alphabet, merges=[]).train_new_from_iterator(
        corpus, vocab_size, new_special_tokens=["<|im_start|>", "<|im_end|>"], show_progress=False
    )
    tokenizer.eos_token, tokenizer.pad_token = "<|im_end|>", "<|endoftext|>"
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer


def new_causal_lm(tokenizer: PreTrainedTokenizerBase, settings: dict[str, Any]) -> PreTrainedModel:
    """A Qwen2 with fresh weights over `tokenizer`; `settings` are Qwen2Config's."""
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        tie_word_embeddings=True,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        **settings,
    )
    return Qwen2ForCausalLM(config)
