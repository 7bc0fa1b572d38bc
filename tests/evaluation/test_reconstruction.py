"""What a VQ-VAE loses, measured on codecs whose loss is known."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from motions import moving_body
from tiny_data import features
from tiny_unimo import feature_extractor, tiny_vqvae

from evaluate_unimo.reconstruction import reconstruct, reconstruction_metrics
from modeling_unimo import features_to_joints, joints_to_features

MOTIONS = [features(i) for i in range(5)]


class Codec:
    """Stands for a VQ-VAE: whole fours of frames come back, changed by `spoil`; the codes are given."""

    def __init__(self, spoil=lambda motion: motion, codes=lambda index, length: np.zeros(length, np.int64), size=8):
        self.spoil, self.codes, self.config = spoil, codes, SimpleNamespace(codebook_size=size)

    def encode_motions(self, motions, extractor):
        self.motions = motions
        return [self.codes(i, len(motion) // 4) for i, motion in enumerate(motions)]

    def decode_motions(self, codes, extractor):
        return [self.spoil(m[: 4 * len(c)].copy()) for m, c in zip(self.motions, codes, strict=True)]


def test_nothing_lost():
    metrics = reconstruction_metrics(Codec(), None, MOTIONS)
    assert metrics["mpjpe_mm"] == 0 and metrics["root_drift_m"] == 0
    assert metrics["codes_used"] == 1 / 8 and metrics["perplexity"] == pytest.approx(1.0, abs=1e-4)


def test_error_of_the_joints_leaves_the_root_out():
    def shift(motion):
        motion[:, 4:67] += 0.01  # every joint but the root, along all three axes
        return motion

    metrics = reconstruction_metrics(Codec(shift), None, MOTIONS)
    assert metrics["mpjpe_mm"] == pytest.approx(21 / 22 * 10 * np.sqrt(3), rel=1e-3)
    assert metrics["root_drift_m"] == 0


def test_drift_is_that_of_the_last_frame_on_the_ground():
    straight = joints_to_features(moving_body(seed=1, frames=41, sway=0.0))

    def faster(motion):
        motion[:, 2] += 0.005  # metres a frame, straight ahead
        motion[:, 3] += 0.3  # height is no drift
        return motion

    metrics = reconstruction_metrics(Codec(faster), None, [straight])
    last = [features_to_joints(m)[-1, 0, [0, 2]] for m in (straight, faster(straight.copy()))]
    assert metrics["root_drift_m"] == pytest.approx(np.linalg.norm(last[0] - last[1]), rel=1e-6)
    assert metrics["root_drift_m"] == pytest.approx(39 * 0.005, rel=1e-3)


def test_use_of_the_codebook():
    even = Codec(codes=lambda index, length: np.arange(length) % 4)
    metrics = reconstruction_metrics(even, None, [features(5)[:32]] * 2)
    assert metrics["codes_used"] == 0.5 and metrics["perplexity"] == pytest.approx(4.0, rel=1e-4)


def test_lengths_and_order_of_a_real_network():
    vqvae, extractor = tiny_vqvae(), feature_extractor()
    reconstructions, codes = reconstruct(vqvae, extractor, MOTIONS)
    for motion, reconstruction, row in zip(MOTIONS, reconstructions, codes, strict=True):
        assert len(row) == len(motion) // 4 and reconstruction.shape == (4 * len(row), 263)
        batch = extractor([motion], return_tensors="pt")
        with torch.no_grad():
            decoded = vqvae.decode(vqvae.encode(batch["motion"]).codes)[0]
        np.testing.assert_allclose(reconstruction, extractor.denormalize(decoded.numpy()), atol=1e-4)
    metrics = reconstruction_metrics(vqvae, extractor, MOTIONS)
    assert all(isinstance(value, float) and np.isfinite(value) for value in metrics.values())
    assert 0 < metrics["codes_used"] <= 1 <= metrics["perplexity"] and metrics["mpjpe_mm"] > 0
