"""Classifier-free guidance: go further in the direction in which the instruction moves the velocity."""

from __future__ import annotations

import torch
from torch import Tensor

EXPONENT = 0.4


def combine(conditional_BND: Tensor, unconditional_BND: Tensor, guidance: float, limited: bool = False) -> Tensor:
    """unconditional + guidance * difference; with `limited`, differences longer than 1 are shortened first.

    Args:
        conditional_BND: velocity under the instruction.
        unconditional_BND: velocity under the empty instruction.
        guidance: weight of the difference; 1 gives the conditional velocity back (when not limited).
        limited: divide each token's difference by its length to the power 0.4 where that length is over 1.

    Source: reference facts, "v1.1: for t > 0.93 the guidance difference is divided by max(1, norm)^0.4 per token".
    """
    difference = conditional_BND - unconditional_BND
    if limited:
        length = torch.linalg.vector_norm(difference, dim=-1, keepdim=True)
        difference = difference / length.clamp_min(1.0) ** EXPONENT
    return unconditional_BND + guidance * difference
