"""The BVH text format: a hierarchy of joints with their channels, and the numbers of each frame."""

from __future__ import annotations

import math
import re
from array import array
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from datasets_scripts.schema import FPS
from datasets_scripts.sources.clips import check_fps
from datasets_scripts.sources.reading import read_text, unix_lines

_MAX_JOINTS = 2000
_LARGEST = 1e7  # of lengths in any unit, and of degrees
_CHANNEL = re.compile(r"([XYZ])(position|rotation)", re.IGNORECASE)
_GLUED = re.compile(r"[+-]?[\d.]+(?:e[+-]?\d+)?(?:[+-][\d.]+(?:e[+-]?\d+)?)+", re.IGNORECASE)


class BvhError(ValueError):
    """A BVH file that cannot be read, or whose joints cannot be mapped."""


@dataclass
class Bvh:
    """A BVH file.

    Attributes:
        names: the joints (end sites as "<parent>_end").
        parents: their indices; -1 for the root.
        offsets: (J, 3) the OFFSET lines.
        channels: the channel names of each joint.
        values: (T, C) the frames.
        frame_time: seconds.
        notes: what was wrong with the file and how it was read.
    """

    names: list[str]
    parents: list[int]
    offsets: np.ndarray
    channels: list[list[str]]
    values: np.ndarray
    frame_time: float
    notes: list[str] = field(default_factory=list)

    @property
    def fps(self) -> float:
        """Frames per second."""
        return 1.0 / self.frame_time


def read_bvh(path: str | Path, fps: float | None = None, max_frames: int | None = None) -> Bvh:
    """Reads a BVH file.

    Args:
        path: the file.
        fps: frames per second, in place of the file's own Frame Time.
        max_frames: read so many pairs of successive frames, evenly spread, where the file is longer.

    Returns:
        Hierarchy and motion.

    Raises:
        FileNotFoundError: no such file.
        BvhError: it is no BVH file, or a word in it cannot be read; the message names word and line.
    """
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(f"{path}: no such BVH file")
    try:
        text = read_text(path)
        bvh = parse_bvh(text.content, fps, max_frames)
    except BvhError as error:
        raise BvhError(f"{path}: {error}") from None
    except ValueError as error:
        raise BvhError(f"{path.parent / str(error)}") from error
    if text.encoding:
        bvh.notes.insert(0, f"read as {text.encoding}")
    return bvh


def parse_bvh(text: str, fps: float | None = None, max_frames: int | None = None) -> Bvh:
    """Parses the text of a BVH file; see `read_bvh`.

    Args:
        text: Content of the file.
        fps: Frames per second, in place of the file's Frame Time.
        max_frames: Read no more frames than these.

    Returns:
        Hierarchy and motion.
    """
    text = unix_lines(text.rstrip("\x1a\0 \t"))  # without an old editor's end-of-file mark
    if not re.match(r"\s*HIERARCHY\b", text, re.IGNORECASE):
        raise BvhError(f"is not a BVH file: it begins with {text[:20]!r}, expected HIERARCHY")
    match = re.search(r"^[^\S\n]*MOTION[^\S\n]*$", text, re.IGNORECASE | re.MULTILINE)
    bvh = _Hierarchy(text[: match.start()] if match else text).parse()
    if match is None:
        raise BvhError("the hierarchy is followed by no line MOTION: the file is cut")
    first = text.count("\n", 0, match.end()) + 1
    lines = text[match.end() :].split("\n")
    frames, seconds, begin = _header(lines, first)
    columns = sum(len(names) for names in bvh.channels)
    if columns == 0:
        raise BvhError("no joint has CHANNELS: nothing in the file moves")
    rows = [(number, line) for number, line in enumerate(lines[begin:], start=first + begin) if line.strip()]
    complete = text.endswith("\n")
    if len(rows) == frames and max_frames is not None and frames > 2 * max_frames:
        places = np.unique(np.linspace(0, frames - 2, max_frames).astype(int)[:, None] + [0, 1])
        rows, frames = [rows[place] for place in places], len(places)
    if frames < 1 and not rows:
        raise BvhError(f"Frames is {frames}: the file holds no motion")
    bvh.values = _frames(rows, frames, columns, complete, bvh.notes)
    bvh.frame_time = _frame_time(seconds, len(bvh.values), fps)
    return bvh


def _frame_time(word: str, frames: int, fps: float | None) -> float:
    """Seconds a frame; one pose has no rate, whatever its file says."""
    if fps is None and frames == 1:
        return 1 / FPS
    if fps is None:
        seconds = _number(word, "Frame Time")
        try:
            fps = check_fps(1 / seconds if seconds else math.inf)
        except ValueError as error:
            raise BvhError(f"Frame Time is {word} seconds per frame ({error}); give the rate with --fps") from None
    return 1 / fps


def _header(lines: list[str], first: int) -> tuple[int, str, int]:
    """Number of frames, what is said to be seconds a frame, and the index of the line after "Frame Time:"."""
    head = "\n".join(lines[:40])
    match = re.match(r"\s*Frames\s*:\s*(\S+)\s+Frame\s*Time\s*:\s*(\S+)", head, re.IGNORECASE)
    if match is None:
        there = [line.strip() for line in lines[:40] if line.strip()][:2]
        found = " and ".join(repr(line[:40]) for line in there) if there else "nothing: the file is cut"
        raise BvhError(f'line {first} must be followed by "Frames: N" and "Frame Time: seconds", here by {found}')
    try:
        frames = int(match.group(1))
    except ValueError:
        raise BvhError(f"Frames must be a whole number, got {match.group(1)!r}") from None
    return frames, match.group(2), head[: match.end()].count("\n") + 1


def _frames(rows: list[tuple[int, str]], frames: int, columns: int, complete: bool, notes: list[str]) -> np.ndarray:
    """The (T, C) numbers of the frame lines; whole frames are kept where the file says or holds other counts."""
    numbers = array("d")
    widths: Counter[int] = Counter()
    for number, line in rows:
        words = line.split()
        widths[len(words)] += 1
        try:
            numbers.extend(map(float, words))
        except ValueError:
            raise BvhError(_unreadable(words, number, last=number == rows[-1][0] and not complete)) from None
    whole, rest = divmod(len(numbers), columns)
    usual = max(widths, key=lambda width: widths[width], default=0)
    if usual != columns and widths[usual] > 1 and (rest or whole != frames):
        raise BvhError(
            f"the lines of frames hold {usual} values each, but the CHANNELS add up to {columns} (Frames: {frames}, "
            f"{len(rows)} lines)"
        )
    if whole < frames and not complete and not rest:
        whole, rest = whole - 1, columns  # the last number may be cut, too
    if whole < 1:
        raise BvhError(f"no whole frame: {len(numbers)} values, and the CHANNELS add up to {columns}")
    if rest:
        notes.append(f"the file is cut: {whole} whole frames of {frames} used")
    elif whole != frames:
        notes.append(f"Frames says {frames}, the file holds {whole}: {whole} used")
    values = np.array(numbers)[: whole * columns].reshape(whole, columns)
    wrong = ~(np.abs(values) <= _LARGEST)
    if wrong.any():
        frame = int(np.argwhere(wrong)[0][0])
        what = f"a number beyond {_LARGEST:g}" if np.isfinite(values[wrong][0]) else "NaN or infinity"
        raise BvhError(f"frame {frame + 1} (line {rows[frame][0] if len(rows) >= whole else '?'}) holds {what}")
    return values


def _unreadable(words: list[str], line: int, last: bool) -> str:
    """Why a line of frames cannot be read, by its first word that is no number."""
    for word in words:
        try:
            float(word)
        except ValueError:
            if _GLUED.fullmatch(word):
                return f"line {line}: {word!r} is two numbers run together; separate them by a blank"
            if re.fullmatch(r"[+-]?\d+,\d+", word):
                return f"line {line}: {word!r} has a decimal comma; write a decimal point"
            return f"line {line}: {word[:40]!r} is not a number{' (the file is cut)' if last else ''}"
    raise AssertionError("every word is a number")


def _number(word: str, what: str) -> float:
    try:
        value = float(word)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        comma = "; write a decimal point" if re.fullmatch(r"[+-]?\d+,\d+", word) else ""
        raise BvhError(f"{what} must be a number, got {word[:40]!r}{comma}")
    if abs(value) > _LARGEST:
        raise BvhError(f"{what} is {value:g}; numbers beyond {_LARGEST:g} are no length in any unit")
    return value


class _Hierarchy:
    """The hierarchy part, word by word: braces and lines may be arranged in any way."""

    def __init__(self, text: str):
        self.words = [
            (word, number)
            for number, line in enumerate(text.split("\n"), start=1)
            for word in line.replace("{", " { ").replace("}", " } ").split()
        ]
        self.at = 1  # after HIERARCHY
        self.bvh = Bvh([], [], np.zeros((0, 3)), [], np.zeros((0, 0)), 0.0)
        self.offsets: list[list[float]] = []

    def parse(self) -> Bvh:
        bvh = self.bvh
        stack: list[int] = []
        while self.at < len(self.words):
            word = self._next()
            kind = word.upper()
            if kind in ("ROOT", "JOINT", "END"):
                if kind == "ROOT" and bvh.names:
                    raise self._error("a second ROOT; write each skeleton to a file of its own")
                if kind != "ROOT" and not stack:
                    raise self._error(f"{word} outside the ROOT")
                name = self._name()
                bvh.names.append(f"{bvh.names[stack[-1]]}_end" if kind == "END" else name)
                bvh.parents.append(stack[-1] if stack else -1)
                bvh.channels.append([])
                self.offsets.append([0.0, 0.0, 0.0])
                stack.append(len(bvh.names) - 1)
                if len(bvh.names) > _MAX_JOINTS:
                    raise self._error(f"more than {_MAX_JOINTS} joints")
            elif kind in ("OFFSET", "CHANNELS", "}"):
                if not stack:
                    raise self._error(f"{word} outside a joint")
                if kind == "}":
                    stack.pop()
                elif kind == "OFFSET":
                    what = f"line {self._line()}: OFFSET of {bvh.names[stack[-1]]}"
                    self.offsets[stack[-1]] = [_number(self._next(), what) for _ in range(3)]
                else:
                    bvh.channels[stack[-1]] = self._channels(bvh.names[stack[-1]])
            else:
                raise self._error(f"{word[:40]!r}, expected JOINT, End Site, OFFSET, CHANNELS or a brace")
        if stack or not bvh.names:
            raise BvhError("the hierarchy does not end: the file is cut")
        bvh.offsets = np.array(self.offsets)
        return bvh

    def _line(self) -> int:
        return self.words[self.at - 1][1]

    def _error(self, what: str) -> BvhError:
        return BvhError(f"line {self._line()}: {what}")

    def _next(self) -> str:
        if self.at >= len(self.words):
            raise BvhError("the hierarchy does not end: the file is cut")
        self.at += 1
        return self.words[self.at - 1][0]

    def _name(self) -> str:
        parts: list[str] = []
        while (word := self._next()) != "{":
            if len(parts) > 8:
                raise self._error(f"no brace after the joint name {' '.join(parts)[:80]!r}")
            parts.append(word)
        return " ".join(parts)

    def _channels(self, joint: str) -> list[str]:
        word = self._next()
        if not word.isdecimal() or int(word) > 6:
            raise self._error(f"CHANNELS of {joint} must begin with their number (0 to 6), got {word[:40]!r}")
        names = []
        for _ in range(int(word)):
            match = _CHANNEL.fullmatch(self._next())
            if match is None:
                raise self._error(f"channel {self.words[self.at - 1][0][:40]!r} of {joint}, expected {word} names")
            names.append(match.group(1).upper() + match.group(2).lower())
        if len(set(names)) != len(names):
            raise self._error(f"a channel of {joint} is named twice: {' '.join(names)}")
        return names
