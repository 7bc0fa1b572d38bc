"""The codebook of the motion VQ-VAE: nearest codes, the published ways of learning them, and k-means to place them.

After the published T2M-GPT / Motion-Agent network (`models/quantize_cnn.py`), with moving averages that are saved with
the weights and one codebook over all processes.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .configuration_unimo import MotionVQVAEConfig

_KMEANS_CHUNK = 16384
_FORGOTTEN = 1e-20


def world_size() -> int:
    """Number of processes that train together.

    Returns:
        1 outside of distributed training.
    """
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
        """Find the nearest codes.

        Args:
            latents: (N, C).

        Returns:
            Indices (N,); the first one on ties.
        """
        codebook = self.codebook.to(latents.dtype)
        # |x|^2 is the same for every code and only costs precision.
        return torch.addmm(codebook.square().sum(dim=1), latents, codebook.t(), alpha=-2).argmin(dim=1)

    def lookup(self, codes: Tensor) -> Tensor:
        """Look up the vectors of codes.

        Args:
            codes: Indices (...).

        Returns:
            Vectors (..., C).
        """
        return F.embedding(codes, self.codebook)

    def forward(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Quantise latents. In training the output and the loss use the codebook as it was before this batch updated
        it.

        Args:
            latents: (N, C).

        Returns:
            Straight-through vectors (N, C), codes (N,), commitment loss and perplexity.
        """
        # Distances and averages are not for half precision.
        with torch.autocast(latents.device.type, enabled=False):
            return self._quantize(latents.float() if latents.dtype in (torch.float16, torch.bfloat16) else latents)

    def _quantize(self, latents: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        learns = self.training and self.kind != "orig"
        if learns and not self.initialized:
            self.place(self._tiled(latents.detach()))
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
        if world_size() > 1:
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
        if world_size() > 1:
            torch.distributed.broadcast(rows, src=0)
        return rows

    @torch.no_grad()
    def place(self, vectors: Tensor, counts: Tensor | None = None) -> None:
        """Set the codebook.

        Args:
            vectors: (K, C).
            counts: How often each counts as used, (K,); None for once each.
        """
        self.codebook.copy_(vectors)
        if self.kind == "orig":
            return
        self.code_count.copy_(torch.ones_like(self.code_count) if counts is None else counts)
        self.code_sum.copy_(self.codebook * self.code_count[:, None])
        self.initialized.fill_(True)


@torch.no_grad()
def kmeans(points: Tensor, num_clusters: int, iterations: int = 20, seed: int = 0) -> tuple[Tensor, Tensor]:
    """k-means with k-means++ initialisation. An empty cluster takes the point that is represented worst.

    Args:
        points: (N, C) with N >= num_clusters.
        num_clusters: K.
        iterations: Lloyd iterations.
        seed: Of the initialisation.

    Returns:
        Centres (K, C) and the number of points of each (K,).
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
