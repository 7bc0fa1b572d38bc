"""Rows that a model wrote itself and may learn from: captions with the thought and the codes it answered."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from datasets_scripts.captioned_motions import CaptionedMotion


def read_added_rows(path: str | Path, num_codes: int) -> tuple[list[CaptionedMotion], list[np.ndarray]]:
    """The rows as entries without features, and the codes of each.

    Args:
        path: JSON Lines file. num_codes: of the codebook that the codes belong to.

    Returns:
        Entries and codes.

    Raises:
        ValueError: No row, or one that is not of this form; the message names its line.
    """
    from datasets_scripts.captioned_motions import CaptionedMotion

    entries: list[CaptionedMotion] = []
    codes: list[np.ndarray] = []
    with open(path, encoding="utf-8") as file:
        for number, line in enumerate(file, 1):
            try:
                row = json.loads(line)
                caption, thought, own = row["caption"], row["thought"], np.array(row["codes"], dtype=np.int64)
            except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(f"{path}, line {number}: expected caption, thought and codes ({error})") from error
            if own.ndim != 1 or not len(own) or own.min() < 0 or own.max() >= num_codes:
                raise ValueError(f"{path}, line {number}: codes must be at least one of 0..{num_codes - 1}")
            entries.append(CaptionedMotion(f"added-{number}", np.empty((0, 0)), [caption], [[]], [thought]))
            codes.append(own)
    if not entries:
        raise ValueError(f"{path} holds no row")
    return entries, codes
