"""The prompts of reinforcement learning, with what the rewards compare their answers with."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from datasets_scripts.captioned_motions import CaptionedMotion

# Beside the prompt: the columns of a row that rewards and guards read.
COLUMNS = ("task", "caption", "caption_tokens", "references", "reference_codes")


def draw_prompts(
    processor: Any,
    entries: Sequence[CaptionedMotion],
    codes: Sequence[np.ndarray],
    total: int,
    t2m_share: float,
    seed: int,
) -> list[dict[str, Any]]:
    """`total` prompts of both tasks, pass after pass over all motions; order, captions and tasks depend on the seed.

    Args:
        processor: writes the prompts.
        entries: captioned motions.
        codes: of each motion.
        total: how many prompts.
        t2m_share: probability of text-to-motion.
        seed: of all draws.

    Returns:
        Rows with `prompt` (messages) and `COLUMNS`: the task, the caption and its word/POS tokens, all captions of
        the motion, its codes.
    """
    rng = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    while len(rows) < total:
        for i in rng.permutation(len(entries)).tolist():
            entry, task = entries[i], "t2m" if rng.random() < t2m_share else "m2t"
            chosen = int(rng.integers(len(entry.texts)))
            rows.append(
                {
                    "prompt": processor.messages(task, text=entry.texts[chosen], codes=codes[i].tolist()),
                    "task": task,
                    "caption": entry.texts[chosen],
                    "caption_tokens": entry.tokens[chosen],
                    "references": entry.texts,
                    "reference_codes": codes[i].tolist(),
                }
            )
    return rows[:total]
