"""Reinforcement learning on adapters: the policy moves, a plain model comes out, contradictions are refused."""

import json
from types import SimpleNamespace

import pytest
import torch
from tiny_policy import policy_folders
from transformers import AutoModelForCausalLM
from trl import import_utils

from modeling_unimo import UniMoProcessor
from train import grpo
from train.engine.lora import check_lora
from train.engine.vocabulary_rows import spare_ids
from train.reinforcement import grpo_training


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    pytest.importorskip("peft")
    return policy_folders(tmp_path_factory.mktemp("policy"))


def argv(folders, output, **settings):
    settings = (
        {name: folders[name] for name in ("dataset", "sft_model", "vqvae", "evaluator")}
        | {
            "output_dir": output,
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "report_to": "none",
            "disable_tqdm": True,
            "max_steps": 2,
            "num_generations": 4,
            "per_device_train_batch_size": 8,
            "max_completion_length": 48,
            "learning_rate": 1e-2,
            "beta": 0.05,
            "logging_steps": 1,
            "save_strategy": "no",
            "dpo_margin": 0.0001,
            "lora_rank": 4,
        }
        | settings
    )
    return [word for name, value in settings.items() for word in (f"--{name}", str(value))]


@pytest.mark.parametrize("algorithm", ["grpo", "ppo", "rloo", "dpo"])
def test_adapters_end_in_a_plain_policy(folders, tmp_path, algorithm):
    grpo.main(argv(folders, tmp_path / "run", algorithm=algorithm))
    names = {path.name for path in (tmp_path / "run").iterdir()}
    assert "model.safetensors" in names and not [name for name in names if name.startswith(("adapter", "ref"))]
    before = AutoModelForCausalLM.from_pretrained(folders["sft_model"])
    after = AutoModelForCausalLM.from_pretrained(tmp_path / "run")
    processor = UniMoProcessor.from_pretrained(tmp_path / "run")
    codes = list(processor.vocabulary.codes)
    rows, old = after.lm_head.weight.detach(), before.lm_head.weight.detach()
    assert not torch.equal(rows[codes], old[codes])
    text = sorted(set(range(len(rows))) - set(processor.control_ids) - set(codes))
    assert torch.equal(rows[text], old[text])
    name = "model.layers.0.self_attn.q_proj.weight"
    assert not torch.equal(after.state_dict()[name], before.state_dict()[name])
    if algorithm == "grpo":
        logs = [entry for entry in json.loads((tmp_path / "run" / "curves.json").read_text()) if "kl" in entry]
        assert logs[0]["kl"] == pytest.approx(0, abs=1e-4)  # the reference is the policy it began with


def test_a_policy_without_vllm_says_so(folders, tmp_path):
    if import_utils.is_vllm_available():
        pytest.skip("vLLM is installed")
    with pytest.raises(SystemExit, match=r"use_vllm needs vLLM.*pip install \"trl\[vllm\]\""):
        grpo.main(argv(folders, tmp_path / "run", use_vllm=True))


def test_vllm_settings_reach_trl(folders, tmp_path, monkeypatch):
    """Without vLLM here, as far as TRL's own door: ours adds the ids that are never sampled, and nothing else."""
    seen = {}

    def arrived(algorithm, model, settings, *_):
        seen.update(
            settings=settings, spare=spare_ids(UniMoProcessor.from_pretrained(folders["sft_model"]).tokenizer, model)
        )
        raise KeyboardInterrupt

    monkeypatch.setattr(grpo_training, "is_vllm_available", lambda: True)
    monkeypatch.setattr(grpo_training, "make_trainer", arrived)
    with pytest.raises(KeyboardInterrupt):
        grpo.main(argv(folders, tmp_path / "run", use_vllm=True, vllm_mode="colocate", lora_rank=0))
    settings = seen["settings"]
    assert settings.use_vllm and settings.vllm_mode == "colocate"
    assert (settings.temperature, settings.top_p, settings.top_k) == (1.0, 1.0, 0)
    expected = {"logit_bias": dict.fromkeys(seen["spare"], -100.0)} if seen["spare"] else None
    assert settings.generation_kwargs == expected


@pytest.mark.parametrize("stage", [2, 3])
def test_deepspeed_which_would_save_adapters_unmerged_is_refused(folders, stage):
    """Its engine keeps the adapted model, whatever the Trainer's model has become by the time it is saved."""
    training = SimpleNamespace(deepspeed_plugin=SimpleNamespace(zero_stage=stage), fsdp=None)
    with pytest.raises(SystemExit, match=r"DeepSpeed saves its own copy.*single_gpu.yaml or multi_gpu.yaml$"):
        check_lora(4, "float32", training)
    check_lora(0, "float32", training)


def test_contradictions_are_refused(folders, tmp_path):
    with pytest.raises(SystemExit, match="without its adapters is the reference; remove reference_model"):
        grpo.main(argv(folders, tmp_path / "run", reference_model=folders["sft_model"]))
    with pytest.raises(SystemExit, match="base_dtype bfloat16 needs lora_rank"):
        grpo.main(argv(folders, tmp_path / "run", base_dtype="bfloat16", lora_rank=0))
