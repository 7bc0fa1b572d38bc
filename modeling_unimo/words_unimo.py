"""The words a model was taught about motion, and the words of a text that it never met."""

import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache

MAX_TAUGHT_WORDS = 20_000  # about 200 kB of JSON; HumanML3D's captions have about 5,000
_NAMED = 8  # words that one warning names

# Hyphens and apostrophes inside a word belong to it.
_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
# Words that say nothing of a movement: a text is not strange because of them.
_GRAMMAR_WORDS = frozenset(
    "a an the this that these those some any his her hers its their theirs my your yours our ours he she it they them "
    "him himself herself itself themselves oneself i me we us you who whom whose which what there here is are "
    "was were be been being am has have had having do does did done doing will would shall should can could may might "
    "must to of in on at by for from with as and or but if so please also just very no not s t".split()
)
_ENDINGS = (
    ("s", ("",)),
    ("es", ("",)),
    ("ies", ("y", "ie")),
    ("ed", ("", "e")),
    ("ied", ("y",)),
    ("ing", ("", "e")),
    ("ying", ("ie",)),
    ("ly", ("", "le")),
    ("ily", ("y",)),
)
# Past forms and plurals that no ending tells, of verbs and nouns of movement.
_IRREGULAR = {
    form: base
    for base, forms in {
        "begin": "began begun",
        "bend": "bent",
        "bring": "brought",
        "catch": "caught",
        "come": "came",
        "do": "did done",
        "draw": "drew drawn",
        "drink": "drank",
        "eat": "ate eaten",
        "fall": "fell fallen",
        "fight": "fought",
        "fly": "flew flown",
        "foot": "feet",
        "get": "got gotten",
        "give": "gave given",
        "go": "went gone",
        "hold": "held",
        "keep": "kept",
        "kneel": "knelt",
        "lead": "led",
        "lean": "leant",
        "leap": "leapt",
        "leave": "left",
        "lie": "lay lain",
        "make": "made",
        "man": "men",
        "meet": "met",
        "person": "people",
        "ride": "rode ridden",
        "rise": "rose risen",
        "run": "ran",
        "shake": "shook shaken",
        "sit": "sat",
        "slide": "slid",
        "spin": "spun",
        "stand": "stood",
        "step": "stept",
        "stick": "stuck",
        "strike": "struck",
        "swim": "swam swum",
        "swing": "swung",
        "take": "took taken",
        "throw": "threw thrown",
        "woman": "women",
    }.items()
    for form in forms.split()
}


class UnknownWordsWarning(UserWarning):
    """A text has words that the model's training on motion never met."""


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, numbers in digits among them, without a possessive 's.

    Args:
        text: The text.

    Returns:
        The words, in their order.
    """
    return [re.sub(r"['’]s$", "", word) for word in _WORD.findall(text.lower())]


def taught_words(texts: Iterable[str], before: Iterable[str] = ()) -> list[str]:
    """The words of captions in alphabetical order: what a model that learns from them is taught.

    Args:
        texts: the captions.
        before: words that the model was taught earlier, which count as the most frequent.

    Returns:
        At most `MAX_TAUGHT_WORDS` words, the most frequent ones where there are more.
    """
    counts = Counter(word for text in texts for word in words_of(text))
    first = set(before)
    ranked = sorted(counts.keys() | first, key=lambda word: (word not in first, -counts[word], word))
    return sorted(ranked[:MAX_TAUGHT_WORDS])


def unknown_words(text: str, taught: Iterable[str]) -> list[str]:
    """The words of a text that are no form of any word taught, in their order, each once.

    "walked" and "walking" are forms of "walks"; a hyphenated word is known by its parts or written together. Articles,
    pronouns, auxiliary verbs and the like are never named.

    Args:
        text: The text.
        taught: Words that the model was trained on.

    Returns:
        The unknown words.
    """
    forms = _forms_of_all(tuple(taught))

    def known(word: str) -> bool:
        return word in _GRAMMAR_WORDS or not _base_forms(word).isdisjoint(forms)

    def met(word: str) -> bool:
        parts = re.split("['’-]", word)
        return known(word) or known("".join(parts)) or all(map(known, parts))

    return [word for word in dict.fromkeys(words_of(text)) if not met(word)]


def unknown_words_message(words: Iterable[str]) -> str:
    """What to tell who asked with words that the model never met.

    Args:
        words: The words.

    Returns:
        One sentence.
    """
    words = list(dict.fromkeys(words))
    named = ", ".join(words[:_NAMED]) + (f" and {len(words) - _NAMED} more" if len(words) > _NAMED else "")
    return f"words that the model's training on motion never met: {named}; what the motion shows of them is a guess"


def _base_forms(word: str) -> set[str]:
    """A word and all that it may be an inflection of; a few of them are no words, which does no harm."""
    forms = {word, _IRREGULAR.get(word, word)}
    for ending, replacements in _ENDINGS:
        stem = word.removesuffix(ending)
        if stem == word or len(stem) < 2:
            continue
        forms |= {stem + replacement for replacement in replacements}
        if ending in ("ed", "ing") and len(stem) > 2 and stem[-1] == stem[-2]:  # "hopped", "hopping"
            forms.add(stem[:-1])
    return forms


@lru_cache(maxsize=8)
def _forms_of_all(words: tuple[str, ...]) -> frozenset[str]:
    return frozenset(form for word in words for form in _base_forms(word))
