"""The evaluation command: its files, going on after a kill, and what it refuses."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from forked import forked_ranks
from hub_server import TOKEN
from huggingface_hub import ModelCard
from tiny_data import dataset_folder, tiny_judge
from tiny_unimo import tiny_unimo, tiny_vqvae

from datasets_scripts.hub.upload import Pushed, remember
from datasets_scripts.schema import Caption, Clip, write_dataset
from datasets_scripts.sources.synthetic.generator import iter_clips
from evaluate_unimo import functional, sampling
from evaluate_unimo.answer_scoring import score
from evaluate_unimo.embeddings import load as load_embeddings
from evaluate_unimo.embeddings import path_of
from evaluate_unimo.evaluation import evaluate, pool_length
from evaluate_unimo.protocol import Scored
from evaluate_unimo.push import push, shown_name
from evaluate_unimo.results import Repeats, markdown, summarise
from evaluate_unimo.run import main, parse
from evaluate_unimo.score import parse as parse_score
from modeling_unimo import TextMotionEvaluatorModel, UniMoForConditionalGeneration, UniMoProcessor

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def stages(tmp_path_factory):
    """Folders as training leaves them: unimo, a plain language model with its VQ-VAE, two judges, data."""
    root = tmp_path_factory.mktemp("stages")
    model, processor = tiny_unimo()
    model.save_pretrained(root / "unimo")
    processor.save_pretrained(root / "unimo")
    model.language_model.save_pretrained(root / "sft")
    processor.save_pretrained(root / "sft")
    tiny_vqvae().save_pretrained(root / "vqvae")
    processor.feature_extractor.save_pretrained(root / "vqvae")
    tiny_judge().save_pretrained(root / "evaluator")
    tiny_judge(1).save_pretrained(root / "held_out")
    dataset_folder(root / "data", train=2, test=12, test_hard=4, test_attributes=8)
    return root


def words(stages, output, *more: str) -> list[str]:
    given = {
        "model": stages / "unimo",
        "dataset": stages / "data",
        "evaluator": stages / "evaluator",
        "output": output,
    }
    return [word for key, value in given.items() for word in (f"--{key}", str(value))] + list(more)


def run(stages, output, *more: str) -> dict:
    return evaluate(parse(words(stages, output, *more)))


EVERYTHING = ("--repeats", "2", "--m2t_repeats", "1", "--hard", "--halves", "--free", "3", "--m2t_limit", "5")


@pytest.fixture(scope="module")
def whole(stages):
    output = stages / "out" / "whole"
    run(stages, output, *EVERYTHING, "--held_out_evaluator", str(stages / "held_out"))
    return output


def is_interval(value) -> bool:
    return set(value) == {"mean", "ci95"} and all(isinstance(v, float) for v in value.values())


def test_results_have_the_shape_that_the_report_reads(whole):
    results = json.loads((whole / "results.json").read_text())
    for task, count in {"t2m": 6, "t2m_hard": 4, "t2m_attributes": 8}.items():
        for side in ("real", "generated"):
            scores = results[task][side]
            assert scores["n"] == scores["held_out"]["n"] == count
            for name, value in (scores | scores["held_out"]).items():
                counted = name in ("n", "pool_size", "diversity_times", "held_out", "valid_free")
                # Not every repeat of so few motions decides a claim.
                assert counted or name.startswith("consistency") or is_interval(value), name
            assert {"r_precision_top1", "r_precision_top2", "r_precision_top3"} <= set(scores)
    assert {"fid", "mm_dist", "diversity", "valid", "valid_free"} <= set(results["t2m"]["generated"])
    assert results["t2m"]["generated"]["valid"] == {"mean": 1.0, "ci95": 0.0}  # the grammar sees to it
    assert 0 <= results["t2m"]["generated"]["valid_free"] <= 1 and 0 <= results["m2t"]["valid_free"] <= 1
    assert results["m2t"]["n"] == 5 and {"bleu1", "bleu4", "rouge_l", "cider", "valid"} <= set(results["m2t"])
    assert results["generation"]["top_k"] == 0 and results["generation"]["temperature"] > 0
    assert results["generation"]["repetition_penalty"] == 1.0
    assert results["settings"]["repeats"] == 2 and "sha256" in results["protocol"]["evaluator"]
    assert "output" not in results["settings"]


def test_prompts_with_words_never_met_are_counted(stages, tmp_path):
    taught = tmp_path / "taught"
    shutil.copytree(stages / "unimo", taught)
    processor = UniMoProcessor.from_pretrained(taught)
    processor.taught_words = [
        "person",
        "walks",
        "turns",
        "around",
        "waves",
        "left",
        "hand",
        "again",
        "forward",
        "slowly",
    ]
    processor.save_pretrained(taught)
    results = run(stages, tmp_path / "out", "--repeats", "1", "--tasks", "t2m", "--model", str(taught))
    found = results["unknown_words"]["t2m"]
    assert found["captions"] == 24 and found["with_unknown_words"] == 24 - 6
    assert found["words"]["kicks"] == found["words"]["twice"] == 4 and "walks" not in found["words"]
    assert "18 of 24 captions have words that the model's training on motion never met (" in markdown(results)


def test_markdown_has_a_row_a_side_and_judge(whole):
    text = (whole / "results.md").read_text()
    results = json.loads((whole / "results.json").read_text())
    assert text == markdown(results)
    for line in ("## t2m", "## t2m_hard", "## t2m_attributes", "## m2t", "| real, held-out judge |"):
        assert line in text
    fid = results["t2m"]["generated"]["fid"]
    assert f"{fid['mean']:.4g} ± {fid['ci95']:.2g}" in text
    for block in text.split("\n\n"):
        if block.startswith("|"):
            assert len({line.count("|") for line in block.splitlines()}) == 1  # no ragged table
    assert "Generation: do_sample True, temperature" in text


def test_the_embeddings_of_the_first_repeat_are_kept(whole):
    results = json.loads((whole / "results.json").read_text())
    for task, count in {"t2m": 6, "t2m_hard": 4}.items():
        kept = load_embeddings(whole, task)
        assert len(kept.ids) == count == len(kept.compared) and kept.valid.all()
        assert set(kept.generated) == set(kept.real) == {"main", "held_out"}
        assert bool(set(kept.ids) & set(kept.compared)) == (task == "t2m_hard")  # halves
        fid = functional.fid(kept.generated["main"], kept.real["main"])
        first = [json.loads(line) for line in (whole / "repeats.jsonl").read_text().splitlines()[1:]][0]["result"]
        assert task != "t2m" or fid == pytest.approx(first["generated"]["fid"], rel=1e-4)
    assert not path_of(whole, "t2m_attributes").exists() and "fid" in results["t2m"]["generated"]


def test_a_finished_evaluation_computes_nothing_again(whole, stages, monkeypatch):
    before = json.loads((whole / "results.json").read_text())

    def fail(*arguments, **settings):
        raise AssertionError("computed again")

    for name in ("text_to_motion_repeat", "attribute_pools_repeat", "motion_to_text_repeat", "free_validity"):
        monkeypatch.setattr(sampling, name, fail)
    again = run(stages, whole, *EVERYTHING, "--held_out_evaluator", str(stages / "held_out"))
    assert {k: v for k, v in again.items() if k != "seconds"} == {k: v for k, v in before.items() if k != "seconds"}


def test_real_motion_is_embedded_once_for_all_repeats(stages, tmp_path, monkeypatch):
    embedded = []
    embed = TextMotionEvaluatorModel.get_motion_features
    monkeypatch.setattr(
        TextMotionEvaluatorModel,
        "get_motion_features",
        lambda judge, motions: embedded.append(len(motions)) or embed(judge, motions),
    )
    run(stages, tmp_path, "--repeats", "3", "--tasks", "t2m", "--hard")
    split_sizes = 12 + 4 + 8
    assert sum(embedded) == split_sizes + 3 * split_sizes  # the real ones, and what each repeat generates


@pytest.mark.parametrize("keep", [0.0, 0.3, 0.75, 0.999])
def test_a_killed_evaluation_goes_on(stages, tmp_path, keep):
    """Wherever its last line was cut, the same figures come out and every repeat is written once."""
    more = ("--repeats", "3", "--tasks", "t2m")
    first = run(stages, tmp_path, *more)
    written = (tmp_path / "repeats.jsonl").read_bytes()
    header = written.index(b"\n") + 1
    cut = header + int(keep * (len(written) - header))
    (tmp_path / "repeats.jsonl").write_bytes(written[:cut])
    assert run(stages, tmp_path, *more)["t2m"] == first["t2m"]
    assert (tmp_path / "repeats.jsonl").read_bytes() == written


def test_other_settings_are_refused_and_nothing_is_touched(whole, stages):
    before = (whole / "repeats.jsonl").read_bytes()
    with pytest.raises(SystemExit, match="other settings; choose another --output"):
        run(stages, whole, "--repeats", "3")
    assert (whole / "repeats.jsonl").read_bytes() == before


def test_a_model_trained_anew_in_the_same_place_is_another_model(stages, tmp_path):
    """Repeats of the earlier weights must not be averaged with those of the new ones."""
    judge = tmp_path / "judge"
    more = ("--repeats", "1", "--tasks", "t2m", "--evaluator", str(judge))
    tiny_judge().save_pretrained(judge)
    run(stages, tmp_path / "out", *more)
    tiny_judge(1).save_pretrained(judge)
    with pytest.raises(SystemExit, match="other settings; choose another --output"):
        run(stages, tmp_path / "out", *more)


def test_the_tag_names_what_made_the_figures(whole):
    tag = json.loads((whole / "results.json").read_text())["protocol"]
    assert tag["model"].startswith("unimo, sha256 ") and tag["held_out_evaluator"].startswith("held_out, sha256 ")
    assert tag["caption_set"].startswith("24 texts, sha256 ") and "sha256" in tag["tokeniser"]


def test_multimodality_stands_with_the_generated_side(stages, tmp_path):
    judges = ("--held_out_evaluator", str(stages / "held_out"))
    results = run(stages, tmp_path, "--tasks", "t2m", "--repeats", "2", "--multimodality", "2", *judges)
    generated = results["t2m"]["generated"]
    assert is_interval(generated["multimodality"]) and is_interval(generated["held_out"]["multimodality"])
    assert generated["multimodality_n"] == 2 and "multimodality" not in results["t2m"]["real"]


def test_too_few_motions_for_halves_are_scored_whole(stages, tmp_path, capsys):
    dataset_folder(tmp_path / "few", test=3)
    results = run(
        stages, tmp_path / "out", "--dataset", str(tmp_path / "few"), "--halves", "--repeats", "1", "--tasks", "t2m"
    )
    assert results["t2m"]["generated"]["n"] == 3 and results["settings"]["halves"] is False
    assert "3 motions make no two halves" in capsys.readouterr().out


def test_an_encoder_that_cannot_be_used_stops_before_the_first_answer(stages, tmp_path):
    with pytest.raises(SystemExit, match="error: "):
        run(stages, tmp_path / "out", "--bertscore", str(stages / "vqvae"))
    assert not (tmp_path / "out").exists()


def test_another_skeleton_is_refused(stages, tmp_path):
    kit = Clip("kit", np.zeros((40, 251), np.float32), [Caption("a person walks", ["a/DET"])], "test")
    write_dataset(iter([kit]), tmp_path / "kit", feature_dim=251)
    with pytest.raises(SystemExit, match="has feature_dim 263, the dataset 251"):
        run(stages, tmp_path / "out", "--dataset", str(tmp_path / "kit"))


def test_plain_language_model_with_its_vqvae(stages, tmp_path):
    """The two ways to name a model are the same model."""
    more = ("--tasks", "t2m", "--repeats", "1")
    composite = run(stages, tmp_path / "a", *more)
    plain = words(stages, tmp_path / "b", *more, "--vqvae", str(stages / "vqvae"))
    plain[1] = str(stages / "sft")
    assert evaluate(parse(plain))["t2m"] == composite["t2m"]
    assert composite["t2m"]["real"]["fid"]["mean"] == pytest.approx(0.0, abs=1e-6)  # published mode
    assert "m2t" not in composite


def test_temperature_is_used_and_recorded(stages, tmp_path):
    results = run(stages, tmp_path, "--tasks", "m2t", "--repeats", "1", "--m2t_limit", "2", "--temperature", "0.3")
    assert results["generation"]["temperature"] == 0.3


def test_the_best_of_several_is_scored_and_recorded(stages, tmp_path, monkeypatch):
    asked = []
    generate = UniMoForConditionalGeneration.generate_answers

    def generate_answers(model, *arguments, **settings):
        answers = generate(model, *arguments, **settings)
        if "candidates" in settings:  # not those by which the reading itself is measured
            asked.append((settings["candidates"], settings["num_samples"], [len(several) for several in answers]))
        return answers

    monkeypatch.setattr(UniMoForConditionalGeneration, "generate_answers", generate_answers)
    more = ("--repeats", "1", "--t2m_limit", "2", "--m2t_limit", "2", "--multimodality", "1")
    results = run(stages, tmp_path, *more, "--candidates", "3")
    assert [(3, 1, [1] * count) for count in (2, 30, 2)] == asked  # 30 of one caption, each chosen from its own three
    assert results["protocol"]["candidates"] == results["generation"]["candidates"] == 3
    assert results["t2m"]["generated"]["n"] == results["protocol"]["t2m_limit"] == 2


def test_tasks_and_limits_of_the_hard_splits(stages, tmp_path):
    more = ("--repeats", "1", "--t2m_limit", "3", "--halves")
    results = run(stages, tmp_path / "a", *more, "--tasks", "t2m_hard")
    assert "t2m" not in results and "m2t" not in results and results["t2m_hard"]["generated"]["n"] == 3
    results = run(stages, tmp_path / "b", *more, "--hard", "--tasks", "t2m")
    assert results["t2m"]["generated"]["n"] == 3  # of six motions, whose other half is compared with
    assert results["t2m_attributes"]["generated"]["n"] == 4  # one whole pool


def test_captions_that_tell_goals_are_scored_by_what_is_done(stages, tmp_path):
    counts = {"train": 2, "validation": 0, "test": 2, "hard": 0, "attribute_pools": 0, "vague": 3}
    write_dataset(iter_clips(**counts), tmp_path / "data")
    more = ("--tasks", "t2m_vague", "--repeats", "2", "--save_motions", str(tmp_path / "saved"))
    results = run(stages, tmp_path / "out", "--dataset", str(tmp_path / "data"), *more)
    real, generated = results["t2m_vague"]["real"], results["t2m_vague"]["generated"]
    assert real["admissible"] == {"mean": 1.0, "ci95": 0.0} and real["admissible_other"]["mean"] < 1
    assert generated["admissible"]["mean"] < 1 and generated["valid"]["mean"] == 1 and generated["n"] == 3
    clips = json.loads((tmp_path / "out" / "clips.json").read_text())["t2m_vague"]
    assert len(clips["ids"]) == 3 and clips["admissible"]["count"] == [2, 2, 2]
    assert "| | admissible | admissible_other | n | valid |" in markdown(results)
    saved = ("--motions", str(tmp_path / "saved" / "test_vague"), "--dataset", str(tmp_path / "data"))
    again = score(parse_score([*saved, "--evaluator", str(stages / "evaluator")]))
    assert again["t2m_vague"] == results["t2m_vague"]


def test_answers_without_thoughts_of_a_model_that_was_taught_both(stages, tmp_path):
    folder = tmp_path / "both"
    shutil.copytree(stages / "unimo", folder)
    settings = json.loads((folder / "processor_config.json").read_text())
    (folder / "processor_config.json").write_text(json.dumps(settings | {"optional_thoughts": True}))
    both = words(stages, tmp_path / "out", "--tasks", "m2t", "--repeats", "1", "--m2t_limit", "2")
    both[1] = str(folder)
    results = evaluate(parse([*both, "--think", "false"]))
    assert results["protocol"]["think"] is results["generation"]["think"] is False
    with pytest.raises(SystemExit, match="think=False: this model was taught to answer with a thought alone"):
        run(stages, tmp_path / "other", "--think", "false")


def test_command_prints_the_tables(stages, tmp_path, capsys):
    main(words(stages, tmp_path, "--tasks", "m2t", "--repeats", "1", "--m2t_limit", "2"))
    assert "## m2t" in capsys.readouterr().out


# --------------------------------------------------------------------------------------------------------- bad input


@pytest.mark.parametrize(
    "more, message",
    [
        (("--repeats", "0"), "--repeats: must be >= 1, got 0"),
        (("--m2t_repeats", "0"), "--m2t_repeats: must be >= 1"),
        (("--m2t_limit", "0"), "--m2t_limit: must be"),
        (("--candidates", "0"), "--candidates: must be >= 1, got 0"),
        (("--think", "maybe"), "--think: must be true or false, got maybe"),
        (("--t2m_limit", "0"), "--t2m_limit: must be"),
        (("--batch_size", "-1"), "--batch_size: must be"),
        (("--free", "-1"), "--free: must be >= 0"),
        (("--held_out_evaluator", "/nowhere"), "--held_out_evaluator /nowhere: no such folder"),
        (("--model", "/nowhere"), "--model /nowhere: no such folder"),
        (("--tasks", "t2t"), "invalid choice"),
        (("--bertscore_layers", "9"), "--bertscore_layers has no effect without --bertscore"),
        (("--bertscore_raw",), "--bertscore_raw has no effect without --bertscore"),
        (("--spacy_model", "x"), "--spacy_model has no effect without --caption_protocols tm2t"),
        (("--bogus", "1"), "unrecognized arguments"),
    ],
)
def test_refused_by_the_parser(stages, tmp_path, capsys, more, message):
    with pytest.raises(SystemExit) as raised:
        parse(words(stages, tmp_path / "out", *more))
    assert raised.value.code == 2 and message in capsys.readouterr().err


def test_output_that_is_a_file(stages, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit):
        parse(words(stages, tmp_path / "file"))
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    "flag, folder, message",
    [
        ("--model", "sft", "--model a UniMo folder"),
        ("--model", "evaluator", "--model a UniMo folder"),
        ("--model", "data", "--model a UniMo folder"),
        ("--evaluator", "vqvae", "--evaluator the folder of an evaluator"),
        ("--held_out_evaluator", "unimo", "--held_out_evaluator the folder of an evaluator"),
        ("--vqvae", "evaluator", "language model with the motion vocabulary"),  # the composite is no plain LM
        ("--dataset", "vqvae", "no data/*.parquet"),
        ("--split", "dev", "has no split 'dev', only train, test, test_attributes, test_hard"),
    ],
)
def test_folders_of_another_kind_leave_nothing_behind(stages, tmp_path, flag, folder, message):
    value = folder if flag == "--split" else str(stages / folder)
    with pytest.raises(SystemExit) as raised:
        run(stages, tmp_path / "out", flag, value)
    assert message in str(raised.value) and str(raised.value).startswith("error: ")
    assert not (tmp_path / "out").exists()


def test_hard_splits_must_be_there(stages, tmp_path):
    dataset_folder(tmp_path / "plain", test=3)
    with pytest.raises(SystemExit, match="no split 'test_hard', only test"):
        run(stages, tmp_path / "out", "--dataset", str(tmp_path / "plain"), "--hard")


# ------------------------------------------------------------------------------------------------------------- pieces


def test_repeats_write_their_settings_before_the_first_result(tmp_path):
    path = tmp_path / "deep" / "repeats.jsonl"
    repeats = Repeats(path, {"settings": {"a": 1}})
    assert not path.exists()
    assert repeats.get("t2m", 0, lambda: Scored({"fid": 1.0}, {"ids": ["a"]})) == ({"fid": 1.0}, {"ids": ["a"]})
    assert [json.loads(line) for line in path.read_text().splitlines()] == [
        {"settings": {"a": 1}},
        {"task": "t2m", "repeat": 0, "result": {"fid": 1.0}, "clips": {"ids": ["a"]}},
    ]
    again = Repeats(path, {"settings": {"a": 1}})
    assert again.get("t2m", 0, lambda: pytest.fail("computed again")) == ({"fid": 1.0}, {"ids": ["a"]})


@pytest.mark.parametrize("cut", ["", '{"settings"', '{"settings": {}'])
def test_a_cut_header_is_written_again(tmp_path, cut):
    path = tmp_path / "repeats.jsonl"
    path.write_text(cut)
    Repeats(path, {"settings": {}}).get("t2m", 0, lambda: Scored({}, {}))
    assert path.read_text().splitlines()[0] == '{"settings": {}}'
    assert Repeats(path, {"settings": {}}).done == {("t2m", 0): ({}, {})}


def test_summarise():
    repeats = [{"fid": float(i), "n": 9 - i, "held_out": {"fid": 2.0 * i, "n": 5}} for i in range(3)]
    summary = summarise(repeats, "published")
    assert summary["fid"] == {"mean": 1.0, "ci95": pytest.approx(1.96 * np.std([0, 1, 2]) / np.sqrt(3))}
    assert summarise(repeats)["fid"]["ci95"] == pytest.approx(4.302652730 / np.sqrt(3))  # Student's t, 2 degrees
    assert summary["n"] == 7  # the least that any repeat had
    assert summary["held_out"]["fid"]["mean"] == 2.0 and summary["held_out"]["n"] == 5
    assert summarise([{"fid": 3.0}]) == {"fid": {"mean": 3.0}}


def test_pool_length():
    assert pool_length([f"pool-{i:04d}-{j:02d}" for i in range(3) for j in range(8)]) == 8
    with pytest.raises(SystemExit, match=r"differ in size: \[1, 2\]"):
        pool_length(["pool-0-0", "pool-0-1", "pool-1-0"])


# -------------------------------------------------------------------------------------------------- several processes

TWO_CPUS = REPOSITORY / "train" / "accelerate_configs" / "two_cpu.yaml"


def launch(*more: str) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "accelerate.commands.launch", "--config_file", str(TWO_CPUS)]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [*command, "-m", "evaluate_unimo.run", *more],
        cwd=REPOSITORY, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip


@pytest.mark.slow
def test_two_processes_give_the_same_answers_as_one(stages, tmp_path):
    more = ("--repeats", "2", "--batch_size", "3", "--multimodality", "2", "--free", "5")
    alone = run(stages, tmp_path / "one", *more)
    done = launch(*words(stages, tmp_path / "two", *more))
    assert done.returncode == 0, done.stderr[-3000:]
    together = json.loads((tmp_path / "two" / "results.json").read_text())
    assert together["processes"] == 2 and alone["processes"] == 1
    different = ("processes", "seconds")
    assert {k: v for k, v in together.items() if k not in different} == {
        k: v for k, v in json.loads(json.dumps(alone)).items() if k not in different
    }
    # One process wrote, and said, everything; another number of processes goes on with it.
    assert done.stdout.count("# Evaluation\n") == 1 and "evaluate, 2 processes" in done.stderr
    assert len((tmp_path / "two" / "repeats.jsonl").read_text().splitlines()) == 1 + 2 + 2 + 1 + 2 + 1
    assert run(stages, tmp_path / "two", *more)["t2m"] == together["t2m"]


@pytest.mark.slow
def test_processes_leave_together_when_the_first_one_refuses(stages, tmp_path):
    ranks = forked_ranks(2, tmp_path / "log", main, words(stages, tmp_path / "out", "--split", "dev"))
    assert [rank.wait(120) for rank in ranks] == [1, 0]  # the second has nothing to say
    said = (tmp_path / "log").read_text()
    assert said.count("error: ") >= 1 and "has no split 'dev'" in said
    assert "Connection closed" not in said and not (tmp_path / "out").exists()


# ------------------------------------------------------------------------------------------------------------- pushing

CARD = "---\nlicense: mit\n---\n# Mine\n\nMy *own* words.\n"


@pytest.fixture
def hub(hub):
    hub.seed("tester/unimo", {"README.md": CARD.encode(), "config.json": b"{}"})
    return hub


def pushed_results(hub, name="unimo"):
    card = ModelCard(hub.repo(name).files["README.md"].decode())
    return card, {
        (r.task_type, r.metric_type, (r.metric_args or {}).get("judge")): r for r in card.data.eval_results or []
    }


QUICK = ("--repeats", "2", "--m2t_limit", "3", "--tasks", "t2m", "m2t")


def test_scores_are_added_to_the_card(stages, tmp_path, hub, client):
    judges = ("--held_out_evaluator", str(stages / "held_out"))
    evaluation = words(stages, tmp_path, *QUICK, *judges)
    done = client.run("evaluate_unimo.run", *evaluation, "--push_to_hub", "tester/unimo")
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    card, found = pushed_results(hub)
    assert card.text.strip() == "# Mine\n\nMy *own* words." and card.data.license == "mit"
    fid = found["text-to-motion", "fid", None]
    assert fid.metric_value == results["t2m"]["generated"]["fid"]["mean"]
    assert fid.metric_args == {"ci95": results["t2m"]["generated"]["fid"]["ci95"], "n": 12}
    protocol_tag = {k: v for k, v in results["protocol"].items() if v is not None}
    assert fid.dataset_args["protocol"] == protocol_tag and fid.dataset_name == results["dataset_name"]
    assert {("text-to-motion", "fid", "held-out judge"), ("motion-to-text", "bleu4", None)} <= set(found)
    assert str(stages) not in hub.repo("unimo").files["README.md"].decode()
    assert f'revision="{hub.repo("unimo").branches["main"]}"' in done.stdout and TOKEN not in done.stdout + done.stderr
    # Pushed again, by the command that computes nothing: the same card.
    before = hub.repo("unimo").files["README.md"]
    again = client.run("evaluate_unimo.push", "--results", str(tmp_path), "--repo", "unimo")
    assert again.returncode == 0 and hub.repo("unimo").files["README.md"] == before


def test_a_model_on_the_hub_is_scored_and_told_there(stages, tmp_path, hub, client):
    """Named as it is there: its weights and settings are fetched, and no code; the scores are those of the folder."""
    files = {path.name: path.read_bytes() for path in (stages / "unimo").iterdir() if path.is_file()}
    assert any(name.endswith(".py") for name in files)
    hub.seed("tester/small", files)
    more = ("--tasks", "t2m", "--repeats", "1")
    evaluation = words(stages, tmp_path / "hub", *more, "--model", "tester/small", "--push_to_hub")
    done = client.run("evaluate_unimo.run", *evaluation)
    assert done.returncode == 0, done.stderr
    results = json.loads((tmp_path / "hub" / "results.json").read_text())
    local = run(stages, tmp_path / "folder", *more)
    assert results["t2m"] == json.loads(json.dumps(local["t2m"]))
    assert results["protocol"]["model"] == local["protocol"]["model"].replace("unimo,", "tester/small,")
    fetched = [path for method, path, _ in hub.requests if "/tester/small/resolve/" in path]
    assert any("model.safetensors" in path for path in fetched) and not any(".py" in path for path in fetched)
    assert (
        pushed_results(hub, "small")[1]["text-to-motion", "fid", None].metric_value
        == results["t2m"]["generated"]["fid"]["mean"]
    )
    absent = client.run("evaluate_unimo.run", *evaluation, "--model", "tester/nowhere")
    assert absent.returncode == 1 and "Traceback" not in absent.stderr
    assert "error: --model tester/nowhere: no such folder, and from the Hub: no repository" in absent.stderr


@pytest.mark.parametrize(
    "wrong, message",
    [
        ("absent", "no repository tester/absent that this token may see"),
        ("revoked", "the Hub does not accept the token"),
        ("revoked meanwhile", "the Hub does not accept the token"),
        ("nobody", "not logged in"),
        ("no network", "http://127.0.0.1:"),
    ],
)
def test_a_push_that_fails_leaves_the_results(stages, tmp_path, hub, client, wrong, message):
    token, name = TOKEN, "absent" if wrong == "absent" else "unimo"
    if wrong == "revoked":
        token = "hf_" + "a" * 30
    elif wrong == "nobody":
        token = None
    elif wrong == "revoked meanwhile":
        hub.fail("POST", "/commit/", status=401)
    elif wrong == "no network":
        hub.fail("*", ".", cut=True)
    before = dict(hub.repo("unimo").files)
    evaluation = words(stages, tmp_path, "--tasks", "m2t", "--repeats", "1", "--m2t_limit", "2")
    done = client.run("evaluate_unimo.run", *evaluation, "--push_to_hub", f"tester/{name}", token=token)
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"error: the results were not pushed: {message}" in done.stderr, done.stderr
    retry = f"python -m evaluate_unimo.push --results {tmp_path} --repo tester/{name}"
    assert f"They lie whole in {tmp_path}; try again with: {retry}" in done.stderr
    assert ("warning: --push_to_hub: " in done.stdout) == (wrong != "revoked meanwhile")
    assert json.loads((tmp_path / "results.json").read_text())["m2t"]["n"] == 2 and (tmp_path / "results.md").is_file()
    assert TOKEN not in done.stdout + done.stderr and token is None or token not in done.stdout + done.stderr
    assert hub.repo("unimo").files == before and ("models", "tester/absent") not in hub.repos
    hub.heal()
    hub.seed(f"tester/{name}", {"config.json": b"{}"})
    module, *arguments = retry.split()[2:]
    assert client.run(module, *arguments).returncode == 0
    assert ("motion-to-text", "bleu4", None) in pushed_results(hub, name)[1]


def test_pushing_is_no_setting_of_the_figures(stages, tmp_path):
    """An evaluation that was made without it goes on, and is pushed, with it."""
    more = ("--tasks", "m2t", "--repeats", "1", "--m2t_limit", "2")
    run(stages, tmp_path, *more)
    results = run(stages, tmp_path, *more, "--push_to_hub", "tester/unimo")
    assert "push_to_hub" not in results["settings"]


def test_the_repository_is_the_models_own_unless_another_is_named(stages, tmp_path, capsys):
    model = shutil.copytree(stages / "unimo", tmp_path / "model")
    with pytest.raises(SystemExit):
        parse(words(stages, tmp_path, "--model", str(model), "--push_to_hub"))
    assert "was not published from here; name the model's repository" in capsys.readouterr().err
    remember(model, Pushed("tester/mine", "abc", private=True))
    assert parse(words(stages, tmp_path, "--model", str(model), "--push_to_hub")).push_to_hub == "tester/mine"


def test_results_that_are_not_there_or_not_ours(tmp_path):
    with pytest.raises(SystemExit, match=r"holds no results.json; python -m evaluate_unimo.run writes it"):
        push(tmp_path, "tester/unimo")
    (tmp_path / "results.json").write_text('{"t2m": {}}')
    with pytest.raises(SystemExit, match="is not a result of this version"):
        push(tmp_path, "tester/unimo")


def test_a_data_set_is_shown_by_the_name_its_card_gives_it(tmp_path):
    assert shown_name(tmp_path / "plain") == "plain"
    (tmp_path / "README.md").write_text("---\npretty_name: Some *motion*\n---\n")
    assert shown_name(tmp_path) == "Some *motion*"
    (tmp_path / "README.md").write_text("---\n[\n---\n")
    assert shown_name(tmp_path) == tmp_path.name
