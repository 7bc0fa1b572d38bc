"""The published way of each step, written for comparison: one sample at a time, batch 1, the whole vocabulary.

Each function is a reconstruction of what the published training and evaluation scripts do in that step (float32
unless given otherwise), over the same networks as this package's way of it, so that a ratio compares ways and not
weights. Of its defects only what costs time is kept; results agree where the two should.
"""

import copy
from collections.abc import Callable, Sequence

import numpy as np
import torch
import torch.nn.functional as F
from scipy import linalg
from scipy.ndimage import gaussian_filter1d
from torch import Tensor, nn
from transformers import LogitsProcessorList

from datasets_scripts.captioned_motions import CaptionedMotion
from datasets_scripts.captions import tokenize_caption
from modeling_unimo import Answer, AnswerGrammar
from modeling_unimo.motion_representation import HUMANML3D, features_to_joints


# ---------------------------------------------------------------- joints to features: a clip at a time, through torch
def _through_torch(function: Callable) -> Callable:
    def run(*arrays: np.ndarray) -> np.ndarray:
        return function(*(torch.from_numpy(np.ascontiguousarray(array)).float() for array in arrays)).numpy()

    return run


@_through_torch
def _multiply(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    terms = torch.bmm(q.reshape(-1, 4, 1), p.reshape(-1, 1, 4))
    w = terms[:, 0, 0] - terms[:, 1, 1] - terms[:, 2, 2] - terms[:, 3, 3]
    x = terms[:, 0, 1] + terms[:, 1, 0] - terms[:, 2, 3] + terms[:, 3, 2]
    y = terms[:, 0, 2] + terms[:, 1, 3] + terms[:, 2, 0] - terms[:, 3, 1]
    z = terms[:, 0, 3] - terms[:, 1, 2] + terms[:, 2, 1] + terms[:, 3, 0]
    return torch.stack((w, x, y, z), 1).view(q.shape)


@_through_torch
def _rotate(q: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    shape = v.shape
    q, v = q.reshape(-1, 4), v.reshape(-1, 3)
    uv = torch.cross(q[:, 1:], v, dim=1)
    return (v + 2 * (q[:, :1] * uv + torch.cross(q[:, 1:], uv, dim=1))).view(shape)


@_through_torch
def _between(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
    w = torch.sqrt((u**2).sum(-1, keepdim=True) * (v**2).sum(-1, keepdim=True)) + (u * v).sum(-1, keepdim=True)
    q = torch.cat((w, torch.cross(u, v, dim=-1)), -1)
    return q / q.norm(dim=-1, keepdim=True)


@_through_torch
def _conjugate(q: torch.Tensor) -> torch.Tensor:
    return q * torch.tensor((1.0, -1, -1, -1))


@_through_torch
def _six(q: torch.Tensor) -> torch.Tensor:
    w, x, y, z = q.unbind(-1)
    two = 2 / (q * q).sum(-1)
    rows = [1 - two * (y * y + z * z), two * (x * y - z * w), two * (x * z + y * w)]
    rows += [two * (x * y + z * w), 1 - two * (x * x + z * z), two * (y * z - x * w)]
    rows += [two * (x * z - y * w), two * (y * z + x * w), 1 - two * (x * x + y * y)]
    matrix = torch.stack(rows, -1).reshape(*q.shape[:-1], 3, 3)
    return torch.cat((matrix[..., 0], matrix[..., 1]), -1)


def _inverse_kinematics(joints: np.ndarray, smooth: bool) -> np.ndarray:
    first, second, third, fourth = HUMANML3D.face
    across = joints[:, second] - joints[:, first] + joints[:, third] - joints[:, fourth]
    across = across / np.sqrt((across**2).sum(-1))[:, None]
    forward = np.cross(np.array([[0, 1, 0]]), across)
    if smooth:
        forward = gaussian_filter1d(forward, 20, axis=0, mode="nearest")
    forward = forward / np.sqrt((forward**2).sum(-1))[:, None]
    root = _between(forward, np.array([[0, 0, 1]]).repeat(len(forward), 0))
    if smooth:
        root[0] = (1, 0, 0, 0)
    rotations = np.zeros((*joints.shape[:2], 4))
    rotations[:, 0] = root
    for chain in HUMANML3D.chains:
        reached = root
        for parent, child in zip(chain, chain[1:], strict=False):
            u = HUMANML3D.raw_offsets[child][None].repeat(len(joints), 0)
            v = joints[:, child] - joints[:, parent]
            v = v / np.sqrt((v**2).sum(-1))[:, None]
            rotations[:, child] = _multiply(_conjugate(reached), _between(u, v))
            reached = _multiply(reached, rotations[:, child])
    return rotations


def features(joints: np.ndarray) -> np.ndarray:
    """Features of one clip, by HumanML3D's script.

    Args:
        joints: (T, 22, 3) in metres.

    Returns:
        (T-1, 263) features.
    """
    offsets = HUMANML3D.default_offsets
    assert offsets is not None, "HumanML3D ships its target lengths"
    lengths = np.linalg.norm(joints[0] - joints[0, list(HUMANML3D.parents)], axis=-1)
    scale = sum(np.abs(offsets[j]).max() for j in HUMANML3D.leg) / sum(lengths[j] for j in HUMANML3D.leg)
    rotations = _inverse_kinematics(joints, smooth=False)
    p = np.zeros(joints.shape)
    p[:, 0] = joints[:, 0] * scale
    for chain in HUMANML3D.chains:
        reached = rotations[:, 0]
        for parent, child in zip(chain, chain[1:], strict=False):
            reached = _multiply(reached, rotations[:, child])
            p[:, child] = p[:, parent] + _rotate(reached, offsets[child][None].repeat(len(p), 0))
    p[..., 1] -= p[..., 1].min()
    p -= p[0, 0] * np.array((1, 0, 1))
    right_hip, left_hip, right_shoulder, left_shoulder = HUMANML3D.face
    across = p[0, right_hip] - p[0, left_hip] + p[0, right_shoulder] - p[0, left_shoulder]
    forward = np.cross(np.array([[0, 1, 0]]), across / np.linalg.norm(across))
    start = _between(forward / np.linalg.norm(forward), np.array([[0, 0, 1]]))
    p = _rotate(np.ones((*p.shape[:-1], 4)) * start, p)

    rotations = _inverse_kinematics(p, smooth=True)
    root = rotations[:, 0]
    linear = _rotate(root[1:], p[1:, 0] - p[:-1, 0])
    yaw = np.arcsin(_multiply(root[1:], _conjugate(root[:-1]))[:, 2:3])
    spread = np.repeat(root[:, None], p.shape[1], 1)
    local = p.copy()
    local[..., [0, 2]] -= p[:, :1, [0, 2]]
    local = _rotate(spread, local)
    velocity = _rotate(spread[:-1], p[1:] - p[:-1])
    feet = p[:, [*HUMANML3D.feet_left, *HUMANML3D.feet_right]]
    contact = ((feet[1:] - feet[:-1]) ** 2).sum(-1) < HUMANML3D.foot_threshold
    parts = (yaw, linear[:, [0, 2]], p[:-1, 0, 1:2], local[:-1, 1:], _six(rotations[:-1, 1:]), velocity, contact)
    return np.concatenate([part.reshape(len(p) - 1, -1) for part in parts], -1)


# ---------------------------------------------------------------- sampling: a caption at a time, the whole head
@torch.no_grad()
def answers(model, processor, texts: Sequence[str], num_codes: int | None = None, **budgets: int) -> list[Answer]:
    """Text-to-motion answers by the library's `generate`, its own cache and the whole vocabulary at every step.

    The grammar is what makes the lengths of both ways equal; it costs little beside a model.

    Args:
        model: The UniMo model.
        processor: Its processor.
        texts: Captions.
        num_codes: Codes of each answer; None: the model decides.
        **budgets: As `AnswerGrammar` takes them, such as `max_thought_tokens`.

    Returns:
        An answer a text.
    """
    tasks = ["t2m"] * len(texts)
    inputs = processor.encode_prompts(tasks, texts, [None] * len(texts)).to(model.device)
    rules = AnswerGrammar(
        processor,
        tasks,
        prompt_length=inputs["input_ids"].shape[1],
        vocab_size=model.config.text_config.vocab_size,
        num_codes=[num_codes] * len(texts),
        device=model.device,
        given_codes=None,
        **budgets,
    )
    settings = copy.deepcopy(model.generation_config)
    settings.max_new_tokens = rules.max_new_tokens
    generated = model.language_model.generate(
        **inputs, logits_processor=LogitsProcessorList([rules]), generation_config=settings
    )
    return [processor.parse(ids, "t2m") for ids in generated[:, rules.prompt_length :].tolist()]


@torch.no_grad()
def decoded(vqvae, extractor, codes: Sequence[int]) -> np.ndarray:
    """One list of codes decoded alone.

    Args:
        vqvae: The motion VQ-VAE.
        extractor: Its feature extractor.
        codes: Of one motion, L.

    Returns:
        (4 L, 263) raw features.
    """
    return extractor.denormalize(vqvae.decode(torch.tensor([codes], device=vqvae.device))[0].cpu())


def text_to_motion(model, processor, text: str, num_codes: int, **budgets: int) -> np.ndarray:
    """One caption to joints.

    Args:
        model: The UniMo model.
        processor: Its processor.
        text: The caption.
        num_codes: L.
        **budgets: As `answers` takes them.

    Returns:
        (4 L, 22, 3) joints in metres.
    """
    (written,) = answers(model, processor, [text], num_codes, **budgets)
    return np.asarray(features_to_joints(decoded(model.motion_vqvae, processor.feature_extractor, written.codes)))


# ---------------------------------------------------------------- rewards and evaluation
@torch.no_grad()
def rewards(rows: list[dict], vqvae, extractor, evaluator) -> list[float]:
    """Both similarities of each answer, one answer at a time: two decodes and four embeddings each.

    Args:
        rows: With `codes`, `reference_codes` and `caption`.
        vqvae: The motion VQ-VAE.
        extractor: Its feature extractor.
        evaluator: Its embeddings are compared.

    Returns:
        The sum of both similarities for each row.
    """

    def one(codes: list[int], caption: str) -> tuple[Tensor, Tensor]:
        motion = evaluator.get_motion_features([decoded(vqvae, extractor, codes)])
        return motion, evaluator.get_text_features([tokenize_caption(caption)])

    values = []
    for row in rows:
        generated, text = one(row["codes"], row["caption"])
        truth, _ = one(row["reference_codes"], row["caption"])
        cosine = torch.cosine_similarity
        values.append(float(cosine(generated, truth) + cosine(generated, text)))
    return values


def fid(predictions: np.ndarray, references: np.ndarray) -> float:
    """FID as the published evaluation computes it: `scipy.linalg.sqrtm` of the product of the covariances.

    Args:
        predictions: (N, E) embeddings.
        references: (M, E) embeddings.

    Returns:
        The distance.
    """
    mean1, mean2 = predictions.mean(0), references.mean(0)
    cov1, cov2 = np.cov(predictions, rowvar=False), np.cov(references, rowvar=False)
    root = linalg.sqrtm(cov1 @ cov2)
    if not np.isfinite(root).all():
        epsilon = 1e-6 * np.eye(len(cov1))
        root = linalg.sqrtm((cov1 + epsilon) @ (cov2 + epsilon))
    return float(np.square(mean1 - mean2).sum() + np.trace(cov1) + np.trace(cov2) - 2 * np.trace(root).real)


@torch.no_grad()
def _embedded(clips: Sequence[np.ndarray], evaluator) -> np.ndarray:
    """Embeddings of one batch of raw features, padded to 196 frames."""
    mean, std = evaluator.motion_mean, evaluator.motion_std
    batch = torch.zeros(len(clips), 196, mean.shape[-1], device=evaluator.device)
    for row, clip in enumerate(clips):
        batch[row, : len(clip)] = (torch.as_tensor(clip[:196]).to(mean) - mean) / std
    lengths = torch.tensor([len(clip[:196]) for clip in clips], device=evaluator.device)
    return evaluator.encode_motion(batch, lengths).cpu().numpy()


def _matched(texts: np.ndarray, motions: np.ndarray) -> tuple[np.ndarray, float]:
    """Of one pool: how many texts have their motion among the 1, 2 and 3 nearest, and the sum of their distances."""
    distances = np.linalg.norm(texts[:, None] - motions[None], axis=-1)
    places = np.argsort(distances, axis=1).argsort(axis=1).diagonal()
    return np.array([(places < k).sum() for k in (1, 2, 3)]), float(distances.trace())


def matching(
    tokens: Sequence[Sequence[str]], motions: Sequence[np.ndarray], evaluator, pool: int = 32
) -> dict[str, float]:
    """R-Precision and MM-Dist of captions and motions, a batch at a time.

    Args:
        tokens: Of each caption.
        motions: (T, 263) raw features each, in the same order.
        evaluator: What embeds both.
        pool: Pairs of a batch, which are ranked among themselves.

    Returns:
        `r_precision_top1` to `top3`, and `mm_dist`.
    """
    hits, distance = np.zeros(3), 0.0
    for begin in range(0, len(tokens), pool):
        texts = evaluator.get_text_features(tokens[begin : begin + pool]).cpu().numpy()
        found, total = _matched(texts, _embedded(motions[begin : begin + pool], evaluator))
        hits, distance = hits + found, distance + total
    precision = {f"r_precision_top{k + 1}": float(hits[k]) / len(tokens) for k in range(3)}
    return precision | {"mm_dist": distance / len(tokens)}


def scores(
    entries: Sequence[CaptionedMotion], motions: Sequence[np.ndarray], evaluator, pool: int = 32
) -> dict[str, float]:
    """R-Precision, MM-Dist, FID and Diversity of motions for the first caption of each entry.

    In batches as they come, padded to 196 frames; every batch embeds texts, motions and real motions anew.

    Args:
        entries: Real motions with their captions.
        motions: (T, 263) raw features for each entry.
        evaluator: What embeds all of them.
        pool: Entries of a batch; those beyond the last full one are left out.

    Returns:
        `r_precision_top1` to `top3`, `mm_dist`, `fid` and `diversity`.
    """
    hits, distance, ours, real = np.zeros(3), 0.0, [], []
    for begin in range(0, len(entries) - pool + 1, pool):
        members, made = entries[begin : begin + pool], motions[begin : begin + pool]
        texts = evaluator.get_text_features([entry.tokens[0] for entry in members])
        real.append(_embedded([entry.motion for entry in members], evaluator))
        ours.append(_embedded(made, evaluator))
        found, total = _matched(texts.cpu().numpy(), ours[-1])
        hits, distance = hits + found, distance + total
    ours_, real_ = np.concatenate(ours), np.concatenate(real)
    rng = np.random.default_rng(0)
    times = min(300, len(ours_) - 1)
    pairs = [rng.choice(len(ours_), times, replace=False) for _ in range(2)]
    return {
        **{f"r_precision_top{k + 1}": float(hits[k]) / len(ours_) for k in range(3)},
        "mm_dist": distance / len(ours_),
        "fid": fid(ours_, real_),
        "diversity": float(np.linalg.norm(ours_[pairs[0]] - ours_[pairs[1]], axis=1).mean()),
    }


# ---------------------------------------------------------------- the VQ-VAE: the published network, eager
class _Residual(nn.Module):
    def __init__(self, width: int, dilation: int):
        super().__init__()
        self.conv1 = nn.Conv1d(width, width, 3, 1, dilation, dilation)
        self.conv2 = nn.Conv1d(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv2(F.relu(self.conv1(F.relu(x))))


def _stack(width: int, depth: int) -> nn.Sequential:
    return nn.Sequential(*(_Residual(width, 3**i) for i in reversed(range(depth))))


class VQVAE(nn.Module):
    """The published motion VQ-VAE, with a codebook of moving averages and one-hot matrices to update it."""

    codebook: Tensor

    def __init__(self, features: int = 263, width: int = 512, code_dim: int = 512, codes: int = 512, depth: int = 3):
        super().__init__()
        down = [nn.Sequential(nn.Conv1d(width, width, 4, 2, 1), _stack(width, depth)) for _ in range(2)]
        up = [
            nn.Sequential(_stack(width, depth), nn.Upsample(scale_factor=2), nn.Conv1d(width, width, 3, 1, 1))
            for _ in range(2)
        ]
        self.encoder = nn.Sequential(
            nn.Conv1d(features, width, 3, 1, 1), nn.ReLU(), *down, nn.Conv1d(width, code_dim, 3, 1, 1)
        )
        self.decoder = nn.Sequential(
            nn.Conv1d(code_dim, width, 3, 1, 1),
            nn.ReLU(),
            *up,
            nn.Conv1d(width, width, 3, 1, 1),
            nn.ReLU(),
            nn.Conv1d(width, features, 3, 1, 1),
        )
        self.register_buffer("codebook", torch.zeros(codes, code_dim))
        self.code_sum: Tensor | None = None
        self.code_count: Tensor | None = None

    def forward(self, motion: Tensor) -> Tensor:
        """Reconstruct windows, and move the codebook towards them.

        Args:
            motion: (B, T, D) normalised windows.

        Returns:
            The training loss, as T2M-GPT weighs its terms.
        """
        latents = self.encoder(motion.transpose(1, 2)).transpose(1, 2)
        rows = latents.reshape(-1, latents.shape[-1])
        if self.code_sum is None or self.code_count is None:
            self.codebook = rows[: len(self.codebook)].detach().clone()
            self.code_sum, self.code_count = self.codebook.clone(), torch.ones(len(self.codebook), device=rows.device)
        distances = (rows**2).sum(-1, keepdim=True) - 2 * rows @ self.codebook.t() + (self.codebook.t() ** 2).sum(0)
        chosen = distances.min(-1)[1]
        quantized = F.embedding(chosen, self.codebook)
        with torch.no_grad():
            one_hot = torch.zeros(len(self.codebook), len(rows), device=rows.device)
            one_hot.scatter_(0, chosen.view(1, -1), 1)
            self.code_sum = 0.99 * self.code_sum + 0.01 * one_hot @ rows
            self.code_count = 0.99 * self.code_count + 0.01 * one_hot.sum(-1)
            used = (self.code_count >= 1.0).float()[:, None]
            self.codebook = used * (self.code_sum / self.code_count[:, None]) + (1 - used) * rows[: len(used)]
        commitment = F.mse_loss(rows, quantized.detach())
        quantized = rows + (quantized - rows).detach()
        made = self.decoder(quantized.view(latents.shape).transpose(1, 2)).transpose(1, 2)
        positions = slice(4, 67)
        loss = F.smooth_l1_loss(made, motion) + 0.5 * F.smooth_l1_loss(made[..., positions], motion[..., positions])
        return loss + 0.02 * commitment


# ---------------------------------------------------------------- supervised fine-tuning
def full_vocabulary_loss(hidden: Tensor, head: nn.Linear, labels: Tensor) -> Tensor:
    """Cross-entropy over the logits of every token (B, L, V), those of the prompt among them.

    Args:
        hidden: (B, L, H) after the last norm.
        head: The output head, of V rows.
        labels: (B, L), -100 where nothing is learned.

    Returns:
        Mean over the learned tokens.
    """
    logits = head(hidden).float()
    return F.cross_entropy(logits[:, :-1].flatten(0, 1), labels[:, 1:].flatten(), ignore_index=-100)
