"""Outputs that one process at a time may write, whole or not at all: what every command that writes one needs."""

from __future__ import annotations

import glob
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from modeling_unimo.disk_errors import writing_to

LOCK = ".lock"


@contextmanager
def locked(folder: str | Path, seconds: float = 0.0) -> Iterator[None]:
    """Hold a folder, made where there is none, for this process alone; removed at the end where it stayed empty.

    Args:
        folder: The lock lies in it.
        seconds: To wait for another process, which may be about to end.

    Yields:
        Nothing.

    Raises:
        BlockingIOError: Another process holds it.
    """
    folder = Path(folder)
    with writing_to(folder), _made(folder), _held(folder / LOCK, folder, seconds):
        yield


@contextmanager
def locked_output(output: str | Path) -> Iterator[None]:
    """Hold an output that may be replaced as a whole: the lock, `.NAME.lock`, lies beside it.

    Args:
        output: File or folder, which need not be there.

    Yields:
        Nothing.

    Raises:
        BlockingIOError: Another process holds it.
    """
    output = Path(output).absolute()
    lock = output.with_name(f".{output.name}{LOCK}")
    with writing_to(output), _made(output.parent), _held(lock, output, 0.0):
        yield


@contextmanager
def partial_folder(output: Path) -> Iterator[Path]:
    """A new folder beside an output that is held, to be renamed to it; removed at the end where it was not.

    Args:
        output: Absolute path of the output. What killed processes left of earlier ones is removed.

    Yields:
        The folder, `.NAME.partial-...`.
    """
    for leftover in output.parent.glob(f".{glob.escape(output.name)}.partial-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    partial = output.with_name(f".{output.name}.partial-{uuid.uuid4().hex[:8]}")
    try:
        with writing_to(output, hidden=partial):
            partial.mkdir()
            yield partial
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def _made(folder: Path) -> Iterator[None]:
    """A folder with its parents; at the end those that were made for it and stayed empty are removed."""
    made = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    finally:
        for place in made:
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()


@contextmanager
def _held(path: Path, place: Path, seconds: float) -> Iterator[None]:
    from filelock import FileLock, Timeout

    lock = FileLock(path, timeout=seconds)
    try:
        with writing_to(place, hidden=path):
            lock.acquire()
    except Timeout:
        raise BlockingIOError(
            f"another process works in {place}; wait for it, stop it, or name another folder"
        ) from None
    try:
        yield
    finally:
        with suppress(PermissionError):  # on Windows, where `release` removes it
            path.unlink(missing_ok=True)
        lock.release()
