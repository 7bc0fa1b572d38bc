"""Guards: each failure is provoked and noticed, sound figures are left alone, and a noticed one keeps checkpoints."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from accelerate import Accelerator
from tiny_data import TEXTS, features, tiny_judge
from tiny_policy import taught_lm
from tiny_unimo import feature_extractor, plain_processor, qwen_tokenizer, tiny_lm, tiny_vqvae
from transformers import Trainer, TrainerState, TrainingArguments

from datasets_scripts.thoughts.annotate.kinematic_annotator import KinematicAnnotator
from modeling_unimo import extend_vocabulary
from train.guards.arguments import GuardArguments
from train.guards.base import GUARDS, Guard, require_sound, write_warnings
from train.guards.collapse import CollapseGuard
from train.guards.motion_tokens import MotionTokenGuard, effective_rank, spread
from train.guards.reward_balance import RewardBalanceGuard, variance_shares
from train.guards.reward_gaming import RewardGamingGuard
from train.guards.rollout_recorder import RolloutRecorder
from train.guards.stage_guards import rollout_sequences, watch, watch_sft
from train.guards.tasks import TaskGuard, reward_figures, validation_figures
from train.guards.thoughts import ThoughtGuard
from train.quickstart import CONFIGS, read_config
from train.reinforcement.motion_scorer import MotionScorer

PROCESSOR = plain_processor("qwen")
SETTINGS = GuardArguments()


def encoded(text: str) -> list[int]:
    return PROCESSOR.tokenizer(text, add_special_tokens=False)["input_ids"]


def answered(rows: list[tuple[str, list[int]]], rewards: dict | None = None) -> RolloutRecorder:
    """A recorder that has seen these (task, ids) rows, scored with one list of values a reward."""
    recorder = RolloutRecorder()
    functions = []
    for name, values in (rewards or {"format_reward": [1.0] * len(rows)}).items():

        def reward(values=values, **_):
            return values

        reward.__name__ = name
        functions.append(reward)
    columns = {"task": [t for t, _ in rows], "caption": [TEXTS[0]] * len(rows)}
    columns |= {"caption_tokens": [["a/DET"]] * len(rows)}
    columns |= {"references": [TEXTS[:2]] * len(rows), "reference_codes": [[1, 2, 3]] * len(rows)}
    for function in recorder.watch(functions):
        function(completion_ids=[ids for _, ids in rows], **columns)
    return recorder


def judged(guard: Guard, *readings: dict) -> list[list[str]]:
    """What is wrong with each of some readings in a row."""
    numbered = [reading | {"step": 10 * (i + 1)} for i, reading in enumerate(readings)]
    return [guard.faults(reading, numbered[:i]) for i, reading in enumerate(numbered)]


# ---------------------------------------------------------------- what all share


class Scripted(Guard):
    """Reads the next of the values it was given; those above 1 are bad."""

    name = "collapse"

    def __init__(self, *args, values=()):
        super().__init__(*args)
        self.values = list(values)

    def read(self, logs, past):
        return {"value": self.values[len(past)]}

    def faults(self, reading, past):
        return [f"value {reading['value']}"] if reading["value"] > 1 else []


class Line(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(()))

    def forward(self, x):
        return {"loss": (self.weight - x).square().mean()}


def line_trainer(folder, **settings) -> Trainer:
    settings = {"max_steps": 6, "logging_steps": 1, "save_steps": 1, "report_to": "none"} | settings
    arguments = TrainingArguments(output_dir=str(folder), use_cpu=True, disable_tqdm=True, **settings)
    return Trainer(model=Line(), args=arguments, train_dataset=[{"x": torch.ones(())}] * 8)


def run(folder, values, settings=None, **training) -> tuple[Trainer, Scripted]:
    trainer = line_trainer(folder, **training)
    settings = settings or GuardArguments(guard_every=1, guard_patience=2)
    guard = Scripted(trainer, settings, values=values)
    assert watch(trainer, [guard]) == [guard]
    trainer.train()
    return trainer, guard


def saved(folder) -> list[str]:
    return sorted(path.name for path in folder.glob("checkpoint-*"))


def test_sound_readings_are_logged_and_nothing_else(tmp_path, capsys):
    trainer, guard = run(tmp_path, [0.1] * 6)
    readings = [e["guard/collapse/value"] for e in trainer.state.log_history if "guard/collapse/value" in e]
    assert readings == [0.1] * 6 and trainer.state.global_step == 6
    assert saved(tmp_path) == [f"checkpoint-{i}" for i in range(1, 7)]
    require_sound([guard], str(tmp_path))
    assert "[guard]" not in capsys.readouterr().out


def test_a_failure_warns_then_ends_the_run_with_the_last_good_checkpoint(tmp_path, capsys):
    trainer, guard = run(tmp_path, [0, 0, 2, 3, 0, 0])
    assert trainer.state.global_step == 4 and saved(tmp_path) == ["checkpoint-1", "checkpoint-2"]
    assert "[guard] collapse, step 3: warning: value 2" in capsys.readouterr().out
    with pytest.raises(SystemExit, match="guard collapse, 2 readings in a row: value 3"):
        require_sound([guard], str(tmp_path))


def test_a_figure_that_recovers_lets_checkpoints_through_again(tmp_path):
    trainer, guard = run(tmp_path, [0, 2, 0, 0, 2, 0])
    assert trainer.state.global_step == 6 and guard.stopped is None
    assert saved(tmp_path) == ["checkpoint-1", "checkpoint-3", "checkpoint-4", "checkpoint-6"]


def test_a_guard_that_may_not_end_the_run_only_warns(tmp_path, capsys):
    settings = GuardArguments(guard_every=1, guard_patience=1, guard_stops="reward_gaming, motion_tokens")
    trainer, guard = run(tmp_path, [2] * 6, settings)
    assert trainer.state.global_step == 6 and len(saved(tmp_path)) == 6 and guard.stopped is None
    # The first, second and fourth time: not on every line of a long run.
    assert capsys.readouterr().out.count("[guard]") == 3


def test_warnings_are_left_with_the_run(tmp_path):
    settings = GuardArguments(guard_every=1, guard_stops="")
    _, guard = run(tmp_path, [0, 2, 0, 3, 4, 0], settings)
    write_warnings([guard], str(tmp_path))
    left = json.loads((tmp_path / GUARDS).read_text())
    warning = {"guard": "collapse", "first_step": 2, "bad": 3, "readings": 6, "said": "value 4"}
    assert left == {"watched": ["collapse"], "seldom": [], "warnings": [warning]}
    trainer = line_trainer(tmp_path)  # another process, which resumes where there is no step left to make
    again = Scripted(trainer, settings, values=[])
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-6"))
    write_warnings([again], str(tmp_path))
    assert json.loads((tmp_path / GUARDS).read_text()) == left
    write_warnings([], str(tmp_path))
    assert json.loads((tmp_path / GUARDS).read_text()) == {"watched": [], "seldom": [], "warnings": []}


def test_a_guard_that_could_not_judge_is_not_taken_for_a_silent_one(tmp_path, capsys):
    _, guard = run(tmp_path, [0, 0, 0], GuardArguments(guard_every=2), max_steps=6)
    write_warnings([guard], str(tmp_path))
    said = "read 3 times, too few to compare with the start"
    assert json.loads((tmp_path / GUARDS).read_text())["seldom"] == [{"guard": "collapse", "said": said}]
    assert f"[guard] collapse: {said}; log more often" in capsys.readouterr().out


def test_readings_keep_their_distance(tmp_path):
    trainer, _ = run(tmp_path, [0.5] * 6, GuardArguments(guard_every=2))
    assert [e["step"] for e in trainer.state.log_history if "guard/collapse/value" in e] == [1, 3, 5]


def test_guards_can_be_switched_off(tmp_path):
    trainer = line_trainer(tmp_path)
    assert watch(trainer, [Scripted(trainer, GuardArguments(guard_every=0), values=[])]) == []
    trainer.train()
    assert not any("guard" in key for entry in trainer.state.log_history for key in entry)


def test_a_resumed_run_judges_as_if_it_had_not_stopped(tmp_path):
    # The checkpoint of step 3 is made by hand: a guard in alarm would not have let it be saved.
    settings = GuardArguments(guard_every=1, guard_patience=2, guard_stops="")
    run(tmp_path, [0, 0, 2, 2, 2, 2], settings, max_steps=3)
    trainer = line_trainer(tmp_path)
    guard = Scripted(trainer, GuardArguments(guard_every=1, guard_patience=2), values=[0, 0, 2, 3, 0, 0])
    trainer.add_callback(guard)
    trainer.train(resume_from_checkpoint=str(tmp_path / "checkpoint-3"))
    assert trainer.state.global_step == 4 and "2 readings in a row: value 3" in guard.stopped


@pytest.mark.parametrize(
    "changed, message",
    [
        ({"guard_stops": "collapse,motion_token"}, "did you mean 'motion_tokens'"),
        ({"guard_sample": 0}, "guard_sample must be >= 1, got 0"),
        ({"guard_every": -1}, "guard_every must be >= 0, got -1"),
    ],
)
def test_impossible_settings_are_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        GuardArguments(**changed)


# ---------------------------------------------------------------- collapse

SOUND = {
    "loss": 0.1, "reward": 2.0, "reward_std": 0.8, "entropy": 0.2, "kl": 0.003, "frac_reward_zero_std": 0.1,
    "completions/mean_length": 70.0,
}  # fmt: skip


@pytest.mark.parametrize(
    "changed, message",
    [
        ({}, ""),
        ({"reward": 1.5, "entropy": 0.1, "completions/mean_length": 90.0}, ""),
        ({"reward": 1.0}, "reward fell"),
        ({"reward_std": 0.01}, "all answers are alike"),
        ({"entropy": 0.01}, "entropy is 5.0%"),
        ({"entropy": 1.5}, "entropy is 750.0%"),
        ({"kl": 3.0}, "KL"),
        ({"frac_reward_zero_std": 1.0}, "100% of the groups"),
        ({"completions/mean_length": 20.0}, "answers are 0.29 times as long"),
        ({"completions/mean_length": 200.0}, "length_closeness"),
    ],
)
def test_collapse(changed, message):
    guard = CollapseGuard(None, SETTINGS)
    readings: list[dict] = []
    for logs in (SOUND, SOUND, SOUND, SOUND | changed):
        readings.append(guard.read(logs, readings) | {"step": len(readings)})
    faults = judged(guard, *readings)
    assert faults[:3] == [[], [], []] and len(faults[3]) == bool(message)
    assert message in "".join(faults[3])


def test_collapse_reads_what_there_is():
    reading = CollapseGuard(None, SETTINGS).read({"loss": 1.0, "reward": 1.0, "kl": None}, [])
    assert reading == {"reward": 1.0}


# ---------------------------------------------------------------- thoughts


class Decoding:
    """In place of a scorer: every answer is the same walk."""

    def decode(self, rows):
        return [torch.from_numpy(features(3)) for _ in rows]


def thoughts_read(thought: str) -> dict:
    rows = [("t2m", encoded(PROCESSOR.completion("t2m", thought, codes=[1, 2, 3])))] * 8
    guard = ThoughtGuard(None, SETTINGS, answered(rows), PROCESSOR, Decoding())
    reading = guard.read({}, [])
    return reading | {"faults": judged(guard, reading)[0]}


def test_thoughts_that_are_made_up():
    false = thoughts_read("He jumps four times, then runs backward and lies down on the floor.")
    assert false["decided"] >= 8 and false["consistency"] < 0.5 and "claims hold" in false["faults"][0]


def test_thoughts_that_are_true():
    (thought,) = KinematicAnnotator().annotate([features(3)])
    true = thoughts_read(thought)
    assert true["consistency"] > 0.7 and not true["faults"]
    nothing_to_check = thoughts_read("Something is felt.")
    assert nothing_to_check["decided"] == 0 and not nothing_to_check["faults"]


def test_thoughts_that_get_worse():
    guard = ThoughtGuard(None, SETTINGS, RolloutRecorder(), PROCESSOR, Decoding())
    assert guard.read({}, []) == {}
    faults = judged(guard, *({"consistency": c, "decided": 20.0} for c in (0.95, 0.9, 0.97, 0.9, 0.7)))
    assert faults[:4] == [[]] * 4 and "70% of the checked claims hold, 94% at the start" in faults[4][0]


# ---------------------------------------------------------------- motion tokens


def model_trainer(model) -> SimpleNamespace:
    args = SimpleNamespace(device=torch.device("cpu"))
    return SimpleNamespace(model=model, model_wrapped=model, args=args, accelerator=Accelerator(cpu=True))


def token_reading(model, processor) -> tuple[dict, list[str]]:
    rows = [processor.encode_example("t2m", "a wave", TEXTS[0], codes)["input_ids"] for codes in ([1, 2, 3], [4] * 6)]
    guard = MotionTokenGuard(model_trainer(model), SETTINGS, processor, lambda: rows)
    state = model.training, torch.get_rng_state()
    reading = guard.read({}, [])
    assert (model.training, state[1].tolist()) == (state[0], torch.get_rng_state().tolist())
    return reading, judged(guard, reading)[0]


def test_motion_tokens_of_a_model_that_uses_them():
    model, processor = taught_lm()
    reading, faults = token_reading(model.train(), processor)
    assert reading["mass"] > 0.8 and reading["rank"] > 10 and reading["spread"] > 0.3 and not faults


def test_motion_tokens_that_are_ignored():
    _, faults = token_reading(tiny_lm_extended(spare_rows=5000), PROCESSOR)
    assert len(faults) == 1 and "inside <Motion>" in faults[0]
    guard = MotionTokenGuard(model_trainer(tiny_lm_extended()), SETTINGS, PROCESSOR, lambda: [], judged_from=50)
    early, late = {"rank": 9.0, "spread": 1.0, "mass": 0.1, "step": 49}, {"rank": 9.0, "spread": 1.0, "mass": 0.1}
    assert guard.faults(early, []) == [] and guard.faults(late | {"step": 50}, [])
    assert "mass" not in guard.read({}, [])


@pytest.mark.parametrize("rows, message", [("mean", "spread"), ("line", "effective rank")])
def test_motion_tokens_that_cannot_be_told_apart(rows, message):
    model = tiny_lm_extended()
    codes = list(PROCESSOR.vocabulary.codes)
    table = model.get_input_embeddings().weight.data
    if rows == "mean":  # what a resize with mean_resizing does to new rows
        table[codes] = table[:250].mean(0) + 1e-4 * torch.randn(len(codes), table.shape[1])
    else:
        table[codes] = torch.linspace(-1, 1, len(codes))[:, None] * torch.randn(table.shape[1])
    _, faults = token_reading(model, PROCESSOR)
    assert any(message in fault and "embedding_init" in fault for fault in faults)


def tiny_lm_extended(spare_rows: int = 7):
    tokenizer = qwen_tokenizer()
    model = tiny_lm(tokenizer, spare_rows=spare_rows)
    extend_vocabulary(tokenizer, model)
    return model


def test_effective_rank_and_spread():
    torch.manual_seed(0)
    assert effective_rank(torch.randn(500, 1) @ torch.randn(1, 8)) == pytest.approx(1, abs=1e-3)
    assert 7.5 < effective_rank(torch.randn(5000, 8)) <= 8
    assert spread(torch.tensor([[1.0, 5.0], [-1.0, 5.0]])) == 1.0


# ---------------------------------------------------------------- tasks


def test_a_task_that_pays_for_the_other_in_validation():
    guard = TaskGuard(None, SETTINGS, validation_figures, True, t2m_share=0.7, joint_from=20)
    assert not guard.concerned({"loss": 1.0}) and guard.concerned({"eval_loss/m2t": 1.0})
    logs = [(2.0, 1.0), (1.9, 1.5), (1.8, 1.4), (1.7, 1.45), (1.6, 1.6)]
    readings = [guard.read({"eval_loss/t2m": t2m, "eval_loss/m2t": m2t}, []) for t2m, m2t in logs]
    assert readings[0] == {"t2m_loss": 2.0, "m2t_loss": 1.0}
    faults = judged(guard, *readings)
    # Its loss before both tasks are trained is no standard.
    assert faults[:4] == [[]] * 4
    assert "m2t got worse by 0.2" in faults[4][0] and "t2m_share: 0.47" in faults[4][0]
    alone = TaskGuard(None, SETTINGS, validation_figures, True, t2m_share=1.0)
    assert judged(alone, *readings) == [[]] * 5  # nobody trains it


def test_a_task_that_pays_for_the_other_in_reward():
    recorder = RolloutRecorder()
    guard = TaskGuard(None, SETTINGS, reward_figures(recorder, {"a": 1.0, "b": 2.0}), False, t2m_share=0.5)
    assert guard.read({}, []) == {} and guard.concerned({"loss": 1.0})
    for t2m, m2t in ((1.0, 0.9),) * 3 + ((1.2, 0.9), (1.4, 0.3)):
        rewards = {"a": [t2m - 1.0, m2t, m2t], "b": [0.5, None, None]}
        recorder.rollout = answered([("t2m", [1]), ("m2t", [2]), ("m2t", [3])], rewards).rollout
        reading = guard.read({}, [])
        assert reading == pytest.approx({"t2m_reward": t2m, "m2t_reward": m2t})
    before, after = {"t2m_reward": 1.0, "m2t_reward": 0.9}, {"t2m_reward": 1.4, "m2t_reward": 0.3}
    faults = judged(guard, *[before] * 3, *[after] * 3)
    assert faults[:5] == [[]] * 5 and "m2t got worse by 0.6" in faults[5][0]  # one bad batch is none


# ---------------------------------------------------------------- rewards


def test_shares_of_the_variance():
    rewards = {"a": [0.0, 1.0, 5.0, 6.0], "b": [0.0, 2.0, None, None], "c": [1.0] * 4}
    shares = variance_shares(rewards, {"a": 2.0, "b": 1.0, "c": 9.0}, group=2)
    assert shares == pytest.approx({"a": 2 / 3, "b": 1 / 3, "c": 0.0})
    assert variance_shares({"c": [1.0] * 4}, {"c": 1.0}, group=2) == {}


def test_one_reward_that_decides_alone():
    rows = [("t2m", [1])] * 8
    random = np.random.default_rng(0)
    rewards = {"loud": (20 * random.random(8)).tolist(), "quiet": random.random(8).tolist(), "full": [1.0] * 8}
    weights = dict.fromkeys(rewards, 1.0)
    guard = RewardBalanceGuard(None, SETTINGS, answered(rows, rewards), weights, group=4)
    reading = guard.read({}, [])
    *before, (fault,) = judged(guard, reading, reading, reading)
    assert before == [[], []]  # one batch alone is mostly chance
    assert fault.startswith("loud has") and "quiet" in fault and "full" not in fault and "rewards: loud=0." in fault
    assert judged(guard, *[reading | {"mean_quiet": 0.99}] * 3) == [[]] * 3  # there is nothing left for it to decide
    even = answered(rows, rewards | {"loud": random.random(8).tolist()})
    guard = RewardBalanceGuard(None, SETTINGS, even, weights, group=4)
    assert judged(guard, *[guard.read({}, [])] * 3) == [[]] * 3
    assert RewardBalanceGuard(None, SETTINGS, RolloutRecorder(), weights, group=4).read({}, []) == {}


class Judge:
    """Sees a motion as its first code's angle in hundredths of a circle, as far as it is sensitive."""

    def __init__(self, sensitivity: float):
        self.sensitivity = sensitivity

    def embed_codes(self, rows):
        angle = torch.tensor([float(row[0]) for row in rows]) / 100 * self.sensitivity
        return torch.stack((angle.cos(), angle.sin()), dim=-1)

    def embed_tokens(self, texts):
        return torch.tensor([[1.0, 0.0]] * len(texts))


@pytest.mark.parametrize("held_out, gamed", [(0.01, True), (1.0, False)])
def test_a_reward_that_is_gamed(held_out, gamed):
    recorder = RolloutRecorder()
    guard = RewardGamingGuard(None, SETTINGS, recorder, PROCESSOR, Judge(1.0), Judge(held_out))
    assert guard.read({}, []) == {}
    readings: list[dict] = []
    for nearer in (0, 0, 0, 30, 60, 90):  # the rewarding judge sees motions come nearer to the truth
        codes = [[150 + 4 * i - nearer, 1] for i in range(12)]
        rows = [("t2m", encoded(PROCESSOR.completion("t2m", "so", codes=c))) for c in codes]
        recorder.rollout = answered(rows).rollout
        readings.append(guard.read({}, readings))
    faults = judged(guard, *readings)
    assert faults[:3] == [[]] * 3
    # A judge that is as sensitive sees the same gain.
    assert bool(faults[-1]) == gamed and ("held-out judge" in "".join(faults[-1])) == gamed


@pytest.mark.parametrize("gamed", [True, False])
def test_a_policy_that_pleases_its_own_reading_alone(gamed):
    class Judge:
        def embed_codes(self, codes):
            angle = torch.tensor([0.01 * c[0] for c in codes])
            return torch.stack([angle.cos(), angle.sin()], -1)

        def embed_tokens(self, tokens):
            return torch.tensor([[1.0, 0.0]] * len(tokens))

    recorder = RolloutRecorder()
    guard = RewardGamingGuard(None, SETTINGS, recorder, PROCESSOR, Judge(), Judge())
    readings: list[dict] = []
    for nearer in (0, 0, 0, 30, 60, 90):  # its own reading always finds that motions improve
        codes = [[150 + 4 * i - (0 if gamed else nearer), 1] for i in range(12)]
        rows = [("t2m", encoded(PROCESSOR.completion("t2m", "so", codes=c))) for c in codes]
        values = [0.3 + 0.02 * i + 0.004 * nearer for i in range(12)]
        recorder.rollout = answered(rows, {"format_reward": [1.0] * 12, "self_consistency": values}).rollout
        readings.append(guard.read({}, readings))
    assert readings[-1]["self_consistency_gain"] > 1 and readings[-1]["gap"] == pytest.approx(0, abs=1e-6)
    faults = judged(guard, *readings)
    assert faults[:3] == [[]] * 3 and bool(faults[-1]) == gamed
    assert not gamed or "the policy's own reading sees a gain" in faults[-1][0]


def test_both_judges_score_the_same_motions():
    rows = [("t2m", encoded(PROCESSOR.completion("t2m", "so", codes=[i, i + 1]))) for i in range(6)]
    scorers = [MotionScorer(tiny_vqvae(), feature_extractor(), tiny_judge(seed)) for seed in (0, 0)]
    guard = RewardGamingGuard(None, SETTINGS, answered(rows), PROCESSOR, *scorers)
    reading = guard.read({}, [])
    assert reading["reward_score"] == pytest.approx(reading["held_out_score"]) and -1 < reading["reward_score"] < 1


def test_a_recorder_keeps_names_and_values():
    recorder = answered([("t2m", [1, 2]), ("m2t", [3])], {"a": [0.5, None], "b": [1.0, 0.0]})
    assert recorder.rollout.rewards == {"a": [0.5, None], "b": [1.0, 0.0]}
    assert recorder.rollout.completion_ids == [[1, 2], [3]]
    with pytest.raises(SystemExit, match="a is nan for an answer of t2m"):
        answered([("t2m", [1])], {"a": [float("nan")]})


def test_a_sample_of_valid_answers_is_spread_over_the_groups():
    good, bad = encoded(PROCESSOR.completion("t2m", "so", codes=[7])), [5]
    rows = [("t2m", good if i % 2 else bad) for i in range(16)] + [("m2t", good)]
    rollout = answered(rows).rollout
    assert list(rollout.valid(PROCESSOR, "t2m", 4)) == [1, 5, 9, 13]
    assert len(rollout.valid(PROCESSOR, "t2m", 99)) == 8 and not rollout.valid(PROCESSOR, "m2t", 4)


def test_sequences_with_motion_are_found():
    rows = [("t2m", encoded(PROCESSOR.completion("t2m", "so", codes=[7]))), ("t2m", [5]), ("m2t", [6])]
    recorder = answered(rows)
    (sequence,) = rollout_sequences(recorder, PROCESSOR)()
    assert sequence[-len(rows[0][1]) :] == rows[0][1] and len(sequence) > len(rows[0][1])


def supervised_trainer(folder, **settings) -> tuple[Trainer, list[dict]]:
    trainer = line_trainer(folder, **settings)
    rows = [PROCESSOR.encode_example(task, "so", TEXTS[0], [1, 2]) for task in ("m2t", "t2m")]
    trainer.train_dataset = rows
    return trainer, rows


def test_supervised_training_is_watched(tmp_path, capsys):
    trainer, rows = supervised_trainer(tmp_path)
    trainer.args.eval_strategy = "steps"
    tokens, tasks = watch_sft(trainer, SETTINGS, PROCESSOR, t2m_only_fraction=0.5, t2m_share=0.6)
    assert tokens.sequences() == [rows[1]["input_ids"]]  # m2t's motion is in the prompt
    assert (tokens.judged_from, tasks.joint_from, tasks.lower_is_better) == (2, 3, True)
    assert "[guard]" not in capsys.readouterr().out


def test_tasks_without_validation_are_not_watched_which_is_said(tmp_path, capsys):
    trainer, _ = supervised_trainer(tmp_path)
    guards = watch_sft(trainer, SETTINGS, PROCESSOR, t2m_only_fraction=0.5, t2m_share=0.6)
    assert [guard.name for guard in guards] == ["motion_tokens"]
    assert capsys.readouterr().out == "[guard] tasks: no validation, not watched\n"
    assert watch_sft(trainer, GuardArguments(guard_every=0), PROCESSOR, 0.5, 0.6) == []
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("budget", ["quickstart/quickstart.yaml", "ablation/ablation.yaml"])
def test_guards_of_the_shipped_budgets_get_to_judge(budget):
    """With the readings that a policy of so many steps makes, one that collapses half-way is ended or warned of."""
    settings = read_config(CONFIGS / budget)["grpo"]
    every = max(settings["logging_steps"], settings["guard_every"])
    steps = range(every, settings["max_steps"] + 1, every)
    guard = CollapseGuard(None, SETTINGS)
    readings: list[dict] = []
    for step in steps:
        logs = SOUND if step <= settings["max_steps"] / 2 else SOUND | {"entropy": 0.001}
        readings.append(guard.read(logs, readings) | {"step": step})
    bad = [bool(faults) for faults in judged(guard, *readings)]
    assert bad[-1] and sum(bad) >= SETTINGS.guard_patience


def test_past_readings_are_found_in_the_log():
    state = TrainerState(log_history=[{"loss": 1.0, "step": 1}, {"guard/collapse/kl": 0.5, "step": 1, "epoch": 0.1}])
    assert CollapseGuard(None, SETTINGS).past(state) == [{"kl": 0.5, "step": 1}]
