"""Raw motion features to what the motion VQ-VAE reads, and back: statistics, normalisation, padding."""

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from transformers import BatchFeature, SequenceFeatureExtractor

from .inputs_unimo import as_features, as_motions

Features = TypeVar("Features", np.ndarray, torch.Tensor)


class MotionFeatureExtractor(SequenceFeatureExtractor):
    """Normalises raw features with the statistics of the VQ-VAE and pads them, for AutoFeatureExtractor.

    These statistics belong to the VQ-VAE; an evaluator has its own and keeps them in its weights.

    Args:
        feature_dim: numbers per frame (263 HumanML3D, 251 KIT-ML).
        fps: frames a second.
        mean, std: feature_dim numbers each; None: unknown, and normalising is refused.
        unit_length: frames of one code; a shorter clip is refused.
        max_frames: the longest clip that is taken (196 = 9.8 s).

    Raises:
        ValueError: statistics of the wrong length, not finite, or a std that is not positive.
    """

    model_input_names = ["motion", "attention_mask"]

    def __init__(
        self,
        feature_dim: int = 263,
        fps: float = 20,
        mean: Sequence[float] | np.ndarray | None = None,
        std: Sequence[float] | np.ndarray | None = None,
        unit_length: int = 4,
        max_frames: int = 196,
        **kwargs,
    ):
        for key in ("feature_size", "sampling_rate", "padding_value"):
            kwargs.pop(key, None)  # written by the base class beside our own names for them
        super().__init__(feature_size=feature_dim, sampling_rate=fps, padding_value=0.0, **kwargs)
        self.feature_dim = feature_dim
        self.fps = fps
        self.unit_length = unit_length
        self.max_frames = max_frames
        if (mean is None) != (std is None):
            raise ValueError("mean and std must be given together")
        self.mean = None if mean is None else _statistic("mean", mean, feature_dim)
        self.std = None if std is None else _statistic("std", std, feature_dim)
        if self.std is not None and min(self.std) <= 0:
            raise ValueError(f"std must be positive; feature {int(np.argmin(self.std))} has {min(self.std)}")

    def _statistics(self, values: Features) -> tuple[Features, Features]:
        if self.mean is None:
            raise ValueError(
                "this feature extractor has no statistics; make it with MotionFeatureExtractor(mean=..., std=...)"
            )
        if values.shape[-1:] != (self.feature_dim,):
            raise ValueError(f"features must have {self.feature_dim} numbers a frame; got shape {tuple(values.shape)}")
        if isinstance(values, torch.Tensor):
            like = {"dtype": values.dtype, "device": values.device}
            return torch.tensor(self.mean, **like), torch.tensor(self.std, **like)
        return np.asarray(self.mean, dtype=values.dtype), np.asarray(self.std, dtype=values.dtype)

    def normalize(self, features: Features) -> Features:
        """Normalise features to zero mean and unit deviation.

        Args:
            features: Raw features (..., D), array or tensor.

        Returns:
            Normalised features of the same kind and shape.

        Raises:
            ValueError: No statistics, or not D numbers a frame.
        """
        features = _floating(features)
        mean, std = self._statistics(features)
        return (features - mean) / std

    def denormalize(self, features: Features) -> Features:
        """Undo `normalize`.

        Args:
            features: Normalised features (..., D), array or tensor.

        Returns:
            Raw features of the same kind and shape.

        Raises:
            ValueError: No statistics, or not D numbers a frame.
        """
        features = _floating(features)
        mean, std = self._statistics(features)
        return features * std + mean

    def __call__(
        self,
        motions: Any,
        return_tensors: str = "pt",
        truncation: bool = False,
    ) -> BatchFeature:
        """Normalise clips and pad them on the right with zeros (after normalising, as published).

        Args:
            motions: One clip (T, D) of raw features or several, as `inputs_unimo.as_motions` takes them.
            return_tensors: "pt" or "np".
            truncation: cut clips to `max_frames`; else a longer one is refused.

        Returns:
            `BatchFeature` with motion (B, T, D) float32 and attention_mask (B, T) long.

        Raises:
            ValueError: no clips, or a clip that is too short, too long, of the wrong shape or not finite (the message
                names it).
        """
        clips = self.read_clips(motions, truncation)
        if not clips:
            raise ValueError("motions must hold at least one motion")
        return self.pad_clips(clips, return_tensors)

    def read_clips(self, motions: Any, truncation: bool = False) -> list[np.ndarray]:
        """Read and check the clips of a request; raises what `__call__` raises.

        Args:
            motions: As for `__call__`.
            truncation: Cut clips that are too long instead of refusing them.

        Returns:
            Raw features (T, D) of each clip.
        """
        clips, _ = as_motions(motions)
        return [self._checked(motion, f"motion {index}", truncation) for index, motion in enumerate(clips)]

    def read_long(self, motion: Any, name: str) -> np.ndarray:
        """One motion as raw features (T, D), checked as `read_clips` does but for its length, which has no limit.

        Args:
            motion: As `inputs_unimo.as_motions` takes one.
            name: What errors call the motion.

        Returns:
            (T, D) raw features.
        """
        return self._checked(motion, name, truncation=False, limited=False)

    def pad_clips(self, clips: Sequence[np.ndarray], return_tensors: str = "pt") -> BatchFeature:
        """Batch and normalise checked clips.

        Args:
            clips: Raw features (T, D) of each clip, from `read_clips`.
            return_tensors: "pt" or "np".

        Returns:
            The batch that `__call__` returns.
        """
        longest = max(len(clip) for clip in clips)
        batch = np.zeros((len(clips), longest, self.feature_dim), dtype=np.float32)
        mask = np.zeros((len(clips), longest), dtype=np.int64)
        for row, clip in enumerate(clips):
            batch[row, : len(clip)] = self.normalize(clip)
            mask[row, : len(clip)] = 1
        return BatchFeature({"motion": batch, "attention_mask": mask}, tensor_type=return_tensors)

    def _checked(self, motion: Any, name: str, truncation: bool, limited: bool = True) -> np.ndarray:
        clip = as_features(motion, self.feature_dim, name)
        if len(clip) < self.unit_length:
            raise ValueError(f"{name} has {len(clip)} frames; at least {self.unit_length} are needed")
        if limited and len(clip) > self.max_frames:
            if not truncation:
                raise ValueError(
                    f"{name} has {len(clip)} frames, more than {self.max_frames} "
                    f"({self.max_frames / self.fps:g} s); cut it, or pass truncation=True"
                )
            clip = clip[: self.max_frames]
        if not np.isfinite(clip).all():
            frame, feature = np.argwhere(~np.isfinite(clip))[0]
            raise ValueError(f"{name} holds NaN or infinite values, the first in frame {frame}, feature {feature}")
        return clip.astype(np.float32, copy=False)


def _floating(features: Features) -> Features:
    """Integers as float32: their own type would round the statistics."""
    if isinstance(features, torch.Tensor):
        return features if features.is_floating_point() else features.float()
    return features if features.dtype.kind == "f" else features.astype(np.float32)


def _statistic(name: str, values: Sequence[float] | np.ndarray, feature_dim: int) -> list[float]:
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (feature_dim,):
        raise ValueError(f"{name} must hold {feature_dim} numbers; got shape {values.shape}")
    if not np.isfinite(values).all():
        raise ValueError(f"{name} holds NaN or infinite values")
    return values.tolist()


MotionFeatureExtractor.register_for_auto_class("AutoFeatureExtractor")
