"""The rewards of GRPO, each a plain function over a batch that may mix both tasks.

A reward gets `completion_ids` (one list of generated ids a row) and the dataset's columns, and returns one float a
row, or None where it does not cover the row's task. An invalid answer gets the floor, never a similarity of
something put in its place.
"""

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import torch

from datasets_scripts.captions import tokenize_caption

Key = TypeVar("Key", tuple[int, ...], str)  # what an embedding is remembered by
Reward = Callable[..., list[float | None]]
FLOOR = -1.0  # the least a cosine can be


class MotionScorer:
    """Embeds answers with the VQ-VAE and the evaluator, batched, and remembers what it has seen by content.

    Two rewards that look at the same answers share one decode and one embedding this way, and the ground truth of a
    prompt is embedded once for all completions and steps.
    """

    def __init__(self, vqvae, feature_extractor, evaluator, capacity: int = 50_000):
        self.vqvae, self.feature_extractor, self.evaluator = vqvae.eval(), feature_extractor, evaluator.eval()
        self.capacity = capacity
        self._motions: dict[tuple[int, ...], torch.Tensor] = {}
        self._texts: dict[str, torch.Tensor] = {}

    @torch.no_grad()
    def embed_codes(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        """Code sequences -> (N, E) unit-length motion embeddings of what they decode to."""

        def embed(missing: list[tuple[int, ...]]) -> torch.Tensor:
            return self.evaluator.get_motion_features(self.vqvae.decode_motions(missing, self.feature_extractor))

        return self._embed([tuple(row) for row in rows], self._motions, embed)

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> torch.Tensor:
        """Captions -> (N, E) unit-length text embeddings; a caption without words is the caller's to refuse."""

        def embed(missing: list[str]) -> torch.Tensor:
            return self.evaluator.get_text_features([tokenize_caption(text) for text in missing])

        return self._embed(list(texts), self._texts, embed)

    def _embed(
        self, keys: list[Key], known: dict[Key, torch.Tensor], embed: Callable[[list[Key]], torch.Tensor]
    ) -> torch.Tensor:
        """Unit-length embeddings of `keys`, of which only those not yet `known` are computed."""
        if len(known.keys() | set(keys)) > self.capacity:
            known.clear()
        missing = sorted(set(keys) - known.keys())
        if missing:
            embedded = torch.nn.functional.normalize(embed(missing).float().cpu(), dim=-1)
            known.update(zip(missing, embedded, strict=True))
        return torch.stack([known[key] for key in keys])


def has_words(text: str) -> bool:
    """Whether there is anything the evaluator can embed: a model may well answer with digits or dots alone."""
    try:
        return bool(tokenize_caption(text))
    except ValueError:
        return False


def make_rewards(processor, scorer: MotionScorer) -> list[Reward]:
    """The paper's rewards bound to a processor (which alone reads answers) and a scorer."""

    def format_reward(completion_ids, task, **_) -> list[float | None]:
        """1 when the whole answer follows the task's grammar, else 0 (both tasks)."""
        return [float(processor.parse(ids, t).valid) for ids, t in zip(completion_ids, task, strict=True)]

    def motion_similarity(completion_ids, task, reference_codes, **_) -> list[float | None]:
        """Cosine of generated and ground-truth motion, both as the VQ-VAE decodes them (text-to-motion)."""
        return _motion_reward(
            completion_ids, task, lambda rows: scorer.embed_codes([reference_codes[i] for i in rows])
        )

    def semantic_similarity(completion_ids, task, caption, **_) -> list[float | None]:
        """Cosine of the generated motion and the caption it was asked for (text-to-motion)."""
        return _motion_reward(completion_ids, task, lambda rows: scorer.embed_texts([caption[i] for i in rows]))

    def _motion_reward(completion_ids, task, targets) -> list[float | None]:
        rewards: list[float | None] = [FLOOR if t == "t2m" else None for t in task]
        answers = {i: processor.parse(completion_ids[i], "t2m") for i, r in enumerate(rewards) if r is not None}
        rows = [i for i, answer in answers.items() if answer.valid]
        if rows:
            cosines = (scorer.embed_codes([answers[i].codes for i in rows]) * targets(rows)).sum(-1)
            for i, value in zip(rows, cosines.tolist(), strict=True):
                rewards[i] = value
        return rewards

    def caption_similarity(completion_ids, task, references, **_) -> list[float | None]:
        """Cosine of the generated caption and the nearest of the reference captions (motion-to-text)."""
        rewards: list[float | None] = [FLOOR if t == "m2t" else None for t in task]
        for i, reward in enumerate(rewards):
            if reward is None:
                continue
            answer = processor.parse(completion_ids[i], "m2t")
            if answer.valid and has_words(answer.caption):
                similarity = scorer.embed_texts([answer.caption]) @ scorer.embed_texts(references[i]).T
                rewards[i] = float(similarity.max())
        return rewards

    return [format_reward, motion_similarity, semantic_similarity, caption_similarity]


def grpo_rows(processor, entries, codes: Sequence[np.ndarray], total: int, t2m_share: float, seed: int) -> list[dict]:
    """`total` prompts of both tasks with what their rewards compare with; the tasks are drawn with the seed."""
    rng = np.random.default_rng(seed)
    rows: list[dict] = []
    while len(rows) < total:
        for i in rng.permutation(len(entries)).tolist():
            entry, task = entries[i], "t2m" if rng.random() < t2m_share else "m2t"
            caption = entry.texts[int(rng.integers(len(entry.texts)))]
            rows.append(
                {
                    "prompt": processor.messages(task, text=caption, codes=codes[i].tolist()),
                    "task": task,
                    "caption": caption,
                    "references": entry.texts,
                    "reference_codes": codes[i].tolist(),
                }
            )
    return rows[:total]
