"""A dataset split as what training and evaluation work on: spans of motion with their captions."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from datasets import Dataset


@dataclass(frozen=True)
class CaptionedMotion:
    """One span of one clip and every caption that describes just this span.

    `motion` is (T, D) raw features, a view into the dataset; `texts`, `tokens` (word/POS) and `thoughts` run in
    parallel.
    """

    id: str
    motion: np.ndarray
    texts: list[str]
    tokens: list[list[str]]
    thoughts: list[str]


def motion_views(dataset: Dataset) -> list[np.ndarray]:
    """Features of each row without a copy: views into the dataset's (memory-mapped) Arrow buffers.

    Args:
        dataset: A split.

    Returns:
        (T, D) float32 of each row.
    """
    dimension = dataset.features["motion"].shape[1]
    views: list[np.ndarray] = []
    # `select` and `shuffle` only keep an index; the buffers stay in the table's own order.
    rows = dataset._indices.column(0).to_pylist() if dataset._indices is not None else None
    for chunk in dataset.data.column("motion").chunks:
        storage = chunk.storage if isinstance(chunk, pa.ExtensionArray) else chunk
        offsets = storage.offsets.to_numpy()
        inner = storage.values
        starts = inner.offsets.to_numpy() if isinstance(inner, (pa.ListArray, pa.LargeListArray)) else None
        flat = inner.values.to_numpy(zero_copy_only=True)
        for first, last in zip(offsets[:-1], offsets[1:], strict=True):
            begin = starts[first] if starts is not None else first * dimension
            end = starts[last] if starts is not None else last * dimension
            views.append(flat[begin:end].reshape(-1, dimension))
    return views if rows is None else [views[i] for i in rows]


def captioned_motions(dataset: Dataset, min_frames: int = 4) -> list[CaptionedMotion]:
    """Spans of a split in dataset order; a clip with captions of several spans gives one entry for each.

    Captions with start and end both 0 describe the whole clip; others the frames `int(start * fps)` to
    `int(end * fps)`, as the published data loader cuts them.

    Args:
        dataset: A split.
        min_frames: Shorter spans are left out.

    Returns:
        The entries.
    """
    motions = motion_views(dataset)
    entries: list[CaptionedMotion] = []
    columns = dataset.remove_columns([c for c in dataset.column_names if c not in ("id", "fps", "captions")])
    for row, motion in zip(columns.with_format(None), motions, strict=True):
        spans: dict[tuple[int, int], list[dict]] = {}
        for caption in row["captions"]:
            whole = caption["start"] == 0.0 and caption["end"] == 0.0
            first, last = (0, len(motion)) if whole else (int(caption[k] * row["fps"]) for k in ("start", "end"))
            spans.setdefault((first, min(last, len(motion))), []).append(caption)
        for (first, last), captions in spans.items():
            if last - first >= min_frames:
                suffix = "" if (first, last) == (0, len(motion)) else f"#{first}-{last}"
                entries.append(
                    CaptionedMotion(
                        id=row["id"] + suffix,
                        motion=motion[first:last],
                        texts=[c["text"] for c in captions],
                        tokens=[list(c["tokens"]) for c in captions],
                        thoughts=[c["thought"] for c in captions],
                    )
                )
    return entries
