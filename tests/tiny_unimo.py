"""Tiny tokenizers of several families, and tiny models over them, for the tests of the language side."""

from functools import cache

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    LlamaConfig,
    LlamaForCausalLM,
    LlamaTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
)

from modeling_unimo import (
    MotionFeatureExtractor,
    MotionVQVAEConfig,
    MotionVQVAEModel,
    UniMoForConditionalGeneration,
    UniMoProcessor,
    UniMoTokenizer,
    extend_vocabulary,
)

CORPUS = [
    "a person walks forward and waves with the left hand, then turns around",
    "the body leans to the right; first one step, then a jump and a slow kick",
    *UniMoProcessor.template_texts(),
] * 3

LLAMA3_TEMPLATE = (
    "{{ bos_token }}{% for m in messages %}{{ '<|start_header_id|>' + m['role'] + '<|end_header_id|>\\n\\n' + "
    "m['content'] | trim + '<|eot_id|>' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|start_header_id|>assistant<|end_header_id|>\\n\\n' }}{% endif %}"
)


def qwen_tokenizer() -> PreTrainedTokenizerBase:
    """Byte-level BPE of Qwen2's class; pads with its end token and has no chat template, as a bare base may."""
    alphabet = {"<|endoftext|>": 0} | {c: i + 1 for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    return Qwen2Tokenizer(vocab=alphabet, merges=[]).train_new_from_iterator(
        CORPUS, 300, new_special_tokens=["<|im_start|>", "<|im_end|>"], show_progress=False
    )


def llama_tokenizer() -> PreTrainedTokenizerBase:
    """Llama 2's kind: words marked with U+2581, unknown characters as bytes; no pad token, no chat template."""
    vocabulary = {token: id_ for id_, token in enumerate(["<unk>", "<s>", "</s>"])}
    for token in [f"<0x{byte:02X}>" for byte in range(256)] + sorted({c for line in CORPUS for c in line} | {"▁"}):
        vocabulary.setdefault(token, len(vocabulary))
    merges = [("▁", "a"), ("t", "h"), ("th", "e"), ("a", "n"), ("an", "d"), ("▁", "the"), ("w", "a")]
    for left, right in merges:
        vocabulary.setdefault(left + right, len(vocabulary))
    return LlamaTokenizer(vocab=vocabulary, merges=merges)


def llama3_tokenizer() -> PreTrainedTokenizerBase:
    """Llama 3's kind: byte-level BPE, header tokens, a template that trims, and no pad token."""
    alphabet = {c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    backend = Tokenizer(models.BPE(vocab=alphabet, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|begin_of_text|>", eos_token="<|end_of_text|>"
    )
    tokenizer.add_special_tokens({"extra_special_tokens": ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]})
    tokenizer.chat_template = LLAMA3_TEMPLATE
    return tokenizer


TOKENIZERS = {"qwen": qwen_tokenizer, "llama": llama_tokenizer, "llama3": llama3_tokenizer}


def tiny_lm(tokenizer: PreTrainedTokenizerBase, family: str = "qwen", spare_rows: int = 7) -> PreTrainedModel:
    """A random causal LM of two layers with a few rows no token owns; Qwen2 ties its embeddings, Llama does not."""
    torch.manual_seed(0)
    shape = {
        "vocab_size": max(tokenizer.get_vocab().values()) + 1 + spare_rows,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 4096,
        "initializer_range": 0.3,
    }
    if family == "qwen":
        return Qwen2ForCausalLM(Qwen2Config(**shape, tie_word_embeddings=True)).eval()
    return LlamaForCausalLM(LlamaConfig(**shape, tie_word_embeddings=False)).eval()


def tiny_vqvae(codebook_size: int = 512) -> MotionVQVAEModel:
    torch.manual_seed(1)
    config = MotionVQVAEConfig(width=16, code_dim=8, depth=1, architecture="patch", codebook_size=codebook_size)
    model = MotionVQVAEModel(config).eval()
    torch.nn.init.normal_(model.quantizer.codebook)
    return model


def feature_extractor() -> MotionFeatureExtractor:
    return MotionFeatureExtractor(mean=[0.1] * 263, std=[0.5] * 263)


def processor_of(tokenizer: PreTrainedTokenizerBase, **settings) -> UniMoProcessor:
    extend_vocabulary(tokenizer)
    return UniMoProcessor(feature_extractor(), tokenizer, **settings)


@cache
def plain_processor(family: str, thoughts: bool = True) -> UniMoProcessor:
    """A processor over a plain extended tokenizer; shared, so leave it as it is."""
    return processor_of(TOKENIZERS[family](), thoughts=thoughts)


@cache
def tiny_unimo(family: str = "qwen") -> tuple[UniMoForConditionalGeneration, UniMoProcessor]:
    """A model and its processor with short budgets; shared, so leave them as they are."""
    tokenizer = TOKENIZERS[family]()
    language_model = tiny_lm(tokenizer, "qwen" if family == "qwen" else "llama")
    extend_vocabulary(tokenizer, language_model)
    processor = UniMoProcessor(
        feature_extractor(), UniMoTokenizer.from_tokenizer(tokenizer), max_thought_tokens=12, max_answer_tokens=9
    )
    return UniMoForConditionalGeneration.from_parts(language_model, tiny_vqvae(), processor), processor
