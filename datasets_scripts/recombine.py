"""New captions out of the clauses of real ones: "a person walks forward, then sits down." from two other captions.

They need no motion: a model that answers them and reads its own answers learns from the best (`train.self_train`).
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from datasets_scripts.captions import tokenize_caption

_SUBJECT = re.compile(
    r"^(?:(?:a|the|this|one)(?: [a-z]+)?? (?:person|man|woman|figure|human|guy|boy|girl|individual)|"
    r"he|she|they|someone|somebody|the figure)\s+",
    re.IGNORECASE,
)
# What parts clauses that follow one another in time. What goes on at once ("while") belongs together.
_BORDER = re.compile(r"[.;]|,?\s+(?:and\s+)?(?:then|finally|afterwards|next)\b|,\s+(?:and\s+)?", re.IGNORECASE)
_FIRST = re.compile(r"^(?:first|then|and|finally|next)\s+", re.IGNORECASE)
# A clause with one of these is said of another clause, which the new caption does not have.
_ELSEWHERE = re.compile(r"\b(?:same|other|another|again|opposite|it|more|back to)\b", re.IGNORECASE)


def clauses(caption: str) -> list[str]:
    """The clauses of a caption that can stand alone behind a subject, in order.

    Left out are those that do not begin with a verb in the third person, and those that speak of another clause.

    >>> clauses("A person walks forward slowly, then turns left and then sits down.")
    ['walks forward slowly', 'turns left', 'sits down']
    >>> clauses("someone waves with the left hand, then does the same with the other hand.")
    ['waves with the left hand']

    Args:
        caption: The caption.

    Returns:
        The clauses.
    """
    found = []
    for piece in _BORDER.split(caption):
        piece = re.sub(r"\s+and$", "", _FIRST.sub("", _SUBJECT.sub("", piece.strip())).strip()).strip()
        words = piece.split()
        if not words or _ELSEWHERE.search(piece) or not re.fullmatch(r"[a-z]+s", words[0]):
            continue
        try:
            first = tokenize_caption(piece)[0]
        except (ValueError, IndexError):
            continue
        if first.endswith("/VERB"):
            found.append(piece)
    return found


def recombined(
    captions: Iterable[str], count: int, seed: int, avoid: Iterable[str] = (), lengths: Sequence[int] = (2, 3, 4)
) -> list[str]:
    """`count` different captions, each of clauses of other captions that no given one joins in this way.

    Args:
        captions: Real ones.
        count: How many are wanted.
        seed: Of the draws.
        avoid: Captions that must not come out, beside the real ones.
        lengths: Numbers of clauses that a caption may have, drawn with equal chance.

    Returns:
        The captions.

    Raises:
        ValueError: The captions have fewer than two clauses, or too few for so many different captions.
    """
    captions = list(captions)
    known = {text.strip().lower() for text in (*captions, *avoid)}
    pool = sorted({clause for caption in captions for clause in clauses(caption)})
    if len(pool) < 2:
        raise ValueError(
            f"{len(captions)} captions have {len(pool)} clauses that can be recombined, at least 2 are needed; "
            "give the new captions as a file"
        )
    rng = np.random.default_rng(seed)
    made: dict[str, None] = {}
    for _ in range(50 * count):
        if len(made) == count:
            break
        wanted = min(int(rng.choice(lengths)), len(pool))
        chosen = [pool[i] for i in rng.choice(len(pool), wanted, replace=False)]
        text = f"a person {', then '.join(chosen)}."
        if text.lower() not in known:
            made[text] = None
    if len(made) < count:
        raise ValueError(f"{len(pool)} clauses gave {len(made)} new captions of {count}; ask for fewer")
    return list(made)
