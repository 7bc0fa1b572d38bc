"""Ablations: stages shared by content, paired statistics against scipy, tables that say what was found."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from forked import forked_stage
from scipy import stats
from tiny_data import dataset_folder
from tiny_policy import policy_folders

from evaluate_unimo.labels import METRICS
from train import ablate
from train.studies.arms import REWARDS, SELF_TRAINING, studies
from train.studies.study_page import curves_over_time, write_results
from train.studies.tables import FIGURES, answering_seconds, paired_difference, rows, scores

ALL = studies(0.2, 0.6)


def planned(tmp_path: Path, study: str, *more: str, seeds: int = 2):
    """The planner and the folders of scores of a study over a benchmark folder with a few bytes in it."""
    run = tmp_path / "run"
    if not run.exists():
        for name in ("data/data", "vqvae", "evaluator", "evaluator_held_out"):
            (run / name).mkdir(parents=True)
        (run / "data/data/train-00000-of-00001.parquet").write_bytes(b"rows")
        for name in ("vqvae", "evaluator", "evaluator_held_out"):
            (run / name / "model.safetensors").write_bytes(name.encode())
    arguments = ablate.parse(
        ["--study", study, "--benchmark", str(run), "--output", str(tmp_path / "out"), "--seeds", str(seeds), *more]
    )
    planner = ablate.Planner(arguments)
    arms = ablate.chosen_arms(ALL[study], arguments.arms)
    steps = {arm.name: 100 for arm in arms if not arm.time_of}  # of a further training where there is one
    return planner, ablate.plan_study(
        planner, arms, planner.benchmark(None, arguments.benchmark), arguments.seeds, steps
    )


@pytest.mark.parametrize("name", ablate.STUDIES)
def test_every_study_has_its_baseline_and_arms_that_differ(name):
    study = ALL[name]
    names = [arm.name for arm in study.arms]
    assert study.baseline in names and len(set(names)) == len(names) > 1
    settings = [
        (arm.sft, arm.grpo, arm.steps_share, arm.time_of, arm.tasks, arm.tune, arm.answers, arm.style, arm.score)
        for arm in study.arms
    ]
    assert all(one not in settings[:i] for i, one in enumerate(settings))
    for arm in study.arms:
        assert not arm.time_of or {arm.time_of, arm.time_from} <= set(names)


def test_single_tasks_see_as_many_examples_as_in_the_joint_arm():
    shares = {arm.name: arm.steps_share for arm in ALL["joint"].arms}
    assert shares["text-to-motion alone"] == pytest.approx(0.2 + 0.8 * 0.6)
    assert shares["text-to-motion alone"] + shares["motion-to-text alone"] == pytest.approx(1)


def test_gspo_is_compared_with_grpo_at_as_many_passes():
    arms = {arm.name: arm.grpo for arm in ALL["algorithm"].arms}
    assert arms["gspo, two passes"] == {**arms["grpo, two passes"], "algorithm": "gspo"}
    assert arms["grpo, two passes"] == {"num_iterations": 2} and arms["grpo"] == {}


def test_rewards_are_named_as_the_script_names_them():
    from train.rewards import make_rewards

    assert [reward.__name__ for reward in make_rewards(None, None)][: len(REWARDS)] == list(REWARDS)


def test_reward_arms_leave_out_what_the_recipe_has():
    from train.rewards import PAPER, parse_weights

    arms = {arm.name: arm.grpo for arm in studies(0.2, 0.6, "length_closeness=2, format_reward=0")["rewards"].arms}
    assert "without format_reward" not in arms and arms["all rewards"] == {} and arms["no GRPO"] is None
    shorter = parse_weights(arms["without length_closeness"]["rewards"])
    assert {name for name, weight in shorter.items() if weight} == set(PAPER) - {"format_reward"}
    deaf = parse_weights(arms["without caption_similarity"]["rewards"])
    assert deaf["length_closeness"] == 2 and deaf["caption_similarity"] == 0 and deaf["motion_similarity"] == 1
    assert tuple(parse_weights(arms["the paper's rewards"]["rewards"])) == PAPER
    assert "the paper's rewards" not in {arm.name for arm in ALL["rewards"].arms}


def test_arms_share_what_is_the_same(tmp_path):
    planner, _ = planned(tmp_path, "rewards")
    kinds = [name.split("-")[0] for name in planner.stages]
    # Fourteen arms, two seeds: one supervised model a seed, of which thirteen arms make a policy of their own.
    assert kinds.count("sft") == 2 and kinds.count("grpo") == 26 and kinds.count("score") == 28
    grpo = next(stage for stage in planner.stages.values() if stage.name.startswith("grpo"))
    assert grpo.after[0].startswith("sft")
    # Another study finds the same supervised models.
    other, _ = planned(tmp_path, "algorithm")
    assert {n for n in planner.stages if n.startswith("sft")} == {n for n in other.stages if n.startswith("sft")}
    # So does one whose arm names what the recipe has.
    other, _ = planned(tmp_path, "embedding_init")
    assert len(planner.stages.keys() & other.stages.keys()) == 4


def test_weights_of_the_motion_rewards_go_from_a_tenth_to_ten_times():
    from train.rewards import parse_weights

    arms = {arm.name: arm.grpo for arm in studies(0.2, 0.6, "motion_similarity=2")["rewards"].arms}
    weights = [parse_weights(arms[f"motion_similarity x {factor}"]["rewards"]) for factor in ("0.1", "0.3", "3", "10")]
    assert [weight["motion_similarity"] for weight in weights] == [0.2, 0.6, 6.0, 20.0]
    assert {weight["semantic_similarity"] for weight in weights} == {1.0}
    assert parse_weights(arms["semantic_similarity x 10"]["rewards"])["semantic_similarity"] == 10


def test_own_answers_are_sampled_once_and_learned_by_a_further_training(tmp_path):
    planner, made = planned(tmp_path, "self_training", seeds=1)
    by_kind = {kind: [s for s in planner.stages.values() if s.name.startswith(kind)] for kind in ("answers", "tune")}
    (answers,) = by_kind["answers"]
    assert (
        answers.command[answers.command.index("--captions_from") + 1] == "clauses"
    )  # no hard split, so not synthetic
    assert answers.command[answers.command.index("--seed") + 1] == "1000"
    # As many steps, and own answers; the arm of equal time waits until the times are known.
    assert len(by_kind["tune"]) == 2 and ("supervised steps, equal time", 0) not in made
    learns = next(stage for stage in by_kind["tune"] if answers.name in stage.after)
    words = learns.command
    assert words[words.index("--added_rows") + 1] == str(answers.folder / "chosen.jsonl")
    assert words[words.index("--added_copies") + 1] == "3" and words[words.index("--position_gaps") + 1] == "1.0"
    assert any(word.endswith("sft.py") for word in words) and words[words.index("--max_steps") + 1] == "100"
    chosen = planner.stages[made["own answers, best of 8", 0].stage]
    assert chosen.command[chosen.command.index("--candidates") + 1] == "8" and learns.name in chosen.after


def test_sampling_counts_as_time_of_the_training_that_learns_from_it(tmp_path):
    planner, made = planned(tmp_path, "self_training", seeds=1)
    for name, steps, seconds in (("own answers", 100, 60.0), ("supervised steps, as many", 100, 50.0)):
        tune = ablate._trained_by(planner, made[name, 0])
        tune.folder.mkdir(parents=True)
        summary = {"steps": steps, "train_steps_timed": steps, "train_runtime": seconds}
        summary["train_cpu_seconds_per_process"] = seconds
        (tune.folder / "training_summary.json").write_text(json.dumps(summary))
    (answers,) = (s for s in planner.stages.values() if s.name.startswith("answers"))
    answers.folder.mkdir(parents=True)
    seconds = 40.0 * tune.processes
    (answers.folder / "counts.json").write_text(json.dumps({"seconds": 40.0, "cpu_seconds": seconds}))
    arm = next(arm for arm in ALL["self_training"].arms if arm.time_of)
    assert ablate.equal_time_steps(planner, arm, made, 1, 100) == 200  # (60 + 40) / 0.5 a step


def test_thoughts_of_another_style_are_written_once(tmp_path):
    planner, made = planned(tmp_path, "test_time", seeds=2)
    kinds = [name.split("-")[0] for name in planner.stages]
    # Three ways of thinking, two seeds; each model is scored with five numbers of answers.
    assert kinds.count("data") == 1 and kinds.count("sft") == 6 and kinds.count("score") == 30
    data = next(stage for stage in planner.stages.values() if stage.name.startswith("data"))
    assert data.command[data.command.index("--style") + 1] == "plan"
    plans = planner.stages[made["plan thoughts, best of 4", 0].stage]
    trained = planner.stages[next(name for name in plans.after if name.startswith("sft"))]
    assert data.name in trained.after and data.name not in plans.after  # scored on the dataset all share
    assert plans.command[plans.command.index("--candidates") + 1] == "4"


def test_captions_that_tell_goals_are_asked_where_the_data_has_them(tmp_path):
    def asked(study):
        planner, _ = planned(tmp_path, study, seeds=1)
        commands = [stage.command for stage in planner.stages.values() if stage.name.startswith("score")]
        return {("t2m" in words, "t2m_vague" in words) for words in commands}

    assert asked("joint") == {(True, False), (False, False)}
    (tmp_path / "run/data/data/test_vague-00000-of-00001.parquet").write_bytes(b"rows")
    assert asked("joint") == {(True, True), (False, False)}  # motion-to-text alone is asked for no motion


def test_a_model_to_begin_with_is_trained_by_no_arm(tmp_path):
    begun = tmp_path / "sft"
    begun.mkdir()
    (begun / "config.json").write_text("{}")
    (begun / "model.safetensors").write_bytes(b"weights")
    planner, made = planned(tmp_path, "test_time", "--begin_with", str(begun), seeds=1)
    trained = {name for name in planner.stages if name.startswith("sft")}
    assert len(trained) == 2  # plan thoughts and none train theirs
    scored = planner.stages[made["thoughts, best of 1", 0].stage].command
    assert scored[scored.index("--model") + 1] == str(begun)


def test_a_model_to_begin_with_goes_on_reading_positions_as_it_was_taught(tmp_path):
    begun = tmp_path / "sft"
    begun.mkdir()
    (begun / "config.json").write_text("{}")
    (begun / "processor_config.json").write_text("{}")
    (begun / "model.safetensors").write_bytes(b"weights")
    for gaps in (0.0, 0.5):
        (begun / "training_run.json").write_text(json.dumps({"position_gaps": gaps}))
        planner, _ = planned(tmp_path, "self_training", "--begin_with", str(begun), seeds=1)
        assert planner.config["sft"]["position_gaps"] == 1.0
        tuned = [stage for name, stage in planner.stages.items() if name.startswith("tune")]
        told = [stage.command[stage.command.index("--position_gaps") + 1] for stage in tuned]
        assert told and set(told) == {str(gaps)}


def test_quality_is_drawn_over_the_time_that_answers_took(tmp_path):
    paths = []
    for seed, (easy, hard) in enumerate(((10.0, 6.0), (14.0, 10.0))):
        seconds = {"t2m": easy, "t2m_hard": hard, "t2m_vague": hard}
        results = {"seconds": seconds, "settings": {"repeats": 1, "hard_repeats": 2, "m2t_repeats": None}}
        (tmp_path / f"{seed}.json").write_text(json.dumps(results))
        paths.append(tmp_path / f"{seed}.json")
    assert answering_seconds(paths) == {"t2m": 12.0, "t2m_hard": 4.0, "t2m_vague": 4.0}
    figures = ("t2m_hard.held_out.r_precision_top1", "t2m_hard.r_precision_top1", "t2m_vague.admissible")
    results = {
        f"{way}, best of {n}": [{name: 0.1 * n + bonus * (1 + place) for place, name in enumerate(figures)}]
        for way, bonus in (("thoughts", 0.2), ("no thoughts", 0.0))
        for n in (1, 2)
    }
    times = {arm: {"t2m_hard": 2.0 * int(arm[-1]), "t2m_vague": 1.0 * int(arm[-1])} for arm in results}
    curves = curves_over_time(rows("no thoughts, best of 1", results), times)
    assert curves["hard split"]["thoughts"] == [(2.0, pytest.approx(0.3)), (4.0, pytest.approx(0.4))]
    assert curves["vague captions"]["thoughts"] == [(1.0, pytest.approx(0.7)), (2.0, pytest.approx(0.8))]
    one_way = {arm: seeds for arm, seeds in results.items() if arm.startswith("no")}
    assert curves_over_time(rows("no thoughts, best of 1", one_way), times) == {}
    about = {"question": "?", "seeds": 1}
    write_results(tmp_path / "study", about, "no thoughts, best of 1", results, seconds=times)
    assert json.loads((tmp_path / "study" / "results.json").read_text())["seconds"] == times
    page = (tmp_path / "study" / "results.html").read_text()
    assert page.count("quality over the time of answering") == 2
    assert page.count("R@1, held-out judge") == 1 and page.count(f">{METRICS['admissible'].column}<") == 1


def test_what_is_read_is_part_of_the_name(tmp_path):
    first, _ = planned(tmp_path, "cot")
    (tmp_path / "run/vqvae/model.safetensors").write_bytes(b"another codec")
    second, _ = planned(tmp_path, "cot")
    assert not first.stages.keys() & second.stages.keys()


def test_how_a_stage_is_watched_is_no_part_of_its_name(tmp_path, monkeypatch):
    first, _ = planned(tmp_path, "rewards")

    def changed(section: str, **settings):
        config = ablate.read_config(ablate.CONFIGS / "ablation" / "ablation.yaml")
        config[section] |= settings
        monkeypatch.setattr(ablate, "read_config", lambda path: config)
        return planned(tmp_path, "rewards")[0]

    again = changed("grpo", guard_every=7, guard_stops="", logging_steps=3)
    assert first.stages.keys() == again.stages.keys()
    grpo = next(stage for stage in again.stages.values() if stage.name.startswith("grpo"))
    assert grpo.command[grpo.command.index("--guard_every") + 1] == "7"  # it has it all the same
    assert not {n for n in changed("grpo", beta=0.5).stages if n.startswith("grpo")} & first.stages.keys()


def test_the_held_out_judge_watches_and_is_no_part_of_the_name(tmp_path):
    first, _ = planned(tmp_path, "rewards")
    grpo = next(stage for stage in first.stages.values() if stage.name.startswith("grpo"))
    judge = tmp_path / "run/evaluator_held_out"
    assert grpo.command[grpo.command.index("--held_out_evaluator") + 1] == str(judge)
    (judge / "model.safetensors").write_bytes(b"another judge")
    second, _ = planned(tmp_path, "rewards")
    kept = first.stages.keys() & second.stages.keys()
    assert {n for n in first.stages if n.startswith(("sft", "grpo"))} == kept  # scores have it as their judge


def test_results_tell_versions_apart(tmp_path):
    planner, _ = planned(tmp_path, "cot")
    first, *others = planner.stages.values()
    first.record = {"seconds": 1.0}
    for stage in others:
        stage.record = {"versions": {"code": "0123456789ab", "trl": "1.16.0"}}
    assert ablate.stages_by_version(planner) == {"not recorded": 1, "code 0123456789ab trl 1.16.0": len(others)}


def test_the_embedded_benchmark_is_made_once(tmp_path):
    arguments = ablate.parse(["--study", "cot", "--output", str(tmp_path)])
    planner = ablate.Planner(arguments)
    benchmark = planner.benchmark(None, None)
    made = {name.split("-")[0] for name in planner.stages}
    assert made == {"data", "vqvae", "evaluator"} and len(planner.stages) == 4
    assert benchmark.evaluator.key != benchmark.held_out.key
    held_out = planner.stages[benchmark.held_out.stage].command
    assert held_out[held_out.index("--held_out_output_dir") + 1] == str(benchmark.held_out.path)


def test_a_dataset_still_to_be_made_has_the_splits_that_it_will_be_built_with(tmp_path):
    planner = ablate.Planner(ablate.parse(["--study", "cot", "--output", str(tmp_path)]))
    data = planner.benchmark(None, None).data

    def splits(**budgets) -> list[bool]:
        planner.config["data"] = budgets
        return [planner._has_split(data, name) for name in ("hard", "vague")]

    assert splits() == [True, False]  # the defaults of unimo build
    assert splits(num_hard=0, num_vague=300) == [False, True]


def equal_time(tmp_path, resumed) -> int:
    """Steps of the arm at equal time where 100 steps of the two take 30 and 20 s; `resumed`: those timed."""
    planner, folders = planned(tmp_path, "cot")
    for (arm, seed), score in folders.items():
        sft = next(planner.stages[n] for n in planner.stages[score.stage].after if n.startswith("sft"))
        sft.folder.mkdir(parents=True, exist_ok=True)
        seconds = 30.0 if arm == "with thoughts" else 20.0
        timed = resumed.get((arm, seed), 100)
        # Loading what was kept takes a second.
        summary = {"steps": 100, "train_cpu_seconds_per_process": seconds * timed / 100 if timed else 1.0}
        if timed < 100:  # earlier versions had no such key
            summary["train_steps_timed"] = timed
        (sft.folder / "training_summary.json").write_text(json.dumps(summary))
    arm = next(arm for arm in ALL["cot"].arms if arm.time_of)
    return ablate.equal_time_steps(planner, arm, folders, 2, 100)


@pytest.mark.parametrize(
    "resumed",
    [
        {},
        {("with thoughts", 0): 10},
        {("without thoughts", 1): 40, ("with thoughts", 1): 90},
        {("with thoughts", 0): 0},
    ],
    ids=str,
)
def test_equal_time_follows_the_measured_times(tmp_path, resumed):
    assert equal_time(tmp_path, resumed) == 150


def test_equal_time_needs_a_time(tmp_path):
    with pytest.raises(SystemExit, match="training time of arm 'with thoughts' is unknown"):
        equal_time(tmp_path, {("with thoughts", 0): 0, ("with thoughts", 1): 0})


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--study", "cot", "--seeds", "0"], "must be >= 1"),
        (["--study", "cot", "--dataset", "nowhere"], "must contain the folders data"),
        (["--study", "cot", "--benchmark", "nowhere"], "evaluator_held_out"),
        (["--study", "luck"], "invalid choice"),
    ],
)
def test_bad_command_lines_are_refused(words, message, capsys):
    with pytest.raises(SystemExit):
        ablate.parse(words)
    assert message in capsys.readouterr().err


def test_an_unknown_arm_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="'with thoughts'.*got 'dpo'"):
        planned(tmp_path, "cot", "--arms", "dpo")


def test_an_empty_benchmark_is_refused(tmp_path):
    for name in ("data", "vqvae", "evaluator", "evaluator_held_out"):
        (tmp_path / name).mkdir()
    with pytest.raises(SystemExit, match="data holds neither Parquet data nor safetensors"):
        ablate.main(["--study", "cot", "--benchmark", str(tmp_path), "--output", str(tmp_path / "out")])


def test_no_guard_ends_a_study(tmp_path):
    planner, _ = planned(tmp_path, "rewards")
    for stage in planner.stages.values():
        if stage.name.startswith(("sft", "grpo")):
            assert stage.command[stage.command.index("--guard_stops") + 1] == ""


def test_warnings_of_guards_are_gathered_by_arm_and_seed(tmp_path):
    planner, folders = planned(tmp_path, "rewards", "--arms", "no GRPO")  # and "all rewards", compared with
    trainings = sorted(name for name in planner.stages if name.startswith(("sft", "grpo")))
    collapse = {"guard": "collapse", "first_step": 8, "bad": 5, "readings": 16, "said": "the entropy is 1%"}
    for name in trainings:
        planner.stages[name].folder.mkdir(parents=True)
        left = {"watched": ["collapse"], "warnings": [collapse] if name.startswith("grpo") else []}
        (planner.stages[name].folder / "guards.json").write_text(json.dumps(left))
    of_seed = {"first_step": 8, "bad": 5, "readings": 16}
    warning = {"arms": ["all rewards"], "stage": "grpo", "guard": "collapse", "said": "the entropy is 1%"}
    assert ablate.guard_warnings(planner, folders) == [warning | {"seeds": {0: of_seed, 1: of_seed}}]
    sft = next(name for name in trainings if name.startswith("sft"))
    (planner.stages[sft].folder / "guards.json").unlink()
    rows_of = ablate.guard_warnings(planner, folders)
    shared = next(row for row in rows_of if row["stage"] == "sft")
    assert sorted(shared["arms"]) == ["all rewards", "no GRPO"] and len(shared["seeds"]) == 1
    assert shared["guard"] == "" and shared["said"] == "trained by a version that did not keep warnings"


# ------------------------------------------------------------------------------------------------ statistics, tables


def test_paired_differences_are_those_of_scipy():
    rng = np.random.default_rng(0)
    ours, theirs = rng.normal(1, 1, 5), rng.normal(0, 1, 5)
    found = paired_difference(ours, theirs)
    interval = stats.ttest_rel(ours, theirs).confidence_interval()
    assert found.mean == pytest.approx((interval.low + interval.high) / 2)
    assert found.half_width == pytest.approx((interval.high - interval.low) / 2)
    assert paired_difference([1.0], [0.5]).half_width is None
    with pytest.raises(ValueError, match="got 2 and 1"):
        paired_difference([1.0, 2.0], [1.0])


@pytest.mark.parametrize(("better", "verdict"), [(+1, "better"), (-1, "worse")])
def test_a_verdict_needs_an_interval_without_zero(better, verdict):
    assert paired_difference([1.0, 1.1, 0.9], [0.0, 0.1, 0.0]).verdict(better) == verdict
    assert paired_difference([1.0, -1.0, 0.1], [0.0, 0.0, 0.0]).verdict(better) == ""
    assert paired_difference([1.0], [0.0]).verdict(better) == ""
    assert paired_difference([1.0, 1.1], [0.0, 0.0]).verdict(0) == ""  # of a figure that is neither


def test_scores_of_an_evaluation(tmp_path):
    side = {"fid": {"mean": 0.2, "ci95": 0.1}, "n": 5, "held_out": {"r_precision_top1": {"mean": 0.4, "ci95": 0.0}}}
    results = {"t2m": {"real": {}, "generated": side}, "m2t": {"bleu1": {"mean": 0.6, "ci95": 0}, "valid_free": 0.9}}
    results["t2m_vague"] = {"generated": {"admissible": {"mean": 0.7, "ci95": 0.0}, "admissible_other": 0.2}}
    (tmp_path / "results.json").write_text(json.dumps(results))
    expected = {"t2m.fid": 0.2, "t2m.held_out.r_precision_top1": 0.4, "m2t.bleu1": 0.6, "m2t.valid_free": 0.9}
    expected |= {"t2m_vague.admissible": 0.7, "t2m_vague.admissible_other": 0.2}
    assert scores(tmp_path / "results.json") == expected


def test_tables(tmp_path):
    results = {
        "plain": [{"t2m.fid": 2.0, "m2t.bleu1": 0.5}, {"t2m.fid": 2.2, "m2t.bleu1": 0.5}],
        "<b>new</b>": [{"t2m.fid": 1.0}, {"t2m.fid": 1.2001}],
    }
    table = rows("plain", results)
    new = next(row for row in table if row["arm"] == "<b>new</b>")
    assert new["verdict"] == "better" and new["difference"] == pytest.approx(-0.99995)
    assert [row["arm"] for row in table if row["figure"] == "BLEU@1"] == ["plain"]
    about = {"study": "x", "question": "Is <new> better?", "seeds": 2}
    written = write_results(tmp_path / "x", about, "plain", results)
    assert [path.suffix for path in written] == [".json", ".csv", ".md", ".html"]
    page = (tmp_path / "x/results.html").read_text()
    assert "<b>new</b>" not in page and "&lt;b&gt;new" in page and "better to the right" in page
    with (tmp_path / "x/results.csv").open() as file:
        read = list(csv.DictReader(file))
    assert {row["figure"] for row in read} <= {METRICS[name].column for name in FIGURES} and len(read) == 3
    plain = (tmp_path / "x/results.md").read_text()
    assert "**(-1.000 ± 0.001)**" in plain
    assert "No guard warned." in plain and "No guard warned." in page


def test_instruction_accuracy_says_what_it_rests_on(tmp_path):
    rests = {"consistency_decided": {"mean": 0.5, "ci95": 0.1}, "consistency_unread": {"mean": 0.25}}
    side = {"consistency": {"mean": 0.8}, **rests, "consistency_claims": 80}
    paths = [tmp_path / "0.json", tmp_path / "1.json"]
    for path, claims in zip(paths, (80, 60), strict=True):
        path.write_text(json.dumps({"t2m": {"generated": side | {"consistency_claims": claims}}}))
    arms = {"plain": [scores(path) for path in paths], "older": [{"t2m.consistency": 0.5}] * 2}
    table = {row["arm"]: row for row in rows("plain", arms)}
    basis = "50% of 60 claims decided, 25% of sentences unread"
    assert table["plain"]["rests_on"] == basis and "rests_on" not in table["older"]
    assert {row["figure"] for row in table.values()} == {"Instruction accuracy"}
    for path in write_results(tmp_path, {"study": "x", "question": "?", "seeds": 2}, "plain", arms):
        assert path.read_text().count(basis) == 1


def test_an_interval_that_leaves_the_plot_ends_in_an_arrow(tmp_path):
    steady = {f"t2m.{name}": 0.5 for name in ("r_precision_top1", "r_precision_top3", "mm_dist", "consistency")}
    steady |= {f"m2t.{name}": 0.5 for name in ("bleu1", "bleu4", "rouge_l", "cider", "valid_free")}
    pages = []
    for wild in (0.5, 5.0):
        arms = {"plain": [steady | {"t2m.fid": 0.5}] * 2, "new": [steady | {"t2m.fid": f} for f in (0.5, wild)]}
        write_results(tmp_path, {"study": "x", "question": "?", "seeds": 2}, "plain", arms)
        pages.append((tmp_path / "results.html").read_text())
    assert ['id="beyond-' in page for page in pages] == [False, True]


def test_tables_show_what_guards_warned_of(tmp_path):
    seeds = {0: {"first_step": 8, "bad": 5, "readings": 16}, 2: {"first_step": 20, "bad": 1, "readings": 16}}
    warnings = [
        {"arms": ["<new>"], "stage": "grpo", "guard": "collapse", "said": "entropy < 1%", "seeds": seeds},
        {"arms": ["a", "b"], "stage": "sft", "guard": "", "said": "not watched", "seeds": {1: {}}},
    ]
    results = {"plain": [{"t2m.fid": 2.0}], "<new>": [{"t2m.fid": 1.0}]}
    about = {"study": "x", "question": "Is <new> better?", "seeds": 1}
    write_results(tmp_path / "x", about, "plain", results, warnings)
    plain, page = ((tmp_path / "x" / name).read_text() for name in ("results.md", "results.html"))
    by = "collapse, seeds 0 (from step 8, 5 of 16 readings), 2 (from step 20, 1 of 16 readings)"
    assert f"- *<new>*, GRPO, {by}: entropy < 1%\n- *a; b*, SFT, seed 1: not watched\n" in plain
    assert f"<td>&lt;new&gt;</td><td>GRPO</td><td>{by}</td><td>entropy &lt; 1%</td>" in page
    assert "<td>a; b</td><td>SFT</td><td>seed 1</td><td>not watched</td>" in page
    read = json.loads((tmp_path / "x" / "results.json").read_text())["warnings"]
    assert read[0]["seeds"]["2"]["first_step"] == 20


SMALL = {"per_device_train_batch_size": 4, "bf16": False, "gradient_checkpointing": False, "report_to": "none"}
SMALL |= {"logging_steps": 1, "save_strategy": "no"}


@pytest.fixture(scope="module")
def small_run(tmp_path_factory) -> Path:
    """A finished run with tiny networks, and budgets of a few steps."""
    run = tmp_path_factory.mktemp("small")
    folders = policy_folders(run)
    for name, made in (("sft", "sft_model"), ("evaluator_held_out", "held_out_evaluator")):
        Path(folders[made]).rename(run / name)
    dataset_folder(run / "data", train=6, test=6)
    recipes = {
        "sft": {"max_length": 900, "learning_rate": 1e-3},
        "tune": {"max_length": 900, "learning_rate": 1e-3, "max_steps": 2},
        "grpo": {"num_generations": 4, "max_completion_length": 48, "learning_rate": 1e-4, "beta": 0.01},
    }
    for name, recipe in recipes.items():
        (run / f"{name}.yaml").write_text(json.dumps(SMALL | recipe))
    unused = {"config": "sft.yaml", "max_steps": 2}
    trained = {name: {"config": f"{name}.yaml", "max_steps": 2} for name in ("sft", "grpo")}
    scored = {"repeats": 1, "m2t_repeats": 1, "pool_size": 2, "batch_size": 16}
    budgets = {"data": {}, "vqvae": unused, "evaluator": unused, **trained, "evaluate": scored}
    (run / "budgets.yaml").write_text(json.dumps(budgets))
    return run


@pytest.mark.slow
@pytest.mark.parametrize(
    ("study", "arm", "trained"),
    [
        ("rewards", "motion_similarity x 10", {"grpo": 2, "score": 2}),
        ("algorithm", "ppo", {"grpo": 1, "score": 2}),
        ("self_training", "own answers, best of 8", {"answers": 1, "tune": 3, "score": 4}),
        ("test_time", "thoughts, best of 2", {"score": 2}),
    ],
)
def test_a_study_in_miniature(small_run, tmp_path, monkeypatch, study, arm, trained):
    monkeypatch.setattr("train.quickstart.start_process", forked_stage)
    monkeypatch.setattr(ablate, "TUNE", small_run / "tune.yaml")
    for name, value in (("candidates", 2), ("new_captions", 0), ("training_captions", 4)):
        monkeypatch.setitem(SELF_TRAINING, name, value)
    words = ["--study", study, "--arms", arm, "--benchmark", str(small_run), "--begin_with", str(small_run / "sft")]
    words += ["--config", str(small_run / "budgets.yaml"), "--seeds", "1", "--output", str(tmp_path)]
    ablate.main(words)
    kinds = [path.name.split("-")[0] for path in (tmp_path / "stages").iterdir()]
    # Two steps may be what equal time comes to, and are trained once then.
    assert set(kinds) == trained.keys() and all(kinds.count(kind) <= count for kind, count in trained.items())
    results = json.loads((tmp_path / study / "results.json").read_text())
    assert {row["arm"] for row in results["rows"]} >= {arm, results["baseline"]}
    assert ("seconds" in results) == (study == "test_time")
    assert "<svg" in (tmp_path / study / "results.html").read_text()
