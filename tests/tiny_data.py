"""A handful of captioned motions, the dataset folder that holds them, and a tiny judge: for tests of the commands."""

from functools import cache
from pathlib import Path

import numpy as np
import torch
from motions import moving_body

from datasets_scripts.captioned_motions import CaptionedMotion
from datasets_scripts.captions import tokenize_caption
from datasets_scripts.schema import Caption, Clip, write_dataset
from modeling_unimo import TextMotionEvaluatorConfig, TextMotionEvaluatorModel, joints_to_features

TEXTS = [
    "a person walks forward",
    "a person turns around and walks back",
    "someone waves with the left hand",
    "a person jumps twice",
    "the person kicks slowly",
]


@cache
def features(index: int) -> np.ndarray:
    """(T, 263) float32, T from 24 to 45, with lengths that are no multiple of four among them."""
    return joints_to_features(moving_body(seed=index, frames=25 + 3 * (index % 8))).astype(np.float32)


def clip(index: int, split: str = "test", name: str = "") -> Clip:
    wordings = [TEXTS[index % len(TEXTS)], f"{TEXTS[index % len(TEXTS)]} again"]
    captions = [Caption(text, tokenize_caption(text), thought=f"first this, then that {index}") for text in wordings]
    return Clip(name or f"{split}-{index:03d}", features(index), captions, split, "test")


def entries(count: int) -> list[CaptionedMotion]:
    """`count` motions with two captions each."""
    made = []
    for index in range(count):
        row = clip(index)
        texts, tokens, thoughts = zip(*((c.text, c.tokens, c.thought) for c in row.captions), strict=True)
        made.append(CaptionedMotion(row.id, row.features, list(texts), list(tokens), list(thoughts)))
    return made


def dataset_folder(folder: Path, **splits: int) -> Path:
    """A dataset of so many clips a split; members of `test_attributes` come in pools of four."""
    clips = []
    for split, count in splits.items():
        pooled = split == "test_attributes"
        clips += [clip(i, split, f"pool-{i // 4:04d}-{i % 4:02d}" if pooled else "") for i in range(count)]
    write_dataset(iter(clips), folder)
    return folder


@cache
def tiny_judge(seed: int = 0) -> TextMotionEvaluatorModel:
    """A random evaluator that tells most inputs apart; shared, so leave it as it is."""
    torch.manual_seed(seed)
    words = sorted({token.rsplit("/")[0] for text in TEXTS for token in tokenize_caption(f"{text} again")})
    sizes = ("movement_hidden_size", "movement_latent_size", "text_hidden_size", "motion_hidden_size")
    config = TextMotionEvaluatorConfig(
        **dict.fromkeys(sizes, 12),
        embedding_size=10,
        word_embedding_size=8,
        vocabulary=["sos", "eos", "unk", *words],
        learned_word_embeddings=True,
    )
    judge = TextMotionEvaluatorModel(config).eval()
    judge.set_statistics(np.zeros(263), np.full(263, 0.5))
    return judge
