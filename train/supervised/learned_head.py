"""The output head of supervised training, for the tokens that are learned: no logits for prompts and padding."""

import functools
import types
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.utils import ModelOutput, is_triton_available

# Logits that are held at once, about 450 MB with what their gradient takes; more of them go through TRL's tiles,
# which compute them a second time for the gradient.
HELD = 2**25
# Rows are added up to a multiple of this: the CPU library keeps code and memory for each number that it has met.
ROWS = 128


@dataclass
class TokenScores(ModelOutput):
    """What `MotionSFTTrainer` asks a forward pass for, as TRL's own head gives it.

    Attributes:
        log_probs: (B, L - 1) float32, of each next label; like the two below 0 where nothing is learned.
        entropy: (B, L - 1) float32 of the next token, without gradient where all logits are held.
        is_top1: (B, L - 1) bool, whether the label is the likeliest token, the first one of equals.
        label_mask: (B, L - 1) bool, whether the next token is learned.
        aux_loss: of a mixture of experts that is asked for its router's logits.
    """

    log_probs: Tensor | None = None
    entropy: Tensor | None = None
    is_top1: Tensor | None = None
    label_mask: Tensor | None = None
    aux_loss: Tensor | None = None


def score_learned_tokens(model: PreTrainedModel) -> None:
    """Let `model`, which has TRL's fused head, compute logits of learned tokens alone, on a CPU too.

    TRL's head leaves the others out only where Triton runs; those devices are left to it. Elsewhere the backbone hands
    on the states before learned tokens, and all that follows, the family's own head or TRL's tiles, knows no others.
    The results are those of TRL's head; a forward pass without `fused_lm_head` stays as it was.

    Args:
        model: the causal language model itself, not what PEFT has wrapped around it.
    """
    fused = model.forward
    chosen: list[Tensor] = []  # (B, L - 1), during a forward pass of learned tokens alone

    def choose(backbone: nn.Module, inputs: Any, outputs: ModelOutput) -> ModelOutput:
        if chosen:
            states = outputs.last_hidden_state[:, :-1][chosen[0]]
            outputs.last_hidden_state = F.pad(states, (0, 0, 0, -len(states) % ROWS))[None]
        return outputs

    model.base_model.register_forward_hook(choose)

    @functools.wraps(type(model).forward)
    def forward(self: PreTrainedModel, *args: Any, labels: Tensor | None = None, **kwargs: Any) -> Any:
        if labels is None:
            return fused(*args, **kwargs)
        shifted = kwargs.get("shift_labels") is not None  # a sequence in pieces, on several devices
        if not kwargs.get("fused_lm_head") or shifted or by_triton(labels.device):
            return fused(*args, labels=labels, **kwargs)
        learned = labels[:, 1:] != -100
        targets = labels[:, 1:][learned]
        chosen.append(learned)
        try:
            if len(targets) * self.config.get_text_config().vocab_size <= HELD:
                del kwargs["fused_lm_head"]
                outputs = fused(*args, **kwargs)
                scores = scores_of(outputs.logits[0, : len(targets)], targets)
            else:
                labelled = F.pad(targets, (0, -len(targets) % ROWS), value=-100)
                outputs = fused(*args, shift_labels=labelled[None], **kwargs)
                tiles = outputs.log_probs, outputs.entropy, outputs.is_top1
                scores = tuple(tile[0, : len(targets)] for tile in tiles)
        finally:
            chosen.clear()
        # `masked_scatter` joins the result to the model also where nothing is learned.
        log_probs, entropy, is_top1 = (x.new_zeros(learned.shape).masked_scatter(learned, x) for x in scores)
        return TokenScores(log_probs, entropy, is_top1, learned, outputs.get("aux_loss"))

    # A bound method, like the one it replaces: copies and wrappers of the model look for one.
    model.forward = types.MethodType(forward, model)  # type: ignore[method-assign]


def by_triton(device: torch.device) -> bool:
    """Whether TRL's own fused head skips the positions that are not learned on this device.

    Args:
        device: The device.

    Returns:
        Whether it does.
    """
    return device.type in ("cuda", "xpu") and is_triton_available()


def scores_of(logits: Tensor, targets: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Score targets under logits.

    Args:
        logits: (N, V).
        targets: (N,).

    Returns:
        Log-probability of each target, entropy, and whether the target is the most likely token; (N,) each.
    """
    log_probs = logits.float().log_softmax(-1)
    with torch.no_grad():
        entropy = -(log_probs.exp() * log_probs).sum(-1)
        is_top1 = log_probs.argmax(-1) == targets
    return log_probs.gather(-1, targets[:, None])[:, 0], entropy, is_top1
