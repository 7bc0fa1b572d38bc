"""train/reinforcement/rollouts.py: answers are drawn by the policy, each to its prompt, whatever is shared."""

from types import SimpleNamespace

import pytest
import torch
from accelerate import Accelerator
from tiny_policy import policy_folders, taught_lm

from train import grpo
from train.reinforcement import grpo_training
from train.reinforcement.rollouts import group_rollouts, sample_freely


@pytest.fixture(scope="module")
def policy():
    return taught_lm(30)


def asked(processor, count: int):
    return processor.encode_prompts(
        ["t2m", "m2t"] * count, [f"a person waves {i}." for i in range(2 * count)], [[1, 2]] * 2 * count
    )


def test_a_group_gets_what_its_prompt_alone_would(policy):
    model, processor = policy
    inputs, ends = asked(processor, 3), [processor.end_id]
    torch.manual_seed(1)
    grouped = sample_freely(model, processor, inputs, 4, 24, ends)
    repeated = type(inputs)({name: value.repeat_interleave(4, 0) for name, value in inputs.items()})
    torch.manual_seed(1)
    assert grouped == sample_freely(model, processor, repeated, 1, 24, ends)
    assert len({tuple(answer) for answer in grouped}) > 6
    assert all(len(answer) <= 24 and processor.end_id not in answer[:-1] for answer in grouped)


def test_tokens_come_as_often_as_the_policy_says(policy):
    model, processor = policy
    inputs = processor.encode_prompts(["m2t"], [None], [[3, 4, 5]])
    opening = torch.tensor([[processor.vocabulary.think_start]])
    inputs = type(inputs)(
        {
            "input_ids": torch.cat([inputs["input_ids"], opening], 1),
            "attention_mask": torch.ones(1, inputs["input_ids"].shape[1] + 1, dtype=torch.long),
        }
    )
    with torch.no_grad():
        expected = (model(**inputs).logits[0, -1].float() / 1.0).softmax(-1)
    never = int(expected.argsort(descending=True)[1])  # likely, were it not ruled out
    expected[never] = 0
    expected /= expected.sum()
    torch.manual_seed(2)
    drawn = torch.tensor(sample_freely(model, processor, inputs, 4000, 1, [processor.end_id], [never]))[:, 0]
    share = torch.bincount(drawn, minlength=len(expected)) / len(drawn)
    assert share[never] == 0
    deviation = (share - expected).abs() / (expected * (1 - expected) / len(drawn)).sqrt().clamp(min=1e-3)
    assert deviation.max() < 4.5


def test_answers_belong_to_their_prompts_where_a_group_is_cut(policy):
    model, processor = policy
    first, second = (processor.messages("t2m", text=text) for text in ("a person waves.", "a person steps."))
    trainer = SimpleNamespace(
        accelerator=Accelerator(cpu=True), model=model.train(), args=SimpleNamespace(max_completion_length=6)
    )
    sample = group_rollouts(processor, [processor.end_id])
    output = sample([first] * 2 + [second] * 4, trainer)
    alike = [first, first, second, second, second, second]
    expected = processor.tokenizer.apply_chat_template(alike, add_generation_prompt=True, return_dict=True)
    assert output["prompt_ids"] == expected["input_ids"] and output["logprobs"] is None
    assert len(output["completion_ids"]) == 6 and model.training
    assert all(0 < len(answer) <= 6 for answer in output["completion_ids"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    return policy_folders(tmp_path_factory.mktemp("policy"))


@pytest.mark.parametrize(("generation_kwargs", "used"), [(None, True), ('{"max_time": 900}', False)])
def test_training_samples_so_unless_more_is_asked_of_generate(folders, tmp_path, monkeypatch, generation_kwargs, used):
    calls = []

    def watched(*args):
        sample = group_rollouts(*args)
        return lambda prompts, trainer: calls.append(len(prompts)) or sample(prompts, trainer)

    monkeypatch.setattr(grpo_training, "group_rollouts", watched)
    settings = {**folders, "output_dir": tmp_path / "out", "max_steps": 2}
    settings |= {"num_generations": 4, "per_device_train_batch_size": 8, "max_completion_length": 32, "beta": 0.01}
    settings |= {"save_strategy": "no", "report_to": "none", "use_cpu": "true", "bf16": "true", "disable_tqdm": "true"}
    settings |= {"generation_kwargs": generation_kwargs} if generation_kwargs else {}
    grpo.main([word for name, value in settings.items() for word in (f"--{name}", str(value))])
    assert calls == ([8, 8] if used else [])
