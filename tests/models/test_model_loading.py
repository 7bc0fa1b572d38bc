"""What the commands share: models are loaded whole or refused by name, input errors are one line."""

import json
import shutil

import pytest
from safetensors.torch import load_file, save_file
from tiny_unimo import tiny_unimo, tiny_vqvae
from transformers import AutoModelForCausalLM

from modeling_unimo import MotionVQVAEModel, UniMoForConditionalGeneration
from modeling_unimo.command_line import exit_on_error
from modeling_unimo.model_loading import check_feature_dim, check_model_type, load_model

NEEDED = "the folder of something else"


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One folder of each kind, and VQ-VAE folders with one thing wrong in each."""
    root = tmp_path_factory.mktemp("models")
    model, _ = tiny_unimo()
    tiny_vqvae().save_pretrained(root / "vqvae")
    model.language_model.save_pretrained(root / "lm")
    model.save_pretrained(root / "unimo")
    for name in ("cut", "bare", "resized", "gap", "unknown", "torn"):
        shutil.copytree(root / "vqvae", root / name)
    weights = root / "vqvae" / "model.safetensors"
    (root / "cut" / weights.name).write_bytes(weights.read_bytes()[:100])
    (root / "bare" / weights.name).unlink()
    settings = json.loads((root / "vqvae" / "config.json").read_text())
    (root / "resized" / "config.json").write_text(json.dumps(settings | {"width": 32}))
    (root / "unknown" / "config.json").write_text('{"model_type": "nothing"}')
    (root / "torn" / "config.json").write_text('{"model_type": ')
    kept = load_file(weights)
    kept.pop("quantizer.codebook")
    save_file(kept, root / "gap" / weights.name, metadata={"format": "pt"})
    (root / "empty").mkdir()
    return root


@pytest.mark.parametrize(
    ("cls", "name"),
    [(MotionVQVAEModel, "vqvae"), (AutoModelForCausalLM, "lm"), (UniMoForConditionalGeneration, "unimo")],
)
def test_the_right_kind_is_loaded(folders, cls, name):
    assert load_model(cls, folders / name, NEEDED).num_parameters() > 0


@pytest.mark.parametrize(
    ("cls", "name", "error", "message"),
    [
        (AutoModelForCausalLM, "unimo", ValueError, "type 'unimo'"),
        (UniMoForConditionalGeneration, "lm", ValueError, "type 'qwen2'"),
        (MotionVQVAEModel, "unimo", ValueError, "type 'unimo'"),
        (MotionVQVAEModel, "empty", FileNotFoundError, "no config.json"),
        (MotionVQVAEModel, "nowhere", FileNotFoundError, "no such folder"),
        (MotionVQVAEModel, "torn", FileNotFoundError, "not a valid JSON"),
        (MotionVQVAEModel, "unknown", ValueError, "unknown type of model"),
        (MotionVQVAEModel, "cut", ValueError, "damaged weights"),
        (MotionVQVAEModel, "bare", FileNotFoundError, "cannot read the weights"),
        (MotionVQVAEModel, "resized", ValueError, "wrong shapes"),
        (MotionVQVAEModel, "gap", ValueError, r"1 weights are missing \(quantizer.codebook\)"),
    ],
)
def test_anything_else_is_refused(folders, cls, name, error, message):
    with pytest.raises(error, match=message) as raised:
        load_model(cls, folders / name, NEEDED)
    assert str(raised.value).startswith(str(folders / name)) and str(raised.value).endswith(f"give {NEEDED}")
    assert "\n" not in str(raised.value)


def test_kind_and_width_alone(folders):
    check_model_type(MotionVQVAEModel, folders / "vqvae", NEEDED)
    check_feature_dim(tiny_vqvae(), 263, "x")
    with pytest.raises(ValueError, match="x has feature_dim 263, the dataset 251"):
        check_feature_dim(tiny_vqvae(), 251, "x")


@pytest.mark.parametrize("error", [ValueError("what"), FileNotFoundError("what"), ImportError("what")])
def test_refused_input_is_one_line(error):
    with pytest.raises(SystemExit, match="^error: what$"), exit_on_error():
        raise error


def test_mistakes_of_the_program_keep_their_traceback():
    with pytest.raises(KeyError), exit_on_error():
        raise KeyError("what")
