"""Full disks, read-only and protected places: errors that name the place, and what to tell the user of them."""

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_DENIED = (errno.EROFS, errno.EACCES, errno.EPERM)
_OTHER_KIND = (errno.EISDIR, errno.ENOTDIR, errno.EEXIST)  # a folder where a file is due, or a file for a folder
ROOM = "make room or choose another place"
_AGAIN = f"{ROOM}, then give the same command again"


def error_number(error: BaseException) -> int | None:
    """The number of an error of the system, also if a library tells it in words alone (safetensors, NumPy).

    Args:
        error: Any error.

    Returns:
        A constant of `errno`, or None.
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno
    if re.fullmatch(r"\d+ requested and \d+ written", str(error)):  # NumPy, of an array that did not fit
        return errno.ENOSPC
    found = re.search(r"\(os error (\d+)\)", str(error))
    return int(found[1]) if found else None


def says_full(error: BaseException) -> bool:
    """Whether an error names a full disk, a used-up quota or a file that may not grow.

    Args:
        error: Any error.

    Returns:
        Whether it does.
    """
    return error_number(error) in FULL


@contextmanager
def writing_to(path: str | Path, hidden: str | Path | None = None) -> Iterator[None]:
    """Names `path` in an error of the disk that the block raises, since errors of writing know no name.

    Args:
        path: What the block writes, as the user knows it.
        hidden: The file or folder that is written in its place until it is complete.

    Yields:
        Nothing.

    Raises:
        OSError: With `path` as its `filename`, also in place of safetensors' own error.
    """
    try:
        yield
    except Exception as error:
        number = error_number(error)
        if number is None or number not in FULL + _DENIED + _OTHER_KIND:
            raise
        name = getattr(error, "filename", None)
        if name is not None and (hidden is None or not Path(os.fsdecode(name)).is_relative_to(hidden)):
            raise
        raise OSError(number, os.strerror(number), str(path)) from error


def check_room(place: str | Path, needed: float, what: str, remedy: str = ROOM) -> None:
    """Refuse a disk without the room for what is to be written, before anything is.

    Args:
        place: File or folder that will be written; it need not exist yet.
        needed: Bytes.
        what: What takes them, for the message ("the 1000 clips that follow need about").
        remedy: What the user can do.

    Raises:
        OSError: `errno.ENOSPC` with `place` as its `filename`, if less than `needed` is free.
    """
    free = shutil.disk_usage(_existing(Path(place))).free
    if needed > free:
        raise OSError(
            errno.ENOSPC,
            f"{what} {_size(needed)}, and {_size(free)} are free on its disk; {remedy}",
            str(place),
        )


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that there is."""
    return next(place for place in (path, *path.absolute().parents) if place.exists())


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.1f} MB"


def explain(error: BaseException) -> str | None:
    """What to tell the user of an error of the disk.

    Args:
        error: Any error.

    Returns:
        One sentence with the place, the space that is free and what to do; None for errors of other kinds.
    """
    number = error_number(error)
    if number is None or number not in FULL + _DENIED + _OTHER_KIND:
        return None
    # Of a copy the second name is where it was to go.
    name = getattr(error, "filename2", None) or getattr(error, "filename", None)
    if name is None:
        return f"{os.strerror(number)} ({error}); {_AGAIN}"
    path = Path(os.fsdecode(name))
    own_words = getattr(error, "strerror", None)
    if own_words not in (None, os.strerror(number)):
        return f"{path}: {own_words}"
    there = _existing(path)
    if number in _OTHER_KIND:
        return f"{there} is a folder; name a file" if there.is_dir() else f"{there} is a file; name another place"
    if number == errno.ENOSPC:
        free = shutil.disk_usage(there).free
        return f"{path} cannot be written: no room left on its disk ({free / 1e6:.1f} MB free now); {_AGAIN}"
    if number == errno.EDQUOT:
        return f"{path} cannot be written: your quota on its disk is used up; {_AGAIN}"
    if number == errno.EFBIG:
        return f"{path} cannot be written: it would be larger than its file system or `ulimit -f` allows; {_AGAIN}"
    if number == errno.EROFS:
        return f"{path} cannot be written: its file system is read-only; choose another place"
    act = "read" if there == path and not os.access(path, os.R_OK) else "written"
    return f"{path} cannot be {act}: {os.strerror(number)}; change the permissions of {there} or choose another place"
