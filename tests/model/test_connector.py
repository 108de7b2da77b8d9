"""What is known of the connector: its mask, its mean, its scale, its time, and the quoted characters of v1.2."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor

from step1x_edit.model.connector import Connector
from step1x_edit.model.layers import embed_time
from step1x_edit.model.presets import Preset
from step1x_edit.model.records import Embedding
from step1x_edit.model.step1x_edit import Step1XEdit

Draw = Callable[..., Tensor]


@pytest.fixture
def connector(tiny_model: Callable[..., Step1XEdit]) -> Connector:
    return tiny_model("v1.0").connector


def test_the_vector_is_the_scaled_mean_of_the_real_tokens(connector: Connector, embedding: Embedding) -> None:
    assert connector.scale_factor is not None
    expected = []
    for tokens, real in zip(embedding.tokens_BLC, (7, 4), strict=True):
        mean = sum(tokens[i] for i in range(real)) / real * (1 + float(connector.scale_factor))
        expected.append(connector.global_proj_out.weight @ mean + connector.global_proj_out.bias)
    torch.testing.assert_close(connector(embedding, torch.tensor([0.2, 0.9])).vector_BV, torch.stack(expected))


def test_without_a_scale_the_vector_is_the_projected_mean(tiny_model: Callable[..., Step1XEdit], embedding: Embedding) -> None:
    connector = tiny_model("v1.1").connector
    expected = connector.global_proj_out(embedding.tokens_BLC[0].mean(0))
    torch.testing.assert_close(connector(embedding, torch.tensor([0.5, 0.5])).vector_BV[0], expected)


def test_time_changes_the_tokens_but_not_the_vector(connector: Connector, embedding: Embedding) -> None:
    early, late = connector(embedding, torch.tensor([0.9, 0.9])), connector(embedding, torch.tensor([0.1, 0.1]))
    torch.testing.assert_close(early.vector_BV, late.vector_BV, rtol=0, atol=0)
    assert (early.tokens_BLD - late.tokens_BLD).abs().max() > 1e-3


def test_time_is_taken_times_a_thousand(connector: Connector) -> None:
    first, _, second = connector.S.t_embedder.mlp
    waves = torch.cat([f(610.0 * 10000 ** (-torch.arange(128, dtype=torch.float64) / 128)) for f in (torch.cos, torch.sin)]).float()
    expected = second(torch.nn.functional.silu(first(waves)))
    torch.testing.assert_close(connector.S.t_embedder(torch.tensor([0.61]), torch.float32)[0], expected, rtol=0, atol=1e-3)
    assert embed_time(torch.tensor([0.61])).shape == (1, 256)


def test_padding_does_not_reach_the_real_tokens(connector: Connector, embedding: Embedding, draw: Draw) -> None:
    t = torch.tensor([0.5, 0.5])
    tokens = embedding.tokens_BLC.clone()
    tokens[1, 4:] = 100 * draw(3, tokens.shape[2], seed=9)
    before, after = connector(embedding, t), connector(replace(embedding, tokens_BLC=tokens), t)
    torch.testing.assert_close(before.tokens_BLD[1, :4], after.tokens_BLD[1, :4], rtol=0, atol=0)
    torch.testing.assert_close(before.vector_BV, after.vector_BV, rtol=0, atol=0)


def test_padding_sees_the_first_token_alone(tiny: Callable[[str], Preset], randomise: Callable[..., None], embedding: Embedding) -> None:
    connector = Connector(replace(tiny("v1.0").connector, depth=1), 10).requires_grad_(False)
    randomise(connector)
    t = torch.tensor([0.5, 0.5])
    before = connector(embedding, t).tokens_BLD[1, 5]
    for changed, reaches in ((0, True), (2, False)):
        tokens = embedding.tokens_BLC.clone()
        tokens[1, changed] += 1.0
        tokens[1, 1] -= 1.0  # so that the mean, which the gates depend on, stays
        moved = connector(replace(embedding, tokens_BLC=tokens), t).tokens_BLD[1, 5] - before
        assert (float(moved.abs().max()) > 1e-3) == reaches


def test_a_text_without_any_real_token_stays_finite(connector: Connector, embedding: Embedding) -> None:
    nothing = replace(embedding, mask_BL=torch.zeros_like(embedding.mask_BL))
    context = connector(nothing, torch.tensor([0.5, 0.5]))
    assert context.tokens_BLD.isfinite().all()
    torch.testing.assert_close(context.vector_BV, connector.global_proj_out.bias.expand(2, -1))


def test_a_batch_equals_its_rows(connector: Connector, embedding: Embedding) -> None:
    t = torch.tensor([0.2, 0.7])
    both = connector(embedding, t)
    short = Embedding(embedding.tokens_BLC[1:, :4], embedding.mask_BL[1:, :4])
    alone = connector(short, t[1:])
    torch.testing.assert_close(both.tokens_BLD[1:, :4], alone.tokens_BLD)
    torch.testing.assert_close(both.vector_BV[1:], alone.vector_BV)


def test_quoted_characters_are_added_after_the_refiner(tiny_model: Callable[..., Step1XEdit], embedding: Embedding, draw: Draw) -> None:
    connector, t = tiny_model("v1.2").connector, torch.tensor([0.5, 0.5])
    mapping = connector.text_token_mapping
    assert mapping is not None
    quoted = replace(embedding, quoted_BLC=draw(*embedding.tokens_BLC.shape, seed=3), quoted_mask_BL=torch.zeros_like(embedding.mask_BL))
    assert quoted.quoted_BLC is not None and quoted.quoted_mask_BL is not None
    quoted.quoted_mask_BL[0, 2] = True
    plain, mapped = connector(embedding, t), connector(quoted, t)
    expected = plain.tokens_BLD.clone()
    expected[0, 2] += mapping.weight @ quoted.quoted_BLC[0, 2] + mapping.bias
    torch.testing.assert_close(mapped.tokens_BLD, expected)
    torch.testing.assert_close(mapped.vector_BV, plain.vector_BV)
