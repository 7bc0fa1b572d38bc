"""The words a model was taught: collected, bounded, saved, and unknown ones named wherever a text is answered."""

import copy
import json
import warnings

import pytest
from tiny_unimo import processor_of, qwen_tokenizer, tiny_unimo
from transformers import AutoProcessor, pipeline

from modeling_unimo import UniMoProcessor, words_unimo
from modeling_unimo.generate import generate
from modeling_unimo.words_unimo import (
    UnknownWordsWarning,
    taught_words,
    unknown_words,
    unknown_words_message,
    words_of,
)

CAPTIONS = [
    "A person walks forward slowly.",
    "a man hops, then waves the left hand",
    "someone's feet stand; he ran 3 m",
]
TAUGHT = taught_words(CAPTIONS)


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("a person walks", []),
        ("A PERSON WALKED; walking, he hopped and was hopping!", []),
        ("people waved their hands", []),
        ("he is standing on the left foot, stood, ran and runs", []),
        ("a slow walk", []),
        ("the person's left-hand wave", []),
        ("a person kneels", ["kneels"]),
        ("she kneels, plays the violin and kneels again", ["kneels", "plays", "violin", "again"]),
        ("walks 4 steps", ["4", "steps"]),
        ("walks 3 m", []),
        ("walks counter-clockwise", ["counter-clockwise"]),
        ("ein Mann geht", ["ein", "mann", "geht"]),
        ("一个人走", ["一个人走"]),
        ("!?", []),
        ("", []),
    ],
)
def test_words_never_met_are_named(text, unknown):
    assert unknown_words(text, TAUGHT) == unknown


@pytest.mark.parametrize("pair", [("counterclockwise", "counter-clockwise"), ("sidesteps", "side-step")])
def test_a_hyphen_makes_no_new_word(pair):
    for taught, asked in (pair, pair[::-1]):
        assert unknown_words(asked, [taught]) in ([], ["counterclockwise"], ["sidesteps"])
    assert unknown_words(pair[1], [pair[0]]) == []


def test_the_most_frequent_words_are_kept(monkeypatch):
    monkeypatch.setattr(words_unimo, "MAX_TAUGHT_WORDS", 3)
    assert taught_words(["b b a", "b c a", "d"]) == ["a", "b", "c"]
    assert taught_words(["b b a", "b c a", "d"], before=["z"]) == ["a", "b", "z"]


def test_words_of_a_text():
    assert words_of("The man's T-pose, isn't it? 2 o’clock") == ["the", "man", "t-pose", "isn't", "it", "2", "o’clock"]


def test_a_message_names_a_few():
    assert unknown_words_message(["a", "b", "a"]).startswith(
        "words that the model's training on motion never met: a, b;"
    )
    assert ": 0, 1, 2, 3, 4, 5, 6, 7 and 4 more;" in unknown_words_message(map(str, range(12)))


def test_saved_with_the_processor(tmp_path):
    processor_of(qwen_tokenizer(), taught_words=TAUGHT).save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    assert loaded.taught_words == TAUGHT and loaded.unknown_words("a person kneels") == ["kneels"]


def test_a_folder_from_before_the_words_warns_of_nothing(tmp_path):
    processor_of(qwen_tokenizer()).save_pretrained(tmp_path)
    path = tmp_path / "processor_config.json"
    path.write_text(json.dumps({k: v for k, v in json.loads(path.read_text()).items() if k != "taught_words"}))
    loaded = UniMoProcessor.from_pretrained(tmp_path)
    assert loaded.taught_words is None and loaded.unknown_words("a violin") == []


@pytest.fixture
def taught():
    model, processor = tiny_unimo()
    processor = copy.copy(processor)
    processor.taught_words = TAUGHT
    return model, processor


def test_a_motion_for_unknown_words_is_made_with_a_warning(taught):
    model, processor = taught
    texts = ["a person kneels", "a person walks", "he plays the violin"]
    with pytest.warns(UnknownWordsWarning, match="never met: kneels, plays, violin;"):
        motions = model.generate_motion(texts, processor, seed=0)
    assert len(motions) == 3
    with pytest.warns(UnknownWordsWarning, match="never met: kneels;"):
        pipeline("text-to-motion", model=model, processor=processor, device="cpu")("a person kneels", seed=0)


def test_known_words_and_models_without_the_list_get_no_warning(taught):
    model, processor = taught
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnknownWordsWarning)
        model.generate_motion(["a person walked"], processor, seed=0)
        model.generate_motion(["a person kneels"], tiny_unimo()[1], seed=0)


def test_the_command_warns_once_on_standard_error(taught, tmp_path, capsys):
    for part in taught:
        part.save_pretrained(tmp_path / "unimo")
    where = ["--model", str(tmp_path / "unimo"), "--output", str(tmp_path / "motion.npy"), "--seed", "0"]
    with warnings.catch_warnings():
        warnings.simplefilter("error", UnknownWordsWarning)
        generate(["a person kneels and walked", *where])
    output = capsys.readouterr()
    assert output.err.count("kneels") == 1 and "warning: words that the model's training on motion" in output.err
    assert "wrote" in output.out
    generate(["a person walked", *where])
    assert "warning: words" not in capsys.readouterr().err
