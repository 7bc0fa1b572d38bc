"""The small model that comes with the package: whole, without code, answering by default, and made anew from a run."""

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from tiny_unimo import tiny_unimo
from typer.testing import CliRunner

from modeling_unimo import UniMoForConditionalGeneration, UniMoProcessor
from modeling_unimo.model_loading import SHIPPED_MODEL
from train.mini import make_mini
from unimo.cli import app

METRICS = {
    "config": "train/configs/quickstart/mini.yaml",
    "seed": 0,
    "t2m": {name: {"r_precision_top1": {"mean": 0.9}, "fid": {"mean": 0.02}} for name in ("real", "grpo")},
    "m2t": {"grpo": {"bleu1": {"mean": 0.8}}},
}


def save_run(run):
    """What a finished quickstart leaves that is read here, with a tiny model."""
    for part in tiny_unimo():
        part.save_pretrained(run / "unimo")
    (run / "metrics.json").write_text(json.dumps(METRICS))


def test_the_shipped_model_is_small_and_loads_without_code_in_its_folder():
    assert sum(path.stat().st_size for path in SHIPPED_MODEL.iterdir()) <= 15 * 2**20
    assert not list(SHIPPED_MODEL.glob("*.py"))
    model = UniMoForConditionalGeneration.from_pretrained(SHIPPED_MODEL)
    processor = UniMoProcessor.from_pretrained(SHIPPED_MODEL)
    assert next(model.parameters()).dtype == torch.float32
    assert processor.unknown_words("a person plays the violin.") == ["plays", "violin"]
    motion = model.generate_motion(["a person walks forward."], processor, seed=0)[0]
    assert np.linalg.norm((motion.joints[-1, 0] - motion.joints[0, 0])[[0, 2]]) > 0.5  # metres along the ground


def test_commands_answer_with_it_when_no_model_is_named(tmp_path):
    wave = str(tmp_path / "wave.bvh")
    written = CliRunner().invoke(app, ["generate", "a person waves.", "--output", wave, "--seed", "0"])
    assert written.exit_code == 0, written.output
    read = CliRunner().invoke(app, ["describe", wave, "--seed", "0"])
    assert read.exit_code == 0 and "caption: " in read.output, read.output


def test_a_finished_run_becomes_a_folder_without_code(tmp_path):
    run, output = tmp_path / "run", tmp_path / "mini"
    save_run(run)
    make_mini(run, output)
    weights = load_file(output / "model.safetensors")
    whole = load_file(run / "unimo" / "model.safetensors")
    assert weights.keys() == whole.keys()
    assert all(torch.equal(weights[name], whole[name].bfloat16()) for name in whole if whole[name].is_floating_point())
    assert "auto_map" not in (output / "config.json").read_text()
    assert UniMoProcessor.from_pretrained(output).tasks == ["t2m", "m2t"]
    assert "mini.yaml --seed 0" in (output / "README.md").read_text()
    UniMoForConditionalGeneration.from_pretrained(output)


@pytest.mark.parametrize("missing", ["unimo/model.safetensors", "metrics.json"])
def test_an_unfinished_run_is_refused(tmp_path, missing):
    save_run(tmp_path)
    (tmp_path / missing).unlink()
    with pytest.raises(FileNotFoundError, match=missing.split("/")[-1]):
        make_mini(tmp_path, tmp_path / "mini")
