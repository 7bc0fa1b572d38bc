"""Reads free English about movement into statements that a motion can be asked about.

`grammar` divides a sentence into clauses of words with roles, `rules` says what a verb means with its roles; here what
stands around it (sides, directions, counts, angles, heights, lengths, times) is attached, and what refers back is
resolved. What cannot be read is left over and counted, never guessed.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from datasets_scripts.verify.grammar import Clause, Mark, clauses, sentences, without_tags
from datasets_scripts.verify.lexicon import DETERMINERS, FUNCTION_WORDS, LANDMARK_PREPOSITIONS
from datasets_scripts.verify.rules import GIVES_WAY, Frame, kind_of

_OTHER = {"left": "right", "right": "left", "both": "both", "": ""}
# Movements done with a hand, with a leg: only these take over the side of the clause before.
ARM_KINDS = frozenset(
    {"raise", "wave", "punch", "throw", "reach", "circle", "pick", "take", "clap", "join", "arm", "lower"}
)
LEAP_KINDS = frozenset({"jump", "hop", "jack"})
LEG_KINDS = frozenset({"kick", "knee", "leg", "hop", "lunge"})
# Directions and goals that rules test, and those that say where an arm is.
_WHERE = frozenset(
    "forward front backward back sideways up overhead down in place together around out left right other both".split()
    + ["in place", "to side"]
)
_HELD = frozenset({"up", "overhead", "sideways", "front", "out", "down", "hanging"})
_SIDED_BY_WAY = frozenset({"turn", "curve", "sidestep", "lean", "look", "travel", "step", "jump", "face", "twist"})


@dataclass(frozen=True)
class Statement:
    """One movement or pose that a text asserts, with everything it says about it.

    Attributes:
        kind: a name that `checks` knows; "other" is understood, but nothing that joints can decide.
        start, stop: offsets of the passage in the whole text.
        side: left, right, both or empty.
        ways: directions.
        modest: those of them that are qualified, as in "slightly to the right".
        count: how often, in its `unit` (steps or times); `rough` for "about".
        least: the lowest count that "several" allows.
        angle: degrees.
        metres: way or height.
        level: a height by name.
        pace: slow or fast.
        at, until: seconds.
        airborne: the least and the most seconds that a leap is in the air.
        when: start or end.
        link: to the statement before: then (later), next (not earlier), and (not over before it), with (no order).
        negated: it does not happen.
        vague: whether it happens is left open ("hardly", "pretends to").
    """

    kind: str
    start: int
    stop: int
    side: str = ""
    ways: frozenset[str] = frozenset()
    modest: frozenset[str] = frozenset()
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


def read(text: str) -> list[Sentence]:
    """Read what a text states.

    Args:
        text: Free English, thoughts with control tags among it.

    Returns:
        Its sentences in order; those that hold no letter at all are left out.
    """
    plain = without_tags(text)
    memory = _Memory()
    return [
        Sentence(start, stop, tuple(_read_sentence(plain, start, stop, memory))) for start, stop in sentences(plain)
    ]


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


# -- from clauses to statements ---------------------------------------------------------------------------------------


def _read_sentence(text: str, start: int, stop: int, memory: _Memory) -> list[Statement]:
    found = clauses(text, start, stop)
    statements: list[Statement] = []
    when = ""
    pending: list[Mark] = []
    first = True
    waiting: float | None = None
    for clause in found:
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
            if not clause.acts and _unknown_verb(clause):
                continue
            if clause.of("pose", "state", "stay"):
                continue
            if statements and _merges(clause):
                updated = _modified(statements[-1], clause)
                if clause.link == "first":
                    # "two kicks, first with the left leg and then with the right": a sum is no one's count.
                    updated = replace(updated, count=None, unit="")
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
    if found and found[0].fronted:
        # "Before X, Y": what stands first came last.
        comma = text.find(",", start, stop)
        early = [s for s in statements if comma < s.start]
        late = [s for s in statements if s.start < comma]
        if early and late:
            statements = [replace(early[0], link="next"), *early[1:], replace(late[0], link="then"), *late[1:]]
    return statements


def _gaps(clause: Clause, last: Statement) -> bool:
    """Whether a clause leaves its movement out: "bends twice to the left and then twice to the right"."""
    limb = {"arm": {"arm"}, "leg": {"leg", "knee"}}.get(_limb(last.kind), set())
    return bool(clause.of("times", "lateral", "side")) and clause.parts <= limb


def _gapped(clause: Clause, last: Statement) -> list[Statement]:
    """The last movement once more, with what the clause says differently."""
    details = _details(clause, last.kind)
    if last.kind in ("pose", "hand", "face", "end", "other"):
        return []
    other = "other" in clause.values("side", "lateral")
    named = details.ways & {"left", "right"}
    if _limb(last.kind) and not details.side and len(named) == 1:
        # "punches with the left, then the right": the other hand, not a direction.
        details = replace(details, side=str(*named), ways=details.ways - named)
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


def _whole_body(clause: Clause) -> bool:
    """Whether it is the body (both feet at least) and not a hand or one foot that a clause has in the air."""
    return all(mark.part == ("leg", True) for mark in clause.of("part") if mark.part[0] != "body")


_ADDING = frozenset(
    "m cm degrees pace times steps way lateral side level several turned time airborne modest".split() + ["as many"]
)


def _merges(clause: Clause) -> bool:
    """Whether a clause without a movement adds to the one before."""
    return any(mark.category in _ADDING for mark in clause.marks)


def _modified(statement: Statement, clause: Clause) -> Statement:
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
    parts = clause.parts
    limb = {"arm": ARM_KINDS, "leg": LEG_KINDS, "knee": LEG_KINDS}
    if more.side and not statement.side and any(statement.kind in limb.get(str(part), ()) for part in parts):
        changes["side"] = more.side
    if more.ways and not statement.ways and not parts - {"arm", "leg", "body"}:
        changes["ways"] = more.ways - {"down"}
    elif more.modest and not parts:
        changes |= {"ways": statement.ways | more.modest, "modest": more.modest}
    if statement.kind in _SIDED_BY_WAY and not statement.side and not parts and more.side:
        changes["side"] = more.side
    return replace(statement, **changes)


# -- from clauses to statements -------------------------------------------------------------------------------------


# Categories of marks that are attributes of a statement by themselves: the first of a clause counts.
_ATTRIBUTES = {
    "times": ("count", "unit"),
    "steps": ("count", "unit"),
    "degrees": ("angle",),
    "m": ("metres",),
    "level": ("level",),
    "pace": ("pace",),
}
# "turns slightly": how much that is by the thoughts and captions that this package writes.
_SLIGHT_TURN = 45.0


def _details(clause: Clause, kind: str) -> Statement:
    """Everything a clause says besides what moves, as a statement of `kind`."""
    marks = clause.marks
    values: dict[str, Any] = {"rough": any(m.text in ("about", "around", "roughly") for m in marks)}
    # A sum over several movements is nobody's count, and steps that are walked down are those of stairs.
    stairs = clause.of("steps") and clause.values("way") & {"up", "down"}
    total = bool(clause.of("total") or stairs)
    for m in marks:
        if m.category in _ATTRIBUTES and not (total and m.category in ("times", "steps")):
            for name in _ATTRIBUTES[m.category]:
                values.setdefault(name, m.category if name == "unit" else m.value)
    for m in clause.of("cm"):
        values.setdefault("metres", 0.01 * float(m.value))
    for m in clause.of("turned"):
        rounds = next((n.value for n in clause.of("times")), 1)
        values.setdefault("angle", float(m.value) * int(rounds or 1))
    for m in clause.of("time"):
        values |= _time(m.value)
    if clause.of("several"):
        values["least"] = 2
    if clause.of("modest") and kind == "turn":
        values.setdefault("angle", _SLIGHT_TURN)
    if clause.of("airborne") and kind in LEAP_KINDS:
        values["airborne"] = clause.of("airborne")[0].value
    values["negated"], values["vague"] = bool(clause.of("not")), bool(clause.of("vague"))
    ways = clause.values("way") - {"to side"}
    if "overhead" in ways:
        values.setdefault("level", "overhead")
    sides = clause.values("side") & {"left", "right", "both"}
    side = "both" if len(sides) > 1 else next(iter(sides), "")
    laterals = clause.values("lateral")
    if len(laterals & {"left", "right"}) == 1 and "both" not in laterals:
        ways |= laterals & {"left", "right"}
    if kind in _SIDED_BY_WAY:
        named = ways & {"left", "right"}
        side = next(iter(named)) if len(named) == 1 else ""
    modest = frozenset(str(m.value) for m in clause.of("way", "lateral") if m.role == "modest")
    start, stop = min((m.start for m in marks), default=0), max((m.stop for m in marks), default=0)
    return Statement(kind, start, stop, side=side, ways=frozenset(ways), modest=modest, **values)


def _time(value: tuple) -> dict[str, Any]:
    if value[0] == "range":
        return {"at": value[1], "until": value[2]}
    if value[0] in ("at", "after", "around", "from", "near", "about"):
        return {"at": value[1]}
    # "by 2 s", "for 2 s": ends and lengths are left alone, a movement's fading out has no sharp end.
    return {}


def _interpret(
    clause: Clause, pending: list[Mark], when: str, memory: _Memory, statements: Sequence[Statement]
) -> list[Statement]:
    acts = clause.acts
    if pending:
        clause = Clause(clause.link, [*pending, *clause.marks])
    if not acts:
        return _states(clause, when, statements)
    made: list[Statement] = []
    # "pretends to jump", "as if kicking": whether it happens is not said.
    hedged = min((mark.start for mark in clause.of("hedge")), default=clause.marks[-1].stop)
    for act, own in _by_act(clause, acts):
        stated = _statement(act, own, clause, when, memory, [*statements, *made])
        made.extend(replace(one, vague=True) if act.start > hedged else one for one in stated)
    return made


def _by_act(clause: Clause, acts: list[Mark]) -> list[tuple[Mark, Clause]]:
    """The marks around each movement of a clause; helping verbs and step nouns give way to what they help."""
    # "marches four steps in place" names one movement twice.
    useful = [act for i, act in enumerate(acts) if act.value not in {before.value for before in acts[:i]}]
    for weak, strong in GIVES_WAY:
        for act in list(useful):
            others = {str(other.value) for other in useful if other is not act} - {"other"}
            if act.value == weak and (others & strong or (others and "*" in strong)):
                useful.remove(act)
    if len(useful) == 1:
        return [(useful[0], clause)]
    edges = [0, *(act.start for act in useful[1:]), 1 << 60]
    groups = [
        (act, Clause(clause.link, [m for m in clause.marks if a <= m.start < b]))
        for act, a, b in zip(useful, edges, edges[1:], strict=False)
    ]
    return [(act, own) for act, own in groups if act.value != "other"] or groups[:1]


# Categories of marks that count as directions and goals, by the name that rules use.
_GOALS = {
    "level": "level",
    "floor": "floor",
    "degrees": "angle",
    "turned": "angle",
    "m": "metres",
    "cm": "metres",
    "pace": "pace",
}
# "to his side" is where an arm hangs, unless it is put out there.
_PUT_OUT = frozenset({"lift", "extend", "swing", "kick", "step", "lean", "bend", "jump", "hop", "walk", "run", "look"})
_TAKEN_BACK = ("put", "plac", "br", "return", "push", "press")


def _frame(act: Mark, own: Clause) -> Frame:
    where = own.values("way", "lateral") & _WHERE | own.values("side") & {"both"}
    if "to side" in where:
        out = act.value in _PUT_OUT and not act.text.startswith(_TAKEN_BACK)
        where = where - {"to side"} | {"sideways" if out else "hanging"}
    places = own.values("place")
    where |= {"hanging"} & places
    where |= {"landmark"} if places - {"hanging"} else set()
    where |= {name for category, name in _GOALS.items() if own.of(category)}
    where |= {"one side"} if len(own.values("side") & {"left", "right", "any"}) == 1 else set()
    mode = {"negated"} if own.of("not") else set()
    mode |= {"stays"} if own.of("stay") else set()
    parts = [mark for mark in own.of("part") if not mark.role]
    moving = {mark.part[0] for mark in parts}
    moving |= {"hand"} if any(mark.text.rstrip("s") in ("hand", "wrist", "palm") for mark in parts) else set()
    where |= {"on foot"} if ("leg", False) in {mark.part for mark in parts} or own.of("side") else set()
    beside = own.values("act")
    return Frame(
        str(act.value), act.text, act.obj, frozenset(moving), frozenset(where), frozenset(beside), frozenset(mode)
    )


def _statement(
    act: Mark, own: Clause, clause: Clause, when: str, memory: _Memory, before: Sequence[Statement]
) -> list[Statement]:
    if act.category == "again":
        return _again(act, own, memory)
    kind, gives = kind_of(_frame(act, own))
    if kind == "low" and not own.parts & {"hip", "body", "knee", "trunk"} and before and _limb(before[-1].kind):
        # "raises the arm and brings it down again", "... then comes down": the limb, not the body.
        kind = "lower"
    made = replace(_details(own, kind), **gives)
    if kind in ("pose", "face", "end"):
        made = replace(made, when=when or ("end" if kind == "end" else ""))
    if kind == "held":
        made = replace(made, ways=frozenset(_frame(act, own).where & _HELD))
    made = replace(made, side=_side(kind, made, own, memory, before))
    if when == "start" and kind in ("raise", "lower") and made.at is None:
        made = replace(made, when=when)
    if own.of("as many") and memory.last is not None:
        made = replace(made, count=memory.last.count, unit="times")
    return [made]


def _side(kind: str, made: Statement, own: Clause, memory: _Memory, before: Sequence[Statement]) -> str:
    words = own.values("side")
    limb = _limb(kind)
    if not limb:
        if kind in _SIDED_BY_WAY and "other" in own.values("lateral"):
            return _OTHER.get(memory.lateral, "")
        return made.side
    if "other" in words:
        return _OTHER.get(memory.sides[limb], "")
    if "same" in words:
        return memory.sides[limb]
    if made.side or "any" in words:
        return made.side
    numbers = {mark.part[1] for mark in own.of("part") if mark.part[0] in ("arm", "leg", "knee")}
    if True in numbers and kind in ("raise", "wave", "circle", "reach", "lower"):
        return "both"
    if False not in numbers and kind in ("wave", "lower", "reach") and before and before[-1].kind == "raise":
        return before[-1].side
    return ""


def _again(act: Mark, own: Clause, memory: _Memory) -> list[Statement]:
    """ "does the same with the other hand": the last movement, mirrored where a side is named."""
    last = memory.last
    if last is None:
        return []
    details = _details(own, last.kind)
    words = own.values("side", "lateral")
    side, ways = last.side, last.ways
    if "other" in words:
        side = _OTHER.get(last.side, "")
        ways = frozenset(_OTHER.get(way, way) for way in last.ways)
    elif words & {"left", "right", "both"}:
        side = details.side or next(iter(words & {"left", "right", "both"}))
        ways = frozenset(
            _OTHER.get(way, way) if way in ("left", "right") and way != side else way for way in last.ways
        )
    # "repeats this twice" may count the first time or not, and may mean all that came before.
    count = last.count if act.text.startswith("repeat") or details.count is None else details.count
    times: dict[str, Any] = {
        "at": details.at,
        "until": details.until,
        "count": count,
        "pace": details.pace or last.pace,
    }
    return [replace(last, start=act.start, stop=own.marks[-1].stop, side=side, ways=ways, **times)]


def _states(clause: Clause, when: str, statements: Sequence[Statement]) -> list[Statement]:
    """A clause without a movement word that still says where a limb or the body is."""
    if _unknown_verb(clause):
        return []
    parts = clause.of("part")
    names = clause.parts
    ways = clause.values("way") | clause.values("place") & {"hanging"}
    poses = [str(mark.value) for mark in clause.of("pose")]
    if "same" in poses:
        return [replace(_details(clause, "pose"), pose="same", when="end")]
    if clause.of("stay"):
        if "leg" in names and "knee" not in names:
            return [replace(_details(clause, "travel"), negated=True)]
        if "trunk" in names:
            return [replace(_details(clause, "bend"), negated=True, ways=frozenset())]
    made: list[Statement] = []
    if when or (poses and not names & {"arm", "leg", "knee"}):
        if poses:
            made.append(replace(_details(clause, "pose"), pose=poses[0], when=when, side="", level=""))
        if "arm" in names and when:
            made.extend(_hands(clause, when))
        if made:
            return made
    if clause.link == "with" and statements and statements[-1].kind in ARM_KINDS and "arm" in names:
        return []
    details = _details(clause, "held")
    if "arm" in names and clause.of("floor"):
        return [replace(details, kind="pick")]
    if "arm" in names and (ways & _HELD or details.level):
        # "hand at shoulder height" after "left arm to the side" speaks of the same hand.
        if statements and statements[-1].kind in ("raise", "held") and not details.side:
            return []
        plural = any(mark.part == ("arm", True) for mark in parts)
        if clause.of("stay") and ways & {"down", "hanging"}:
            return [replace(details, kind="raise", side=details.side or ("both" if plural else ""), negated=True)]
        raised = clause.link != "with" and not any(mark.role for mark in parts) and not ways & {"down", "hanging"}
        kind = "raise" if raised and not clause.of("stay") else "held"
        return [replace(details, kind=kind, side=details.side or ("both" if plural else ""), ways=frozenset(ways))]
    if "elbow" in names and ways:
        return [replace(details, kind="other", side="")]
    if "knee" in names and ways & {"up", "overhead", "front"}:
        # "knees up" says how the steps before were done.
        plural_knees = any(mark.part == ("knee", True) for mark in parts)
        return [] if plural_knees and statements else [replace(details, kind="knee")]
    if "leg" in names and "knee" not in names and ways & {"up"} and not clause.of("m", "cm"):
        described = clause.link == "with" or any(mark.role for mark in parts)
        return [replace(details, kind="other" if described else "foot")]
    # A description that joints do not decide: "with a relaxed spine".
    return made or ([_details(clause, "other")] if clause.of("state") else [])


def _unknown_verb(clause: Clause) -> bool:
    """Whether a clause seems to have a verb that is not known, so that nothing can be said of what it does."""
    for before, mark in zip([None, *clause.marks], clause.marks, strict=False):
        if mark.category != "word" or mark.text in FUNCTION_WORDS or len(mark.text) < 4:
            continue
        after_part = before is not None and before.category == "part" and not mark.text.endswith("ly")
        noun = before is not None and (before.text in DETERMINERS or before.text in LANDMARK_PREPOSITIONS)
        if after_part or (mark.text.endswith(("s", "ed", "ing")) and not noun):
            return True
    return False


def _hands(clause: Clause, when: str) -> list[Statement]:
    """ "with the left arm down", "both hands at chest height": where the hands are at the start or the end."""
    details = _details(clause, "hand")
    down = bool(details.ways & {"down"} or clause.values("place") & {"hanging"})
    level = details.level or ("down" if down else "")
    if not level:
        return []
    plural = any(mark.part == ("arm", True) for mark in clause.of("part"))
    side = details.side or ("both" if plural else "")
    return [replace(details, side=side, level=level, when=when, metres=None, count=None)]
