"""train/reinforcement/ppo.py: advantages by hand, a bandit's best arm, GRPO where the critic is the group's mean."""

from pathlib import Path

import pytest
import torch
from datasets import Dataset
from safetensors.torch import load_file
from test_grpo import curves, weights, words
from tiny_policy import policy_folders
from tiny_unimo import qwen_tokenizer
from transformers import Qwen2Config, Qwen2ForCausalLM

from train import grpo
from train.reinforcement.algorithms import PolicyConfig, make_trainer
from train.reinforcement.ppo import Critic, MotionPPOTrainer, token_advantages
from train.supervised.backbone import CHAT_TEMPLATE


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, str]:
    return policy_folders(tmp_path_factory.mktemp("policy"))


@pytest.mark.parametrize(
    ("gae_lambda", "advantages"),
    [
        (1.0, [[0.5, 0.75, 1.0], [2.0, 1.5, 0.0]]),  # the reward less each value
        (0.0, [[-0.25, -0.25, 1.0], [0.5, 1.5, 0.0]]),  # the next value less each value
        (0.5, [[-0.125, 0.25, 1.0], [1.25, 1.5, 0.0]]),
    ],
)
def test_advantages_by_hand(gae_lambda, advantages):
    rewards, mask = torch.tensor([1.0, 2.0]), torch.tensor([[1, 1, 1], [1, 1, 0]])
    values = torch.tensor([[0.5, 0.25, 0.0], [0.0, 0.5, 9.0]])
    ours, returns = token_advantages(rewards, values, mask, gae_lambda)
    assert torch.allclose(ours, torch.tensor(advantages))
    assert torch.allclose(returns, (ours + values) * mask)


def test_a_critic_that_knows_gives_credit_to_the_token_that_earned_it():
    # The first token decides the reward, as the critic knows after it: the tokens that follow have earned nothing.
    rewards, mask = torch.tensor([1.0, 0.0]), torch.ones(2, 3)
    values = torch.tensor([[0.5, 1.0, 1.0], [0.5, 0.0, 0.0]])
    advantages, _ = token_advantages(rewards, values, mask, 0.95)
    assert torch.allclose(advantages, torch.tensor([[0.5, 0, 0], [-0.5, 0, 0]]))


def test_a_critic_is_the_same_after_it_was_saved(tmp_path):
    torch.manual_seed(0)
    states, returns = torch.randn(4, 3, 5), torch.randn(4, 3)
    one, other = Critic(5, 0.1), Critic(5, 0.1)

    def learn(critic):
        loss = ((critic(states) - returns) ** 2).mean()
        critic.optimizer.zero_grad()
        loss.backward()
        critic.optimizer.step()

    for _ in range(3):
        learn(one)
    one.save(tmp_path / "critic.safetensors")
    other.load(tmp_path / "critic.safetensors")
    for critic in (one, other):
        learn(critic)
    assert torch.equal(one(states), other(states)) and not torch.equal(one(states), Critic(5, 0.1)(states))


ARMS = {1: 0.2, 5: 0.8, 9: 0.5}


def one_word_policy(tokenizer) -> Qwen2ForCausalLM:
    """Answers with one of the arms, each about as often."""
    torch.manual_seed(0)
    config = Qwen2Config(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=1, tie_word_embeddings=False, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )  # fmt: skip
    model = Qwen2ForCausalLM(config)
    prompt = tokenizer.apply_chat_template(PROMPT, add_generation_prompt=True, return_dict=True)["input_ids"]
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(25):
        scores = model(torch.tensor([prompt])).logits[0, -1].log_softmax(-1)
        loss = -scores[list(ARMS)].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return model


PROMPT = [{"role": "user", "content": "which?"}]


def test_the_best_arm_of_a_bandit_is_found(tmp_path):
    tokenizer = qwen_tokenizer()
    tokenizer.chat_template = CHAT_TEMPLATE
    model = one_word_policy(tokenizer)
    ids = torch.tensor([tokenizer.apply_chat_template(PROMPT, add_generation_prompt=True, return_dict=True).input_ids])

    def chances() -> list[float]:
        with torch.no_grad():
            return model(ids).logits[0, -1].softmax(-1)[list(ARMS)].tolist()

    assert all(0.2 < chance < 0.45 for chance in chances())

    def worth(completion_ids, **_):
        return [ARMS.get(ids[0], 0.0) for ids in completion_ids]

    training = PolicyConfig(
        output_dir=str(tmp_path), use_cpu=True, bf16=False, gradient_checkpointing=False,
        per_device_train_batch_size=16, num_generations=4, max_completion_length=1, max_steps=30, learning_rate=5e-3,
        beta=0.0, loss_type="grpo", report_to="none", save_strategy="no", disable_tqdm=True,
        lr_scheduler_type="constant", seed=1, temperature=1.0, top_p=1.0, top_k=0, logging_steps=1,
    )  # fmt: skip
    data = Dataset.from_list([{"prompt": PROMPT}] * 120)
    trainer = make_trainer("ppo", model, training, data, tokenizer, [worth], value_learning_rate=3e-2)
    trainer.train()
    assert chances()[1] > 0.9
    log = [entry for entry in trainer.state.log_history if "value" in entry]
    # The critic began at nothing and ends at what the best arm is worth.
    assert abs(log[0]["value"]) < 1e-6 and log[-1]["value"] == pytest.approx(0.8, abs=0.12)
    assert log[-1]["value_loss"] < log[0]["value_loss"]


def test_with_the_groups_mean_as_critic_it_is_grpo(folders, tmp_path, monkeypatch):
    def mean_of_group(self, batch):
        means = self._rewards.view(-1, self.num_generations).mean(1).repeat_interleave(self.num_generations)
        return means[:, None].expand(batch["completion_ids"].shape)

    monkeypatch.setattr(MotionPPOTrainer, "_values", mean_of_group)
    same = {"scale_rewards": "none", "num_iterations": 2, "loss_type": "grpo", "guard_every": 0}
    grpo.main(words(folders, tmp_path / "ppo", algorithm="ppo", gae_lambda=1, **same))
    grpo.main(words(folders, tmp_path / "grpo", **same))
    ours, theirs = weights(tmp_path / "ppo"), weights(tmp_path / "grpo")
    assert max((ours[name] - theirs[name]).abs().max() for name in ours) < 1e-5
    before = weights(Path(folders["sft_model"]))
    assert max((ours[name] - before[name]).abs().max() for name in ours) > 1e-3


def test_the_critic_learns_beside_the_policy_and_stays_out_of_its_folder(folders, tmp_path):
    valid = "motion_similarity=0,semantic_similarity=0,caption_similarity=0"
    still = {"learning_rate": 1e-7, "max_steps": 8, "value_learning_rate": 3e-2, "guard_every": 0, "rewards": valid}
    grpo.main(words(folders, tmp_path / "out", algorithm="ppo", **still))
    log = [entry for entry in curves(tmp_path / "out") if "value_loss" in entry]
    assert len(log) == 8 and log[0]["value"] == pytest.approx(0, abs=1e-6)
    expected = sum(entry["reward"] for entry in log) / 8
    assert abs(log[-1]["value"] - expected) < 0.5 * abs(expected)
    assert weights(tmp_path / "out").keys() == load_file(Path(folders["sft_model"]) / "model.safetensors").keys()
    assert not list((tmp_path / "out").rglob("critic*"))
