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
    """Check what texts say about a motion; the motion is measured once.

    Args:
        texts: free English, such as captions or thoughts. A text without any claim is not an error.
        joints: (T, 22, 3) in metres, Y up, in the joint order of HumanML3D.
        fps: frames per second.

    Returns:
        One verification per text, in order.

    Raises:
        ValueError: if the joints have another shape, fewer than two frames or values that are not finite, or if
            `texts` is not a list of strings.

    Example:

        >>> verify(["a person turns left, then jumps twice."], joints)[0].contradicted
        (Claim(kind='count', ..., stated='2', measured='3', verdict='contradicted'),)
    """
    if isinstance(texts, str):
        raise ValueError("texts must be a list of strings, got one string")
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"texts[{index}] must be a string, got {type(text).__name__}")
    checker = Checker(Evidence(joints, fps))
    return [_verify(text, checker) for text in texts]


def _verify(text: str, checker: Checker) -> Verification:
    sentences = read(text)
    statements = [statement for sentence in sentences for statement in sentence.statements]
    claims = checker.check(text, statements)
    unread = tuple(text[s.start : s.stop] for s in sentences if not s.statements)
    return Verification(text, tuple(claims), len(sentences), unread)
