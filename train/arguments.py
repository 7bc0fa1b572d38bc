"""Command lines of the training scripts: YAML plus overrides into dataclasses, and the guard on the output folder."""

import difflib
import json
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from datasets import DatasetDict
from transformers import PreTrainedConfig
from transformers.trainer import TRAINER_STATE_NAME
from trl import TrlParser

from train.yaml_files import read_yaml

MARKER = "training_run.json"


def parse_arguments(dataclass_types: Sequence[type], argv: Sequence[str] | None = None) -> tuple[Any, ...]:
    """Read `--config FILE.yaml` and `--key value` overrides into the dataclasses.

    Raises:
        SystemExit: the file is missing or no YAML mapping, or a key is not a field of any of the dataclasses (the
            message names the nearest one that is).
    """
    argv = list(sys.argv[1:] if argv is None else argv)
    if "--config" in argv:
        position = argv.index("--config") + 1
        if position >= len(argv):
            raise SystemExit("error: --config needs the path of a YAML file")
        check_config_file(Path(argv[position]), known_keys(dataclass_types))
    try:
        return TrlParser(dataclass_types).parse_args_and_config(argv)
    except (ValueError, TypeError) as error:
        raise SystemExit(f"error: {error}") from error


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


def prepare_output(output_dir: str, stage: str, settings: dict[str, Any], is_main: bool) -> str | None:
    """Claim `output_dir` for this run; return the last complete checkpoint when the same run is to be resumed.

    A folder that holds something else, or the same stage with other settings, is refused rather than mixed.

    Raises:
        SystemExit: the folder cannot be used, with the reason and the remedy.
    """
    folder, marker = Path(output_dir), Path(output_dir) / MARKER
    # Through JSON once, so that what is compared is what was written (tuples become lists).
    settings = json.loads(json.dumps({"stage": stage, **settings}, sort_keys=True, default=str))
    if folder.exists() and not folder.is_dir():
        raise SystemExit(f"error: output_dir {folder} is a file; name a folder")
    if marker.is_file():
        previous = json.loads(marker.read_text(encoding="utf-8"))
        changed = sorted(k for k in {*previous, *settings} if previous.get(k) != settings.get(k))
        if changed:
            shown = ", ".join(f"{k}: {previous.get(k)!r} -> {settings.get(k)!r}" for k in changed[:4])
            raise SystemExit(
                f"error: {folder} holds a run with other settings ({shown}); "
                "name another output_dir, or delete the folder to start over"
            )
        return last_checkpoint(folder)
    part = marker.with_name(MARKER + ".part")
    if folder.exists() and any(path != part for path in folder.iterdir()):
        raise SystemExit(f"error: {folder} is not empty and holds no {stage} run; name another output_dir")
    if is_main:
        folder.mkdir(parents=True, exist_ok=True)
        part.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
        os.replace(part, marker)  # another rank may be reading: it sees the whole of it or nothing
    return None


def last_checkpoint(folder: Path) -> str | None:
    """The newest checkpoint that is whole: the Trainer writes its state last."""
    whole = [path for path in folder.glob("checkpoint-[0-9]*") if (path / TRAINER_STATE_NAME).is_file()]
    return str(max(whole, key=lambda path: int(path.name.rsplit("-", 1)[1]))) if whole else None


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
