"""The networks that are timed: of the published sizes with random weights, `tiny` ones for tests, or a run's."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase, Qwen2Config, Qwen2ForCausalLM, Qwen2Tokenizer

from benchmarks.published import Checkout
from datasets_scripts.captioned_motions import CaptionedMotion, captioned_motions
from datasets_scripts.captions import tokenize_caption
from datasets_scripts.schema import load_motion_dataset
from modeling_unimo import (
    MotionFeatureExtractor,
    MotionVQVAEConfig,
    MotionVQVAEModel,
    TextMotionEvaluatorConfig,
    TextMotionEvaluatorModel,
    UniMoForConditionalGeneration,
    UniMoProcessor,
    UniMoTokenizer,
    extend_vocabulary,
)
from train.supervised.backbone import CHAT_TEMPLATE, train_tokenizer

TEXT_TOKENS = 151_665  # of Qwen2.5's tokenizer
CAPTIONS = [
    "a person walks forward and waves with the left hand",
    "someone turns around slowly and sits down",
    "the person jumps twice, then stands still",
    "a man kicks with the right leg and steps back",
    "a person runs in a circle counterclockwise",
    "someone bends down and picks something up from the floor",
    "a person raises both arms above the head",
    "the person crouches and walks to the right",
]
QWEN_05B = {
    "hidden_size": 896,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "intermediate_size": 4864,
}
QWEN_3B = {
    "hidden_size": 2048,
    "num_hidden_layers": 36,
    "num_attention_heads": 16,
    "num_key_value_heads": 2,
    "intermediate_size": 11008,
}
SMALL_LM = QWEN_05B | {"hidden_size": 256, "num_hidden_layers": 4, "num_attention_heads": 4, "intermediate_size": 1024}
TINY_LM = SMALL_LM | {"hidden_size": 32, "num_hidden_layers": 2, "intermediate_size": 48}


@dataclass
class Setting:
    """What a run of the benchmarks is about.

    Attributes:
        device: where.
        quick: fewer repeats and shorter baselines.
        tiny: tiny networks and little work, so that all items run in a moment; the figures mean nothing.
        run: folder of a quickstart with a trained model for the evaluation, if any.
        limits: of `limits.measure`.
        published: checkouts of the published repositories by name; none: their code is not run.
    """

    device: torch.device
    quick: bool = False
    tiny: bool = False
    run: Path | None = None
    limits: dict[str, float] = field(default_factory=dict)
    published: Mapping[str, Checkout] = field(default_factory=dict)

    def repeats(self, usual: int) -> int:
        """How often something is timed.

        Args:
            usual: Of a whole run.

        Returns:
            Half of them where the run is quick, one where it is tiny.
        """
        return 1 if self.tiny else max(1, usual // 2) if self.quick else usual


def of_run(
    run: Path, device: torch.device | str = "cpu", clips: int | None = None
) -> tuple[UniMoForConditionalGeneration, UniMoProcessor, TextMotionEvaluatorModel, list[CaptionedMotion]]:
    """What a quickstart has trained, and its test split.

    Args:
        run: Its folder.
        device: Where the networks are put.
        clips: The first of the split; None: all.

    Returns:
        Model, processor, the evaluator that training knew, and the clips with their captions.
    """
    model = UniMoForConditionalGeneration.from_pretrained(run / "unimo").eval().to(device)
    evaluator = TextMotionEvaluatorModel.from_pretrained(run / "evaluator").eval().to(device)
    entries = captioned_motions(load_motion_dataset(run / "data", split="test")["test"])[:clips]
    return model, UniMoProcessor.from_pretrained(run / "unimo"), evaluator, entries


def full_tokenizer(corpus: list[str]) -> PreTrainedTokenizerBase:
    """A tokenizer with as many tokens as Qwen2.5's; those a small corpus does not fill are there and never used.

    Args:
        corpus: Texts that it is trained on.

    Returns:
        A tokenizer of `TEXT_TOKENS` tokens with the chat template.

    Raises:
        RuntimeError: It has another number of tokens.
    """
    small = json.loads(train_tokenizer(corpus, 1024).backend_tokenizer.to_str())["model"]
    specials = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    learned = [token for token in sorted(small["vocab"], key=small["vocab"].get) if token not in specials]
    vocabulary = {token: id_ for id_, token in enumerate(learned)}
    for filler in range(TEXT_TOKENS - len(specials) - len(vocabulary)):
        vocabulary[f"unused{filler}"] = len(vocabulary)
    tokenizer = Qwen2Tokenizer(vocab=vocabulary, merges=[tuple(merge) for merge in small["merges"]])
    tokenizer.add_special_tokens({"extra_special_tokens": specials})
    tokenizer.eos_token, tokenizer.pad_token, tokenizer.chat_template = "<|im_end|>", "<|endoftext|>", CHAT_TEMPLATE
    if len(tokenizer) != TEXT_TOKENS:
        raise RuntimeError(f"the tokenizer has {len(tokenizer):,} tokens instead of {TEXT_TOKENS:,}")
    return tokenizer


def codec(setting: Setting) -> tuple[MotionVQVAEModel, MotionFeatureExtractor]:
    """A VQ-VAE of the published size with random weights, and statistics that change nothing.

    Args:
        setting: Device, sizes and repeats of the run.

    Returns:
        VQ-VAE, and feature extractor with mean 0 and deviation 1.
    """
    config = MotionVQVAEConfig(width=16, code_dim=16, depth=1) if setting.tiny else MotionVQVAEConfig()
    vqvae = MotionVQVAEModel(config).eval().to(setting.device)
    torch.nn.init.normal_(vqvae.quantizer.codebook)
    return vqvae, MotionFeatureExtractor(mean=[0.0] * 263, std=[1.0] * 263)


def judge(setting: Setting, texts: list[str], learned_word_embeddings: bool = False) -> TextMotionEvaluatorModel:
    """An evaluator of the published size.

    Args:
        setting: Device, sizes and repeats of the run.
        texts: Captions whose words it knows.
        learned_word_embeddings: As in its configuration.

    Returns:
        The evaluator, with random weights, mean 0 and deviation 1.
    """
    words = sorted({token.rsplit("/", 1)[0] for text in texts for token in tokenize_caption(text)})
    sizes = {}
    if setting.tiny:
        names = ("movement_hidden_size", "movement_latent_size", "text_hidden_size", "motion_hidden_size")
        sizes = dict.fromkeys(names, 12) | {"embedding_size": 10}
    config = TextMotionEvaluatorConfig(
        vocabulary=["sos", "eos", "unk", *words], learned_word_embeddings=learned_word_embeddings, **sizes
    )
    evaluator = TextMotionEvaluatorModel(config)
    evaluator.set_statistics(np.zeros(263), np.ones(263))
    return evaluator.eval().to(setting.device)


def unimo(setting: Setting, shape: dict[str, int]) -> tuple[UniMoForConditionalGeneration, UniMoProcessor]:
    """A model whose language model has this shape and Qwen2.5's vocabulary with the motion tokens, in float32.

    The closing tags have a score of next to nothing, so that a part is closed by its budget and not before.

    Args:
        setting: Device, sizes and repeats of the run.
        shape: Sizes of the language model, as `QWEN_05B` has them.

    Returns:
        Model and processor.
    """
    corpus = [*CAPTIONS, *UniMoProcessor.template_texts()] * 3
    tokenizer = train_tokenizer(corpus, 512) if setting.tiny else full_tokenizer(corpus)
    extend_vocabulary(tokenizer)
    vqvae, extractor = codec(setting)
    processor = UniMoProcessor(extractor, UniMoTokenizer.from_tokenizer(tokenizer))
    config = Qwen2Config(
        vocab_size=-(-len(tokenizer) // 64) * 64, tie_word_embeddings=True, max_position_embeddings=4096, **shape
    )
    language_model = Qwen2ForCausalLM(config).eval()
    vocabulary = processor.vocabulary
    head = language_model.get_output_embeddings()
    head.bias = torch.nn.Parameter(torch.zeros(config.vocab_size), requires_grad=False)
    head.bias[[vocabulary.think_end, vocabulary.motion_end, vocabulary.answer_end]] = -1e4
    model = UniMoForConditionalGeneration.from_parts(language_model, vqvae, processor)
    return model.to(setting.device), processor


def captions(count: int) -> list[str]:
    """Captions of different lengths.

    Args:
        count: How many.

    Returns:
        The captions.
    """
    return [f"{CAPTIONS[i % len(CAPTIONS)]}{' again' * (i // len(CAPTIONS) % 4)}" for i in range(count)]
