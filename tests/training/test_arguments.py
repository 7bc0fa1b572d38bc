"""Command lines of the training scripts: what is read, what is refused, and in which words."""

from dataclasses import dataclass, field
from typing import Any, Literal

import pytest
from datasets import Dataset, DatasetDict
from transformers import Qwen2Config, TrainingArguments

from modeling_unimo import MotionVQVAEConfig, TextMotionEvaluatorConfig
from train.engine.arguments import check_settings, parse_arguments, require_folder, require_splits


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
        (
            "dataset: d\njudge: heldout\n",
            ["judge must be one of main, held_out, got 'heldout'", "did you mean 'held_out'?"],
        ),
        ("dataset: d\njudge: 3\n", ["judge must be one of main, held_out, got 3"]),
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
