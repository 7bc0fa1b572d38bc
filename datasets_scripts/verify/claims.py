"""Reads free English about movement into statements that a motion can be asked about.

No grammar is assumed beyond clauses: each sentence is divided at punctuation and connecting words, the words of
movement in a clause are looked up in `lexicon`, and what stands around them (sides, directions, counts, angles,
heights, lengths, times) is attached to the movement of its clause. What cannot be read is left over and counted, never
guessed. Time is linear in the length of the text.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from datasets_scripts.verify.lexicon import MAX_WORDS, PHRASES

_TAG = re.compile(r"</?[A-Za-z_][A-Za-z_0-9]{0,30}>")
_SENTENCE_END = re.compile(r"(?:[.!?;。！？…]|\n)+(?=\s|$|[^\d\s])")
_TOKEN = re.compile(r"\d+(?:\.\d+)?|[A-Za-z]+(?:'[a-z]+)?|[,:()°º]")
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
_OTHER = {"left": "right", "right": "left", "both": "both", "": ""}
_LETTER = re.compile(r"[^\W\d_]")
# Movements done with a hand, with a leg: only these take over the side of the clause before.
ARM_KINDS = frozenset({"raise", "wave", "punch", "throw", "reach", "circle", "pick", "clap", "arm", "lower"})
LEAP_KINDS = frozenset({"jump", "hop", "jack"})
LEG_KINDS = frozenset({"kick", "knee", "leg", "hop", "lunge"})
_SIDED_BY_WAY = frozenset({"turn", "curve", "sidestep", "lean", "look", "travel", "step", "jump", "face", "twist"})


@dataclass(frozen=True)
class Statement:
    """One movement or pose that a text asserts, with everything it says about it.

    `kind` is a name that `checks` knows. `side` left, right, both or empty; `ways` directions; `count` (its `unit`
    steps or times) with `rough` for "about" and `least` for "several"; `angle` degrees; `metres` of way or height;
    `level` a height by name; `pace` slow or fast; `at`/`until` seconds; `airborne` the least and the most seconds that
    a leap is in the air; `when` start or end; `link` to the statement before: then (later), next (not earlier), and
    (not over before it), with (no order). `negated`: it does not happen; `vague`: hardly. `start`, `stop` are offsets
    in the whole text.
    """

    kind: str
    start: int
    stop: int
    side: str = ""
    ways: frozenset[str] = frozenset()
    count: int | None = None
    rough: bool = False
    least: int | None = None
    angle: float | None = None
    metres: float | None = None
    level: str = ""
    pace: str = ""
    at: float | None = None
    until: float | None = None
    airborne: tuple[float, float] | None = None
    when: str = ""
    link: str = "next"
    negated: bool = False
    vague: bool = False
    pose: str = ""
    gait: str = ""
    unit: str = ""


@dataclass(frozen=True)
class Sentence:
    """A sentence's place in the text and what was read in it."""

    start: int
    stop: int
    statements: tuple[Statement, ...]


@dataclass
class _Mark:
    category: str
    value: object
    start: int
    stop: int
    text: str


@dataclass
class _Clause:
    link: str
    marks: list[_Mark] = field(default_factory=list)
    fronted: bool = False

    def of(self, *categories: str) -> list[_Mark]:
        return [mark for mark in self.marks if mark.category in categories]

    @property
    def acts(self) -> list[_Mark]:
        return self.of("act", "again")


def read(text: str) -> list[Sentence]:
    """The sentences of `text` in order; those that hold no letter at all are left out."""
    # Tags stand for no words; blanks keep every offset.
    plain = _TAG.sub(lambda match: " " * len(match[0]), text)
    sentences = []
    memory = _Memory()
    for start, stop in _sentences(plain):
        statements = _read_sentence(plain, start, stop, memory)
        sentences.append(Sentence(start, stop, tuple(statements)))
    return sentences


def _sentences(text: str) -> list[tuple[int, int]]:
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


class _Memory:
    """What later words refer back to: the last statement, the last sides of arm and leg, the last kind of leap."""

    def __init__(self) -> None:
        self.last: Statement | None = None
        self.sides = {"arm": "", "leg": ""}
        self.lateral = ""
        self.leap = "jump"

    def keep(self, statement: Statement) -> None:
        self.last = statement
        limb = _limb(statement.kind)
        if limb and statement.side:
            self.sides[limb] = statement.side
        if statement.kind in _SIDED_BY_WAY and statement.side:
            self.lateral = statement.side
        if statement.kind in LEAP_KINDS:
            self.leap = statement.kind


def _limb(kind: str) -> str:
    return "arm" if kind in ARM_KINDS else "leg" if kind in LEG_KINDS else ""


# -- from words to marks --------------------------------------------------------------------------------------------


def _marks(text: str, start: int, stop: int) -> list[_Mark]:
    """The known phrases of a sentence, times first, then the longest phrase at each word."""
    found: list[_Mark] = []
    taken: list[tuple[int, int]] = []
    for match in _AIRBORNE.finditer(text, start, stop):
        found.append(_Mark("airborne", _length(match), match.start(), match.end(), match[0]))
        taken.append(match.span())
    for match in _RANGE.finditer(text, start, stop):
        if not any(a < match.end() and match.start() < b for a, b in taken):
            between = ("range", float(match[1]), float(match[2]))
            found.append(_Mark("time", between, match.start(), match.end(), match[0]))
            taken.append(match.span())
    for match in _POINT.finditer(text, start, stop):
        if not any(a < match.end() and match.start() < b for a, b in taken):
            value = (match[1].lower(), float(match[2]))
            found.append(_Mark("time", value, match.start(), match.end(), match[0]))
            taken.append(match.span())
    taken.sort()
    words: list[tuple[str, int, int]] = []
    covered = 0
    for token in _TOKEN.finditer(text, start, stop):
        while covered < len(taken) and taken[covered][1] <= token.start():
            covered += 1
        if covered < len(taken) and taken[covered][0] <= token.start():
            continue
        words.append((token[0].lower(), token.start(), token.end()))
    i = 0
    while i < len(words):
        word, first, last = words[i]
        if word in ",:()":
            found.append(_Mark("comma", word, first, last, word))
            i += 1
            continue
        if word[0].isdigit():
            found.append(_Mark("number", float(word), first, last, word))
            i += 1
            continue
        for size in range(min(MAX_WORDS, len(words) - i), 0, -1):
            entry = PHRASES.get(tuple(item[0] for item in words[i : i + size]))
            if entry is not None:
                found.append(
                    _Mark(
                        entry[0],
                        entry[1],
                        first,
                        words[i + size - 1][2],
                        " ".join(item[0] for item in words[i : i + size]),
                    )
                )
                i += size
                break
        else:
            found.append(_Mark("word", word, first, last, word))
            i += 1
    found.sort(key=lambda mark: mark.start)
    return _bound(found)


def _length(match: re.Match[str]) -> tuple[float, float]:
    """The least and the most seconds that a passage about time in the air states."""
    groups = [group for group in match.groups() if group is not None]
    numbers = [float(group) if group[0].isdigit() else 0.5 for group in groups]
    return min(numbers), max(numbers)


_HEIGHTS = {
    "chest": "chest",
    "shoulder": "shoulder",
    "head": "head",
    "face": "head",
    "eye": "head",
    "chin": "shoulder",
    "waist": "waist",
    "hip": "waist",
    "knee": "knee",
}
_BEFORE_LEVEL = frozenset("to at above over beside near toward towards past below with reaching".split())
_AFTER_LEVEL = frozenset("height level high".split())
_SMALL_WORDS = frozenset("the his her their its a an own up about around roughly just".split())


def _bound(marks: list[_Mark]) -> list[_Mark]:
    """Resolve words by their neighbours: sides and directions, heights, numbers and what they count."""
    result: list[_Mark] = []
    for i, mark in enumerate(marks):
        following = marks[i + 1] if i + 1 < len(marks) else None
        if mark.category == "lateral":
            result.append(_lateral(mark, marks, i))
        elif mark.category == "part" and isinstance(mark.value, tuple) and mark.value[1] in _HEIGHTS:
            before = next((m.text for m in reversed(marks[max(0, i - 3) : i]) if m.text not in _SMALL_WORDS), "")
            name = _HEIGHTS[mark.value[1]]
            if following is not None and following.text in _AFTER_LEVEL and not mark.value[2]:
                result.append(replace_mark(mark, "level", name))
            elif before in _BEFORE_LEVEL and not mark.value[2]:
                result.append(replace_mark(mark, "level", name))
            else:
                result.append(mark)
        elif mark.text == "half" and any(m.category == "unit" and m.value == "m" for m in marks[i + 1 : i + 3]):
            result.append(replace_mark(mark, "m", 0.5))
        elif mark.category == "number":
            result.append(_number(mark, marks, i))
        else:
            result.append(mark)
    return result


def replace_mark(mark: _Mark, category: str, value: object) -> _Mark:
    """The same place in the text read as something else."""
    return _Mark(category, value, mark.start, mark.stop, mark.text)


_SIDE_NOUNS = frozenset({"kick", "punch", "hop", "lunge", "knee"})


def _lateral(mark: _Mark, marks: list[_Mark], i: int) -> _Mark:
    """left/right: of a body part (side) or a direction (way)."""
    for following in marks[i + 1 : i + 3]:
        if following.category == "part":
            part = following.value[0] if isinstance(following.value, tuple) else ""
            return replace_mark(mark, "side" if part not in ("body", "trunk", "head") else "lateral", mark.value)
        if following.category == "act" and following.value in _SIDE_NOUNS:
            return replace_mark(mark, "side", mark.value)
        if following.category not in ("word", "pace") or following.text in ("and", "to", "the", "in", "with"):
            break
    previous = [m.text for m in marks[max(0, i - 2) : i]]
    if "with" in previous:
        return replace_mark(mark, "side", mark.value)
    return mark


_COUNTED = frozenset(
    "kick punch hop jump jack wave clap circle throw lunge squat knee lean march sidestep bow turn swing other".split()
)


def _number(mark: _Mark, marks: list[_Mark], i: int) -> _Mark:
    """A number with what it counts: a unit or the noun of a movement a few words on."""
    value = float(mark.value) if isinstance(mark.value, float) else 0.0
    for following in marks[i + 1 : i + 5]:
        if following.category == "plus half":
            value += 0.5
            continue
        if following.category == "unit":
            unit = following.value
            if unit == "times":
                return replace_mark(mark, "times", round(value))
            return replace_mark(mark, str(unit), value)
        if following.category == "part" and isinstance(following.value, tuple):
            kind, _, plural = following.value
            if kind in ("arm", "leg", "knee") and value == 2 and plural:
                return replace_mark(mark, "side", "both")
            if kind == "knee":
                continue
            return replace_mark(mark, "side" if value == 1 and kind in ("arm", "leg") else "word", "any")
        if following.category == "act":
            if following.value == "step":
                return replace_mark(mark, "steps", round(value))
            if following.value in ("march", "sidestep") or following.value in _COUNTED:
                return replace_mark(mark, "times", round(value))
            if following.value == "run" and following.text == "running":
                continue
            if following.value == "walk" and following.text == "walking":
                continue
            if following.value == "lift":
                return replace_mark(mark, "times", round(value))
            break
        if following.category in ("comma", "link", "time", "number"):
            break
    return replace_mark(mark, "word", value)


# -- from marks to clauses ------------------------------------------------------------------------------------------


_LIMB_ACTS = frozenset("lift wave punch throw circle extend kick hop lunge clap pick hold swing again".split())
_ENDS = frozenset({"comma", "link"})


def _clauses(marks: list[_Mark]) -> list[_Clause]:
    clauses = [_Clause("next")]
    for i, mark in enumerate(marks):
        if mark.category == "comma":
            if clauses[-1].marks:
                clauses.append(_Clause("comma"))
        elif mark.category == "link":
            value = str(mark.value)
            if mark.text == "with":
                if not _with_opens(clauses[-1], marks[i + 1 : i + 12]):
                    clauses[-1].marks.append(mark)
                    continue
                value = "with"
            if clauses[-1].marks:
                clauses.append(_Clause(value))
            elif mark.text == "before" and len(clauses) == 1:
                clauses[-1].fronted = True
            else:
                clauses[-1].link = _stronger(clauses[-1].link, value)
        elif mark.text == "without" and clauses[-1].acts:
            clauses.append(_Clause("with", [mark]))
        else:
            clauses[-1].marks.append(mark)
    return [clause for clause in clauses if any(mark.category not in ("word", "link") for mark in clause.marks)]


def _with_opens(clause: _Clause, rest: Sequence[_Mark]) -> bool:
    """Whether "with" opens a clause of its own ("walks with both arms up") or names a limb ("kicks with the ...")."""
    ahead: list[_Mark] = []
    for mark in rest:
        if mark.category in _ENDS:
            break
        ahead.append(mark)
    kinds = {mark.category for mark in ahead}
    if kinds & {"act", "pose"}:
        return True
    limbs = any(str(act.value) in _LIMB_ACTS for act in clause.acts)
    return "part" in kinds and bool(kinds & {"way", "level"}) and not limbs


def _stronger(a: str, b: str) -> str:
    order = ("next", "comma", "first", "and", "with", "while", "after", "earlier", "then")
    return max(a, b, key=order.index)


def _read_sentence(text: str, start: int, stop: int, memory: _Memory) -> list[Statement]:
    clauses = _clauses(_marks(text, start, stop))
    statements: list[Statement] = []
    when = ""
    pending: list[_Mark] = []
    first = True
    waiting: float | None = None
    for clause in clauses:
        whens = [str(mark.value) for mark in clause.of("when")]
        when = whens[-1] if whens else when
        made = _interpret(clause, pending, when, memory, statements)
        if not made and clause.link == "then" and statements and _gaps(clause, statements[-1]):
            made = _gapped(clause, statements[-1])
        if not made and clause.of("airborne") and _whole_body(clause):
            leap = next((i for i in reversed(range(len(statements))) if statements[i].kind in LEAP_KINDS), None)
            if leap is None:
                made = [_details(clause, memory.leap)]
            else:
                # "jumps twice, rising about 20 cm, in the air for 0.4 seconds each": of the jumps, not of the rising.
                statements[leap] = _modified(statements[leap], clause)
                continue
        if not made:
            if statements and _merges(clause):
                updated = _modified(statements[-1], clause)
                statements[-1] = updated
                memory.keep(updated)
            else:
                pending.extend(clause.marks)
            continue
        pending = []
        for k, statement in enumerate(made):
            link = _link(clause.link, first) if k == 0 else "with"
            if k and statement.kind in ("pose", "hand"):
                link = "with"
            statement = replace(statement, link=link)
            if statement.kind == "other":
                # "At 2 s fists up, one left punch": the time is that of what comes of it.
                waiting = statement.at
            elif statement.at is None and waiting is not None:
                statement, waiting = replace(statement, at=waiting), None
            if clause.link == "after" and statements and not first:
                # "X after Y": what stands second came first.
                statements.insert(len(statements) - 1, replace(statement, link=statements[-1].link))
                statements[-1] = replace(statements[-1], link="then")
            elif clause.link == "earlier":
                statements.append(replace(statement, link="with"))
            else:
                statements.append(statement)
            memory.keep(statement)
        first = False
    if clauses and clauses[0].fronted:
        # "Before X, Y": what stands first came last.
        comma = text.find(",", start, stop)
        early = [s for s in statements if comma < s.start]
        late = [s for s in statements if s.start < comma]
        if early and late:
            statements = [replace(early[0], link="next"), *early[1:], replace(late[0], link="then"), *late[1:]]
    return statements


def _gaps(clause: _Clause, last: Statement) -> bool:
    """Whether a clause leaves its movement out: "bends twice to the left and then twice to the right"."""
    parts = {str(m.value[0]) for m in clause.of("part") if isinstance(m.value, tuple)}
    limb = {"arm": {"arm"}, "leg": {"leg", "knee"}}.get(_limb(last.kind), set())
    return bool(clause.of("times", "lateral", "side")) and parts <= limb


def _gapped(clause: _Clause, last: Statement) -> list[Statement]:
    """The last movement once more, with what the clause says differently."""
    details = _details(clause, last.kind)
    if last.kind in ("pose", "hand", "face", "end", "other"):
        return []
    other = "other" in {str(m.value) for m in clause.of("side", "lateral")}
    side = _OTHER.get(last.side, "") if other else details.side or last.side
    ways = frozenset(way for way in last.ways if way not in ("left", "right"))
    ways |= details.ways if not other else {_OTHER.get(way, way) for way in last.ways & {"left", "right"}}
    count = details.count or last.count
    again = replace(last, start=details.start, stop=details.stop, side=side, ways=ways, count=count)
    return [replace(again, at=details.at, until=details.until)]


def _link(link: str, first: bool) -> str:
    if first:
        return "then" if link == "then" else "with" if link == "while" else "next"
    return {"then": "then", "and": "and", "while": "with", "with": "with", "comma": "next"}.get(link, "next")


def _whole_body(clause: _Clause) -> bool:
    """Whether it is the body (both feet at least) and not a hand or one foot that a clause has in the air."""
    limbs = [m.value for m in clause.of("part") if isinstance(m.value, tuple) and m.value[0] != "body"]
    return all(limb[0] == "leg" and limb[2] for limb in limbs)


def _merges(clause: _Clause) -> bool:
    """Whether a clause without a movement adds to the one before."""
    kinds = {mark.category for mark in clause.marks}
    return bool(
        kinds
        & {
            "m",
            "cm",
            "degrees",
            "pace",
            "times",
            "steps",
            "way",
            "lateral",
            "side",
            "level",
            "several",
            "turned",
            "time",
            "airborne",
            "as many",
        }
    )


def _modified(statement: Statement, clause: _Clause) -> Statement:
    """A statement with what a later clause adds: nothing that it has already is overwritten."""
    more = _details(clause, statement.kind)
    changes: dict[str, Any] = {}
    for name in ("count", "angle", "metres", "level", "pace", "at", "until", "airborne", "least", "unit"):
        value = getattr(more, name)
        if value not in (None, "") and getattr(statement, name) in (None, ""):
            if name == "metres" and any(m.category == "part" for m in clause.marks) and statement.kind in ("travel",):
                continue
            if name == "airborne" and not _whole_body(clause):
                continue
            changes[name] = value
    parts = {m.value[0] for m in clause.of("part") if isinstance(m.value, tuple)}
    limb = {"arm": ARM_KINDS, "leg": LEG_KINDS, "knee": LEG_KINDS}
    if more.side and not statement.side and any(statement.kind in limb.get(str(part), ()) for part in parts):
        changes["side"] = more.side
    if more.ways and not statement.ways and not parts - {"arm", "leg", "body"}:
        changes["ways"] = more.ways - {"down"}
    if statement.kind in _SIDED_BY_WAY and not statement.side and not parts and more.side:
        changes["side"] = more.side
    return replace(statement, **changes)


# -- from clauses to statements -------------------------------------------------------------------------------------


def _details(clause: _Clause, kind: str) -> Statement:
    """Everything a clause says besides what moves, as a statement of `kind`."""
    marks = clause.marks
    start = min((m.start for m in marks), default=0)
    stop = max((m.stop for m in marks), default=0)
    values: dict[str, Any] = {"rough": any(m.text in ("about", "around", "roughly") for m in marks)}
    ways = {str(m.value) for m in clause.of("way")}
    laterals = [str(m.value) for m in clause.of("lateral")]
    sides = [str(m.value) for m in clause.of("side")]
    for m in marks:
        if m.category in ("times", "steps"):
            if any(n.category == "total" for n in marks):
                # A sum over several movements is nobody's count.
                continue
            values.setdefault("count", m.value)
            values.setdefault("unit", m.category)
        elif m.category == "several":
            values.setdefault("least", 2)
        elif m.category == "degrees":
            values.setdefault("angle", m.value)
        elif m.category == "turned" and isinstance(m.value, int):
            rounds = next((n.value for n in marks if n.category == "times" and isinstance(n.value, int)), 1)
            values.setdefault("angle", float(m.value) * (rounds or 1))
        elif m.category == "m":
            values.setdefault("metres", m.value)
        elif m.category == "cm" and isinstance(m.value, float):
            values.setdefault("metres", 0.01 * m.value)
        elif m.category == "level":
            values.setdefault("level", m.value)
        elif m.category == "pace":
            values.setdefault("pace", m.value)
        elif m.category == "time" and isinstance(m.value, tuple):
            values |= _time(m.value)
        elif m.category == "airborne" and kind in LEAP_KINDS:
            values.setdefault("airborne", m.value)
        elif m.category == "not":
            values["negated"] = True
        elif m.category == "vague":
            values["vague"] = True
    if "overhead" in ways:
        values.setdefault("level", "overhead")
    side = ""
    real = [s for s in sides if s in ("left", "right", "both")]
    if real:
        side = "both" if len(set(real)) > 1 else real[0]
    lateral = [s for s in laterals if s in ("left", "right")]
    if lateral and len(set(lateral)) == 1 and "both" not in laterals:
        ways.add(lateral[0])
    if kind in _SIDED_BY_WAY:
        named = ways & {"left", "right"}
        side = next(iter(named)) if len(named) == 1 else ""
    return Statement(kind, start, stop, side=side, ways=frozenset(ways), **values)


def _time(value: tuple) -> dict[str, Any]:
    if value[0] == "range":
        return {"at": value[1], "until": value[2]}
    if value[0] in ("at", "after", "around", "from", "near", "about"):
        return {"at": value[1]}
    # "by 2 s", "for 2 s": ends and lengths are left alone, a movement's fading out has no sharp end.
    return {}


def _interpret(
    clause: _Clause, pending: list[_Mark], when: str, memory: _Memory, statements: Sequence[Statement]
) -> list[Statement]:
    acts = clause.acts
    if pending:
        clause = _Clause(clause.link, [*pending, *clause.marks])
    if not acts:
        return _states(clause, when, statements)
    groups = _by_act(clause, acts)
    made: list[Statement] = []
    for act, own in groups:
        made.extend(_statement(act, own, clause, when, memory, [*statements, *made]))
    return made


def _by_act(clause: _Clause, acts: list[_Mark]) -> list[tuple[_Mark, _Clause]]:
    """The marks around each movement of a clause; helping verbs and step nouns give way to what they help."""
    # "marches four steps in place" names one movement twice.
    useful = [act for i, act in enumerate(acts) if act.value not in {before.value for before in acts[:i]}]
    if len(acts) > 1:
        for weak in (
            "circle",
            "step",
            "go",
            "lift",
            "extend",
            "hold",
            "bend",
            "swing",
            "other",
            "throw",
            "lower",
            "turn",
            "touch",
            "walk",
            "run",
        ):
            if len(useful) == 1:
                break
            for act in list(useful):
                if act.value != weak or len(useful) == 1:
                    continue
                others = {str(other.value) for other in useful if other is not act}
                if _gives_way(weak, others, act, clause):
                    useful.remove(act)
    if len(useful) == 1:
        return [(useful[0], clause)]
    groups = []
    edges = [0, *(act.start for act in useful[1:]), 1 << 60]
    for act, a, b in zip(useful, edges, edges[1:], strict=False):
        own = [m for m in clause.marks if a <= m.start < b]
        groups.append((act, _Clause(clause.link, own)))
    return groups


def _gives_way(weak: str, others: set[str], act: _Mark, clause: _Clause) -> bool:
    parts = {m.value[0] for m in clause.of("part") if isinstance(m.value, tuple)}
    if weak == "step":
        return bool(others & {"walk", "run", "march", "curve", "circle", "sidestep", "go", "turn"})
    if weak == "circle":
        return "turn" in others
    if weak == "go":
        return not others & {"lower"}
    if weak == "throw":
        return bool(others & {"punch", "kick"})
    if weak == "lift":
        return bool(others & {"stand", "jump", "knee", "circle"}) or ("arm" not in parts and "leg" not in parts)
    if weak == "extend":
        return bool(others & {"punch", "kick", "throw", "pick", "lift", "lunge", "step", "clap", "meet"})
    if weak == "hold":
        return True
    if weak == "bend":
        return bool(others & {"pick", "squat", "touch", "kneel", "lean", "bow", "walk", "run"})
    if weak == "swing":
        return bool(others & {"circle", "kick", "walk", "run", "punch", "throw"})
    if weak == "turn":
        return "look" in others
    if weak == "lower":
        return bool(others & {"squat", "sit", "kneel", "lie", "lunge", "bow"})
    if weak in ("walk", "run"):
        return bool(others & {"march"}) or bool(others & {"curve", "circle"} and "arm" not in parts)
    if weak == "touch":
        return False
    return weak == "other" and bool(others)


def _statement(
    act: _Mark, own: _Clause, clause: _Clause, when: str, memory: _Memory, before: Sequence[Statement]
) -> list[Statement]:
    if act.category == "again":
        return _again(act, own, memory)
    parts = [m.value for m in own.of("part") if isinstance(m.value, tuple)]
    names = {part[0] for part in parts}
    kind, extra = _kind(str(act.value), act, own, names)
    if not kind:
        return []
    if kind == "low" and not names & {"hip", "body", "knee", "trunk"} and before and _limb(before[-1].kind):
        # "raises the arm and brings it down again", "... then comes down": the limb, not the body.
        kind = "lower"
    made = replace(_details(own, kind), **extra)
    if kind in ("pose", "face", "end"):
        made = replace(made, when=when or ("end" if kind == "end" else ""))
    side = _side(kind, made, own, parts, memory, before)
    made = replace(made, side=side)
    if when and kind in ("raise", "lower") and made.at is None and when == "start":
        made = replace(made, when=when)
    if own.of("as many") and memory.last is not None:
        made = replace(made, count=memory.last.count, unit="times")
    return [made]


def _side(
    kind: str, made: Statement, own: _Clause, parts: Sequence[tuple], memory: _Memory, before: Sequence[Statement]
) -> str:
    words = [str(m.value) for m in own.of("side")]
    laterals = [str(m.value) for m in own.of("lateral")]
    limb = _limb(kind)
    if limb:
        if "other" in words:
            return _OTHER.get(memory.sides[limb], "")
        if "same" in words:
            return memory.sides[limb]
        if made.side or "any" in words:
            return made.side
        plural = any(part[0] in ("arm", "leg", "knee") and part[2] for part in parts)
        single = any(part[0] in ("arm", "leg", "knee") and not part[2] for part in parts)
        named = made.ways & {"left", "right"}
        if not parts and len(named) == 1 and kind in ("kick", "punch", "hop", "lunge", "wave", "knee"):
            return ""
        if plural and kind in ("raise", "wave", "circle", "reach", "lower"):
            return "both"
        if not single and kind in ("wave", "lower", "reach") and before and before[-1].kind == "raise":
            return before[-1].side
        return ""
    if kind in _SIDED_BY_WAY and "other" in laterals:
        return _OTHER.get(memory.lateral, "")
    return made.side


def _again(act: _Mark, own: _Clause, memory: _Memory) -> list[Statement]:
    """ "does the same with the other hand": the last movement, mirrored where a side is named."""
    last = memory.last
    if last is None:
        return []
    details = _details(own, last.kind)
    words = {str(m.value) for m in own.of("side", "lateral")}
    side, ways = last.side, last.ways
    if "other" in words:
        side = _OTHER.get(last.side, "")
        ways = frozenset(_OTHER.get(way, way) for way in last.ways)
    elif words & {"left", "right", "both"}:
        side = details.side or next(iter(words & {"left", "right", "both"}))
        ways = frozenset(
            _OTHER.get(way, way) if way in ("left", "right") and way != side else way for way in last.ways
        )
    return [
        replace(
            last,
            start=act.start,
            stop=own.marks[-1].stop,
            side=side,
            ways=ways,
            at=details.at,
            until=details.until,
            count=details.count or last.count,
            pace=details.pace or last.pace,
        )
    ]


def _kind(verb: str, act: _Mark, own: _Clause, parts: set[str]) -> tuple[str, dict[str, Any]]:
    """What a movement word means with the body parts and directions beside it: a kind, and what follows from it."""
    ways = {str(m.value) for m in own.of("way")} | {str(m.value) for m in own.of("lateral")}
    sideways = bool(ways & {"sideways"})
    level = bool(own.of("level"))
    acts = {str(m.value) for m in own.of("act")}
    limbs = parts & {"arm", "leg", "knee", "trunk", "head", "hip"}
    stays = bool(own.of("stay"))
    negated = bool(own.of("not"))
    up = bool(ways & {"up", "overhead", "front", "sideways", "out", "forward"}) or level
    if verb in ("walk", "run", "go", "step"):
        if "arm" in parts and verb in ("go", "step"):
            if "meet" in acts:
                return "clap", {}
            if "floor" in {m.category for m in own.marks}:
                return "pick", {}
            return ("raise", {}) if up and "down" not in ways else ("arm", {})
        if parts & {"leg", "knee"} and verb == "go":
            if negated or stays:
                return "travel", {"negated": True}
            return ("knee", {}) if "knee" in parts else ("leg", {})
        if "head" in limbs and verb == "go":
            return "other", {}
        if verb == "go" and "trunk" in limbs:
            return "other", {}
        if verb == "go" and ways & {"down"} or "hip" in limbs:
            return "low", {}
        if verb == "go" and ways & {"up"} and not ways & {"forward", "backward", "left", "right"}:
            return "other", {}
        if (
            verb == "go"
            and not (ways & {"forward", "backward", "left", "right", "sideways", "back"})
            and not own.of("m", "cm", "pace")
        ):
            return ("still", {}) if negated else ("moving", {})
        if "in place" in ways and verb != "go" and ways & {"around"} and own.of("degrees", "turned"):
            return "turn", {}
        if "in place" in ways and verb != "go":
            return ("still", {}) if negated else ("march", {})
        if own.of("turned") and verb != "run" and {"curve"} & acts or "curve" in acts:
            return "curve", {}
        if "circle" in acts:
            return "curve", {}
        if verb == "step" and (sideways or ways & {"left", "right"}):
            return "sidestep", {}
        gait = {"walk": "walk", "run": "run"}.get(verb, "")
        if "run" in acts:
            gait = "run"
        return "travel", {"gait": gait}
    if verb == "curve":
        return "curve", {}
    if verb == "circle":
        if acts & {"walk", "run", "go", "step"} or (own.of("turned") and "arm" not in parts):
            return "curve", {}
        if "arm" in parts or not parts - {"body"}:
            return "circle", {}
        return "other", {}
    if verb == "lift" and own.of("m", "cm") and not parts & {"arm", "leg", "knee"}:
        # "jumps, rising about 20 cm": how high, not another movement.
        return "other", {}
    if verb == "lift":
        if "knee" in parts:
            return "knee", {}
        if "leg" in parts:
            return "leg", {}
        if "arm" in parts:
            return "raise", {}
        if parts & {"head", "trunk"}:
            return "other", {}
        return "stand", {}
    if verb == "knee":
        return "knee", {}
    if verb == "lower":
        if "arm" in parts or not parts & {"hip", "body", "trunk", "leg", "knee", "head"}:
            return "lower", {}
        if parts & {"leg", "knee", "head"}:
            return "other", {}
        return "low", {}
    if verb == "hold":
        if "arm" in parts and up and "down" not in ways:
            return "raise", {}
        return "other", {}
    if verb == "extend":
        if "together" in ways and "arm" in parts:
            return "clap", {}
        if "leg" in parts and "down" in ways:
            return "other", {}
        if "arm" in parts:
            if ways & {"down"} or "floor" in {m.category for m in own.marks}:
                return ("pick", {}) if "floor" in {m.category for m in own.marks} else ("other", {})
            if ways & {"up", "overhead", "sideways"} or level or "right" in ways or "left" in ways:
                return "raise", {}
            return "reach", {}
        if "leg" in parts:
            return "kick", {}
        if act.text.startswith("reach") and not limbs:
            if ways & {"down"} or "floor" in {m.category for m in own.marks}:
                return "pick", {}
            return ("raise", {}) if ways & {"up", "overhead"} else ("reach", {})
        return "other", {}
    if verb == "swing":
        if "arm" in parts:
            return ("circle", {}) if "circle" in acts else ("arm", {})
        return ("leg", {}) if "leg" in parts else ("other", {})
    if verb in ("bend", "lean"):
        if parts & {"arm"} and not parts & {"trunk", "knee"} and not ways & {"down", "forward", "left", "right"}:
            return "other", {}
        if "elbow" in parts and not parts & {"trunk", "knee"}:
            return "other", {}
        if "trunk" in parts and verb == "lean" and not ways & {"left", "right", "back", "backward"}:
            # "the trunk leans forward": how it is held.
            return "pose", {"pose": "leaning"}
        if "knee" in parts:
            return "low", {}
        if act.text.startswith("side"):
            return "lean", {}
        if ways & {"left", "right", "sideways"} and not ways & {"forward", "down", "backward"}:
            return "lean", {}
        if ways & {"back", "backward"}:
            return "other", {}
        if "head" in parts and "trunk" not in parts:
            return "other", {}
        return "bend", {}
    if verb == "turn":
        if "head" in parts:
            return "look", {}
        if parts & {"trunk"} and not parts & {"leg"}:
            return "twist", {}
        if "arm" in parts:
            return "circle", {}
        if parts & {"leg", "knee"} and not parts & {"body"}:
            return "other", {}
        return "turn", {}
    if verb == "touch":
        return ("pick", {}) if "floor" in {m.category for m in own.marks} else ("other", {})
    if verb == "meet":
        return ("clap", {}) if "arm" in parts else ("other", {})
    if verb == "still":
        return "still", {}
    if verb == "stay":
        return "travel", {"negated": True}
    if verb == "end":
        return "end", {}
    if verb == "hop" and "both" in {m.value for m in own.of("side")}:
        return "jump", {}
    if (
        verb == "look"
        and not ways & {"left", "right", "around", "both", "other"}
        and act.text.startswith(("look", "g"))
    ):
        return "other", {}
    return verb, {}


def _states(clause: _Clause, when: str, statements: Sequence[Statement]) -> list[Statement]:
    """A clause without a movement word that still says where a limb or the body is."""
    parts = [m.value for m in clause.of("part") if isinstance(m.value, tuple)]
    names = {part[0] for part in parts}
    ways = {str(m.value) for m in clause.of("way")}
    poses = [str(m.value) for m in clause.of("pose")]
    stays = bool(clause.of("stay"))
    made: list[Statement] = []
    if stays and names & {"leg"} and not names & {"knee"}:
        return [replace(_details(clause, "travel"), negated=True)]
    if stays and "arm" in names:
        details = _details(clause, "raise")
        side = details.side or ("both" if any(part[2] for part in parts if part[0] == "arm") else "")
        if "down" in ways:
            return [replace(details, side=side, negated=True)]
        return [replace(details, kind="held", side=side, ways=frozenset())] if "up" in ways or details.level else []
    if stays and "trunk" in names:
        return [replace(_details(clause, "bend"), negated=True, ways=frozenset())]
    if poses and "same" in poses:
        return [replace(_details(clause, "pose"), pose="same", when="end")]
    if when or (poses and not names & {"arm", "leg", "knee"}):
        if poses:
            made.append(replace(_details(clause, "pose"), pose=poses[0], when=when, side="", level=""))
        if "arm" in names and when:
            made.extend(_hands(clause, when))
        if made:
            return made
    if clause.link == "with" and statements and statements[-1].kind in ARM_KINDS and "arm" in names:
        return []
    details = _details(clause, "raise")
    high = bool(ways & {"up", "overhead", "sideways", "front", "out"}) or details.level in (
        "chest",
        "shoulder",
        "head",
    )
    plural = any(part[2] for part in parts if part[0] == "arm")
    if "arm" in names and clause.of("floor"):
        return [replace(details, kind="pick")]
    if "arm" in names and high and "down" not in ways:
        # "hand at shoulder height" after "left arm to the side" speaks of the same hand.
        if statements and statements[-1].kind == "raise" and not details.side:
            return []
        return [replace(details, side=details.side or ("both" if plural else ""))]
    if "elbow" in names and ways:
        return [replace(details, kind="other", side="")]
    if "knee" in names and ways & {"up", "overhead", "front"}:
        # "knees up" says how the steps before were done.
        plural_knees = any(part[2] for part in parts if part[0] == "knee")
        return [] if plural_knees and statements else [replace(details, kind="knee")]
    if "knee" not in names and "leg" in names and ways & {"up"} and not clause.of("m", "cm"):
        return [replace(details, kind="foot")]
    return made


def _hands(clause: _Clause, when: str) -> list[Statement]:
    """ "with the left arm down", "both hands at chest height": where the hands are at the start or the end."""
    details = _details(clause, "hand")
    plural = any(m.value[2] for m in clause.of("part") if isinstance(m.value, tuple) and m.value[0] == "arm")
    level = details.level or ("down" if "down" in details.ways else "")
    if not level:
        return []
    side = details.side or ("both" if plural else "")
    return [replace(details, side=side, level=level, when=when, metres=None, count=None)]
