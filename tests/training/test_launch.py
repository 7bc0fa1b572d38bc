"""What a launch asks for against the recipe, and what a refused or mistyped start leaves: nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from accelerate.utils import DistributedType
from tiny_data import dataset_folder
from transformers import TrainingArguments

from train import evaluator
from train.engine.arguments import LEAST, parse_arguments
from train.engine.launch import check_sharding

REPOSITORY = Path(__file__).resolve().parents[2]
HEAVY = ("torch", "transformers", "trl", "datasets", "scipy", "accelerate")
MODEL = {
    "movement_hidden_size": 8, "movement_latent_size": 8, "text_hidden_size": 8, "motion_hidden_size": 8,
    "embedding_size": 8, "word_embedding_size": 8, "objective": "infonce", "normalize_embeddings": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("launch")
    (root / "evaluator.yaml").write_text(json.dumps({"model": MODEL, "min_word_count": 1}))
    return dataset_folder(root / "data", train=6, validation=2)


def words(data: Path, output: Path, **settings) -> list[str]:
    settings = {
        "dataset": data, "output_dir": output, "config": data.parent / "evaluator.yaml", "judges": "main",
        "per_device_train_batch_size": 3, "max_steps": 1, "use_cpu": True, "report_to": "none", "disable_tqdm": True,
        "remove_unused_columns": False, "save_strategy": "no",
    } | settings  # fmt: skip
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


@pytest.mark.parametrize("stage", ["vqvae", "evaluator", "sft", "grpo"])
def test_help_imports_nothing_heavy(stage):
    source = (
        f"import json, runpy, sys\nsys.argv = ['train/{stage}.py', '--help']\n"
        f"try:\n    runpy.run_path('train/{stage}.py', run_name='__main__')\n"
        f"except SystemExit as end:\n    assert end.code == 0\n"
        f"print(json.dumps([name for name in {HEAVY} if name in sys.modules]), file=sys.stderr)"
    )
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    done = subprocess.run(
        [sys.executable, "-c", source], cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0 and json.loads(done.stderr) == [], done.stderr
    assert "--dataset STR" in done.stdout and "is an option too" in done.stdout


def test_the_recipe_decides_on_precision_and_compilation(monkeypatch, capsys):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    monkeypatch.setenv("ACCELERATE_DYNAMO_BACKEND", "INDUCTOR")
    (training,) = parse_arguments((TrainingArguments,), ["--use_cpu", "true", "--output_dir", "out"])
    assert training.mixed_precision == "no" and not training.torch_compile
    assert {os.environ["ACCELERATE_MIXED_PRECISION"], os.environ["ACCELERATE_DYNAMO_BACKEND"]} == {"no"}
    told = capsys.readouterr().out
    assert "ACCELERATE_MIXED_PRECISION bf16; the recipe decides, so this run uses no" in told
    assert "ACCELERATE_DYNAMO_BACKEND inductor" in told


def test_a_launcher_of_the_same_opinion_needs_no_word(monkeypatch, capsys):
    monkeypatch.setenv("ACCELERATE_MIXED_PRECISION", "bf16")
    words = ["--use_cpu", "true", "--bf16", "true", "--output_dir", "out"]
    (training,) = parse_arguments((TrainingArguments,), words)
    assert training.mixed_precision == "bf16" and "[launch]" not in capsys.readouterr().out


@pytest.mark.parametrize("asked", ["FSDP", "DEEPSPEED"])
def test_sharding_that_is_not_followed_is_refused(monkeypatch, asked):
    monkeypatch.setenv(f"ACCELERATE_USE_{asked}", "true")
    device = SimpleNamespace(type="cpu")
    with pytest.raises(SystemExit, match=f"asks for {asked}, but accelerate would train with MULTI_CPU on cpu"):
        check_sharding(SimpleNamespace(distributed_type=DistributedType.MULTI_CPU, device=device))
    check_sharding(SimpleNamespace(distributed_type=DistributedType[asked], device=device))


@pytest.mark.parametrize(
    "settings, told",
    [
        ({"resume_from_checkpoint": "nowhere"}, "resume_from_checkpoint is 'nowhere', but the same command continues"),
        ({"do_predict": True}, "do_predict is True, but evaluate_unimo.run"),
        ({"report_to": "no_such_tracker"}, "no_such_tracker"),
        ({"lr_scheduler_type": "warmup_stable_decay"}, "num_decay_steps"),
        ({"optim": "adamw_bnb_8bit"}, "bitsandbytes"),
        ({"gradient_checkpointing": True}, "checkpointing"),
        ({"neftune_noise_alpha": 5}, "get_input_embeddings"),
        ({"train_sampling_strategy": "group_by_length"}, "infer lengths"),
        ({"accelerator_config": '{"split_batches": 3, "nonsense": 1}'}, "nonsense"),
    ],
)
def test_what_a_library_refuses_is_one_line_and_leaves_nothing(data, tmp_path, settings, told):
    with pytest.raises(SystemExit) as refused:
        evaluator.main(words(data, tmp_path / "run", **settings))
    assert str(refused.value).startswith("error: ") and told in str(refused.value)
    assert not (tmp_path / "run").exists()


EVALUATED = {"eval_strategy": "steps", "eval_steps": 2, "save_strategy": "steps", "save_steps": 1, "max_steps": 3}
LATE = [
    (
        {**EVALUATED, "metric_for_best_model": "nosuch"},
        "is 'nosuch', but evaluations of this stage measure r_precision",
    ),
    ({**EVALUATED, "metric_for_best_model": "r_precision"}, "did you mean 'r_precision_top"),
    ({**EVALUATED, "eval_steps": 1, "load_best_model_at_end": True}, "metric_for_best_model is 'loss'"),
    ({"metric_for_best_model": "r_precision_top1"}, "eval_strategy is no"),
]


@pytest.mark.parametrize("name, least", LEAST.items())
def test_numbers_below_their_least_are_refused(data, tmp_path, name, least):
    with pytest.raises(SystemExit, match=f"error: {name} must be >= {least}, got {least - 1}"):
        evaluator.main(words(data, tmp_path / "run", **{name: least - 1}))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("settings, told", LATE)
def test_what_would_fail_at_the_first_evaluation_is_refused_before_the_folder_is_claimed(
    data, tmp_path, monkeypatch, settings, told
):
    monkeypatch.setattr("train.representation.evaluator_training.run_folder", None)
    with pytest.raises(SystemExit, match="error: ") as refused:
        evaluator.main(words(data, tmp_path / "run", **settings))
    assert told in str(refused.value) and not (tmp_path / "run").exists()


def test_a_metric_that_is_measured_chooses_the_model(data, tmp_path):
    best = {"metric_for_best_model": "eval_r_precision_top1", "load_best_model_at_end": True, "eval_steps": 1}
    evaluator.main(words(data, tmp_path / "run", **EVALUATED | best))
    assert (tmp_path / "run" / "model.safetensors").is_file()
