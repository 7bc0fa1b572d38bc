"""Other people's files: found in a folder, and read as text in the usual encodings."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from modeling_unimo.array_files_unimo import check_regular

MAX_TEXT_BYTES = 256 << 20
# By the byte order mark, or where it lacks by the NUL beside each of two ASCII letters.
_UTF_16 = {
    "utf-16": rb"\xff\xfe|\xfe\xff",
    "utf-16-le": rb"(?:[\t\n\r -~]\0){2}",
    "utf-16-be": rb"(?:\0[\t\n\r -~]){2}",
}
_JAPANESE = re.compile(r"[\u3040-\u30ff\u4e00-\u9fff\uff01-\uff5e]")


@dataclass(frozen=True)
class Text:
    """The text of a file, and the name of its encoding where that is not UTF-8."""

    content: str
    encoding: str = ""

    @property
    def lines(self) -> list[str]:
        """The lines, which end at line feeds alone: a caption may hold U+2028 and other separators.

        A file without a line feed is of an old Mac, and its lines end at carriage returns.
        """
        if "\n" not in self.content:
            return self.content.split("\r")
        return [line.removesuffix("\r") for line in self.content.split("\n")]


def motion_files(folder: Path, suffixes: Collection[str]) -> dict[str, Path]:
    """The files of a kind in a folder and its subfolders.

    Args:
        folder: The folder.
        suffixes: Endings of the names, in lower case; those of the files may be in capitals.

    Returns:
        Files by name without ending, relative to the folder, in order; with its ending where another file has the
        name already.
    """
    files: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() in suffixes and not path.is_dir():
            name = path.relative_to(folder)
            stem = name.with_suffix("").as_posix()
            files[name.as_posix() if stem in files else stem] = path
    return files


def read_text(path: Path) -> Text:
    """Reads a text file as UTF-8 or UTF-16 (with or without a byte order mark), Shift-JIS or cp1252.

    Args:
        path: The file.

    Returns:
        Its content, and the encoding it was read in.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a regular file, too large, or in none of these encodings.
    """
    size = check_regular(path)
    if size > MAX_TEXT_BYTES:
        raise ValueError(f"{path.name} has {size >> 20} MB; at most {MAX_TEXT_BYTES >> 20} MB of text are read")
    data = path.read_bytes()
    utf_16 = next((name for name, begin in _UTF_16.items() if re.match(begin, data)), None)
    if utf_16:
        try:
            return Text(data.decode(utf_16), "UTF-16")
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


def unix_lines(content: str) -> str:
    """Text whose lines end at line feeds, whatever system wrote it; not for text that may hold a carriage return.

    Args:
        content: The text.

    Returns:
        The text.
    """
    return content.replace("\r\n", "\n").replace("\r", "\n")


def for_convert_motion(text: str) -> str:
    """An error or a note of a reader, for a place that has none of the options which it names.

    Args:
        text: The text.

    Returns:
        The text, with the command that has the options.
    """
    return re.sub(r"--(joint_map|up|fps)\b", r"--\1 of `unimo convert-motion`", text)


def unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object of JSON; of two values of one key, Python would drop the first without a word.

    Args:
        pairs: Its keys and values, as `object_pairs_hook` is given them.

    Returns:
        The object.

    Raises:
        ValueError: a key is given twice.
    """
    twice = next((key for key, count in Counter(key for key, _ in pairs).items() if count > 1), None)
    if twice is not None:
        raise ValueError(f"the key {twice!r} is given twice")
    return dict(pairs)


def normal_form(name: str) -> str:
    """A name as it is compared: macOS stores accents as letters of their own (NFD), other systems do not.

    Args:
        name: The name.

    Returns:
        The name in NFC.
    """
    return unicodedata.normalize("NFC", name)


def is_unicode(name: str) -> bool:
    """Whether a name can be written as UTF-8 (a file name of other bytes cannot).

    Args:
        name: The name.

    Returns:
        Whether it can.
    """
    return not any("\ud800" <= letter <= "\udfff" for letter in name)
