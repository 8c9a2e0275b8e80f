"""Tables of units that know how units are built: near codes of the scalar quantiser start out near.

Each unit's row is a free vector plus one vector for each digit of its code, so that a rare unit learns from all
units that share its digits (our choice; published tables are free vectors alone).
"""

import math

import torch
from torch import Tensor, nn

FREE_STD = 0.02
"""The free part starts small: what units share is learned first."""


def digits_of_units(levels: tuple[int, ...]) -> Tensor:
    """Which digits each unit has, as a 0/1 matrix [prod(levels), sum(levels)], in the quantiser's order of ids."""
    ids = torch.arange(math.prod(levels))
    columns, stride = [], 1
    for n_values in levels:
        columns.append(nn.functional.one_hot(ids // stride % n_values, n_values))
        stride *= n_values
    return torch.cat(columns, dim=1).float()


class UnitEmbedding(nn.Embedding):
    """Embedding of units with a part for each digit of the code."""

    digits: Tensor

    def __init__(self, levels: tuple[int, ...], dim: int):
        super().__init__(math.prod(levels), dim)
        nn.init.normal_(self.weight, std=FREE_STD)
        self.digit_rows = nn.Parameter(torch.randn(sum(levels), dim) / math.sqrt(len(levels)))
        self.register_buffer("digits", digits_of_units(levels), persistent=False)

    def forward(self, ids: Tensor) -> Tensor:
        """ids [...] -> [..., dim]."""
        return super().forward(ids) + self.digits[ids] @ self.digit_rows


class UnitHead(nn.Linear):
    """Scores of units with a part for each digit of the code."""

    digits: Tensor

    def __init__(self, dim: int, levels: tuple[int, ...]):
        super().__init__(dim, math.prod(levels))
        nn.init.normal_(self.weight, std=FREE_STD)
        self.digit_scores = nn.Linear(dim, sum(levels), bias=False)
        self.register_buffer("digits", digits_of_units(levels), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """x [..., dim] -> logits [..., n_units]."""
        return super().forward(x) + self.digit_scores(x) @ self.digits.T
