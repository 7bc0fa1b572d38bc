"""captions.jsonl: which captions belong to which motion, and in which split each motion is."""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from datasets_scripts.captions import tokenize_caption
from datasets_scripts.schema import CAPTION, NOTE, Caption, Skipped
from datasets_scripts.sources.reading import is_unicode, normal_form, read_text, unique_keys

CAPTIONS_HELP = (
    'one JSON object per line, such as {"id": "walk_01", "captions": ["a person walks."], "split": "train"} '
    '("file" may stand for "id"; a caption may be an object with text, start, end in seconds, thought)'
)
_SUFFIX = re.compile(r"\.(bvh|npy|npz|pt|pth|pkl)(?=#|$)", re.IGNORECASE)  # also before a person's name
_KEYS = {"id", "file", "caption", "captions", "split", "thought"}
_CAPTION_KEYS = {"text", "start", "end", "thought"}
_SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "dev": "validation",
    "test": "test",
    "testing": "test",
}


@dataclass
class Record:
    """One line of captions.jsonl."""

    id: str
    captions: list[Caption]
    split: str | None = None


@dataclass
class CaptionFile:
    """A captions.jsonl that was read: records by id, in the order of the file, and what could not be used."""

    records: dict[str, Record] = field(default_factory=dict)
    skipped: list[Skipped] = field(default_factory=list)


def find_caption_file(folder: Path) -> Path:
    """The captions of a folder: `captions.jsonl` or the only `*captions.jsonl` in it.

    Args:
        folder: The folder.

    Returns:
        Path of the file.

    Raises:
        FileNotFoundError: there is none.
        ValueError: there are several.
    """
    exact = folder / "captions.jsonl"
    if exact.exists():
        return exact
    found = sorted(folder.glob("*captions.jsonl"))
    if not found:
        raise FileNotFoundError(f"{folder} holds no captions.jsonl; write one: {CAPTIONS_HELP}")
    if len(found) > 1:
        raise ValueError(f"{folder} holds several caption files ({', '.join(p.name for p in found)}); keep one")
    return found[0]


def read_captions(path: Path) -> CaptionFile:
    """Reads captions.jsonl; lines and captions that cannot be used are listed, and never cost the others.

    Args:
        path: The file.

    Returns:
        Its records, and what was skipped.

    Raises:
        ValueError: the file is not text, or not one line of it is usable.
    """
    result = CaptionFile()
    text = read_text(path)
    if text.encoding:
        result.skipped.append(Skipped(path.name, f"read as {text.encoding}", "save it as UTF-8", NOTE))
    for number, line in enumerate(text.lines, start=1):
        if not line.strip():
            continue
        where = f"{path.name} line {number}"
        try:
            record = _record(json.loads(line, object_pairs_hook=unique_keys), where, result.skipped)
        except json.JSONDecodeError as error:
            result.skipped.append(Skipped(where, "caption line is not JSON", str(error), CAPTION))
        except RecursionError:
            result.skipped.append(Skipped(where, "caption line is unusable", "nested too deeply", CAPTION))
        except ValueError as error:
            result.skipped.append(Skipped(where, "caption line is unusable", str(error), CAPTION))
        else:
            known = result.records.setdefault(record.id, record)
            if known is not record:
                result.skipped += _join(known, record)
    if not result.records:
        reasons = "; ".join(f"{skip.id}: {skip.detail}" for skip in result.skipped[:3])
        raise ValueError(f"{path} holds no usable line ({reasons or 'it is empty'}); each must be {CAPTIONS_HELP}")
    return result


def _join(known: Record, other: Record) -> list[Skipped]:
    """Adds another record of the same motion; says where it names another split."""
    known.captions += other.captions
    clash = known.split and other.split and known.split != other.split
    known.split = known.split or other.split
    detail = f"{known.split} and {other.split}"
    return [Skipped(known.id, "named in two splits (the first one counts)", detail, NOTE)] if clash else []


def _given(entry: dict, key: str) -> object:
    """The value of a key; null and NaN, which table programs write for an empty cell, are absent."""
    value = entry.get(key)
    return None if isinstance(value, float) and math.isnan(value) else value


def _record(entry: object, where: str, skipped: list[Skipped]) -> Record:
    if not isinstance(entry, dict):
        raise ValueError(f"expected a JSON object, got {_kind(entry)}")
    name = _given(entry, "id") if _given(entry, "id") is not None else _given(entry, "file")
    if isinstance(name, int) and not isinstance(name, bool) or isinstance(name, float) and name.is_integer():
        name = str(int(name))
    if not isinstance(name, str) or not name.strip():
        raise ValueError('neither "id" nor "file" names the clip')
    if not is_unicode(name):
        raise ValueError(f"the name {ascii(name)} holds half a surrogate pair, which no text file can")
    name = normal_form(name.strip())
    where = f"{where} ({name})"
    unknown = sorted(entry.keys() - _KEYS)
    if unknown:
        detail = f"{', '.join(unknown)}; known: {', '.join(sorted(_KEYS))}"
        if not any(skip.detail == detail for skip in skipped):  # once for all lines
            skipped.append(Skipped(where, "unknown key (ignored)", detail, NOTE))
    texts = [text for key in ("captions", "caption") for text in _listed(_given(entry, key), key)]
    thought = _given(entry, "thought")
    if thought is not None and not isinstance(thought, str):
        skipped.append(Skipped(where, "thought is unusable", f"expected text, got {_kind(thought)}", NOTE))
        thought = None
    captions = []
    for text in texts:
        try:
            caption = _caption(text, where, skipped)
        except ValueError as error:
            skipped.append(Skipped(where, "caption is unusable", str(error), CAPTION))
            continue
        captions.append(caption if caption.thought or not thought else replace(caption, thought=thought.strip()))
    given = _given(entry, "split")
    split = _SPLIT_NAMES.get(str(given).strip().lower())
    if given is not None and split is None:
        skipped.append(Skipped(where, "unknown split (ignored)", f"{given!r}", NOTE))
    return Record(name, captions, split)


def _listed(value: object, key: str) -> list:
    if value is None:
        return []
    if isinstance(value, (str, dict)):
        return [value]
    if not isinstance(value, list):
        raise ValueError(f'"{key}" must be a list, got {_kind(value)}')
    return value


def _kind(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")


def _caption(entry: object, where: str, skipped: list[Skipped]) -> Caption:
    if isinstance(entry, str):
        entry = {"text": entry}
    if not isinstance(entry, dict):
        raise ValueError(f"expected text or an object with text, got {_kind(entry)}")
    text, thought = _given(entry, "text"), _given(entry, "thought") or ""
    if not isinstance(text, str) or not text.strip():
        raise ValueError(f"{str(entry)[:80]!r} holds no text")
    if not isinstance(thought, str):
        raise ValueError(f"thought must be text, got {_kind(thought)}")
    if not (is_unicode(text) and is_unicode(thought)):
        raise ValueError(f"{ascii(text[:80])} holds half a surrogate pair, which no text file can")
    times = [_given(entry, key) for key in ("start", "end")]
    if any(isinstance(time, bool) or not isinstance(time, (int, float, type(None))) for time in times):
        raise ValueError("start and end must be numbers of seconds")
    if times[0] and times[1] is None:
        raise ValueError(f"start {times[0]:g} is given without an end; give both in seconds")
    try:
        start, end = (float(time or 0.0) for time in times)  # type: ignore[arg-type]
    except OverflowError:
        raise ValueError("start or end is too large a number") from None
    unknown = sorted(entry.keys() - _CAPTION_KEYS)
    if unknown:
        detail = f"{', '.join(unknown)}; known: {', '.join(sorted(_CAPTION_KEYS))}"
        if not any(skip.detail == detail for skip in skipped):
            skipped.append(Skipped(where, "unknown key of a caption (ignored)", detail, NOTE))
    return make_caption(text, start, end, thought)


def make_caption(text: str, start: float = 0.0, end: float = 0.0, thought: str = "") -> Caption:
    """A caption with its word/POS tokens.

    Args:
        text: The caption.
        start: Start in seconds.
        end: End in seconds; 0 and 0 are the whole clip.
        thought: Its thought, if any.

    Returns:
        The caption.
    """
    text = text.strip()
    return Caption(text, tokenize_caption(text), start, end, thought.strip())


def captioned(folder: Path, files: Iterable[str]) -> tuple[dict[str, Record], dict[str, str], list[Skipped]]:
    """The caption records of a folder by the names of its motion `files`.

    Args:
        folder: The folder.
        files: Names of the motion files, relative and without suffix.

    Returns:
        Records by name, splits by name, and what could not be used: captions, lines without a motion, motions without
        a caption, motions whose names are not Unicode.

    Raises:
        FileNotFoundError, ValueError: see `find_caption_file` and `read_captions`.
    """
    files = list(files)
    source = find_caption_file(folder)
    captions = read_captions(source)
    unnamed = [Skipped(name, "file name is not Unicode", "rename the file") for name in files if not is_unicode(name)]
    files = [name for name in files if is_unicode(name)]
    records, orphans = match_records(captions.records, files)
    splits = assign_splits(records, {name: record.split for name, record in records.items()})
    bare = [Skipped(name, "no caption", f"not in {source.name}") for name in files if name not in records]
    return records, splits, captions.skipped + orphans + unnamed + bare


def match_records(records: dict[str, Record], files: Iterable[str]) -> tuple[dict[str, Record], list[Skipped]]:
    """Caption records by the names of `files` (relative, without suffix): a record may name path, file or bare name.

    Args:
        records: Caption records by name.
        files: Names of the motion files, relative and without suffix.

    Returns:
        Records by name, and those that name no file, more than one, or one in two splits.
    """
    exact = {normal_form(name): name for name in files}
    bare: dict[str, list[str]] = {}
    for normal, name in exact.items():  # the names in an archive may have endings, too
        stem = _SUFFIX.sub("", normal)
        for short in {stem, stem.rsplit("/", 1)[-1]}:
            bare.setdefault(short, []).append(name)
    matched: dict[str, Record] = {}
    faults = []
    for key, record in records.items():
        path = key.replace("\\", "/").removeprefix("./")
        stem = _SUFFIX.sub("", path)
        choices = next(([exact[name]] for name in (path, stem) if name in exact), bare.get(stem, []))
        if len(choices) == 1:
            known = matched.setdefault(choices[0], record)
            if known is not record:
                faults += _join(known, record)
        elif choices:
            faults.append(Skipped(key, "captions for more than one file", ", ".join(choices[:3]), CAPTION))
        else:
            faults.append(Skipped(key, "captions without a motion", "no file of this name", CAPTION))
    return matched, faults


def assign_splits(ids: Iterable[str], given: dict[str, str | None]) -> dict[str, str]:
    """A split for each id: its own where it has one, else 80/5/15 by a hash of the id.

    The clips are ranked by hash, so the shares are exact, the result depends on nothing but the set of ids, and
    from three clips on no split is empty.

    Args:
        ids: Ids of the clips.
        given: Split of a clip by id, or None.

    Returns:
        Split by id.
    """
    ids = list(ids)
    splits = {name: split for name in ids if (split := given.get(name)) is not None}
    rest = sorted((name for name in ids if name not in splits), key=_hash)
    # Where the data brings splits of its own, what has none goes to training: it must not dilute a given test set.
    if splits:
        return splits | dict.fromkeys(rest, "train")
    validation = max(1, round(0.05 * len(rest))) if len(rest) >= 3 else 0
    test = max(1, round(0.15 * len(rest))) if len(rest) >= 3 else 0
    for rank, name in enumerate(rest):
        splits[name] = "validation" if rank < validation else "test" if rank < validation + test else "train"
    return splits


def _hash(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8")).hexdigest()
