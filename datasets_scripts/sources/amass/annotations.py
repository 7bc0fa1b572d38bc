"""Which clips to make of which AMASS files, and their captions: HumanML3D's index, BABEL, KIT-ML, or one's own."""

from __future__ import annotations

import csv
import json
import re
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

from datasets_scripts.captions import tokenize_caption
from datasets_scripts.schema import CAPTION, NOTE, Caption, Skipped
from datasets_scripts.sources.amass.releases import source_key
from datasets_scripts.sources.caption_file import Record, assign_splits, make_caption, read_captions
from datasets_scripts.sources.humanml3d import SAFE_NAME, SPLIT_FILES, read_names

CAPTIONS = ("humanml3d", "babel", "kit")
INDEX_ROWS = 14616  # of the published index.csv
LIST_FILES = (*SPLIT_FILES.values(), "train_val.txt", "all.txt")
_COLUMNS = ("source_path", "start_frame", "end_frame", "new_name")
_OPPOSITES = {"left": "right", "clockwise": "counterclockwise"}
_OPPOSITES |= {b: a for a, b in _OPPOSITES.items()}


@dataclass(frozen=True)
class Row:
    """A clip to make: frames `start` to `end` (exclusive; None: all) of an AMASS file at 20 frames per second."""

    name: str
    key: str
    start: int | None = None
    end: int | None = None

    @property
    def frames(self) -> int | None:
        """Frames that the index promises; None where it does not tell."""
        if self.start is None or self.end is None or self.end < 0:
            return None
        return max(self.end - self.start, 0)


@dataclass
class Annotations:
    """Clips, captions and splits of one annotation set.

    Attributes:
        name: "humanml3d", "babel", "kit" or the file's name.
        rows: the clips.
        read_text: the caption file of a clip (also M + name) in HumanML3D's form; None where there is none.
        lists: names by file ("train.txt", ...), in order.
        faults: what could not be used.
    """

    name: str
    rows: list[Row]
    read_text: Callable[[str], bytes | None]
    lists: dict[str, list[str]]
    faults: list[Skipped] = field(default_factory=list)

    @property
    def is_published_index(self) -> bool:
        """Whether these are all rows of the published HumanML3D, so that its totals are due."""
        return self.name == "humanml3d" and len(self.rows) == INDEX_ROWS


def load_annotations(root: Path, captions: str = "humanml3d", mirrored: bool = True) -> Annotations:
    """Reads an annotation set.

    Args:
        root: folder of the data.
        captions: "humanml3d" (`index.csv`, `texts/` or `texts.zip`, split lists, in `root` or its `HumanML3D/`),
            "babel" (`train.json`, `val.json` in a folder `babel*`), "kit" (`kitml.json`, with AMASS paths), or a
            captions.jsonl whose ids are AMASS paths.
        mirrored: make the mirrored clips, too (where captions are not given for them, left and right are exchanged).

    Returns:
        The annotation set.

    Raises:
        FileNotFoundError: a file is missing.
        ValueError: a file is of another form.
    """
    if captions == "humanml3d":
        return _humanml3d(root, mirrored)
    if captions == "babel":
        return _from_records("babel", _babel(root), mirrored)
    if captions == "kit":
        return _from_records("kit", _unified(find_in(root, "kitml.json")), mirrored)
    path = Path(captions)
    if not path.is_file():
        raise FileNotFoundError(f"--captions {captions}: neither {', '.join(CAPTIONS)} nor a captions.jsonl file")
    read = read_captions(path)
    annotations = _from_records(path.stem, read.records.values(), mirrored)
    return replace(annotations, faults=read.skipped + annotations.faults)


def find_in(root: Path, name: str) -> Path:
    """A file or folder of the HumanML3D repository, in `root` or in its folder HumanML3D.

    Args:
        root: The data folder.
        name: Name of the file or folder.

    Returns:
        Its path.

    Raises:
        FileNotFoundError: it is in neither.
    """
    for path in (root / name, root / "HumanML3D" / name, root / "annotations" / name):
        if path.exists():
            return path
    raise FileNotFoundError(f"{root} has no {name}, nor has {root / 'HumanML3D'}; copy it from its repository")


# ---------------------------------------------------------------------------------------------------- HumanML3D
def _humanml3d(root: Path, mirrored: bool) -> Annotations:
    rows, faults = read_index(find_in(root, "index.csv"))
    names = {row.name for row in rows}
    lists: dict[str, list[str]] = {}
    for file in LIST_FILES:
        try:
            listed, wrong = read_names(find_in(root, file))
        except FileNotFoundError:
            if file in SPLIT_FILES.values():
                raise
            continue
        faults += wrong
        lists[file] = [name for name in listed if mirrored or name in names]
        unknown = [name for name in listed if name not in names and name.removeprefix("M") not in names]
        faults += [Skipped(name, "in a split list, but not in index.csv", file) for name in unknown]
    return Annotations("humanml3d", rows, _text_reader(root), lists, faults)


def read_index(path: Path) -> tuple[list[Row], list[Skipped]]:
    """The rows of HumanML3D's index.csv, and those that cannot be used.

    Args:
        path: The index.csv.

    Returns:
        The rows, and what was skipped.

    Raises:
        ValueError: the file has not the columns of the index, or not one usable row.
    """
    rows: dict[str, Row] = {}
    faults = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            table = csv.DictReader(file)
            missing = set(_COLUMNS) - set(table.fieldnames or ())
            if missing:
                raise ValueError(
                    f"{path}: columns {', '.join(table.fieldnames or ['none'])}; HumanML3D's index.csv has "
                    f"{', '.join(_COLUMNS)}: copy it from the HumanML3D repository"
                )
            for line, entry in enumerate(table, start=2):
                where = f"{path.name} line {line}"
                try:
                    name = (entry["new_name"] or "").strip().removesuffix(".npy")
                    if not SAFE_NAME.fullmatch(name) or not (entry["source_path"] or "").strip():
                        raise ValueError(f"name {name!r}, source {entry['source_path']!r}")
                    row = Row(
                        name, source_key(entry["source_path"]), int(entry["start_frame"]), int(entry["end_frame"])
                    )
                except (TypeError, ValueError) as error:
                    faults.append(Skipped(where, "index row cannot be read", str(error)))
                    continue
                if name not in rows:
                    rows[name] = row
                elif rows[name] == row:
                    faults.append(Skipped(where, "index row repeated", name, NOTE))
                else:
                    faults.append(Skipped(where, "name of an earlier index row (first one kept)", name))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"{path} is no CSV file in UTF-8 ({error}); copy it from the HumanML3D repository") from error
    if not rows:
        raise ValueError(f"{path}: not one usable row; copy it from the HumanML3D repository")
    return list(rows.values()), faults


def _text_reader(root: Path) -> Callable[[str], bytes | None]:
    try:
        folder = find_in(root, "texts")
        if folder.is_dir():
            return lambda name: path.read_bytes() if (path := folder / f"{name}.txt").is_file() else None
    except FileNotFoundError:
        pass
    path = find_in(root, "texts.zip")
    try:
        archive = zipfile.ZipFile(path)
    except (OSError, zipfile.BadZipFile) as error:
        raise ValueError(f"{path}: cut or no zip file ({error}); download it again") from error
    members = {Path(name).stem: name for name in archive.namelist() if name.endswith(".txt")}
    return lambda name: archive.read(members[name]) if name in members else None


# ---------------------------------------------------------------------------------- captions by AMASS path
def _babel(root: Path) -> Iterable[Record]:
    """BABEL's labels: of the whole sequence, and of segments with times."""
    folders = [path.parent for path in sorted(root.glob("babel*/**/train.json"))]
    if not folders:
        raise FileNotFoundError(f"{root} has no babel*/train.json; unpack BABEL's release there")
    for file, split in (("train.json", "train"), ("val.json", "validation")):
        for sequence in _load_json(folders[0] / file).values():
            captions = []
            for annotation in (sequence.get("seq_ann"), sequence.get("frame_ann")):
                for label in (annotation or {}).get("labels", ()):
                    text = label.get("raw_label") or label.get("proc_label") or ""
                    if text and "transition" not in (label.get("act_cat") or ()):
                        captions.append((text, label.get("start_t", 0.0), label.get("end_t", 0.0)))
            yield Record(sequence["feat_p"], _captions(captions), split)


def _unified(path: Path) -> Iterable[Record]:
    """Captions joined on AMASS paths: `{id: {"path", "duration", "annotations": [{"text", "start", "end"}]}}`."""
    for entry in _load_json(path).values():
        captions = [(a["text"], a.get("start", 0.0), a.get("end", 0.0)) for a in entry["annotations"]]
        whole = entry.get("duration", 0.0) - 0.1
        yield Record(entry["path"], _captions((t, a, 0.0 if not a and b >= whole else b) for t, a, b in captions))


def _load_json(path: Path) -> dict:
    try:
        loaded = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); download it again") from error
    if not isinstance(loaded, dict):
        raise ValueError(f"{path} holds {type(loaded).__name__}, not an object of sequences")
    return loaded


def _captions(spans: Iterable[tuple[str, float, float]]) -> list[Caption]:
    captions = []
    for text, start, end in spans:
        try:
            captions.append(make_caption(text.replace("#", " "), float(start), float(end)))
        except ValueError:
            continue  # a label without a word
    return captions


def _from_records(name: str, records: Iterable[Record], mirrored: bool) -> Annotations:
    """Clips of whole files, each with all captions given for its path."""
    merged: dict[str, Record] = {}
    faults = []
    for record in records:
        key = source_key(record.id)
        if not record.captions:
            faults.append(Skipped(record.id, "no usable caption", kind=CAPTION))
        elif key in merged:
            merged[key].captions += record.captions
        else:
            merged[key] = replace(record, id=key)
    names = {key: re.sub(r"[^A-Za-z0-9.-]+", "_", key).strip("_.-") for key in merged}
    splits = assign_splits(merged, {key: record.split for key, record in merged.items()})
    texts: dict[str, list[Caption]] = {}
    lists: dict[str, list[str]] = {file: [] for file in SPLIT_FILES.values()}
    for key, record in merged.items():
        texts[names[key]] = record.captions
        lists[SPLIT_FILES[splits[key]]].append(names[key])
        if mirrored:
            texts["M" + names[key]] = [mirror_caption(caption) for caption in record.captions]
            lists[SPLIT_FILES[splits[key]]].append("M" + names[key])

    def read_text(name: str) -> bytes | None:
        if name not in texts:
            return None
        lines = (f"{c.text}#{' '.join(c.tokens)}#{c.start}#{c.end}\n" for c in texts[name])
        return "".join(lines).encode()

    return Annotations(name, [Row(names[key], key) for key in merged], read_text, lists, faults)


def mirror_caption(caption: Caption) -> Caption:
    """The caption of the mirrored motion: left and right, clockwise and counterclockwise exchanged.

    Args:
        caption: The caption.

    Returns:
        The mirrored caption.
    """
    words = re.compile(rf"\b({'|'.join(_OPPOSITES)})\b", re.IGNORECASE)
    text = words.sub(lambda match: _OPPOSITES[match.group().lower()], caption.text)
    return replace(caption, text=text, tokens=tokenize_caption(text))
