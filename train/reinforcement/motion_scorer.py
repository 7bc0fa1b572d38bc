"""What the rewards measure with: answers decoded and embedded in batches, and remembered by content."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor

from datasets_scripts.captions import tokenize_caption
from modeling_unimo import MotionFeatureExtractor, MotionVQVAEModel, TextMotionEvaluatorModel
from train.reinforcement.plausibility import Physics, measure

if TYPE_CHECKING:
    from train.reinforcement.caption_encoder import CaptionEncoder

Codes = tuple[int, ...]
Tokens = tuple[str, ...]
Key = TypeVar("Key", Codes, Tokens, str)  # what an embedding is remembered by

tokens_of = lru_cache(maxsize=50_000)(tokenize_caption)


class MotionScorer:
    """Embeds answers with the VQ-VAE and the evaluator, batched, and remembers what it has seen by content.

    Rewards that look at the same answers share one decode and one embedding this way, and the ground truth of a prompt
    is embedded once for all completions and steps. Motions and embeddings stay on the networks' device.

    Args:
        vqvae: decodes codes.
        feature_extractor: the one that belongs to it.
        evaluator: embeds motions and captions.
        capacity: embeddings of each kind kept before all are forgotten.
        dtype: torch.bfloat16 computes decoder and evaluator in mixed precision: embeddings differ in the third digit.
        caption_encoder: embeds captions for `embed_captions` in place of the evaluator.
        physics: also measure decoded motions for `physics`.
    """

    def __init__(
        self,
        vqvae: MotionVQVAEModel,
        feature_extractor: MotionFeatureExtractor,
        evaluator: TextMotionEvaluatorModel,
        capacity: int = 50_000,
        dtype: torch.dtype = torch.float32,
        caption_encoder: "CaptionEncoder | None" = None,
        physics: bool = False,
    ):
        self.vqvae, self.feature_extractor, self.evaluator = vqvae.eval(), feature_extractor, evaluator.eval()
        self.capacity, self.dtype = capacity, dtype
        self.caption_encoder, self.measures = caption_encoder, physics
        self._motions: dict[Codes, Tensor] = {}
        self._physics: dict[Codes, Physics] = {}
        self._texts: dict[Tokens, Tensor] = {}
        self._captions: dict[str, Tensor] = {}

    def _autocast(self) -> torch.autocast:
        kind = self.evaluator.device.type
        return torch.autocast(kind, dtype=torch.bfloat16, enabled=self.dtype == torch.bfloat16)

    def decode(self, rows: Sequence[Sequence[int]]) -> list[Tensor]:
        """Code sequences -> raw features (4 L, D) of each; nothing is remembered.

        Args:
            rows: Codes of each motion.

        Returns:
            Features of each, (4 L, D) for L codes.
        """
        # On a CPU padding costs what motion costs: batches of nearly equal lengths take two thirds of the time.
        batch_size = 16 if self.vqvae.device.type == "cpu" else 128
        with self._autocast():
            return self.vqvae.decode_motions(rows, self.feature_extractor, batch_size, return_tensors="pt")

    def embed_codes(self, rows: Sequence[Sequence[int]]) -> Tensor:
        """Code sequences -> (N, E) unit-length motion embeddings of what they decode to.

        Args:
            rows: Codes of each motion.

        Returns:
            Embeddings (N, E).
        """

        def embed(missing: list[Codes]) -> Tensor:
            motions = self.decode(missing)
            if self.measures:
                measured = [measure(motion.cpu().numpy()) for motion in motions]
                self._physics.update(zip(missing, measured, strict=True))
            with self._autocast():
                return self.evaluator.get_motion_features(motions)

        if len(self._physics) > self.capacity:  # as large as the embeddings, or forgotten with them
            self._physics.clear()
            self._motions.clear()
        return self._embed([tuple(row) for row in rows], self._motions, embed)

    def embed_tokens(self, captions: Sequence[Sequence[str]]) -> Tensor:
        """Captions as word/POS tokens -> (N, E) unit-length text embeddings.

        Args:
            captions: Word/POS tokens of each caption.

        Returns:
            Embeddings (N, E).
        """

        def embed(missing: list[Tokens]) -> Tensor:
            with self._autocast():
                return self.evaluator.get_text_features(missing)

        return self._embed([tuple(tokens) for tokens in captions], self._texts, embed)

    def embed_captions(self, texts: Sequence[str]) -> Tensor:
        """Captions -> (N, E) unit-length embeddings to compare captions by: the caption encoder's where there is one.

        Args:
            texts: The captions.

        Returns:
            Embeddings (N, E).

        Raises:
            ValueError: without a caption encoder, a caption that holds no word.
        """
        if self.caption_encoder is None:
            return self.embed_tokens([tokens_of(text) for text in texts])
        return self._embed(list(texts), self._captions, self.caption_encoder.embed)

    def physics(self, rows: Sequence[Sequence[int]]) -> list[Physics]:
        """Figures of what code sequences decode to, decoded together with `embed_codes`.

        Args:
            rows: Codes of each motion.

        Returns:
            Figures of each.
        """
        self.embed_codes(rows)
        return [self._physics[tuple(row)] for row in rows]

    @torch.no_grad()
    def _embed(self, keys: list[Key], known: dict[Key, Tensor], embed: Callable[[list[Key]], Tensor]) -> Tensor:
        """Unit-length embeddings of `keys`, of which only those not yet `known` are computed."""
        if len(known.keys() | set(keys)) > self.capacity:
            known.clear()
        missing = sorted(set(keys) - known.keys())
        if missing:
            embedded = torch.nn.functional.normalize(embed(missing).float(), dim=-1)
            known.update(zip(missing, embedded, strict=True))
        return torch.stack([known[key] for key in keys])
