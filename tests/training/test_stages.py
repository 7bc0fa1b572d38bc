"""The end of a stage: a folder fit for the Hub, with curves and a summary."""

import json

import pytest
import torch
from tiny_unimo import feature_extractor, tiny_vqvae
from transformers import AutoModel, TrainerCallback, TrainingArguments

from train.engine.stages import CURVES, SUMMARY, StageTrainer, finish_stage


@pytest.fixture
def trainer(tmp_path):
    batch = feature_extractor()([torch.randn(12, 263).numpy()], return_tensors="pt")
    settings = TrainingArguments(
        output_dir=str(tmp_path / "vqvae"),
        max_steps=4,
        logging_steps=1,
        save_steps=2,
        report_to="none",
        use_cpu=True,
        disable_tqdm=True,
        remove_unused_columns=False,
    )
    (tmp_path / "vqvae").mkdir()
    (tmp_path / "vqvae" / "training_run.json").write_text('{"stage": "vqvae"}')
    return StageTrainer(
        model=tiny_vqvae(),
        args=settings,
        train_dataset=[0] * 8,
        data_collator=lambda rows: {k: v.clone() for k, v in batch.items()},
    )


class Stops(TrainerCallback):
    """Ends a training after its third step, as whatever is told that the machine goes away."""

    def on_step_end(self, args, state, control, **kwargs):
        control.should_training_stop = state.global_step == 3


def test_a_stopped_run_is_not_finished(trainer, tmp_path):
    trainer.add_callback(Stops())
    trainer.train()
    with pytest.raises(SystemExit, match="error: vqvae was stopped after 3 of 4 steps; the same command continues"):
        finish_stage(trainer, "vqvae")
    folder = tmp_path / "vqvae"
    assert (folder / "checkpoint-2" / "optimizer.pt").is_file()
    assert not (folder / SUMMARY).exists() and not (folder / "model.safetensors").exists()


def test_the_time_of_a_resumed_run_is_that_of_its_last_steps(trainer, tmp_path):
    trainer.add_callback(Stops())
    trainer.train()
    trainer.remove_callback(Stops)
    trainer.train(str(tmp_path / "vqvae" / "checkpoint-2"))
    finish_stage(trainer, "vqvae")
    summary = json.loads((tmp_path / "vqvae" / SUMMARY).read_text())
    assert (summary["steps"], summary["train_steps_timed"]) == (4, 2)


def test_a_finished_folder(trainer, tmp_path, capsys):
    trainer.train()
    trainer.log({"eval_mpjpe_mm": 12.3456789})
    folder = tmp_path / "vqvae"
    assert (folder / "checkpoint-4" / "optimizer.pt").is_file()
    finish_stage(trainer, "vqvae")
    kept = {path.name for path in folder.rglob("*") if path.is_file()}
    assert {"model.safetensors", "config.json", "training_run.json", "README.md", CURVES, SUMMARY} <= kept
    assert not {name for name in kept if name.endswith((".bin", ".pt", ".pth", ".pkl"))}
    assert not list(folder.glob("checkpoint-*"))
    summary = json.loads((folder / SUMMARY).read_text())
    assert (summary["stage"], summary["steps"], summary["processes"]) == ("vqvae", 4, 1)
    assert summary["train_steps_timed"] == 4
    assert summary["eval_mpjpe_mm"] == 12.34568 and summary["peak_memory_mb_per_process"] > 50
    curves = json.loads((folder / CURVES).read_text())
    assert [entry["step"] for entry in curves if "loss" in entry] == [1, 2, 3, 4]
    assert "[vqvae] steps 4" in capsys.readouterr().out
    again = AutoModel.from_pretrained(folder).state_dict()
    for name, value in trainer.model.state_dict().items():
        assert torch.equal(value, again[name]), name
