"""Command lines of the training scripts: what is refused, in which words, and when a folder may be used again."""

import json
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from datasets import Dataset, DatasetDict
from transformers import Qwen2Config, TrainingArguments

from modeling_unimo import MotionVQVAEConfig, TextMotionEvaluatorConfig
from modeling_unimo.files_unimo import part_of
from train.engine.arguments import (
    MARKER,
    TRAINER,
    already_finished,
    check_settings,
    parse_arguments,
    prepare_output,
    refusals_once_claimed,
    require_folder,
    require_splits,
)
from train.engine.cards import SUMMARY
from train.engine.checkpoints import FINISHING, seal


@dataclass
class Arguments:
    dataset: str
    model: dict[str, Any] = field(default_factory=dict)
    window: int = 64
    muon: bool = False
    judge: Literal["main", "held_out"] = "main"


def parsed(tmp_path, text: str, *more: str):
    config = tmp_path / "stage.yaml"
    config.write_text(text, encoding="utf-8")
    return parse_arguments((Arguments, TrainingArguments), ["--config", str(config), *more])


def refusal(call, *arguments) -> str:
    with pytest.raises(SystemExit) as raised:
        call(*arguments)
    assert str(raised.value).startswith("error: ")
    return str(raised.value)


# ---------------------------------------------------------------------------------------------- YAML and command line


def test_yaml_gives_values_and_the_command_line_overrides_them(tmp_path):
    text = "dataset: data\nmodel: {width: 8, norm: LN}\nwindow: 32\nlearning_rate: 1.0e-3\nuse_cpu: true\n"
    arguments, training = parsed(tmp_path, text, "--window", "16", "--output_dir", str(tmp_path / "out"))
    assert arguments == Arguments("data", {"width": 8, "norm": "LN"}, 16)
    assert training.learning_rate == 1e-3
    assert training.output_dir == str(tmp_path / "out")


def test_everything_may_come_from_the_command_line(tmp_path):
    words = ["--dataset", "data", "--muon", "true", "--use_cpu", "true", "--output_dir", str(tmp_path)]
    arguments, _ = parse_arguments((Arguments, TrainingArguments), words)
    assert arguments == Arguments("data", muon=True)


@pytest.mark.parametrize(
    "text, words",
    [
        ("dataset: d\nlerning_rate: 1\n", ["'lerning_rate'", "stage.yaml", "did you mean 'learning_rate'?"]),
        ("dataset: d\nwindows: 3\n", ["'windows'", "did you mean 'window'?"]),
        ("dataset: d\nxyzzy_plugh: 3\n", ["unknown key 'xyzzy_plugh'"]),
        ("dataset: d\n3: 3\n", ["unknown key 3"]),
        ("- dataset\n- d\n", ["must hold a YAML mapping", "found list"]),
        ("", ["must hold a YAML mapping", "found NoneType"]),
        ("just words", ["must hold a YAML mapping", "found str"]),
        ("dataset: [d\n", ["is not valid YAML"]),
        ("dataset: d\njudge: heldout\n", ["judge is 'heldout'", "did you mean 'held_out'?", "can be main, held_out"]),
        ("dataset: d\njudge: 3\n", ["judge is 3; it can be"]),
        ("dataset: d\ntrain_sampling_strategy: sequental\n", ["did you mean 'sequential'?"]),
    ],
)
def test_bad_yaml_is_refused_by_name(tmp_path, text, words):
    message = refusal(parsed, tmp_path, text)
    assert all(word in message for word in words), message
    assert "xyzzy" not in text or "did you mean" not in message


def test_missing_config_file(tmp_path):
    missing = str(tmp_path / "none.yaml")
    assert f"no config file at {missing}" in refusal(parse_arguments, (Arguments,), ["--config", missing])
    assert "no config file" in refusal(parse_arguments, (Arguments,), ["--config", str(tmp_path)])
    assert "needs the path" in refusal(parse_arguments, (Arguments,), ["--config"])


def test_unknown_word_on_the_command_line(tmp_path):
    assert "--wndow" in refusal(parsed, tmp_path, "dataset: d\n", "--wndow", "3")


@pytest.mark.parametrize("config_class", [MotionVQVAEConfig, TextMotionEvaluatorConfig, Qwen2Config])
def test_nested_settings_must_be_known(config_class):
    """Configurations keep any keyword, so that a slip of the pen would train the default."""
    known = {"feature_dim": 263} if config_class is not Qwen2Config else {"hidden_size": 3}
    check_settings(known, config_class, "model")
    check_settings({}, config_class, "model")
    name = next(iter(known))
    message = refusal(check_settings, {**known, name.replace("e", "", 1): 3}, config_class, "new_model")
    assert "under new_model" in message and f"did you mean {name!r}?" in message
    assert "model_type" in refusal(check_settings, {"model_type": "bert"}, config_class, "model")


def test_the_kernel_of_a_language_model_may_be_chosen():
    check_settings({"attn_implementation": "eager"}, Qwen2Config, "new_model")


def test_a_choice_may_come_from_either(tmp_path):
    assert parsed(tmp_path, "dataset: d\njudge: held_out\nuse_cpu: true\n")[0].judge == "held_out"
    arguments, training = parsed(
        tmp_path, "dataset: d\nuse_cpu: true\ntrain_sampling_strategy: sequential\n", "--judge", "held_out"
    )
    assert (arguments.judge, training.train_sampling_strategy) == ("held_out", "sequential")


# ------------------------------------------------------------------------------------------------- the output folder

SETTINGS = {"dataset": "data", "window": 64, "betas": (0.9, 0.95)}


class SecondRank(TrainingArguments):
    process_index = 1


def trainer(folder, cls=TrainingArguments, **settings) -> TrainingArguments:
    return cls(output_dir=str(folder), use_cpu=True, report_to="none", **settings)


def claim(folder, stage="vqvae", settings=SETTINGS, cls=TrainingArguments, **of_trainer):
    return prepare_output(trainer(folder, cls, **of_trainer), stage, settings)


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
        assert json.loads((folder / MARKER).read_text())["stage"] == "vqvae"
        assert {path.name for path in folder.iterdir()} == {MARKER, TRAINER}


def test_only_the_main_process_writes(tmp_path):
    assert claim(tmp_path / "new", cls=SecondRank) is None
    assert not (tmp_path / "new").exists()


def test_the_second_rank_accepts_what_the_first_is_writing(tmp_path):
    for name in (part_of(TRAINER).name, TRAINER, part_of(MARKER).name):
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


def test_an_input_made_anew_under_its_path_is_another_run(tmp_path):
    weights = tmp_path / "vqvae" / "model.safetensors"
    weights.parent.mkdir()
    settings = {**SETTINGS, "vqvae": str(weights.parent), "base_model": "Qwen/Qwen2.5-0.5B"}
    weights.write_bytes(b"first")
    claim(tmp_path / "run", "sft", settings)
    assert claim(tmp_path / "run", "sft", settings) is None
    weights.write_bytes(b"other")
    message = refusal(claim, tmp_path / "run", "sft", settings)
    assert "content of vqvae: '" in message and "base_model" not in message


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


def test_a_refusal_gives_the_folder_back_unless_it_was_trained_in(tmp_path):
    def refused(folder, *made):
        with refusals_once_claimed(trainer(folder), claim(folder), *made):
            (folder / "base").mkdir(exist_ok=True)
            (folder / "pairs.jsonl").touch()
            raise ValueError("too long; shorten it")

    folder = tmp_path / "run"
    assert refusal(refused, folder, "base", "pairs.jsonl", "never_made") == "error: too long; shorten it"
    assert not folder.exists()
    assert "too long" in refusal(refused, folder, "base")
    assert [path.name for path in folder.iterdir()] == ["pairs.jsonl"]  # whose it is, nobody said
    (folder / "pairs.jsonl").unlink()
    claim(folder)
    seal(checkpoint(folder, 2))
    before = {path.name for path in folder.iterdir()}
    assert "too long" in refusal(refused, folder, "base", "pairs.jsonl")
    assert {path.name for path in folder.iterdir()} == before | {"base", "pairs.jsonl"}


# ------------------------------------------------------------------------------------------------------------- inputs


def test_required_folder_names_its_maker(tmp_path):
    assert require_folder(str(tmp_path), "dataset", "make it") == tmp_path
    message = refusal(require_folder, str(tmp_path / "none"), "motion VQ-VAE", "accelerate launch train/vqvae.py")
    assert "no motion VQ-VAE" in message and "train/vqvae.py" in message


def test_required_splits():
    dataset = DatasetDict({"train": Dataset.from_list([{"a": 1}])})
    assert require_splits(dataset, "data", "train") is dataset
    message = refusal(require_splits, dataset, "data", "train", "validation")
    assert "data has no split 'validation', only train" in message
