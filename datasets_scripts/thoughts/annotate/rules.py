"""Which thoughts and captions an annotation run writes."""

from __future__ import annotations

from dataclasses import dataclass

WITHOUT_THOUGHT = ("drop", "keep")


@dataclass(frozen=True)
class Rules:
    """Which thoughts and captions are written; a later run may use other rules on the same journal.

    Args:
        min_consistency: thoughts below it are left out. Thoughts without a decidable claim stay, except those of a
            model, which nothing supports.
        without_thought: "drop" leaves captions without a thought out of the training splits (in test splits they stay,
            where no thought is read); "keep" keeps them in all splits.
        min_coverage: thoughts with a claim in a smaller share of their sentences are left out.

    Raises:
        ValueError: a value out of range.
    """

    min_consistency: float | None = None
    without_thought: str = "drop"
    min_coverage: float | None = None

    def __post_init__(self):
        for name, share in (("min_consistency", self.min_consistency), ("min_coverage", self.min_coverage)):
            if share is not None and not 0 <= share <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {share}")
        if self.without_thought not in WITHOUT_THOUGHT:
            raise ValueError(f"without_thought must be drop or keep, got {self.without_thought!r}")
