"""How well a motion VQ-VAE keeps the motion: joint error, drift of the root and use of the codebook."""

from collections.abc import Sequence

import numpy as np
import torch

from modeling_unimo.motion_representation import features_to_joints, skeleton_for


@torch.no_grad()
def reconstruct(vqvae, feature_extractor, motions: Sequence[np.ndarray], batch_size: int = 64):
    """Encode and decode raw features; returns (list of raw reconstructions (4 * (T // 4), D), list of codes)."""
    order = sorted(range(len(motions)), key=lambda i: len(motions[i]))
    reconstructions: list[np.ndarray] = [np.empty(0)] * len(motions)
    codes: list[np.ndarray] = [np.empty(0, np.int64)] * len(motions)
    for begin in range(0, len(order), batch_size):
        rows = order[begin : begin + batch_size]
        batch = feature_extractor([motions[i] for i in rows], return_tensors="pt").to(vqvae.device)
        encoded = vqvae.encode(batch["motion"], attention_mask=batch["attention_mask"])
        decoded = vqvae.decode(encoded.codes, attention_mask=encoded.attention_mask).cpu().numpy()
        lengths = encoded.attention_mask.sum(1).tolist()
        for i, row, ids, length in zip(rows, decoded, encoded.codes.cpu().numpy(), lengths, strict=True):
            codes[i] = ids[:length]
            reconstructions[i] = feature_extractor.denormalize(row[: length * vqvae.config.downsample])
    return reconstructions, codes


def reconstruction_metrics(vqvae, feature_extractor, motions: Sequence[np.ndarray]) -> dict[str, float]:
    """Errors of encode-decode over raw motions, and how evenly the codes are used.

    Returns:
        `mpjpe_mm`: mean joint error in millimetres with the root taken off both; `root_drift_m`: median over clips of
        the distance between the two roots on the ground in the last frame, in metres; `codes_used`: share of the
        codebook that occurs at least once; `perplexity` of the code histogram.
    """
    reconstructions, codes = reconstruct(vqvae, feature_extractor, motions)
    skeleton = skeleton_for(motions[0].shape[1])
    errors, frames, drifts = 0.0, 0, []
    for motion, reconstruction in zip(motions, reconstructions, strict=True):
        truth = features_to_joints(motion[: len(reconstruction)], skeleton=skeleton)
        guess = features_to_joints(reconstruction, skeleton=skeleton)
        local = np.linalg.norm((truth - truth[:, :1]) - (guess - guess[:, :1]), axis=-1)
        errors, frames = errors + local.mean(-1).sum(), frames + len(local)
        drifts.append(float(np.linalg.norm((truth - guess)[-1, 0, [0, 2]])))
    counts = np.bincount(np.concatenate(codes), minlength=vqvae.config.codebook_size)
    share = counts / counts.sum()
    return {
        "mpjpe_mm": float(errors / frames * skeleton.unit_scale * 1000),
        "root_drift_m": float(np.median(drifts) * skeleton.unit_scale),
        "codes_used": float((counts > 0).mean()),
        "perplexity": float(np.exp(-(share * np.log(share + 1e-7)).sum())),
    }
