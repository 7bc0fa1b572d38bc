"""Command lines of the training scripts: what is refused, in which words, and when a folder may be used again."""

import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from datasets import Dataset, DatasetDict
from transformers import Qwen2Config, TrainingArguments

from modeling_unimo import MotionVQVAEConfig, TextMotionEvaluatorConfig
from train.arguments import (
    MARKER,
    check_settings,
    last_checkpoint,
    parse_arguments,
    prepare_output,
    require_folder,
    require_splits,
)


@dataclass
class Arguments:
    dataset: str
    model: dict[str, Any] = field(default_factory=dict)
    window: int = 64
    muon: bool = False


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


# ------------------------------------------------------------------------------------------------- the output folder

SETTINGS = {"dataset": "data", "window": 64, "betas": (0.9, 0.95)}


def test_a_new_or_empty_folder_is_claimed(tmp_path):
    for folder in (tmp_path / "new" / "deep", tmp_path / "empty"):
        if folder.name == "empty":
            folder.mkdir()
        assert prepare_output(str(folder), "vqvae", SETTINGS, True) is None
        assert json.loads((folder / MARKER).read_text())["stage"] == "vqvae"
        assert [path.name for path in folder.iterdir()] == [MARKER]


def test_only_the_main_process_writes(tmp_path):
    assert prepare_output(str(tmp_path / "new"), "vqvae", SETTINGS, False) is None
    assert not (tmp_path / "new").exists()


def test_the_second_rank_accepts_what_the_first_is_writing(tmp_path):
    (tmp_path / (MARKER + ".part")).write_text("{")
    assert prepare_output(str(tmp_path), "vqvae", SETTINGS, False) is None


def test_the_same_run_goes_on_from_its_last_whole_checkpoint(tmp_path):
    prepare_output(str(tmp_path), "vqvae", SETTINGS, True)
    assert prepare_output(str(tmp_path), "vqvae", SETTINGS, True) is None
    for step in (90, 100, 200):
        (tmp_path / f"checkpoint-{step}").mkdir()
    (tmp_path / "checkpoint-best").mkdir()
    assert last_checkpoint(tmp_path) is None
    for step in (90, 100):  # the process was killed before the last one was whole
        (tmp_path / f"checkpoint-{step}" / "trainer_state.json").write_text("{}")
    assert prepare_output(str(tmp_path), "vqvae", SETTINGS, True) == str(tmp_path / "checkpoint-100")


def test_other_settings_are_refused(tmp_path):
    prepare_output(str(tmp_path), "vqvae", SETTINGS, True)
    message = refusal(prepare_output, str(tmp_path), "vqvae", {**SETTINGS, "window": 32}, True)
    assert "window: 64 -> 32" in message and "output_dir" in message and "dataset" not in message
    assert "stage: 'vqvae' -> 'sft'" in refusal(prepare_output, str(tmp_path), "sft", SETTINGS, True)
    fewer = {"dataset": "data", "betas": (0.9, 0.95)}
    assert "window: 64 -> None" in refusal(prepare_output, str(tmp_path), "vqvae", fewer, True)


def test_a_folder_with_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("three years")
    assert "not empty" in refusal(prepare_output, str(tmp_path), "vqvae", SETTINGS, True)
    assert "is a file" in refusal(prepare_output, str(tmp_path / "thesis.txt"), "vqvae", SETTINGS, True)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


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
