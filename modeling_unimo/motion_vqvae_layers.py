"""Encoders and decoders of the motion VQ-VAE, with masks before every convolution so that padding changes nothing.

Architecture after the published T2M-GPT / Motion-Agent network (`models/{encdec,resnet}.py`).
"""

from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration_unimo import GROUP_NORM_GROUPS, MotionVQVAEConfig


def valid_lengths(attention_mask: Tensor | None, shape: Sequence[int], what: str) -> Tensor | None:
    """Lengths of the rows of a mask.

    Args:
        attention_mask: (B, T), 1 for valid and padded on the right; None if nothing is masked.
        shape: Expected shape (B, T).
        what: Name of the masked array in error messages.

    Returns:
        Lengths (B,), or None if nothing is masked.

    Raises:
        ValueError: The mask has another shape, or is not padded on the right.
    """
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


def length_mask(lengths: Tensor | None, size: int, like: Tensor) -> Tensor | None:
    """Mask of lengths.

    Args:
        lengths: Valid steps (B,), or None.
        size: Steps of the batch.
        like: Tensor whose type is taken.

    Returns:
        (B, 1, size) of ones and zeros, or None if nothing is masked.
    """
    if lengths is None:
        return None
    positions = torch.arange(size, device=like.device)
    return (positions < lengths[:, None])[:, None].to(like.dtype)


def _apply(mask: Tensor | None, x: Tensor) -> Tensor:
    return x if mask is None else x * mask


class ChannelLayerNorm(nn.LayerNorm):
    """LayerNorm over the channels of (B, C, T)."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Normalise each step over its channels.

        Args:
            x: (B, C, T).
            mask: Unused.

        Returns:
            (B, C, T).
        """
        return super().forward(x.transpose(1, 2)).transpose(1, 2)


class MaskedGroupNorm(nn.GroupNorm):
    """GroupNorm of (B, C, T) whose statistics leave masked frames out."""

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Normalise each group of channels over the valid steps.

        Args:
            x: (B, C, T).
            mask: (B, 1, T) of ones and zeros, or None.

        Returns:
            (B, C, T).
        """
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
        """Normalise each channel over the valid steps of the batch.

        Args:
            x: (B, C, T).
            mask: (B, 1, T) of ones and zeros, or None.

        Returns:
            (B, C, T).
        """
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
        """Return the input.

        Args:
            x: (B, C, T).
            mask: Unused.

        Returns:
            `x`.
        """
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
    """norm, activation, dilated convolution, norm, activation, 1x1 convolution, plus the input.

    A causal one looks at steps before its own alone, twice as far back.
    """

    def __init__(self, config: MotionVQVAEConfig, dilation: int, causal: bool = False):
        super().__init__()
        width = config.width
        self.before = 2 * dilation if causal else 0
        self.activation = _ACTIVATIONS[config.activation]
        self.norm1 = _norm(config.norm, width)
        self.conv1 = nn.Conv1d(width, width, 3, padding=0 if causal else dilation, dilation=dilation)
        self.norm2 = _norm(config.norm, width)
        self.conv2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Apply the block; masked steps are zeroed before each convolution.

        Args:
            x: (B, C, T).
            mask: (B, 1, T) of ones and zeros, or None.

        Returns:
            (B, C, T).
        """
        hidden = self.activation(self.norm1(x, mask))
        hidden = self.conv1(F.pad(_apply(mask, hidden), (self.before, 0)))
        hidden = self.activation(self.norm2(hidden, mask))
        # The 1x1 convolution mixes no frames, so it needs no mask; what follows masks again.
        return x + self.conv2(hidden)


class ResidualStack(nn.Module):
    """Residual blocks, the widest dilation first (in encoder and decoder alike, as published).

    `lookahead` is how many steps after its own a step may look at, None for as many as the blocks take; the blocks
    that would exceed it, those of the widest dilations, are causal. `reach` is how many steps before and after its own
    a step looks at, None where a norm looks at all of them.
    """

    def __init__(self, config: MotionVQVAEConfig, lookahead: int | None = None):
        super().__init__()
        dilations = [config.dilation_growth_rate**level for level in range(config.depth)]
        before = after = 0
        causal = []
        for dilation in dilations:
            causal.append(lookahead is not None and after + dilation > lookahead)
            before, after = (before + 2 * dilation, after) if causal[-1] else (before + dilation, after + dilation)
        self.blocks = nn.ModuleList(
            ResidualBlock(config, *block) for block in reversed(list(zip(dilations, causal, strict=True)))
        )
        self.reach: tuple[int, int] | None = None if config.norm == "GN" else (before, after)

    def forward(self, x: Tensor, mask: Tensor | None) -> Tensor:
        """Apply all blocks.

        Args:
            x: (B, C, T).
            mask: (B, 1, T) of ones and zeros, or None.

        Returns:
            (B, C, T).
        """
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
        """Encode motion with strided convolutions.

        Args:
            x: Normalised motion (B, D, T).
            lengths: Valid frames (B,), or None.

        Returns:
            Latents (B, code_dim, T // downsample).
        """
        mask = length_mask(lengths, x.shape[-1], x)
        # ReLU here whatever the activation of the blocks, as published.
        x = F.relu(self.input(_apply(mask, x)))
        for down, stack in zip(self.downs, self.stacks, strict=True):
            x = down(_apply(mask, x))
            lengths = None if lengths is None else lengths // self.stride
            mask = length_mask(lengths, x.shape[-1], x)
            x = stack(x, mask)
        return self.output(_apply(mask, x))


class HierarchicalDecoder(nn.Module):
    """Published decoder: (B, code_dim, L) to (B, D, downsample * L) through nearest-neighbour up-sampling.

    `reach` is how many codes before and after a code its frames depend on, None for all of them.
    """

    def __init__(self, config: MotionVQVAEConfig):
        super().__init__()
        width = config.width
        self.stride = config.stride_t
        self.input = nn.Conv1d(config.code_dim, width, 3, padding=1)
        self.stacks = nn.ModuleList(ResidualStack(config, config.decoder_lookahead) for _ in range(config.down_t))
        self.ups = nn.ModuleList(nn.Conv1d(width, width, 3, padding=1) for _ in range(config.down_t))
        self.hidden = nn.Conv1d(width, width, 3, padding=1)
        self.output = nn.Conv1d(width, config.feature_dim, 3, padding=1)

    @property
    def reach(self) -> tuple[int, int] | None:
        # Backwards from the frames of code 0 to the codes that they are made of.
        first, last = 0 - 2, self.stride ** len(self.ups) - 1 + 2  # output and hidden
        for stack in self.stacks:
            if stack.reach is None:
                return None
            first, last = (first - 1) // self.stride - stack.reach[0], (last + 1) // self.stride + stack.reach[1]
        return 1 - first, last + 1

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Decode latents with upsampling convolutions.

        Args:
            x: Latents (B, code_dim, L).
            lengths: Valid latents (B,), or None.

        Returns:
            Normalised motion (B, D, downsample * L).
        """
        mask = length_mask(lengths, x.shape[-1], x)
        x = F.relu(self.input(_apply(mask, x)))
        for stack, up in zip(self.stacks, self.ups, strict=True):
            x = stack(x, mask).repeat_interleave(self.stride, dim=-1)
            lengths = None if lengths is None else lengths * self.stride
            mask = length_mask(lengths, x.shape[-1], x)
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
        """Encode motion patch by patch.

        Args:
            x: Normalised motion (B, D, T).
            lengths: Valid frames (B,), or None.

        Returns:
            Latents (B, code_dim, T // downsample).
        """
        x = self.patch(_apply(length_mask(lengths, x.shape[-1], x), x))
        lengths = None if lengths is None else lengths // self.downsample
        mask = length_mask(lengths, x.shape[-1], x)
        for stack in self.stacks:
            x = stack(x, mask)
        return self.output(_apply(mask, x))


class PatchDecoder(nn.Module):
    """(B, code_dim, L) to (B, D, downsample * L) through one transposed convolution; `reach` as above."""

    def __init__(self, config: MotionVQVAEConfig):
        super().__init__()
        self.downsample = config.downsample
        self.activation = _ACTIVATIONS[config.activation]
        kernel = config.patch_kernel or 2 * config.downsample
        padding = (kernel - config.downsample) // 2
        self.input = nn.Conv1d(config.code_dim, config.width, 3, padding=1)
        self.stacks = nn.ModuleList(ResidualStack(config, config.decoder_lookahead) for _ in range(config.down_t))
        self.patch = nn.ConvTranspose1d(
            config.width, config.feature_dim, kernel, stride=config.downsample, padding=padding
        )

    @property
    def reach(self) -> tuple[int, int] | None:
        before, after = 1, 1  # input
        for stack in self.stacks:
            if stack.reach is None:
                return None
            before, after = before + stack.reach[0], after + stack.reach[1]
        # Frame t takes part in codes (t + padding - kernel + 1) / downsample to (t + padding) / downsample.
        kernel, padding = self.patch.kernel_size[0], self.patch.padding[0]
        return (
            before + (kernel - 1 - padding) // self.downsample,
            after + (self.downsample - 1 + padding) // self.downsample,
        )

    def forward(self, x: Tensor, lengths: Tensor | None) -> Tensor:
        """Decode latents patch by patch.

        Args:
            x: Latents (B, code_dim, L).
            lengths: Valid latents (B,), or None.

        Returns:
            Normalised motion (B, D, downsample * L).
        """
        mask = length_mask(lengths, x.shape[-1], x)
        x = self.input(_apply(mask, x))
        for stack in self.stacks:
            x = stack(x, mask)
        x = self.patch(_apply(mask, self.activation(x)))
        return _apply(length_mask(None if lengths is None else lengths * self.downsample, x.shape[-1], x), x)
