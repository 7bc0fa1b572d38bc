"""Gaps in the positions of training rows, so that a small model from nothing reads captions longer than it was taught.

A model of two- and three-clause captions can tell clauses apart by how many tokens lie between. In a caption of five
that count is another, and its thought then leaves clauses out or says them twice. Where every row counts its positions
in another way, what is left to go by is the words. The idea is that of randomized positional encodings (Ruoss et al.,
ACL 2023). Sampling counts positions as always.

It has to reach most neighbours: a rare long gap, which shows a model the longer distances alone, changed nothing.
"""

import torch


def gapped_positions(shape: tuple[int, ...], rate: float, device: torch.device | str = "cpu") -> torch.Tensor:
    """Rising positions with gaps, drawn by torch's generator of the device, which a resumed run restores.

    Args:
        shape: (rows, length) of a batch, padded on the right.
        rate: the most positions left out before a token, in the mean of a row. Each row draws its own rate between 0
            and this, so that some are nearly as they are at sampling.

    Returns:
        (rows, length) int64, each greater than the one before.
    """
    own = rate * torch.rand(shape[0], 1, device=device)
    left_out = torch.poisson(own.expand(shape)).long()
    return (1 + left_out).cumsum(1) - 1
