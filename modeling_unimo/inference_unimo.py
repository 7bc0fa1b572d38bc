"""Helpers of inference: batches of similar length, and a model in evaluation mode for a while."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from transformers import PreTrainedModel


def batches_by_length(lengths: Sequence[int] | Sequence[tuple[int, ...]], batch_size: int) -> Iterator[list[int]]:
    """Indices in batches of similar length, the longest first, so that little is padding.

    Args:
        lengths: One length an item, or a tuple of lengths of which the first counts most.
        batch_size: Items of a batch.

    Yields:
        Indices of a batch.

    Raises:
        ValueError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size must be >= 1, got {batch_size}")
    order = sorted(range(len(lengths)), key=lengths.__getitem__, reverse=True)
    for begin in range(0, len(order), batch_size):
        yield order[begin : begin + batch_size]


@contextmanager
def evaluating(model: PreTrainedModel) -> Iterator[None]:
    """Evaluation mode inside the block: no dropout, running statistics unchanged; modes are restored after it.

    A model that is in evaluation mode already is left alone, so threads can share it.

    Args:
        model: The model.

    Yields:
        Nothing.
    """
    training = [module for module in model.modules() if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
