"""The benchmark of the verifier on people's words: what is planted, what is counted, and what it reaches."""

import json
from pathlib import Path

import numpy as np
import pytest

from benchmarks import human_captions as benchmark
from datasets_scripts.sources.synthetic.motion import Plan, Segment, animate
from datasets_scripts.verify.reliability import CONTRADICTED_ON_HUMAN_TEXT, UNRELIABLE_KINDS

CLIPS = {
    "stroll": (Segment("walk", count=4), ["A man strolls ahead.", "the guy walks forwards", "no idea what this is"]),
    "greeting": (Segment("wave", "left", 3), ["he waves his left hand", "a person is jumping"]),
}


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    prefix = tmp_path_factory.mktemp("human") / "clips"
    joints = [animate(Plan((segment,), "", tail=2)).joints for segment, _ in CLIPS.values()]
    offsets = np.cumsum([0, *map(len, joints)])
    np.savez(f"{prefix}.npz", names=list(CLIPS), offsets=offsets, joints=np.concatenate(joints))
    rows = [{"id": name, "captions": texts, "captions_from": "us via them"} for name, (_, texts) in CLIPS.items()]
    Path(f"{prefix}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return prefix


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("she kicks twice with her left leg", {"side", "count", "action"}),
        ("walks forward", {"direction", "action"}),
        ("right away she nods", set()),
    ],
)
def test_errors_are_planted_where_they_have_a_place(text, expected):
    wrong = dict(benchmark.planted(text))
    assert set(wrong) == expected and text not in wrong.values()


def test_figures_of_a_folder(prefix, tmp_path, capsys):
    benchmark.main([str(prefix), "--output", str(tmp_path / "figures.json")])
    figures = json.loads((tmp_path / "figures.json").read_text())
    texts = figures["texts"]["us"]
    assert texts["false contradictions"]["yes"] == 1 and texts["false contradictions"]["of"] == 5
    assert texts["read"]["yes"] == 4
    assert texts["planted errors found"]["yes"] == texts["planted errors found"]["of"] == 3
    assert texts["false contradictions"]["ci95"] == pytest.approx([0.0362, 0.6245], abs=1e-4)
    assert figures["kinds of claim"]["action"]["false contradictions"]["yes"] == 1
    assert "| us | 1/5 = 0.200" in capsys.readouterr().out


def test_captions_without_joints_are_refused(prefix, tmp_path):
    (tmp_path / "clips.npz").write_bytes(Path(f"{prefix}.npz").read_bytes())
    (tmp_path / "clips.jsonl").write_text('{"id": "nobody", "captions": ["a"], "captions_from": "us"}\n')
    with pytest.raises(SystemExit, match="no joints for 1 ids .* first 'nobody'"):
        benchmark.main([str(tmp_path / "clips")])


def test_words_of_people_about_captured_motion(shared_dir):
    prefix = shared_dir / "data" / "human_captions" / "human_captions_visible"
    if not Path(f"{prefix}.npz").is_file():
        pytest.skip(f"no captions by people at {prefix}")
    figures = benchmark.summary(benchmark.read_clips(prefix))
    share = {name: measure["share"] for name, measure in figures["texts"]["all"].items()}
    assert share["false contradictions"] <= 0.05 and share["planted errors found"] >= 0.8
    assert share["other clips' captions contradicted"] >= 0.4 and share["read"] >= 0.85
    # What the package says of its own reliability is what this benchmark measures.
    kinds = {name: row["false contradictions"] for name, row in figures["kinds of claim"].items()}
    assert {name: (row["yes"], row["of"]) for name, row in kinds.items()} == dict(CONTRADICTED_ON_HUMAN_TEXT)
    assert {name for name, row in kinds.items() if row["share"] > 0.05} == UNRELIABLE_KINDS
