"""The motion VQ-VAE: normalised motion features to discrete codes, one for every few frames, and back.

Architecture and quantisers follow the published T2M-GPT / Motion-Agent network (`models/{vqvae,encdec,resnet,
quantize_cnn}.py`), with what it lacks: masks before every convolution, so that padding changes nothing; moving
averages that are saved with the weights; one codebook over all processes.
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

from .configuration_unimo import GROUP_NORM_GROUPS, MotionVQVAEConfig
from .feature_extraction_unimo import MotionFeatureExtractor
from .inference_unimo import batches_by_length, evaluating

_KMEANS_CHUNK = 16384
_FORGOTTEN = 1e-20
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


def _lengths(attention_mask: Tensor | None, shape: Sequence[int], what: str) -> Tensor | None:
    """Valid lengths (B,) of a right-padded (B, T) mask, or None when nothing is masked."""
    if attention_mask is None:
        return None
    if tuple(attention_mask.shape) != tuple(shape):
        raise ValueError(f"attention_mask has shape {tuple(attention_mask.shape)}; {what} needs {tuple(shape)}")
    mask = attention_mask != 0
    if mask.all():
        return None
    if (mask[:, 1:] & ~mask[:, :-1]).any():
        raise ValueError(f"{what} must be padded on the right: a masked position stands before an unmasked one")
    return mask.sum(dim=1)


def _mask(lengths: Tensor | None, size: int, like: Tensor) -> Tensor | None:
    """(B, 1, size) of ones and zeros in the type of `like`, or None when nothing is masked."""
    if lengths is None:
        return None
    positions = torch.arange(size, device=like.device)
    return (positions < lengths[:, None])[:, None].to(like.dtype)


def _apply(mask: Tensor | None, x: Tensor) -> Tensor:
    return x if mask is None else x * mask


class ChannelLayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, T)."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class MaskedGroupNorm(nn.GroupNorm):
    """GroupNorm of (B, C, T) whose statistics leave masked frames out."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None:
            return super().forward(x)
        batch, channels, time = x.shape
        groups = x.reshape(batch, self.num_groups, channels // self.num_groups, time)
        keep = mask[:, None]
        count = keep.sum(dim=(2, 3), keepdim=True).clamp_min(1) * groups.shape[2]
        mean = (groups * keep).sum(dim=(2, 3), keepdim=True) / count
        centred = groups - mean
        variance = (centred.square() * keep).sum(dim=(2, 3), keepdim=True) / count
        normalised = (centred * torch.rsqrt(variance + self.eps)).reshape(batch, channels, time)
        return normalised * self.weight[:, None] + self.bias[:, None]


class MaskedBatchNorm(nn.BatchNorm1d):
    """BatchNorm of (B, C, T) whose statistics leave masked frames out."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        if mask is None or not self.training:
            return super().forward(x)
        keep = mask[:, 0] != 0
        rows = x.transpose(1, 2)
        out = torch.zeros_like(rows)
        out[keep] = super().forward(rows[keep]).to(out.dtype)
        return out.transpose(1, 2)


class NoNorm(nn.Module):
    """Takes the place of a norm where there is none."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        return x


def _norm(name: str, channels: int) -> nn.Module:
    if name == "LN":
        return ChannelLayerNorm(channels)
    if name == "GN":
        return MaskedGroupNorm(GROUP_NORM_GROUPS, channels, eps=1e-6)
    if name == "BN":
        return MaskedBatchNorm(channels, eps=1e-6)
    return NoNorm()


_ACTIVATIONS: dict[str, Any] = {"relu": F.relu, "silu": F.silu, "gelu": F.gelu}


class ResidualBlock(nn.Module):
    """norm, activation, dilated convolution, norm, activation, 1x1 convolution, plus the input."""

    def __init__(self, config: MotionVQVAEConfig, dilation: int):
        super().__init__()
        width = config.width
        self.activation = _ACTIVATIONS[config.activation]
        self.norm1 = _norm(config.norm, width)
        self.conv1 = nn.Conv1d(width, width, 3, padding=dilation, dilation=dilation)
        self.norm2 = _norm(config.norm, width)
        self.conv2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        hidden = self.activation(self.norm1(x, mask))
        hidden = self.conv1(_apply(mask, hidden))
        hidden = self.activation(self.norm2(hidden, mask))
        # The 1x1 convolution mixes no frames, so it needs no mask; what follows masks again.
        return x + self.conv2(hidden)


class ResidualStack(nn.Module):
    """Residual blocks, the widest dilation first (in encoder and decoder alike, as published)."""

    def __init__(self, config: MotionVQVAEConfig):
        super().__init__()
        growth = config.dilation_growth_rate
        self.blocks = nn.ModuleList(ResidualBlock(config, growth**level) for level in reversed(range(config.depth)))

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        for block in self.blocks:
            x = block(x, mask)
        return x


class HierarchicalEncoder(nn.Module):
    """Published encoder: (B, D, T) to (B, code_dim, T // downsample) through strided convolutions."""

    def __init__(self, config: MotionVQVAEConfig):
        super().__init__()
        width, stride = config.width, config.stride_t
        self.stride = stride
        self.input = nn.Conv1d(config.feature_dim, width, 3, padding=1)
        self.downs = nn.ModuleList(
            nn.Conv1d(width, width, 2 * stride, stride=stride, padding=stride // 2) for _ in range(config.down_t)
        )
        self.stacks = nn.ModuleList(ResidualStack(config) for _ in range(config.down_t))
        self.output = nn.Conv1d(width, config.code_dim, 3, padding=1)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        mask = _mask(lengths, x.shape[-1], x)
        # ReLU here whatever the activation of the blocks, as published.
        x = F.relu(self.input(_apply(mask, x)))
        for down, stack in zip(self.downs, self.stacks, strict=True):
            x = down(_apply(mask, x))
            lengths = None if lengths is None else lengths // self.stride
            mask = _mask(lengths, x.shape[-1], x)
            x = stack(x, mask)
        return self.output(_apply(mask, x))


class HierarchicalDecoder(nn.Module):
    """Published decoder: (B, code_dim, L) to (B, D, downsample * L) through nearest-neighbour up-sampling."""

    def __init__(self, config: MotionVQVAEConfig):
        super().__init__()
        width = config.width
        self.stride = config.stride_t
        self.input = nn.Conv1d(config.code_dim, width, 3, padding=1)
        self.stacks = nn.ModuleList(ResidualStack(config) for _ in range(config.down_t))
        self.ups = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(config.down_t))
        self.hidden = nn.Conv1d(width, width, 3, padding=1)
        self.output = nn.Conv1d(width, config.feature_dim, 3, padding=1)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        mask = _mask(lengths, x.shape[-1], x)
        x = F.relu(self.input(_apply(mask, x)))
        for stack, up in zip(self.stacks, self.ups, strict=True):
            x = stack(x, mask).repeat_interleave(self.stride, dim=-1)
            lengths = None if lengths is None else lengths * self.stride
            mask = _mask(lengths, x.shape[-1], x)
            x = up(_apply(mask, x))
        x = F.relu(self.hidden(_apply(mask, x)))
        return _apply(mask, self.output(_apply(mask, x)))


class PatchEncoder(nn.Module):
    """(B, D, T) to (B, code_dim, T // downsample) through one strided convolution; all blocks run at code rate."""

    def __init__(self, config: MotionVQVAEConfig):
        super().__init__()
        self.downsample = config.downsample
        kernel = config.patch_kernel or 2 * config.downsample
        padding = (kernel - config.downsample) // 2
        self.patch = nn.Conv1d(config.feature_dim, config.width, kernel, stride=config.downsample, padding=padding)
        self.stacks = nn.ModuleList(ResidualStack(config) for _ in range(config.down_t))
        self.output = nn.Conv1d(config.width, config.code_dim, 3, padding=1)

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        x = self.patch(_apply(_mask(lengths, x.shape[-1], x), x))
        lengths = None if lengths is None else lengths // self.downsample
        mask = _mask(lengths, x.shape[-1], x)
        for stack in self.stacks:
            x = stack(x, mask)
        return self.output(_apply(mask, x))


class PatchDecoder(nn.Module):
    """(B, code_dim, L) to (B, D, downsample * L) through one transposed convolution."""

    def __init__(self, config: MotionVQVAEConfig):
        super().__init__()
        self.downsample = config.downsample
        self.activation = _ACTIVATIONS[config.activation]
        kernel = config.patch_kernel or 2 * config.downsample
        padding = (kernel - config.downsample) // 2
        self.input = nn.Conv1d(config.code_dim, config.width, 3, padding=1)
        self.stacks = nn.ModuleList(ResidualStack(config) for _ in range(config.down_t))
        self.patch = nn.ConvTranspose1d(
            config.width, config.feature_dim, kernel, stride=config.downsample, padding=padding
        )

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        mask = _mask(lengths, x.shape[-1], x)
        x = self.input(_apply(mask, x))
        for stack in self.stacks:
            x = stack(x, mask)
        x = self.patch(_apply(mask, self.activation(x)))
        return _apply(_mask(None if lengths is None else lengths * self.downsample, x.shape[-1], x), x)


def _world_size() -> int:
    distributed = torch.distributed.is_available() and torch.distributed.is_initialized()
    return torch.distributed.get_world_size() if distributed else 1


class VectorQuantizer(nn.Module):
    """Nearest code of every latent, and the four published ways of learning the codebook.

    State, all of it in the state dict: `codebook` (K, C); for the moving averages `code_sum` (K, C) and `code_count`
    (K,); `initialized`, false until the first training batch (or k-means) has placed the codes.
    """

    def __init__(self, config: MotionVQVAEConfig):
        super().__init__()
        self.kind = config.quantizer
        self.decay = config.ema_decay
        self.reset_threshold = config.reset_threshold
        size, dim = config.codebook_size, config.code_dim
        if self.kind == "orig":
            self.codebook = nn.Parameter(torch.empty(size, dim))
        else:
            self.register_buffer("codebook", torch.zeros(size, dim))
            self.register_buffer("code_sum", torch.zeros(size, dim))
            self.register_buffer("code_count", torch.zeros(size))
            self.register_buffer("initialized", torch.zeros((), dtype=torch.bool))

    def nearest(self, latents: Tensor) -> Tensor:
        """Indices (N,) of the codes nearest to latents (N, C); the first one on ties."""
        codebook = self.codebook.to(latents.dtype)
        # |x|^2 is the same for every code and only costs precision.
        return torch.addmm(codebook.square().sum(dim=1), latents, codebook.t(), alpha=-2).argmin(dim=1)

    def lookup(self, codes: Tensor) -> Tensor:
        """Vectors (..., C) of codes (...)."""
        return F.embedding(codes, self.codebook)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """latents (N, C) -> straight-through vectors (N, C), codes (N,), commitment loss, perplexity.

        In training the output and the loss use the codebook as it was before this batch moved it.
        """
        # Distances and averages are not for half precision.
        with torch.autocast(latents.device.type, enabled=False):
            return self._quantize(latents.float() if latents.dtype in (torch.float16, torch.bfloat16) else latents)

    def _quantize(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        learns = self.training and self.kind != "orig"
        if learns and not self.initialized:
            self._place(self._tiled(latents.detach()))
        codes = self.nearest(latents.detach())
        vectors = self.lookup(codes).to(latents.dtype)
        counts = torch.bincount(codes, minlength=len(self.codebook)).to(latents.dtype)
        if learns:
            counts = self._learn(latents.detach(), codes, counts)
        loss = F.mse_loss(latents, vectors.detach())
        if self.kind == "orig":
            loss = F.mse_loss(vectors, latents.detach()) + loss
        share = counts / counts.sum()
        epsilon = 1e-10 if self.kind == "orig" else 1e-7
        perplexity = torch.exp(-(share * torch.log(share + epsilon)).sum())
        return latents + (vectors - latents).detach(), codes, loss, perplexity

    @torch.no_grad()
    def _learn(self, latents: Tensor, codes: Tensor, counts: Tensor) -> Tensor:
        """Move the codebook by one batch; returns how often each code was used by all processes together."""
        sums = torch.zeros_like(self.codebook, dtype=latents.dtype).index_add_(0, codes, latents)
        if _world_size() > 1:
            torch.distributed.all_reduce(sums)
            torch.distributed.all_reduce(counts)
        if self.kind == "reset":
            self.code_count.copy_(counts)
            self.codebook.copy_(torch.where(counts[:, None] >= 1, self.codebook, self._tiled(latents)))
            return counts
        self.code_sum.mul_(self.decay).add_(sums, alpha=1 - self.decay)
        self.code_count.mul_(self.decay).add_(counts, alpha=1 - self.decay)
        # An average that has decayed to nothing says nothing: it ends as 0 / 0 in the published code.
        known = self.code_count[:, None] > _FORGOTTEN
        moved = torch.where(known, self.code_sum / self.code_count.clamp_min(_FORGOTTEN)[:, None], self.codebook)
        if self.kind == "ema_reset":
            alive = self.code_count[:, None] >= self.reset_threshold
            moved = torch.where(alive, moved, self._tiled(latents))
        self.codebook.copy_(moved)
        return counts

    def _tiled(self, latents: Tensor) -> Tensor:
        """As many latents as there are codes, the first of the batch (repeated with a little noise if too few).

        Every process gets those of the first one: all codebooks stay the same.
        """
        size, dim = self.codebook.shape
        if len(latents) < size:
            latents = latents.repeat(-(-size // len(latents)), 1)
            latents = latents + torch.randn_like(latents) * (0.01 / dim**0.5)
        rows = latents[:size].to(self.codebook.dtype).contiguous()
        if _world_size() > 1:
            torch.distributed.broadcast(rows, src=0)
        return rows

    @torch.no_grad()
    def _place(self, vectors: Tensor, counts: Tensor | None = None) -> None:
        self.codebook.copy_(vectors)
        if self.kind == "orig":
            return
        self.code_count.copy_(torch.ones_like(self.code_count) if counts is None else counts)
        self.code_sum.copy_(self.codebook * self.code_count[:, None])
        self.initialized.fill_(True)


@torch.no_grad()
def kmeans(points: Tensor, num_clusters: int, iterations: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    """k-means with k-means++ starts. points (N, C) with N >= num_clusters -> centres (K, C), members (K,) of each.

    An empty cluster takes the point that is worst represented.
    """
    generator = torch.Generator().manual_seed(seed)

    def assign(centres: Tensor) -> tuple[Tensor, Tensor]:
        square = centres.square().sum(dim=1)
        distances, labels = [], []
        for chunk in points.split(_KMEANS_CHUNK):
            nearest, label = torch.addmm(square, chunk, centres.t(), alpha=-2).min(dim=1)
            distances.append((nearest + chunk.square().sum(dim=1)).clamp_min(0))
            labels.append(label)
        return torch.cat(distances), torch.cat(labels)

    centres = points.new_empty(num_clusters, points.shape[1])
    first = int(torch.randint(len(points), (1,), generator=generator))
    centres[0] = points[first]
    nearest = (points - centres[0]).square().sum(dim=1)
    for index in range(1, num_clusters):
        cumulative = nearest.double().cumsum(0)
        draw = torch.rand((), generator=generator, dtype=torch.float64).to(points.device) * cumulative[-1]
        chosen = int(torch.searchsorted(cumulative, draw).clamp_max(len(points) - 1))
        centres[index] = points[chosen]
        nearest = torch.minimum(nearest, (points - centres[index]).square().sum(dim=1))
    for _ in range(iterations):
        distances, labels = assign(centres)
        counts = torch.bincount(labels, minlength=num_clusters).to(points.dtype)
        sums = torch.zeros_like(centres).index_add_(0, labels, points)
        centres = sums / counts.clamp_min(1)[:, None]
        empty = torch.nonzero(counts == 0).flatten()
        if len(empty):
            centres[empty] = points[distances.topk(len(empty)).indices]
    return centres, torch.bincount(assign(centres)[1], minlength=num_clusters)


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
        lengths = _lengths(attention_mask, motion.shape[:2], "motion")
        shortest = motion.shape[1] if lengths is None else int(lengths.min())
        if shortest < downsample:
            raise ValueError(f"motion of {shortest} frames is too short: one code takes {downsample} frames")
        return lengths

    def _latents(self, motion: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor | None]:
        """(B, L, C) latents, (B,) code lengths or None."""
        latents = self.encoder(motion.to(self.dtype).transpose(1, 2), lengths).transpose(1, 2)
        return latents, None if lengths is None else lengths // self.config.downsample

    def encoder_latents(self, motion: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Latents (N, code_dim) of all valid steps, clip after clip: what `initialize_codebook` takes."""
        latents, lengths = self._latents(motion, self._check_motion(motion, attention_mask))
        mask = _mask(lengths, latents.shape[1], latents)
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
        if _world_size() > 1:
            torch.distributed.broadcast(centres, src=0)
            torch.distributed.broadcast(counts, src=0)
        self.quantizer._place(centres, counts)

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

    def decode(self, codes: Tensor, attention_mask: Tensor | None = None) -> Tensor:
        """Normalised motion (B, downsample * L, D) of codes (B, L); 0 behind the end of a shorter clip.

        Raises:
            ValueError: wrong shape, no codes, padding on the left, or a code that is not in the codebook.
        """
        if codes.dim() != 2 or codes.shape[1] == 0:
            raise ValueError(f"codes must have shape (batch, length) with at least one code; got {tuple(codes.shape)}")
        if codes.is_floating_point():
            raise ValueError(f"codes must be whole numbers; got {codes.dtype}")
        lengths = _lengths(attention_mask, codes.shape, "codes")
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
        mask = _mask(code_lengths, latents.shape[1], latents)
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
        losses = self._losses(reconstruction, target, _mask(frames, target.shape[1], target))
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
