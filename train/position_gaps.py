"""Gaps in the positions of training rows, so that a small model from nothing reads captions longer than it was taught.

A rotary model knows the distances between tokens that its training rows had. A caption of five clauses, its thought
and its codes are longer than any row of two or three, and what lies that far back is then read wrongly: clauses are
left out or come twice. Positions that run on with a jump now and then show the model those distances without one
longer row, while most neighbours stay neighbours. The idea is that of randomized positional encodings (Ruoss et al.,
ACL 2023), which draw every position at random. Sampling counts positions as always.
"""

import torch

LONGEST_GAP = 24


def gapped_positions(rows: int, length: int, share: float, device: torch.device | str = "cpu") -> torch.Tensor:
    """Rising positions with gaps, drawn by torch's generator of the device, which a resumed run restores.

    Args:
        rows, length: the shape of a batch, padded on the right.
        share: the largest share of a row's tokens that a gap precedes; each row draws its own between 0 and this, so
            that some rows stay as they are at sampling.

    Returns:
        (rows, length) int64. A step is 1, or 2 to `LONGEST_GAP` where a gap is.
    """
    own = share * torch.rand(rows, 1, device=device)
    jumps = torch.rand(rows, length, device=device) < own
    gaps = torch.randint(1, LONGEST_GAP, (rows, length), device=device)
    return (1 + jumps * gaps).cumsum(1) - 1
