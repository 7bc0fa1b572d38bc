"""Examples of the tasks "continue" and "fill", cut from whole clips: what is shown, what is written, and its words.

A cut lies where the thought says that something begins, as long as it says so; a part of the examples is cut anywhere,
since a user may cut anywhere. The thought is cut to the part that is written, its times counted from there. So is the
caption where it has one clause for each thing that the thought tells; else it stays whole, and what is shown says how
much of it has happened.
"""

import re
from dataclasses import dataclass

import numpy as np

from datasets_scripts.captions import joined_clauses, split_clauses
from modeling_unimo.processing_unimo import Given

# Codes shown on either side, at most; a user's motion may be longer, and the model is then shown its nearest part.
SHOWN_CODES = 8
SHORTEST_CODES = 6  # two to show, four of something to write
_ANYWHERE = 0.3  # share of examples that are cut anywhere

_SENTENCE = re.compile(r"(?<=[.!?])\s+(?=[A-Z])")
_TIME = re.compile(
    r"\b(?P<word>[Aa]t|[Ff]rom|[Bb]etween|[Uu]ntil|[Bb]y) (?P<begin>\d+(?:\.\d+)?)"
    r"(?P<to> (?:to|and|until) )?(?P<end>(?<= )\d+(?:\.\d+)?)?(?= s\b| seconds?\b)"
)
_END = re.compile(r"^End at (\d+(?:\.\d+)?) s")


@dataclass(frozen=True)
class CutExample:
    """One example: what is shown beside the text, the codes to write, and the words for them."""

    given: Given
    codes: list[int]
    caption: str
    thought: str


def cut_example(
    task: str, caption: str, thought: str, codes: np.ndarray, seconds_per_code: float, seed: tuple[int, ...]
) -> CutExample:
    """A clip cut for a task, always the same for the same seed.

    Args:
        task: "continue" or "fill".
        caption, thought: of the whole clip; the thought may be blank.
        codes: (L,) of the whole clip, L >= `SHORTEST_CODES`.
        seconds_per_code: of the codes.
        seed: integers >= 0.

    Returns:
        What to learn.
    """
    rng = np.random.default_rng(seed)
    begins = [begin for _, begin in _timed(thought)]
    first, last, events = _cut(task, begins, len(codes), seconds_per_code, rng)
    after = codes[last : last + SHOWN_CODES].tolist()
    given = Given(
        codes[max(0, first - SHOWN_CODES) : first].tolist(),
        after if task == "fill" else (),
        last - first if task == "fill" else None,
    )
    words = caption if events is None else caption_part(caption, *events, len(begins))
    part = thought_part(thought, first * seconds_per_code, last * seconds_per_code)
    return CutExample(given, codes[first:last].tolist(), words, part)


def _cut(
    task: str, begins: list[float], count: int, seconds_per_code: float, rng: np.random.Generator
) -> tuple[int, int, tuple[int, int] | None]:
    """First code of a part, the first one behind it, and the first events in and behind it where cut by them."""
    places = [round(begin / seconds_per_code) for begin in begins]
    whole = [(place, event) for event, place in enumerate(places) if 0 < event and 2 <= place <= count - 2]
    anywhere = rng.random() < _ANYWHERE
    if task == "continue":
        if whole and not anywhere:
            place, event = whole[rng.integers(len(whole))]
            return place, count, (event, len(places))
        return int(rng.integers(2, count - 1)), count, None
    spans = [(a, b, i, j) for a, i in whole for b, j in whole if b >= a + 2]
    if spans and not anywhere:
        first, last, begin, end = spans[rng.integers(len(spans))]
        return first, last, (begin, end)
    first = int(rng.integers(2, count - 3))
    return first, int(rng.integers(first + 1, count - 1)), None


def _timed(thought: str) -> list[tuple[str, float]]:
    """The sentences of a thought that say when something begins, and when."""
    found = []
    for sentence in _SENTENCE.split(thought):
        match = None if _END.match(sentence) else _TIME.search(sentence)
        if match:
            found.append((sentence, float(match["begin"])))
    return found


def thought_part(thought: str, start: float, end: float) -> str:
    """What a thought says of the seconds from `start` to `end`, told from `start` on.

    Sentences without a time are of the whole and stay. If nothing else does, what was going on at `start` is told.

    Args:
        thought: The thought.
        start: Seconds.
        end: Seconds.

    Returns:
        The part.
    """
    kept, running = [], ""
    told = False
    for sentence in _SENTENCE.split(thought):
        ending = _END.match(sentence)
        if ending:
            if float(ending[1]) <= end + 0.4:
                kept.append(_shifted(sentence, start))
            else:
                kept.append(f"End at {end - start:.1f} s.")
            continue
        match = _TIME.search(sentence)
        if not match:
            kept.append(sentence)
        elif start - 0.1 <= float(match["begin"]) < end - 0.1:
            kept.append(_shifted(sentence, start))
            told = True
        elif float(match["begin"]) < start:
            running = sentence
    if running and not told:
        place = next((i for i, sentence in enumerate(kept) if _END.match(sentence)), len(kept))
        kept.insert(place, _shifted(running, start))
    return " ".join(kept)


def _shifted(sentence: str, start: float) -> str:
    def moved(match: re.Match) -> str:
        begin = max(0.0, float(match["begin"]) - start)
        end = "" if match["end"] is None else f"{match['to']}{max(0.0, float(match['end']) - start):.1f}"
        return f"{match['word']} {begin:.1f}{end}"

    return _TIME.sub(moved, sentence)


def caption_part(caption: str, begin: int, end: int, events: int) -> str:
    """The clauses `begin` to `end` of a caption with one clause for each of `events`; any other caption whole.

    Args:
        caption: The caption.
        begin: First event.
        end: The event after the last.
        events: Number of events.

    Returns:
        The part.
    """
    clauses = split_clauses(caption)
    if len(clauses) != events or begin == 0:
        return caption
    return joined_clauses(clauses[begin:end]) or caption
