"""Muon for the weight matrices with AdamW for the rest, as one optimizer for the Trainer."""

from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments


class MuonWithAdamW(torch.optim.Optimizer):
    """`torch.optim.Muon` on the 2-D weights inside the blocks, `torch.optim.AdamW` on embeddings, heads and vectors.

    Muon's step is scaled to the root mean square of AdamW's (`match_rms_adamw`), so that one learning rate and one
    schedule serve both. The two keep their state; this class joins their groups for the scheduler and checkpoints.
    """

    def __init__(
        self, model: nn.Module, lr: float, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.95)
    ):
        embeddings = {id(p) for m in model.modules() if isinstance(m, nn.Embedding) for p in m.parameters()}
        matrices: list[nn.Parameter] = []
        rest: list[nn.Parameter] = []
        for name, parameter in model.named_parameters():
            if parameter.requires_grad:
                is_matrix = parameter.ndim == 2 and id(parameter) not in embeddings and "lm_head" not in name
                (matrices if is_matrix else rest).append(parameter)
        self.parts = [
            torch.optim.Muon(matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW(rest, lr=lr, betas=betas, weight_decay=0.0),
        ]
        super().__init__([*matrices, *rest], {"lr": lr})
        # The very dictionaries of the parts: a scheduler that sets `lr` here sets it there.
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure=None):  # type: ignore[override]
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        for part in self.parts:
            part.zero_grad(set_to_none)

    def state_dict(self) -> dict:  # type: ignore[override]
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict) -> None:
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def muon_with_adamw(training: TrainingArguments) -> tuple[Any, dict[str, Any]]:
    """The Trainer's `optimizer_cls_and_kwargs`: a factory, because this optimizer reads the whole model."""
    return lambda: MuonWithAdamW, {"lr": training.learning_rate, "weight_decay": training.weight_decay}
