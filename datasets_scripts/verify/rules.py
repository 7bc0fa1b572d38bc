"""What a verb means with what moves and where to: the table that turns a clause into a kind of statement.

The first rule of `RULES` that fits names the kind; a verb that no rule names is a kind by itself. A kind "other" is a
movement that was understood, and that joints cannot decide.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Frame:
    """A verb with its roles, as `Rule` tests them.

    Attributes:
        verb: class of the verb in `lexicon`.
        text: the verb as written.
        obj: what the verb is done to: "part" (of the body), "thing", "it", or empty.
        parts: parts of the body that move: subject, object or instrument.
        where: directions and goals: names of ways, "level", "floor", "angle", "metres", "pace", "in hand".
        beside: verbs of the same clause, this one included.
        mode: "negated", "stays".
    """

    verb: str
    text: str = ""
    obj: str = ""
    parts: frozenset[str] = frozenset()
    where: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    mode: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Rule:
    """Conditions on a frame, and the kind of what fits them; each condition names alternatives.

    `also` is a second condition on `where`, `no_*` excludes; `gives` are attributes that the statement gets.
    """

    kind: str
    text: tuple[str, ...] = ()
    obj: frozenset[str] = frozenset()
    part: frozenset[str] = frozenset()
    no_part: frozenset[str] = frozenset()
    where: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    no_where: frozenset[str] = frozenset()
    beside: frozenset[str] = frozenset()
    mode: frozenset[str] = frozenset()
    gives: Mapping[str, Any] = field(default_factory=dict)

    def fits(self, frame: Frame) -> bool:
        """Whether all conditions hold for a frame.

        Args:
            frame: A verb with its roles.

        Returns:
            Whether they do.
        """
        wanted = (
            (self.part, frame.parts),
            (self.where, frame.where),
            (self.also, frame.where),
            (self.beside, frame.beside),
            (self.mode, frame.mode),
        )
        return (
            (not self.text or frame.text.startswith(self.text))
            and (not self.obj or frame.obj in self.obj)
            and all(not names or names & present for names, present in wanted)
            and not self.no_part & frame.parts
            and not self.no_where & frame.where
        )


def _rule(kind: str, *, text: str = "", gives: Mapping[str, Any] | None = None, **conditions: str) -> Rule:
    names = {name: frozenset(words.replace("in_place", "in place").split("|")) for name, words in conditions.items()}
    return Rule(kind, text=tuple(text.split("|")) if text else (), gives=gives or {}, **names)


_ASIDE = "left|right"
_UP = "up|overhead|front|sideways|out|forward|level"
_RAISED = "up|overhead|sideways|level|left|right"
_LIMBS = "arm|elbow|shoulder|leg|knee|trunk|head|hip"
_SOMETHING = _rule("other", obj="thing|it")
_ON_THE_SPOT = (
    _rule("turn", where="in place", also="angle"),
    _rule("still", where="in place", mode="negated"),
    _rule("march", where="in place"),
)
_TRAVEL = (
    _rule("curve", where="angle", beside="curve"),
    _rule("curve", beside="curve|circle"),
)

RULES: Mapping[str, tuple[Rule, ...]] = {
    # -- the body over the ground ------------------------------------------------------------------------------------
    "walk": (
        *_ON_THE_SPOT,
        *_TRAVEL,
        _rule("travel", beside="run", gives={"gait": "run"}),
        _rule("travel", gives={"gait": "walk"}),
    ),
    "run": (*_ON_THE_SPOT, *_TRAVEL, _rule("travel", gives={"gait": "run"})),
    # A shuffle, a skip or a stumble is neither a walk nor a run by everybody's account.
    "shuffle": (
        _rule("other", text="stomp", no_where="forward|backward|left|right|around"),
        _rule("other", part="leg|knee", obj="part"),
        *_ON_THE_SPOT,
        _rule("sidestep", text="side"),
        *_TRAVEL,
        _rule("travel"),
    ),
    "march": (
        _rule("march", where="in place"),
        _rule("curve", beside="curve|circle"),
        _rule("travel", where="forward|backward|back|left|right|around|metres"),
    ),
    "step": (
        _rule("other", obj="thing"),
        _rule("clap", part="arm", beside="meet"),
        _rule("other", part="arm"),
        _rule("low", part="hip"),
        *_ON_THE_SPOT,
        *_TRAVEL,
        _rule("sidestep", where=f"sideways|{_ASIDE}"),
        _rule("travel", beside="run", gives={"gait": "run"}),
        _rule("travel"),
    ),
    "go": (
        _SOMETHING,
        _rule("clap", part="arm", beside="meet"),
        _rule("pick", part="arm", where="floor"),
        _rule("raise", part="arm", where=_UP, no_where="down|hanging"),
        _rule("arm", part="arm"),
        _rule("travel", part="leg|knee", mode="negated|stays", gives={"negated": True}),
        _rule("knee", part="knee", where="up|level|overhead"),
        _rule("leg", part="leg", where="up|level|out|forward|front|sideways|back|backward|around|left|right"),
        _rule("other", part=_LIMBS),
        _rule("low", where="down"),
        _rule("other", where="up", no_where="forward|backward|left|right"),
        _rule("still", mode="negated", no_where="forward|backward|left|right|sideways|back|metres|pace"),
        _rule("moving", no_where="forward|backward|left|right|sideways|back|metres|pace"),
        *_ON_THE_SPOT,
        *_TRAVEL,
        _rule("travel", beside="run", gives={"gait": "run"}),
        _rule("travel"),
    ),
    "circle": (
        _rule("other", obj="thing|it"),
        _rule("other", part="head|hip|trunk|elbow|shoulder"),
        _rule("curve", beside="walk|run|shuffle|step"),
        _rule("circle", part="arm", no_part="hand", beside="go"),
        _rule("other", part="arm", beside="go"),
        _rule("curve", beside="go"),
        _rule("circle", part="arm", no_part="hand"),
        _rule("curve", where="angle", no_part="arm"),
        _rule("other"),
    ),
    "turn": (
        _SOMETHING,
        _rule("look", part="head", no_part="trunk"),
        _rule("twist", part="trunk", no_part="leg"),
        _rule("circle", part="arm", no_part="hand", text="rotat|revol|whirl|twirl|spin|turn"),
        _rule("other", part="arm|shoulder"),
        _rule("other", part="leg|knee|hip|elbow", obj="part"),
        _rule("other", part="leg|knee|elbow", no_part="body"),
    ),
    "jump": (_rule("other", text="bounc", obj="thing|part"),),
    "bounce": (
        _SOMETHING,
        _rule("other", part=_LIMBS, obj="part"),
        _rule("hop", where="on foot"),
        _rule("jump", where="up|around|in place"),
        _rule("other"),
    ),
    # Who dribbles somewhere goes there.
    "dribble": (_rule("travel", where="forward|backward"), _rule("other")),
    "stay": (_rule("travel", gives={"negated": True}),),
    # -- the hands ---------------------------------------------------------------------------------------------------
    "lift": (
        _SOMETHING,
        # "jumps, rising about 20 cm": how high, not another movement.
        _rule("other", where="metres", no_part="arm|leg|knee"),
        _rule("knee", part="knee"),
        _rule("leg", part="leg"),
        _rule("raise", part="arm"),
        _rule("other", part="head|trunk|elbow|hip|shoulder"),
        _rule("stand", text="ris|rose"),
        _rule("other"),
    ),
    "lower": (
        _SOMETHING,
        _rule("lower", part="arm"),
        _rule("other", part="leg|knee|head|elbow"),
        _rule("low", part="hip|body|trunk", where="down|floor|far down", text="low|descend|sink|sank|drop"),
        _rule("low", part="hip|body|trunk", text="lower|descend|sink|sank"),
        _rule("lower"),
    ),
    "hold": (
        _SOMETHING,
        _rule("raise", part="arm", where="up|overhead"),
        _rule("held", part="arm", where=f"{_UP}|down|hanging"),
        _rule("other"),
    ),
    "extend": (
        _SOMETHING,
        _rule("join", part="arm", where="together"),
        _rule("other", part="leg|knee|hip|head|elbow", no_part="arm"),
        _rule("punch", part="arm", text="thrust", where="forward|front"),
        _rule("pick", part="arm", where="floor"),
        _rule("other", part="arm", where="down|hanging|landmark|back"),
        _rule("raise", part="arm", where=_RAISED),
        _rule(
            "reach", part="arm", where="front|forward", text="extend|stretch|reach|straighten|push|thrust|press|put"
        ),
        _rule("reach", part="arm", text="extend|reach"),
        _rule("other", part=_LIMBS),
        _rule("pick", text="reach", where="floor"),
        _rule("other", text="reach", where="down|landmark"),
        _rule("raise", text="reach", where="up|overhead"),
        _rule("reach", text="reach", where="front|forward|out"),
        _rule("other"),
    ),
    "swing": (
        _SOMETHING,
        _rule("circle", part="arm", no_part="hand", beside="circle"),
        _rule("arm", part="arm"),
        _rule("leg", part="leg"),
        _rule("other"),
    ),
    "wave": (_rule("other", obj="thing"), _rule("other", part="leg|hip|body|knee", obj="part", no_part="arm")),
    "punch": (_rule("other", text="str", obj="thing"), _rule("other", text="str", no_part="arm")),
    "throw": (_rule("other", obj="part|it"),),
    "meet": (_rule("clap", part="arm"), _rule("other")),
    "touch": (_rule("pick", where="floor"), _rule("other")),
    "pick": (
        _rule("leg", obj="part", part="leg|knee", no_where="floor"),
        _rule("pick", where="floor|down"),
        _rule("other", text="grab|collect"),
        _rule("take"),
    ),
    "point": (_rule("other"),),
    # -- the legs ----------------------------------------------------------------------------------------------------
    # A hop that names no foot is any small jump.
    "hop": (_rule("jump", where="both"), _rule("hop", where="on foot"), _rule("jump")),
    # Only to the front is a lunge measured.
    "lunge": (_rule("low", where="left|right|sideways|back"),),
    "sit": (_rule("other", obj="it"),),
    "lie": (_rule("other", obj="thing|it|part"),),
    # "keeps his balance" is not done on one foot.
    "balance": (_rule("other", obj="thing|it|part"), _rule("balance", part="leg"), _rule("other")),
    # -- the trunk ---------------------------------------------------------------------------------------------------
    "bend": (
        _SOMETHING,
        _rule("other", part="arm|elbow", no_part="trunk|knee|hip|body", no_where="down|forward|left|right"),
        _rule("other", part="arm|elbow", no_part="trunk|knee|hip|body", obj="part"),
        _rule("other", part="knee", where="one side"),
        _rule("low", part="knee"),
        _rule("other", part="leg|head|elbow", no_part="trunk|hip", obj="part"),
        _rule("lean", text="side"),
        _rule("lean", where="left|right|both|sideways", no_where="forward|down|backward|floor|front"),
        _rule("other", where="back|backward", no_where="forward|down"),
        _rule("other", part="head|elbow", no_part="trunk|body"),
        _rule("bend"),
    ),
    "lean": (
        _SOMETHING,
        # "the trunk leans forward": how it is held.
        _rule("pose", part="trunk", no_where="left|right|back|backward|sideways", gives={"pose": "leaning"}),
        _rule("other", part="head|leg|knee|arm|elbow|hip", no_part="trunk|body"),
        _rule("other", text="sway"),
        _rule("lean", where="left|right|both|sideways", no_where="forward|down|backward"),
        _rule("other", where="back|backward|landmark"),
        _rule("other", text="tilt|tip"),
        _rule("bend"),
    ),
    "look": (
        _rule("look", text="turn|head"),
        _rule("look", where="left|right|around|both|other", no_where="up|down"),
        _rule("other"),
    ),
}

# Verbs that give way to another one in their clause, to which they only lend a hand: "takes a step while walking",
# "throws a punch", "does a bend to pick something up". Each names the verbs it gives way to.
GIVES_WAY: tuple[tuple[str, frozenset[str]], ...] = tuple(
    (weak, frozenset(others.split()))
    for weak, others in (
        ("circle", "turn"),
        ("step", "walk run shuffle march curve circle sidestep go turn lunge"),
        ("go", "*"),
        ("lift", "stand jump knee circle"),
        ("extend", "punch kick throw pick lift lunge step clap meet"),
        ("hold", "*"),
        ("bend", "pick squat touch kneel lean bow walk run"),
        ("swing", "circle turn kick walk run punch throw"),
        ("throw", "punch kick"),
        ("lower", "squat sit kneel lie lunge bow"),
        ("turn", "look"),
        ("lunge", "kick"),
        ("walk", "run march curve circle"),
        ("run", "march curve circle"),
        ("shuffle", "curve circle"),
    )
)


def kind_of(frame: Frame) -> tuple[str, Mapping[str, Any]]:
    """The kind of statement that a frame makes.

    Args:
        frame: A verb with its roles.

    Returns:
        The kind, and the attributes that follow from it.
    """
    rules = RULES.get(frame.verb)
    if rules is None:
        return frame.verb, {}
    for rule in rules:
        if rule.fits(frame):
            return rule.kind, rule.gives
    return frame.verb, {}
