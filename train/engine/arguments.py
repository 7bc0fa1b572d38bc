"""Command lines of the training scripts: YAML plus overrides into dataclasses, and the guard on the output folder."""

import difflib
import json
import math
import re
import shutil
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from datasets import DatasetDict
from transformers import PreTrainedConfig, TrainingArguments
from trl import TrlParser

from modeling_unimo.command_line import exit_on_error
from modeling_unimo.files_unimo import part_of, write_json
from train.engine.cards import SUMMARY
from train.engine.checkpoints import FINISHING, drop_checkpoints, last_checkpoint, room_for
from train.engine.content_hash import content_key
from train.engine.push import keep_token_from_files
from train.engine.yaml_files import read_yaml

MARKER = "training_run.json"  # the stage's own settings, which the card shows
TRAINER = "trainer_settings.json"  # the Trainer's, and what the inputs held, which only resuming compares
# Settings that name what a stage reads; of those that are folders the content counts, not only the path.
INPUTS = ("dataset", "vqvae", "evaluator", "sft_model", "base_model", "reference_model")
# Trainer's arguments without a part in the weights; when it evaluates has one, since that may draw random numbers.
HARMLESS = re.compile(
    r"output_dir|(logging|log|save|hub|trackio|do|include|vllm_server)_.*|report_to|run_name|project|push_to_hub|"
    r"disable_tqdm|local_rank|ddp_timeout|debug|skip_memory_metrics|resume_from_checkpoint|dataloader_pin_memory|"
    r"dataloader_prefetch_factor|dataset_num_proc|num_completions_to_print|vllm_group_port"
)
UNRESUMABLE = {
    "save_only_model": "its checkpoints lack the optimizer",
    "ignore_data_skip": "data would be seen twice",
    "auto_find_batch_size": "the batch then depends on free memory",
    "dataloader_persistent_workers": "what its workers draw is not kept with a checkpoint",
    "sync_ref_model": "the reference that moves is not kept with a checkpoint",
    "enable_jit_checkpoint": "its checkpoint may fall within a step or a generation cycle",
}


def parse_arguments(dataclass_types: Sequence[type], argv: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Read `--config FILE.yaml` and `--key value` overrides into the dataclasses.

    Raises:
        SystemExit: the file is missing or no YAML mapping, a key is not a field of any of the dataclasses, or a value
            is none that its field may have (the message names the nearest one that is).
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--config" in argv:
        position = argv.index("--config") + 1
        if position >= len(argv):
            raise SystemExit("error: --config needs the path of a YAML file")
        check_config_file(Path(argv[position]), known_keys(dataclass_types))
    try:
        parsed = TrlParser(dataclass_types).parse_args_and_config(argv)
    except (ValueError, TypeError) as error:
        raise SystemExit(f"error: {error}") from error
    for part in parsed:
        check_choices(part)
        if isinstance(part, TrainingArguments):
            keep_token_from_files(part)
    return parsed


def check_choices(part: Any) -> None:
    """Refuse a value that is none of those its field may have; the parser looks at those of the command line alone.

    Raises:
        SystemExit: naming field, value, the nearest choice and all of them.
    """
    hints = get_type_hints(type(part))
    for field in fields(part):
        value = getattr(part, field.name)
        choices = get_args(hints[field.name]) if get_origin(hints[field.name]) is Literal else None
        choices = choices or field.metadata.get("choices")  # as the Trainer's own fields have them
        if choices is not None and value not in choices and value != field.default:
            raise SystemExit(
                f"error: {field.name} is {value!r}{meant(value, map(str, choices))}; "
                f"it can be {', '.join(map(str, choices))}"
            )


def require_range(
    settings: Any,
    *names: str,
    least: float = -math.inf,
    above: float = -math.inf,
    most: float = math.inf,
    below: float = math.inf,
) -> None:
    """Refuse numbers of a dataclass that are out of range or no numbers, for its `__post_init__`.

    Raises:
        ValueError: naming the field, its value and the range.
    """
    limits = {"at least": least, "above": above, "at most": most, "below": below}
    said = " and ".join(f"{word} {limit:g}" for word, limit in limits.items() if math.isfinite(limit))
    for name in names:
        value = getattr(settings, name)
        if not (least <= value <= most and above < value < below):
            raise ValueError(f"{name} is {value}; it must be {said}")


def refuse_decided(training: TrainingArguments, decided: Mapping[str, Any], why: str) -> None:
    """Refuse a setting that the script decides, where another value was given: it would be recorded and not used.

    Args:
        decided: what the script sets, by field.
        why: the rest of the sentence.

    Raises:
        SystemExit: naming the setting.
    """
    defaults = {field.name: field.default for field in fields(training)}
    for name, value in decided.items():
        given = getattr(training, name)
        if given != value and given != defaults[name]:
            raise SystemExit(f"error: {name} is {given!r}, but {why}; leave it away")


def known_keys(dataclass_types: Sequence[type]) -> set[str]:
    """The names of all fields of the dataclasses."""
    return {field.name for cls in dataclass_types for field in fields(cls)}


def check_config_file(path: Path, known: set[str]) -> dict[str, Any]:
    """Load a YAML mapping with keys all in `known`; `SystemExit` says what is wrong and what was probably meant."""
    config = read_yaml(path)
    if not isinstance(config, dict):
        raise SystemExit(f"error: {path} must hold a YAML mapping (key: value), found {type(config).__name__}")
    for key in config:
        if key not in known:
            raise SystemExit(f"error: unknown key {key!r} in {path}{meant(key, known)}")
    return config


def meant(key: Any, known: Iterable[str]) -> str:
    """What to add to a refusal of `key`: the nearest of the known names, where one is near."""
    near = difflib.get_close_matches(str(key), sorted(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else ""


def check_settings(settings: dict[str, Any], config_class: type[PreTrainedConfig], name: str) -> None:
    """Refuse keys of a nested mapping that `config_class` does not know; it would keep them and use its default.

    Raises:
        SystemExit: a key is unknown; the message names it, the mapping and the nearest known one.
    """
    known = {*config_class().to_dict(), "attn_implementation"} - {"model_type", "transformers_version"}
    for key in settings:
        if key not in known:
            raise SystemExit(f"error: unknown key {key!r} under {name}{meant(key, known)}")


def already_finished(training: TrainingArguments, stage: str, settings: dict[str, Any]) -> bool:
    """Whether this very run has ended before in its output folder, which is then said.

    Args:
        settings: the stage's own arguments, as for `prepare_output`.

    Raises:
        SystemExit: the folder holds a run with other settings.
    """
    folder = Path(training.output_dir)
    if not (folder / MARKER).is_file() or not (folder / SUMMARY).is_file() or (folder / FINISHING).exists():
        return False
    _require_same_run(folder, *_claims(training, stage, settings))
    if training.process_index == 0:
        drop_checkpoints(folder)  # of a run killed while it did so
        print(f"[{stage}] already finished: {folder}; delete the folder to train again", flush=True)
    return True


def prepare_output(training: TrainingArguments, stage: str, settings: dict[str, Any]) -> str | None:
    """Claim the output folder for this run; return the last whole checkpoint when the same run is to be resumed.

    A folder that holds something else, or the same stage with other settings (its own, or those of the Trainer that
    change the weights), is refused rather than mixed.

    Args:
        settings: the stage's own arguments.

    Raises:
        SystemExit: the folder cannot be used, or the Trainer's settings rule out resuming, with the remedy.
    """
    refuse_unresumable(training)
    folder, marker = Path(training.output_dir), Path(training.output_dir) / MARKER
    if folder.exists() and not folder.is_dir():
        raise SystemExit(f"error: output_dir {folder} is a file; name a folder")
    own, trainer = _claims(training, stage, settings)
    if marker.is_file():
        _require_same_run(folder, own, trainer)
        return last_checkpoint(folder)
    # Another process of this run may be writing these.
    claimed = {place(folder / name) for name in (MARKER, TRAINER) for place in (Path, part_of)}
    if folder.exists() and not claimed.issuperset(folder.iterdir()):
        raise SystemExit(f"error: {folder} is not empty and holds no {stage} run; name another output_dir")
    if training.process_index == 0:
        folder.mkdir(parents=True, exist_ok=True)
        # The marker last: it claims the folder. Another process sees the whole of a file or nothing of it.
        with room_for("the settings of the run", folder):
            for name, content in {TRAINER: trainer, MARKER: own}.items():
                write_json(folder / name, content, sort_keys=True)
    return None


@contextmanager
def refusals_once_claimed(training: TrainingArguments, checkpoint: str | None, *made: str) -> Iterator[None]:
    """As `exit_on_error`, for what only a folder already claimed shows: a run that has not begun gives it back.

    The same command with other settings, which the refusal may advise, would else be refused as another run.

    Args:
        checkpoint: what `prepare_output` returned; where there is one, the folder is left as it is.
        made: what else this start may have put into the folder.

    Raises:
        SystemExit: in place of what `exit_on_error` ends the program for.
    """
    try:
        with exit_on_error():
            yield
    except SystemExit:
        folder = Path(training.output_dir)
        if checkpoint is None and training.process_index == 0 and folder.is_dir():
            for name in (*made, TRAINER, MARKER):  # the marker last: until then the next start may go on
                path = folder / name
                if path.is_dir():
                    shutil.rmtree(path)
                else:
                    path.unlink(missing_ok=True)
            if not any(folder.iterdir()):
                folder.rmdir()
        raise


def refuse_unresumable(training: TrainingArguments) -> None:
    """Refuse settings under which a resumed run could not end as an uninterrupted one.

    Raises:
        SystemExit: naming the setting and why.
    """
    for name, why in UNRESUMABLE.items():
        if getattr(training, name, False):  # sync_ref_model is GRPO's alone
            raise SystemExit(
                f"error: {name} is set, but {why}, so a killed run could not be resumed exactly; leave it"
            )


def trainer_settings(training: TrainingArguments) -> dict[str, Any]:
    """What of the Trainer's arguments has a part in the weights: all but paths, logs, and when to save."""
    used = {name: value for name, value in training.to_dict().items() if not HARMLESS.fullmatch(name)}
    return used | {"processes": training.world_size}


def _claims(training: TrainingArguments, stage: str, settings: dict[str, Any]) -> tuple[dict[str, Any], ...]:
    """Own and Trainer's settings, through JSON once, so that what is compared is what was written.

    With the Trainer's goes what the inputs hold: made anew under the same path, they would make another run.
    """
    inputs = {f"content of {name}": _content(settings[name]) for name in INPUTS if settings.get(name)}
    both = ({"stage": stage, **settings}, trainer_settings(training) | inputs)
    return tuple(json.loads(json.dumps(part, sort_keys=True, default=str)) for part in both)


def _content(name: str) -> str:
    """The hash of a folder's content; of what is on the Hub, or in files of other kinds, the name is all there is."""
    try:
        return content_key(Path(name))
    except FileNotFoundError:
        return name


def _require_same_run(folder: Path, own: dict[str, Any], trainer: dict[str, Any]) -> None:
    """Refuse a folder whose run began with other settings; of the Trainer's, those that both versions of it know."""
    previous = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    changed = {k: (previous.get(k), own.get(k)) for k in sorted({*previous, *own}) if previous.get(k) != own.get(k)}
    if (folder / TRAINER).is_file():
        before = json.loads((folder / TRAINER).read_text(encoding="utf-8"))
        changed |= {k: (before[k], trainer[k]) for k in sorted({*before} & {*trainer}) if before[k] != trainer[k]}
    if changed:
        shown = ", ".join(f"{k}: {old!r} -> {new!r}" for k, (old, new) in list(changed.items())[:4])
        raise SystemExit(
            f"error: {folder} holds a run with other settings ({shown}); go on with those it began with, "
            "name another output_dir, or delete the folder to start over"
        )


def require_splits(dataset: DatasetDict, path: str, *names: str) -> DatasetDict:
    """`dataset` itself when it has every split of `names`; else `SystemExit` naming the one that is missing."""
    for name in names:
        if name not in dataset:
            raise SystemExit(
                f"error: the dataset at {path} has no split {name!r}, only {', '.join(dataset)}; build it with one"
            )
    return dataset


def require_folder(path: str, what: str, made_by: str) -> Path:
    """`path` as a Path when it is a folder; else `SystemExit` saying what was expected there and what makes it."""
    folder = Path(path)
    if not folder.is_dir():
        raise SystemExit(f"error: no {what} at {folder}; make it with `{made_by}`")
    return folder
