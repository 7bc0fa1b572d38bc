"""The one dataset schema of UniMo: the row, the writer of Parquet folders and the reader that checks them.

A row is one motion clip::

    id        string, unique in its split
    motion    Array2D((None, D), float32), raw features (never normalised), D = 263 (HumanML3D) or 251 (KIT)
    fps       float32, frames per second of `motion`
    source    string, where the clip came from
    captions  list of {text, tokens ["word/POS", ...], start, end (seconds of this clip, 0/0 = all of it), thought}

A dataset is a folder::

    README.md             card with the `configs` that let `datasets.load_dataset(folder)` find the splits
    data/<split>-00000-of-0000N.parquet
    build.json            what was kept and dropped, the marker by which a later build knows that it may replace it
    skipped.jsonl         one line for every clip or caption that was left out or changed, with the reason
    thoughts.parquet      only where thoughts were annotated or joined: where each one comes from (see `texts`)
"""

from __future__ import annotations

import glob
import json
import shutil
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datasets_scripts.locks import locked_output, partial_folder
from datasets_scripts.templates import CARDS, render
from modeling_unimo.disk_errors import ROOM, check_room
from modeling_unimo.files_unimo import write_json, write_text

if TYPE_CHECKING:
    from datasets import DatasetDict, Features

FPS = 20.0
FORMAT = "unimo-motion-dataset"
MAX_FRAMES = 196  # 49 codes of four frames: the longest motion the model reads or writes
SPLITS = ("train", "validation", "test")
CLIP, CAPTION, NOTE, SOURCE = "clip", "caption", "note", "source"
_OWN_FILES = {"README.md", "build.json", "skipped.jsonl", "data", "thoughts.parquet", "hub_push.json"}
# Not the motion: no number of it comes twice, and looking for one costs half as much again and a tenth in size.
_REPEATED_COLUMNS = ["fps", "source", *(f"captions.list.element.{name}" for name in ("text", "start", "end"))]
_REPEATED_COLUMNS.append("captions.list.element.tokens.list.element")
_ROWS_THAT_TELL = 1000  # how large a dataset will be
_ROWS_PER_GROUP = 100  # about 12 MB of features: bounds both the writer's memory and a streaming reader's


@dataclass
class Caption:
    """One description of a clip, or of its part from `start` to `end` seconds (both 0: the whole clip)."""

    text: str
    tokens: list[str] = field(default_factory=list)
    start: float = 0.0
    end: float = 0.0
    thought: str = ""


@dataclass
class Clip:
    """One motion with its captions: `features` is (T, D) float32, raw."""

    id: str
    features: np.ndarray
    captions: list[Caption]
    split: str = "train"
    source: str = ""
    fps: float = FPS

    @cached_property
    def joints(self) -> np.ndarray:
        """Joints (T, J, 3) of the features, computed once for whoever looks at the body."""
        from modeling_unimo.recovery_unimo import features_to_joints
        from modeling_unimo.skeletons_unimo import skeleton_for

        return np.asarray(features_to_joints(self.features, skeleton_for(self.features.shape[1])))


@dataclass
class Skipped:
    """Something a source left out or changed: counted in the summary and listed in `skipped.jsonl`.

    `reason` is a short category that many items share ("too short"), `detail` the particulars of this one.
    `kind` tells what was lost: "clip" (the whole clip), "caption" (one caption of a clip), "note" (nothing lost, but
    changed, such as a clip that was cropped) or "source" (what was decided for all clips, with the evidence).
    """

    id: str
    reason: str
    detail: str = ""
    kind: str = CLIP

    def __post_init__(self) -> None:
        # Names of files and half surrogates may be no Unicode, but what is listed must be writable.
        self.id, self.detail = (
            text.encode("utf-8", "backslashreplace").decode("utf-8") for text in (self.id, self.detail)
        )


@dataclass
class SplitSummary:
    """What one split holds."""

    clips: int = 0
    captions: int = 0
    thoughts: int = 0
    frames: int = 0
    seconds: float = 0.0


@dataclass
class BuildSummary:
    """What a build kept and dropped, with reasons."""

    output: str = ""
    feature_dim: int = 263
    splits: dict[str, SplitSummary] = field(default_factory=dict)
    skipped: dict[str, dict[str, int]] = field(default_factory=lambda: {CLIP: {}, CAPTION: {}, NOTE: {}, SOURCE: {}})
    examples: dict[str, list[str]] = field(default_factory=dict)

    @property
    def kept(self) -> int:
        """Number of clips written."""
        return sum(split.clips for split in self.splits.values())

    @property
    def dropped(self) -> int:
        """Number of clips left out."""
        return sum(self.skipped[CLIP].values())

    def count(self, item: Skipped) -> None:
        """Count a skipped clip; the first three of each reason are kept as examples.

        Args:
            item: The skipped clip.
        """
        reasons = self.skipped[item.kind]
        reasons[item.reason] = reasons.get(item.reason, 0) + 1
        examples = self.examples.setdefault(f"{item.kind}: {item.reason}", [])
        if len(examples) < 3:
            examples.append(f"{item.id} ({item.detail})" if item.detail else item.id)

    def table(self) -> str:
        """Format the summary: splits first, then every reason with its count and an example.

        Returns:
            Aligned text.
        """
        lines = [f"{'split':<18}{'clips':>8}{'captions':>10}{'thoughts':>10}{'frames':>10}{'minutes':>9}"]
        for name, split in self.splits.items():
            lines.append(
                f"{name:<18}{split.clips:>8}{split.captions:>10}{split.thoughts:>10}"
                f"{split.frames:>10}{split.seconds / 60:>9.1f}"
            )
        titles = {
            CLIP: "clips dropped",
            CAPTION: "captions dropped",
            NOTE: "changed or worth knowing",
            SOURCE: "decided for the source",
        }
        for kind, title in titles.items():
            reasons = self.skipped[kind]
            if reasons:
                lines.append(f"{title}: {sum(reasons.values())}")
            for reason, number in sorted(reasons.items(), key=lambda entry: -entry[1]):
                example = "; ".join(self.examples.get(f"{kind}: {reason}", [])[:2])
                lines.append(f"  {number:>6}  {reason}{': ' + example if example else ''}")
        return "\n".join(lines)


def dataset_features(feature_dim: int = 263) -> Features:
    """Schema of a dataset.

    Args:
        feature_dim: Columns of the motion.

    Returns:
        The `datasets.Features` of a row.
    """
    from datasets import Array2D, Features, List, Value

    return Features(
        {
            "id": Value("string"),
            "motion": Array2D((None, feature_dim), "float32"),
            "fps": Value("float32"),
            "source": Value("string"),
            "captions": List(
                {
                    "text": Value("string"),
                    "tokens": List(Value("string")),
                    # Double precision: 1.15 s at 20 fps is frame 23, in single precision 22.
                    "start": Value("float64"),
                    "end": Value("float64"),
                    "thought": Value("string"),
                }
            ),
        }
    )


def find_fault(clip: Clip, feature_dim: int) -> Skipped | None:
    """Check that a clip can be a row.

    Args:
        clip: The clip.
        feature_dim: Columns of the dataset's motions.

    Returns:
        Why it cannot, or None.
    """
    motion = clip.features
    if motion.ndim != 2 or motion.shape[1] != feature_dim:
        detail = f"features of shape {tuple(motion.shape)} instead of (frames, {feature_dim})"
        return Skipped(clip.id, "other skeleton or shape", detail)
    if len(motion) < 4:
        return Skipped(clip.id, "too short", f"{len(motion)} frames; a motion code takes 4")
    if not np.isfinite(motion).all():
        frame = int(np.argwhere(~np.isfinite(motion))[0][0])
        return Skipped(clip.id, "NaN or infinite values", f"first in frame {frame}")
    if not any(caption.text.strip() for caption in clip.captions):
        return Skipped(clip.id, "no caption")
    return None


def check_output(output: str | Path) -> Path:
    """Check that a dataset may be written to a folder.

    Args:
        output: A new or empty folder, or an earlier build.

    Returns:
        The folder.

    Raises:
        FileExistsError: `output` is a file, or contains anything that a build did not write.
    """
    output = Path(output)
    if output.exists() and not output.is_dir():
        raise FileExistsError(f"{output} is a file; give --output a folder that does not exist yet")
    if not output.is_dir():
        return output
    names = {entry.name for entry in output.iterdir()}
    if names and (names - _OWN_FILES or not _is_build(output)):
        foreign = ", ".join(sorted(names - _OWN_FILES)[:5]) or "files without a build.json of this package"
        raise FileExistsError(f"{output} holds something else ({foreign}); give another folder or empty this one")
    return output


def _is_build(folder: Path) -> bool:
    marker = folder / "build.json"
    if not marker.is_file():
        return False
    try:
        return json.loads(marker.read_text(encoding="utf-8")).get("format") == FORMAT
    except (json.JSONDecodeError, UnicodeDecodeError, AttributeError):
        return False


def _restore_previous(output: Path) -> None:
    """Puts an earlier dataset back that a killed build had moved aside, and removes those that were replaced."""
    for folder in sorted(output.parent.glob(f".{glob.escape(output.name)}.previous-*")):
        if not output.exists():
            folder.rename(output)
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _replacing(output: Path) -> Iterator[Path]:
    """A sibling folder that becomes `output` when the block succeeds and vanishes when it does not."""
    output = check_output(output).absolute()
    with locked_output(output):
        _restore_previous(output)
        with partial_folder(output) as partial:
            yield partial
            check_output(output)
            previous = None
            if output.exists():
                previous = output.parent / f".{output.name}.previous-{uuid.uuid4().hex[:8]}"
                output.rename(previous)
            partial.rename(output)
        if previous is not None:
            shutil.rmtree(previous)


class _SplitWriter:
    """Writes the clips of one split to numbered Parquet shards, a row group at a time."""

    def __init__(self, folder: Path, split: str, feature_dim: int, shard_bytes: int):
        self.folder, self.split, self.feature_dim, self.shard_bytes = folder, split, feature_dim, shard_bytes
        self.schema = dataset_features(feature_dim).arrow_schema
        self.rows: list[Clip] = []
        self.paths: list[Path] = []
        self.writer: Any = None  # pyarrow.parquet.ParquetWriter
        self.written = 0

    def add(self, clip: Clip) -> None:
        self.rows.append(clip)
        if len(self.rows) >= _ROWS_PER_GROUP:
            self._flush()

    def close(self) -> None:
        self._flush()
        self._close_shard()
        for index, path in enumerate(self.paths):
            path.rename(self.folder / f"{self.split}-{index:05d}-of-{len(self.paths):05d}.parquet")

    def abandon(self) -> None:
        """Lets go of an open file, so that the folder of a failed build can be removed."""
        self._close_shard()

    def _close_shard(self) -> None:
        if self.writer is not None:
            self.writer.close()
            self.writer = None

    def _flush(self) -> None:
        if not self.rows:
            return
        import pyarrow.parquet as pq

        if self.writer is None:
            self.paths.append(self.folder / f"{self.split}.{len(self.paths)}.tmp")
            self.writer = pq.ParquetWriter(
                self.paths[-1], self.schema, compression="zstd", use_dictionary=_REPEATED_COLUMNS
            )
            self.written = 0
        self.writer.write_table(self._table())
        self.written += sum(row.features.nbytes for row in self.rows)
        self.rows = []
        if self.written >= self.shard_bytes:
            self._close_shard()

    def _table(self):
        import pyarrow as pa

        # Built from flat arrays: going through Python lists, as datasets' own writer does, is some fifty times slower.
        frames = np.concatenate([row.features for row in self.rows]).astype(np.float32, copy=False)
        inner = np.arange(len(frames) + 1, dtype=np.int32) * self.feature_dim
        outer = np.concatenate([[0], np.cumsum([len(row.features) for row in self.rows])]).astype(np.int32)
        nested = pa.ListArray.from_arrays(inner, pa.array(frames.ravel()))
        motion_type = self.schema.field("motion").type
        motion = pa.ExtensionArray.from_storage(
            motion_type, pa.ListArray.from_arrays(outer, nested).cast(motion_type.storage_type)
        )
        columns = {
            "id": [row.id for row in self.rows],
            "fps": [row.fps for row in self.rows],
            "source": [row.source for row in self.rows],
            "captions": [[vars(caption) for caption in row.captions] for row in self.rows],
        }
        arrays = [
            motion if name == "motion" else pa.array(columns[name], self.schema.field(name).type)
            for name in self.schema.names
        ]
        return pa.Table.from_arrays(arrays, schema=self.schema)


def write_dataset(
    clips: Iterable[Clip | Skipped],
    output: str | Path,
    card: str | Callable[[], str] = "",
    feature_dim: int = 263,
    total: int | None = None,
    progress: bool = False,
    limit: int | None = None,
    shard_bytes: int = 400_000_000,
    finish: Callable[[Path], None] | None = None,
) -> BuildSummary:
    """Streams `clips` into the dataset folder `output`; memory does not grow with their number.

    Clips that cannot be rows (wrong shape, NaN, no caption, an id seen before) are counted and listed, not written.
    Everything goes to a hidden sibling first, which takes the place of `output` only when all is written: an
    interrupted build leaves an earlier dataset as it was.

    Args:
        clips: what a source yields.
        output: folder to write: new, empty or an earlier build (which is replaced).
        card: Markdown about the data, put into README.md under the generated header; or what makes it, called when all
            clips are written.
        feature_dim: columns of the motion features.
        total: number of items expected, for the progress bar and for the room that they will need.
        progress: show a progress bar.
        limit: stop after so many clips were kept.
        shard_bytes: bytes of features after which a new Parquet file is begun.
        finish: called with the written folder before it takes its place, to add `thoughts.parquet`; a dataset that
            has it gets it as a second configuration, "thoughts".

    Returns:
        What was kept and dropped, also written to `build.json`.

    Raises:
        FileExistsError: `output` holds something else.
        ValueError: not one clip was left to write; the message lists the reasons.
        OSError: the disk is full, or will be before all is written, as the first thousand clips tell.
    """
    from tqdm.auto import tqdm

    output = Path(output)
    summary = BuildSummary(output=str(output), feature_dim=feature_dim)
    with _replacing(output) as folder:
        (folder / "data").mkdir()
        writers: dict[str, _SplitWriter] = {}
        seen: set[tuple[str, str]] = set()
        try:
            with (
                open(folder / "skipped.jsonl", "w", encoding="utf-8") as listing,
                tqdm(clips, total=total, unit="clip", desc="build", disable=not progress) as bar,
            ):
                for done, item in enumerate(bar, start=1):
                    fault = item if isinstance(item, Skipped) else find_fault(item, feature_dim)
                    if fault is None and (item.split, item.id) in seen:
                        fault = Skipped(item.id, "id seen before in its split")
                    if fault is not None:
                        summary.count(fault)
                        listing.write(json.dumps(asdict(fault), ensure_ascii=False) + "\n")
                        continue
                    seen.add((item.split, item.id))
                    if item.split not in writers:
                        writers[item.split] = _SplitWriter(folder / "data", item.split, feature_dim, shard_bytes)
                        summary.splits[item.split] = SplitSummary()
                    _add(summary.splits[item.split], item)
                    writers[item.split].add(item)
                    if total is not None and len(seen) == _ROWS_THAT_TELL:
                        written = len(seen) - sum(len(writer.rows) for writer in writers.values())
                        following = (total - done) * len(seen) // done
                        if limit is not None:
                            following = min(following, limit - len(seen))
                        row = sum(file.stat().st_size for file in (folder / "data").iterdir()) / written
                        what = f"the {following} clips that follow need about"
                        check_room(output, following * row, what, f"{ROOM}, or give a --limit")
                    if limit is not None and len(seen) >= limit:
                        break
            for writer in writers.values():
                writer.close()
        finally:
            for writer in writers.values():
                writer.abandon()
        if not seen:
            raise ValueError(f"no clip was left to write to {output}:\n{summary.table()}")
        summary.splits = {name: summary.splits[name] for name in sorted(summary.splits, key=_split_order)}
        build = {"format": FORMAT, "version": 1, **asdict(summary)}
        build["output"] = output.name
        write_json(folder / "build.json", build, ensure_ascii=False)
        if finish is not None:
            finish(folder)
        with_thoughts = (folder / "thoughts.parquet").is_file()
        words = card if isinstance(card, str) else card()
        content = render(CARDS / "dataset_folder.md", summary=summary, words=words.strip(), thoughts=with_thoughts)
        write_text(folder / "README.md", content)
    return summary


def _split_order(name: str) -> tuple[int, str]:
    return (SPLITS.index(name) if name in SPLITS else len(SPLITS), name)


def _add(split: SplitSummary, clip: Clip) -> None:
    split.clips += 1
    split.captions += len(clip.captions)
    split.thoughts += sum(bool(caption.thought) for caption in clip.captions)
    split.frames += len(clip.features)
    split.seconds += len(clip.features) / clip.fps


def load_motion_dataset(path: str | Path, split: str | None = None) -> DatasetDict:
    """Load a dataset folder with numpy formatting, after checking its schema.

    Args:
        path: Folder written by `write_dataset` (or one with the same `data/<split>-*.parquet` files).
        split: Load only this split (the result is a DatasetDict all the same).

    Returns:
        The splits.

    Raises:
        FileNotFoundError: No such folder, no Parquet files in it, or no such split.
        ValueError: The columns are not those of the schema, or the splits have different skeletons.
    """
    from datasets import Dataset, DatasetDict, NamedSplit

    # Not `load_dataset`, which tells the Hub that its Parquet reader is used: nothing here needs a network.
    return DatasetDict(
        {
            name: Dataset.from_parquet(files, split=NamedSplit(name)).with_format("numpy")
            for name, files in dataset_files(path, split).items()
        }
    )


def dataset_files(path: str | Path, split: str | None = None) -> dict[str, list[str]]:
    """Parquet files of a dataset folder, after checking their schema. Raises what `load_motion_dataset` raises.

    Args:
        path: The dataset folder.
        split: Only this split.

    Returns:
        Files by split, in the usual order.

    Raises:
        FileNotFoundError: See `load_motion_dataset`.
        ValueError: See `load_motion_dataset`.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq
    from datasets import Features

    path = Path(path)
    if not path.is_dir():
        raise FileNotFoundError(f"{path}: no such dataset folder; make one with python -m datasets_scripts.build")
    files: dict[str, list[str]] = {}
    for file in sorted((path / "data").glob("*.parquet")):
        files.setdefault(file.name.split("-")[0], []).append(str(file))
    if not files:
        raise FileNotFoundError(
            f"{path} is not a dataset folder (no data/*.parquet); make one with python -m datasets_scripts.build"
        )
    if split is not None:
        if split not in files:
            raise FileNotFoundError(
                f"{path} has no split {split!r}, only {', '.join(sorted(files, key=_split_order))}"
            )
        files = {split: files[split]}
    widths: dict[int, str] = {}
    for name in (name for names in files.values() for name in names):
        try:
            schema = pq.read_schema(name)
        except (pa.ArrowInvalid, OSError) as error:
            raise ValueError(f"{name} is not a readable Parquet file ({error}); build the dataset again") from error
        missing = set(dataset_features()) - set(schema.names)
        if missing:
            raise ValueError(
                f"{name} lacks the columns {sorted(missing)} (it has {schema.names}); "
                "make a motion dataset with python -m datasets_scripts.build"
            )
        widths.setdefault(check_columns(Features.from_arrow_schema(schema), where=name), name)
    if len(widths) > 1:
        shown = ", ".join(f"{width} columns in {name}" for width, name in widths.items())
        raise ValueError(f"{path} mixes skeletons ({shown}); make a dataset of each")
    return {name: files[name] for name in sorted(files, key=_split_order)}


def count_clips(path: str | Path) -> int:
    """Number of rows of a dataset folder. Raises what `load_motion_dataset` raises.

    Args:
        path: The dataset folder.

    Returns:
        The number.
    """
    import pyarrow.parquet as pq

    return sum(pq.read_metadata(name).num_rows for names in dataset_files(path).values() for name in names)


def dataset_width(path: str | Path) -> int:
    """Width of the motion features of a dataset folder. Raises what `load_motion_dataset` raises.

    Args:
        path: The dataset folder.

    Returns:
        Columns.
    """
    import pyarrow.parquet as pq
    from datasets import Features

    name = next(iter(dataset_files(path).values()))[0]
    return check_columns(Features.from_arrow_schema(pq.read_schema(name)), where=name)


def iter_dataset(path: str | Path) -> Iterator[Clip]:
    """Stream the clips of a dataset folder: no cache is made and memory does not grow with their number.

    Raises what `load_motion_dataset` raises, with the first clip.

    Args:
        path: The dataset folder.

    Yields:
        Clips in order.
    """
    import pyarrow.parquet as pq
    from datasets import Features

    for split, names in dataset_files(path).items():
        for name in names:
            with pq.ParquetFile(name) as file:
                width = check_columns(Features.from_arrow_schema(file.schema_arrow), where=name)
                for batch in file.iter_batches(_ROWS_PER_GROUP):
                    yield from _clips(batch, split, width)


def _clips(batch: Any, split: str, width: int) -> Iterator[Clip]:
    motion = batch.column("motion")
    # Flat arrays and offsets: Python lists of the numbers would cost more than everything else that is done to them.
    storage = getattr(motion, "storage", motion)
    outer = storage.offsets.to_numpy()
    inner = storage.values
    starts, flat = inner.offsets.to_numpy(), inner.values.to_numpy()
    columns = {name: batch.column(name).to_pylist() for name in ("id", "fps", "source", "captions")}
    for row in range(batch.num_rows):
        first, last = int(outer[row]), int(outer[row + 1])
        features = flat[starts[first] : starts[last]]
        # Lists of other lengths keep a shape that `find_fault` refuses.
        even = features.size == (last - first) * width
        features = features.reshape(last - first, width) if even else features[None]
        captions = [
            Caption(**{**caption, "thought": caption["thought"] or ""}) for caption in columns["captions"][row] or []
        ]
        yield Clip(columns["id"][row], features, captions, split, columns["source"][row], columns["fps"][row])


def check_columns(features: Features, where: str) -> int:
    """Check columns against the schema.

    Args:
        features: Of a dataset.
        where: Name of the dataset in the error message.

    Returns:
        Width of the motion features.

    Raises:
        ValueError: A column is missing or of another type.
    """
    motion = features.get("motion")
    dim = getattr(motion, "shape", (None, None))[-1]
    if not isinstance(dim, int) or any(features.get(name) != kind for name, kind in dataset_features(dim).items()):
        raise ValueError(f"{where}: columns {features} are not those of the schema {dataset_features()}")
    return dim
