"""Motion tokens ignored: codes that the model cannot tell apart, or does not use inside `<Motion>`."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from accelerate.utils import gather_object
from transformers import Trainer

from modeling_unimo.inference_unimo import evaluating
from train.guards.arguments import GuardArguments
from train.guards.base import Guard, Reading

TEXT_ROWS = 512  # text tokens whose spread the codes' is compared with


def effective_rank(rows: torch.Tensor) -> float:
    """Exponential of the entropy of the centred rows' normalised singular values (Roy and Vetterli, 2007).

    Args:
        rows: (N, D).

    Returns:
        1 to D.
    """
    values = torch.linalg.svdvals(rows - rows.mean(dim=0))
    shares = values / values.sum().clamp_min(1e-12)
    return float(torch.exp(-(shares * shares.clamp_min(1e-12).log()).sum()))


def spread(rows: torch.Tensor) -> float:
    """Root mean square distance of rows from their mean.

    Args:
        rows: (N, D).

    Returns:
        The distance.
    """
    return float((rows - rows.mean(dim=0)).square().sum(dim=-1).mean().sqrt())


class MotionTokenGuard(Guard):
    """Reads the input embeddings of the codes, and the probability of motion tokens inside `<Motion>`.

    Args:
        trainer, settings: see `Guard`.
        processor: knows the vocabulary.
        sequences: a few sequences (prompt and answer, ids) with a motion in the answer, on each process its own.
        judged_from: step from which the probability must have been learned.
    """

    name = "motion_tokens"

    def __init__(
        self,
        trainer: Trainer,
        settings: GuardArguments,
        processor: Any,
        sequences: Callable[[], Sequence[Sequence[int]]],
        judged_from: int = 0,
    ):
        super().__init__(trainer, settings)
        self.sequences, self.judged_from = sequences, judged_from
        vocabulary = processor.vocabulary
        self.codes = list(vocabulary.codes)
        self.motion_start, self.motion_end = vocabulary.motion_start, vocabulary.motion_end
        text = processor.text_ids[0]
        self.text = text[:: max(1, len(text) // TEXT_ROWS)][:TEXT_ROWS].tolist()

    def read(self, logs: Reading, past: Sequence[Reading]) -> Reading:
        """Measure the motion tokens.

        Args:
            logs: What the trainer logged.
            past: Earlier readings.

        Returns:
            `rank`, `spread` (as a share of the text tokens') and, if there is a motion, `mass`.
        """
        codes, text = self._embeddings(self.codes), self._embeddings(self.text)
        reading = {"rank": effective_rank(codes), "spread": spread(codes) / max(spread(text), 1e-12)}
        # A sharded model computes on all processes or on none, so each gives at least one sequence, if only a code.
        sums = gather_object([self._mass(list(self.sequences()) or [[self.codes[0], self.codes[0]]])])
        places = sum(count for _, count in sums)
        return reading | ({"mass": sum(mass for mass, _ in sums) / places} if places else {})

    def faults(self, reading: Reading, past: Sequence[Reading]) -> list[str]:
        """Report codes that are too similar, or not used where they belong.

        Args:
            reading: The reading.
            past: Earlier readings.

        Returns:
            Faults, each with what to change.
        """
        limits, found = self.settings, []
        again = "begin again with embedding_init: codebook or sampled"
        if reading["spread"] < limits.guard_min_token_spread:
            found.append(f"the codes' embeddings have {reading['spread']:.1%} of the text tokens' spread: {again}")
        if reading["rank"] < limits.guard_min_rank:
            found.append(f"the codes' embeddings have an effective rank of {reading['rank']:.2g}: {again}")
        if reading["step"] >= self.judged_from and reading.get("mass", 1.0) < limits.guard_min_mass:
            found.append(
                f"inside <Motion> motion tokens get a probability of {reading['mass']:.1%}: train longer on "
                "text-to-motion (t2m_share, t2m_only_fraction) or with a higher learning_rate"
            )
        return found

    @torch.no_grad()
    def _embeddings(self, ids: list[int]) -> torch.Tensor:
        """Rows (N, D) of the input embedding, caught in a forward pass: the one way that also works sharded."""
        caught: list[torch.Tensor] = []
        layer = self.trainer.accelerator.unwrap_model(self.trainer.model_wrapped).get_input_embeddings()
        handle = layer.register_forward_hook(lambda module, inputs, output: caught.append(output.float().cpu()))
        try:
            self._logits([ids[i : i + 64] for i in range(0, len(ids), 64)])
        finally:
            handle.remove()
        return caught[0].flatten(0, 1)[: len(ids)]  # padding is at the very end

    @torch.no_grad()
    def _mass(self, sequences: Sequence[Sequence[int]]) -> tuple[float, int]:
        """Summed probability of codes and the closing tag where the answer's motion goes on, and how many places."""
        logits = self._logits(sequences)
        allowed = torch.tensor([*self.codes, self.motion_end], device=logits.device)
        total, places = 0.0, 0
        for row, ids in zip(logits, sequences, strict=True):
            if self.motion_start not in ids:
                continue
            start = len(ids) - 1 - list(ids)[::-1].index(self.motion_start)  # the last: a prompt may hold a motion
            after = list(ids)[start:]
            stop = start + (after.index(self.motion_end) if self.motion_end in after else len(after) - 1)
            here = row[start:stop].float()
            total += float((here[:, allowed].logsumexp(-1) - here.logsumexp(-1)).exp().sum())
            places += stop - start
        return total, places

    def _logits(self, rows: Sequence[Sequence[int]]) -> torch.Tensor:
        with evaluating(self.trainer.model), self.trainer.accelerator.autocast():
            return self.trainer.model_wrapped(**padded(rows, self.trainer.args.device)).logits


def padded(rows: Sequence[Sequence[int]], device: torch.device) -> dict[str, torch.Tensor]:
    """Pad ids on the right with 0.

    Args:
        rows: Ids of each row.
        device: Device of the result.

    Returns:
        `input_ids` and `attention_mask`.
    """
    sequences = [torch.tensor(row) for row in rows]
    pad = torch.nn.utils.rnn.pad_sequence
    return {
        "input_ids": pad(sequences, batch_first=True).to(device),
        "attention_mask": pad([torch.ones_like(s) for s in sequences], batch_first=True).to(device),
    }
