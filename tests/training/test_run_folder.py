"""The folder of a run: who may claim it, when the same run continues, and when it is given back."""

import json

import pytest
from filelock import FileLock
from transformers import TrainingArguments

from modeling_unimo.command_line import exit_on_error
from modeling_unimo.files_unimo import part_of
from train.engine import run_folder as module
from train.engine.checkpoints import FINISHING, seal
from train.engine.run_folder import LOCK, LOGS, SUMMARY, TRAINER_SETTINGS, already_finished, content_key, run_folder
from train.engine.run_folder import SETTINGS as SETTINGS_FILE

SETTINGS = {"dataset": "data", "window": 64, "betas": (0.9, 0.95)}


class SecondRank(TrainingArguments):
    process_index = 1


def trainer(folder, cls=TrainingArguments, **settings) -> TrainingArguments:
    return cls(output_dir=str(folder), use_cpu=True, report_to="none", **settings)


def claim(folder, stage="vqvae", settings=SETTINGS, cls=TrainingArguments, **of_trainer):
    """The checkpoint that a run with these settings would continue from."""
    with run_folder(trainer(folder, cls, **of_trainer), stage, settings) as checkpoint:
        return checkpoint


def refusal(call, *arguments) -> str:
    with pytest.raises(SystemExit) as raised:
        call(*arguments)
    assert str(raised.value).startswith("error: ")
    return str(raised.value)


def checkpoint(folder, step: int):
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    for name in ("trainer_state.json", "model.safetensors", "optimizer.pt"):
        (path / name).write_text(f"{name} {step}")
    return path


def test_a_new_or_empty_folder_is_claimed(tmp_path):
    for folder in (tmp_path / "new" / "deep", tmp_path / "empty"):
        if folder.name == "empty":
            folder.mkdir()
        assert claim(folder) is None
        assert json.loads((folder / SETTINGS_FILE).read_text())["stage"] == "vqvae"
        assert {path.name for path in folder.iterdir()} == {SETTINGS_FILE, TRAINER_SETTINGS}


def test_only_the_main_process_writes(tmp_path):
    assert claim(tmp_path / "new", cls=SecondRank) is None
    assert not (tmp_path / "new").exists()


def test_the_second_rank_accepts_what_the_first_is_writing(tmp_path):
    for name in (part_of(TRAINER_SETTINGS).name, TRAINER_SETTINGS, part_of(SETTINGS_FILE).name):
        (tmp_path / name).write_text("{")
        assert claim(tmp_path, cls=SecondRank) is None


def test_the_same_run_goes_on_from_its_last_whole_checkpoint(tmp_path):
    claim(tmp_path)
    assert claim(tmp_path) is None
    paths = {step: checkpoint(tmp_path, step) for step in (90, 100, 200)}
    (tmp_path / "checkpoint-best").mkdir()
    assert claim(tmp_path) is None
    for step in (90, 100):  # the process was killed before the last one was whole
        seal(paths[step])
    assert claim(tmp_path) == str(paths[100])
    assert claim(tmp_path, cls=SecondRank) == str(paths[100])


def test_other_settings_are_refused(tmp_path):
    claim(tmp_path)
    message = refusal(claim, tmp_path, "vqvae", {**SETTINGS, "window": 32})
    assert "window: 64 -> 32" in message and "output_dir" in message and "dataset" not in message
    assert "stage: 'vqvae' -> 'sft'" in refusal(claim, tmp_path, "sft")
    assert "window: 64 -> None" in refusal(claim, tmp_path, "vqvae", {"dataset": "data", "betas": (0.9, 0.95)})


@pytest.mark.parametrize("name", ["vqvae", "caption_encoder"])
def test_an_input_made_anew_under_its_path_is_another_run(tmp_path, name):
    weights = tmp_path / name / "model.safetensors"
    weights.parent.mkdir()
    settings = {**SETTINGS, name: str(weights.parent), "base_model": "Qwen/Qwen2.5-0.5B"}
    weights.write_bytes(b"first")
    claim(tmp_path / "run", "sft", settings)
    assert claim(tmp_path / "run", "sft", settings) is None
    weights.write_bytes(b"other")
    message = refusal(claim, tmp_path / "run", "sft", settings)
    assert f"content of {name}: '" in message and "base_model" not in message


@pytest.mark.parametrize(
    "setting, value, said",
    [
        ("learning_rate", 1e-3, "learning_rate: 5e-05 -> 0.001"),
        ("max_steps", 7, "max_steps: -1 -> 7"),
        ("per_device_train_batch_size", 3, "per_device_train_batch_size: 8 -> 3"),
        ("gradient_accumulation_steps", 2, "gradient_accumulation_steps: 1 -> 2"),
        ("seed", 1, "seed: 42 -> 1"),
        ("bf16", True, "bf16: False -> True"),
        ("lr_scheduler_type", "cosine", "lr_scheduler_type: 'linear' -> 'cosine'"),
        ("dataloader_drop_last", True, "dataloader_drop_last: False -> True"),
    ],
)
def test_other_settings_of_the_trainer_are_refused(tmp_path, setting, value, said):
    claim(tmp_path)

    def changed():
        claim(tmp_path, **{setting: value})

    assert said in refusal(changed)


def test_another_number_of_processes_is_refused(tmp_path):
    class Two(TrainingArguments):
        world_size = 2

    claim(tmp_path)
    with pytest.raises(SystemExit, match="processes: 1 -> 2"):
        claim(tmp_path, cls=Two)


def test_logs_and_checkpoints_may_be_made_otherwise(tmp_path):
    claim(tmp_path)
    others = {"logging_steps": 3, "save_steps": 9, "save_total_limit": 1, "disable_tqdm": True, "run_name": "again"}
    assert claim(tmp_path, **others) is None
    assert claim(tmp_path.parent / tmp_path.name, **others) is None  # another spelling of the path


@pytest.mark.parametrize(
    "name", ["save_only_model", "ignore_data_skip", "auto_find_batch_size", "enable_jit_checkpoint"]
)
def test_what_rules_out_resuming_is_refused(tmp_path, name):
    with pytest.raises(SystemExit, match=f"{name} is set"):
        claim(tmp_path / "new", **{name: True})
    assert not (tmp_path / "new").exists()


def test_a_finished_run_is_known(tmp_path, capsys):
    def finished(folder=tmp_path, settings=SETTINGS, **of_trainer):
        return already_finished(trainer(folder, **of_trainer), "vqvae", settings)

    assert not finished(tmp_path / "none") and not finished()
    claim(tmp_path)
    assert not finished()
    (tmp_path / FINISHING).touch()
    (tmp_path / SUMMARY).write_text("{}")
    assert not finished()  # killed before all of it was there
    (tmp_path / FINISHING).unlink()
    seal(checkpoint(tmp_path, 3))  # killed before this one was gone
    assert capsys.readouterr().out == ""
    assert finished() and not list(tmp_path.glob("checkpoint-*"))
    assert capsys.readouterr().out.startswith("[vqvae] already finished: ")
    assert "window: 64 -> 32" in refusal(finished, tmp_path, {**SETTINGS, "window": 32})


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years")
    assert "not empty" in refusal(claim, tmp_path)
    assert "is a file" in refusal(claim, tmp_path / "thesis.txt")
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def failing(folder, error, *made):
    with run_folder(trainer(folder), "vqvae", SETTINGS, *made), exit_on_error():
        (folder / "base").mkdir(exist_ok=True)
        (folder / LOGS).mkdir(exist_ok=True)
        raise error


def test_a_run_that_fails_before_its_first_checkpoint_gives_the_folder_back(tmp_path):
    folder = tmp_path / "run"
    assert refusal(failing, folder, ValueError("too long; shorten it"), "base") == "error: too long; shorten it"
    assert [path.name for path in folder.iterdir()] == [LOGS]
    assert claim(folder, settings={**SETTINGS, "window": 32}) is None  # logs are no hindrance


def test_a_crash_keeps_its_traceback_and_gives_the_folder_back_too(tmp_path):
    with pytest.raises(ZeroDivisionError):
        failing(tmp_path / "run", ZeroDivisionError(), "base", LOGS)
    assert not (tmp_path / "run").exists()


def test_what_was_trained_stays(tmp_path):
    claim(tmp_path)
    seal(checkpoint(tmp_path, 2))
    before = {path.name for path in tmp_path.iterdir()}
    assert "too long" in refusal(failing, tmp_path, ValueError("too long"), "base")
    assert {path.name for path in tmp_path.iterdir()} == before | {"base", LOGS}


def test_one_process_at_a_time_trains_in_a_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "LOCK_SECONDS", 0.1)
    tmp_path.joinpath("run").mkdir()
    with FileLock(tmp_path / "run" / LOCK):
        with pytest.raises(BlockingIOError, match="another process works in"):
            claim(tmp_path / "run")
    assert claim(tmp_path / "run") is None
    assert not (tmp_path / "run" / LOCK).exists()


@pytest.mark.parametrize("name", ["model.safetensors", "preprocessor_config.json", "tokenizer.json"])
def test_the_hash_of_a_model_is_of_weights_statistics_and_vocabulary(tmp_path, name):
    for file in ("model.safetensors", "preprocessor_config.json", "tokenizer.json", "training_run.json", "README.md"):
        (tmp_path / file).write_text(file)
    before = content_key(tmp_path)
    (tmp_path / "README.md").write_text("another card")
    (tmp_path / "training_run.json").write_text("{}")
    assert content_key(tmp_path) == before
    (tmp_path / name).write_text("others")
    assert content_key(tmp_path) != before
