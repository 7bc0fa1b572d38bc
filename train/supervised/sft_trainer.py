"""The supervised trainer: TRL's, with the stage's card, and loss and accuracy logged apart for parts and tasks."""

from typing import Any

import torch
import trl
from accelerate.utils import is_peft_model
from trl import SFTConfig, SFTTrainer

from modeling_unimo.tokenization_unimo import MotionVocabulary
from train.engine.stages import StageTrainer
from train.supervised.learned_head import score_learned_tokens
from train.supervised.position_gaps import gapped_positions
from train.supervised.token_parts import PARTS, part_means, part_sums, token_parts


def check_weighted_loss(training: SFTConfig) -> None:
    """Stop where a token's share of the loss cannot be weighted.

    Args:
        training: The Trainer's arguments.

    Raises:
        SystemExit: another loss than the plain one, or a TRL that gives no loss per token.
    """
    if training.loss_type != "nll" or training.label_smoothing_factor:
        raise SystemExit("error: thought_weight is for loss_type nll without label_smoothing_factor; set it to 1")
    if tuple(map(int, trl.__version__.split(".")[:2])) < (1, 16):
        raise SystemExit(
            f"error: TRL {trl.__version__} gives no loss per token to weight; set thought_weight to 1, or install "
            "TRL 1.16, on Python 3.11 or newer"
        )


class MotionSFTTrainer(StageTrainer, SFTTrainer):
    """TRL's trainer with the card of the stage, and loss and accuracy apart for each of `token_parts.PARTS`.

    Logged as `loss/thought`, `accuracy/motion`, `loss/m2t` and so on, means over the tokens of all processes since the
    last log; of a validation as `eval_loss/m2t` and so on. They are read off the forward pass of the training itself.
    Rows that are trained on, not those of a validation, have gaps in their positions if `position_gaps` is above 0. In
    their loss a token of a thought, tags included, counts `thought_weight` times; losses by part are unweighted.
    """

    def __init__(
        self,
        *args: Any,
        vocabulary: MotionVocabulary,
        position_gaps: float = 0.0,
        thought_weight: float = 1.0,
        **kwargs: Any,
    ):
        super().__init__(*args, **kwargs)
        score_learned_tokens(self.model.get_base_model() if is_peft_model(self.model) else self.model)
        self.vocabulary = vocabulary
        self.position_gaps, self.thought_weight = position_gaps, thought_weight
        self._sums: dict[str, torch.Tensor] = {}  # by "train" and "eval"
        self._reported = False

    def compute_loss(self, model, inputs, return_outputs=False, num_items_in_batch=None):
        """Compute the loss and count losses and accuracies by part of the answer.

        Args:
            model: The model.
            inputs: The batch.
            return_outputs: Return the model's outputs too.
            num_items_in_batch: Learned tokens over all accumulated batches.

        Returns:
            The loss, or loss and outputs.
        """
        labels = inputs.get("labels")
        if self.position_gaps and self.model.training:
            rows = inputs["input_ids"]
            inputs["position_ids"] = gapped_positions(rows.shape, self.position_gaps, rows.device)
        seen = False

        def forward(*args: Any, **kwargs: Any) -> Any:
            nonlocal seen
            outputs = model(*args, **kwargs)
            # TRL's own request for values a token (1.16; before, on Python 3.10, there are none to read).
            if kwargs.get("fused_lm_head") and labels is not None:
                seen = True
                self._read_scores(labels, outputs)
            return outputs

        result = super().compute_loss(forward, inputs, return_outputs, num_items_in_batch)
        if not seen and not self._reported:
            self._reported = True
            if self.is_world_process_zero():
                print(
                    f"[sft] TRL {trl.__version__} gives no loss per token: loss and accuracy are of all tokens "
                    "together, not by thought, motion, answer and task; TRL 1.16 does, on Python 3.11 or newer",
                    flush=True,
                )
        return result

    def _read_scores(self, labels: torch.Tensor, outputs: Any) -> None:
        """Note the loss and accuracy of each part, then weight what the training's loss is made of."""
        parts = token_parts(labels, self.vocabulary)[..., 1:]
        with torch.no_grad():
            sums = self.accelerator.reduce(part_sums(parts, outputs.log_probs, outputs.is_top1), "sum")
        mode = "train" if self.model.training else "eval"
        self._sums[mode] = self._sums[mode] + sums if mode in self._sums else sums
        if self.model.training and self.thought_weight != 1.0:
            thought = parts[PARTS.index("thought")]
            outputs.log_probs = torch.where(thought, self.thought_weight * outputs.log_probs, outputs.log_probs)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the means by part of the answer to the logs.

        Args:
            logs: What is logged.
            start_time: See `Trainer.log`.
        """
        mode = "train" if self.model.training else "eval"
        if mode in self._sums:
            prefix = "eval_" if mode == "eval" else ""
            logs |= {prefix + name: value for name, value in part_means(self._sums.pop(mode)).items()}
        super().log(logs, start_time)
