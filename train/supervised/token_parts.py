"""What the supervised loss and accuracy are made of: thought, motion and answer tokens, and each task."""

import torch

from modeling_unimo.tokenization_unimo import MotionVocabulary

# The first three split the learned tokens by what they are, the other two by the task of their example.
PARTS = ("thought", "motion", "answer", "t2m", "m2t")


def token_parts(labels: torch.Tensor, vocabulary: MotionVocabulary) -> torch.Tensor:
    """Which learned tokens belong to which of `PARTS`, read off the control tokens among them.

    A tag belongs to the part that it frames, the end of turn to the part before it. Text cannot hold a control token
    (the processor escapes it), so this reading is exact, several packed examples in a row included.

    Args:
        labels: (B, L) ids, -100 where nothing is learned.

    Returns:
        (5, B, L) bool, all False where nothing is learned.
    """
    thought = torch.tensor([vocabulary.think_start, vocabulary.think_end], device=labels.device)
    motion = torch.tensor([vocabulary.motion_start, vocabulary.motion_end], device=labels.device)
    answer = torch.tensor([vocabulary.answer_start, vocabulary.answer_end], device=labels.device)
    places = torch.arange(labels.shape[-1], device=labels.device).expand_as(labels)
    control = torch.isin(labels, torch.cat([thought, motion, answer]))
    last = torch.where(control, places, 0).cummax(-1).values  # a completion begins with a control token
    governing = labels.gather(-1, last)
    learned = labels != -100
    in_thought, in_motion, in_answer = (learned & torch.isin(governing, part) for part in (thought, motion, answer))
    # A thought is of the task whose answer is opened next.
    opening = (labels == vocabulary.motion_start) | (labels == vocabulary.answer_start)
    following = torch.where(opening, places, places.shape[-1] - 1).flip(-1).cummin(-1).values.flip(-1)
    of_motion = labels.gather(-1, following) == vocabulary.motion_start
    t2m = in_motion | in_thought & of_motion
    m2t = in_answer | in_thought & ~of_motion
    return torch.stack([in_thought, in_motion, in_answer, t2m, m2t])


def part_sums(parts: torch.Tensor, log_probs: torch.Tensor, is_top1: torch.Tensor) -> torch.Tensor:
    """(3, 5) float32: for each of `PARTS` the summed negative log-likelihood, the correct tokens and the tokens.

    Args:
        parts: (5, B, L) bool.
        log_probs: (B, L) of the labels.
        is_top1: (B, L) whether the label is the likeliest token.

    Returns:
        (3, 5) float32.
    """
    values = torch.stack([-log_probs.detach().float(), is_top1.float(), torch.ones_like(log_probs).float()])
    return (values[:, None] * parts).sum((-1, -2))


def part_means(sums: torch.Tensor) -> dict[str, float]:
    """Means from sums.

    Args:
        sums: From `part_sums`.

    Returns:
        `loss/<part>` and `accuracy/<part>` over the tokens of each part that occurred.
    """
    losses, correct, counts = sums.tolist()
    means: dict[str, float] = {}
    for part, loss, right, count in zip(PARTS, losses, correct, counts, strict=True):
        if count:
            means |= {f"loss/{part}": loss / count, f"accuracy/{part}": right / count}
    return means
