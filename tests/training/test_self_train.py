"""train/self_train.py: what is asked, what is kept, what is learned from it, and when rounds end."""

import json
from pathlib import Path

import pytest
from forked import forked_stage
from tiny_data import TEXTS
from tiny_policy import policy_folders

from modeling_unimo.candidates_unimo import score_answers
from modeling_unimo.files_unimo import write_json_lines
from modeling_unimo.processing_unimo import Answer, UniMoProcessor
from train import self_train
from train.supervised import own_answers
from train.supervised.added_rows import read_added_rows
from train.supervised.own_answers import ANSWERS, CHOSEN, COUNTS, answered, captions_to_answer, kept


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    return policy_folders(tmp_path_factory.mktemp("policy"))


SPLITS = {"train": ["a person walks, then jumps.", "a person kicks.", "a person kicks."], "test": ["a person jumps."]}


def test_captions_are_the_datasets_and_new_ones_of_no_split(tmp_path):
    asked = captions_to_answer(SPLITS, 3, "clauses", None, seed=0)
    assert [source for _, source in asked] == ["training"] * 2 + ["new"] * 3
    texts = [text for text, _ in asked]
    assert texts[:2] == ["a person walks, then jumps.", "a person kicks."] and len(set(texts)) == 5
    assert not set(texts[2:]) & {text for split in SPLITS.values() for text in split}
    assert len(captions_to_answer(SPLITS, 0, "clauses", 1, seed=0)) == 1
    file = tmp_path / "captions.txt"
    file.write_text("a person bows.\n\na person jumps.\na person bows.\na person crawls.\n")
    assert captions_to_answer(SPLITS, 2, str(file), 0, seed=0) == [
        ("a person bows.", "new"),
        ("a person crawls.", "new"),
    ]
    with pytest.raises(ValueError, match="has 2 captions that the dataset has not, --new_captions asks for 3"):
        captions_to_answer(SPLITS, 3, str(file), 0, seed=0)


def test_synthetic_captions_are_of_no_split():
    made = [text for text, _ in captions_to_answer(SPLITS, 6, "synthetic", 0, seed=5)]
    assert made == [text for text, _ in captions_to_answer(SPLITS, 6, "synthetic", 0, seed=5)]
    again = captions_to_answer(SPLITS | {"test": made[:2]}, 6, "synthetic", 0, seed=5)
    assert len(set(made)) == 6 and not set(made[:2]) & {text for text, _ in again}


def test_the_best_share_by_token_is_kept_in_order():
    rows = [
        {"valid": True, "nats": -40.0, "tokens": 40},  # long, and likely at every token
        {"valid": False},
        {"valid": True, "nats": -30.0, "tokens": 10},
        {"valid": True, "nats": -20.0, "tokens": 10},
        {"valid": True, "nats": -5.0, "tokens": 10},
    ]
    assert kept(rows, 0.5) == [rows[0], rows[4]]
    assert kept(rows, 1.0) == [rows[0], *rows[2:]] and len(kept(rows, 0.01)) == 1
    assert kept([{"valid": False}], 0.5) == []


def test_a_line_that_was_not_finished_is_answered_again(tmp_path):
    assert answered(tmp_path / ANSWERS) == []
    (tmp_path / ANSWERS).write_text('{"caption": "a"}\n{"capt')
    assert answered(tmp_path / ANSWERS) == [{"caption": "a"}]
    assert (tmp_path / ANSWERS).read_text() == '{"caption": "a"}\n'


def test_answers_with_rare_line_separators_are_kept_whole(tmp_path):
    row = {"caption": "a\u2028b", "thought": "c\u0085d"}
    (tmp_path / ANSWERS).write_text(json.dumps(row, ensure_ascii=False) + "\n", encoding="utf-8")
    assert answered(tmp_path / ANSWERS) == [row] and answered(tmp_path / ANSWERS) == [row]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{}", "line 2: expected caption, thought and codes"),
        ("[", "line 2: expected"),
        ('{"caption": "a", "thought": "b", "codes": [1, 64]}', r"line 2: codes must be at least one of 0..63"),
        ('{"caption": "a", "thought": "b", "codes": []}', "line 2: codes must be at least one"),
    ],
)
def test_added_rows_that_cannot_be_learned_are_refused(tmp_path, line, message):
    file = tmp_path / "rows.jsonl"
    write_json_lines(file, [{"caption": "a", "thought": "b", "codes": [1, 63]}])
    (entry,), (codes,) = read_added_rows(file, 64)
    assert (entry.texts, entry.thoughts, codes.tolist()) == (["a"], ["b"], [1, 63])
    with open(file, "a") as opened:
        opened.write(line + "\n")
    with pytest.raises(ValueError, match=message):
        read_added_rows(file, 64)


def sampling(folders: dict[str, str], output: Path, **changed) -> list[str]:
    settings = {"model": folders["sft_model"], "vqvae": folders["vqvae"], "dataset": folders["dataset"]}
    settings |= {"output": output, "candidates": 3, "new_captions": 2, "training_captions": 3, "kept_share": 0.75}
    return [word for name, value in (settings | changed).items() for word in (f"--{name}", str(value))]


def test_a_models_best_answers_by_its_own_reading(folders, tmp_path, monkeypatch):
    captions = tmp_path / "captions.txt"
    captions.write_text("a person walks and waves\nsomeone jumps and kicks\n")
    words = sampling(folders, tmp_path / "out", captions_from=captions)
    own_answers.main(words)
    rows = [json.loads(line) for line in (tmp_path / "out" / ANSWERS).read_text().splitlines()]
    chosen = [json.loads(line) for line in (tmp_path / "out" / CHOSEN).read_text().splitlines()]
    counts = json.loads((tmp_path / "out" / COUNTS).read_text())
    assert counts["captions"] == len(rows) == 5 and counts["answers"] == 15
    assert counts["chosen"] == len(chosen) == round(0.75 * (5 - counts["invalid"]))
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(folders["sft_model"]).eval()
    processor = UniMoProcessor.from_pretrained(folders["sft_model"])
    for row in chosen:
        answer = Answer(True, row["thought"], row["codes"])
        (nats,) = score_answers(model, processor, [("t2m", row["caption"], None)], [answer])
        assert row["nats"] == pytest.approx(nats, abs=1e-2)
    # Killed after the first row: the others are answered as they were.
    whole = (tmp_path / "out" / ANSWERS).read_text()
    (tmp_path / "out" / ANSWERS).write_text(whole.splitlines(keepends=True)[0] + '{"caption"')
    own_answers.main(words)
    assert (tmp_path / "out" / ANSWERS).read_text() == whole
    with pytest.raises(SystemExit, match="holds answers of other settings"):
        own_answers.main(sampling(folders, tmp_path / "out", captions_from=captions, temperature=0.5))


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"candidates": 1}, "--candidates must be >= 2"),
        ({"candidates": 0}, "candidates"),
        ({"temperature": 0}, "--temperature: must be > 0 and finite, got 0"),
        ({"kept_share": 1.5}, "--kept_share must be > 0 and <= 1, got 1.5"),
        ({"captions_from": "nowhere.txt"}, "--captions_from must be clauses, synthetic or a text file"),
        ({"new_captions": 0, "training_captions": 0}, "leaves nothing to answer"),
        ({"rounds": 0}, "rounds"),
        ({"vqvae": "nowhere"}, "--vqvae nowhere: no such folder"),
    ],
)
def test_bad_options_are_refused(folders, tmp_path, capsys, changed, message):
    words = sampling(folders, tmp_path / "out", held_out_evaluator=folders["held_out_evaluator"], **changed)
    with pytest.raises(SystemExit):
        self_train.main(words)
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


def test_the_round_the_judge_likes_best_is_left(tmp_path):
    rounds = [{"round": i, "r_precision_top1": v, "bleu1": 0.5} for i, v in enumerate((0.5, 0.6, 0.6, 0.4))]
    assert self_train.best_round(rounds) == 1 and self_train.best_round(rounds[:1]) == 0
    for name in ("begun", "run/round_1/sft"):
        (tmp_path / name).mkdir(parents=True)
        (tmp_path / name / "model.safetensors").write_text(name)
        (tmp_path / name / "README.md").write_text("# A model\n")
    left = self_train.leave_model(tmp_path / "run", rounds, tmp_path / "begun")
    assert (left / "model.safetensors").read_text() == "run/round_1/sft"
    assert "This is round 1." in (left / "README.md").read_text()
    left = self_train.leave_model(tmp_path / "run", rounds[:1], tmp_path / "begun")
    assert (left / "model.safetensors").read_text() == "begun" and (left / "README.md").read_text() == "# A model\n"
    self_train.write_summary(tmp_path / "run", rounds)
    page = (tmp_path / "run" / self_train.PAGE).read_text()
    assert "<svg" in page and page.count("<tr") == 5


def test_another_run_in_the_folder_is_refused(folders, tmp_path):
    def arguments(**changed):
        words = sampling(folders, tmp_path, held_out_evaluator=folders["held_out_evaluator"], **changed)
        return self_train.parse(words)

    self_train.claim(tmp_path, arguments())
    self_train.claim(tmp_path, arguments(rounds=9))  # more of the same
    with pytest.raises(SystemExit, match="another candidates, temperature"):
        self_train.claim(tmp_path, arguments(candidates=4, temperature=0.1))
    (tmp_path / self_train.RUN).unlink()
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(SystemExit, match="holds something else"):
        self_train.claim(tmp_path, arguments())


def test_a_round_goes_on_as_the_model_was_taught(tmp_path):
    (tmp_path / "processor_config.json").write_text('{"thoughts": false}')
    assert self_train.as_taught(tmp_path) == {"thoughts": False}
    (tmp_path / "processor_config.json").write_text("{}")
    (tmp_path / "training_run.json").write_text('{"stage": "sft", "position_gaps": 1.0, "no_thought_share": 0.0}')
    assert self_train.as_taught(tmp_path) == {"thoughts": True, "position_gaps": 1.0}


@pytest.mark.slow
def test_two_rounds_and_the_same_command_again(folders, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("train.quickstart.start_process", forked_stage)
    recipe = tmp_path / "sft.yaml"
    recipe.write_text(
        "max_steps: 3\nt2m_only_fraction: 0.0\nlearning_rate: 1.0e-3\nper_device_train_batch_size: 2\n"
        "max_length: 900\nbf16: false\ngradient_checkpointing: false\nreport_to: none\nlogging_steps: 1\n"
        "save_strategy: 'no'\n"
    )
    captions = tmp_path / "captions.txt"
    captions.write_text("".join(f"a person walks and {text}\n" for text in TEXTS))
    words = sampling(
        folders, tmp_path / "run", held_out_evaluator=folders["held_out_evaluator"], captions_from=captions,
        config=recipe, rounds=2, processes=1, repeats=1, pool_size=2, new_captions=2,
    )  # fmt: skip
    self_train.main(words)
    said = capsys.readouterr().out
    assert "round 1: R@1" in said and "best: round" in said
    run = tmp_path / "run"
    summary = json.loads((run / self_train.SUMMARY).read_text())
    assert summary["rounds"][1]["captions"] == 5 and "bleu1" in summary["rounds"][0]
    assert (run / self_train.MODEL / "model.safetensors").is_file() and (run / self_train.PAGE).is_file()
    rows = (run / "round_1" / "answers" / CHOSEN).read_text().splitlines()
    log = json.loads((run / "round_1" / "sft" / "training_run.json").read_text())
    assert log["added_rows"].endswith(CHOSEN) and log["added_copies"] == 3 and rows
    self_train.main(words)
    assert "already there" in capsys.readouterr().out
    assert json.loads((run / self_train.SUMMARY).read_text()) == summary
