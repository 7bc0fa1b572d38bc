"""Command lines of the training scripts: YAML and `--key value` read into dataclasses and checked.

Imports nothing heavy, so that `--help` and a mistyped option are answered at once.
"""

import argparse
import difflib
import math
import sys
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import MISSING, fields
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin, get_type_hints

import yaml

if TYPE_CHECKING:
    from datasets import DatasetDict
    from transformers import PreTrainedConfig, TrainingArguments

FULL_HELP = "--help_all"
# Fields of TrainingArguments that the scripts do not read: what each would be given for, and what happens instead.
WITHOUT_EFFECT = {
    "resume_from_checkpoint": "the same command continues from the last complete checkpoint in output_dir",
    "do_train": "the script always trains",
    "do_predict": "evaluate_unimo.run evaluates a trained model",
}

# Fields whose bounds the Trainer does not check, or only when steps have been trained.
LEAST = {
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "eval_accumulation_steps": 1,
    "dataloader_num_workers": 0,
}


def answer_help(dataclass_types: Sequence[type], trainer: str, description: str, argv: Sequence[str] | None) -> None:
    """Print a script's own options and exit where `--help` is given, without importing the Trainer's dataclass.

    Args:
        dataclass_types: the script's own dataclasses.
        trainer: full name of the dataclass with the Trainer's options, which the help refers to.
        description: what the script does.
        argv: the command line (default: `sys.argv[1:]`).

    Raises:
        SystemExit: with code 0, after printing.
    """
    if not {"-h", "--help"} & set(sys.argv[1:] if argv is None else argv):
        return
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--config", metavar="FILE", help="YAML file with any of these options; the command line wins")
    parser.add_argument(FULL_HELP, action="store_true", help="also list the Trainer's options")
    mappings = []
    for dataclass_type in dataclass_types:
        hints = get_type_hints(dataclass_type)
        for item in fields(dataclass_type):
            kind = hints[item.name]
            if get_origin(kind) is dict:
                mappings.append(item.name)
                continue
            options: dict[str, Any] = {"required": item.default is MISSING and item.default_factory is MISSING}
            if get_origin(kind) is Literal:
                options["choices"] = get_args(kind)
            else:
                options["metavar"] = kind.__name__.upper()
            default = "" if item.default in (MISSING, "") else f" (default: {item.default})"
            text = (item.metadata.get("help", "") + default).replace("%", "%%")
            parser.add_argument(f"--{item.name}", help=text, **options)
    parser.epilog = f"Every field of {trainer} is an option too; {FULL_HELP} lists them, with their defaults."
    if mappings:
        parser.epilog += f" Settings in the YAML file only: {', '.join(mappings)}."
    parser.print_help()
    raise SystemExit(0)


def parse_arguments(dataclass_types: Sequence[type], argv: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Read `--config FILE.yaml` and `--key value` overrides into dataclasses.

    Settings of the Trainer that would have no effect are refused, and what `accelerate launch` set that a recipe
    decides is overruled (`train.engine.launch`).

    Args:
        dataclass_types: The dataclasses.
        argv: Arguments; None takes those of the process.

    Returns:
        One object of each dataclass.

    Raises:
        SystemExit: The file is missing or not a YAML mapping, a key is not a field of any of the dataclasses, a value
            is not allowed (the message names the nearest that is), or a setting has no effect.
    """
    from transformers import TrainingArguments
    from trl import TrlParser

    from train.engine.launch import check_processes, overrule_launcher, report_overruled
    from train.engine.push import keep_token_from_files

    argv = ["--help" if word == FULL_HELP else word for word in (sys.argv[1:] if argv is None else argv)]
    if "--config" in argv:
        position = argv.index("--config") + 1
        if position >= len(argv):
            raise SystemExit("error: --config needs the path of a YAML file")
        check_config_file(Path(argv[position]), known_keys(dataclass_types))
    overruled = overrule_launcher()
    try:
        parsed = TrlParser(dataclass_types).parse_args_and_config(argv)
    except (ValueError, TypeError, ImportError) as error:
        raise SystemExit(f"error: {error}") from error
    for part in parsed:
        check_choices(part)
        if isinstance(part, TrainingArguments):
            for name, why in WITHOUT_EFFECT.items():
                refuse_decided(part, {name: None}, why)
            for name, least in LEAST.items():
                value = getattr(part, name)
                if value is not None and value < least:
                    raise SystemExit(f"error: {name} must be >= {least}, got {value}")
            keep_token_from_files(part)
            check_processes(part)
            report_overruled(overruled, part)
    return parsed


def check_choices(part: Any) -> None:
    """Refuse a value outside a field's choices; the parser only checks values of the command line.

    Args:
        part: The dataclass object.

    Raises:
        SystemExit: With field, value, the nearest choice and all of them.
    """
    hints = get_type_hints(type(part))
    for field in fields(part):
        value = getattr(part, field.name)
        choices = get_args(hints[field.name]) if get_origin(hints[field.name]) is Literal else None
        choices = choices or field.metadata.get("choices")  # as the Trainer's own fields have them
        if choices is not None and value not in choices and value != field.default:
            raise SystemExit(
                f"error: {field.name} must be one of {', '.join(map(str, choices))}, got {value!r}"
                f"{did_you_mean(value, map(str, choices))}"
            )


def require_range(
    settings: Any,
    *names: str,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> None:
    """Refuse numbers of a dataclass that are out of range or NaN, for its `__post_init__`.

    Args:
        settings: The dataclass object.
        *names: Fields to check.
        least: Smallest value allowed.
        above: Bound that values must exceed.
        most: Largest value allowed.
        below: Bound that values must not reach.

    Raises:
        ValueError: With the field, the range and its value.
    """
    limits = {">=": least, ">": above, "<=": most, "<": below}
    allowed = " and ".join(f"{sign} {limit:g}" for sign, limit in limits.items() if math.isfinite(limit))
    for name in names:
        value = getattr(settings, name)
        if not (least <= value <= most and above < value < below):
            raise ValueError(f"{name} must be {allowed}, got {value}")


def refuse_decided(training: "TrainingArguments", decided: Mapping[str, Any], why: str) -> None:
    """Refuse a setting that the script decides where another value was given: it would be recorded and not used.

    Args:
        training: the Trainer's settings.
        decided: what the script sets, by field.
        why: the rest of the sentence.

    Raises:
        SystemExit: naming the setting.
    """
    defaults = {field.name: field.default for field in fields(training)}
    for name, value in decided.items():
        given = getattr(training, name)
        if given != value and given != defaults[name]:
            shown = given.value if isinstance(given, Enum) else given
            raise SystemExit(f"error: {name} is {shown!r}, but {why}; remove it")


def check_evaluations(training: "TrainingArguments", measured: Collection[str]) -> None:
    """Refuse what would fail, or have no effect, only at the first evaluation, when steps have been trained.

    Args:
        training: the Trainer's settings.
        measured: what an evaluation of the stage measures, as `metric_for_best_model` names it.

    Raises:
        SystemExit: naming the setting, its value and what is allowed.
    """
    best = training.metric_for_best_model
    if training.eval_strategy == "no":
        if best is not None:
            raise SystemExit(
                f"error: metric_for_best_model is {best!r}, but eval_strategy is no, so nothing is measured during "
                "training; set eval_strategy, or remove it"
            )
        return
    if best is not None and best.removeprefix("eval_") not in measured:
        raise SystemExit(
            f"error: metric_for_best_model is {best!r}, but evaluations of this stage measure "
            f"{', '.join(measured)}{did_you_mean(best, measured)}"
        )


def known_keys(dataclass_types: Sequence[type]) -> set[str]:
    """Names of all fields of dataclasses.

    Args:
        dataclass_types: The dataclasses.

    Returns:
        The names.
    """
    return {field.name for cls in dataclass_types for field in fields(cls)}


def read_yaml(path: Path) -> Any:
    """Read a YAML file.

    Args:
        path: The file.

    Returns:
        Its content.

    Raises:
        SystemExit: The file is missing or not valid YAML.
    """
    if not path.is_file():
        raise SystemExit(f"error: no config file at {path}")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    # The reader's own errors, and what it makes of impossible dates, endless numbers and nesting.
    except (yaml.YAMLError, ValueError, OverflowError, TypeError, RecursionError) as error:
        raise SystemExit(f"error: {path} is not valid YAML: {error}") from error


def check_config_file(path: Path, known: set[str]) -> dict[str, Any]:
    """Read a YAML mapping and check its keys.

    Args:
        path: The file.
        known: Keys that are allowed.

    Returns:
        The mapping.

    Raises:
        SystemExit: The file cannot be read, is not a mapping, or has an unknown key (with the nearest known one).
    """
    config = read_yaml(path)
    if not isinstance(config, dict):
        raise SystemExit(f"error: {path} must hold a YAML mapping (key: value), found {type(config).__name__}")
    for key in config:
        if key not in known:
            raise SystemExit(f"error: unknown key {key!r} in {path}{did_you_mean(key, known)}")
    return config


def did_you_mean(key: Any, known: Iterable[str]) -> str:
    """End of an error message about an unknown name.

    Args:
        key: The name.
        known: Known names.

    Returns:
        The nearest known name as a question; empty if none is near.
    """
    near = difflib.get_close_matches(str(key), sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_settings(settings: dict[str, Any], config_class: "type[PreTrainedConfig]", name: str) -> None:
    """Refuse unknown keys of a nested mapping; the configuration class would keep them and use its defaults.

    Args:
        settings: The mapping.
        config_class: The configuration class.
        name: Name of the mapping.

    Raises:
        SystemExit: With the key, the mapping and the nearest known key.
    """
    known = {*config_class().to_dict(), "attn_implementation"} - {"model_type", "transformers_version"}
    for key in settings:
        if key not in known:
            raise SystemExit(f"error: unknown key {key!r} under {name}{did_you_mean(key, known)}")


def require_splits(dataset: "DatasetDict", path: str, *names: str) -> "DatasetDict":
    """Check that a dataset has splits.

    Args:
        dataset: The dataset.
        path: Its folder, for the message.
        *names: The splits.

    Returns:
        The dataset.

    Raises:
        SystemExit: With the split that is missing.
    """
    for name in names:
        if name not in dataset:
            raise SystemExit(
                f"error: the dataset at {path} has no split {name!r}, only {', '.join(dataset)}; build it with one"
            )
    return dataset


def require_folder(path: str, what: str, made_by: str) -> Path:
    """Check that a folder exists.

    Args:
        path: The folder.
        what: What it should hold, for the message.
        made_by: The command that makes it.

    Returns:
        The path.

    Raises:
        SystemExit: With what was expected there and what makes it.
    """
    folder = Path(path)
    if not folder.is_dir():
        raise SystemExit(f"error: no {what} at {folder}; make it with `{made_by}`")
    return folder
