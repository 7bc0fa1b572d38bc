"""Runs killed with SIGKILL and started again end with the weights of one that was left alone, bit for bit.

Every run is a process of its own, forked from a server that has imported the scripts once, and killed by itself at the
moment under test: within a step, half-way through a file, between two files, while the old checkpoint goes, at the end.
"""

import errno
import json
import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tiny_data import TEXTS, dataset_folder, tiny_judge
from tiny_unimo import feature_extractor, processor_of, qwen_tokenizer, tiny_lm, tiny_vqvae
from torch.utils.data import DataLoader

from modeling_unimo import extend_vocabulary
from train.checkpoints import MANIFEST, is_whole, keep_newest, last_checkpoint, room_for, seal
from train.drawn_rows import DrawnRows

REPOSITORY = Path(__file__).resolve().parents[1]
STAGES = ("vqvae", "evaluator", "sft", "grpo")
STEPS = "steps_made.txt"  # one letter a step, over all processes of a run
COMMON = {
    "use_cpu": True, "report_to": "none", "logging_steps": 1, "save_strategy": "steps", "save_total_limit": 1,
    "disable_tqdm": True, "seed": 3, "max_steps": 9, "save_steps": 2,
    # Muon's and AdamW's state matter from the second step on, the schedule at each.
    "learning_rate": 3e-3, "lr_scheduler_type": "cosine", "warmup_steps": 2,
}  # fmt: skip
OWN: dict[str, dict[str, Any]] = {
    # Four batches an epoch: every second checkpoint is within one. The codes are placed after three steps.
    "vqvae": {
        "model": {
            "architecture": "patch", "width": 16, "code_dim": 4, "down_t": 1, "stride_t": 4, "depth": 1,
            "codebook_size": 24, "reset_threshold": 0.5, "ema_decay": 0.8,
        },
        "window": 16, "autoencoder_fraction": 0.25, "kmeans_latents": 60, "muon": True, "bf16": True, "max_steps": 13,
        "per_device_train_batch_size": 4, "dataloader_drop_last": True, "remove_unused_columns": False,
    },
    # Two batches a step, five an epoch, three steps: the last has one.
    "evaluator": {
        "model": {
            "movement_hidden_size": 8, "movement_latent_size": 8, "text_hidden_size": 8, "motion_hidden_size": 8,
            "embedding_size": 8, "word_embedding_size": 8, "word_dropout": 0.3, "objective": "infonce",
            "normalize_embeddings": True,
        },
        "judges": "main", "min_word_count": 1, "per_device_train_batch_size": 4, "gradient_accumulation_steps": 2,
        "remove_unused_columns": False,
    },
    "sft": {
        "new_model": {
            "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "num_key_value_heads": 1,
            "intermediate_size": 16, "max_position_embeddings": 1024, "attention_dropout": 0.1,
        },
        "new_vocab_size": 300, "max_length": 400, "muon": True, "per_device_train_batch_size": 2,
        "gradient_accumulation_steps": 2, "bf16": False, "activation_checkpointing": False, "attention": "eager",
    },
    # A cycle is two steps long: what is generated serves two batches, each of them twice.
    "grpo": {
        "num_generations": 2, "per_device_train_batch_size": 2, "steps_per_generation": 1, "num_iterations": 2,
        "max_completion_length": 6, "beta": 0.1, "bf16": False, "activation_checkpointing": False, "max_steps": 6,
    },
}  # fmt: skip


# ------------------------------------------------------------------------------------- inside the process of one run


def kill_at(owner: Any, name: str, count: int, before: Callable[..., None] | None = None) -> None:
    """Replace `owner.name` by what ends this process at its `count`-th call, after calling `before` in its place."""
    original, calls = getattr(owner, name), []

    def deadly(*args: Any, **kwargs: Any) -> Any:
        calls.append(name)
        if len(calls) == count:
            if before is not None:
                before(*args, **kwargs)
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(owner, name, deadly)


def half_an_optimizer(trainer: Any, folder: str) -> None:
    Path(folder, "optimizer.pt").write_bytes(b"PK" * 99)


def half_a_model(trainer: Any, folder: str, *args: Any, **kwargs: Any) -> None:
    Path(folder).mkdir(exist_ok=True)
    Path(folder, "model.safetensors").write_bytes(bytes(99))


def arm(when: str, count: int) -> None:
    from train import stages

    trainer = stages.StageTrainer
    if when == "in a step":
        kill_at(trainer, "training_step", count)
    elif when == "in the model's file":
        kill_at(trainer, "save_model", count, half_a_model)
    elif when == "in the optimizer's file":
        kill_at(trainer, "_save_optimizer_and_scheduler", count, half_an_optimizer)
    elif when == "before it is whole":
        kill_at(stages, "seal", count)
    elif when == "before the old one goes":
        kill_at(stages, "keep_newest", count)
    elif when == "before the checkpoints go":
        kill_at(stages, "drop_checkpoints", count)
    elif when == "in the finished model":
        kill_at(trainer, "save_model", count, half_a_model)
    else:
        raise ValueError(when)


def count_steps(folder: Path) -> None:
    from train.stages import StageTrainer

    original = StageTrainer.training_step

    def counted(self, *args, **kwargs):
        with open(folder.with_name(f"{folder.name}.{STEPS}"), "a") as file:
            file.write("s" if self.accelerator.is_main_process else "")
        return original(self, *args, **kwargs)

    StageTrainer.training_step = counted


def run_stage(stage: str, words: list[str], folder: Path, moment: tuple[str, int] | None) -> None:
    """Target of a process: the stage's script, as from its command line."""
    with open(folder.with_name(f"{folder.name}.log"), "a") as log:
        os.dup2(log.fileno(), 1)
        os.dup2(log.fileno(), 2)
    torch.set_num_threads(1)
    script = import_module(f"train.{stage}")
    if stage == "grpo":  # a random policy answers nothing valid: reward what differs between its answers
        script.make_rewards = differing_rewards
    count_steps(folder)
    if moment is not None:
        arm(*moment)
    script.main(words)


def differing_rewards(processor: Any, scorer: Any, weights: dict[str, float], *args: Any) -> list[Callable]:
    """For each weight one function, whose rewards are 0 to 1 and differ from answer to answer."""

    def made(name: str) -> Callable:
        def reward(completions: list, **kwargs: Any) -> list[float]:
            return [float((len(name) + sum(map(ord, str(completion)))) % 101) / 101 for completion in completions]

        reward.__name__ = name
        return reward

    return [made(name) for name in weights]


# ------------------------------------------------------------------------------------------------------- its parent


@pytest.fixture(scope="module")
def server():
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([f"train.{stage}" for stage in STAGES])
    return context


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """data/, vqvae/, evaluator/ and sft/, tiny and untrained, for the stages to work on."""
    folder = tmp_path_factory.mktemp("inputs")
    dataset_folder(folder / "data", train=18, validation=4)
    tiny_vqvae().save_pretrained(folder / "vqvae")
    feature_extractor().save_pretrained(folder / "vqvae")
    tiny_judge().save_pretrained(folder / "evaluator")
    tokenizer = qwen_tokenizer()
    model = tiny_lm(tokenizer)
    extend_vocabulary(tokenizer, model)
    model.save_pretrained(folder / "sft")
    processor_of(tokenizer).save_pretrained(folder / "sft")
    return folder


def command(stage: str, inputs: Path, output: Path, **more: Any) -> list[str]:
    paths = {"dataset": inputs / "data", "output_dir": output}
    if stage in ("sft", "grpo"):
        paths["vqvae"] = inputs / "vqvae"
    if stage == "grpo":
        paths |= {"sft_model": inputs / "sft", "evaluator": inputs / "evaluator"}
        paths["unimo_output_dir"] = output.with_name(f"{output.name}_unimo")
    settings = COMMON | OWN[stage] | more | {name: str(path) for name, path in paths.items()}
    config = output.with_name(f"{output.name}.yaml")
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return ["--config", str(config)]


def run(server, stage: str, words: list[str], output: Path, moment: tuple[str, int] | None = None) -> int:
    """Runs a stage to its end, or to its death; returns the exit code."""
    process = server.Process(target=run_stage, args=(stage, words, output, moment))
    process.start()
    process.join(120)
    if process.is_alive():
        process.kill()
        raise AssertionError(f"{stage} hangs; its log ends with {log_of(output)[-2000:]}")
    assert process.exitcode is not None
    if moment is None:
        assert process.exitcode == 0, log_of(output)[-3000:]
    else:
        assert process.exitcode == -signal.SIGKILL, f"{moment} did not come: {log_of(output)[-3000:]}"
    return process.exitcode


def log_of(output: Path) -> str:
    return output.with_name(f"{output.name}.log").read_text()


def steps_made(output: Path) -> int:
    return len(output.with_name(f"{output.name}.{STEPS}").read_text())


def assert_same_run(output: Path, reference: Path) -> None:
    """Weights bit for bit, all other files byte for byte but for times and paths, and what was logged at each step."""
    ours, theirs = load_file(output / "model.safetensors"), load_file(reference / "model.safetensors")
    assert set(ours) == set(theirs)
    for name, value in theirs.items():
        assert torch.equal(value, ours[name]), name
    files = {path.relative_to(reference) for path in reference.rglob("*") if path.is_file()}
    assert {path.relative_to(output) for path in output.rglob("*") if path.is_file()} == files
    for name in files - {Path(n) for n in ("curves.json", "training_summary.json", "training_run.json", "README.md")}:
        assert (output / name).read_bytes() == (reference / name).read_bytes(), name
    logged = [
        [{k: e[k] for k in ("step", "loss", "reward", "kl", "learning_rate") if k in e} for e in log if "loss" in e]
        for log in (json.loads((folder / "curves.json").read_text()) for folder in (output, reference))
    ]
    assert logged[0] == logged[1]


@pytest.fixture(scope="module")
def uninterrupted(server, inputs, tmp_path_factory):
    """The folder of a run that was left alone; each stage is trained once."""
    made: dict[str, Path] = {}

    def of(stage: str, **more: Any) -> Path:
        name = "-".join([stage, *(f"{k}{v}" for k, v in more.items())])
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name) / "run"
            run(server, stage, command(stage, inputs, made[name], **more), made[name])
        return made[name]

    return of


# -------------------------------------------------------------------------------------------------- killed and resumed

# Where death comes, and how many steps the resumed run still has to make.
MOMENTS = [
    ("vqvae", "in a step", 2, 13),  # before the first checkpoint: from the start
    ("vqvae", "in a step", 4, 11),  # when the codes have just been placed
    ("vqvae", "in a step", 12, 3),  # resumed within an epoch
    ("vqvae", "in a step", 10, 5),  # resumed where an epoch begins
    ("vqvae", "in the optimizer's file", 4, 7),
    ("vqvae", "before it is whole", 3, 9),
    ("vqvae", "before the old one goes", 3, 7),
    ("vqvae", "in the finished model", 8, 0),  # the eighth model; seven are checkpoints'
    ("vqvae", "before the checkpoints go", 1, 0),
    ("evaluator", "in a step", 5, 11),  # steps of two batches, the last of an epoch of one
    ("evaluator", "in a step", 12, 5),  # resumed where an epoch begins
    ("evaluator", "in the model's file", 3, 8),
    ("sft", "in a step", 2, 18),
    ("sft", "in a step", 13, 6),
    ("sft", "before it is whole", 2, 14),
    ("grpo", "in a step", 4, 4),
    ("grpo", "in the optimizer's file", 2, 4),
    ("grpo", "before the checkpoints go", 1, 0),
]


@pytest.mark.parametrize("stage, when, count, left", MOMENTS, ids=lambda value: str(value).replace(" ", "-"))
def test_killed_and_resumed(server, inputs, uninterrupted, tmp_path, stage, when, count, left):
    reference, output = uninterrupted(stage), tmp_path / "run"
    words = command(stage, inputs, output)
    run(server, stage, words, output, (when, count))
    made = steps_made(output)
    run(server, stage, words, output)
    assert steps_made(output) - made == left  # it went on from the right checkpoint, and did not start again
    assert_same_run(output, reference)
