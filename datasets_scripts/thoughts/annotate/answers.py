"""From the answer of a vision-language model to a thought, or the reason for refusing it.

Two gates: `thought_fault` holds for every thought, whoever wrote it; `read_answer` cleans a model's raw answer and is
stricter. Nothing is guessed: a doubtful answer is refused with a short reason that many answers share, so that it can
be counted. No list of phrases covers every refusal, so an answer must also say something about a body, in words that
the verifier knows.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from datasets_scripts.verify.claims import read
from datasets_scripts.verify.lexicon import PHRASES

MAX_THOUGHT_CHARACTERS = 4000  # no limit on style: what no thought is
MIN_ANSWER_WORDS, MAX_ANSWER_WORDS = 8, 200
_HUGE_ANSWER = 20_000  # characters; more is not even looked at
# An opening or closing tag of any vocabulary, or a control token of a base model's (<|im_end|>, <s>, [INST]).
_TAG = re.compile(r"</?[A-Za-z][\w-]*(?:\s[^<>]*)?/?>|<\|[^<>]{0,60}\|>|<[^\s<>]{0,40}[|｜][^<>]{0,40}>|\[/?INST\]")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\ud800-\udfff]")  # with half characters, without the line end
_WRAPPER = re.compile(r"<(think|thought|answer|description)>(.*)</\1>", re.IGNORECASE | re.DOTALL)
_TERMINAL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")  # colours and cursor moves
_FENCE = re.compile(r"```[\w-]*")
_MARKDOWN = re.compile(r"(?m)^\s*(?:#{1,6}\s+|[-*•]\s+|\d{1,2}[.)]\s+|>\s+)|\*\*|__|`")
_LABEL = re.compile(r"^(?:thought|answer|description|movement|output|paragraph)s?\s*:\s*", re.IGNORECASE)
_REFUSAL = re.compile(
    r"\b(?:i(?:'m| am) (?:very |so )?(?:sorry|unable|not able|afraid)|sorry,|i (?:can(?:'t|not)|could not|couldn't) "
    r"|i apologi[sz]e|my apologies|as an? (?:ai|language|vision|assistant)"
    r"|i (?:will not|won't|would not|wouldn't|must decline|have to decline|decline|do not|don't|am not|refuse) "
    r"|must decline|(?:not possible|impossible) to (?:assist|determine|describe|identify|provide|say|see|tell)"
    r"|unable to (?:view|see|assist|help|provide|determine|describe|comply|identify)"
    r"|(?:cannot|can't|can not) (?:be (?:answered|described|determined|fulfilled|given|identified|processed|provided)"
    r"|assist|help|provide|comply|view|see)"
    r"|(?:answer|content|description|output|request|response)s? (?:is |was |has been |have been )?"
    r"(?:blocked|denied|filtered|not available|not permitted|removed|unavailable|violates?|withheld)"
    r"|no (?:images?|pictures?|video) (?:was|were|is)|please (?:provide|upload|share))",
    re.IGNORECASE,
)
_REFUSAL_WINDOW = 160  # characters: refusals come first
_PICTURE = re.compile(
    r"\b(?:videos?|images?|pictures?|pictured|frames?|footage|photos?|screens?|camera|clips?|render\w*|animat\w+|"
    r"viewers?|stick figure|mannequin|3d|avatar|blue|red|orange|colou?r\w*|background|summary|caption)\b",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"https?://|\[\.\.\.\]", re.IGNORECASE)  # or what was put in place of one
# Words of one who answers, and of what was asked; "I" alone is a capital.
_ITSELF = re.compile(
    r"\b(?:I(?:'m|'ll|'ve|'d)?|(?i:i'm|i'll|i've|i'd|my|let me|let's|we|we're|we'll|(?:the|an?|this) user"
    r"|the assistant|(?:the|this|your) (?:request|prompt|instructions?|question)|guidelines?|polic(?:y|ies)|privacy)"
    r"|^(?i:sure|certainly|of course|absolutely|okay|ok|alright|hmm|here is|here are|here's|below is))\b"
)
_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
_COPIED, _REPEATED, _LATIN = 0.7, 0.5, 0.9  # shares
_NAMED = [(" ".join(words), part) for words, (_, part) in PHRASES.items() if isinstance(part, tuple)]
_PARTS = [text for text, part in _NAMED if part[0] != "body" and part[1] != "face"]  # refusals speak of faces, too
_WHOSE = [text for text, part in _NAMED if part[0] == "body" and not part[2]]  # and of persons
_WHOSE += "someone somebody they them their his her him dancer limb limbs pose posture stance".split()
_PART, _WHO = (re.compile(rf"\b(?:{'|'.join(texts)})\b", re.IGNORECASE) for texts in (_PARTS, _WHOSE))
_ORDINARY = {"other", "moving", "still", "end"}  # what the reader makes of words that are also said of other things


@dataclass(frozen=True)
class Answer:
    """A thought, or "" and why there is none; `cleaned` if it differs from the raw answer."""

    thought: str
    fault: str = ""
    cleaned: bool = False


def thought_fault(thought: str) -> str:
    """Why a text cannot be a thought in a dataset; "" if it can.

    A thought is one or more lines of text that carries no tag of any vocabulary (`</think>`, `<Motion_3>`,
    `<|im_end|>`), no control characters but line ends, and no half characters (lone surrogates).

    Args:
        thought: The text.

    Returns:
        The reason, or "".
    """
    if not thought.strip():
        return "empty"
    if len(thought) > MAX_THOUGHT_CHARACTERS:
        return f"longer than {MAX_THOUGHT_CHARACTERS} characters"
    if _CONTROL.search(thought):
        return "control characters"
    if _TAG.search(thought):
        return "tags in the text"
    return ""


def read_answer(raw: str, caption: str = "", cut_off: bool = False, refused: bool = False) -> Answer:
    """A model's raw answer as a thought.

    Taken away: control and format characters, code fences and Markdown, a label or quotation marks around it, thinking
    aloud before a `</think>`, one pair of tags around all of it. Refused: empty, huge, cut off, refusals, leftover
    tags, structured data, addresses, another script, talk of pictures or colours, of the one who answers or of what
    was asked, nothing about a body, endless repetition, the caption said again.

    Args:
        raw: what the model wrote.
        caption: the text that it was given as context.
        cut_off: whether the model was stopped by its length limit.
        refused: whether the server marks it as a refusal, or its filter removed part of it.

    Returns:
        The thought, or the reason why there is none.
    """
    if refused:
        return Answer("", "refusal")
    if len(raw) > _HUGE_ANSWER:
        return Answer("", f"longer than {_HUGE_ANSWER} characters")
    text = plain(raw)
    # Some models think aloud first; what follows is the answer. Where nothing follows, the thinking is.
    before, closing, after = text.rpartition("</think>")
    if closing and after.strip():
        text = after
    found = _WRAPPER.search(text)
    if found and not _TAG.sub("", text[: found.start()] + text[found.end() :]).strip():
        text = found[2]
    text = _MARKDOWN.sub("", _FENCE.sub("", text)).strip()
    text = _LABEL.sub("", text).strip()
    if len(text) > 1 and text[0] in "\"'“‘" and text[-1] in "\"'”’":
        text = text[1:-1].strip()
    text = " ".join(text.split())
    fault = _answer_fault(text, caption, cut_off)
    return Answer("", fault) if fault else Answer(text, cleaned=text != raw)


def _answer_fault(text: str, caption: str, cut_off: bool) -> str:
    if not text:
        return "empty"
    # Before the tags: a refusal is reported as one whatever surrounds it.
    if _REFUSAL.search(text[:_REFUSAL_WINDOW].replace("’", "'")):
        return "refusal"
    if _ADDRESS.search(text):
        return "names an address"
    if text[0] in "{[" or text[-1] in "}]":
        return "structured data instead of prose"
    fault = thought_fault(text)
    if fault:
        return fault
    if cut_off:
        return "cut off at the length limit"
    letters = [character for character in text if character.isalpha()]
    latin = sum("LATIN" in unicodedata.name(character, "") for character in letters)
    if latin < _LATIN * len(letters) or not letters:
        return "not in English letters"
    words = _words(text)
    if len(words) < MIN_ANSWER_WORDS:
        return f"fewer than {MIN_ANSWER_WORDS} words"
    if len(words) > MAX_ANSWER_WORDS:
        return f"more than {MAX_ANSWER_WORDS} words"
    if _PICTURE.search(text):
        return "speaks of pictures or colours"
    if _ITSELF.search(text.replace("’", "'")):
        return "speaks of itself or of what was asked"
    if not speaks_of_body(text):
        return "says nothing about movement"
    runs = _runs(words)
    if len(runs) >= 12 and len(set(runs)) < _REPEATED * len(runs):
        return "repeats itself"
    known = set(_runs(_words(caption)))
    if known and sum(run in known for run in runs) >= _COPIED * len(runs):
        return "copies the caption"
    return ""


def speaks_of_body(text: str) -> bool:
    """Whether a text says anything of what a body does or how it is held, as far as the verifier's reader knows.

    Generous, for one that talks of something else does not get near: a movement or pose together with whose it is, two
    movements that no other thing makes, or three parts of the body.

    Args:
        text: Of any kind.

    Returns:
        Whether it does.
    """
    statements = [statement for sentence in read(text) for statement in sentence.statements]
    parts = {found[0].lower() for found in _PART.finditer(text)}
    if len(parts) > 2 or (statements and (parts or _WHO.search(text))):
        return True
    return sum(statement.kind not in _ORDINARY for statement in statements) > 1


def clean_context(caption: str, limit: int = 600) -> str:
    """A caption as it may stand inside a prompt: one line without tags, control characters and quotation marks.

    Args:
        caption: The text.
        limit: Characters that are kept.

    Returns:
        One line.
    """
    text = plain(caption)
    previous = None
    # Taking one tag out can make another of what stood around it.
    while text != previous:
        previous, text = text, _TAG.sub(" ", text)
    text = " ".join(text.replace('"', "'").split())
    return text if len(text) <= limit else text[:limit].rsplit(" ", 1)[0] + " ..."


def plain(text: str) -> str:
    """NFC, without control, format, private and half characters; every kind of space becomes a space, lines stay.

    Args:
        text: Of any kind.

    Returns:
        The text without them.
    """
    kept = []
    for character in unicodedata.normalize("NFC", _TERMINAL.sub("", text).replace("\r\n", "\n")):
        category = unicodedata.category(character)
        if character == "\n":
            kept.append(character)
        elif category in ("Zs", "Zl", "Zp") or character in "\t\r\v\f":
            kept.append(" ")
        elif category[0] != "C":
            kept.append(character)
    return "".join(kept)


def _words(text: str) -> list[str]:
    return _WORD.findall(text.lower().replace("’", "'"))


def _runs(words: Sequence[str], length: int = 3) -> list[tuple[str, ...]]:
    return [tuple(words[i : i + length]) for i in range(len(words) - length + 1)]
