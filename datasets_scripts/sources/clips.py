"""From a motion and its captions to rows: resampling, length rules, spans of a clip, captions.jsonl, splits, workers.

What the sources `joints`, `bvh` and `humanml3d` share; each of them adds only how its files are read.
"""

from __future__ import annotations

import hashlib
import json
import math
import multiprocessing
import re
import zipfile
import zlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from datasets_scripts.captions import tokenize_caption
from datasets_scripts.schema import CAPTION, FPS, MAX_FRAMES, NOTE, Caption, Clip, Skipped

Item = TypeVar("Item")
Result = TypeVar("Result")

CAPTIONS_HELP = (
    'one JSON object a line, such as {"id": "walk_01", "captions": ["a person walks."], "split": "train"} '
    '("file" may stand for "id"; a caption may be an object with text, start, end in seconds, thought)'
)
# What numpy raises for files that are cut, pickled or of another kind.
UNREADABLE = (ValueError, OSError, EOFError, KeyError, zipfile.BadZipFile, zlib.error)
SUBCLIPS = ("tagged", "per_caption", "none")
_BEYOND = "time tag beyond the clip (cut at its end)"
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


@dataclass(frozen=True)
class ClipRules:
    """Which lengths are kept, in frames of features. The defaults are HumanML3D's published filter, 40 <= T < 200.

    Args:
        min_frames: shorter clips and spans are dropped.
        max_frames: longer ones are treated as `long_clips` says.
        crop_frames: no row is longer than this; what is left after `max_frames` is cut to it (the published
            loaders cut the same frames away when they trim to 196).
        long_clips: "drop", "crop" (keep the beginning) or "split" (consecutive pieces, the last one if long enough).
    """

    min_frames: int = 40
    max_frames: int = 199
    crop_frames: int = MAX_FRAMES
    long_clips: str = "drop"

    def __post_init__(self):
        if self.long_clips not in ("drop", "crop", "split"):
            raise ValueError(f"long_clips is {self.long_clips!r}; it must be drop, crop or split")
        if not 4 <= self.min_frames <= self.crop_frames <= self.max_frames:
            raise ValueError(
                f"min_frames {self.min_frames}, crop_frames {self.crop_frames}, max_frames {self.max_frames}: "
                "4 <= min_frames <= crop_frames <= max_frames must hold (a motion code takes four frames)"
            )
        if self.crop_frames > MAX_FRAMES:
            raise ValueError(f"crop_frames is {self.crop_frames}; the model takes at most {MAX_FRAMES} frames")


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


def make_caption(text: str, start: float = 0.0, end: float = 0.0, thought: str = "") -> Caption:
    """A caption with its word/POS tokens."""
    text = " ".join(text.split())
    return Caption(text=text, tokens=tokenize_caption(text), start=start, end=end, thought=thought.strip())


def find_caption_file(folder: Path) -> Path:
    """The captions of a folder: `captions.jsonl` or the only `*captions.jsonl` in it.

    Raises:
        FileNotFoundError: there is none.
        ValueError: there are several.
    """
    exact = folder / "captions.jsonl"
    if exact.is_file():
        return exact
    found = sorted(folder.glob("*captions.jsonl"))
    if not found:
        raise FileNotFoundError(f"{folder} holds no captions.jsonl; write one: {CAPTIONS_HELP}")
    if len(found) > 1:
        raise ValueError(f"{folder} holds several caption files ({', '.join(p.name for p in found)}); keep one")
    return found[0]


def read_captions(path: Path) -> CaptionFile:
    """Reads captions.jsonl; lines that cannot be used are listed, and never cost the others.

    Raises:
        ValueError: not one line of the file is usable.
    """
    result = CaptionFile()
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is no UTF-8 text ({error}); it must hold {CAPTIONS_HELP}") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        where = f"{path.name} line {number}"
        try:
            record = _record(json.loads(line), where, result.skipped)
        except json.JSONDecodeError as error:
            result.skipped.append(Skipped(where, "caption line is no JSON", str(error), CAPTION))
            continue
        except ValueError as error:
            result.skipped.append(Skipped(where, "caption line is unusable", str(error), CAPTION))
            continue
        known = result.records.get(record.id)
        if known is None:
            result.records[record.id] = record
        else:
            known.captions += record.captions
            known.split = known.split or record.split
    if not result.records:
        raise ValueError(f"{path} holds no usable line; each must be {CAPTIONS_HELP}")
    return result


def _record(entry: object, where: str, skipped: list[Skipped]) -> Record:
    if not isinstance(entry, dict):
        raise ValueError(f"a JSON {type(entry).__name__} where an object is due")
    name = entry.get("id", entry.get("file"))
    if not isinstance(name, str) or not name.strip():
        raise ValueError('neither "id" nor "file" names the clip')
    texts = entry.get("captions", entry.get("caption", []))
    texts = [texts] if isinstance(texts, (str, dict)) else texts
    if not isinstance(texts, list):
        raise ValueError(f'"captions" is a JSON {type(texts).__name__} where a list is due')
    captions = []
    for text in texts:
        try:
            captions.append(_caption(text))
        except ValueError as error:
            skipped.append(Skipped(f"{where} ({name})", "caption is unusable", str(error), CAPTION))
    split = entry.get("split")
    if split is not None and str(split).lower() not in _SPLIT_NAMES:
        skipped.append(Skipped(f"{where} ({name})", "unknown split", f"{split!r}; taken as none given", NOTE))
        split = None
    return Record(name.strip(), captions, _SPLIT_NAMES[str(split).lower()] if split is not None else None)


def _caption(entry: object) -> Caption:
    if isinstance(entry, str):
        entry = {"text": entry}
    if not isinstance(entry, dict) or not isinstance(entry.get("text"), str) or not entry["text"].strip():
        raise ValueError(f"{str(entry)[:80]!r} holds no text")
    start, end, thought = entry.get("start", 0.0), entry.get("end", 0.0), entry.get("thought", "")
    if not isinstance(start, (int, float)) or not isinstance(end, (int, float)) or not isinstance(thought, str):
        raise ValueError("start and end must be numbers of seconds, thought a text")
    return make_caption(entry["text"], float(start), float(end), thought)


def match_records(records: dict[str, Record], files: Iterable[str]) -> tuple[dict[str, Record], list[Skipped]]:
    """Caption records by the names of `files` (relative, without suffix): a record may name path, file or bare name.

    Returns:
        Records by name, and what names no file or more than one.
    """
    files = dict.fromkeys(files)
    bare: dict[str, list[str]] = {}
    for name in files:
        bare.setdefault(name.rsplit("/", 1)[-1], []).append(name)
    matched: dict[str, Record] = {}
    faults = []
    for key, record in records.items():
        name = re.sub(r"\.(bvh|npy)$", "", key.replace("\\", "/").removeprefix("./"), flags=re.IGNORECASE)
        choices = [name] if name in files else bare.get(name, [])
        if len(choices) == 1 and choices[0] not in matched:
            matched[choices[0]] = record
        elif len(choices) == 1:
            matched[choices[0]].captions += record.captions
        elif choices:
            faults.append(Skipped(key, "captions for more than one file", ", ".join(choices[:3]), CAPTION))
        else:
            faults.append(Skipped(key, "captions without a motion", "no file of this name", CAPTION))
    return matched, faults


def captioned(folder: Path, files: Iterable[str]) -> tuple[dict[str, Record], dict[str, str], list[Skipped]]:
    """The caption records of a folder by the names of its motion `files`.

    Returns:
        Records by name, splits by name, and what could not be used: captions, lines without a motion, motions without
        a caption.

    Raises:
        FileNotFoundError, ValueError: see `find_caption_file` and `read_captions`.
    """
    files = list(files)
    source = find_caption_file(folder)
    captions = read_captions(source)
    records, orphans = match_records(captions.records, files)
    splits = assign_splits(records, {name: record.split for name, record in records.items()})
    bare = [Skipped(name, "no caption", f"not in {source.name}") for name in files if name not in records]
    return records, splits, captions.skipped + orphans + bare


def normalise_thought(text: str) -> str:
    """A thought without the `<think>` tags that UniMo's text files put around it."""
    text = text.strip()
    return text.removeprefix("<think>").removesuffix("</think>").strip()


def assign_splits(ids: Iterable[str], given: dict[str, str | None]) -> dict[str, str]:
    """A split for each id: its own where it has one, else 80/5/15 by a hash of the id.

    The clips are ranked by hash, so the shares are exact, the result depends on nothing but the set of ids, and
    from three clips on no split is empty.
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


def resample(joints: np.ndarray, fps: float, target_fps: float = FPS) -> np.ndarray:
    """Resamples positions (T, J, 3) from `fps` to `target_fps` by cubic interpolation in time.

    Catmull-Rom rather than straight lines: between 30 and 20 fps every second new frame lies halfway between two
    old ones, where a straight line cuts the corner of a fast swing by a centimetre, and the motion would jitter.
    Where old and new frames coincide, the old ones are returned as they are.

    Raises:
        ValueError: `fps` is not a positive finite number.
    """
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"{fps} frames per second; a positive number is due")
    # Files write 0.008333 for 1/120: without rounding, frame k would drift off its time in long clips. 59.94 stays.
    nearest = round(fps)
    if nearest and abs(fps - nearest) < 2e-4 * nearest:
        fps = float(nearest)
    if fps == target_fps or len(joints) < 2:
        return joints
    frames = int(math.floor((len(joints) - 1) * target_fps / fps + 1e-6)) + 1
    times = np.arange(frames) * (fps / target_fps)
    left = np.clip(np.floor(times + 1e-6).astype(int), 0, len(joints) - 2)
    u = np.clip(times - left, 0.0, 1.0).reshape(-1, *[1] * (joints.ndim - 1))
    u = np.where(u < 1e-6, 0.0, u)
    # One frame more at either end, in a straight line.
    padded = np.concatenate([2 * joints[:1] - joints[1:2], joints, 2 * joints[-1:] - joints[-2:-1]])
    before, here, there, after = (padded[left + step] for step in range(4))
    tangent_here, tangent_there = (there - before) / 2, (after - here) / 2
    squared, cubed = u * u, u * u * u
    result = (
        (2 * cubed - 3 * squared + 1) * here
        + (cubed - 2 * squared + u) * tangent_here
        + (3 * squared - 2 * cubed) * there
        + (cubed - squared) * tangent_there
    )
    return result.astype(joints.dtype, copy=False)


def load_array(path: Path) -> np.ndarray:
    """Loads one .npy file of real numbers.

    Raises:
        ValueError: the file is no .npy, truncated, pickled (which is refused), or holds no real numbers.
    """
    try:
        array = np.load(path, allow_pickle=False)
    except UNREADABLE as error:
        reason = "a pickled array, which is refused" if "pickle" in str(error).lower() else f"unreadable ({error})"
        raise ValueError(f"{path.name}: {reason}; write it again with numpy.save") from error
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{path.name}: {type(array).__name__} of {getattr(array, 'dtype', '?')} where numbers are due"
        )
    return array


def is_constant(joints: np.ndarray, tolerance: float = 1e-6) -> bool:
    """Whether nothing moves in a clip of positions (T, J, 3)."""
    return bool(np.ptp(joints, axis=0).max() <= tolerance)


def make_rows(clip: Clip, rules: ClipRules, subclips: str = "tagged") -> Iterator[Clip | Skipped]:
    """Applies the length rules to a clip and to the parts of it that its captions describe.

    A caption with time tags describes the frames [int(start * fps), int(end * fps)), as published. A part that is
    shorter or longer than the rules allow costs its caption.

    Args:
        clip: the whole clip with all its captions.
        rules: the lengths to keep.
        subclips: what becomes of captions of a part. "tagged": they stay in the clip's row, with start and end.
            "per_caption", the published loaders' way: each becomes a row of its own with the part cut out, named
            `<id>@<start>-<end>` (then `_2`, `_3`.. where captions share a part), so that any run gives the same names.
            "none": they are left out.

    Raises:
        ValueError: `subclips` is none of these.
    """
    if subclips not in SUBCLIPS:
        raise ValueError(f"subclips is {subclips!r}; it must be one of {', '.join(SUBCLIPS)}")
    whole = [caption for caption in clip.captions if not caption.start and not caption.end]
    tagged: list[Caption] = []
    for caption in clip.captions:
        if caption.start or caption.end:
            fault = _part_fault(caption, clip, rules) if subclips != "none" else ("part of a clip (subclips none)", "")
            if fault is not None:
                kind = NOTE if fault[0] == _BEYOND else CAPTION
                yield Skipped(_part_name(clip, caption), fault[0], fault[1], kind)
            if fault is None or fault[0] == _BEYOND:
                tagged.append(caption)
    # Pieces of a long clip have times of their own, so there captions of a part cannot stay in its row.
    pieces = rules.long_clips == "split" and len(clip.features) > rules.max_frames
    if subclips == "tagged" and not pieces:
        yield from _apply(replace(clip, captions=[c for c in clip.captions if c in whole or c in tagged]), rules)
        return
    if whole or not tagged:
        yield from _apply(replace(clip, captions=whole), rules)
    names: dict[str, int] = {}
    for caption in tagged:
        name = _part_name(clip, caption)
        names[name] = names.get(name, 0) + 1
        name = name if names[name] == 1 else f"{name}_{names[name]}"
        part = clip.features[slice(*_part(caption, clip))]
        yield from _apply(
            replace(clip, id=name, features=part, captions=[replace(caption, start=0.0, end=0.0)]), rules
        )


def _part(caption: Caption, clip: Clip) -> tuple[int, int]:
    return int(caption.start * clip.fps), min(int(caption.end * clip.fps), len(clip.features))


def _part_name(clip: Clip, caption: Caption) -> str:
    return f"{clip.id}@{caption.start:g}-{caption.end:g}"


def _part_fault(caption: Caption, clip: Clip, rules: ClipRules) -> tuple[str, str] | None:
    """Why a caption's time tags cannot be used, with particulars; None where they can."""
    duration = len(clip.features) / clip.fps
    tags = f"{caption.start:g} to {caption.end:g} s in a clip of {duration:.2f} s"
    if not (math.isfinite(caption.start) and math.isfinite(caption.end)) or not 0 <= caption.start < caption.end:
        return "time tags make no part of the clip", tags
    if caption.start >= duration:
        return "time tags begin after the clip's end", tags
    start, end = _part(caption, clip)
    if not rules.min_frames <= end - start:
        return f"part too short (fewer than {rules.min_frames} frames)", f"{end - start} frames"
    if end - start > rules.max_frames and rules.long_clips == "drop":
        return f"part too long (more than {rules.max_frames} frames)", f"{end - start} frames"
    if caption.end > duration + 1.0 / clip.fps:
        return _BEYOND, tags
    return None


def _apply(clip: Clip, rules: ClipRules) -> Iterator[Clip | Skipped]:
    frames = len(clip.features)
    if frames < rules.min_frames:
        yield Skipped(clip.id, f"too short (fewer than {rules.min_frames} frames)", f"{frames} frames")
    elif frames <= rules.crop_frames:
        yield clip
    elif frames <= rules.max_frames or rules.long_clips == "crop":
        if frames > rules.max_frames:
            yield Skipped(clip.id, f"cropped to {rules.crop_frames} frames", f"from {frames}", NOTE)
        yield replace(clip, features=clip.features[: rules.crop_frames])
    elif rules.long_clips == "drop":
        yield Skipped(clip.id, f"too long (more than {rules.max_frames} frames)", f"{frames} frames")
    else:
        yield Skipped(clip.id, f"split into pieces of {rules.crop_frames} frames", f"from {frames}", NOTE)
        for start in range(0, frames, rules.crop_frames):
            part = clip.features[start : start + rules.crop_frames]
            if len(part) >= rules.min_frames:
                yield replace(clip, id=f"{clip.id}@part{start // rules.crop_frames + 1}", features=part)


def map_in_order(function: Callable[[Item], Result], items: Iterable[Item], workers: int = 1) -> Iterator[Result]:
    """`map` over `workers` processes, in order, with a bounded number of results waiting.

    `function` and the items must be picklable. With one worker everything runs in this process.

    Raises:
        ValueError: `workers` is below 1.
    """
    if workers < 1:
        raise ValueError(f"workers is {workers}; at least 1 is due")
    if workers == 1:
        yield from map(function, items)
        return
    # Spawned, not forked: a forked process can hang in the thread pool it inherits from torch.
    with ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn")) as pool:
        waiting: deque = deque()
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) >= 4 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
