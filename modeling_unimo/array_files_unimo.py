"""Arrays of other people's files, whose headers are checked against the bytes that follow before memory is taken."""

import io
import math
import stat
import struct
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, cast

import numpy as np

# What numpy and zipfile raise for files that are truncated, damaged, encrypted, pickled or of another kind.
UNREADABLE = (
    ValueError,
    OSError,
    EOFError,
    KeyError,
    zipfile.BadZipFile,
    zlib.error,
    SyntaxError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    RecursionError,
    TypeError,
    MemoryError,
    struct.error,
)
MAX_ARRAY_BYTES = 256 << 20  # an hour of 22 joints at 100 fps


def check_regular(path: Path) -> int:
    """The size of a regular file in bytes; a named pipe or a device would block or never end.

    Args:
        path: The file.

    Returns:
        Its size in bytes.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a regular file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path.name} is not a regular file (a pipe, device or folder)")
    return status.st_size


@dataclass
class Member:
    """An array open behind its .npy header: shape and type, and the numbers that follow."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool
    numbers: io.BufferedIOBase

    @property
    def nbytes(self) -> int:
        """Size of the numbers."""
        return math.prod(self.shape) * self.dtype.itemsize


def read_header(numbers: io.BufferedIOBase, size: int) -> Member:
    """Reads a .npy header and checks it against the bytes that are there.

    Args:
        numbers: open at the beginning of the .npy data.
        size: bytes of the whole data.

    Returns:
        Shape and type of the array, and the stream open behind the header.

    Raises:
        ValueError: no .npy, pickled, or of another size than its header says.
    """
    version = np.lib.format.read_magic(numbers)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"unsupported .npy version {version}")
    try:
        shape, fortran_order, dtype = readers[version](numbers)
    except Exception as error:  # numpy parses the header as Python, and lets through whatever that raises
        raise ValueError(f"damaged .npy header ({type(error).__name__})") from error
    member = Member(shape, dtype, fortran_order, numbers)
    if dtype.hasobject:
        raise ValueError("a pickled array, which is refused; save plain numbers with numpy.save")
    there = size - numbers.tell()
    if min(shape, default=0) < 0 or member.nbytes != there:
        raise ValueError(f"its header says shape {shape} of {dtype} ({member.nbytes} bytes), but {there} bytes follow")
    return member


def read_shape(path: Path) -> tuple[int, ...]:
    """The shape of the array in a .npy file, without its numbers.

    Args:
        path: The .npy file.

    Returns:
        Shape of its array.

    Raises:
        UNREADABLE: see `read_header`.
    """
    size = check_regular(path)
    with open(path, "rb") as file:
        return read_header(file, size).shape


def load_array(path: Path) -> np.ndarray:
    """Loads one .npy file of real numbers.

    Args:
        path: The .npy file.

    Returns:
        The array, as it is stored.

    Raises:
        ValueError: the file is no .npy, truncated, too large, pickled (which is refused), or holds no real numbers.
    """
    try:
        size = check_regular(path)
        with open(path, "rb") as file:
            if file.peek(2)[:2] == b"PK":
                raise ValueError("it is an archive of arrays; end its name in .npz")
            member = read_header(file, size)
            if size > MAX_ARRAY_BYTES:
                raise ValueError(f"{size >> 20} MB; at most {MAX_ARRAY_BYTES >> 20} MB are read as one clip: split it")
            array = _numbers(member)
    except UNREADABLE as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    if member.dtype.kind not in "fiu":
        raise ValueError(f"{path.name}: expected an array of real numbers, got {member.dtype}")
    return array


@contextmanager
def open_member(path: str | Path | IO[bytes], name: str) -> Iterator[Member]:
    """One array of an .npz, open behind its header.

    Args:
        path: The .npz, as a path or an open stream.
        name: Name of the array.

    Yields:
        The array's header with the stream open behind it.

    Raises:
        UNREADABLE: see `read_header`; KeyError: no such array.
    """
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(f"{name}.npy").file_size
        with archive.open(f"{name}.npy") as numbers:
            yield read_header(cast(io.BufferedIOBase, numbers), size)


def read_member(path: str | Path | IO[bytes], name: str, max_bytes: int = MAX_ARRAY_BYTES) -> np.ndarray:
    """One array of an .npz, in memory.

    Args:
        path: The .npz, as a path or an open stream.
        name: Name of the array.
        max_bytes: Largest size of the array.

    Returns:
        The array.

    Raises:
        UNREADABLE: see `read_header`, or more than `max_bytes`; KeyError: no such array.
    """
    with open_member(path, name) as member:
        if member.nbytes > max_bytes:
            raise ValueError(f"{name} has {member.nbytes >> 20} MB; at most {max_bytes >> 20} MB are read")
        return _numbers(member)


def member_names(path: str | Path | IO[bytes]) -> list[str]:
    """The names of the arrays in an .npz.

    Args:
        path: The .npz, as a path or an open stream.

    Returns:
        The names, without `.npy`.

    Raises:
        UNREADABLE: it is no .npz.
    """
    with zipfile.ZipFile(path) as archive:
        return [name.removesuffix(".npy") for name in archive.namelist() if name.endswith(".npy")]


def _numbers(member: Member) -> np.ndarray:
    data = np.empty(member.nbytes, dtype=np.uint8)
    count = member.numbers.readinto(data.data)
    if count != member.nbytes:
        raise ValueError(f"it ends after {count} of {member.nbytes} bytes")
    return np.ndarray(member.shape, member.dtype, data, order="F" if member.fortran_order else "C")
