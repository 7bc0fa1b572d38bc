"""The benchmark of people's captions as prompts: what is read, counted and refused."""

import copy
import json

import numpy as np
import pytest
from tiny_unimo import tiny_unimo

from benchmarks import human_prompts as benchmark
from datasets_scripts.sources.synthetic.motion import Plan, Segment, animate

ROWS = [
    {"id": "walk", "captions": ["a man walks forward", "the guy kneels"], "captions_from": "us via them"},
    {"id": "wave", "captions": ["he waved his left hand three times"], "captions_from": "others"},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model that was taught a few words, captions, and the motions that they are about."""
    folder = tmp_path_factory.mktemp("prompts")
    model, processor = tiny_unimo()
    processor = copy.copy(processor)
    processor.taught_words = ["man", "walks", "forward", "waves", "left", "hand", "three", "times"]
    model.save_pretrained(folder / "unimo")
    processor.save_pretrained(folder / "unimo")
    (folder / "captions.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    joints = [animate(Plan((s,), "", tail=2)).joints for s in (Segment("walk", count=4), Segment("wave", "left", 3))]
    offsets = np.cumsum([0, *map(len, joints)])
    np.savez(folder / "captions.npz", names=["walk", "wave"], offsets=offsets, joints=np.concatenate(joints))
    return folder


def test_claims_of_people_are_held_against_a_models_motions(folder, tmp_path, capsys):
    words = [str(folder / "captions.jsonl"), "--model", str(folder / "unimo"), "--samples", "2"]
    benchmark.main([*words, "--output", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    texts = figures["texts"]
    assert figures["captions"] == 3 and figures["samples"] == 2
    assert list(texts)[:2] == [benchmark.REAL, benchmark.GENERATED]
    assert (
        texts[benchmark.REAL]["sentences read"]["of"] == 3 and texts[benchmark.GENERATED]["sentences read"]["of"] == 6
    )
    assert texts[benchmark.GENERATED][benchmark.UNKNOWN]["yes"] == 1  # "guy" and "kneels" are in one caption
    by_source = [texts[f"{benchmark.GENERATED}, {source}"] for source in ("others", "us")]
    for measure in ("sentences read", "claims decided"):
        assert sum(of[measure]["of"] for of in by_source) == texts[benchmark.GENERATED][measure]["of"]
    assert f"  {benchmark.UNKNOWN}: 1/3 = 0.333" in capsys.readouterr().out


def test_true_words_are_satisfied_by_their_own_motion():
    counts = benchmark.Counter()
    motion = animate(Plan((Segment("walk", count=4),), "", tail=2)).joints
    texts = ["a man walks four steps forward", "a man walks backward"]
    benchmark.count("all", benchmark.check_pairs([motion, motion], texts), counts)
    found = benchmark.shares(counts)["all"]
    assert found["sentences read"]["share"] == 1.0
    wrong = found["claims satisfied"]["of"] - found["claims satisfied"]["yes"]
    assert wrong == 1  # the direction


@pytest.mark.parametrize(
    ("text", "message"),
    [("", "has no captions"), ("[1]\n", "line 1: no JSON object"), ('{"id": "a"}\n', "line 1: no JSON object")],
)
def test_other_files_are_refused(folder, tmp_path, text, message):
    path = tmp_path / "captions.jsonl"
    path.write_text(text)
    with pytest.raises(SystemExit, match=message):
        benchmark.main([str(path), "--model", str(folder / "unimo")])
