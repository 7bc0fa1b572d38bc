"""Caption text to word/POS tokens, as HumanML3D's text files hold them.

Published rules: remove "-", keep alphabetic tokens, replace nouns and verbs by their lemma except the word "left",
append the universal part of speech.  The published files were made with spaCy (`backend="spacy"`, an extra); the
default is a small built-in table of motion words, with suffix rules and neighbouring words as context: no download.
"""

import functools
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

SPACY_MODEL = "en_core_web_sm"  # the pipeline that made the published files

_CLOSED = {
    "DET": (
        "a an the this that these those his her its their my your our each every both all another some any no "
        "either neither half"
    ),
    "ADP": (
        "in on at to with of for from into onto over under around across along through toward towards behind "
        "beside between near off up down out by before after during above below against about without like inside "
        "outside upon past within"
    ),
    "PRON": (
        "he she it they him them someone something somebody anyone everything nothing himself herself themselves "
        "itself oneself who which what i you we me us others"
    ),
    "CCONJ": "and or but nor",
    "SCONJ": "as if while because until when where whereas though although since so than",
    "AUX": "is are was were be been being am can could will would should may might must",
    "PART": "not",
    "NUM": "one two three four five six seven eight nine ten eleven twelve zero hundred",
    "ADV": (
        "then forward forwards backward backwards back again slowly quickly finally next slightly twice once "
        "thrice sideways sideway together apart away very upward upwards downward downwards overhead "
        "counterclockwise clockwise anticlockwise halfway fully deeply gently lightly softly happily sadly "
        "angrily proudly carefully tiredly energetically rhythmically briefly confidently heavily steadily "
        "casually repeatedly suddenly immediately simultaneously diagonally rapidly abruptly almost also just too "
        "there here ahead still afterwards afterward now even only often sharply more less somewhat somehow "
        "leftward rightward leftwards rightwards inward outward outwards anymore later soon well instead"
    ),
    "ADJ": (
        "left right high low deep slight small big large full quick slow fast long short straight wide tired "
        "proud careful happy sad angry old elderly young youthful childish masculine feminine active normal "
        "musical confident exhausted giant original same other different upright circular several many few much "
        "upper lower first last second third open closed bent outstretched opposite strong weak heavy light empty "
        "imaginary invisible whole entire steady tall hard soft similar own steep drunk wobbly balanced"
    ),
}
# Base forms; inflections are derived. Words in both lists are told apart by the words before them.
_NOUNS = (
    "person man woman figure human guy boy girl individual hand arm leg foot knee hip head body chest "
    "shoulder elbow wrist ankle waist torso face side seat chair floor ground circle line place time step "
    "jack curve direction way spot turn jump hop kick punch throw bow squat lunge bend raise walk run wave "
    "clap thug train music goodbye byebye bye hello object ball box stair staircase stance position posture "
    "pose air front top bottom degree second quarter heel toe finger thumb palm fist mouth ear eye nose neck "
    "hair stomach belly height speed movement motion action dance gesture sword tennis golf baseball "
    "basketball soccer football swing rope handrail rail wall table door window ladder room corner loop arc "
    "square zigzag chicken monkey airplane exercise yoga stretch pace jog march balance pillow phone bottle "
    "cup glass drink food guitar violin drum piano swagger confidence style energy masculinity lack "
    "playground rise sit sidestep leap look lean pick"
).split()
_VERBS = (
    "walk run jog jump hop kick punch throw bow squat lunge bend raise wave clap turn step sidestep sit stand "
    "take make do perform lift hold bring circle swing march leap lean look pick reach get rise put move go "
    "come start begin stop stay keep return face rotate spin twist dance gesture guide call respond slash "
    "dash swagger climb crawl kneel crouch lower lie fall stumble shuffle stroll pace stretch extend touch "
    "catch push pull hit strike shake nod tap rub wash wipe drink eat play pretend try appear seem use swim "
    "fly flap balance stagger limp sway tilt shift place drop carry open close cross uncross spread "
    "straighten drag slide skip sprint roll flip point wield shoot toss pass act have give grab let practice "
    "stomp scratch sneak tiptoe wobble pivot repeat continue finish end wait pause rest relax stir pour cut "
    "mix clean wind jerk duck dodge block train mimic imitate pose position lead follow change relate"
).split()
# Base form, then the forms that no rule gives.
_IRREGULAR = """
run ran, take took taken, make made, do did does doing done, throw threw thrown, bend bent, sit sat, stand
stood, hold held, bring brought, swing swung, get got, rise rose risen, go went gone goes, come came, begin
began begun, keep kept, spin spun, fall fell, lie lying lay, catch caught, strike struck, shake shook, have has
had having, give gave given, fly flew, kneel knelt, creep crept, lead led, wind wound, drink drank, eat ate,
swim swam, hop hopped, shoot shot
"""
_IRREGULAR_NOUNS = {
    "people": "people", "men": "man", "women": "woman", "feet": "foot", "children": "child", "calves": "calf",
    "knives": "knife", "stairs": "stair",
}  # fmt: skip
_COMPOUND_FIRST = frozenset(
    "side front knee quarter jumping marching arm leg hand head tennis golf soccer baseball".split()
)
_EITHER_ADVERB = frozenset("low high fast straight wide hard slow".split())
_NOMINAL = frozenset(("DET", "NUM", "ADJ"))
_ADVERB_ENDING = re.compile(r"[a-z]{3,}ly")
_DOUBLED = re.compile(r"([bcdfgklmnprtvz])\1$")


def _inflections(verb: str) -> dict[str, str]:
    if verb.endswith("e"):
        forms = [verb + "s", verb[:-1] + "ing", verb + "d"]
    elif re.search(r"[^aeiou]y$", verb):
        forms = [verb[:-1] + "ies", verb + "ing", verb[:-1] + "ied"]
    else:
        third = verb + ("es" if re.search(r"(s|x|z|ch|sh|o)$", verb) else "s")
        forms = [third, verb + "ing", verb + "ed"]
        if re.search(r"[^aeiou][aeiou][bdgkmnprt]$", verb):
            forms += [verb + verb[-1] + "ing", verb + verb[-1] + "ed"]
    return dict.fromkeys(forms, verb)


def _plural(noun: str) -> str:
    if re.search(r"[^aeiou]y$", noun):
        return noun[:-1] + "ies"
    return noun + ("es" if re.search(r"(s|x|z|ch|sh)$", noun) else "s")


def _tables() -> tuple[Mapping[str, str], Mapping[str, str], Mapping[str, str]]:
    closed = {word: tag for tag, words in reversed(_CLOSED.items()) for word in words.split()}
    nouns = {noun: noun for noun in _NOUNS}
    nouns |= {_plural(noun): noun for noun in list(nouns)} | _IRREGULAR_NOUNS
    verbs = {verb: verb for verb in _VERBS}
    for verb in list(verbs):
        verbs |= _inflections(verb)
    for entry in _IRREGULAR.split(","):
        verb, *forms = entry.split()
        verbs |= dict.fromkeys(forms, verb)
    return MappingProxyType(closed), MappingProxyType(nouns), MappingProxyType(verbs)


_CLOSED_TAGS, _NOUN_LEMMAS, _VERB_LEMMAS = _tables()


def _unknown(word: str, before: str) -> tuple[str, str]:
    """Lemma and tag of a word outside the table, by its ending and the tag before it."""
    if _ADVERB_ENDING.fullmatch(word):
        return word, "ADV"
    if before in _NOMINAL:
        if re.search(r"(ful|ous|ive|able|ish|less|ic)$", word):
            return word, "ADJ"
        return (word[:-1] if re.search(r"[^su]s$", word) else word), "NOUN"
    for ending in ("ing", "ed"):
        if word.endswith(ending) and len(word) > len(ending) + 2:
            return _DOUBLED.sub(r"\1", word[: -len(ending)]), "VERB"
    if re.search(r"(ful|ous|ive|able|ish|less)$", word):
        return word, "ADJ"
    if before in ("NOUN", "PRON") and re.search(r"[^su]s$", word):
        return word[:-1], "VERB"
    return (word[:-1] if re.search(r"[^su]s$", word) else word), "NOUN"


def _tag(words: list[str]) -> list[tuple[str, str]]:
    tagged: list[tuple[str, str]] = []
    for index, word in enumerate(words):
        before = tagged[-1][1] if tagged else ""
        last = words[index - 1] if index else ""
        following = words[index + 1] if index + 1 < len(words) else ""
        noun, verb = _NOUN_LEMMAS.get(word), _VERB_LEMMAS.get(word)
        if word in ("left", "right"):
            # "the left hand" ADJ, "to the left" NOUN, "turns left" ADV
            verb_follows = last == "the" and following in _VERB_LEMMAS and following.endswith("s")
            if following in _NOUN_LEMMAS and not verb_follows:
                tagged.append((word, "ADJ"))
            else:
                tagged.append((word, "NOUN" if before == "DET" else "ADV"))
        elif word in ("up", "down", "off", "out", "over", "around") and (
            not following or following in ("and", "then", "to", "twice", "once", "again", "from", "with")
        ):
            tagged.append((word, "ADV" if word in ("over", "around") else "ADP"))
        elif word in _EITHER_ADVERB and before in ("VERB", "ADV", "ADP", "PRON"):
            tagged.append((word, "ADV" if following not in _NOUN_LEMMAS or following in _VERB_LEMMAS else "ADJ"))
        elif word == "to" and following in _VERB_LEMMAS and following not in _NOUN_LEMMAS:
            tagged.append((word, "PART"))
        elif word == "once" and following in ("the", "he", "she", "they", "a"):
            tagged.append((word, "SCONJ"))
        elif word == "like" and (before == "PRON" or last == "to"):
            tagged.append((word, "VERB"))
        elif word in _CLOSED_TAGS:
            tagged.append((word, _CLOSED_TAGS[word]))
        elif noun and verb:
            nominal = before in _NOMINAL or last in _COMPOUND_FIRST or (before == "ADP" and last != "to")
            tagged.append((noun, "NOUN") if nominal else (verb, "VERB"))
        elif verb:
            tagged.append((verb, "VERB"))
        elif noun:
            tagged.append((noun, "NOUN"))
        else:
            tagged.append(_unknown(word, before))
    return tagged


@functools.lru_cache(maxsize=1)
def _spacy_pipeline(model: str):
    try:
        import spacy
    except ImportError as error:
        raise ImportError("spaCy is not installed: pip install 'unimo[spacy]'") from error
    try:
        return spacy.load(model, disable=["ner", "parser"])
    except OSError as error:
        raise ImportError(
            f"spaCy has no pipeline {model!r} here: run `python -m spacy download {SPACY_MODEL}`"
        ) from error


def spacy_tokens(texts: Sequence[str], model: Any = SPACY_MODEL) -> list[list[str]]:
    """Tokens "word/POS" of captions by spaCy, as HumanML3D's `text_process.py` makes them; empty without a word.

    Args:
        texts: Captions.
        model: Name or folder of a spaCy pipeline with tagger and lemmatizer, or a loaded one.

    Returns:
        Tokens of each caption.

    Raises:
        ImportError: spaCy or the pipeline is not installed.
    """
    pipeline = _spacy_pipeline(str(model)) if isinstance(model, str | Path) else model
    return [
        [
            f"{token.lemma_ if token.pos_ in ('NOUN', 'VERB') and token.text != 'left' else token.text}/{token.pos_}"
            for token in document
            if token.text.isalpha()
        ]
        for document in pipeline.pipe([text.replace("-", "") for text in texts])
    ]


def _words(text: str) -> list[str]:
    # A contraction leaves its stem ("doesn't" -> does), a possessive its owner, as spaCy's tokens do.
    text = re.sub(r"n't\b", " ", text.lower().replace("-", "").replace("\u2019", "'"))
    text = re.sub(r"'(s|re|ve|ll|d|m)?\b", " ", text)
    return [word for word in re.findall(r"[^\W_]+", text) if word.isalpha()]


def tokenize_caption(text: str, backend: str = "table") -> list[str]:
    """Tokens "word/POS" of a caption, for the text-motion evaluator.

    Args:
        text: One caption.
        backend: "table" (built in) or "spacy" (as in the published files; needs the spaCy extra and its model).

    Returns:
        The tokens.

    Raises:
        ValueError: Unknown backend, or a text without any word.
        ImportError: "spacy" without spaCy or its English model.
    """
    if backend == "table":
        tokens = [f"{word}/{tag}" for word, tag in _tag(_words(text))]
    elif backend == "spacy":
        [tokens] = spacy_tokens([text])
    else:
        raise ValueError(f"unknown caption backend {backend!r}: use 'table' or 'spacy'")
    if not tokens:
        raise ValueError(f"caption {text[:80]!r} holds no word")
    return tokens


_CLAUSE = re.compile(r",? (?:and )?(?:then|finally) ")
# Words that point back to an earlier clause, without which they say nothing.
_POINTS_BACK = re.compile(r"\b(?:same|as many|other|again)\b")
_SUBJECT = re.compile(r"^(?:an? (?:\w+ )?person|the (?:\w+ )?person|someone(?: (?!\w+s\b)\w+)?)(?: first)? ")


# A clause that tells the one before it for the other side of the body.
_OTHER_SIDE = re.compile(r"does the same (?:with|on|to) the other \w+")
_SIDE = re.compile(r"\b(left|right)\b")


def split_clauses(caption: str) -> list[str]:
    """The clauses of a caption that tells one thing after another: "a person walks", "sits down".

    Args:
        caption: Clauses joined by "then" or "finally".

    Returns:
        At least one clause, without the full stop.
    """
    return _CLAUSE.split(caption.strip().rstrip("."))


def joined_clauses(clauses: list[str]) -> str | None:
    """Clauses behind the first as a caption of their own.

    Args:
        clauses: Some of `split_clauses`, without the first.

    Returns:
        A sentence about a person, or None where a clause points back to what is missing.
    """
    return None if _POINTS_BACK.search(" ".join(clauses)) else f"a person {', then '.join(clauses)}."


def caption_clauses(caption: str) -> list[str]:
    """A long caption as captions of one thing each.

    Args:
        caption: Clauses joined by "then" or "finally". One that does the same with the other leg stands for the one
            before it with left and right exchanged.

    Returns:
        A caption for each clause; none where there is a single clause, or one that cannot stand alone.
    """
    first, *others = split_clauses(caption)
    subject = _SUBJECT.match(first)
    if not others or not subject:
        return []
    clauses = [first[subject.end() :]]
    for clause in others:
        if _OTHER_SIDE.fullmatch(clause) and _SIDE.search(clauses[-1]):
            clause = _SIDE.sub(lambda side: "right" if side[1] == "left" else "left", clauses[-1])
        clauses.append(clause)
    alone = [joined_clauses([clause]) for clause in clauses]
    return [] if None in alone else [clause for clause in alone if clause]
