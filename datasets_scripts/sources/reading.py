"""Reading other people's files: text in the usual encodings, arrays whose headers are checked before they are read."""

from __future__ import annotations

import math
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import numpy as np

# What numpy raises for files that are truncated, pickled or of another kind.
UNREADABLE = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error, SyntaxError, OverflowError)
MAX_TEXT_BYTES = 256 << 20
MAX_ARRAY_BYTES = 256 << 20  # an hour of 22 joints at 100 fps
_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uff01-\uff5e]")


@dataclass(frozen=True)
class Text:
    """The text of a file, and the name of its encoding where that is not UTF-8."""

    content: str
    encoding: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines, which end at line feeds alone: a caption may hold U+2028 and other separators."""
        return [line.removesuffix("\r") for line in self.content.split("\n")]


def check_regular(path: Path) -> int:
    """The size of a regular file in bytes; a named pipe or a device would block or never end.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a regular file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise ValueError(f"{path.name} is not a regular file (a pipe, device or folder)")
    return status.st_size


def read_text(path: Path) -> Text:
    """Reads a text file as UTF-8 (with or without a byte order mark), UTF-16, Shift-JIS or cp1252.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a regular file, too large, or in none of these encodings.
    """
    size = check_regular(path)
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"{path.name} has {size >> 20} MB; at most {MAX_TEXT_BYTES >> 20} MB of text are read")
    data = path.read_bytes()
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        try:
            return Text(data.decode("utf-16"), "UTF-16")
        except UnicodeDecodeError as error:
            raise ValueError(
                f"{path.name} begins like UTF-16 but is not ({error.reason} at byte {error.start})"
            ) from None
    try:
        return Text(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        problem = f"byte 0x{data[error.start]:02x} in line {line} is not UTF-8"
    if b"\0" in data:
        raise ValueError(f"{path.name} is not text: {problem}, and it holds NUL bytes")
    for encoding in ("cp932", "cp1252"):
        try:
            content = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        # Almost any bytes are valid cp932, so it counts only where what comes out is Japanese.
        foreign = [c for c in content if not c.isascii()]
        if encoding == "cp1252" or sum(bool(_JAPANESE.match(c)) for c in foreign) > 0.8 * len(foreign):
            return Text(content, {"cp932": "Shift-JIS"}.get(encoding, encoding))
    raise ValueError(f"{path.name}: {problem}, nor UTF-16, Shift-JIS or cp1252; save it as UTF-8")


def normal_form(name: str) -> str:
    """A name as it is compared: macOS stores accents as letters of their own (NFD), other systems do not."""
    return unicodedata.normalize("NFC", name)


def is_unicode(name: str) -> bool:
    """Whether a name can be written as UTF-8 (a file name of other bytes cannot)."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


@dataclass
class Member:
    """An array open behind its .npy header: shape and type, and the numbers that follow."""

    shape: tuple[int, ...]
    dtype: np.dtype
    fortran_order: bool
    numbers: IO[bytes]


def read_header(numbers: IO[bytes], size: int) -> Member:
    """Reads a .npy header and checks it against the bytes that are there, before memory is taken for the array.

    Args:
        numbers: open at the beginning of the .npy data.
        size: bytes of the whole data.

    Raises:
        ValueError: no .npy, pickled, of another type than real numbers, or of another size than its header says.
    """
    version = np.lib.format.read_magic(numbers)
    readers = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
    if version not in readers:
        raise ValueError(f"unsupported .npy version {version}")
    shape, fortran_order, dtype = readers[version](numbers)
    if dtype.hasobject:
        raise ValueError("a pickled array, which is refused; save plain numbers with numpy.save")
    needed, there = math.prod(shape) * dtype.itemsize, size - numbers.tell()
    if min(shape, default=0) < 0 or needed != there:
        raise ValueError(f"its header says shape {shape} of {dtype} ({needed} bytes), but {there} bytes follow")
    return Member(shape, dtype, fortran_order, numbers)


def load_array(path: Path, mapped: bool = False) -> np.ndarray:
    """Loads one .npy file of real numbers.

    Args:
        path: the file.
        mapped: leave the numbers on disk until they are used.

    Raises:
        ValueError: the file is no .npy, truncated, too large, pickled (which is refused), or holds no real numbers.
    """
    try:
        size = check_regular(path)
        with open(path, "rb") as file:
            member = read_header(file, size)
        if size > MAX_ARRAY_BYTES and not mapped:
            raise ValueError(f"{size >> 20} MB; at most {MAX_ARRAY_BYTES >> 20} MB are read as one clip: split it")
        array = np.load(path, allow_pickle=False, mmap_mode="r" if mapped and size else None)
    except UNREADABLE as error:
        raise ValueError(f"{path.name} cannot be read: {error}") from error
    if member.dtype.kind not in "fiu":
        raise ValueError(f"{path.name}: expected an array of real numbers, got {member.dtype}")
    return array


@contextmanager
def open_member(path: Path, name: str) -> Iterator[Member]:
    """One array of an .npz, open behind its header.

    Raises:
        ValueError: see `read_header`; KeyError: no such array.
    """
    with zipfile.ZipFile(path) as archive:
        size = archive.getinfo(f"{name}.npy").file_size
        with archive.open(f"{name}.npy") as numbers:
            yield read_header(numbers, size)


def read_member(path: Path, name: str, max_bytes: int = MAX_ARRAY_BYTES) -> np.ndarray:
    """One array of an .npz, in memory.

    Raises:
        ValueError: see `read_header`, or more than `max_bytes`; KeyError: no such array.
    """
    with open_member(path, name) as member:
        needed = math.prod(member.shape) * member.dtype.itemsize
        if needed > max_bytes:
            raise ValueError(f"{name} has {needed >> 20} MB; at most {max_bytes >> 20} MB are read")
        flat = np.frombuffer(member.numbers.read(needed), dtype=member.dtype)
    return flat.reshape(member.shape, order="F" if member.fortran_order else "C")
