from __future__ import annotations

from dataclasses import replace

import torch

from step1x_edit.model.records import Embedding, Grid


def test_a_grid_counts_its_tokens() -> None:
    assert Grid(3, 5).tokens == 15


def test_padding_is_masked(embedding: Embedding) -> None:
    whole = replace(embedding, ids_BLA=torch.ones(1, 7, 3), quoted_BLC=embedding.tokens_BLC, quoted_mask_BL=embedding.mask_BL)
    padded = whole.padded(9)
    assert padded.tokens_BLC.shape[1] == 9 and padded.ids_BLA is not None and padded.ids_BLA.shape == (1, 9, 3)
    assert padded.mask_BL.tolist() == [[True] * 7 + [False] * 2, [True] * 4 + [False] * 5]
    assert padded.quoted_mask_BL is not None and not padded.quoted_mask_BL[:, 7:].any()
    torch.testing.assert_close(padded.tokens_BLC[:, :7], whole.tokens_BLC)
    assert whole.padded(5).tokens_BLC.shape == whole.tokens_BLC.shape


def test_a_type_is_given_to_what_is_computed_with(embedding: Embedding) -> None:
    whole = replace(embedding, ids_BLA=torch.ones(1, 7, 3), quoted_BLC=embedding.tokens_BLC, quoted_mask_BL=embedding.mask_BL)
    moved = whole.to("cpu", torch.bfloat16)
    assert moved.quoted_BLC is not None and moved.ids_BLA is not None
    assert moved.tokens_BLC.dtype == moved.quoted_BLC.dtype == torch.bfloat16
    assert moved.mask_BL.dtype == torch.bool and moved.ids_BLA.dtype == torch.float32
    assert embedding.to(dtype=torch.bfloat16).quoted_BLC is None
