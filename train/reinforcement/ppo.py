"""PPO on GRPO's rollouts and rewards: a critic reads the policy's states, and every token has its own advantage.

TRL has no PPO any more. What it shares with GRPO is its trainer's: prompts, answers, rewards, the clipped ratio, the
KL from the reference. What differs is here: in place of the mean of a group, a critic says what to expect after each
token, and generalised advantage estimation (Schulman et al., 2016, arXiv:1506.02438) compares with it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from accelerate.utils import is_peft_model
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from trl import GRPOTrainer

from train.engine.stages import StageTrainer

CRITIC = "critic.safetensors"  # in a checkpoint: weights of the critic and state of its optimizer


def token_advantages(rewards: Tensor, values: Tensor, mask: Tensor, gae_lambda: float) -> tuple[Tensor, Tensor]:
    """Generalised advantage estimates of answers that are rewarded once, at their end, without discount.

    Args:
        rewards: (B,) of whole answers.
        values: (B, T) what the critic expected before each token.
        mask: (B, T) 1 for an answer's tokens, 0 for what pads it on the right.
        gae_lambda: 1 compares the reward itself with each value, 0 each value with the next.

    Returns:
        Advantages, and the returns that the critic should have expected; both (B, T), 0 outside of `mask`.
    """
    mask = mask.to(values.dtype)
    values = values * mask
    following = torch.cat([values[:, 1:], torch.zeros_like(values[:, :1])], dim=1)
    last = mask - torch.cat([mask[:, 1:], torch.zeros_like(mask[:, :1])], dim=1)
    surprise = last * rewards[:, None] + following - values
    advantages = torch.zeros_like(values)
    running = torch.zeros_like(values[:, 0])
    for t in reversed(range(values.shape[1])):
        running = (surprise[:, t] + gae_lambda * running) * mask[:, t]
        advantages[:, t] = running
    return advantages, (advantages + values) * mask


class Critic(nn.Module):
    """A linear value head with its own optimizer. It reads the policy's states without changing them.

    Its weights begin at 0: until it has learned something, an answer's advantage is its reward.

    Args:
        width: Of the states. learning_rate: of its AdamW, constant.
    """

    def __init__(self, width: int, learning_rate: float):
        super().__init__()
        # Not `nn.Linear`, which draws its first weights: answers are then those that GRPO would sample.
        self.weight = nn.Parameter(torch.zeros(width))
        self.bias = nn.Parameter(torch.zeros(()))
        self.optimizer = torch.optim.AdamW(self.parameters(), lr=learning_rate, weight_decay=0.0)

    def forward(self, states: Tensor) -> Tensor:
        """States (B, T, H), of any precision -> values (B, T) float32.

        Args:
            states: (B, T, H).

        Returns:
            Values (B, T).
        """
        with torch.autocast(states.device.type, enabled=False):
            return states.float() @ self.weight + self.bias

    def save(self, path: Path) -> None:
        """Write weights and the optimizer's state as one safetensors file.

        Args:
            path: The file.
        """
        tensors = {f"weight.{name}": value for name, value in self.state_dict().items()}
        for place, state in self.optimizer.state_dict()["state"].items():
            tensors |= {f"optimizer.{place}.{name}": value for name, value in state.items()}
        save_file({name: value.detach().cpu().contiguous() for name, value in tensors.items()}, path)

    def load(self, path: Path) -> None:
        """Read what `save` wrote.

        Args:
            path: The file.
        """
        tensors = load_file(path)
        weights = {n.removeprefix("weight."): value for n, value in tensors.items() if n.startswith("weight.")}
        self.load_state_dict(weights)
        state: dict[int, dict[str, Tensor]] = {}
        for name, value in tensors.items():
            if name.startswith("optimizer."):
                _, place, key = name.split(".")
                state.setdefault(int(place), {})[key] = value
        self.optimizer.load_state_dict(self.optimizer.state_dict() | {"state": state})


class MotionPPOTrainer(StageTrainer, GRPOTrainer):
    """GRPO's trainer with a critic in place of the group's mean.

    Advantages are brought to mean 0 and standard deviation 1 over the tokens of a generation, unless `scale_rewards`
    is "none". Logs also `value_loss`, `value` (the critic's mean) and `explained_variance` (the share of the returns'
    variance that it foresaw; at most 1).

    Args:
        gae_lambda: See `token_advantages`.
        value_learning_rate: Of the critic.
    """

    def __init__(self, *args: Any, gae_lambda: float = 0.95, value_learning_rate: float = 1e-3, **kwargs: Any):
        super().__init__(*args, **kwargs)
        own = self.accelerator.unwrap_model(self.model)
        own = own.get_base_model() if is_peft_model(own) else own
        self.gae_lambda = gae_lambda
        self.critic = Critic(own.config.get_text_config().hidden_size, value_learning_rate).to(self.accelerator.device)
        self._rewards: Tensor | None = None  # of the answers of all processes
        self._states: list[Tensor] | None = None
        own.base_model.register_forward_hook(self._keep_states)

    def _keep_states(self, module: nn.Module, inputs: Any, outputs: Any) -> None:
        if self._states is not None:
            self._states.append(outputs.last_hidden_state.detach())

    @contextmanager
    def _reading_states(self) -> Iterator[list[Tensor]]:
        """The policy's last states of each forward pass in the block."""
        states: list[Tensor] = []
        self._states = states
        try:
            yield states
        finally:
            self._states = None

    def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Tensor:
        of_each = super()._calculate_rewards(*args, **kwargs)
        totals = (of_each * self.reward_weights.to(of_each.device)).nansum(dim=1)
        self._rewards = totals.masked_fill(torch.isnan(of_each).all(dim=1), torch.nan)
        return of_each

    def _generate_and_score_completions(self, inputs: list[dict[str, Any]]) -> dict[str, Any]:
        batch = super()._generate_and_score_completions(inputs)
        assert self._rewards is not None
        own = len(batch["completion_ids"])
        rewards = self._rewards[self.accelerator.process_index * own :][:own]
        mask = batch["completion_mask"]
        values = self._values(batch)
        advantages, returns = token_advantages(rewards.nan_to_num(0.0), values, mask, self.gae_lambda)
        # An answer that no reward covers teaches neither policy nor critic.
        unscored = rewards.isnan()[:, None]
        returns = torch.where(unscored, values * mask, returns)
        scored = (mask * ~unscored).to(advantages.dtype)
        if self.scale_rewards != "none":
            advantages = self._standardised(advantages, scored)
        batch["advantages"], batch["returns"] = advantages * scored, returns
        return batch

    @torch.no_grad()
    def _values(self, batch: dict[str, Any]) -> Tensor:
        """(B, T) what the critic expects before each token of the answers."""
        ids = torch.cat([batch["prompt_ids"], batch["completion_ids"]], dim=1)
        attention = torch.cat([batch["prompt_mask"], batch["completion_mask"]], dim=1)
        length = batch["completion_ids"].shape[1]
        at_once = self.args.per_device_train_batch_size
        with self._reading_states() as states:
            self._get_per_token_logps_and_entropies(self.model, ids, attention, length, batch_size=at_once)
        return torch.cat([self.critic(part[:, -length - 1 : -1]) for part in states])

    def _standardised(self, advantages: Tensor, mask: Tensor) -> Tensor:
        """Mean 0 and standard deviation 1 over the tokens of all processes."""
        sums = torch.stack([mask.sum(), (advantages * mask).sum(), (advantages**2 * mask).sum()])
        count, total, squares = self.accelerator.reduce(sums, "sum")
        mean = total / count.clamp(min=1)
        deviation = (squares / count.clamp(min=1) - mean**2).clamp(min=0).sqrt()
        return (advantages - mean) / (deviation + 1e-4)

    def _compute_loss(self, model: nn.Module, inputs: dict[str, Any]) -> Tensor:
        with self._reading_states() as states:
            loss = super()._compute_loss(model, inputs)
        self._learn_values(states[0], inputs)
        return loss

    def _learn_values(self, states: Tensor, inputs: dict[str, Any]) -> None:
        """The critic's part of a step: its gradient is accumulated and averaged over processes as the policy's is."""
        mask, returns = inputs["completion_mask"], inputs["returns"]
        training = self.model.training
        with torch.set_grad_enabled(training):
            values = self.critic(states[:, -mask.shape[1] - 1 : -1])
            loss = ((values - returns) ** 2 * mask).sum() / mask.sum().clamp(min=1)
        self._log_values("train" if training else "eval", values.detach(), returns, mask)
        if not training:
            return
        (loss / self.current_gradient_accumulation_steps).backward()
        if self.accelerator.sync_gradients:
            for parameter in self.critic.parameters():
                parameter.grad = self.accelerator.reduce(parameter.grad, "mean")
            self.critic.optimizer.step()
            self.critic.optimizer.zero_grad()

    def _log_values(self, mode: str, values: Tensor, returns: Tensor, mask: Tensor) -> None:
        errors = returns - values
        figures = (torch.ones_like(values), values, returns, returns**2, errors, errors**2)
        sums = self.accelerator.reduce(torch.stack([(figure * mask).sum() for figure in figures]), "sum")
        value, mean, squares, error, loss = (sums[1:] / sums[0].clamp(min=1)).tolist()
        self._metrics[mode]["value"].append(value)
        self._metrics[mode]["value_loss"].append(loss)
        variance = squares - mean**2
        if variance > 1e-12:
            self._metrics[mode]["explained_variance"].append(1 - (loss - error**2) / variance)

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        if self.is_world_process_zero():
            self.critic.save(Path(output_dir) / CRITIC)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.critic.load(Path(checkpoint) / CRITIC)
