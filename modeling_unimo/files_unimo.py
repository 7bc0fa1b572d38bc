"""Files that are either complete or absent, and hashes of their content."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any


def part_of(path: str | Path) -> Path:
    """The hidden temporary file beside `path`, with its suffix, that `atomic_write` yields."""
    path = Path(path)
    return path.with_name(f".{path.name}.part{path.suffix}")


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Yields a temporary path beside `path` to write to.

    It replaces `path` when the block succeeds and is removed when it fails, so that an incomplete file never carries
    the name, and an earlier file stays until there is a new one.
    """
    part = part_of(path)
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file atomically; line ends stay as they are in `text`."""
    with atomic_write(path) as part:
        part.write_bytes(text.encode("utf-8"))


def write_json(path: str | Path, value: Any, indent: int | None = 2, **options: Any) -> None:
    """Write a JSON file atomically; `options` go to `json.dumps`."""
    write_text(path, json.dumps(value, indent=indent, **options) + "\n")


def sha256_of(files: Iterable[Path], names: bool = False) -> str:
    """SHA-256 of the content of files, one after the other, as hexadecimal digits.

    Args:
        files: The files, whose order counts.
        names: Also hash the name of each file before its content.
    """
    digest = hashlib.sha256()
    for path in files:
        if names:
            digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
