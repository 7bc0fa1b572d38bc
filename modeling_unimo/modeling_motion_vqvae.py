"""The motion VQ-VAE: normalised motion features to discrete codes, one for every few frames, and back.

Follows the published T2M-GPT / Motion-Agent network (`models/vqvae.py`); its encoders and decoders are in
`motion_vqvae_layers`, its codebook in `vector_quantizer`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput

from .configuration_unimo import MotionVQVAEConfig
from .feature_extraction_unimo import MotionFeatureExtractor
from .inference_unimo import batches_by_length, evaluating

# Imports of remote code stay on one line each, so sorting must not merge these.
# isort: off
from .motion_vqvae_layers import HierarchicalDecoder, HierarchicalEncoder, PatchDecoder, PatchEncoder
from .motion_vqvae_layers import length_mask, valid_lengths
from .vector_quantizer import VectorQuantizer, kmeans, world_size
# isort: on

_KMEANS_POINTS_PER_CODE = 128
# The root: yaw velocity, linear velocity x and z (these add up to the trajectory), height.
_ROOT_FEATURES = slice(0, 4)
_ROOT_VELOCITIES = slice(0, 3)


@dataclass
class MotionEncoding(ModelOutput):
    """codes: (B, L) long, 0 where masked; attention_mask: (B, L) long."""

    # Always given; a ModelOutput wants a default.
    codes: Tensor = None  # type: ignore[assignment]
    attention_mask: Tensor = None  # type: ignore[assignment]


@dataclass
class MotionVQVAEOutput(ModelOutput):
    """Result of a forward pass.

    loss: scalar, the weighted sum that is trained; reconstruction: (B, downsample * L, D) normalised, 0 where masked;
    codes: (B, L) or None without quantisation; commitment_loss, perplexity: scalars or None without quantisation;
    reconstruction_loss, position_loss, trajectory_loss: scalars, unweighted (the last None where its weight is 0).
    """

    loss: torch.FloatTensor | None = None
    reconstruction: torch.FloatTensor | None = None
    codes: torch.LongTensor | None = None
    commitment_loss: torch.FloatTensor | None = None
    perplexity: torch.FloatTensor | None = None
    reconstruction_loss: torch.FloatTensor | None = None
    position_loss: torch.FloatTensor | None = None
    trajectory_loss: torch.FloatTensor | None = None


class MotionVQVAEModel(PreTrainedModel):
    """Motion VQ-VAE over normalised features (`MotionFeatureExtractor`), for AutoModel.

    All methods take motion (B, T, D) that is padded on the right, with `attention_mask` (B, T) where clips differ in
    length; a clip of n frames has `n // config.downsample` codes, alone or in any batch.
    """

    config_class = MotionVQVAEConfig
    base_model_prefix = "motion_vqvae"
    main_input_name = "motion"

    def __init__(self, config: MotionVQVAEConfig):
        super().__init__(config)
        patch = config.architecture == "patch"
        self.encoder = PatchEncoder(config) if patch else HierarchicalEncoder(config)
        self.decoder = PatchDecoder(config) if patch else HierarchicalDecoder(config)
        self.quantizer = VectorQuantizer(config)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        # PyTorch's own initialisation, which the published networks were trained from.
        if isinstance(module, (nn.Conv1d, nn.ConvTranspose1d)):
            module.reset_parameters()
        elif isinstance(module, (nn.LayerNorm, nn.GroupNorm, nn.BatchNorm1d)):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)
            if isinstance(module, nn.BatchNorm1d):
                nn.init.zeros_(module.running_mean)
                nn.init.ones_(module.running_var)
                nn.init.zeros_(module.num_batches_tracked)
        elif isinstance(module, VectorQuantizer):
            if module.kind == "orig":
                nn.init.uniform_(module.codebook, -1 / len(module.codebook), 1 / len(module.codebook))
            else:
                for buffer in module.buffers(recurse=False):
                    nn.init.zeros_(buffer)

    def _check_motion(self, motion: Tensor, attention_mask: Tensor | None) -> Tensor | None:
        dim, downsample = self.config.feature_dim, self.config.downsample
        if motion.dim() != 3 or motion.shape[-1] != dim:
            raise ValueError(f"motion must have shape (batch, frames, {dim}); got {tuple(motion.shape)}")
        lengths = valid_lengths(attention_mask, motion.shape[:2], "motion")
        shortest = motion.shape[1] if lengths is None else int(lengths.min())
        if shortest < downsample:
            raise ValueError(f"motion of {shortest} frames is too short: one code takes {downsample} frames")
        return lengths

    def _latents(self, motion: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, L, C) latents, (B,) code lengths or None."""
        latents = self.encoder(motion.to(self.dtype).transpose(1, 2), lengths).transpose(1, 2)
        return latents, None if lengths is None else lengths // self.config.downsample

    def encoder_latents(self, motion: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Latents of all valid steps, clip after clip: what `initialize_codebook` takes.

        Args:
            motion: Normalised motion (B, T, D).
            attention_mask: (B, T), padded on the right; None if nothing is padded.

        Returns:
            Latents (N, code_dim).
        """
        latents, lengths = self._latents(motion, self._check_motion(motion, attention_mask))
        mask = length_mask(lengths, latents.shape[1], latents)
        return latents.flatten(0, 1) if mask is None else latents[mask[:, 0] != 0]

    @torch.no_grad()
    def initialize_codebook(self, latents: Tensor, iterations: int = 20, seed: int = 0) -> None:
        """Place the codes by k-means on latents (N, code_dim), from the encoder trained with `quantize=False`.

        Args:
            latents: (N, code_dim), N at least `codebook_size`; beyond 128 points a code a seeded sample is used.
            iterations: of Lloyd's algorithm after the k-means++ start.
            seed: of the sample and the start.

        Raises:
            ValueError: wrong shape, or fewer latents than codes.
        """
        size, dim = self.quantizer.codebook.shape
        if latents.dim() != 2 or latents.shape[1] != dim or len(latents) < size:
            raise ValueError(
                f"latents must have shape (N, {dim}) with N of at least {size} codes; got {tuple(latents.shape)}"
            )
        latents = latents.detach().float()
        if len(latents) > size * _KMEANS_POINTS_PER_CODE:
            generator = torch.Generator().manual_seed(seed)
            sample = torch.randperm(len(latents), generator=generator)[: size * _KMEANS_POINTS_PER_CODE]
            latents = latents[sample.to(latents.device)]
        centres, members = kmeans(latents, size, iterations, seed)
        # As if an average batch used each code ten times as often as a dead one: room to settle before any reset.
        threshold = max(self.config.reset_threshold, 1e-3)
        counts = (members / members.float().mean() * 10 * threshold).clamp_min(2 * threshold)
        if world_size() > 1:
            torch.distributed.broadcast(centres, src=0)
            torch.distributed.broadcast(counts, src=0)
        self.quantizer.place(centres, counts)

    def encode(self, motion: Tensor, attention_mask: Tensor | None = None) -> MotionEncoding:
        """Codes of normalised motion.

        Args:
            motion: (B, T, D) normalised features.
            attention_mask: (B, T), 1 for frames, 0 for padding on the right; None: no padding.

        Returns:
            `MotionEncoding` with codes (B, T // downsample) and their attention_mask.

        Raises:
            ValueError: wrong shape, padding on the left, or a clip shorter than one code.
        """
        latents, lengths = self._latents(motion, self._check_motion(motion, attention_mask))
        codes = self.quantizer.nearest(latents.flatten(0, 1).to(self._distance_dtype(latents)))
        codes = codes.view(latents.shape[:2])
        if lengths is None:
            return MotionEncoding(codes=codes, attention_mask=torch.ones_like(codes))
        mask = (torch.arange(codes.shape[1], device=codes.device) < lengths[:, None]).long()
        return MotionEncoding(codes=codes * mask, attention_mask=mask)

    @property
    def decoder_reach(self) -> tuple[int, int] | None:
        """How many codes before and after a code its frames depend on; None: on all of them."""
        return self.decoder.reach

    def decode(self, codes: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Decode codes to motion.

        Args:
            codes: (B, L).
            attention_mask: (B, L), padded on the right; None if nothing is padded.

        Returns:
            Normalised motion (B, downsample * L, D); 0 behind the end of a shorter clip.

        Raises:
            ValueError: Wrong shape, no codes, padding on the left, or a code that is not in the codebook.
        """
        if codes.dim() != 2 or codes.shape[1] == 0:
            raise ValueError(f"codes must have shape (batch, length) with at least one code; got {tuple(codes.shape)}")
        if codes.is_floating_point():
            raise ValueError(f"codes must be whole numbers; got {codes.dtype}")
        lengths = valid_lengths(attention_mask, codes.shape, "codes")
        if lengths is not None:
            codes = codes * (attention_mask != 0)
        size = self.config.codebook_size
        low, high = int(codes.min()), int(codes.max())
        if low < 0 or high >= size:
            raise ValueError(f"code {low if low < 0 else high} is not in the codebook of {size} codes")
        return self.decoder(self.quantizer.lookup(codes.long()).transpose(1, 2), lengths).transpose(1, 2)

    @torch.no_grad()
    def encode_motions(
        self, motions: Any, feature_extractor: MotionFeatureExtractor, batch_size: int = 64
    ) -> list[np.ndarray]:
        """Codes of raw motions of any lengths, batched by length.

        Args:
            motions: Raw features (T, D) or joints of one or several clips, as `inputs_unimo.as_motions` takes them.
            feature_extractor: the one that belongs to this model.
            batch_size: clips encoded at once.

        Returns:
            One (T // downsample,) int64 array a clip, in the order given.

        Raises:
            ValueError: a clip that the feature extractor refuses (the message names it).
        """
        clips = feature_extractor.read_clips(motions)
        encoded: dict[int, np.ndarray] = {}
        with evaluating(self):
            for rows in batches_by_length([len(clip) for clip in clips], batch_size):
                inputs = feature_extractor.pad_clips([clips[row] for row in rows]).to(self.device)
                codes = self.encode(**inputs).codes.cpu().numpy()
                for row, row_codes in zip(rows, codes, strict=True):
                    encoded[row] = row_codes[: len(clips[row]) // self.config.downsample]
        return [encoded[row] for row in range(len(clips))]

    @torch.no_grad()
    def decode_motions(
        self,
        codes_list: Sequence[Sequence[int]],
        feature_extractor: MotionFeatureExtractor,
        batch_size: int = 64,
        return_tensors: str = "np",
    ) -> list[np.ndarray] | list[Tensor]:
        """Raw motions of code sequences of any lengths, batched by length: the way back from `encode_motions`.

        Args:
            codes_list: Codes of each motion, at least one.
            feature_extractor: The one that belongs to this model.
            batch_size: Motions decoded at once.
            return_tensors: "np" for arrays, "pt" for tensors that stay on the model's device.

        Returns:
            Raw features (downsample * L, D) float32 of each sequence of L codes, in the order given.

        Raises:
            ValueError: A sequence without codes, a code that is not in the codebook, or unknown `return_tensors`.
        """
        if return_tensors not in ("np", "pt"):
            raise ValueError(f"return_tensors must be 'np' or 'pt', got {return_tensors!r}")
        lengths = [len(codes) for codes in codes_list]
        if not all(lengths):
            raise ValueError(f"motion {lengths.index(0)} has no codes; at least one is needed")
        decoded: dict[int, Any] = {}
        with evaluating(self):
            for rows in batches_by_length(lengths, batch_size):
                sequences = [torch.as_tensor(codes_list[row], dtype=torch.long) for row in rows]
                codes = nn.utils.rnn.pad_sequence(sequences, batch_first=True).to(self.device)
                mask = nn.utils.rnn.pad_sequence([torch.ones_like(s) for s in sequences], batch_first=True)
                motions = self.decode(codes, attention_mask=mask.to(self.device)).float()
                motions = feature_extractor.denormalize(motions if return_tensors == "pt" else motions.cpu().numpy())
                for row, motion in zip(rows, motions, strict=True):
                    decoded[row] = motion[: lengths[row] * self.config.downsample]
        return [decoded[row] for row in range(len(lengths))]

    def forward(
        self, motion: Tensor, attention_mask: Tensor | None = None, quantize: bool = True, return_loss: bool = True
    ) -> MotionVQVAEOutput:
        """Reconstruct normalised motion and score the reconstruction.

        Args:
            motion: (B, T, D) normalised features; up to `downsample - 1` frames at the end of a clip stay out.
            attention_mask: (B, T), 1 for frames, 0 for padding on the right; None: no padding.
            quantize: False trains the plain autoencoder (a start for `initialize_codebook`).
            return_loss: for the Trainer, which looks for it; the loss needs no labels and is always computed.

        Returns:
            `MotionVQVAEOutput`.

        Raises:
            ValueError: wrong shape, padding on the left, or a clip shorter than one code.
        """
        lengths = self._check_motion(motion, attention_mask)
        latents, code_lengths = self._latents(motion, lengths)
        mask = length_mask(code_lengths, latents.shape[1], latents)
        codes = commitment_loss = perplexity = None
        vectors = latents
        if quantize:
            rows = latents.flatten(0, 1)
            keep = None if mask is None else mask[:, 0].flatten() != 0
            kept = rows if keep is None else rows[keep]
            quantized, kept_codes, commitment_loss, perplexity = self.quantizer(kept)
            if keep is None:
                vectors, codes = quantized.view(latents.shape), kept_codes.view(latents.shape[:2])
            else:
                vectors = torch.zeros_like(rows).masked_scatter(keep[:, None], quantized.to(rows.dtype))
                codes = torch.zeros_like(keep, dtype=torch.long).masked_scatter(keep, kept_codes)
                vectors, codes = vectors.view(latents.shape), codes.view(latents.shape[:2])
        reconstruction = self.decoder(vectors.to(latents.dtype).transpose(1, 2), code_lengths).transpose(1, 2)
        target = motion[:, : reconstruction.shape[1]].to(reconstruction.dtype)
        frames = None if code_lengths is None else code_lengths * self.config.downsample
        losses = self._losses(reconstruction, target, length_mask(frames, target.shape[1], target))
        if quantize:
            losses["loss"] = losses["loss"] + self.config.commitment_weight * commitment_loss
        return MotionVQVAEOutput(
            reconstruction=reconstruction,
            codes=codes,
            commitment_loss=commitment_loss,
            perplexity=perplexity,
            **losses,
        )

    def _losses(self, reconstruction: Tensor, target: Tensor, mask: Tensor | None) -> dict[str, Tensor | None]:
        """Masked means of the loss terms; `mask` (B, 1, T) or None."""
        config = self.config
        kind = {"l1_smooth": F.smooth_l1_loss, "l1": F.l1_loss, "l2": F.mse_loss}[config.reconstruction_loss]
        weight = None if mask is None else mask.transpose(1, 2)

        def mean(values):
            return values.mean() if weight is None else (values * weight).sum() / (weight.sum() * values.shape[-1])

        errors = kind(reconstruction, target, reduction="none")
        reconstruction_loss = mean(errors)
        position_loss = mean(errors[..., config.position_slice])
        loss = reconstruction_loss + config.position_weight * position_loss
        if config.velocity_weight:
            loss = loss + config.velocity_weight * mean(errors[..., config.velocity_slice])
        if config.root_weight:
            loss = loss + config.root_weight * mean(errors[..., _ROOT_FEATURES])
        trajectory_loss = None
        if config.trajectory_weight:
            drift = (reconstruction - target)[..., _ROOT_VELOCITIES]
            drift = (drift if weight is None else drift * weight).cumsum(dim=1)
            trajectory_loss = mean(kind(drift, torch.zeros_like(drift), reduction="none"))
            loss = loss + config.trajectory_weight * trajectory_loss
        return {
            "loss": loss,
            "reconstruction_loss": reconstruction_loss,
            "position_loss": position_loss,
            "trajectory_loss": trajectory_loss,
        }

    @staticmethod
    def _distance_dtype(latents: Tensor) -> torch.dtype:
        return torch.float32 if latents.dtype in (torch.float16, torch.bfloat16) else latents.dtype


MotionVQVAEModel.register_for_auto_class("AutoModel")
