"""Configurations of the motion VQ-VAE, the text-motion evaluator and UniMo; impossible values are refused here."""

import math
from dataclasses import field
from typing import Any

from transformers import AutoConfig, PreTrainedConfig

ACTIVATIONS = ("relu", "silu", "gelu")
NORMS = ("none", "LN", "GN", "BN")
QUANTIZERS = ("ema_reset", "ema", "reset", "orig")
ARCHITECTURES = ("hierarchical", "patch")
RECONSTRUCTION_LOSSES = ("l1_smooth", "l1", "l2")
OBJECTIVES = ("margin", "infonce")
SPECIAL_WORDS = ("sos", "eos", "unk")
GROUP_NORM_GROUPS = 32


def _require_choice(name: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise ValueError(f"{name} must be one of {', '.join(choices)}; got {value!r}")


def _require_whole(name: str, value: int, minimum: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ValueError(f"{name} must be an integer >= {minimum}, got {value!r}")


def _require_number(
    name: str, value: float, minimum: float, maximum: float = math.inf, exclusive: bool = False
) -> None:
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    if not number or value < minimum or value > maximum or (exclusive and value in (minimum, maximum)):
        brackets = "()" if exclusive else "[]"
        raise ValueError(f"{name} must be in {brackets[0]}{minimum}, {maximum}{brackets[1]}, got {value!r}")


def _require_feature_dim(feature_dim: int) -> None:
    _require_whole("feature_dim", feature_dim, 23)
    if (feature_dim + 1) % 12:
        raise ValueError(
            f"feature_dim {feature_dim} matches no skeleton: features of J joints have 12 J - 1 numbers "
            "(HumanML3D: 263 for 22 joints, KIT-ML: 251 for 21 joints)"
        )


class StrictConfig(PreTrainedConfig):
    """Rejects the configuration of another type of model, whose gaps the library would fill with defaults."""

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **kwargs: Any):
        """The configuration of a dictionary, as `PreTrainedConfig.from_dict`.

        Args:
            config_dict: The dictionary, as read from `config.json`.
            **kwargs: As the library's.

        Raises:
            ValueError: the dictionary is of another kind of model.
        """
        kind = config_dict.get("model_type", cls.model_type)
        if kind != cls.model_type:
            raise ValueError(f"expected a model of type {cls.model_type!r}, got {kind!r}; give another folder")
        return super().from_dict(config_dict, **kwargs)


class MotionVQVAEConfig(StrictConfig):
    """Shape and training terms of a `MotionVQVAEModel`. The defaults are the published T2M-GPT / Motion-Agent network.

    Args:
        feature_dim: numbers per frame, 12 J - 1 for J joints (263 HumanML3D, 251 KIT-ML).
        width: channels inside encoder and decoder.
        code_dim, codebook_size: size of a code vector and number of codes.
        down_t, stride_t: number of down-sampling stages and the stride of each; `stride_t ** down_t` frames a code.
        depth, dilation_growth_rate: residual blocks a stage, and growth of their dilation (9, 3, 1 for 3 and 3).
        activation: relu | silu | gelu, inside the residual blocks.
        norm: none | LN | GN (32 groups) | BN, inside the residual blocks.
        quantizer: ema_reset (moving averages, dead codes reset) | ema | reset | orig (codebook learned by gradient).
        ema_decay: decay of the moving averages.
        reset_threshold: a code whose average use per batch falls below this is dead (published: 1.0; with small
            batches choose less than `codes per batch / codebook_size`, or live codes are thrown away).
        architecture: "hierarchical" as published, or "patch": one convolution over `stride_t ** down_t` frames, every
            residual block at code rate and a transposed convolution back, which learns faster for the same time.
        patch_kernel: kernel of the patch convolutions, `downsample` or `2 * downsample` frames (None: the latter).
        decoder_lookahead: how many later steps each stack of the decoder's residual blocks may look at (None: as many
            as they take, as published). Blocks that would exceed it look twice as far back instead, so that frames can
            be given out a few codes after their own (`stream_motion`) instead of dozens.
        reconstruction_loss: l1_smooth | l1 | l2.
        commitment_weight: weight of the commitment loss.
        position_weight: extra weight on local joint positions (the published code calls this term "velocity").
        velocity_weight: extra weight on joint velocities.
        root_weight: extra weight on the root's yaw velocity, linear velocity and height.
        trajectory_weight: weight of the error of the root's yaw and linear velocity summed over time, which is what
            becomes drift.
        fps: frames a second of the motion it was trained on.

    Raises:
        ValueError: a value is impossible; the message names it.
    """

    model_type = "motion_vqvae"

    feature_dim: int = 263
    width: int = 512
    code_dim: int = 512
    codebook_size: int = 512
    down_t: int = 2
    stride_t: int = 2
    depth: int = 3
    dilation_growth_rate: int = 3
    activation: str = "relu"
    norm: str = "none"
    quantizer: str = "ema_reset"
    ema_decay: float = 0.99
    reset_threshold: float = 1.0
    architecture: str = "hierarchical"
    patch_kernel: int | None = None
    decoder_lookahead: int | None = None
    reconstruction_loss: str = "l1_smooth"
    commitment_weight: float = 0.02
    position_weight: float = 0.5
    velocity_weight: float = 0.0
    root_weight: float = 0.0
    trajectory_weight: float = 0.0
    fps: float = 20.0

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        _require_feature_dim(self.feature_dim)
        for name in ("width", "code_dim", "down_t", "depth", "dilation_growth_rate"):
            _require_whole(name, getattr(self, name), 1)
        _require_whole("codebook_size", self.codebook_size, 2)
        _require_whole("stride_t", self.stride_t, 2)
        if self.stride_t % 2:
            raise ValueError(f"stride_t must be even (half a stride is padded); got {self.stride_t}")
        _require_choice("activation", self.activation, ACTIVATIONS)
        _require_choice("norm", self.norm, NORMS)
        if self.norm == "GN" and self.width % GROUP_NORM_GROUPS:
            raise ValueError(f"norm GN needs a width divisible by {GROUP_NORM_GROUPS}; got {self.width}")
        _require_choice("quantizer", self.quantizer, QUANTIZERS)
        _require_choice("architecture", self.architecture, ARCHITECTURES)
        _require_choice("reconstruction_loss", self.reconstruction_loss, RECONSTRUCTION_LOSSES)
        if self.patch_kernel is not None and self.patch_kernel not in (self.downsample, 2 * self.downsample):
            raise ValueError(
                f"patch_kernel must be {self.downsample} or {2 * self.downsample} (once or twice a code's frames); "
                f"got {self.patch_kernel!r}"
            )
        if self.decoder_lookahead is not None:
            _require_whole("decoder_lookahead", self.decoder_lookahead, 0)
        _require_number("ema_decay", self.ema_decay, 0, 1, exclusive=True)
        for name in (
            "reset_threshold",
            "commitment_weight",
            "position_weight",
            "velocity_weight",
            "root_weight",
            "trajectory_weight",
        ):
            _require_number(name, getattr(self, name), 0)
        _require_number("fps", self.fps, 0, exclusive=True)

    @property
    def downsample(self) -> int:
        """Frames a code stands for."""
        return self.stride_t**self.down_t

    @property
    def num_joints(self) -> int:
        """Joints of the skeleton whose features these are."""
        return (self.feature_dim + 1) // 12

    @property
    def position_slice(self) -> slice:
        """Local joint positions inside a feature row."""
        return slice(4, 4 + 3 * (self.num_joints - 1))

    @property
    def velocity_slice(self) -> slice:
        """Joint velocities inside a feature row."""
        start = 4 + 9 * (self.num_joints - 1)
        return slice(start, start + 3 * self.num_joints)


class TextMotionEvaluatorConfig(StrictConfig):
    """Shape, vocabulary and objective of a `TextMotionEvaluatorModel`. The defaults are the published sizes.

    Args:
        feature_dim: numbers per frame, 12 J - 1 for J joints; the encoders do not see the last four (foot contacts).
        movement_hidden_size, movement_latent_size: channels of the convolutional movement encoder.
        text_hidden_size, motion_hidden_size: sizes of the two bidirectional GRUs, a direction.
        embedding_size: size of the shared embedding.
        word_embedding_size: size of a word vector (GloVe: 300).
        unit_length: frames a movement step stands for; the two stride-2 convolutions make it 4.
        max_text_len: words of a caption that are read (published: 20).
        max_motion_length: frames of the buffer that the published code pads every clip to. Its movement encoder sees
            that padding behind a shorter clip but not behind a clip that fills the buffer; we reproduce both.
        vocabulary: the words, row by row of the word vectors; holds sos, eos and unk.
        learned_word_embeddings: word vectors are parameters, trained with the rest; else they are a fixed table.
        word_dropout: chance in training that a word is replaced by unk, which is how unk is learned.
        dropout: of the movement encoder.
        normalize_embeddings: scale embeddings to length 1.
        objective: "margin" (published, with distance `margin`) or "infonce" (with learned `temperature`).

    Raises:
        ValueError: a value is impossible; the message names it.
    """

    model_type = "text_motion_evaluator"

    feature_dim: int = 263
    movement_hidden_size: int = 512
    movement_latent_size: int = 512
    text_hidden_size: int = 512
    motion_hidden_size: int = 1024
    embedding_size: int = 512
    word_embedding_size: int = 300
    unit_length: int = 4
    max_text_len: int = 20
    max_motion_length: int = 196
    vocabulary: list[str] = field(default_factory=lambda: list(SPECIAL_WORDS))
    learned_word_embeddings: bool = False
    word_dropout: float = 0.0
    dropout: float = 0.2
    normalize_embeddings: bool = False
    objective: str = "margin"
    margin: float = 10.0
    temperature: float = 0.1

    def __post_init__(self, **kwargs):
        super().__post_init__(**kwargs)
        _require_feature_dim(self.feature_dim)
        for name in (
            "movement_hidden_size",
            "movement_latent_size",
            "text_hidden_size",
            "motion_hidden_size",
            "embedding_size",
            "word_embedding_size",
            "max_text_len",
        ):
            _require_whole(name, getattr(self, name), 1)
        if self.unit_length != 4:
            raise ValueError(f"unit_length must be 4 (two stride-2 convolutions); got {self.unit_length!r}")
        _require_whole("max_motion_length", self.max_motion_length, self.unit_length)
        if self.max_motion_length % self.unit_length:
            raise ValueError(
                f"max_motion_length must be a multiple of {self.unit_length}; got {self.max_motion_length}"
            )
        words = self.vocabulary
        if isinstance(words, str) or not all(isinstance(word, str) and word for word in words):
            raise ValueError("vocabulary must be a list of non-empty words")
        missing = [word for word in SPECIAL_WORDS if word not in words]
        if missing:
            raise ValueError(
                f"vocabulary lacks {', '.join(missing)}; a vocabulary starts with {', '.join(SPECIAL_WORDS)}"
            )
        if len(set(words)) != len(words):
            repeated = sorted({word for word in words if words.count(word) > 1})
            raise ValueError(f"vocabulary repeats {', '.join(repeated[:5])}; every word must stand once")
        _require_choice("objective", self.objective, OBJECTIVES)
        _require_number("word_dropout", self.word_dropout, 0, 1)
        _require_number("dropout", self.dropout, 0, 1)
        _require_number("margin", self.margin, 0, exclusive=True)
        _require_number("temperature", self.temperature, 0, exclusive=True)


class UniMoConfig(StrictConfig):
    """A causal language model with the motion vocabulary, and the motion VQ-VAE whose codes it writes and reads.

    Args:
        text_config: configuration of the language model (a configuration or its dictionary; None: a default Qwen2).
        motion_config: configuration of the VQ-VAE (a configuration or its dictionary; None: the published one).

    Raises:
        ValueError: `text_config` is a dictionary without `model_type`, or `motion_config` is impossible.
    """

    model_type = "unimo"
    sub_configs = {"text_config": AutoConfig, "motion_config": MotionVQVAEConfig}

    text_config: Any = None
    motion_config: Any = None
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs):
        if self.text_config is None:
            self.text_config = AutoConfig.for_model("qwen2")
        elif isinstance(self.text_config, dict):
            if not self.text_config.get("model_type"):
                raise ValueError("text_config names no model_type; give the configuration of a causal language model")
            self.text_config = AutoConfig.for_model(**self.text_config)
        if self.motion_config is None:
            self.motion_config = MotionVQVAEConfig()
        elif isinstance(self.motion_config, dict):
            self.motion_config = MotionVQVAEConfig(**self.motion_config)
        # The language model ties (or not) its own embeddings; the composite must say the same.
        self.tie_word_embeddings = bool(getattr(self.text_config, "tie_word_embeddings", False))
        super().__post_init__(**kwargs)


MotionVQVAEConfig.register_for_auto_class()
TextMotionEvaluatorConfig.register_for_auto_class()
UniMoConfig.register_for_auto_class()
