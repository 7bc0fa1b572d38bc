"""Thoughts without motion: a file that may be published although the motion may not, and joining it onto a dataset.

    python -m datasets_scripts.thoughts.records --texts DIR --dataset DIR --output DIR

A texts folder holds `thoughts.parquet`, one row a caption, and a card. A thought is found again by what everybody who
owns the data has: the clip's id, the part of the clip, and a hash of the caption's text. Neither motion nor caption
nor any statistics of them are in it. The same file lies in every dataset folder whose thoughts were annotated or
joined, and names the origin of each one.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
import time
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from datasets_scripts.hub.card_words import text
from datasets_scripts.schema import (
    NOTE,
    BuildSummary,
    Caption,
    Clip,
    Skipped,
    check_output,
    count_clips,
    dataset_width,
    iter_dataset,
    write_dataset,
)
from datasets_scripts.templates import CARDS, render
from datasets_scripts.thoughts.annotate.answers import thought_fault
from modeling_unimo.command_line import words_of
from modeling_unimo.files_unimo import atomic_write, write_text

FILE = "thoughts.parquet"
GIVEN = "given"  # the annotator of a thought that came with the data
_PART = re.compile(r"(.+)@(\d+(?:\.\d+)?)-(\d+(?:\.\d+)?)(?:_\d+)?")
_CARD_TITLE = "Thoughts of UniMo, keyed by clip id"


@dataclass(frozen=True)
class ThoughtRecord:
    """One caption's thought and its origin: a row of `thoughts.parquet`.

    Args:
        split: of the clip.
        id: of the clip.
        caption: the caption's place in its row of the dataset, counted from 0; -1 if the caption was left out.
        text_sha256: of the caption's text; see `text_hash`.
        start, end: seconds, the part that the caption describes; both 0: the whole clip.
        thought: the text, or "" without one.
        refused: why there is no thought.
        annotator: "kinematic", "vlm", or "given" for a thought that came with the data.
        model: of the vision-language annotator.
        version: of what wrote it.
        prompt: hash of the prompt's wording.
        views: what the model was shown, joined by "+".
        consistency: share of its decidable claims that the motion supports; None without such claims.
        decided: number of these claims.
        contradicted: those that the motion contradicts, each with what was measured.
        sentences: number of sentences of the thought; 0 in files of earlier versions, which did not count them.
        unread: those in which no claim was found.
    """

    split: str
    id: str
    caption: int
    text_sha256: str
    start: float = 0.0
    end: float = 0.0
    thought: str = ""
    refused: str = ""
    annotator: str = GIVEN
    model: str = ""
    version: str = ""
    prompt: str = ""
    views: str = ""
    consistency: float | None = None
    decided: int = 0
    contradicted: list[str] = field(default_factory=list)
    sentences: int = 0
    unread: list[str] = field(default_factory=list)

    @property
    def coverage(self) -> float | None:
        """Share of the thought's sentences in which a claim was found; None if they were not counted."""
        return 1.0 - len(self.unread) / self.sentences if self.sentences else None


_LATER = ("sentences", "unread")  # columns that files of earlier versions lack


def text_hash(caption: str) -> str:
    """SHA-256 of a caption's text, the same for copies that differ in spaces or in Unicode normalisation.

    Args:
        caption: The caption.

    Returns:
        Hexadecimal digits.
    """
    return hashlib.sha256(
        " ".join(unicodedata.normalize("NFC", caption).split()).encode("utf-8", "replace")
    ).hexdigest()


def place(id: str, start: float, end: float) -> tuple[str, float, float]:
    """Identify a part of a clip, the same for a caption of a part and for a row cut out for it (`id@1.5-4`).

    Args:
        id: Id of the clip or row.
        start: Start in seconds.
        end: End in seconds; 0 for the whole.

    Returns:
        Id of the clip, start and end.
    """
    found = None if start or end else _PART.fullmatch(id)
    if found:
        id, start, end = found[1], float(found[2]), float(found[3])
    return id, round(start, 3), round(end, 3)


def write_records(records: Iterable[ThoughtRecord], path: str | Path) -> int:
    """Write `thoughts.parquet` atomically.

    Args:
        records: The rows.
        path: The file.

    Returns:
        Number of rows.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = _schema()
    count = 0
    with atomic_write(path) as part:
        with pq.ParquetWriter(part, schema, compression="zstd") as writer:
            for rows in _batches(records, 10_000):
                writer.write_table(pa.Table.from_pylist([vars(row) for row in rows], schema=schema))
                count += len(rows)
            if not count:
                writer.write_table(schema.empty_table())
    return count


def read_records(path: str | Path) -> Iterator[ThoughtRecord]:
    """Read the rows of a texts folder, of a dataset folder with provenance, or of the file itself.

    Args:
        path: Folder or file.

    Yields:
        The rows.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: Not a Parquet file, or one with other columns.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = Path(path)
    file = path / FILE if path.is_dir() else path
    if not file.is_file():
        raise FileNotFoundError(
            f"{file}: no such file; give a folder made by python -m datasets_scripts.annotate --texts_only"
        )
    try:
        with pq.ParquetFile(file) as parquet:
            wanted, there = _schema(), parquet.schema_arrow
            names = [name for name in wanted.names if name in there.names or name not in _LATER]
            for column in map(wanted.field, names):
                if column.name not in there.names or there.field(column.name).type != column.type:
                    raise ValueError(
                        f"{file} has no column {column.name!r} of type {column.type}; it is not a file of thoughts"
                    )
            for batch in parquet.iter_batches(10_000, columns=names):
                for row in batch.to_pylist():
                    if any(row[name] is None for name in names if name != "consistency"):
                        raise ValueError(f"{file}: the row of clip {row['id']!r} has empty fields")
                    yield ThoughtRecord(**row)
    except pa.ArrowInvalid as error:
        raise ValueError(f"{file} is not a valid Parquet file ({error})") from error


def write_texts(records: Iterable[ThoughtRecord], folder: str | Path, card: str = "") -> int:
    """Write a folder with thoughts alone: `thoughts.parquet` and a card. Records without a thought are left out.

    Args:
        records: The rows.
        folder: The folder.
        card: Text of the card.

    Returns:
        Number of thoughts.

    Raises:
        FileExistsError: The folder contains other files.
    """
    folder = check_texts_output(folder)
    folder.mkdir(parents=True, exist_ok=True)
    written: dict[str, int] = {}

    def with_thought() -> Iterator[ThoughtRecord]:
        for record in records:
            if record.thought:
                written[record.annotator] = written.get(record.annotator, 0) + 1
                yield record

    count = write_records(with_thought(), folder / FILE)
    card = render(CARDS / "thoughts_folder.md", file=FILE, title=_CARD_TITLE, words=card.strip(), written=written)
    write_text(folder / "README.md", card)
    return count


def check_texts_output(folder: str | Path) -> Path:
    """Check that thoughts may be written to a folder.

    Args:
        folder: A new or empty folder, or an earlier export.

    Returns:
        The folder.

    Raises:
        FileExistsError: It is a file or contains anything else.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; give --texts_only a new folder")
    if folder.is_dir():
        names = {entry.name for entry in folder.iterdir()}
        card = folder / "README.md"
        foreign = names - {FILE, "README.md"}
        if foreign or (card.is_file() and _CARD_TITLE not in card.read_text(encoding="utf-8", errors="replace")):
            shown = ", ".join(sorted(foreign)[:5]) or "another README.md"
            raise FileExistsError(f"{folder} contains other files ({shown}); use another folder or empty this one")
    return folder


class Joiner:
    """Joins the thoughts of a texts folder onto clips of any source.

    A thought belongs to a caption when clip id, part and text agree; if the same key occurs in several splits, the
    clip's own split decides. What does not match is counted, never guessed.

    Args:
        texts: a texts folder.
        overwrite: replace existing thoughts.

    Raises:
        FileNotFoundError, ValueError: see `read_records`.
    """

    def __init__(self, texts: str | Path, overwrite: bool = False):
        self.overwrite = overwrite
        self.known: dict[tuple, list[ThoughtRecord]] = {}
        self.faulty = 0
        for record in read_records(texts):
            if not record.thought:
                continue
            # The file may come from anywhere: the same gate as for what a model says.
            if thought_fault(record.thought):
                self.faulty += 1
                continue
            self.known.setdefault((*place(record.id, record.start, record.end), record.text_sha256), []).append(record)
        self.total = sum(map(len, self.known.values()))
        self.joined = self.kept = self.lacking = 0
        self.records: list[ThoughtRecord] = []
        self._used: set[int] = set()

    def join(self, clips: Iterable[Clip | Skipped]) -> Iterator[Clip | Skipped]:
        """Fill in the thoughts of clips.

        Args:
            clips: Clips of one split.

        Yields:
            The clips in order.
        """
        for clip in clips:
            if isinstance(clip, Skipped):
                yield clip
                continue
            captions = list(clip.captions)
            for index, caption in enumerate(captions):
                if caption.thought and not self.overwrite:
                    self.kept += 1
                    continue
                record = self._find(clip, caption)
                if record is None:
                    self.lacking += 1
                    yield Skipped(clip.id, "caption without a thought in the texts", caption.text[:80], NOTE)
                    continue
                captions[index] = replace(caption, thought=record.thought)
                self.joined += 1
                self._used.add(id(record))
                self.records.append(
                    replace(
                        record,
                        split=clip.split,
                        id=clip.id,
                        caption=index,
                        start=caption.start,
                        end=caption.end,
                    )
                )
            yield replace(clip, captions=captions)

    def _find(self, clip: Clip, caption: Caption) -> ThoughtRecord | None:
        found = self.known.get((*place(clip.id, caption.start, caption.end), text_hash(caption.text)), [])
        found = [record for record in found if record.split == clip.split] or found
        # The same caption twice has the same thought or one for each; other splits' thoughts must agree.
        unused = [record for record in found if id(record) not in self._used] or found
        one_split = len({record.split for record in found}) == 1
        return unused[0] if unused and (one_split or len({record.thought for record in found}) == 1) else None

    def summary(self) -> str:
        """Summary of what was joined.

        Returns:
            One line.
        """
        parts = [f"{self.joined} of {self.total} thoughts joined"]
        for number, what in (
            (self.kept, "captions kept their own"),
            (self.lacking, "captions without one in the texts"),
            (self.faulty, "thoughts refused (empty, huge, with tags or control characters)"),
        ):
            if number:
                parts.append(f"{number} {what}")
        return ", ".join(parts)


def join_dataset(
    texts: str | Path, dataset: str | Path, output: str | Path, overwrite: bool = False, progress: bool = False
) -> tuple[BuildSummary, Joiner]:
    """Join a texts folder onto a dataset folder and write the result as another.

    Args:
        texts: The texts folder.
        dataset: The dataset folder.
        output: The folder to write.
        overwrite: Replace an earlier build there.
        progress: Show progress bars.

    Returns:
        Summary of the build, and the joiner.

    Raises:
        FileNotFoundError: See `read_records` and `load_motion_dataset`.
        ValueError: Likewise; also if no thought matches a caption.
        FileExistsError: See `write_dataset`.
    """
    check_output(output)
    total = count_clips(dataset)
    joiner = Joiner(texts, overwrite)
    earlier = earlier_records(dataset)

    def finish(folder: Path) -> None:
        if not joiner.joined:
            raise ValueError(
                f"none of the {joiner.total} thoughts in {texts} matches a caption of {dataset}: are they of the same "
                "data, with the same captions?"
            )
        now = {(record.split, record.id, record.caption) for record in joiner.records}
        rest = [record for key, record in earlier.items() if key not in now]
        write_records([*joiner.records, *rest], folder / FILE)

    card = f"{source_words(dataset)}\n\nThoughts joined from the texts {text(Path(texts).resolve().name)}."
    summary = write_dataset(
        joiner.join(iter_dataset(dataset)),
        output,
        card=card.strip(),
        feature_dim=dataset_width(dataset),
        total=total,
        progress=progress,
        finish=finish,
    )
    return summary, joiner


def earlier_records(dataset: str | Path) -> dict[tuple[str, str, int], ThoughtRecord]:
    """Provenance of a dataset folder's thoughts.

    Args:
        dataset: The dataset folder.

    Returns:
        Rows by (split, id, caption); empty without provenance.
    """
    if not (Path(dataset) / FILE).is_file():
        return {}
    return {(r.split, r.id, r.caption): r for r in read_records(dataset) if r.caption >= 0}


def source_words(dataset: str | Path) -> str:
    """Description of the source in the card of a dataset folder: the text between its title and its table.

    Args:
        dataset: The dataset folder.

    Returns:
        The text; empty without a card.
    """
    card = Path(dataset) / "README.md"
    if not card.is_file():
        return ""
    found = re.search(r"^# Motion and text\n\n(.*?)\n\n\| split \|", card.read_text(encoding="utf-8"), re.M | re.S)
    return found[1].strip() if found else ""


def _schema() -> Any:
    import pyarrow as pa

    kinds = {
        "str": pa.string(),
        "int": pa.int64(),
        "float": pa.float64(),
        "float | None": pa.float64(),
        "list[str]": pa.list_(pa.string()),
    }
    return pa.schema([(column.name, kinds[str(column.type)]) for column in fields(ThoughtRecord)])


def _batches(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    batch = []
    for item in items:
        batch.append(item)
        if len(batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def make_parser() -> argparse.ArgumentParser:
    """Make the parser of the command line.

    Returns:
        The parser.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawTextHelpFormatter,
    )
    parser.add_argument("--texts", required=True, help="folder with thoughts.parquet")
    parser.add_argument("--dataset", required=True, help="dataset folder to put them onto")
    parser.add_argument("--output", required=True, help="dataset folder to write: new, empty or an earlier build")
    parser.add_argument("--overwrite_thoughts", action="store_true", help="replace the thoughts that are there")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")
    return parser


def main(argv: list[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: Arguments; None takes those of the process.

    Returns:
        0, or 2 for input that cannot be used.
    """
    arguments = make_parser().parse_args(argv)
    started = time.perf_counter()
    try:
        summary, joiner = join_dataset(
            arguments.texts,
            arguments.dataset,
            arguments.output,
            arguments.overwrite_thoughts,
            progress=not arguments.quiet,
        )
    except (ValueError, OSError) as error:
        print(f"error: {words_of(error)}", file=sys.stderr)
        return 2
    print(summary.table())
    print(f"{joiner.summary()} -> {arguments.output} ({time.perf_counter() - started:.1f} s)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
