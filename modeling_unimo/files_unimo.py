"""Files that are either complete or absent, and hashes of their content."""

import hashlib
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from .disk_errors import writing_to


def part_of(path: str | Path) -> Path:
    """Path of the temporary file that `atomic_write` yields.

    Args:
        path: The file to be written.

    Returns:
        A hidden path beside it, with the same suffix.
    """
    path = Path(path)
    return path.with_name(f".{path.name}.part{path.suffix}")


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Write a file completely or not at all.

    The temporary file replaces `path` when the block succeeds and is removed when it fails, so that an incomplete file
    never carries the name, and an earlier file stays until there is a new one.

    Args:
        path: The file to be written.

    Yields:
        A temporary path beside `path` to write to.
    """
    part = part_of(path)
    try:
        with writing_to(path, hidden=part):
            yield part
            os.replace(part, path)
    finally:
        with suppress(OSError):  # where it may not be removed, it could not be made
            part.unlink(missing_ok=True)


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file atomically.

    Args:
        path: The file.
        text: Its content; line ends stay as they are.
    """
    with atomic_write(path) as part:
        part.write_bytes(text.encode("utf-8"))


def write_json(path: str | Path, value: Any, indent: int | None = 2, **options: Any) -> None:
    """Write a JSON file atomically.

    Args:
        path: The file.
        value: What `json.dumps` takes.
        indent: Spaces of indentation, or None for one line.
        **options: For `json.dumps`.
    """
    write_text(path, json.dumps(value, indent=indent, **options) + "\n")


def write_json_lines(path: str | Path, rows: Iterable[Any], ensure_ascii: bool = False) -> None:
    """Write a JSON Lines file atomically, row by row.

    Args:
        path: The file.
        rows: What each line is to hold.
        ensure_ascii: Escape all other characters, lone surrogates (of names that are no UTF-8) among them, which
            UTF-8 has no bytes for.
    """
    with atomic_write(path) as part, open(part, "w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(row, ensure_ascii=ensure_ascii) + "\n" for row in rows)


def read_json(path: str | Path, remedy: str = "") -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Args:
        path: The file.
        remedy: What to do where it does not, for the end of the message.

    Returns:
        The object.

    Raises:
        ValueError: The file is not JSON, or holds something else.
    """
    advice = f"; {remedy}" if remedy else ""
    try:
        value = json.loads(Path(path).read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}){advice}") from error
    if not isinstance(value, dict):
        raise ValueError(f"{path} must hold a JSON object, got {type(value).__name__}{advice}")
    return value


def sha256_of(files: Iterable[Path], names: bool = False) -> str:
    """SHA-256 of the content of files, one after the other, as hexadecimal digits.

    Args:
        files: The files, whose order counts.
        names: Also hash the name of each file before its content.

    Returns:
        64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for path in files:
        if names:
            digest.update(path.name.encode())
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()
