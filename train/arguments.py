"""Command lines of the training scripts: YAML plus overrides into dataclasses, and the guard on the output folder."""

import difflib
import json
import sys
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import yaml
from transformers.trainer_utils import get_last_checkpoint
from trl import TrlParser

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
    return {field.name for cls in dataclass_types for field in fields(cls)}


def check_config_file(path: Path, known: set[str]) -> dict[str, Any]:
    """Load a YAML mapping with keys all in `known`; `SystemExit` says what is wrong and what was probably meant."""
    if not path.is_file():
        raise SystemExit(f"error: no config file at {path}")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SystemExit(f"error: {path} is not valid YAML: {error}") from error
    if not isinstance(config, dict):
        raise SystemExit(f"error: {path} must hold a YAML mapping (key: value), found {type(config).__name__}")
    for key in config:
        if key not in known:
            near = difflib.get_close_matches(str(key), sorted(known), n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise SystemExit(f"error: unknown key {key!r} in {path}{hint}")
    return config


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
        return get_last_checkpoint(str(folder))
    if folder.exists() and any(folder.iterdir()):
        raise SystemExit(f"error: {folder} is not empty and holds no {stage} run; name another output_dir")
    if is_main:
        folder.mkdir(parents=True, exist_ok=True)
        marker.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return None


def require_folder(path: str, what: str, made_by: str) -> Path:
    """`path` as a Path when it is a folder; else `SystemExit` saying what was expected there and what makes it."""
    folder = Path(path)
    if not folder.is_dir():
        raise SystemExit(f"error: no {what} at {folder}; make it with `{made_by}`")
    return folder
