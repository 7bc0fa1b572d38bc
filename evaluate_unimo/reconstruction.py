"""How well a motion VQ-VAE keeps the motion: joint error, drift of the root and use of the codebook."""

from collections.abc import Sequence

import numpy as np

from modeling_unimo import MotionFeatureExtractor, MotionVQVAEModel
from modeling_unimo.motion_representation import features_to_joints, skeleton_for


def reconstruct(
    vqvae: MotionVQVAEModel, feature_extractor: MotionFeatureExtractor, motions: Sequence[np.ndarray]
) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Encode motions to codes and decode these.

    Args:
        vqvae: The motion VQ-VAE.
        feature_extractor: With the VQ-VAE's statistics.
        motions: Raw features (T, D) of each clip.

    Returns:
        Reconstructed raw features (4 * (T // 4), D) and codes (T // 4,) of each clip.
    """
    codes = vqvae.encode_motions(motions, feature_extractor)
    return vqvae.decode_motions(codes, feature_extractor), codes


def reconstruction_metrics(
    vqvae: MotionVQVAEModel, feature_extractor: MotionFeatureExtractor, motions: Sequence[np.ndarray]
) -> dict[str, float]:
    """Reconstruct motions and score the result with `score_reconstructions`.

    Args:
        vqvae: The motion VQ-VAE.
        feature_extractor: With the VQ-VAE's statistics.
        motions: Raw features (T, D) of each clip.

    Returns:
        See `score_reconstructions`.
    """
    return score_reconstructions(
        motions, *reconstruct(vqvae, feature_extractor, motions), codebook_size=vqvae.config.codebook_size
    )


def score_reconstructions(
    motions: Sequence[np.ndarray],
    reconstructions: Sequence[np.ndarray],
    codes: Sequence[np.ndarray],
    codebook_size: int,
) -> dict[str, float]:
    """Reconstruction errors over raw motions, and how evenly the codes are used.

    Args:
        motions: Raw features (T, D) of each clip.
        reconstructions: Raw features (4 * (T // 4), D) of each clip.
        codes: Codes (T // 4,) of each clip.
        codebook_size: Number of codes.

    Returns:
        `mpjpe_mm`: mean joint error in millimetres with the root taken off both; `root_drift_m`: median over clips of
        the
        distance between the two roots on the ground in the last frame, in metres; `codes_used`: share of the codebook
        that occurs at least once; `perplexity` of the code histogram.
    """
    skeleton = skeleton_for(motions[0].shape[1])
    errors, frames, drifts = 0.0, 0, []
    for motion, reconstruction in zip(motions, reconstructions, strict=True):
        truth = features_to_joints(motion[: len(reconstruction)], skeleton=skeleton)
        guess = features_to_joints(reconstruction, skeleton=skeleton)
        local = np.linalg.norm((truth - truth[:, :1]) - (guess - guess[:, :1]), axis=-1)
        errors, frames = errors + local.mean(-1).sum(), frames + len(local)
        drifts.append(float(np.linalg.norm((truth - guess)[-1, 0, [0, 2]])))
    counts = np.bincount(np.concatenate(codes), minlength=codebook_size)
    share = counts / counts.sum()
    return {
        "mpjpe_mm": float(errors / frames * skeleton.unit_scale * 1000),
        "root_drift_m": float(np.median(drifts) * skeleton.unit_scale),
        "codes_used": float((counts > 0).mean()),
        "perplexity": float(np.exp(-(share * np.log(share + 1e-7)).sum())),
    }
