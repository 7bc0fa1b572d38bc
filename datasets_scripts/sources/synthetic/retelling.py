"""Synthetic captions retold as people write: other subjects, tenses and fragments, vague amounts, slips of the pen.

The forms are those in which people describe captured motion (HumanML3D, KIT-ML): "a man is walking forward", "the
figure raised their left arm and then turned", "person jumping twice", "walks a few steps before stopping", "slow
walk". What is told stays true of the plan; what is left out or vague is so on purpose.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from datasets_scripts.sources.synthetic.language import DETAILED, MEDIUM, clause, filled, paced
from datasets_scripts.sources.synthetic.motion import Plan
from datasets_scripts.sources.synthetic.other_words import OTHER_WORDS, TITLES

_Choice = TypeVar("_Choice")

# The verbs that begin the clauses of `language` and `other_words`: base form, third person, past, participle.
_FORMS_OF_VERBS = (
    "applaud applauds applauded applauding | back backs backed backing | balance balances balanced balancing | "
    "bend bends bent bending | bounce bounces bounced bouncing | bow bows bowed bowing | "
    "bring brings brought bringing | circle circles circled circling | clap claps clapped clapping | "
    "complete completes completed completing | crouch crouches crouched crouching | "
    "curve curves curved curving | dash dashes dashed dashing | do does did doing | "
    "exercise exercises exercised exercising | extend extends extended extending | face faces faced facing | "
    "get gets got getting | glance glances glanced glancing | go goes went going | grab grabs grabbed grabbing | "
    "greet greets greeted greeting | have has had having | hold holds held holding | hop hops hopped hopping | "
    "jab jabs jabbed jabbing | jog jogs jogged jogging | jump jumps jumped jumping | kick kicks kicked kicking | "
    "land lands landed landing | lean leans leaned leaning | leap leaps leaped leaping | "
    "lift lifts lifted lifting | look looks looked looking | lower lowers lowered lowering | "
    "lunge lunges lunged lunging | make makes made making | march marches marched marching | "
    "move moves moved moving | perform performs performed performing | pick picks picked picking | "
    "pivot pivots pivoted pivoting | punch punches punched punching | put puts put putting | "
    "raise raises raised raising | reach reaches reached reaching | rise rises rose rising | "
    "rotate rotates rotated rotating | run runs ran running | shuffle shuffles shuffled shuffling | "
    "sidestep sidesteps sidestepped sidestepping | sit sits sat sitting | spin spins spun spinning | "
    "spread spreads spread spreading | sprint sprints sprinted sprinting | squat squats squatted squatting | "
    "stand stands stood standing | step steps stepped stepping | stop stops stopped stopping | "
    "stretch stretches stretched stretching | stride strides strode striding | strike strikes struck striking | "
    "stroll strolls strolled strolling | swing swings swung swinging | take takes took taking | "
    "throw throws threw throwing | tilt tilts tilted tilting | toss tosses tossed tossing | "
    "turn turns turned turning | walk walks walked walking | wave waves waved waving"
)
_VERBS = {
    present: (base, past, participle) for base, present, past, participle in map(str.split, _FORMS_OF_VERBS.split("|"))
}
# The verb of a clause, before which an adverb may stand, and the verb of its second half.
_VERB = re.compile(r"(^(?:[a-z]+ly )?|\band )([a-z]+)\b")
_BASE, _PAST, _PARTICIPLE, _PRESENT, _TITLE = "base", "past", "participle", "present", "title"
# How often each form of sentence is drawn: the tense of its first clause, of the others, and what stands before it.
_FORMS = (
    (0.26, _PRESENT, _PRESENT, ""),
    (0.20, _PARTICIPLE, _PARTICIPLE, "is "),
    (0.14, _PAST, _PAST, ""),
    (0.14, _PARTICIPLE, _PARTICIPLE, ""),  # "person walking forward"
    (0.06, _PRESENT, _PRESENT, None),  # nobody: "walks forward, then turns"
    (0.07, _BASE, _BASE, None),  # "walk forward and turn left"
    (0.03, _PARTICIPLE, _PARTICIPLE, "was "),
    (0.02, _PARTICIPLE, _PARTICIPLE, "can be seen "),
    (0.02, _PARTICIPLE, _PARTICIPLE, "appears to be "),
    (0.08, _TITLE, _TITLE, None),  # "slow walk, left turn"
)
# Subjects with whose limbs they move; a manner stands before the noun.
_SUBJECTS = (
    ("a {}person", "their"),
    ("a {}person", "his"),
    ("the {}person", "the"),
    ("the {}person", "their"),
    ("a {}man", "his"),
    ("the {}man", "his"),
    ("a {}woman", "her"),
    ("the {}woman", "her"),
    ("a {}figure", "its"),
    ("the {}figure", "the"),
    ("a {}guy", "his"),
    ("{}person", "their"),
    ("{}man", "his"),
    ("a {}human", "their"),
    ("the {}individual", "their"),
    ("a {}character", "the"),
    ("someone", "their"),
    ("he", "his"),
    ("she", "her"),
)
_PRONOUNS = ("he", "she")
_JOINTS = (", then ", " and then ", " and ", ", and then ", " then ")
_TITLE_JOINTS = (", ", ", then ", " then ", " and ")
_OWN = re.compile(r"\bthe (?=(?:left|right) (?:hand|arm|leg|knee|foot)\b)")
# Amounts that people do not count, and other words for the same.
_VAGUE = (
    (re.compile(r"\b(?:three|four) (?=(?:marching |side )?steps)"), ("a few ", "several ")),
    (re.compile(r"\b(?:five|six|seven) (?=(?:marching |side )?steps)"), ("several ", "some ")),
    (re.compile(r"\b(?:three|four) times\b"), ("a few times", "several times", "multiple times")),
    (re.compile(r"\btwice\b"), ("two times", "a couple of times")),
)
_SYNONYMS = (
    (re.compile(r"\bruns\b"), ("jogs",)),
    (re.compile(r"\bforward\b"), ("forwards",)),
    (re.compile(r"\bbackward\b"), ("backwards", "back")),
    (re.compile(r"\bquickly\b"), ("rapidly", "very quickly", "hurriedly")),
    (re.compile(r"\bslowly\b"), ("very slowly", "gradually")),
    (re.compile(r"\bsomething\b"), ("an object", "an item")),
    (re.compile(r"\bin place\b"), ("on the spot",)),
    (re.compile(r"\bfrom the floor\b"), ("off the floor", "from the ground")),
)
_CASUALLY = ("casually", "simply", "calmly", "continuously")
_ON_THE_SPOT = frozenset("wave raise punch clap throw look circle".split())
_CHANCES = {
    "other words": 0.5,
    "paced": 0.7,
    "vague": 0.35,
    "synonym": 0.2,
    "own": 0.6,
    "before": 0.25,
    "casual": 0.15,
    "aside": 0.2,
    "stop": 0.65,
    "slip": 0.05,
}


@dataclass(frozen=True)
class Retelling:
    """A caption as `joints[0] clauses[0] joints[1] clauses[1] ... joints[n]`; clause i tells action i of the plan."""

    joints: tuple[str, ...]
    clauses: tuple[str, ...]

    @property
    def text(self) -> str:
        """The whole caption."""
        return "".join(joint + told for joint, told in zip(self.joints, (*self.clauses, ""), strict=True))


def retell(plan: Plan, rng: np.random.Generator) -> Retelling:
    """Tell a plan in a drawn form.

    Args:
        plan: What the clip shows.
        rng: Of all draws.

    Returns:
        The caption, without a slip of the pen.
    """
    style = MEDIUM if rng.random() < 0.3 else DETAILED[int(rng.integers(len(DETAILED)))]
    first, others, before = _drawn(rng)
    subject, whose = _pick(_SUBJECTS, rng)
    places = range(len(plan.segments))
    if first == _TITLE:
        told = [filled(_pick(TITLES[segment.action], rng), segment) for segment in plan.segments]
        joints = [_pick(_TITLE_JOINTS, rng)] * (len(told) - 1)
        return Retelling(("", *joints, "." if _happens("stop", rng) else ""), tuple(told))
    clauses = [_reworded(_clause(plan, index, style, rng), whose, rng) for index in places]
    tenses = [first] + [others] * (len(clauses) - 1)
    joints = [_pick(_JOINTS, rng)] * (len(clauses) - 1)
    if len(clauses) > 1 and _happens("before", rng):
        joints[-1], tenses[-1] = " before ", _PARTICIPLE
    told = [_inflected(text, tense) for text, tense in zip(clauses, tenses, strict=True)]
    if _unhurried_walk(plan, 0) and not plan.manner and _happens("casual", rng):
        told[0] = f"{_pick(_CASUALLY, rng)} {told[0]}"
    manner = f"{plan.manner} " if plan.manner else ""
    if subject in _PRONOUNS and first == _PARTICIPLE:
        before = before or "is "  # "he walking" is no fragment that people write
    opening = "" if before is None else f"{subject.format(manner)} {before}"
    ending = _aside(plan, others, whose, rng) if _happens("aside", rng) and " before " not in joints else ""
    ending += "." if _happens("stop", rng) else ""
    return Retelling((opening, *joints, ending), tuple(told))


def retellings(plan: Plan, rng: np.random.Generator, count: int, known: Sequence[str] = ()) -> list[str]:
    """Different captions of a plan, with a slip of the pen in a few.

    Args:
        plan: What the clip shows.
        rng: Of all draws.
        count: How many captions.
        known: Captions that are not to be told again.

    Returns:
        The captions.
    """
    told: dict[str, None] = {}
    while len(told) < count:
        text = slip(retell(plan, rng).text, rng)
        if text not in known:
            told[text] = None
    return list(told)


def slip(text: str, rng: np.random.Generator) -> str:
    """Exchange two neighbouring letters of a longer word, now and then.

    Args:
        text: A caption.
        rng: Of all draws.

    Returns:
        The caption, mostly as it is.
    """
    places = [found.start() for found in re.finditer(r"[a-z](?=[a-z]{4,})", text)]
    if not places or not _happens("slip", rng):
        return text
    place = places[int(rng.integers(len(places)))] + 1
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def _happens(what: str, rng: np.random.Generator) -> bool:
    return bool(rng.random() < _CHANCES[what])


def _pick(choices: Sequence[_Choice], rng: np.random.Generator) -> _Choice:
    return choices[int(rng.integers(len(choices)))]


def _drawn(rng: np.random.Generator) -> tuple[str, str, str | None]:
    shares = np.cumsum([share for share, *_ in _FORMS])
    _, first, others, before = _FORMS[int(np.searchsorted(shares, rng.random() * shares[-1]))]
    return first, others, before


def _clause(plan: Plan, index: int, style: int, rng: np.random.Generator) -> str:
    """What is told of action `index`: in the words of `language`, or in others that fit."""
    segment = plan.segments[index]
    fitting = [wording for wording in OTHER_WORDS[segment.action] if wording.fits(segment)]
    if not fitting or not _happens("other words", rng):
        return clause(plan, index, style)
    wording = _pick(fitting, rng)
    text = filled(wording.text, segment)
    if "pace" in text or not _happens("paced", rng):
        return text
    return paced(text, segment, before=bool(rng.random() < 0.5) or bool(segment.size))


def _reworded(text: str, whose: str, rng: np.random.Generator) -> str:
    if _happens("vague", rng):
        for pattern, amounts in _VAGUE:
            text = pattern.sub(_pick(amounts, rng), text)
    for pattern, words in _SYNONYMS:
        if _happens("synonym", rng):
            text = pattern.sub(_pick(words, rng), text)
    return _OWN.sub(f"{whose} ", text) if _happens("own", rng) else text


def _inflected(text: str, tense: str) -> str:
    """A clause in the third person of the present with its verbs in another tense."""
    if tense == _PRESENT:
        return text
    form = (_BASE, _PAST, _PARTICIPLE).index(tense)
    return _VERB.sub(lambda found: found[1] + _VERBS[found[2]][form] if found[2] in _VERBS else found[0], text)


def _unhurried_walk(plan: Plan, index: int) -> bool:
    segment = plan.segments[index]
    return segment.action in ("walk", "walk_back", "curve") and segment.speed == "normal"


def _aside(plan: Plan, tense: str, whose: str, rng: np.random.Generator) -> str:
    """Something beside the actions that is true of the plan; empty where nothing is."""
    actions = [segment.action for segment in plan.segments]
    if "sit" in actions:
        return ""
    choices = [_inflected(" and stops", tense), ", stopping at the end"]
    if set(actions) <= _ON_THE_SPOT:
        choices += [" while standing in place", " while standing still"]
    if actions in (["walk"], ["run"]):
        choices += [f" while swinging {whose} arms", " in a straight line"]
    if _unhurried_walk(plan, -1):
        choices += [" at a normal pace", " at a steady pace", " at moderate speed"]
    return _pick(choices, rng)
