"""Motions and captions of any system as files: what `run --save_motions` writes and `evaluate_unimo.score` reads.

A folder of motions holds, for sample 0 of clip ID, `ID.npy`, `ID_0.npy` or `ID/0.npy` (further samples `ID_1.npy` or
`ID/1.npy`; `.bvh` likewise): features (T, D) as the dataset's, joints (T, 22, 3), or BVH. A sample answers the clip's
first caption, unless a line {"id", "sample", "caption"} of `captions.jsonl` beside the files names another one, by its
index or its text. Captions are a JSON Lines file of {"id", "caption"} with an optional "sample".
"""

import json
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from datasets_scripts.captioned_motions import CaptionedMotion
from evaluate_unimo.protocol import Asked
from modeling_unimo.files_unimo import atomic_write, read_json, write_json, write_json_lines

CAPTIONS, SETTINGS = "captions.jsonl", "settings.json"
MIN_FRAMES = 4  # one unit of the judges
MAX_FRAMES = 196  # the published evaluation cuts a generated motion to as many
_SAMPLE = re.compile(r"(.+)[_/](\d+)")

Key = tuple[str, int]  # clip and sample


class AnswerWriter:
    """Saves what a run generates, for `evaluate_unimo.score`.

    Args:
        folder: Gets the files.
        settings: What `score` needs to draw the same captions: split, seed, halves, pool_size; and where it is known,
            how many captions have words that the model never met, as unknown_words.
    """

    def __init__(self, folder: Path, settings: Mapping[str, Any]) -> None:
        self.folder, self.settings = folder, dict(settings)

    def motions(self, answers: Sequence[Asked], sample: int) -> None:
        """Save the motions of one repeat; an invalid answer gets a line but no file.

        Args:
            answers: Clip, caption and motion of each.
            sample: Number of the repeat.

        Raises:
            ValueError: The id of a clip is not a path inside the folder.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / SETTINGS, self.settings)
        kept = [line for line in _lines(self.folder / CAPTIONS) if line["sample"] != sample]
        for one in answers:
            kept.append({"id": one.id, "sample": sample, "caption": one.choice, "text": one.text})
            if one.motion is not None:
                path = self.folder / one.id / f"{sample}.npy"
                if not path.resolve().is_relative_to(self.folder.resolve()):
                    raise ValueError(
                        f"clip id {one.id!r} is not a path inside {self.folder}; its motion cannot be saved"
                    )
                path.parent.mkdir(parents=True, exist_ok=True)
                with atomic_write(path) as part:
                    np.save(part, torch.as_tensor(one.motion).cpu().numpy())
        write_json_lines(self.folder / CAPTIONS, kept)

    def captions(self, answers: Sequence[tuple[str, str | None]], sample: int) -> None:
        """Save the captions of one repeat; an invalid answer is null.

        Args:
            answers: Clip id and caption of each.
            sample: Number of the repeat.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "m2t.jsonl"
        kept = [line for line in _lines(path) if line["sample"] != sample]
        write_json_lines(path, kept + [{"id": clip, "sample": sample, "caption": text} for clip, text in answers])


def saved_settings(folder: str | Path) -> dict[str, Any]:
    """Settings with which the motions of a folder were generated.

    Args:
        folder: Folder of motions.

    Returns:
        The settings; empty if the folder was not written by `evaluate_unimo.run`.

    Raises:
        ValueError: The file holds something else.
    """
    path = Path(folder) / SETTINGS
    if not path.is_file():
        return {}
    return read_json(path)


class Answers:
    """What was found of a system's answers, and what of it cannot be used.

    Attributes:
        samples: Number of samples a clip.
    """

    def __init__(self, entries: Sequence[CaptionedMotion], other_splits: Mapping[str, set[str]]) -> None:
        self.ids = {entry.id for entry in entries}
        self.other_splits = other_splits
        self._problems: dict[str, dict[str, None]] = {}
        self.samples = 0

    @property
    def problems(self) -> dict[str, list[str]]:
        """{kind of problem: names of the clips, files or lines}."""
        return {problem: list(names) for problem, names in self._problems.items()}

    def report(self, problem: str, name: str) -> None:
        """Count and list an answer that cannot be used.

        Args:
            problem: The reason.
            name: File or line of the answer.
        """
        self._problems.setdefault(problem, {})[name] = None

    def _unknown(self, clip: str, name: str) -> None:
        split = next((split for split, ids in self.other_splits.items() if clip in ids), None)
        self.report(f"clip of split {split}" if split else "no such clip in the dataset", name)

    def _require(self, found: Collection[Key], named: Collection[Key], where: Path, split: str) -> None:
        """Refuse if nothing was found, and count the samples, those that are named without an answer among them."""
        if not found:
            counts = [f"{problem}: {len(names)}" for problem, names in self.problems.items()] or ["it is empty"]
            raise ValueError(f"{where} holds no answer to a clip of split {split!r} ({'; '.join(counts)})")
        numbers = sorted({sample for _, sample in named})
        missing = next((number for number, sample in enumerate(numbers) if number != sample), None)
        if missing is not None:
            raise ValueError(f"{where}: samples must be numbered from 0 without gaps; {numbers[-1]} has no {missing}")
        self.samples = len(numbers)


class MotionAnswers(Answers):
    """The motions in a folder, read when they are asked for.

    Args:
        folder: See the module.
        entries: The clips of the split, with its captions.
        split: Its name, for messages.
        other_splits: {name: ids} of the dataset's other splits.
        fps: Frames per second of joints in .npy files.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: No file belongs to a clip of the split, samples with gaps in their numbers, or a line of
            captions.jsonl that cannot be used.
    """

    def __init__(
        self,
        folder: Path,
        entries: Sequence[CaptionedMotion],
        split: str,
        other_splits: Mapping[str, set[str]],
        fps: float = 20.0,
    ) -> None:
        super().__init__(entries, other_splits)
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: no such folder of motions")
        self.fps, self.width = fps, entries[0].motion.shape[1]
        self.frame_rates: Counter[str] = Counter()
        self.files: dict[Key, Path] = {}
        others = [path.parent for path in folder.rglob(SETTINGS) if path.parent != folder]
        paths = sorted(path for suffix in ("npy", "bvh") for path in folder.rglob(f"*.{suffix}"))
        twice: set[Key] = set()
        self._unclear: set[Key] = set()  # of several captions
        for path in paths:
            if any(other in path.parents for other in others):
                continue  # the answers of another split
            name = path.relative_to(folder).as_posix()
            key = self._key(name.removesuffix(path.suffix))
            if key[0] not in self.ids:
                self._unknown(key[0], name)
            elif key in self.files:
                twice.add(key)
                self.report("several files of one sample", f"{key[0]}, sample {key[1]}")
            else:
                self.files[key] = path
        self.choices = self._choices(folder / CAPTIONS, {entry.id: entry.texts for entry in entries})
        self._require(self.files, {*self.files, *self.choices}, folder, split)
        for key in twice | self._unclear:  # which one was meant is unknown
            del self.files[key]

    def _key(self, name: str) -> Key:
        known = self.ids.union(*self.other_splits.values())
        match = _SAMPLE.fullmatch(name)
        if name in known or not match:
            return name, 0
        return match[1], int(match[2])

    def _choices(self, path: Path, texts: Mapping[str, list[str]]) -> dict[Key, int]:
        """The caption that each sample answers, by its index, where captions.jsonl names it."""
        choices: dict[Key, int] = {}
        for number, line in enumerate(_lines(path), 1):
            clip, sample, choice = str(line.get("id")), line.get("sample", 0), line.get("caption", 0)
            if clip not in texts:
                self._unknown(clip, f"{path.name}, line {number}")
                continue
            if not _is_index(sample):
                raise ValueError(f"{path}, line {number}: sample must be a whole number >= 0, got {sample!r}")
            if choice in texts[clip]:
                choice = texts[clip].index(choice)
            if not _is_index(choice) or choice >= len(texts[clip]):
                raise ValueError(
                    f"{path}, line {number}: caption must be a caption of {clip} or its index, 0 to "
                    f"{len(texts[clip]) - 1}, got {choice!r}"
                )
            if line.get("text", texts[clip][choice]) != texts[clip][choice]:
                raise ValueError(f"{path}, line {number}: caption {choice} of {clip} is another text in this dataset")
            if choices.setdefault((clip, sample), choice) != choice:
                self._unclear |= {(clip, sample)} & self.files.keys()
                self.report(f"several captions of one sample in {path.name}", f"{clip}, sample {sample}")
        return choices

    def choice(self, clip: str, sample: int) -> int:
        """Index of the caption that a sample answers.

        Args:
            clip: Id of the clip.
            sample: Number of the sample.

        Returns:
            Index into the captions of the clip.
        """
        return self.choices.get((clip, sample), 0)

    def motion(self, clip: str, sample: int) -> np.ndarray | None:
        """Read one sample; report it if it cannot be used.

        Args:
            clip: Id of the clip.
            sample: Number of the sample.

        Returns:
            Features (T, D), or None.
        """
        path = self.files.get((clip, sample))
        if path is None:
            if (clip, sample) not in self.choices:
                self.report("clip without a motion", f"{clip}, sample {sample}")
            return None
        try:
            return self._load(path, f"{clip}, sample {sample}")
        except ValueError as error:
            self.report(str(error), f"{clip}, sample {sample}")
            return None

    def _load(self, path: Path, name: str) -> np.ndarray:
        from datasets_scripts.sources.bvh import BvhError, bvh_to_features, read_bvh
        from datasets_scripts.sources.clips import resample
        from datasets_scripts.sources.orientation import gather
        from datasets_scripts.sources.reading import for_convert_motion
        from modeling_unimo.array_files_unimo import load_array
        from modeling_unimo.motion_representation import HUMANML3D, joints_to_features

        if path.suffix == ".bvh":
            try:
                self.frame_rates[f"{read_bvh(path).fps:.4g}"] += 1
                features = bvh_to_features(path)
            except BvhError as error:
                raise ValueError(f"unusable BVH: {for_convert_motion(str(error))}") from error
        else:
            try:
                features = load_array(path)
            except ValueError as error:
                raise ValueError("unreadable .npy") from error
            if features.ndim == 3:
                if features.shape[1:] != (HUMANML3D.num_joints, 3) or self.width != HUMANML3D.feature_dim:
                    raise ValueError(f"wrong skeleton: {features.shape[1:]} instead of (22, 3) joints")
                _check_values(features)
                if len(features) < MIN_FRAMES:
                    raise ValueError(f"fewer than {MIN_FRAMES} frames")
                self.frame_rates[f"{self.fps:.4g}"] += 1
                joints = features.astype(np.float32)
                joints = gather([joints], self.fps)[0].decide().apply(resample(joints, self.fps))
                features = np.asarray(joints_to_features(joints, target_offsets=HUMANML3D.default_offsets))
            elif features.ndim != 2 or features.shape[1] != self.width:
                raise ValueError(f"wrong shape: {features.shape[1:]} instead of ({self.width},) features a frame")
        _check_values(features)
        if len(features) < MIN_FRAMES:
            raise ValueError(f"fewer than {MIN_FRAMES} frames")
        if len(features) > MAX_FRAMES:
            self.report(f"cut to {MAX_FRAMES} frames", name)
        return features[:MAX_FRAMES].astype(np.float32, copy=False)

    def summary(self) -> dict[str, Any]:
        """Summary of what was read; mixed frame rates, each resampled to the dataset's, show here.

        Returns:
            Counts and frame rates.
        """
        rates = {"frame_rates": dict(self.frame_rates)} if self.frame_rates else {}
        return {"files": len(self.files), "samples": self.samples, **rates, "problems": self.problems}


class CaptionAnswers(Answers):
    """The captions in a JSON Lines file.

    Args:
        path: See the module.
        entries: The clips of the split.
        split: Its name, for messages.
        other_splits: {name: ids} of the dataset's other splits.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A line is no JSON object with an id, no line belongs to a clip of the split, or samples with gaps
            in their numbers.
    """

    def __init__(
        self, path: Path, entries: Sequence[CaptionedMotion], split: str, other_splits: Mapping[str, set[str]]
    ) -> None:
        super().__init__(entries, other_splits)
        if not path.is_file():
            raise FileNotFoundError(f"{path}: no such file of captions")
        found: dict[Key, str | None] = {}
        twice: set[Key] = set()
        for number, line in enumerate(_lines(path), 1):
            clip, sample, caption = line.get("id"), line.get("sample", 0), line.get("caption")
            if not isinstance(clip, str) or not _is_index(sample) or "caption" not in line:
                raise ValueError(f'{path}, line {number}: must be {{"id": string, "caption": string}}, got {line}')
            if clip not in self.ids:
                self._unknown(clip, f"{clip}, line {number}")
                continue
            if (clip, sample) in found:
                twice.add((clip, sample))
                self.report("several captions of one sample", f"{clip}, sample {sample}")
            if caption is not None and not isinstance(caption, str):
                self.report("caption is no string", f"{clip}, sample {sample}")
                caption = None
            elif caption is not None and not caption.strip():
                self.report("empty caption", f"{clip}, sample {sample}")
            found[clip, sample] = caption
        self._require(found, found, path, split)
        self.found = {key: caption for key, caption in found.items() if key not in twice}

    def caption(self, clip: str, sample: int) -> str | None:
        """Read one sample; report it if it is missing.

        Args:
            clip: Id of the clip.
            sample: Number of the sample.

        Returns:
            The caption, or None.
        """
        if (clip, sample) not in self.found:
            self.report("clip without a caption", f"{clip}, sample {sample}")
        return self.found.get((clip, sample))

    def summary(self) -> dict[str, Any]:
        """Summary of what was read.

        Returns:
            Counts.
        """
        return {"captions": len(self.found), "samples": self.samples, "problems": self.problems}


def _is_index(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value >= 0


def _check_values(values: np.ndarray) -> None:
    """Refuse what float32 and the judges cannot hold, in words that are the same for all such files."""
    from datasets_scripts.sources.body_check import BodyError, check_numbers

    if values.dtype.kind not in "fiu":
        raise ValueError("no real numbers")
    try:
        check_numbers(values)
    except BodyError as error:
        raise ValueError(str(error).partition(",")[0]) from error


def _lines(path: Path) -> list[dict[str, Any]]:
    """The objects of a JSON Lines file; none where it is absent."""
    lines: list[dict[str, Any]] = []
    try:
        text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
    except UnicodeDecodeError as error:
        raise ValueError(f"{path}: is not UTF-8 text ({error})") from error
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: a caption may hold U+2028
        if line.strip():
            try:
                value = json.loads(line)
            except json.JSONDecodeError as error:
                raise ValueError(f"{path}, line {number}: is not valid JSON ({error})") from error
            if not isinstance(value, dict):
                raise ValueError(f"{path}, line {number}: must be a JSON object, got {line[:60]}")
            lines.append(value)
    return lines
