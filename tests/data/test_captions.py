"""Caption tokens: the published rules, the words of our own captions, unknown words and bad input."""

import importlib.util
import json

import pytest

from datasets_scripts.captions import tokenize_caption


@pytest.mark.parametrize(
    "text, tokens",
    [
        # published tokens
        (
            "a man kicks something or someone with his left leg.",
            "a/DET man/NOUN kick/VERB something/PRON or/CCONJ someone/PRON with/ADP his/DET left/ADJ leg/NOUN",
        ),
        (
            "the standing person kicks with their left foot before going back to their original stance.",
            "the/DET stand/VERB person/NOUN kick/VERB with/ADP their/DET left/ADJ foot/NOUN before/ADP go/VERB "
            "back/ADV to/ADP their/DET original/ADJ stance/NOUN",
        ),
        ("a person steps and turns.", "a/DET person/NOUN step/VERB and/CCONJ turn/VERB"),
        # verbs that are nouns after a number, an article or an adjective
        (
            "A person walks four steps forward, then does two high jumps.",
            "a/DET person/NOUN walk/VERB four/NUM step/NOUN forward/ADV then/ADV do/VERB two/NUM high/ADJ jump/NOUN",
        ),
        ("someone jumps high twice.", "someone/PRON jump/VERB high/ADV twice/ADV"),
        # left: never lemmatised, three parts of speech
        ("he turns left.", "he/PRON turn/VERB left/ADV"),
        ("he steps to the left.", "he/PRON step/VERB to/ADP the/DET left/NOUN"),
        # "-" goes, non-alphabetic tokens go
        (
            "a side-step, 2 times & counter-clockwise!",
            "a/DET sidestep/NOUN time/NOUN counterclockwise/ADV",
        ),
        ("the man's arms don't move.", "the/DET man/NOUN arm/NOUN do/VERB move/VERB"),
        # words outside the table
        ("a person frobnicates gracefully.", "a/DET person/NOUN frobnicate/VERB gracefully/ADV"),
        ("a cheerful wibble.", "a/DET cheerful/ADJ wibble/NOUN"),
    ],
)
def test_tokens(text, tokens):
    assert " ".join(tokenize_caption(text)) == tokens


@pytest.mark.parametrize("text", ["", "   ", "123 !?", "-"])
def test_texts_without_words_are_refused(text):
    with pytest.raises(ValueError, match="holds no word"):
        tokenize_caption(text)


def test_other_scripts_and_long_texts_pass():
    assert tokenize_caption("ein Mann läuft \U0001f600 走る")
    assert len(tokenize_caption("walks " * 2000)) == 2000


def test_unknown_backend():
    with pytest.raises(ValueError, match="unknown caption backend 'nltk'"):
        tokenize_caption("a person walks.", backend="nltk")


@pytest.mark.skipif(importlib.util.find_spec("spacy") is not None, reason="spaCy is installed")
def test_spacy_backend_names_the_extra():
    with pytest.raises(ImportError, match="spacy"):
        tokenize_caption("a person walks.", backend="spacy")


def test_mocap_captions_name_their_action_as_a_verb(shared_dir):
    lines = (shared_dir / "data" / "mocap" / "mocap_captions.jsonl").read_text().splitlines()
    for line in lines[::7]:
        for text in json.loads(line)["captions"]:
            tokens = tokenize_caption(text)
            assert any(token.endswith("/VERB") for token in tokens), (text, tokens)
