"""The text-motion evaluator: captions and motion in one embedding space, for scores and rewards.

Movement, text and motion encoders follow the published text-to-motion evaluator. The model is self-contained: its
vocabulary is in the configuration, its word vectors and motion statistics are in the weights.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from .configuration_unimo import TextMotionEvaluatorConfig
from .inference_unimo import batches_by_length, evaluating
from .inputs_unimo import as_features, as_motions

POS_TAGS = ("VERB", "NOUN", "DET", "ADP", "NUM", "AUX", "PRON", "ADJ", "ADV")
# Words that matter to motion get a class of their own, which takes the place of their part of speech.
_KEY_WORDS = {
    "Loc_VIP": "left right clockwise counterclockwise anticlockwise forward back backward up down straight curve",
    "Body_VIP": "arm chin foot feet face hand mouth leg waist eye knee shoulder thigh",
    "Obj_VIP": "stair dumbbell chair window floor car ball handrail baseball basketball",
    "Act_VIP": (
        "walk run swing pick bring kick put squat throw hop dance jump turn stumble stop sit lift lower raise wash "
        "stand kneel stroll rub bend balance flap jog shuffle lean rotate spin spread climb"
    ),
    "Desc_VIP": "slowly carefully fast careful slow quickly happy angry sad happily angrily sadly",
}
POS_CLASSES = (*POS_TAGS, *_KEY_WORDS, "OTHER")
_POS_INDEX = {name: index for index, name in enumerate(POS_CLASSES)}
_KEY_WORD_INDEX = {word: _POS_INDEX[name] for name, words in _KEY_WORDS.items() for word in words.split()}
_OTHER = _POS_INDEX["OTHER"]
_CONTACTS = 4
_STRIDE = 2
_MIN_TEMPERATURE = 0.01


@dataclass
class TextMotionEvaluatorOutput(ModelOutput):
    """loss: scalar; text_embeddings, motion_embeddings: (B, embedding_size), row i of both from pair i."""

    loss: torch.FloatTensor | None = None
    text_embeddings: torch.FloatTensor | None = None
    motion_embeddings: torch.FloatTensor | None = None


def _check_lengths(lengths: Tensor, batch: int, shortest: int, longest: int, what: str) -> None:
    if lengths.dim() != 1 or len(lengths) != batch:
        raise ValueError(f"{what} lengths must have shape ({batch},); got {tuple(lengths.shape)}")
    low, high = int(lengths.min()), int(lengths.max())
    if low < shortest or high > longest:
        raise ValueError(f"{what} lengths must lie in {shortest}..{longest}; got {low if low < shortest else high}")


class MovementEncoder(nn.Module):
    """Two stride-2 convolutions: features without contacts (B, T, D - 4) to movements (B, T // 4, latent)."""

    def __init__(self, config: TextMotionEvaluatorConfig):
        super().__init__()
        hidden, latent = config.movement_hidden_size, config.movement_latent_size
        self.conv1 = nn.Conv1d(config.feature_dim - _CONTACTS, hidden, 4, stride=_STRIDE, padding=1)
        self.conv2 = nn.Conv1d(hidden, latent, 4, stride=_STRIDE, padding=1)
        self.output = nn.Linear(latent, latent)
        self.dropout = nn.Dropout(config.dropout)
        self.buffer_frames = config.max_motion_length

    def forward(self, motion: Tensor, lengths: Tensor) -> Tensor:
        """Encode motion to movement snippets of `unit_length` frames.

        The published code pads every clip to `buffer_frames`, and the frames of zeros behind a clip's end reach its
        last movement through the biases; behind a clip that fills the buffer there is nothing. What lies in that
        buffer is decided here by a clip's own length, so a wider or narrower batch changes nothing.

        Args:
            motion: Normalised motion (B, T, D - 4) with zeros behind each clip's end.
            lengths: Frames of each clip, (B,).

        Returns:
            Snippets (B, T // unit_length, C).
        """
        # The last movement of a clip sees hidden steps up to two past its end: four frames of room.
        motion = F.pad(motion.transpose(1, 2), (0, 2 * _STRIDE))
        hidden = F.leaky_relu(self.dropout(self.conv1(motion)), 0.2)
        steps = torch.arange(hidden.shape[-1], device=hidden.device)
        limits = lengths.clamp_min(self.buffer_frames) // _STRIDE
        hidden = hidden * (steps < limits[:, None])[:, None].to(hidden.dtype)
        hidden = F.leaky_relu(self.dropout(self.conv2(hidden)), 0.2)
        return self.output(hidden.transpose(1, 2))


class SequenceEncoder(nn.Module):
    """Bidirectional GRU over packed sequences and a head on its two last states."""

    def __init__(self, input_size: int, hidden_size: int, embedding_size: int):
        super().__init__()
        self.input = nn.Linear(input_size, hidden_size)
        self.gru = nn.GRU(hidden_size, hidden_size, batch_first=True, bidirectional=True)
        self.hidden = nn.Parameter(torch.empty(2, 1, hidden_size))
        self.output = nn.Sequential(
            nn.Linear(2 * hidden_size, hidden_size),
            nn.LayerNorm(hidden_size),
            nn.LeakyReLU(0.2),
            nn.Linear(hidden_size, embedding_size),
        )

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        """Encode sequences to one vector each.

        Args:
            x: Sequences (B, L, input_size).
            lengths: Valid steps of each, (B,), in any order.

        Returns:
            Embeddings (B, embedding_size) in the order given.
        """
        packed = pack_padded_sequence(self.input(x), lengths.cpu(), batch_first=True, enforce_sorted=False)
        _, last = self.gru(packed, self.hidden.repeat(1, len(x), 1))
        return self.output(torch.cat((last[0], last[1]), dim=-1))


class TextMotionEvaluatorModel(PreTrainedModel):
    """Text and motion encoders with a shared embedding space, for AutoModel.

    `get_text_features` and `get_motion_features` take captions as word/POS tokens and raw features as they lie in a
    dataset; `encode_text` and `encode_motion` take prepared tensors.
    """

    config_class = TextMotionEvaluatorConfig
    base_model_prefix = "text_motion_evaluator"
    main_input_name = "motion"

    def __init__(self, config: TextMotionEvaluatorConfig):
        super().__init__(config)
        size = config.word_embedding_size
        vectors = torch.zeros(len(config.vocabulary), size)
        if config.learned_word_embeddings:
            self.word_vectors = nn.Parameter(vectors)
        else:
            self.register_buffer("word_vectors", vectors)
        # NaN until `set_statistics`: a score in the wrong units must not look like a score.
        self.register_buffer("motion_mean", torch.full((config.feature_dim,), float("nan")))
        self.register_buffer("motion_std", torch.full((config.feature_dim,), float("nan")))
        self.pos_embedding = nn.Linear(len(POS_CLASSES), size)
        self.text_encoder = SequenceEncoder(size, config.text_hidden_size, config.embedding_size)
        self.movement_encoder = MovementEncoder(config)
        self.motion_encoder = SequenceEncoder(
            config.movement_latent_size, config.motion_hidden_size, config.embedding_size
        )
        if config.objective == "infonce":
            self.log_temperature = nn.Parameter(torch.zeros(()))
        self._word_index = {word: index for index, word in enumerate(config.vocabulary)}
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, (nn.Conv1d, nn.Linear, nn.GRU)):
            module.reset_parameters()
        elif isinstance(module, nn.LayerNorm):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
        elif isinstance(module, SequenceEncoder):
            nn.init.normal_(module.hidden)
        elif isinstance(module, TextMotionEvaluatorModel):
            # About the spread of GloVe vectors.
            nn.init.normal_(module.word_vectors, std=0.3)
            nn.init.constant_(module.motion_mean, float("nan"))
            nn.init.constant_(module.motion_std, float("nan"))
            if module.config.objective == "infonce":
                nn.init.constant_(module.log_temperature, float(np.log(module.config.temperature)))

    @torch.no_grad()
    def set_statistics(self, mean: np.ndarray | Tensor, std: np.ndarray | Tensor) -> None:
        """Store the statistics that `get_motion_features` normalises with.

        Args:
            mean: Mean of raw features, (D,).
            std: Standard deviation of raw features, (D,).

        Raises:
            ValueError: Wrong shape, not finite, or a std that is not positive.
        """
        for name, values, buffer in (("mean", mean, self.motion_mean), ("std", std, self.motion_std)):
            values = torch.as_tensor(np.asarray(values), dtype=buffer.dtype)
            if values.shape != buffer.shape:
                raise ValueError(f"{name} must have shape {tuple(buffer.shape)}; got {tuple(values.shape)}")
            if not torch.isfinite(values).all() or (name == "std" and (values <= 0).any()):
                raise ValueError(f"{name} must be finite" + (" and positive" if name == "std" else ""))
            buffer.copy_(values)

    def vectorize(self, token_lists: Sequence[Sequence[str]]) -> dict[str, Tensor]:
        """Captions as word/POS tokens to tensors.

        Args:
            token_lists: B captions, each a list like ["a/DET", "man/NOUN"]; words past `max_text_len` are dropped.

        Returns:
            dict of word_ids (B, max_text_len + 2), pos_ids (the same) and text_lengths (B,), counting the sos and eos
            that are put around a caption; the rest is unk.

        Raises:
            ValueError: no captions, or a token without a part of speech (the message names it).
        """
        if not len(token_lists):
            raise ValueError("token_lists must hold at least one caption")
        width = self.config.max_text_len + 2
        unk = self._word_index["unk"]
        word_ids = torch.full((len(token_lists), width), unk, dtype=torch.long)
        pos_ids = torch.full((len(token_lists), width), _OTHER, dtype=torch.long)
        lengths = torch.empty(len(token_lists), dtype=torch.long)
        for row, tokens in enumerate(token_lists):
            if isinstance(tokens, str):
                raise ValueError(f"caption {row} is a string; give its list of word/POS tokens")
            words = [("sos", _OTHER)]
            for token in tokens[: self.config.max_text_len]:
                word, slash, pos = token.rpartition("/")
                if not slash or not word:
                    raise ValueError(f"token {token!r} of caption {row} is not word/POS, like walk/VERB")
                known = word in self._word_index
                words.append((word, _KEY_WORD_INDEX.get(word, _POS_INDEX.get(pos, _OTHER)) if known else _OTHER))
            words.append(("eos", _OTHER))
            lengths[row] = len(words)
            word_ids[row, : len(words)] = torch.tensor([self._word_index.get(word, unk) for word, _ in words])
            pos_ids[row, : len(words)] = torch.tensor([pos for _, pos in words])
        return {"word_ids": word_ids, "pos_ids": pos_ids, "text_lengths": lengths}

    def _finish(self, embeddings: Tensor) -> Tensor:
        return F.normalize(embeddings, dim=-1) if self.config.normalize_embeddings else embeddings

    def encode_text(self, word_embeddings: Tensor, pos_one_hots: Tensor, lengths: Tensor) -> Tensor:
        """Embed captions. The order of the rows is kept; a caption's embedding does not depend on the others.

        Args:
            word_embeddings: Word vectors (B, L, word_embedding_size).
            pos_one_hots: Parts of speech (B, L, 15).
            lengths: Words of each caption, (B,).

        Returns:
            Embeddings (B, embedding_size).

        Raises:
            ValueError: The shapes do not match, or a length is outside 1..L.
        """
        shape = (*word_embeddings.shape[:2], self.config.word_embedding_size)
        if word_embeddings.dim() != 3 or tuple(word_embeddings.shape) != shape:
            raise ValueError(
                f"word_embeddings must have shape {('B', 'L', shape[-1])}; got {tuple(word_embeddings.shape)}"
            )
        if tuple(pos_one_hots.shape) != (*shape[:2], len(POS_CLASSES)):
            raise ValueError(
                f"pos_one_hots must have shape {(*shape[:2], len(POS_CLASSES))}; got {tuple(pos_one_hots.shape)}"
            )
        _check_lengths(lengths, shape[0], 1, shape[1], "text")
        inputs = word_embeddings.to(self.dtype) + self.pos_embedding(pos_one_hots.to(self.dtype))
        return self._finish(self.text_encoder(inputs, lengths))

    def encode_motion(self, motion: Tensor, lengths: Tensor) -> Tensor:
        """Embed motions. Frames behind a clip's length are not read.

        Args:
            motion: Motion (B, T, D), normalised with the evaluator's statistics.
            lengths: Frames of each clip, (B,).

        Returns:
            Embeddings (B, embedding_size).

        Raises:
            ValueError: The shapes do not match, or a length is outside unit_length..T.
        """
        dim, unit = self.config.feature_dim, self.config.unit_length
        if motion.dim() != 3 or motion.shape[-1] != dim:
            raise ValueError(f"motion must have shape (B, T, {dim}); got {tuple(motion.shape)}")
        _check_lengths(lengths, len(motion), unit, motion.shape[1], "motion")
        lengths = lengths.to(motion.device)
        frames = torch.arange(motion.shape[1], device=motion.device)
        motion = torch.where((frames < lengths[:, None])[..., None], motion, 0).to(self.dtype)
        movements = self.movement_encoder(motion[..., :-_CONTACTS], lengths)
        return self._finish(self.motion_encoder(movements, lengths // unit))

    def _encode_words(self, word_ids: Tensor, pos_ids: Tensor, text_lengths: Tensor) -> Tensor:
        if self.training and self.config.word_dropout > 0:
            drop = torch.rand(word_ids.shape, device=word_ids.device) < self.config.word_dropout
            framing = (word_ids == self._word_index["sos"]) | (word_ids == self._word_index["eos"])
            word_ids = torch.where(drop & ~framing, self._word_index["unk"], word_ids)
        words = F.embedding(word_ids, self.word_vectors)
        return self.encode_text(words, F.one_hot(pos_ids, len(POS_CLASSES)), text_lengths)

    @torch.no_grad()
    def get_text_features(self, token_lists: Sequence[Sequence[str]], batch_size: int = 256) -> Tensor:
        """Embed captions given as lists of word/POS tokens.

        Args:
            token_lists: Captions, each a list such as ["a/DET", "man/NOUN"].
            batch_size: Captions embedded at once.

        Returns:
            Embeddings (B, embedding_size), in the order given.

        Raises:
            ValueError: See `vectorize`.
        """
        inputs = {name: values.to(self.device) for name, values in self.vectorize(token_lists).items()}
        with evaluating(self):
            parts = [
                self._encode_words(*(values[start : start + batch_size] for values in inputs.values()))
                for start in range(0, len(token_lists), batch_size)
            ]
        return torch.cat(parts)

    @torch.no_grad()
    def get_motion_features(self, motions: Any, batch_size: int = 256) -> Tensor:
        """Embed raw features or joints of clips.

        Args:
            motions: One clip (T, D) or several, as `inputs_unimo.as_motions` takes them; tensors of features stay on
                their device until they are batched.
            batch_size: Clips embedded at once.

        Returns:
            Embeddings (B, embedding_size), in the order given.

        Raises:
            ValueError: No clips, statistics never set, or a clip of the wrong shape, too short or not finite (the
                message names it).
        """
        motions, _ = as_motions(motions)
        if not motions:
            raise ValueError("motions must hold at least one motion")
        if not torch.isfinite(self.motion_mean).all() or not torch.isfinite(self.motion_std).all():
            raise ValueError("this evaluator has no motion statistics; give them with set_statistics(mean, std)")
        clips = [self._raw_clip(motion, index) for index, motion in enumerate(motions)]
        order: list[int] = []
        parts = []
        with evaluating(self):
            for rows in batches_by_length([len(clip) for clip in clips], batch_size):
                lengths = torch.tensor([len(clips[row]) for row in rows])
                motion = nn.utils.rnn.pad_sequence([clips[row] for row in rows], batch_first=True)
                motion = (motion.to(self.device, self.motion_mean.dtype) - self.motion_mean) / self.motion_std
                parts.append(self.encode_motion(motion, lengths))
                order += rows
        return torch.cat(parts)[torch.tensor(order).argsort()]

    def _raw_clip(self, motion: Any, index: int) -> Tensor:
        dim, unit = self.config.feature_dim, self.config.unit_length
        clip = motion
        if not isinstance(motion, Tensor) or motion.shape[1:] != (dim,):
            clip = torch.tensor(as_features(motion, dim, f"motion {index}"))  # a copy, for read-only ones
        if len(clip) < unit:
            raise ValueError(f"motion {index} has {len(clip)} frames; the evaluator needs at least {unit}")
        if not torch.isfinite(clip).all():
            raise ValueError(f"motion {index} holds NaN or infinite values")
        return clip

    def forward(
        self,
        word_ids: Tensor,
        pos_ids: Tensor,
        text_lengths: Tensor,
        motion: Tensor,
        motion_lengths: Tensor,
        caption_ids: Tensor | None = None,
        return_loss: bool = True,
    ) -> TextMotionEvaluatorOutput:
        """Embed B pairs and score how well pairs are told from other combinations.

        Args:
            word_ids, pos_ids, text_lengths: as made by `vectorize`.
            motion: (B, T, D) normalised; motion_lengths: (B,) frames.
            caption_ids: (B,); pairs with the same number share their caption and are never each other's negatives.
            return_loss: for the Trainer, which looks for it; the loss needs no labels and is always computed.

        Returns:
            `TextMotionEvaluatorOutput`.

        Raises:
            ValueError: see `encode_text` and `encode_motion`.
        """
        text = self._encode_words(word_ids, pos_ids, text_lengths)
        motions = self.encode_motion(motion, motion_lengths)
        if caption_ids is None:
            caption_ids = torch.arange(len(text), device=text.device)
        same = caption_ids[:, None] == caption_ids[None]
        loss = (
            self._infonce(text, motions, same)
            if self.config.objective == "infonce"
            else self._margin(text, motions, same)
        )
        return TextMotionEvaluatorOutput(loss=loss, text_embeddings=text, motion_embeddings=motions)

    def _margin(self, text: Tensor, motion: Tensor, same: Tensor) -> Tensor:
        """Published contrastive loss: d^2 of pairs plus (margin - d)^2 of one cyclic shift, the latter up to margin.

        A shift of 0 (true pairs as negatives, possible in the published code) is not drawn.
        """
        loss = F.pairwise_distance(text, motion).square().mean()
        batch = len(text)
        if batch == 1:
            return loss
        shift = int(torch.randint(1, batch, ()))
        rows = torch.arange(batch, device=text.device)
        others = (rows + shift) % batch
        gaps = (self.config.margin - F.pairwise_distance(text, motion[others])).clamp_min(0).square()
        return loss + (gaps * ~same[rows, others]).mean()

    def _infonce(self, text: Tensor, motion: Tensor, same: Tensor) -> Tensor:
        """Cross entropy over cosine similarities in both directions; a row's target is spread over its positives."""
        temperature = self.log_temperature.exp().clamp_min(_MIN_TEMPERATURE)
        logits = F.normalize(text, dim=-1) @ F.normalize(motion, dim=-1).t() / temperature
        target = same.to(logits.dtype)
        target = target / target.sum(dim=1, keepdim=True)
        return (F.cross_entropy(logits, target) + F.cross_entropy(logits.t(), target)) / 2


TextMotionEvaluatorModel.register_for_auto_class("AutoModel")
