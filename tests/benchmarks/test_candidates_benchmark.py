"""The benchmark of choosing: every score chooses among the same candidates, and the table has a line for each."""

import json

import numpy as np
import pytest
from tiny_data import dataset_folder, tiny_judge
from tiny_unimo import tiny_unimo

from benchmarks import candidates, results_tables


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("run")
    dataset_folder(root / "data", train=1, test=6, test_hard=5)
    model, processor = tiny_unimo()
    model.save_pretrained(root / "unimo")
    processor.save_pretrained(root / "unimo")
    tiny_judge().save_pretrained(root / "evaluator")
    tiny_judge(1).save_pretrained(root / "evaluator_held_out")
    return root


@pytest.mark.filterwarnings("ignore:candidates are chosen")  # random weights read nothing
def test_a_line_for_every_score(run, tmp_path, monkeypatch):
    monkeypatch.setattr(candidates, "TIMED", 2)
    candidates.main(["--run", str(run), "--captions", "4", "--candidates", "3", "--output", str(tmp_path)])
    found, captions = (json.loads((tmp_path / f"candidates{of}.json").read_text()) for of in ("", "-captions"))
    assert [row[0] for row in found["rows"]] == ["real motion", *candidates.SCORES["t2m"]]
    for split in ("test_hard", "test"):
        assert set(found["measured"][split]) == {"real motion", *candidates.SCORES["t2m"]}
        assert found["measured"][split]["real motion"]["judge: FID"] == pytest.approx(0, abs=1e-6)
    assert [row[0] for row in captions["rows"]] == list(captions["measured"]) == list(candidates.SCORES["m2t"])
    assert {"BLEU@1", "BLEU@4", "CIDEr", "held-out judge: R@1"} <= set(captions["columns"])
    assert found["measured"]["seconds"]["best"] > 0
    for content in (found, captions):
        columns, rows = results_tables.table(content)
        assert len({len(columns), *map(len, rows)}) == 1
    assert "held-out judge: R@1" in results_tables.table(found)[0][1]


def test_scores_from_log_probabilities():
    answer, thought = np.array([[-6.0, -4.0]]), np.array([[-2.0, -8.0]])
    tokens, thought_tokens = np.array([[3, 2]]), np.array([[2, 8]])
    found = candidates.reading_scores(answer, thought, tokens, thought_tokens, prior=np.array([[-1.0, -9.0]]))
    assert {name: scores.tolist() for name, scores in found.items()} == {
        "both": [[-8.0, -12.0]],
        "answer": [[-6.0, -4.0]],
        "thought": [[-2.0, -8.0]],
        "per token": [[-1.6, -1.2]],
        "parts per token": [[-3.0, -3.0]],
        "pmi": [[-7.0, -3.0]],
    }
    assert candidates.chosen({"both": found["both"], "answer": answer})["answer"].tolist() == [1]


def test_consensus_prefers_what_most_candidates_say():
    table = candidates.consensus([["a person walks", "a person walks", "someone jumps high"]])
    assert table.shape == (1, 3) and table[0, 0] == table[0, 1] > table[0, 2]


def test_several_thoughts_are_added_up():
    model, processor = tiny_unimo()
    thoughts, codes = ["one", "two", "three", "four"], [[1], [2], [3], [4]]
    found = candidates.averaged(model, processor, thoughts, ["a", "a", "b", "b"], codes, count=2)
    for row, of_row in enumerate(codes):
        begin = 2 * (row // 2)
        both = candidates.read_completions(
            model.language_model, processor, "m2t", thoughts[begin : begin + 2], ["ab"[row // 2]] * 2, [of_row] * 2
        )
        expected = np.logaddexp(*(one.score for one in both))
        assert found[row // 2, row % 2] == pytest.approx(expected, rel=1e-5)
