"""Checks what a text says about a motion against its joints, claim by claim.

The answer to texts that describe what did not happen: each checkable claim (action, side, direction, turn, count,
order, height, time, posture) either holds, is contradicted, or is left undecided where the motion does not settle it.
A text is judged by the motion alone; the words are free English, from a caption, an annotator or a language model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasets_scripts.verify.checks import Checker, Claim
from datasets_scripts.verify.claims import read
from datasets_scripts.verify.evidence import Evidence

__all__ = ["Claim", "Verification", "verify"]


@dataclass(frozen=True)
class Verification:
    """What became of the claims of one text.

    `sentences` counts the sentences that hold a letter of any script; `unread` are those in which no claim was found.
    """

    text: str
    claims: tuple[Claim, ...]
    sentences: int
    unread: tuple[str, ...]

    @property
    def consistency(self) -> float | None:
        """Share of the decided claims that hold; None where nothing was decided."""
        held = sum(claim.verdict == "holds" for claim in self.claims)
        decided = held + len(self.contradicted)
        return held / decided if decided else None

    @property
    def contradicted(self) -> tuple[Claim, ...]:
        """The claims that the motion contradicts."""
        return tuple(claim for claim in self.claims if claim.verdict == "contradicted")

    @property
    def coverage(self) -> float:
        """Share of the sentences in which a claim was found; 1 for a text without sentences."""
        return 1.0 - len(self.unread) / self.sentences if self.sentences else 1.0


def verify(texts: Sequence[str], joints: np.ndarray, fps: float = 20.0) -> list[Verification]:
    """Check each of `texts` against joints (T, 22, 3), metres, Y up, at `fps`; the motion is measured once.

    Raises ValueError for a motion that cannot be measured (another shape, fewer than two frames, values that are not
    finite) and for texts that are no strings. An empty text has no claims.

        >>> verify(["a person turns left, then jumps twice."], joints)[0].contradicted
        (Claim(kind='count', ..., stated='2', measured='3', verdict='contradicted'),)
    """
    if isinstance(texts, str):
        raise ValueError("texts: got one string; give a list of texts")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"texts[{index}]: expected a string, got {type(text).__name__}")
    checker = Checker(Evidence(joints, fps))
    return [_verify(text, checker) for text in texts]


def _verify(text: str, checker: Checker) -> Verification:
    sentences = read(text)
    statements = [statement for sentence in sentences for statement in sentence.statements]
    claims = checker.check(text, statements)
    unread = tuple(text[s.start : s.stop] for s in sentences if not s.statements)
    return Verification(text, tuple(claims), len(sentences), unread)
