"""The scripts and notebooks of examples/ run as they stand, on tiny random models."""

import json
from pathlib import Path

import nbformat
import numpy as np
import pytest
from hub_server import Client, Hub
from motion_files import bvh_text, write_captions
from nbclient import NotebookClient
from tiny_data import dataset_folder, features, tiny_judge
from tiny_policy import policy_folders
from tiny_unimo import tiny_unimo

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def unimo_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    model, processor = tiny_unimo()
    folder = tmp_path_factory.mktemp("models") / "unimo"
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four BVH files with captions."""
    folder = tmp_path_factory.mktemp("clips")
    for index in range(4):
        (folder / f"walk_{index}.bvh").write_text(bvh_text(frames=60 + 4 * index))
    lines = [{"file": f"walk_{i}.bvh", "captions": ["a person walks forward."], "split": "train"} for i in range(4)]
    write_captions(folder, lines)
    return folder


def run(client: Client, name: str, *arguments: object) -> str:
    done = client.run(f"examples.{name}", *map(str, arguments))
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_generate(client, unimo_folder, tmp_path):
    said = run(client, "generate", "--model", unimo_folder, "--text", "a person jumps.", "--output", tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} == {".bvh", ".html"}
    assert said.count(" s. ") == 3 and "wrote 6 files" in said


def test_caption_a_bvh_longer_than_a_window(client, unimo_folder, tmp_path):
    file = tmp_path / "long.bvh"
    file.write_text(bvh_text(frames=300))
    windows = run(client, "caption_bvh", file, "--model", unimo_folder).splitlines()
    assert [line.split()[0] for line in windows] == ["0.0", "9.8"]


def test_fine_tune(client, clips, tmp_path):
    stages = policy_folders(tmp_path / "stages")
    run_folder = tmp_path / "run"
    run_folder.mkdir()
    Path(stages["sft_model"]).rename(run_folder / "sft")
    Path(stages["vqvae"]).rename(run_folder / "vqvae")
    run(client, "fine_tune", clips, "--run", run_folder, "--output", tmp_path / "mine", "--steps", 2)
    config = json.loads((tmp_path / "mine" / "unimo" / "config.json").read_text())
    assert config["model_type"] == "unimo"
    assert json.loads((tmp_path / "mine" / "sft" / "training_summary.json").read_text())["steps"] == 2


def test_score_motions(client, tmp_path):
    dataset = dataset_folder(tmp_path / "dataset", test=8)
    tiny_judge().save_pretrained(tmp_path / "evaluator")
    motions = tmp_path / "motions"
    motions.mkdir()
    for index in range(7):  # and none of the eighth clip
        np.save(motions / f"test-{index:03d}.npy", features(index))
    folders = ("--dataset", dataset, "--evaluator", tmp_path / "evaluator", "--output", tmp_path / "scores")
    said = run(client, "score_motions", motions, *folders, "--pool_size", 4)
    assert "valid: 0.875" in said
    assert "test-007" in (tmp_path / "scores" / "results.json").read_text()


def test_push(client, hub: Hub, unimo_folder):
    said = run(client, "push", "--model", unimo_folder, "--repo", "small")
    assert "loaded it back" in said
    assert {"model.safetensors", "modeling_unimo.py", "README.md"} <= hub.repo("small").files.keys()


@pytest.mark.slow
@pytest.mark.parametrize("name", ["text_to_motion.ipynb", "thoughts_and_metrics.ipynb"])
def test_notebooks(name, unimo_folder, monkeypatch):
    monkeypatch.setenv("UNIMO_MODEL", str(unimo_folder))
    notebook = nbformat.read(EXAMPLES / name, as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "commit notebooks without outputs"
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(EXAMPLES)}}).execute()
    assert any(cell.get("outputs") for cell in notebook.cells)
