"""Checkpoints of a training run: complete ones told from partial ones, and a full disk reported."""

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from safetensors import SafetensorError

from modeling_unimo.disk_errors import FULL, says_full
from modeling_unimo.files_unimo import atomic_write

FINISHING = ".finishing"  # in the folder of a run while its finished model is being written
TRAINER_STATE_NAME, PREFIX_CHECKPOINT_DIR = "trainer_state.json", "checkpoint"  # as transformers names them
MANIFEST = "checkpoint_files.json"  # names and sizes of a checkpoint's files, written last
ROOM = 1 << 20  # bytes a file system must take to count as not full


def checkpoint_folder(folder: Path, step: int) -> Path:
    """Folder of the checkpoint of a step, as the Trainer names it.

    Args:
        folder: Output folder of the run.
        step: The step.

    Returns:
        The path.
    """
    return folder / f"{PREFIX_CHECKPOINT_DIR}-{step}"


def seal(checkpoint: Path) -> None:
    """Mark a checkpoint as complete, once every process has written its part of it.

    Its files reach the disk before the manifest does: not only a killed process but also a machine that loses power
    leaves either all of it or something that `last_checkpoint` ignores. The Trainer's pickled arguments, which nothing
    reads, are removed: what stays loads without running code (`torch.load(weights_only=True)`, as the Trainer does).

    Args:
        checkpoint: Folder of the checkpoint.
    """
    (checkpoint / "training_args.bin").unlink(missing_ok=True)
    (checkpoint / MANIFEST).unlink(missing_ok=True)
    sizes = {}
    for path in sorted(path for path in checkpoint.rglob("*") if path.is_file()):
        with path.open("rb") as file:
            os.fsync(file.fileno())
        sizes[path.relative_to(checkpoint).as_posix()] = path.stat().st_size
    with atomic_write(checkpoint / MANIFEST) as part:
        with part.open("w", encoding="utf-8") as file:
            file.write(json.dumps(sizes, indent=2) + "\n")
            file.flush()
            os.fsync(file.fileno())


def is_complete(checkpoint: Path) -> bool:
    """Whether a checkpoint was sealed and every file in it still has its size.

    Args:
        checkpoint: Folder of the checkpoint.

    Returns:
        Whether it can be resumed from.
    """
    if not (checkpoint / MANIFEST).is_file():
        return False
    sizes = json.loads((checkpoint / MANIFEST).read_text(encoding="utf-8"))
    there = ((checkpoint / name, size) for name, size in sizes.items())
    return TRAINER_STATE_NAME in sizes and all(path.is_file() and path.stat().st_size == size for path, size in there)


def all_checkpoints(folder: Path) -> list[Path]:
    """Checkpoint folders of a run, complete or not.

    Args:
        folder: Output folder of the run.

    Returns:
        Folders, the oldest first.
    """
    named = (path for path in folder.glob(f"{PREFIX_CHECKPOINT_DIR}-*") if path.is_dir())
    return sorted((path for path in named if path.name.rsplit("-", 1)[1].isdecimal()), key=step_of)


def step_of(checkpoint: Path) -> int:
    """Step of a checkpoint.

    Args:
        checkpoint: Folder of the checkpoint.

    Returns:
        Number of optimizer steps.
    """
    return int(checkpoint.name.rsplit("-", 1)[1])


def last_checkpoint(folder: Path) -> str | None:
    """The newest complete checkpoint of a run.

    Args:
        folder: Output folder of the run.

    Returns:
        Its path, or None.
    """
    return next((str(path) for path in reversed(all_checkpoints(folder)) if is_complete(path)), None)


def keep_newest(folder: Path, limit: int | None, keep: str | None = None) -> None:
    """Remove partial checkpoints, and old complete ones.

    Args:
        folder: Output folder of the run.
        limit: Number of complete checkpoints to keep; None for all.
        keep: Path of one more to keep.
    """
    checkpoints = all_checkpoints(folder)
    sealed = [path for path in checkpoints if is_complete(path)]
    kept = {*(sealed[-limit:] if limit and limit > 0 else sealed), *([Path(keep)] if keep else [])}
    for path in checkpoints:
        if path not in kept:
            shutil.rmtree(path)


def drop_checkpoints(folder: Path) -> None:
    """Remove all checkpoints of a run that is finished.

    Args:
        folder: Output folder of the run.
    """
    for path in all_checkpoints(folder):
        shutil.rmtree(path)


def is_full(folder: Path) -> bool:
    """Whether the file system of a folder refuses another megabyte, its space or the user's quota being used up.

    Args:
        folder: The folder.

    Returns:
        Whether it is full.
    """
    probe = folder / ".room"
    try:
        with probe.open("wb") as file:
            file.write(bytes(ROOM))
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        return error.errno in FULL
    finally:
        probe.unlink(missing_ok=True)
    return False


@contextmanager
def room_for(what: str, folder: Path, scrap: Path | None = None) -> Iterator[None]:
    """Run a block that writes into a run folder; if the disk is full, stop and report what is left.

    Args:
        what: Name of what is written, for the message.
        folder: Output folder of the run.
        scrap: Removed in that case, so that an incomplete checkpoint does not fill the disk.

    Yields:
        Nothing.

    Raises:
        SystemExit: The disk is full or the user's quota used up. The libraries report that in three ways: `OSError`,
            `SafetensorError` and, from `torch.save`, a `RuntimeError` about a file position.
    """
    try:
        yield
    except (OSError, SafetensorError, RuntimeError) as error:
        # The file that did not fit may be gone already, and its room free again: then only the words tell.
        if not (says_full(error) or is_full(folder)):
            raise
        if scrap is not None:
            shutil.rmtree(scrap, ignore_errors=True)
        left = last_checkpoint(folder)
        raise SystemExit(
            f"error: no room left on the disk for {what} in {folder} ({error}). "
            + (f"The last complete checkpoint is {left}. " if left else "There is no earlier checkpoint. ")
            + "Free some space; the same command continues from there"
        ) from error
