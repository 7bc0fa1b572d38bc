"""Muon with AdamW as one optimizer: who is in which part, one schedule, and states that go on as if never saved."""

import copy
import io

import pytest
import torch
from torch import nn
from transformers import Qwen2Config, Qwen2ForCausalLM, Trainer, TrainingArguments

from train.engine.optimizer import MuonWithAdamW, muon_with_adamw


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(7, 6)
        self.down = nn.Conv1d(6, 5, 3, padding=1)
        self.up = nn.ConvTranspose1d(5, 6, 4)
        self.norm = nn.LayerNorm(6)
        self.inner = nn.Linear(6, 6)
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.unused = nn.Linear(6, 6)
        self.lm_head = nn.Linear(6, 7, bias=False)

    def forward(self, ids):
        hidden = self.up(self.down(self.embedding(ids).transpose(1, 2))).transpose(1, 2)
        return self.lm_head(self.frozen(self.inner(self.norm(hidden))))


def network() -> Network:
    torch.manual_seed(0)
    return Network()


def train(model, optimizer, steps, scheduler=None, seed=0):
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        model(torch.randint(0, 7, (3, 8), generator=generator)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        if scheduler is not None:
            scheduler.step()


def owners(optimizer, model) -> dict[str, list[str]]:
    """Which parts hold a parameter, by address: Muon holds views."""
    held = {name: [] for name, _ in model.named_parameters()}
    for part, title in zip(optimizer.parts, ("muon", "adamw"), strict=True):
        for group in part.param_groups:
            for tensor in group["params"]:
                for name, parameter in model.named_parameters():
                    if parameter.data_ptr() == tensor.data_ptr():
                        held[name].append(title)
    return held


def test_every_trainable_parameter_is_in_one_part():
    model = network()
    held = owners(MuonWithAdamW(model, lr=1e-2), model)
    muon = {"down.weight", "up.weight", "inner.weight", "unused.weight"}
    for name, parameter in model.named_parameters():
        assert held[name] == ([] if not parameter.requires_grad else ["muon"] if name in muon else ["adamw"]), name


@pytest.mark.parametrize("tied", [True, False])
def test_language_model(tied):
    shape = {"vocab_size": 12, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    model = Qwen2ForCausalLM(Qwen2Config(**shape, **heads, tie_word_embeddings=tied))
    held = owners(MuonWithAdamW(model, lr=1e-2), model)
    assert all(len(parts) == 1 for parts in held.values())
    assert held["model.embed_tokens.weight"] == ["adamw"]
    assert tied or held["lm_head.weight"] == ["adamw"]
    assert held["model.layers.0.self_attn.q_proj.weight"] == ["muon"]
    assert held["model.layers.0.self_attn.q_proj.bias"] == ["adamw"]


def test_a_step_moves_all_that_has_a_gradient_and_nothing_else():
    model = network()
    before = copy.deepcopy(model.state_dict())
    train(model, MuonWithAdamW(model, lr=1e-2), 2)
    for name, value in model.state_dict().items():
        moved = not torch.equal(value, before[name])
        assert moved == (not name.startswith(("frozen", "unused"))), name
    # Convolution: no weight that stands for the matrix stays behind.
    assert (model.up.weight != before["up.weight"]).all()


def test_muon_steps_at_the_scale_of_adamw():
    """One learning rate serves both: the root mean square of a first step is 0.2 of it (Muon) and 1 (AdamW)."""
    model = network()
    before = copy.deepcopy(model.state_dict())
    train(model, MuonWithAdamW(model, lr=1e-2), 1)
    for name, share in {"down.weight": 0.2, "inner.weight": 0.2, "norm.weight": 1.0}.items():
        step = (model.state_dict()[name] - before[name]).square().mean().sqrt().item()
        assert share * 0.5e-2 < step < share * 1.5e-2, name


def test_gradients_are_forgotten():
    model = network()
    optimizer = MuonWithAdamW(model, lr=1e-2)
    model(torch.zeros(1, 3, dtype=torch.long)).sum().backward()
    optimizer.zero_grad()
    assert all(parameter.grad is None for parameter in model.parameters())
    before = copy.deepcopy(model.state_dict())
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_weight_that_cannot_be_viewed_as_a_matrix_is_refused():
    model = network()
    model.down.weight = nn.Parameter(torch.randn(3, 6, 5).permute(2, 1, 0))
    with pytest.raises(RuntimeError, match="view"):
        MuonWithAdamW(model, lr=1e-2)


def test_the_schedule_reaches_both_parts():
    model = network()
    optimizer = MuonWithAdamW(model, lr=1e-2)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))
    train(model, optimizer, 3, scheduler)
    rates = [group["lr"] for part in optimizer.parts for group in part.param_groups]
    assert rates == pytest.approx([1e-2 / 4] * 3)


def test_going_on_from_a_saved_state_is_going_on():
    def schedule(optimizer):
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step))

    whole = network()
    optimizer = MuonWithAdamW(whole, lr=1e-2, weight_decay=0.1)
    scheduler = schedule(optimizer)
    train(whole, optimizer, 3, scheduler)
    saved = io.BytesIO()
    torch.save(
        {"model": whole.state_dict(), "optimizer": optimizer.state_dict(), "scheduler": scheduler.state_dict()}, saved
    )
    train(whole, optimizer, 3, scheduler, seed=1)

    again = network()
    resumed = MuonWithAdamW(again, lr=1e-2, weight_decay=0.1)
    later = schedule(resumed)
    state = torch.load(io.BytesIO(saved.getvalue()), weights_only=True)
    again.load_state_dict(state["model"])
    resumed.load_state_dict(state["optimizer"])
    later.load_state_dict(state["scheduler"])
    train(again, resumed, 3, later, seed=1)
    assert resumed.param_groups[0]["lr"] == optimizer.param_groups[0]["lr"]
    for name, value in whole.state_dict().items():
        assert torch.equal(value, again.state_dict()[name]), name


def test_the_trainers_factory():
    training = TrainingArguments(output_dir="unused", use_cpu=True, learning_rate=3e-3, weight_decay=0.05)
    factory, settings = muon_with_adamw(training)
    optimizer = factory()(network(), **settings)
    assert {group["lr"] for group in optimizer.param_groups} == {3e-3}


def test_weight_decay_shrinks_what_the_trainers_own_adamw_shrinks():
    """Without gradients a step is decay alone: of matrices and embeddings, not of biases and normalisation weights."""
    model = network()
    optimizer = MuonWithAdamW(model, lr=1e-2, weight_decay=0.5)
    expected = set(Trainer.get_decay_parameter_names(None, model))
    before = {name: value.clone() for name, value in model.named_parameters()}
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    shrunk = {name for name, value in model.named_parameters() if not torch.equal(value, before[name])}
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert shrunk == expected & trained
    for name in shrunk:
        torch.testing.assert_close(model.get_parameter(name), before[name] * (1 - 1e-2 * 0.5))


def test_weights_whose_storage_was_replaced_still_learn():
    """Wrapping a model for several processes gives its weights other storage after the optimizer was made."""
    plain, moved = network(), network()
    expected, optimizer = MuonWithAdamW(plain, lr=1e-2), MuonWithAdamW(moved, lr=1e-2)
    for parameter in moved.parameters():
        parameter.data = parameter.data.clone()
    train(plain, expected, steps=3)
    train(moved, optimizer, steps=3)
    for (name, one), two in zip(plain.named_parameters(), moved.parameters(), strict=True):
        assert torch.equal(one, two), name
