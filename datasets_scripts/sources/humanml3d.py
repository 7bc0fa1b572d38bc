"""The official HumanML3D and KIT-ML folders as a source, with every published filter as a named option.

A folder holds `new_joint_vecs/NAME.npy` (features), `texts/NAME.txt` (captions), `train.txt`, `val.txt`, `test.txt`
(names) and `Mean.npy`, `Std.npy`. Mirrored clips are named M + NAME. UniMo's `texts_think*/NAME.txt` carries a fifth
field, the thought.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from datasets_scripts.captions import tokenize_caption
from datasets_scripts.schema import CAPTION, FPS, NOTE, Caption, Clip, Skipped
from datasets_scripts.sources.body_check import BodyError, check_body, check_features, check_numbers
from datasets_scripts.sources.clips import ClipRules, check_fps, guarded, make_rows
from datasets_scripts.sources.conversion import note
from datasets_scripts.sources.reading import read_text
from datasets_scripts.workers import map_in_order
from modeling_unimo.array_files_unimo import load_array
from modeling_unimo.skeletons_unimo import HUMANML3D, KIT, skeleton_for

SPLIT_FILES = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}
# The published length filter is min <= T < 200; 197..199 frames are cut to 196, where the published loaders cut, too.
RULES = {263: ClipRules(min_frames=40), 251: ClipRules(min_frames=24)}
SAFE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,199}")
_TOKEN = re.compile(r"\S+/[A-Z]+")


@dataclass
class Layout:
    """What a folder in the official layout holds."""

    folder: Path
    name: str  # "humanml3d" or "kit"
    feature_dim: int
    texts: Path
    splits: dict[str, Path] = field(default_factory=dict)

    @property
    def fps(self) -> float:
        """Frames per second of the motions."""
        return FPS if self.feature_dim == HUMANML3D.feature_dim else KIT.fps


@dataclass
class TextFile:
    """The captions of one text file, and what could not be used of it."""

    captions: list[Caption] = field(default_factory=list)
    skipped: list[Skipped] = field(default_factory=list)


def find_layout(data_dir: str | Path, texts: str | None = None) -> Layout:
    """Looks at a folder and tells which dataset it is.

    Args:
        data_dir: the folder.
        texts: the subfolder with captions; by default the only `texts_think*` with files in it, else `texts`.

    Returns:
        Where its files are.

    Raises:
        FileNotFoundError: the folder, its motions, its captions or all split files are missing.
        ValueError: several `texts_think*` to choose from, or motions of neither dataset.
    """
    folder = Path(data_dir)
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder}: no such folder")
    motions = folder / "new_joint_vecs"
    if not motions.is_dir():
        raise FileNotFoundError(
            f"{folder} has no new_joint_vecs/: it is not the HumanML3D or KIT-ML layout. For joint positions use "
            "--source joints, for BVH --source bvh"
        )
    splits = find_splits(folder)
    if not splits:
        raise FileNotFoundError(f"{folder} has none of {', '.join(SPLIT_FILES.values())}; copy them from the dataset")
    dim = find_feature_dim(folder)
    return Layout(folder, "kit" if dim == KIT.feature_dim else "humanml3d", dim, find_texts(folder, texts), splits)


def find_texts(folder: Path, texts: str | None = None) -> Path:
    """The subfolder with captions; see `find_layout`.

    Args:
        folder: The dataset folder.
        texts: Name of the subfolder; None looks for it.

    Returns:
        The subfolder.
    """
    if texts is not None:
        if not (folder / texts).is_dir():
            raise FileNotFoundError(f"{folder / texts}: no such folder of captions")
        return folder / texts
    thinking = sorted(path for path in folder.glob("texts_think*") if path.is_dir() and any(path.glob("*.txt")))
    if len(thinking) > 1:
        names = ", ".join(path.name for path in thinking)
        raise ValueError(f"{folder} holds several folders of thoughts ({names}); choose one with --texts")
    if thinking:
        return thinking[0]
    if not (folder / "texts").is_dir():
        raise FileNotFoundError(f"{folder} has no texts/; unpack the captions (texts.zip of the dataset) there")
    return folder / "texts"


def find_feature_dim(folder: Path) -> int:
    """263 or 251, from the statistics where there are any, else from the first motion that can be read.

    Args:
        folder: The dataset folder.

    Returns:
        Numbers a frame.

    Raises:
        ValueError: neither can be told.
    """
    for path in [folder / "Mean.npy", folder / "Std.npy", *sorted((folder / "new_joint_vecs").glob("*.npy"))]:
        try:
            dim = load_array(path).shape[-1:]
        except ValueError:
            continue
        if dim in [(HUMANML3D.feature_dim,), (KIT.feature_dim,)]:
            return int(dim[0])
    raise ValueError(
        f"{folder}: neither Mean.npy nor any file in new_joint_vecs/ has 263 (HumanML3D) or 251 (KIT-ML) columns"
    )


def read_names(path: Path) -> tuple[list[str], list[Skipped]]:
    """The names in a split file, in order, and those that are refused or repeated.

    Args:
        path: The split file.

    Returns:
        The names, and what was skipped.

    Raises:
        ValueError: the file is no text.
    """
    lines = read_text(path).lines
    names: dict[str, None] = {}
    faults = []
    for line in lines:
        name = line.strip()
        if not name:
            continue
        if not SAFE_NAME.fullmatch(name):
            faults.append(Skipped(f"{path.name}: {name[:60]!r}", "name is no plain file name", "refused"))
        elif name in names:
            faults.append(Skipped(name, "named twice in a split file", path.name, NOTE))
        else:
            names[name] = None
    return list(names), faults


def read_texts(path: Path) -> TextFile:
    """Reads one caption file: lines of `caption#word/POS ...#start#end`, with `#thought` behind in UniMo's.

    A caption may itself hold '#': the fields are found by their form, not by counting. Lines that lack fields are
    listed one by one and cost only themselves.

    Args:
        path: The caption file.

    Returns:
        Its captions, and what was skipped.

    Raises:
        ValueError: the file is no text.
    """
    result = TextFile()
    content = read_text(path)
    if content.encoding:
        result.skipped.append(Skipped(path.stem, f"read as {content.encoding}", "save it as UTF-8", NOTE))
    for number, line in enumerate(content.lines, start=1):
        if line.strip():
            _read_line(line.strip(), f"{path.stem} line {number}", result)
    return result


def _read_line(line: str, where: str, result: TextFile) -> None:
    fields = line.split("#")
    at = next((i for i in range(1, len(fields) - 2) if _is_tag_field(fields, i)), None)
    if at is None:
        reason = "caption line lacks fields" if len(fields) < 4 else "fields are not word/POS, start and end"
        result.skipped.append(Skipped(where, reason, line[:80], CAPTION))
        return
    text = "#".join(fields[:at]).strip()
    if not text:
        result.skipped.append(Skipped(where, "empty caption", line[:80], CAPTION))
        return
    if at > 1:
        result.skipped.append(Skipped(where, "'#' in the caption (kept)", text[:80], NOTE))
    words = fields[at].split(" ")
    tokens = [word for word in words if _TOKEN.fullmatch(word)]
    if len(tokens) < len([word for word in words if word]):
        bad = ", ".join(word for word in words if word and not _TOKEN.fullmatch(word))
        result.skipped.append(Skipped(where, "token without a part of speech (left out)", bad[:80], NOTE))
    if not tokens:
        try:
            tokens = tokenize_caption(text)
        except ValueError as error:
            result.skipped.append(Skipped(where, "caption without words", str(error), CAPTION))
            return
        result.skipped.append(Skipped(where, "caption without tokens (made anew)", text[:80], NOTE))
    start, end = (_seconds(word) for word in fields[at + 1 : at + 3])
    thought = "#".join(fields[at + 3 :]).strip()
    if thought and not (thought.startswith("<think>") and thought.endswith("</think>")):
        result.skipped.append(Skipped(where, "thought without <think> tags (kept)", thought[:80], NOTE))
    result.captions.append(Caption(text, tokens, start, end, _normalise_thought(thought)))


def _is_tag_field(fields: list[str], i: int) -> bool:
    """Whether field i holds word/POS tokens (most of its words, or none) and the next two numbers."""
    words = fields[i].split()
    if words and sum(bool(_TOKEN.fullmatch(word)) for word in words) <= len(words) / 2:
        return False
    try:
        float(fields[i + 1]), float(fields[i + 2])
    except ValueError:
        return False
    return True


def _seconds(word: str) -> float:
    """A time tag; 'nan' means none, as published."""
    value = float(word)
    return 0.0 if math.isnan(value) else value


def _normalise_thought(text: str) -> str:
    """A thought without the `<think>` tags that UniMo's text files put around it."""
    text = text.strip()
    return text.removeprefix("<think>").removesuffix("</think>").strip()


def iter_clips(
    data_dir: str | Path,
    texts: str | None = None,
    rules: ClipRules | None = None,
    subclips: str = "tagged",
    subclip_fps: float | None = None,
    mirrored: bool = True,
    min_codes: int = 0,
    workers: int = 1,
) -> Iterator[Clip | Skipped]:
    """The clips of the official HumanML3D or KIT-ML folder, in the order of its split files.

    Args:
        data_dir: the folder.
        texts: the subfolder with captions; see `find_layout`.
        rules: lengths to keep; by default the published ones, 40 <= T < 200 (KIT-ML 24 <= T < 200).
        subclips: what becomes of captions of a part of a clip; see `clips.make_rows`.
        subclip_fps: frames per second by which start and end are turned into frames; by default the motion's (20;
            KIT-ML 12.5 as in UniMo, while text-to-motion used 20 there as well).
        mirrored: keep the clips whose names begin with M.
        min_codes: drop clips of fewer motion codes (4 frames each). The published fine-tuning dropped all below 20 by
            mistake; 20 repeats that.
        workers: processes that read.

    Yields:
        Clips, and what was skipped.

    Raises:
        FileNotFoundError, ValueError: see `find_layout`.
    """
    layout = find_layout(data_dir, texts)
    rules = rules or RULES[layout.feature_dim]
    if min_codes < 0:
        raise ValueError(f"min_codes must be >= 0, got {min_codes}")
    if subclip_fps is not None:
        check_fps(subclip_fps)
    if 4 * min_codes > rules.min_frames:
        rules = replace(rules, min_frames=4 * min_codes)
    read = partial(_convert, layout=layout, rules=rules, subclips=subclips, subclip_fps=subclip_fps or layout.fps)
    owner: dict[str, str] = {}
    for split, path in layout.splits.items():
        names, faults = read_names(path)
        yield from faults
        jobs = []
        for name in names:
            if not mirrored and name.startswith("M"):
                yield Skipped(name, "mirrored (option)")
                continue
            if name in owner:
                # As published, each split file is read for itself; but the figures of such a split mean little.
                yield Skipped(name, "in two splits (kept in both)", f"{owner[name]} and {split}", NOTE)
            owner[name] = split
            jobs.append(_Job(name, split, layout.folder / "new_joint_vecs" / f"{name}.npy"))
        for rows in map_in_order(partial(guarded, read), jobs, workers):
            yield from rows


def count_names(data_dir: str | Path) -> int:
    """How many clips the split files name, for a progress bar.

    Args:
        data_dir: The dataset folder.

    Returns:
        Number of clips.
    """
    return sum(len(read_names(path)[0]) for path in find_splits(Path(data_dir)).values())


def find_splits(folder: Path) -> dict[str, Path]:
    """The split files that a folder has.

    Args:
        folder: The dataset folder.

    Returns:
        Split files by the split's name.
    """
    return {split: folder / name for split, name in SPLIT_FILES.items() if (folder / name).is_file()}


@dataclass(frozen=True)
class _Job:
    """A clip of a split, and the file of its features."""

    name: str
    split: str
    path: Path


def _convert(job: _Job, layout: Layout, rules: ClipRules, subclips: str, subclip_fps: float) -> list[Clip | Skipped]:
    name, split, motion, text = job.name, job.split, job.path, layout.texts / f"{job.name}.txt"
    if not motion.exists():
        return [Skipped(name, "in a split file, but without a motion file", f"new_joint_vecs/{name}.npy")]
    if not text.exists():
        return [Skipped(name, "no caption file", f"{layout.texts.name}/{name}.txt")]
    try:
        features = load_array(motion)
        texts = read_texts(text)
    except ValueError as error:
        return [Skipped(name, "unreadable file", str(error))]
    if features.ndim != 2 or features.shape[1] != layout.feature_dim:
        return [Skipped(name, "wrong shape", f"expected (frames, {layout.feature_dim}), got {features.shape}")]
    if not np.isfinite(features).all():
        return [*texts.skipped, Skipped(name, "NaN or infinite values", motion.name)]
    if not texts.captions:
        return [*texts.skipped, Skipped(name, "no usable caption", text.name)]
    try:
        check_numbers(features)  # before float32, which may not hold them
        clip = Clip(name, features.astype(np.float32), texts.captions, split, layout.name, subclip_fps)
        unusual = check_clip(clip) if len(features) else []
    except BodyError as error:
        return [*texts.skipped, Skipped(name, "no body of a person", str(error))]
    rows = make_rows(clip, rules, subclips)
    return [
        *texts.skipped,
        *(note(name, text) for text in unusual),
        *(_retimed(row, layout.fps) if isinstance(row, Clip) else row for row in rows),
    ]


def check_clip(clip: Clip) -> list[str]:
    """Checks features of either dataset, as `build` and `doctor` do; see `check_body` and `check_features`.

    Args:
        clip: The clip.

    Returns:
        What is wrong with it; empty if nothing is.
    """
    skeleton = skeleton_for(clip.features.shape[1])
    fps = FPS if skeleton is HUMANML3D else KIT.fps
    check_features(clip.features, fps, skeleton)
    return check_body(clip.joints, fps, skeleton, unit=skeleton.unit_scale)


def _retimed(row: Clip, fps: float) -> Clip:
    """The row at its own frame rate, the captions' times still at the frames where the rate of the tags has them."""
    if row.fps == fps:
        return row

    def moved(seconds: float) -> float:
        frame = int(min(seconds * row.fps, len(row.features)))
        time = frame / fps
        return time if int(time * fps) == frame else math.nextafter(time, math.inf)

    captions = [replace(c, start=moved(c.start), end=moved(c.end)) for c in row.captions]
    return replace(row, fps=fps, captions=captions)
