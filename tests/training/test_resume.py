"""Runs killed with SIGKILL and started again end with the weights of one that was left alone, bit for bit.

Every run is a process of its own, forked from a server that has imported the scripts once, and kills itself at the
moment under test: in a step, half-way through a file, between two files, while the old checkpoint goes, at the end.
"""

import errno
import json
import multiprocessing
import os
import random
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import yaml
from forked import ForkedProcess, fork_server, forked_ranks
from safetensors.torch import load_file
from tiny_data import dataset_folder, tiny_judge
from tiny_unimo import feature_extractor, processor_of, qwen_tokenizer, tiny_lm, tiny_vqvae
from waiting import wait_until

from modeling_unimo import extend_vocabulary
from train.engine.checkpoints import MANIFEST, is_complete, keep_newest, last_checkpoint, room_for, seal
from train.engine.resumable_rows import ResumableRows

REPOSITORY = Path(__file__).resolve().parents[2]
TRAINING = {
    "vqvae": "train.representation.vqvae_training",
    "evaluator": "train.representation.evaluator_training",
    "sft": "train.supervised.sft_training",
    "grpo": "train.reinforcement.grpo_training",
}
STAGES = tuple(TRAINING)
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
        "gradient_accumulation_steps": 2, "bf16": False, "gradient_checkpointing": False, "attention": "eager",
    },
    # A cycle is two steps long: what is generated serves two batches, each of them twice.
    "grpo": {
        "num_generations": 2, "per_device_train_batch_size": 2, "steps_per_generation": 1, "num_iterations": 2,
        "max_completion_length": 6, "beta": 0.1, "bf16": False, "gradient_checkpointing": False, "max_steps": 6,
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
    from train.engine import stages

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
    from train.engine.stages import StageTrainer

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
    multiprocessing.set_start_method("fork", force=True)  # of a loader's workers, as in a script started by hand
    if stage == "grpo":  # a random policy answers nothing valid: reward what differs between its answers
        import_module(TRAINING["grpo"]).make_rewards = differing_rewards
    count_steps(folder)
    if moment is not None:
        arm(*moment)
    import_module(f"train.{stage}").main(words)
    if "RANK" in os.environ:
        (folder.parent / f"{folder.name}.{os.environ['RANK']}").write_text(str(torch.distributed.is_initialized()))


def differing_rewards(processor: Any, scorer: Any, weights: dict[str, float], *args: Any) -> list[Callable]:
    """For each weight one function, whose rewards are 0 to 1 and differ from answer to answer."""

    def made(name: str) -> Callable:
        def reward(completion_ids: list, **kwargs: Any) -> list[float]:
            return [float((len(name) + sum(ids)) % 101) / 101 for ids in completion_ids]

        reward.__name__ = name
        return reward

    return [made(name) for name in weights]


# ------------------------------------------------------------------------------------------------------- its parent


@pytest.fixture(scope="module")
def server():
    return fork_server()


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> Path:
    """data/, vqvae/, evaluator/, base/ and sft/, tiny and untrained, for the stages to work on."""
    folder = tmp_path_factory.mktemp("inputs")
    dataset_folder(folder / "data", train=18, validation=4)
    tiny_vqvae().save_pretrained(folder / "vqvae")
    feature_extractor().save_pretrained(folder / "vqvae")
    tiny_judge().save_pretrained(folder / "evaluator")
    tokenizer = qwen_tokenizer()
    model = tiny_lm(tokenizer)
    model.save_pretrained(folder / "base")
    tokenizer.save_pretrained(folder / "base")
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
    if "base_model" in more:
        paths["base_model"] = inputs / more["base_model"]
    settings = COMMON | OWN[stage] | more | {name: str(path) for name, path in paths.items()}
    config = output.with_name(f"{output.name}.yaml")
    config.write_text(yaml.safe_dump(settings), encoding="utf-8")
    return ["--config", str(config)]


def start(server, stage: str, words: list[str], output: Path, moment: tuple[str, int] | None = None):
    process = server.Process(target=run_stage, args=(stage, words, output, moment))
    process.start()
    return process


def run(server, stage: str, words: list[str], output: Path, moment: tuple[str, int] | None = None) -> None:
    """Runs a stage to its end, or to its death at the moment."""
    process = start(server, stage, words, output, moment)
    process.join(120)
    if process.is_alive():
        process.kill()
        raise AssertionError(f"{stage} hangs; its log ends with {log_of(output)[-2000:]}")
    if moment is None:
        assert process.exitcode == 0, log_of(output)[-3000:]
    else:
        assert process.exitcode == -signal.SIGKILL, f"{moment} did not come: {log_of(output)[-3000:]}"


def log_of(output: Path) -> str:
    return output.with_name(f"{output.name}.log").read_text()


def steps_made(output: Path) -> int:
    file = output.with_name(f"{output.name}.{STEPS}")
    return len(file.read_text()) if file.is_file() else 0


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
FAST = [
    ("vqvae", "in a step", 12, 3),  # resumed within an epoch
    ("vqvae", "in the finished model", 8, 0),  # the eighth model; seven are checkpoints'
    ("sft", "before it is whole", 2, 14),
]
SLOW = [
    ("vqvae", "in a step", 2, 13),  # before the first checkpoint: from the start
    ("vqvae", "in a step", 4, 11),  # when the codes have just been placed
    ("vqvae", "in a step", 10, 5),  # resumed where an epoch begins
    ("vqvae", "in the optimizer's file", 4, 7),
    ("vqvae", "before it is whole", 3, 9),
    ("vqvae", "before the old one goes", 3, 7),
    ("vqvae", "before the checkpoints go", 1, 0),
    ("evaluator", "in a step", 5, 11),  # steps of two batches, the last of an epoch of one
    ("evaluator", "in a step", 12, 5),  # resumed where an epoch begins
    ("evaluator", "in the model's file", 3, 8),
    ("sft", "in a step", 2, 18),
    ("sft", "in a step", 13, 6),
    ("grpo", "in a step", 4, 4),
    ("grpo", "in the optimizer's file", 2, 4),
    ("grpo", "before the checkpoints go", 1, 0),
]
MOMENTS = [*FAST, *(pytest.param(*moment, marks=pytest.mark.slow) for moment in SLOW)]


def named(value: Any) -> str:
    return str(value).replace(" ", "-").replace("'", "")


@pytest.mark.parametrize("stage, when, count, left", MOMENTS, ids=named)
def test_killed_and_resumed(server, inputs, uninterrupted, tmp_path, stage, when, count, left):
    reference, output = uninterrupted(stage), tmp_path / "run"
    words = command(stage, inputs, output)
    run(server, stage, words, output, (when, count))
    made = steps_made(output)
    run(server, stage, words, output)
    assert steps_made(output) - made == left  # it went on from the right checkpoint, and did not start again
    assert_same_run(output, reference)


VARIANTS = [
    # What a worker fetches ahead depends on its speed; what it draws must not.
    ("vqvae", 8, {"dataloader_num_workers": 2}),
    ("vqvae", 8, {"gradient_accumulation_steps": 2, "save_steps": 3, "max_steps": 7}),
    ("vqvae", 6, {"muon": False, "eval_strategy": "steps", "eval_steps": 1}),
    ("evaluator", 9, {"dataloader_num_workers": 1, "save_total_limit": 2}),
    ("evaluator", 9, {"save_strategy": "epoch"}),
    ("sft", 7, {"packing": True, "max_steps": -1, "num_train_epochs": 12, "max_length": 900}),
    ("sft", 9, {"lora_rank": 2, "muon": False, "base_model": "base"}),
    ("sft", 7, {"position_gaps": 1.0}),
    ("sft", 9, {"bf16": True}),
    ("grpo", 4, {"algorithm": "gspo"}),
    ("grpo", 4, {"algorithm": "rloo"}),
    ("grpo", 4, {"algorithm": "ppo"}),
    ("grpo", 4, {"algorithm": "dpo", "beta": 0.0}),
    ("grpo", 9, {"gradient_accumulation_steps": 2, "steps_per_generation": 4, "num_iterations": 1, "save_steps": 2}),
]


@pytest.mark.slow
@pytest.mark.parametrize("stage, step, settings", VARIANTS, ids=named)
def test_killed_and_resumed_with_other_settings(server, inputs, tmp_path, stage, step, settings):
    if "lora_rank" in settings:
        pytest.importorskip("peft")
    for name, moment in (("reference", None), ("run", ("in a step", step))):
        run(server, stage, command(stage, inputs, tmp_path / name, **settings), tmp_path / name, moment)
    made = steps_made(tmp_path / "run")
    assert last_checkpoint(tmp_path / "run") is not None
    run(server, stage, command(stage, inputs, tmp_path / "run", **settings), tmp_path / "run")
    assert 0 < steps_made(tmp_path / "run") - made < steps_made(tmp_path / "reference")
    assert_same_run(tmp_path / "run", tmp_path / "reference")


@pytest.mark.slow
@pytest.mark.parametrize("stage", STAGES)
def test_killed_at_any_time_and_again(server, inputs, uninterrupted, tmp_path, stage):
    """Killed from outside, some steps and a random moment on, again and again, until what is left ends first."""
    reference, output = uninterrupted(stage), tmp_path / "run"
    draw, words = random.Random(stage), command(stage, inputs, output)
    killed = 0
    while killed < 2:
        goal = steps_made(output) + draw.randint(1, 3)
        process = start(server, stage, words, output)
        wait_until(
            lambda goal=goal, process=process: steps_made(output) >= goal or process.exitcode is not None,
            f"step {goal}", every=0.005,
        )  # fmt: skip
        process.join(draw.uniform(0, 0.1))
        if process.exitcode is not None:
            break
        process.kill()
        process.join(60)
        killed += 1
    assert killed > 0
    run(server, stage, words, output)
    assert_same_run(output, reference)


def launched(inputs: Path, output: Path) -> list[ForkedProcess]:
    """SFT on two processes."""
    log, words = output.with_name(f"{output.name}.log"), command("sft", inputs, output, max_steps=12)
    return forked_ranks(2, log, run_stage, "sft", words, output, None)


@pytest.mark.slow
def test_two_processes_killed_and_resumed(inputs, tmp_path):
    reference, output = tmp_path / "reference", tmp_path / "run"
    assert [rank.wait(300) for rank in launched(inputs, reference)] == [0, 0], log_of(reference)[-3000:]
    # Whoever ends within the group may abort, for which a launcher ends the main process, too.
    assert [reference.with_name(f"reference.{rank}").read_text() for rank in (0, 1)] == ["False", "False"]
    ranks = launched(inputs, output)
    try:
        wait_until(lambda: last_checkpoint(output) or any(rank.poll() is not None for rank in ranks), "a checkpoint")
        assert [rank.poll() for rank in ranks] == [None, None], log_of(output)[-3000:]
    finally:
        for rank in ranks:
            rank.kill()
            rank.wait(60)
    kept = last_checkpoint(output)
    assert kept is not None and len(list(Path(kept).glob("rng_state_*.pth"))) == 2
    assert [rank.wait(300) for rank in launched(inputs, output)] == [0, 0], log_of(output)[-3000:]
    assert json.loads((output / "training_summary.json").read_text())["processes"] == 2
    assert_same_run(output, reference)


# ----------------------------------------------------------------------------------------------- what ends a training


def test_a_finished_run_is_not_trained_again(server, inputs, uninterrupted):
    folder = uninterrupted("vqvae")
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
    made = steps_made(folder)
    run(server, "vqvae", command("vqvae", inputs, folder), folder)
    assert "[vqvae] already finished: " in log_of(folder) and steps_made(folder) == made
    assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before


def test_another_setting_does_not_resume(server, inputs, uninterrupted):
    folder = uninterrupted("vqvae")
    words = command("vqvae", inputs, folder, learning_rate=1e-4)
    process = start(server, "vqvae", words, folder)
    process.join(60)
    assert process.exitcode == 1
    assert "holds a run with other settings (learning_rate: 0.003 -> 0.0001)" in log_of(folder)


def refusal(server, stage: str, words: list[str], output: Path, what: Callable[[], None]) -> str:
    """The refusal that ends a run during which `what` is done to the scripts, wherever it stands in the log."""
    process = server.Process(target=run_spoilt, args=(stage, words, output, what))
    process.start()
    process.join(120)
    assert process.exitcode == 1, log_of(output)[-3000:]
    found = re.search(r"error: .*", log_of(output))
    assert found is not None, log_of(output)[-3000:]
    return found.group()


def run_spoilt(stage: str, words: list[str], output: Path, what: Callable[[], None]) -> None:
    what()
    run_stage(stage, words, output, None)


def spoil_the_loss() -> None:
    """The loss of the fifth step is no number."""
    from train.representation.vqvae_training import VQVAETrainer

    original = VQVAETrainer.compute_loss

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        loss = original(self, *args, **kwargs)
        return loss * float("nan") if self.state.global_step == 4 else loss

    VQVAETrainer.compute_loss = compute_loss


def spoil_a_weight() -> None:
    """A weight becomes infinite in the optimizer's third step, which no loss tells: the checkpoint of step 4 would."""
    from train.engine.optimizer import MuonWithAdamW

    original, steps = MuonWithAdamW.step, []

    def step(self, *args: Any, **kwargs: Any) -> None:
        original(self, *args, **kwargs)
        steps.append(1)
        if len(steps) == 4:
            self.weights[-1].data.view(-1)[0] = float("inf")

    MuonWithAdamW.step = step


@pytest.mark.parametrize(
    "spoil, said, kept",
    [
        (spoil_the_loss, "error: the loss of step 5 is nan. The last good checkpoint", 4),
        (spoil_a_weight, "is not finite after step 4. The last good checkpoint", 2),
    ],
)
def test_what_is_no_number_ends_training(server, inputs, tmp_path, spoil, said, kept):
    output = tmp_path / "run"
    line = refusal(server, "vqvae", command("vqvae", inputs, output), output, spoil)
    assert said in line and "learning_rate" in line and f"checkpoint-{kept}, is kept" in line
    assert last_checkpoint(output) == str(output / f"checkpoint-{kept}")
    assert all(
        torch.isfinite(v).all() for v in load_file(output / f"checkpoint-{kept}" / "model.safetensors").values()
    )


def no_room_at_all() -> None:
    """The disk is too small from the beginning."""
    shutil.disk_usage = lambda path: SimpleNamespace(free=1000)


def test_a_disk_that_is_too_small_is_refused_before_the_first_step(server, inputs, tmp_path):
    output = tmp_path / "run"
    line = refusal(server, "vqvae", command("vqvae", inputs, output), output, no_room_at_all)
    assert line.startswith(f"error: {output}: the finished model and a checkpoint need more than ")
    assert "0.0 MB are free on its disk; make room or choose another place" in line
    assert not output.exists()


def no_room_for_the_second() -> None:
    """The disk is full after the model of the second checkpoint has been written."""
    from train.engine.stages import StageTrainer

    original = StageTrainer._save_optimizer_and_scheduler

    def save(self, folder: str) -> None:
        if self.state.global_step == 4:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), folder)
        original(self, folder)

    StageTrainer._save_optimizer_and_scheduler = save


def test_a_full_disk_leaves_the_checkpoint_before(server, inputs, uninterrupted, tmp_path):
    output = tmp_path / "run"
    words = command("vqvae", inputs, output)
    line = refusal(server, "vqvae", words, output, no_room_for_the_second)
    assert line.startswith("error: no room left on the disk for checkpoint-4 in") and "checkpoint-2" in line
    assert [path.name for path in output.glob("checkpoint-*")] == ["checkpoint-2"]
    run(server, "vqvae", words, output)
    assert_same_run(output, uninterrupted("vqvae"))


# --------------------------------------------------------------------------------------------------------- checkpoints


def made_checkpoint(folder: Path, step: int, sealed: bool = True) -> Path:
    path = folder / f"checkpoint-{step}"
    (path / "inner").mkdir(parents=True)
    for name in ("trainer_state.json", "model.safetensors", "inner/optimizer.pt", "training_args.bin"):
        (path / name).write_text(f"{name} of {step}")
    if sealed:
        seal(path)
    return path


def test_a_checkpoint_is_complete_once_it_is_sealed(tmp_path):
    path = made_checkpoint(tmp_path, 3, sealed=False)
    assert not is_complete(path) and last_checkpoint(tmp_path) is None
    seal(path)
    assert is_complete(path) and last_checkpoint(tmp_path) == str(path)
    assert not (path / "training_args.bin").exists()  # the one file that is a pickle of anything
    assert set(json.loads((path / MANIFEST).read_text())) == {
        "trainer_state.json", "model.safetensors", "inner/optimizer.pt"
    }  # fmt: skip


@pytest.mark.parametrize("name", ["trainer_state.json", "model.safetensors", "inner/optimizer.pt"])
@pytest.mark.parametrize("damage", ["cut off", "gone", "longer"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, name, damage):
    older, newer = made_checkpoint(tmp_path, 90), made_checkpoint(tmp_path, 100)
    assert last_checkpoint(tmp_path) == str(newer)
    if damage == "gone":
        (newer / name).unlink()
    else:
        text = (newer / name).read_text()
        (newer / name).write_text(text[:-1] if damage == "cut off" else text + " ")
    assert last_checkpoint(tmp_path) == str(older)


def test_old_and_cut_off_checkpoints_go(tmp_path):
    for step in (2, 4, 6, 8, 10):
        made_checkpoint(tmp_path, step, sealed=step != 6)
    (tmp_path / "checkpoint-best").mkdir()

    def left() -> set[str]:
        return {path.name for path in tmp_path.iterdir()}

    keep_newest(tmp_path, None)
    assert left() == {"checkpoint-2", "checkpoint-4", "checkpoint-8", "checkpoint-10", "checkpoint-best"}
    keep_newest(tmp_path, 2, str(tmp_path / "checkpoint-2"))
    assert left() == {"checkpoint-2", "checkpoint-8", "checkpoint-10", "checkpoint-best"}
    keep_newest(tmp_path, 1)
    assert left() == {"checkpoint-10", "checkpoint-best"}


def test_only_a_full_disk_is_called_one(tmp_path):
    with pytest.raises(ZeroDivisionError), room_for("it", tmp_path):
        raise ZeroDivisionError
    for error in (RuntimeError("shapes differ"), OSError(errno.EACCES, "denied"), OSError("no route")):
        with pytest.raises(type(error)) as raised, room_for("it", tmp_path):
            raise error
        assert raised.value is error
    assert not list(tmp_path.iterdir())


FULL_DISK = """
import sys
from pathlib import Path
import torch
from safetensors.torch import save_file
from train.engine.checkpoints import room_for
folder, big = Path(sys.argv[1]), torch.zeros(1_000_000)
ways = {
    "torch": lambda scrap: torch.save({"a": big}, scrap / "a.pt"),
    "safetensors": lambda scrap: save_file({"a": big}, scrap / "a.safetensors"),
    "text": lambda scrap: (scrap / "a.txt").write_text("x" * 4_000_000),
}
for name, write in ways.items():
    scrap = folder / "checkpoint-3"
    scrap.mkdir()
    try:
        with room_for("checkpoint-3", folder, scrap):
            write(scrap)
    except SystemExit as error:
        print(name, scrap.exists(), error)
"""


@pytest.mark.slow
def test_each_writer_on_a_disk_that_is_really_full(tmp_path):
    """A file system of two megabytes in a namespace of its own, where the machine lets users make one."""
    namespace = shutil.which("unshare")
    if namespace is None or subprocess.run([namespace, "-rm", "true"], capture_output=True).returncode:
        pytest.skip("no user namespaces here")
    (tmp_path / "disk").mkdir()
    done = subprocess.run(
        [namespace, "-rm", "sh", "-c", 'mount -t tmpfs -o size=2m tmpfs "$1" && "$2" -c "$3" "$1"', "sh"]
        + [str(tmp_path / "disk"), sys.executable, FULL_DISK],
        capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(REPOSITORY)}, timeout=300,
    )  # fmt: skip
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines] == [[n, "False"] for n in ("torch", "safetensors", "text")], (
        done.stderr
    )
    assert all("error: no room left on the disk for checkpoint-3" in line for line in lines)


# ------------------------------------------------------------------------------------------------ rows drawn at random


class Rows(ResumableRows):
    def __getitem__(self, index: int) -> int:
        return self.draw(1000, index)


def test_the_batch_fetched_ahead_is_drawn_again(tmp_path):
    torch.manual_seed(0)
    rows = Rows()
    rows.__getitems__([0, 1])
    torch.rand(3)  # the model draws as well
    ahead = rows.__getitems__([2, 3])
    torch.rand(3)
    rows.save_draws(tmp_path / "draws.safetensors")
    next_ones = [rows.__getitems__([4, 5]), torch.rand(2).tolist()]

    torch.manual_seed(99)
    again = Rows()
    again.restore_draws(tmp_path / "draws.safetensors")
    assert again.__getitems__([2, 3]) == ahead and again.redrawn
    assert [again.__getitems__([4, 5]), torch.rand(2).tolist()] == next_ones


def test_drawing_is_what_it_was_before_anything_was_remembered():
    torch.manual_seed(5)
    expected = [int(torch.randint(0, 1000, ())) for _ in range(4)]
    torch.manual_seed(5)
    assert Rows().__getitems__([3, 1]) + [Rows()[0], Rows()[2]] == expected
