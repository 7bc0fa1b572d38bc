"""Reading a recipe; imports nothing heavy, so that the quickstart can refuse one before it starts anything."""

from pathlib import Path
from typing import Any

import yaml


def read_yaml(path: Path) -> Any:
    """What a YAML file holds.

    Raises:
        SystemExit: the file is missing or not valid YAML.
    """
    if not path.is_file():
        raise SystemExit(f"error: no config file at {path}")
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise SystemExit(f"error: {path} is not valid YAML: {error}") from error
