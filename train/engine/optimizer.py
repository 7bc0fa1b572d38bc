"""Muon for the weight matrices with AdamW for the rest, as one optimizer for the Trainer."""

from typing import Any

import torch
from torch import nn
from transformers import TrainingArguments

from train.engine.arguments import refuse_decided


class MuonWithAdamW(torch.optim.Optimizer):
    """`torch.optim.Muon` on the weights of linear and convolutional layers, `torch.optim.AdamW` on everything else.

    A convolution's weight counts as the matrix (out, in * kernel) it multiplies with. Muon's step is scaled to the
    root mean square of AdamW's (`match_rms_adamw`), so that one learning rate and one schedule serve both. The two
    keep their state; this class joins their groups for the scheduler and checkpoints.
    """

    def __init__(
        self, model: nn.Module, lr: float, weight_decay: float = 0.0, betas: tuple[float, float] = (0.9, 0.95)
    ):
        layers = (nn.Linear, nn.Conv1d, nn.ConvTranspose1d)
        heads = {id(m.weight) for name, m in model.named_modules() if name.endswith("lm_head")}
        weights = [m.weight for m in model.modules() if isinstance(m, layers) and m.weight.requires_grad]
        self.weights = [weight for weight in weights if id(weight) not in heads]
        # Views of the same storage (`view` refuses to copy): what Muon does to the matrix happens to the weight.
        self.matrices = [nn.Parameter(weight.detach().view(len(weight), -1)) for weight in self.weights]
        taken = {id(weight) for weight in self.weights}
        rest = [p for p in model.parameters() if p.requires_grad and id(p) not in taken]
        # As in the Trainer's own AdamW, biases and normalisation weights do not decay; embeddings and heads do.
        groups = [
            {"params": [p for p in rest if p.ndim > 1], "weight_decay": weight_decay},
            {"params": [p for p in rest if p.ndim <= 1], "weight_decay": 0.0},
        ]
        self.parts = [
            torch.optim.Muon(self.matrices, lr=lr, weight_decay=weight_decay, adjust_lr_fn="match_rms_adamw"),
            torch.optim.AdamW([group for group in groups if group["params"]], lr=lr, betas=betas, fused=True),
        ]
        super().__init__([*self.weights, *rest], {"lr": lr})
        # The very dictionaries of the parts: a scheduler that sets `lr` here sets it there.
        self.param_groups = [group for part in self.parts for group in part.param_groups]

    @torch.no_grad()
    def step(self, closure=None):  # type: ignore[override]
        """Take one step of both optimizers.

        Args:
            closure: Unused.
        """
        for weight, matrix in zip(self.weights, self.matrices, strict=True):
            # A view of the weight as it is now (wrapping a model for several processes gives weights other storage):
            # what Muon does to the matrix happens to the weight.
            matrix.data = weight.data.flatten(1)
            matrix.grad = None if weight.grad is None else weight.grad.flatten(1)
        for part in self.parts:
            part.step()

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Reset the gradients of both optimizers.

        Args:
            set_to_none: See `torch.optim.Optimizer.zero_grad`.
        """
        for weight in self.weights:
            weight.grad = None
        self.parts[1].zero_grad(set_to_none)

    def state_dict(self) -> dict:  # type: ignore[override]
        """State of both optimizers.

        Returns:
            Their state dicts.
        """
        return {"parts": [part.state_dict() for part in self.parts]}

    def load_state_dict(self, state_dict: dict) -> None:
        """Restore the state of both optimizers.

        Args:
            state_dict: From `state_dict`.
        """
        for part, state in zip(self.parts, state_dict["parts"], strict=True):
            part.load_state_dict(state)
        self.param_groups = [group for part in self.parts for group in part.param_groups]


def check_muon(training: TrainingArguments) -> None:
    """Refuse settings of the Trainer's own optimizer, which Muon replaces.

    Args:
        training: The Trainer's settings.

    Raises:
        SystemExit: A setting has no effect; the message names it.
    """
    unused = dict.fromkeys(("optim", "optim_args", "adam_beta1", "adam_beta2", "adam_epsilon"))
    refuse_decided(training, unused, "muon has an optimizer of its own")


def muon_with_adamw(training: TrainingArguments) -> tuple[Any, dict[str, Any]]:
    """The Trainer's `optimizer_cls_and_kwargs`: a factory, because this optimizer reads the whole model.

    Args:
        training: The Trainer's settings.

    Returns:
        The factory, and its keyword arguments.
    """
    return lambda: MuonWithAdamW, {"lr": training.learning_rate, "weight_decay": training.weight_decay}
