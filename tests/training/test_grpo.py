"""train/grpo.py: each algorithm trains, guards change nothing, and bad input is refused before the first step."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from tiny_policy import policy_folders
from tiny_unimo import feature_extractor, tiny_vqvae
from transformers import AutoModelForCausalLM, GenerationConfig
from trl import DPOConfig, RLOOConfig

from modeling_unimo import TextMotionEvaluatorConfig, TextMotionEvaluatorModel
from train import grpo
from train.engine.stages import CURVES
from train.grpo import GRPOArguments
from train.guards.base import GUARDS
from train.reinforcement import grpo_training
from train.reinforcement.algorithms import PolicyConfig, cycle_steps, pairs_a_step, prompts_drawn, settings_for
from train.reinforcement.preferences import choose_pairs, read_pairs, trimmed, write_pairs


@pytest.fixture(scope="session")
def folders(tmp_path_factory) -> dict[str, str]:
    return policy_folders(tmp_path_factory.mktemp("policy"))


def words(folders: dict[str, str], output: Path, **changed) -> list[str]:
    settings: dict = {**folders, "output_dir": str(output), "max_steps": 4, "num_generations": 4}
    settings |= {"per_device_train_batch_size": 8, "max_completion_length": 48, "learning_rate": 1e-3, "beta": 0.01}
    settings |= {"logging_steps": 1, "save_strategy": "no", "report_to": "none", "use_cpu": "true", "bf16": "false"}
    settings |= {"gradient_checkpointing": "false", "disable_tqdm": "true", "guard_every": 2, "seed": 3}
    return [word for name, value in (settings | changed).items() for word in (f"--{name}", str(value))]


def curves(folder: Path) -> list[dict]:
    return json.loads((folder / CURVES).read_text())


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model.safetensors")


@pytest.mark.parametrize("algorithm", ["grpo", "ppo", "gspo", "rloo", "dpo"])
def test_an_algorithm_trains_and_leaves_the_same_folder(algorithm, folders, tmp_path, capsys):
    changed = {"num_iterations": 2} if algorithm == "gspo" else {}
    grpo.main(words(folders, tmp_path / "out", algorithm=algorithm, rewards="length_closeness=0.5", **changed))
    before, after = weights(Path(folders["sft_model"])), weights(tmp_path / "out")
    assert before.keys() == after.keys() and any(not torch.equal(before[k], after[k]) for k in before)
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"config.json", "tokenizer.json", "processor_config.json", "training_run.json", CURVES, "README.md"} <= left
    taught = [
        json.loads((folder / "processor_config.json").read_text())["taught_words"]
        for folder in (Path(folders["sft_model"]), tmp_path / "out")
    ]
    assert taught[0] == ["someone"] and {"someone", "person", "jumps"} <= set(taught[1])
    assert not list((tmp_path / "out").glob("checkpoint-*")) and "preferences.jsonl" not in left
    log = [entry for entry in curves(tmp_path / "out") if "loss" in entry]
    assert [entry["step"] for entry in log] == [1, 2, 3, 4]
    if algorithm == "dpo":
        counts = json.loads((tmp_path / "out" / "preferences.json").read_text())
        assert counts["prompts"] == 8 and counts["answers"] == 32
        assert 0 < counts["pairs"] == counts["pairs_t2m"] + counts["pairs_m2t"] == 8 - counts["left_out"]
        assert f"pairs {counts['pairs']}" in capsys.readouterr().out
        assert log[-1]["rewards/margins"] > log[0]["rewards/margins"]
    else:
        assert "rewards/length_closeness/mean" in log[0] and "kl" in log[0]
    AutoModelForCausalLM.from_pretrained(tmp_path / "out")


def test_gspo_does_not_end_where_grpo_does(folders, tmp_path):
    settings = {"num_iterations": 2, "loss_type": "grpo", "guard_every": 0}
    for algorithm in ("grpo", "gspo"):
        grpo.main(words(folders, tmp_path / algorithm, algorithm=algorithm, **settings))
    ours, theirs = weights(tmp_path / "gspo"), weights(tmp_path / "grpo")
    assert max((ours[name] - theirs[name]).abs().max() for name in ours) > 1e-5


def test_guards_read_and_change_nothing(folders, tmp_path):
    grpo.main(words(folders, tmp_path / "guarded", guard_every=1, guard_stops=""))
    without = {name: path for name, path in folders.items() if name != "held_out_evaluator"}
    grpo.main(words(without, tmp_path / "plain", guard_every=0))
    guarded, plain = weights(tmp_path / "guarded"), weights(tmp_path / "plain")
    assert all(torch.equal(guarded[name], plain[name]) for name in plain)
    logged = {key for entry in curves(tmp_path / "guarded") for key in entry if key.startswith("guard/")}
    assert {key.split("/")[1] for key in logged} == {
        "collapse", "motion_tokens", "tasks", "reward_balance", "reward_gaming", "thoughts",
    }  # fmt: skip
    assert not any(key.startswith("guard/") for entry in curves(tmp_path / "plain") for key in entry)
    assert json.loads((tmp_path / "plain" / GUARDS).read_text()) == {"watched": [], "seldom": [], "warnings": []}
    assert set(json.loads((tmp_path / "guarded" / GUARDS).read_text())["watched"]) >= {"collapse", "reward_gaming"}


def test_a_collapse_ends_the_run_and_keeps_the_checkpoint_before_it(folders, tmp_path, capsys):
    # Whatever the entropy becomes, it is below a thousand times what it was.
    bad = {"guard_every": 1, "guard_min_entropy": 1000, "guard_max_entropy": 1e9, "guard_patience": 2}
    with pytest.raises(SystemExit, match="ended by guard collapse.*last good checkpoint is .*checkpoint-3"):
        grpo.main(words(folders, tmp_path / "out", save_strategy="steps", save_steps=1, max_steps=9, **bad))
    # Three readings are the start, the fourth warns and the fifth ends it; neither is saved.
    assert [path.name for path in sorted((tmp_path / "out").glob("checkpoint-*"))][-1] == "checkpoint-3"
    assert not (tmp_path / "out" / "model.safetensors").exists()
    assert re.search(r"\[guard\] collapse, step 4: warning: .*the entropy", capsys.readouterr().out)


def test_a_learning_rate_that_ruins_the_policy_is_noticed(folders, tmp_path):
    settings = {
        "learning_rate": 0.05,
        "max_grad_norm": 1e9,
        "max_steps": 30,
        "guard_every": 1,
        "lr_scheduler_type": "constant",
    }
    with pytest.raises(SystemExit, match="training ended by guard collapse, 3 readings in a row"):
        grpo.main(words(folders, tmp_path / "out", **settings))


@pytest.mark.parametrize(
    "changed, message",
    [
        (
            {"per_device_train_batch_size": 6},
            "6 x gradient_accumulation_steps 1 x 1 processes = 6, num_generations is 4",
        ),
        ({"max_steps": -1}, "max_steps must be positive"),
        ({"reference_model": "nowhere"}, "reference_model"),
        ({"reference_model": "sft", "beta": 0}, "beta is 0"),
        ({"sft_model": "nowhere"}, "no supervised model at nowhere"),
        ({"rewards": "lenth_closeness=1"}, "did you mean 'length_closeness'"),
        ({"rewards": "format_reward"}, "name=weight"),
        ({"rewards": "format_reward=nan"}, "finite"),
        ({"reward_weights": "1"}, "set weights by name instead"),
        ({"algorithm": "pop"}, "pop"),
        ({"algorithm": "ppo", "loss_type": "cispo"}, "loss_type is 'cispo', but ppo clips ratios"),
        ({"algorithm": "ppo", "importance_sampling_level": "sequence"}, "importance_sampling_level is 'sequence'"),
        ({"algorithm": "ppo", "gae_lambda": 1.5}, "gae_lambda must be >= 0 and <= 1, got 1.5"),
        ({"algorithm": "ppo", "value_learning_rate": 0}, "value_learning_rate must be > 0, got 0"),
        (
            {"algorithm": "ppo", "save_strategy": "steps", "save_steps": 1, "steps_per_generation": 4},
            "save_steps 4",
        ),
        ({"algorithm": "gspo"}, "all ratios are 1 and gspo is grpo; set num_iterations 2,"),
        (
            {"algorithm": "gspo", "gradient_accumulation_steps": 4, "steps_per_generation": 2},
            "set num_iterations 3, or steps_per_generation 8,",
        ),
        ({"temperature": 0.3}, "temperature is 0.3, but answers are sampled free"),
        ({"top_p": 0.9}, "top_p is 0.9, but answers are sampled free"),
        ({"top_k": 50}, "top_k is 50, but"),
        ({"min_p": 0.1}, "min_p is 0.1, but"),
        ({"repetition_penalty": 1.2, "algorithm": "dpo"}, "repetition_penalty is 1.2, but"),
        ({"generation_kwargs": '{"temperature": 0.3}'}, "temperature in generation_kwargs is 0.3, but"),
        ({"generation_kwargs": '{"suppress_tokens": [5]}'}, "suppress_tokens in generation_kwargs is [5], but"),
        ({"generation_kwargs": '{"max_time": 9}', "algorithm": "dpo"}, "dpo samples its answers beforehand"),
        ({"remove_unused_columns": "true"}, "remove_unused_columns is True, but the rewards read the columns"),
        ({"guard_stops": "colapse"}, "did you mean 'collapse'"),
        ({"guard_patience": 0}, "guard_patience must be >= 1, got 0"),
        ({"caption_encoder": "nowhere"}, "caption_encoder nowhere"),
        ({"held_out_evaluator": "nowhere"}, "held_out_evaluator"),
        ({"save_strategy": "steps", "save_steps": 5, "num_iterations": 4}, "save_steps 4"),
        ({"save_strategy": "steps", "save_steps": 1, "steps_per_generation": 4}, "save_steps 4"),
        ({"save_strategy": "steps", "save_steps": 0.9, "max_steps": 10, "num_iterations": 2}, "save_steps 8"),
    ],
)
def test_bad_settings_are_refused_before_a_folder_is_claimed(changed, message, folders, tmp_path, capsys):
    with pytest.raises(SystemExit) as refusal:
        grpo.main(words(folders, tmp_path / "out", **changed))
    assert message in f"{refusal.value} {capsys.readouterr().err}"
    assert not (tmp_path / "out").exists()


def test_after_a_margin_too_wide_the_folder_is_free(folders, tmp_path):
    settings = {"algorithm": "dpo", "max_steps": 1, "guard_every": 0}
    with pytest.raises(SystemExit, match="or more; lower dpo_margin"):
        grpo.main(words(folders, tmp_path / "out", dpo_margin=99, **settings))
    assert not (tmp_path / "out").exists()
    grpo.main(words(folders, tmp_path / "out", dpo_margin=0.01, **settings))
    assert (tmp_path / "out" / "model.safetensors").is_file()


def test_pairs_that_processes_cannot_share_are_refused_before_anything_is_loaded():
    class Three(PolicyConfig):
        world_size = 3

    arguments = GRPOArguments("data", "sft", "vqvae", "evaluator", algorithm="dpo")
    # 3 x 8 x 2 = 48 answers, 6 to a prompt: 8 pairs.
    with pytest.raises(SystemExit, match="make 8 pairs, which 3 processes cannot share"):
        grpo_training.refuse_contradictions(
            arguments, policy_config(Three, per_device_train_batch_size=8, num_generations=6)
        )


def refused(folders, tmp_path, **changed) -> str:
    with pytest.raises(SystemExit) as refusal:
        grpo.main(words(folders | {name: str(path) for name, path in changed.items()}, tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    return str(refusal.value)


def test_another_codebook_is_refused(folders, tmp_path):
    tiny_vqvae(codebook_size=64).save_pretrained(tmp_path / "vqvae")
    feature_extractor().save_pretrained(tmp_path / "vqvae")
    message = refused(folders, tmp_path, vqvae=tmp_path / "vqvae")
    assert "vocabulary of 512 codes" in message and "codebook of 64" in message


def test_another_skeleton_is_refused(folders, tmp_path):
    config = TextMotionEvaluatorConfig.from_pretrained(folders["evaluator"], feature_dim=251)
    judge = TextMotionEvaluatorModel(config)
    judge.set_statistics(np.zeros(251), np.ones(251))
    judge.save_pretrained(tmp_path / "kit")
    for which in ("evaluator", "held_out_evaluator"):
        assert "different skeletons" in refused(folders, tmp_path, **{which: tmp_path / "kit"})


@pytest.mark.parametrize("which", ["evaluator", "vqvae", "sft_model"])
def test_a_network_that_is_no_number_is_refused(which, folders, tmp_path):
    broken = Path(shutil.copytree(folders[which], tmp_path / which))
    tensors = load_file(broken / "model.safetensors")
    first = sorted(name for name, value in tensors.items() if value.is_floating_point())[0]
    tensors[first] = torch.full_like(tensors[first], float("nan"))
    save_file(tensors, broken / "model.safetensors", metadata={"format": "pt"})
    assert "NaN" in refused(folders, tmp_path, **{which: broken})


def test_the_policys_reference_rewards_what_it_would_describe(folders, tmp_path):
    rewarded = {"rewards": "self_consistency=1,motion_similarity=0,semantic_similarity=0", "max_steps": 3}
    grpo.main(words(folders, tmp_path / "out", **rewarded, guard_every=1, guard_stops=""))
    log = [entry for entry in curves(tmp_path / "out") if "loss" in entry]
    values = [entry["rewards/self_consistency/mean"] for entry in log]
    assert all(value is None or 0 <= value <= 1 for value in values) and any(values)
    assert any("guard/reward_gaming/self_consistency_score" in entry for entry in curves(tmp_path / "out"))


def test_the_reference_is_the_model_that_was_named(folders, tmp_path):
    other = AutoModelForCausalLM.from_pretrained(folders["sft_model"])
    with torch.no_grad():
        other.model.layers[0].mlp.up_proj.weight.mul_(1.5)
    other.save_pretrained(tmp_path / "reference")
    grpo.main(words(folders, tmp_path / "out", reference_model=tmp_path / "reference", max_steps=1, guard_every=0))
    assert curves(tmp_path / "out")[0]["kl"] > 1e-3  # from itself the first step has none
    grpo.main(words(folders, tmp_path / "own", max_steps=1, guard_every=0))
    assert curves(tmp_path / "own")[0]["kl"] == pytest.approx(0, abs=1e-6)


def test_a_reward_that_is_no_number_ends_the_run(folders, tmp_path, monkeypatch):
    def broken(self, rows):
        return torch.full((len(rows), 10), float("nan"))

    monkeypatch.setattr("train.reinforcement.motion_scorer.MotionScorer.embed_codes", broken)
    with pytest.raises(SystemExit, match="motion_similarity is nan"):
        grpo.main(words(folders, tmp_path / "out", t2m_share=1.0, max_steps=8))


def policy_config(cls: type[PolicyConfig] = PolicyConfig, **changed) -> PolicyConfig:
    settings = {"output_dir": "nowhere", "use_cpu": True, "bf16": False, "per_device_train_batch_size": 16}
    settings |= {"num_generations": 8, "gradient_accumulation_steps": 2, "learning_rate": 3e-5, "max_steps": 7}
    return cls(**settings | changed)


@pytest.mark.parametrize(
    "changed, steps",
    [({}, 1), ({"num_iterations": 3}, 3), ({"steps_per_generation": 3}, 3), ({"steps_per_generation": 4}, 2)],
)
def test_the_length_of_a_generation_cycle(changed, steps):
    assert cycle_steps(policy_config(**changed)) == steps


@pytest.mark.parametrize(
    "changed, drawn",
    [
        ({}, 28),
        ({"num_iterations": 3}, 28),  # of which a third is asked
        ({"steps_per_generation": 1}, 28),  # two prompts a sampling, two samplings a step
        ({"steps_per_generation": 4}, 32),  # eight prompts for two steps: four samplings for seven
    ],
)
def test_prompts_of_a_run_are_as_many_as_its_steps_need(changed, drawn):
    training = policy_config(**changed)
    assert prompts_drawn(training) == drawn and pairs_a_step(training) == 4


@pytest.mark.parametrize("launch", [{"ACCELERATE_USE_FSDP": "true"}, {}])
def test_a_model_in_shards_is_not_assembled(folders, tmp_path, monkeypatch, launch):
    for name, value in launch.items():
        monkeypatch.setenv(name, value)
    if not launch:
        monkeypatch.setattr(grpo_training, "is_zero3", lambda training: True)
    with pytest.raises(
        SystemExit, match="unimo_output_dir is given, but the weights are in shards.*convert_checkpoint"
    ):
        grpo.main(words(folders, tmp_path / "out", unimo_output_dir=tmp_path / "unimo"))
    assert not (tmp_path / "out").exists()


def test_dpo_may_hold_on_to_another_reference():
    arguments = GRPOArguments("data", "sft", "vqvae", "evaluator", algorithm="dpo", reference_model="other")
    grpo_training.refuse_contradictions(arguments, policy_config(beta=0.0))


def test_each_algorithm_gets_the_same_settings(capsys):
    gspo = settings_for("gspo", policy_config(epsilon=0.2))
    assert (gspo.importance_sampling_level, gspo.loss_type) == ("sequence", "grpo")
    assert (gspo.epsilon, gspo.epsilon_high) == (3e-4, 4e-4)
    told = capsys.readouterr().out
    assert "gspo sets" in told and "epsilon 0.0003 (not 0.2), epsilon_high 0.0004 (not None)" in told
    rloo = settings_for("rloo", policy_config(loss_type="grpo", beta=0.02))
    assert isinstance(rloo, RLOOConfig) and (rloo.beta, rloo.generation_batch_size) == (0.02, 32)
    assert "not used by RLOOConfig: loss_type" in capsys.readouterr().out
    dpo = settings_for("dpo", policy_config(beta=0.02), dpo_beta=0.3, max_length=99)
    assert isinstance(dpo, DPOConfig) and (dpo.beta, dpo.max_length, dpo.max_steps) == (0.3, 99, 7)
    assert "[grpo] dpo sets loss_type sigmoid (not dapo), beta 0.3 (not 0.02)" in capsys.readouterr().out
    # 32 answers are 4 prompts: 4 pairs a step, no more than 16 sequences at once.
    assert dpo.per_device_train_batch_size * dpo.gradient_accumulation_steps == 4
    assert {rloo.learning_rate, dpo.learning_rate, gspo.learning_rate} == {3e-5}


class Codes:
    """In place of a processor, for answers that are their own reward."""

    def prompt_ids(self, task, caption, codes):
        return [len(caption)]


def test_pairs_are_best_and_worst_and_far_enough_apart():
    processor = Codes()
    rows = [
        {"task": t, "caption": c, "caption_tokens": [f"{c}/NOUN"], "references": [c], "reference_codes": [1]}
        for t, c in (("t2m", "ab"), ("m2t", "abc"))
    ]
    answers = [[[5], [9], [1], [9]], [[4], [4], [5], [4]]]

    def value(completion_ids, **_):
        return [float(ids[0]) for ids in completion_ids]

    pairs, counts = choose_pairs(processor, rows, answers, [value], {"value": 0.5}, margin=0.6, batch_rows=1)
    (pair,) = pairs
    assert (pair["prompt_ids"], pair["chosen_ids"], pair["rejected_ids"], pair["margin"]) == ([2], [9], [1], 4.0)
    assert (counts["pairs"], counts["left_out"], counts["answers"]) == (1, 1, 8)
    with pytest.raises(ValueError, match="lower dpo_margin"):
        choose_pairs(processor, rows, answers, [value], {"value": 0.5}, margin=9.0)


def test_pairs_are_kept_with_the_run(tmp_path):
    pairs = [{"prompt_ids": [1], "chosen_ids": [2], "rejected_ids": [3], "task": "t2m", "margin": 0.25}]
    assert read_pairs(tmp_path) is None
    write_pairs(tmp_path, pairs, {"pairs": 1})
    assert read_pairs(tmp_path) == pairs


def test_an_answer_is_cut_behind_its_end_only():
    settings = GenerationConfig(eos_token_id=[7, 8])
    assert trimmed([1, 7, 0, 0], settings) == [1, 7]
    assert trimmed([1, 2, 0], settings) == [1, 2, 0]
