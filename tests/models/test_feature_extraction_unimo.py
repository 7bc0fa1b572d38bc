"""Feature extractor: statistics, padding, batches, refusals, saving."""

import numpy as np
import pytest
import torch
from transformers import AutoFeatureExtractor

from modeling_unimo.feature_extraction_unimo import MotionFeatureExtractor

DIM = 35


@pytest.fixture
def extractor():
    rng = np.random.default_rng(0)
    return MotionFeatureExtractor(feature_dim=DIM, mean=rng.normal(size=DIM), std=rng.uniform(0.1, 2, DIM))


@pytest.fixture
def clips():
    rng = np.random.default_rng(1)
    return [rng.normal(size=(frames, DIM)).astype(np.float32) for frames in (12, 5, 40)]


def test_normalising_is_undone(extractor, clips):
    for clip in (clips[0], clips[0].astype(np.float64), torch.from_numpy(clips[0])):
        normalised = extractor.normalize(clip)
        assert type(normalised) is type(clip) and normalised.dtype == clip.dtype
        back = extractor.denormalize(normalised)
        np.testing.assert_allclose(np.asarray(back), clips[0], atol=1e-6)
    mean, std = np.array(extractor.mean), np.array(extractor.std)
    np.testing.assert_allclose(extractor.normalize(clips[0]), (clips[0] - mean) / std, atol=1e-5)


def test_padding_follows_normalising_and_changes_nothing(extractor, clips):
    batch = extractor(clips)
    assert batch["motion"].shape == (3, 40, DIM) and batch["motion"].dtype == torch.float32
    assert batch["attention_mask"].sum(dim=1).tolist() == [12, 5, 40]
    assert batch["attention_mask"].dtype == torch.long
    for row, clip in enumerate(clips):
        assert torch.equal(batch["motion"][row, : len(clip)], extractor(clip)["motion"][0])
        assert not batch["motion"][row, len(clip) :].any()
    assert torch.equal(extractor([torch.from_numpy(clip) for clip in clips])["motion"], batch["motion"])
    assert torch.equal(extractor(np.stack([clips[0]] * 2))["motion"][0], extractor(clips[0])["motion"][0])
    assert isinstance(extractor(clips, return_tensors="np")["motion"], np.ndarray)


def test_saved_and_loaded_by_the_auto_class(extractor, clips, tmp_path):
    extractor.save_pretrained(tmp_path)
    loaded = AutoFeatureExtractor.from_pretrained(tmp_path, trust_remote_code=True)
    assert (loaded.mean, loaded.std, loaded.fps, loaded.max_frames) == (extractor.mean, extractor.std, 20, 196)
    assert torch.equal(loaded(clips)["motion"], extractor(clips)["motion"])
    assert (tmp_path / "feature_extraction_unimo.py").is_file()


@pytest.mark.parametrize(
    ("motions", "message"),
    [
        ([], "at least one motion"),
        ([np.zeros((8, DIM + 1))], "motion 0 must have shape"),
        ([np.zeros((8, DIM)), np.zeros(8)], "motion 1 must have shape"),
        ([np.zeros((3, DIM))], "3 frames"),
        ([np.zeros((197, DIM))], "197 frames"),
        ([np.full((8, DIM), np.nan)], "frame 0, feature 0"),
        ([np.full((8, DIM), np.inf)], "NaN or infinite"),
    ],
)
def test_bad_motion_is_refused_by_name(extractor, motions, message):
    with pytest.raises(ValueError, match=message):
        extractor(motions)


def test_too_long_a_clip_is_cut_on_request(extractor):
    assert extractor([np.zeros((300, DIM))], truncation=True)["motion"].shape[1] == 196


@pytest.mark.parametrize(
    ("statistics", "message"),
    [
        ({"mean": np.zeros(DIM)}, "together"),
        ({"mean": np.zeros(3), "std": np.ones(3)}, "35 numbers"),
        ({"mean": np.full(DIM, np.nan), "std": np.ones(DIM)}, "NaN"),
        ({"mean": np.zeros(DIM), "std": np.zeros(DIM)}, "positive"),
    ],
)
def test_bad_statistics_are_refused(statistics, message):
    with pytest.raises(ValueError, match=message):
        MotionFeatureExtractor(feature_dim=DIM, **statistics)


def test_nothing_is_normalised_without_statistics():
    with pytest.raises(ValueError, match="no statistics"):
        MotionFeatureExtractor(feature_dim=DIM)([np.zeros((8, DIM))])
    with pytest.raises(ValueError, match="numbers a frame"):
        MotionFeatureExtractor(feature_dim=DIM, mean=np.zeros(DIM), std=np.ones(DIM)).normalize(np.zeros((4, 3)))


@pytest.mark.parametrize("integers", [np.int64, np.uint8])
def test_whole_numbers_are_normalised_as_others_are(extractor, integers):
    clip = np.arange(8 * DIM).reshape(8, DIM) % 7
    expected = extractor(clip.astype(np.float32))["motion"]
    assert torch.equal(extractor(clip.astype(integers))["motion"], expected)
    assert np.array_equal(extractor.normalize(clip.astype(integers)), expected[0].numpy())
    assert torch.equal(extractor.normalize(torch.from_numpy(clip)), expected[0])
