"""Configurations: published defaults, derived values, and every impossible value refused."""

import pytest
from transformers import AutoConfig

from modeling_unimo.configuration_unimo import MotionVQVAEConfig, TextMotionEvaluatorConfig, UniMoConfig


def test_defaults_are_the_published_sizes():
    config = MotionVQVAEConfig()
    assert (config.downsample, config.num_joints, config.fps) == (4, 22, 20.0)
    assert config.position_slice == slice(4, 67)
    assert config.velocity_slice == slice(193, 259)
    kit = MotionVQVAEConfig(feature_dim=251)
    assert (kit.num_joints, kit.position_slice, kit.velocity_slice) == (21, slice(4, 64), slice(184, 247))
    assert TextMotionEvaluatorConfig().vocabulary[:3] == ["sos", "eos", "unk"]


@pytest.mark.parametrize(
    "values",
    [
        {"feature_dim": 264},
        {"feature_dim": "263"},
        {"width": 0},
        {"code_dim": -1},
        {"codebook_size": 1},
        {"down_t": 0},
        {"stride_t": 1},
        {"stride_t": 3},
        {"depth": 0},
        {"dilation_growth_rate": 0},
        {"activation": "tanh"},
        {"norm": "layer"},
        {"norm": "GN", "width": 48},
        {"quantizer": "fsq"},
        {"ema_decay": 1.0},
        {"ema_decay": float("nan")},
        {"reset_threshold": -0.1},
        {"architecture": "transformer"},
        {"patch_kernel": 6},
        {"reconstruction_loss": "huber"},
        {"commitment_weight": -1.0},
        {"trajectory_weight": float("inf")},
        {"fps": 0},
    ],
    ids=str,
)
def test_impossible_vqvae_values_are_refused(values):
    with pytest.raises(ValueError, match="|".join(values)):
        MotionVQVAEConfig(**values)


@pytest.mark.parametrize(
    "values",
    [
        {"feature_dim": 100},
        {"text_hidden_size": 0},
        {"unit_length": 8},
        {"max_text_len": 0},
        {"max_motion_length": 10},
        {"vocabulary": ["a"]},
        {"vocabulary": "sos eos unk"},
        {"vocabulary": ["sos", "eos", "unk", "a", "a"]},
        {"vocabulary": ["sos", "eos", "unk", 3]},
        {"word_dropout": 1.5},
        {"objective": "triplet"},
        {"margin": 0},
        {"temperature": 0},
    ],
    ids=str,
)
def test_impossible_evaluator_values_are_refused(values):
    with pytest.raises(ValueError, match="|".join(values)):
        TextMotionEvaluatorConfig(**values)


@pytest.mark.parametrize(
    "config",
    [
        MotionVQVAEConfig(width=64, patch_kernel=4),
        TextMotionEvaluatorConfig(vocabulary=["sos", "eos", "unk", "é"]),
    ],
    ids=["vqvae", "evaluator"],
)
def test_a_saved_configuration_is_the_same(config, tmp_path):
    config.save_pretrained(tmp_path)
    loaded = type(config).from_pretrained(tmp_path)
    assert loaded.to_dict() == {**config.to_dict(), "_name_or_path": loaded.to_dict()["_name_or_path"]}


def test_unimo_holds_any_language_model_and_its_vqvae(tmp_path):
    config = UniMoConfig(
        text_config={"model_type": "llama", "hidden_size": 32, "tie_word_embeddings": True},
        motion_config=MotionVQVAEConfig(width=64).to_dict(),
    )
    config.save_pretrained(tmp_path)
    loaded = AutoConfig.from_pretrained(tmp_path, trust_remote_code=True)
    assert loaded.text_config.model_type == "llama"
    assert loaded.get_text_config().hidden_size == 32
    assert loaded.motion_config.width == 64
    assert loaded.tie_word_embeddings
    assert UniMoConfig().motion_config.codebook_size == 512


def test_unimo_refuses_what_names_no_language_model():
    with pytest.raises(ValueError, match="model_type"):
        UniMoConfig(text_config={"hidden_size": 32})
    with pytest.raises(ValueError, match="feature_dim"):
        UniMoConfig(motion_config={"feature_dim": 5})


@pytest.mark.parametrize("theirs", [MotionVQVAEConfig, TextMotionEvaluatorConfig])
@pytest.mark.parametrize("ours", [MotionVQVAEConfig, TextMotionEvaluatorConfig, UniMoConfig])
def test_folder_of_another_kind_is_refused(ours, theirs, tmp_path):
    theirs().save_pretrained(tmp_path)
    if ours is theirs:
        assert ours.from_pretrained(tmp_path).model_type == ours.model_type
        return
    with pytest.raises(ValueError, match=f"expected a model of type '{ours.model_type}', got '{theirs.model_type}'"):
        ours.from_pretrained(tmp_path)
