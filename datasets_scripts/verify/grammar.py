"""From text to clauses: known words with their roles, divided where one movement ends and the next begins.

A shallow parser, no more than the checking of movements needs. `lexicon` names the words; here each gets its role from
where it stands: a part of the body moves, or is a place ("on his hips"), or is only described ("outstretched leg"); a
verb is done with the body or to a thing ("raises a weight"); left and right belong to a part or are a direction.
Time is linear in the length of the text.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datasets_scripts.verify.lexicon import (
    ADVERBS,
    COUNTED_POSES,
    DETERMINERS,
    FUNCTION_WORDS,
    LANDMARK_PREPOSITIONS,
    LEVELS,
    MAX_WORDS,
    PARTICLES,
    PHRASES,
    PRONOUNS,
    STANDING_VERBS,
    VERBS_TOO,
)

_TAG = re.compile(r"</?[A-Za-z_][A-Za-z_0-9]{0,30}>")
_SENTENCE_END = re.compile(r"(?:[.!?;。！？…]|\n)+(?=\s|$|[^\d\s])")
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[A-Za-z]+(?:'[a-z]+)?|[,:()°º]|(?<=\s)-+(?=\s)")
_BREAKS = ",:()-"
_NUMBER = r"(\d+(?:\.\d+)?)"
_UNIT = r"\s*(?:seconds?|secs?|s)\b"
_RANGE = re.compile(rf"\b(?:from|between)\s+{_NUMBER}(?:{_UNIT})?\s*(?:to|and|until|till|-)\s*{_NUMBER}{_UNIT}", re.I)
_POINT = re.compile(
    rf"\b(at|after|around|about|from|near|by|until|for|in|within|over|takes?|lasts?)\s+"
    rf"(?:about\s+|around\s+|roughly\s+)?{_NUMBER}{_UNIT}",
    re.I,
)
# "in the air for about 0.4 seconds", "for half a second off the ground", "an air time of 0.4 s": how long, not when.
_ALOFT = r"(?:in(?:to)?\s+the\s+air|(?:in\s+)?mid-?\s?air|airborne|aloft|in\s+flight|off\s+the\s+(?:ground|floor))"
_AIR_TIME = r"(?:(?:airborne|air|hang|flight)[\s-]?time(?:\s+(?:of|is|was))?)"
_ABOUT = r"(?:(?:for|about|around|roughly|approximately|some|only|just|nearly|almost)\s+)*"
_LENGTH = rf"{_ABOUT}(?:(half\s+a\s+second)|{_NUMBER}(?:\s*(?:to|and|-)\s*{_NUMBER})?{_UNIT})"
_EACH = r"(?:\s+(?:each(?:\s+time)?|every\s+time|per\s+(?:jump|hop|leap)))?"
_AIRBORNE = re.compile(
    rf"\b(?:{_ALOFT}|{_AIR_TIME})\s+{_LENGTH}{_EACH}|\b(?:for|spends|spending)\s+{_LENGTH}\s+{_ALOFT}{_EACH}", re.I
)
_LETTER = re.compile(r"[^\W\d_]")


@dataclass(frozen=True)
class Mark:
    """A word or phrase with what it is: its category in `lexicon` and the value there.

    `role` of a part of the body: "landmark" (a place) or "described" (with a state, not moved), empty where it moves.
    `obj` of a verb: what it is done to, as in `rules.Frame`.
    """

    category: str
    value: Any
    start: int
    stop: int
    text: str
    role: str = ""
    obj: str = ""

    @property
    def part(self) -> tuple[str, bool]:
        """Name of a part of the body and whether it is plural."""
        name, _, plural = self.value
        return name, plural


@dataclass
class Clause:
    """Marks between two breaks; `link` says how they follow on those before, `fronted` that "before" opens them."""

    link: str
    marks: list[Mark] = field(default_factory=list)
    fronted: bool = False

    def of(self, *categories: str) -> list[Mark]:
        """The marks of some categories.

        Args:
            categories: As in `lexicon.PHRASES`.

        Returns:
            The marks in order of the text.
        """
        return [mark for mark in self.marks if mark.category in categories]

    def values(self, *categories: str) -> set[str]:
        """The values of some categories, as names.

        Args:
            categories: As in `lexicon.PHRASES`.

        Returns:
            Each value once.
        """
        return {str(mark.value) for mark in self.of(*categories)}

    @property
    def acts(self) -> list[Mark]:
        """The verbs and the nouns of movement."""
        return self.of("act", "again")

    @property
    def parts(self) -> set[str]:
        """Names of the parts of the body that move."""
        return {mark.part[0] for mark in self.of("part")}


def sentences(text: str) -> list[tuple[int, int]]:
    """Divide a text into sentences.

    Args:
        text: The text.

    Returns:
        (start, stop) of each sentence that holds a letter of any script, in characters.
    """
    edges, last = [], 0
    for match in _SENTENCE_END.finditer(text):
        before, after = text[match.start() - 1 : match.start()], text[match.end() : match.end() + 1]
        if match[0] == "." and before.isdigit() and after.isdigit():
            continue
        edges.append((last, match.start()))
        last = match.end()
    edges.append((last, len(text)))
    found = []
    for start, stop in edges:
        part = text[start:stop]
        if _LETTER.search(part):
            start += len(part) - len(part.lstrip())
            found.append((start, start + len(part.strip())))
    return found


def without_tags(text: str) -> str:
    """Blank out control tags, which stand for no words.

    Args:
        text: The text.

    Returns:
        A text of the same length, so that every offset stays.
    """
    return _TAG.sub(lambda match: " " * len(match[0]), text)


def clauses(text: str, start: int, stop: int) -> list[Clause]:
    """Divide a sentence into clauses.

    Args:
        text: The text without tags.
        start, stop: Where the sentence stands in it.

    Returns:
        Its clauses in order; the offsets of their marks are those of the text.
    """
    return _clauses(_roles(_neighbours(_marks(text, start, stop))))


# -- words ----------------------------------------------------------------------------------------------------------


def _marks(text: str, start: int, stop: int) -> list[Mark]:
    """The known phrases of a sentence, times first, then the longest phrase at each word."""
    found: list[Mark] = []
    for pattern, category, value_of in _PASSAGES:
        earlier = list(found)
        for match in pattern.finditer(text, start, stop):
            if not any(mark.start < match.end() and match.start() < mark.stop for mark in earlier):
                found.append(Mark(category, value_of(match), match.start(), match.end(), match[0]))
    taken = sorted((mark.start, mark.stop) for mark in found)
    words: list[tuple[str, int, int]] = []
    covered = 0
    for token in _TOKEN.finditer(text, start, stop):
        while covered < len(taken) and taken[covered][1] <= token.start():
            covered += 1
        if covered == len(taken) or token.start() < taken[covered][0]:
            words.append((token[0].lower(), token.start(), token.end()))
    i = 0
    while i < len(words):
        size, category, value = _known(words, i)
        spelled = " ".join(word for word, _, _ in words[i : i + size])
        found.append(Mark(category, value, words[i][1], words[i + size - 1][2], spelled))
        i += size
    return sorted(found, key=lambda mark: mark.start)


def _known(words: Sequence[tuple[str, int, int]], i: int) -> tuple[int, str, object]:
    """Length, category and value of the longest known phrase that starts at a word."""
    word = words[i][0]
    if word[0] in _BREAKS:
        return 1, "comma", word
    if word[0].isdigit():
        return 1, "number", float(word)
    for size in range(min(MAX_WORDS, len(words) - i), 0, -1):
        entry = PHRASES.get(tuple(item[0] for item in words[i : i + size]))
        if entry is not None:
            return size, *entry
    return 1, "word", word


def _length(match: re.Match[str]) -> tuple[float, float]:
    """The least and the most seconds that a passage about time in the air states."""
    groups = [group for group in match.groups() if group is not None]
    numbers = [float(group) if group[0].isdigit() else 0.5 for group in groups]
    return min(numbers), max(numbers)


# Passages with numbers that stand for one thing, read before the words in them.
_PASSAGES: tuple[tuple[re.Pattern[str], str, Callable[[re.Match[str]], tuple]], ...] = (
    (_AIRBORNE, "airborne", _length),
    (_RANGE, "time", lambda match: ("range", float(match[1]), float(match[2]))),
    (_POINT, "time", lambda match: (match[1].lower(), float(match[2]))),
)


# -- neighbours: sides, heights, numbers ------------------------------------------------------------------------------

_BEFORE_LEVEL = frozenset("to at above over beside near toward towards past below reaching".split())
_AFTER_LEVEL = frozenset("height level high".split())
_COUNTS = ("times", "several", "number")
_SIDE_NOUNS = frozenset({"kick", "punch", "hop", "lunge", "knee"})
_COUNTED = frozenset(
    "kick punch hop jump jack wave clap circle throw lunge squat knee lean march sidestep bow turn swing other lift "
    "bounce".split()
)


def _neighbours(marks: list[Mark]) -> list[Mark]:
    """Resolve words by those around them: sides and directions, heights, numbers and what they count."""
    result: list[Mark] = []
    for i, mark in enumerate(marks):
        following = marks[i + 1] if i + 1 < len(marks) else None
        if mark.category == "lateral":
            mark = _lateral(mark, marks, i)
        elif mark.category == "part" and mark.value[1] in LEVELS and not mark.part[1]:
            before = next((m.text for m in reversed(marks[max(0, i - 3) : i]) if m.text not in DETERMINERS), "")
            if before in _BEFORE_LEVEL or (following is not None and following.text in _AFTER_LEVEL):
                mark = replace(mark, category="level", value=LEVELS[mark.value[1]])
        elif mark.text in COUNTED_POSES and following is not None and following.category in _COUNTS:
            mark = replace(mark, category="act", value=COUNTED_POSES[mark.text])
        elif mark.text in VERBS_TOO and _done_to_a_part(marks, i):
            mark = replace(mark, category="act", value=VERBS_TOO[mark.text])
        elif mark.text == "half" and any(m.category == "unit" and m.value == "m" for m in marks[i + 1 : i + 3]):
            mark = replace(mark, category="m", value=0.5)
        elif mark.category == "number":
            mark = _number(mark, marks, i)
        result.append(mark)
    return result


def _done_to_a_part(marks: list[Mark], i: int) -> bool:
    """Whether "raised" and the like are a verb: whose limb follows, and none stands before ("with arms raised")."""
    ahead = marks[i + 1 : i + 2]
    owned = bool(ahead) and (ahead[0].text in DETERMINERS or ahead[0].category in ("side", "number"))
    named = any(mark.category == "part" and mark.part[0] != "body" for mark in marks[i + 1 : i + 5])
    before = marks[i - 1] if i else None
    limb = before is not None and before.category == "part" and before.part[0] != "body"
    return owned and named and not limb


def _lateral(mark: Mark, marks: list[Mark], i: int) -> Mark:
    """left/right: of a body part (side), a direction (lateral) or a place ("right of centre")."""
    for following in marks[i + 1 : i + 3]:
        if following.category == "part":
            limb = following.part[0] not in ("body", "trunk", "head")
            return replace(mark, category="side" if limb else "lateral")
        if following.category == "act" and following.value in _SIDE_NOUNS:
            return replace(mark, category="side")
        if following.text == "of":
            return replace(mark, category="word")
        if following.category not in ("word", "pace") or following.text in ("and", "to", "the", "in", "with"):
            break
    if "with" in [m.text for m in marks[max(0, i - 2) : i]]:
        return replace(mark, category="side")
    return mark


def _number(mark: Mark, marks: list[Mark], i: int) -> Mark:
    """A number with what it counts: a unit or the noun of a movement a few words on."""
    value = float(mark.value)
    for following in marks[i + 1 : i + 5]:
        match following.category:
            case "plus half":
                value += 0.5
            case "unit" if following.value == "times":
                return replace(mark, category="times", value=round(value))
            case "unit":
                return replace(mark, category=str(following.value), value=value)
            case "part":
                kind, plural = following.part
                if kind in ("arm", "leg", "knee") and value == 2 and plural:
                    return replace(mark, category="side", value="both")
                if kind != "knee" or value == 1:
                    limb = value == 1 and kind in ("arm", "leg", "knee")
                    return replace(mark, category="side" if limb else "word", value="any")
            case "act" if following.value == "step":
                return replace(mark, category="steps", value=round(value))
            case "act" if following.value in _COUNTED:
                return replace(mark, category="times", value=round(value))
            case "act" if following.text in ("running", "walking"):
                pass
            case "act" | "comma" | "link" | "time" | "number":
                break
    return replace(mark, category="word", value=value)


# -- roles ------------------------------------------------------------------------------------------------------------

_PARTICIPLE = re.compile(r"(?:ed|en|bent|held|thrown|swung|struck)$")
_OWNERS = DETERMINERS | {"one", "both", "each", "either"}
_ADJECTIVES = frozenset("upper lower whole entire own very other same front back".split())


def _roles(marks: list[Mark]) -> list[Mark]:
    """Give each part of the body and each verb its role."""
    marks = list(marks)
    for i, mark in enumerate(marks):
        if mark.category == "part":
            _part_role(marks, i)
        elif mark.category == "act":
            marks[i] = replace(mark, obj=_object(marks, i))
        elif mark.category == "modest":
            _modest(marks, i)
        elif mark.category == "pose" and _describes(mark) and _noun(marks[i + 1 : i + 2]):
            marks[i] = replace(mark, category="word")
    return marks


def _noun(marks: Sequence[Mark]) -> bool:
    """Whether an unknown noun comes next: "a crouched guard"."""
    return bool(marks) and _is_noun(marks[0])


def _is_noun(mark: Mark) -> bool:
    """Whether an unknown word may be a noun."""
    return mark.category == "word" and mark.text.isalpha() and mark.text not in FUNCTION_WORDS


def _modest(marks: list[Mark], i: int) -> None:
    """ "slightly to the right", "to the right a little": the direction nearest to it is a vague one."""
    ahead = [k for k in range(i + 1, min(i + 4, len(marks)))]
    behind = [k for k in range(i - 1, max(i - 3, -1), -1)]
    for near in (ahead, behind):
        for k in near:
            if marks[k].category in ("comma", "link"):
                break
            if marks[k].category in ("lateral", "way"):
                marks[k] = replace(marks[k], role="modest")
                return


def _part_role(marks: list[Mark], i: int) -> None:
    """Find what governs a part of the body: a preposition makes it a place, a participle before it a description."""
    following = marks[i + 1] if i + 1 < len(marks) else None
    if following is not None and _describes(following) and not _acts(marks[i], following):
        # "with both arms extended"
        marks[i] = replace(marks[i], role="described")
        if following.category == "act":
            marks[i + 1] = replace(following, category="state")
        return
    j, described = i - 1, False
    while j >= 0:
        mark = marks[j]
        if mark.category == "act" and _describes(mark):
            owned = any(between.text in _OWNERS for between in marks[j + 1 : i])
            if owned or (j and _acts(marks[j - 1], mark)):
                break  # "raised his arm", "the man raised one arm"
        described = described or _describes(mark)
        inside = (
            mark.text in DETERMINERS
            or mark.text in _ADJECTIVES
            or mark.category in ("side", "lateral", "number", "modest", "pace")
            or _describes(mark)
            or (mark.category == "word" and mark.text not in FUNCTION_WORDS and j and marks[j - 1].text in DETERMINERS)
        )
        if not inside:
            break
        j -= 1
    governor = marks[j] if j >= 0 else None
    if governor is not None and governor.text in ("and", "or") and j and marks[j - 1].category == "place":
        governor = marks[j - 1]
    if governor is not None and governor.text == "of" and j and marks[j - 1].category == "act":
        # "two rotations of the right arm": what moves.
        return
    if governor is not None and (governor.text in LANDMARK_PREPOSITIONS or governor.category == "place"):
        if not _supports(marks, i, governor):
            for k in range(j + 1, i):
                if marks[k].category in ("side", "lateral", "act", "way", "number"):
                    marks[k] = replace(marks[k], category="word")
            marks[i] = replace(marks[i], category="place", value=marks[i].part[0])
    elif described and (j < 0 or marks[j + 1].text in DETERMINERS or marks[j].category != "word"):
        for k in range(j + 1, i):
            if _describes(marks[k]) and marks[k].category == "act":
                marks[k] = replace(marks[k], category="state", role="described")
        marks[i] = replace(marks[i], role="described")


def _acts(subject: Mark, verb: Mark) -> bool:
    """Whether a verb in the past tells what somebody did ("a man walked"), and not how a limb is held."""
    return subject.category == "part" and subject.part[0] == "body" and verb.category == "act"


def _describes(mark: Mark) -> bool:
    """Whether a word can say how a part of the body is held: "outstretched", "raised", "bent"."""
    if mark.category in ("act", "pose"):
        return bool(_PARTICIPLE.search(mark.text))
    return mark.category == "way" and bool(_PARTICIPLE.search(mark.text))


def _supports(marks: list[Mark], i: int, governor: Mark) -> bool:
    """Whether a foot is what a jump is made on ("hops on the left foot"), and not a place."""
    if governor.text not in ("on", "onto") or marks[i].part[0] != "leg":
        return False
    acts = [mark for mark in marks[:i] if mark.category in ("act", "again", "link", "comma")]
    verbs = [mark for mark in acts if mark.category in ("act", "again")]
    return not verbs or verbs[-1].value in STANDING_VERBS or verbs[-1].category == "again"


def _object(marks: list[Mark], i: int) -> str:
    """What a verb is done to: a "part" of the body, a "thing", "it", or nothing (empty)."""
    j = i + 1
    while j < len(marks) and _adverbial(marks[j]):
        j += 1
    if j == len(marks):
        return ""
    if marks[j].text in PRONOUNS:
        return "it"
    opened = False
    for mark in marks[j : j + 5]:
        if mark.category == "part":
            return "part"
        if mark.category == "thing":
            return "thing"
        if mark.text in DETERMINERS or mark.category in ("side", "number", "pose", "state"):
            opened = True
        elif mark.category == "word" and _is_noun(mark) and not mark.text.endswith("ing"):
            # A noun that the lexicon does not know is a thing; a word after it belongs to it.
            if opened or mark is marks[j]:
                return "thing"
        else:
            break
    return ""


def _adverbial(mark: Mark) -> bool:
    return (
        mark.category in ("pace", "modest", "times", "several")
        or mark.text in PARTICLES
        or mark.text in ADVERBS
        or (mark.category == "word" and mark.text.endswith("ly"))
    )


# -- clauses ----------------------------------------------------------------------------------------------------------

_LIMB_ACTS = frozenset("lift wave punch throw circle extend kick hop lunge clap pick hold swing again".split())
_STRENGTH = ("next", "comma", "first", "and", "with", "while", "after", "earlier", "then")


def _clauses(marks: list[Mark]) -> list[Clause]:
    found = [Clause("next")]
    for i, mark in enumerate(marks):
        if mark.category == "comma":
            if found[-1].marks:
                found.append(Clause("comma"))
        elif mark.category == "link":
            value = str(mark.value)
            if mark.text == "with":
                if not _with_opens(found[-1], marks[i + 1 : i + 12]):
                    found[-1].marks.append(mark)
                    continue
                value = "with"
            if found[-1].marks:
                found.append(Clause(value))
            elif mark.text == "before" and len(found) == 1:
                found[-1].fronted = True
            else:
                found[-1].link = max(found[-1].link, value, key=_STRENGTH.index)
        elif mark.text == "without" and found[-1].acts:
            found.append(Clause("with", [mark]))
        else:
            found[-1].marks.append(mark)
    return [clause for clause in found if any(mark.category not in ("word", "link") for mark in clause.marks)]


def _with_opens(clause: Clause, rest: Sequence[Mark]) -> bool:
    """Whether "with" opens a clause of its own ("walks with both arms up") or names a limb ("kicks with the ...")."""
    ahead: list[Mark] = []
    for mark in rest:
        if mark.category in ("comma", "link"):
            break
        ahead.append(mark)
    kinds = {mark.category for mark in ahead}
    if any(mark.category == "word" and mark.text.endswith("ing") for mark in ahead if mark.text not in FUNCTION_WORDS):
        return True
    if kinds & {"act", "pose", "state"} or any(mark.role == "described" for mark in ahead):
        return True
    limbs = any(str(act.value) in _LIMB_ACTS for act in clause.acts)
    return "part" in kinds and bool(kinds & {"way", "level", "place"}) and not limbs
