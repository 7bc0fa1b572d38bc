"""Synthetic captions retold as people write: other subjects, tenses and fragments, vague amounts, slips of the pen.

The forms are those in which people describe captured motion (HumanML3D, KIT-ML): "a man is walking forward", "the
figure raised their left arm and then turned", "person jumping twice", "walks a few steps before stopping". What is
told stays true of the plan; what is left out or vague is so on purpose.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from datasets_scripts.sources.synthetic.language import DETAILED, MEDIUM, clause
from datasets_scripts.sources.synthetic.motion import Plan

# Third person: past, participle. The verbs that begin the clauses of `language`, and those put in their place.
_VERBS = {
    "bends": ("bent", "bending"),
    "bows": ("bowed", "bowing"),
    "circles": ("circled", "circling"),
    "claps": ("clapped", "clapping"),
    "does": ("did", "doing"),
    "gets": ("got", "getting"),
    "holds": ("held", "holding"),
    "hops": ("hopped", "hopping"),
    "jogs": ("jogged", "jogging"),
    "jumps": ("jumped", "jumping"),
    "kicks": ("kicked", "kicking"),
    "leans": ("leaned", "leaning"),
    "leaps": ("leaped", "leaping"),
    "lifts": ("lifted", "lifting"),
    "looks": ("looked", "looking"),
    "lunges": ("lunged", "lunging"),
    "makes": ("made", "making"),
    "marches": ("marched", "marching"),
    "performs": ("performed", "performing"),
    "picks": ("picked", "picking"),
    "punches": ("punched", "punching"),
    "raises": ("raised", "raising"),
    "runs": ("ran", "running"),
    "sidesteps": ("sidestepped", "sidestepping"),
    "sits": ("sat", "sitting"),
    "squats": ("squatted", "squatting"),
    "stands": ("stood", "standing"),
    "steps": ("stepped", "stepping"),
    "stops": ("stopped", "stopping"),
    "swings": ("swung", "swinging"),
    "takes": ("took", "taking"),
    "throws": ("threw", "throwing"),
    "turns": ("turned", "turning"),
    "walks": ("walked", "walking"),
    "waves": ("waved", "waving"),
}
# The verb of a clause, before which an adverb may stand, and the verb of its second half.
_VERB = re.compile(r"(^(?:slowly |quickly )?|\band )([a-z]+)\b")
_PRESENT, _PAST, _PARTICIPLE = "present", "past", "participle"
# How often each form of sentence is drawn: the tense of its first clause, of the others, and what stands before it.
_FORMS = (
    (0.30, _PRESENT, _PRESENT, ""),
    (0.25, _PARTICIPLE, _PARTICIPLE, "is "),
    (0.15, _PAST, _PAST, ""),
    (0.20, _PARTICIPLE, _PARTICIPLE, ""),  # "person walking forward"
    (0.10, _PRESENT, _PRESENT, None),  # nobody: "walks forward, then turns"
)
# Subjects with whose limbs they move.
_SUBJECTS = (
    ("a {}person", "their"),
    ("the {}person", "the"),
    ("a {}man", "his"),
    ("the {}man", "his"),
    ("a {}woman", "her"),
    ("a {}figure", "its"),
    ("the {}figure", "the"),
    ("{}person", "their"),
    ("a {}human", "their"),
)
_JOINTS = (", then ", " and then ", " and ", ", and then ")
_OWN = re.compile(r"\bthe (?=(?:left|right) (?:hand|arm|leg|knee|foot)\b)")
# Amounts that people do not count, and other words for the same.
_VAGUE = (
    (re.compile(r"\b(?:three|four) (?=(?:marching |side )?steps)"), ("a few ", "several ")),
    (re.compile(r"\b(?:five|six|seven) (?=(?:marching |side )?steps)"), ("several ", "some ")),
    (re.compile(r"\b(?:three|four) times\b"), ("a few times", "several times")),
    (re.compile(r"\btwice\b"), ("two times", "a couple of times")),
)
_SYNONYMS = (
    (re.compile(r"\bruns\b"), "jogs"),
    (re.compile(r"\bforward\b"), "forwards"),
    (re.compile(r"\bbackward\b"), "backwards"),
    (re.compile(r"\bbackward\b"), "back"),
)
_ON_THE_SPOT = frozenset("wave raise punch clap throw look circle".split())
_CHANCES = {"vague": 0.35, "synonym": 0.2, "own": 0.6, "before": 0.25, "aside": 0.2, "stop": 0.7, "slip": 0.05}


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
    manner = f"{plan.manner} " if plan.manner else ""
    subject, whose = _SUBJECTS[int(rng.integers(len(_SUBJECTS)))]
    clauses = [_reworded(clause(plan, index, style), whose, rng) for index in range(len(plan.segments))]
    tenses = [first] + [others] * (len(clauses) - 1)
    joints = [_JOINTS[int(rng.integers(len(_JOINTS)))]] * (len(clauses) - 1)
    if len(clauses) > 1 and _happens("before", rng):
        joints[-1], tenses[-1] = " before ", _PARTICIPLE
    told = [_inflected(text, tense) for text, tense in zip(clauses, tenses, strict=True)]
    opening = "" if before is None else f"{subject.format(manner)} {before}"
    ending = _aside(plan, others, rng) if _happens("aside", rng) and " before " not in joints else ""
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


def _drawn(rng: np.random.Generator) -> tuple[str, str, str | None]:
    shares = np.cumsum([share for share, *_ in _FORMS])
    _, first, others, before = _FORMS[int(np.searchsorted(shares, rng.random() * shares[-1]))]
    return first, others, before


def _reworded(text: str, whose: str, rng: np.random.Generator) -> str:
    if _happens("vague", rng):
        for pattern, words in _VAGUE:
            text = pattern.sub(words[int(rng.integers(len(words)))], text)
    for pattern, word in _SYNONYMS:
        if _happens("synonym", rng):
            text = pattern.sub(word, text)
    return _OWN.sub(f"{whose} ", text) if _happens("own", rng) else text


def _inflected(text: str, tense: str) -> str:
    """A clause in the third person of the present with its verbs in another tense."""
    if tense == _PRESENT:
        return text
    form = (_PAST, _PARTICIPLE).index(tense)
    return _VERB.sub(lambda found: found[1] + _VERBS[found[2]][form] if found[2] in _VERBS else found[0], text)


def _aside(plan: Plan, tense: str, rng: np.random.Generator) -> str:
    """Something beside the actions that is true of the plan; empty where nothing is."""
    actions = [segment.action for segment in plan.segments]
    if "sit" in actions:
        return ""
    choices = [_inflected(" and stops", tense)]
    if set(actions) <= _ON_THE_SPOT:
        choices.append(" while standing in place")
    if actions[-1] in ("walk", "walk_back") and plan.segments[-1].speed == "normal":
        choices.append(" at a normal pace")
    return choices[int(rng.integers(len(choices)))]
