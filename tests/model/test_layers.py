"""Each formula against a second, naive implementation that follows its definition number by number."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from step1x_edit.model.layers import (
    QUERY_ROWS,
    DoubleBlock,
    FinalLayer,
    Modulation,
    QKNorm,
    Rope,
    SelfAttention,
    Signal,
    SingleBlock,
    attend,
    embed_time,
    modulate,
    split_heads,
)

Draw = Callable[..., Tensor]
AXES, THETA = (4, 6, 6), 100.0


def turn_naively(x: Tensor, ids: Tensor) -> Tensor:
    """One head [L, K]: neighbouring channels are a complex number, multiplied by exp(i position / theta^(2k/size))."""
    result = torch.empty_like(x)
    for token in range(len(x)):
        channel = 0
        for axis, size in enumerate(AXES):
            for k in range(size // 2):
                angle = float(ids[token, axis]) / THETA ** (2 * k / size)
                z = complex(float(x[token, channel]), float(x[token, channel + 1])) * cmath.exp(1j * angle)
                result[token, channel], result[token, channel + 1] = z.real, z.imag
                channel += 2
    return result


def attend_naively(q: Tensor, k: Tensor, v: Tensor, visible: list[bool]) -> Tensor:
    """One head [L, K]: softmax of scaled products over the visible keys, sum by sum."""
    result = torch.zeros_like(v)
    for i in range(len(q)):
        scores = [math.exp(float(q[i] @ k[j]) / math.sqrt(q.shape[1])) if visible[j] else 0.0 for j in range(len(k))]
        for j, score in enumerate(scores):
            result[i] += score / sum(scores) * v[j]
    return result


def norm_naively(x: Tensor, scale: Tensor) -> Tensor:
    return torch.stack([row / math.sqrt(float(row.square().mean()) + 1e-6) * scale for row in x])


def modulate_naively(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    rows = [(row - row.mean()) / math.sqrt(float(row.var(correction=0)) + 1e-6) * (1 + scale) + shift for row in x]
    return torch.stack(rows)


def gelu_naively(x: Tensor) -> Tensor:
    return 0.5 * x * (1 + torch.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))


def test_rope_turns_neighbouring_channels(draw: Draw) -> None:
    x, ids = draw(2, 3, 5, 16), draw(2, 5, 3, seed=2) * 7
    turned = Rope.of(ids, AXES, THETA).turn(x)
    for b in range(2):
        for h in range(3):
            torch.testing.assert_close(turned[b, h], turn_naively(x[b, h], ids[b]))


def test_products_of_turned_vectors_depend_on_the_distance_alone(draw: Draw) -> None:
    x = draw(1, 1, 2, 16)
    near, far = (torch.tensor([[[0.0, 2, 3], [0, 5, 9]]]) + shift for shift in (0, 40))
    products = []
    for ids in (near, far):
        q, k = Rope.of(ids, AXES, THETA).turn(x)[0, 0]
        products.append(q @ k)
    torch.testing.assert_close(*products, rtol=1e-4, atol=1e-4)


def test_rope_computes_in_float32(draw: Draw) -> None:
    x, rope = draw(1, 2, 3, 16), Rope.of(draw(1, 3, 3) * 50, AXES, THETA)
    assert torch.equal(rope.turn(x.bfloat16()), rope.turn(x.bfloat16().float()))


def test_attention_sees_the_visible_keys_alone(draw: Draw) -> None:
    q, k, v = (draw(2, 3, 5, 8, seed=s) for s in range(3))
    visible = torch.tensor([[True] * 5, [True, False, True, False, True]])
    result = attend(q, k, v, visible[:, None, None, :])
    for b in range(2):
        heads = [attend_naively(q[b, h], k[b, h], v[b, h], visible[b].tolist()) for h in range(3)]
        torch.testing.assert_close(result[b], torch.cat(heads, dim=-1))


def test_heads_are_split_queries_first(draw: Draw) -> None:
    fused = draw(2, 4, 3 * 6)
    q, k, v = split_heads(fused, heads=2)
    for i, part in enumerate((q, k, v)):
        for h in range(2):
            torch.testing.assert_close(part[:, h], fused[..., 6 * i + 3 * h : 6 * i + 3 * h + 3])


def test_time_embedding(draw: Draw) -> None:
    expected = [math.cos(1000 * 0.61 * 10000 ** (-k / 128)) for k in range(128)]
    expected += [math.sin(1000 * 0.61 * 10000 ** (-k / 128)) for k in range(128)]
    torch.testing.assert_close(embed_time(torch.tensor([0.61]))[0], torch.tensor(expected), rtol=0, atol=2e-4)


def test_modulation_is_three_tensors_a_use(draw: Draw, randomise: Callable[..., None]) -> None:
    modulation = Modulation(6, parts=2)
    randomise(modulation)
    vector = draw(3, 6)
    silu = vector / (1 + torch.exp(-vector))
    whole = silu @ modulation.lin.weight.T + modulation.lin.bias
    parts = modulation(Signal(vector))
    assert len(parts) == 6
    for i, part in enumerate(parts):
        torch.testing.assert_close(part, whole[:, None, 6 * i : 6 * i + 6])


def test_modulate_normalises_then_scales_and_shifts(draw: Draw) -> None:
    x, shift, scale = draw(2, 3, 6) * 5 + 2, draw(2, 1, 6, seed=2), draw(2, 1, 6, seed=3)
    for b in range(2):
        torch.testing.assert_close(modulate(x, shift, scale)[b], modulate_naively(x[b], shift[b, 0], scale[b, 0]))


def project_naively(attention: SelfAttention, x: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """Queries, keys, values [L, K] of each head."""
    size = x.shape[1] // attention.heads
    fused = x @ attention.qkv.weight.T + attention.qkv.bias
    heads = []
    for h in range(attention.heads):
        q, k, v = (fused[:, x.shape[1] * i + size * h :][:, :size] for i in range(3))
        norm: QKNorm = attention.norm
        heads.append((norm_naively(q, norm.query_norm.scale), norm_naively(k, norm.key_norm.scale), v))
    return heads


@torch.no_grad()
def test_double_block(draw: Draw, randomise: Callable[..., None]) -> None:
    block = DoubleBlock(32, heads=2, ratio=2.0, bias=True)
    randomise(block)
    text, image, signal = draw(1, 3, 32), draw(1, 4, 32, seed=2), Signal(draw(1, 32, seed=3))
    ids = draw(1, 7, 3, seed=4) * 5
    got_image, got_text = block(image, text, signal, Rope.of(ids, AXES, THETA), None)

    t = [m[0, 0] for m in block.txt_mod(signal)]
    i = [m[0, 0] for m in block.img_mod(signal)]
    of_text = project_naively(block.txt_attn, modulate_naively(text[0], t[0], t[1]))
    of_image = project_naively(block.img_attn, modulate_naively(image[0], i[0], i[1]))
    joined = []
    for (tq, tk, tv), (iq, ik, iv) in zip(of_text, of_image, strict=True):
        q, k = turn_naively(torch.cat([tq, iq]), ids[0]), turn_naively(torch.cat([tk, ik]), ids[0])
        joined.append(attend_naively(q, k, torch.cat([tv, iv]), [True] * 7))
    attended = torch.cat(joined, dim=-1)

    def finish(x: Tensor, part: Tensor, m: list[Tensor], attention: SelfAttention, mlp: torch.nn.Sequential) -> Tensor:
        x = x + m[2] * (part @ attention.proj.weight.T + attention.proj.bias)
        inner = gelu_naively(modulate_naively(x, m[3], m[4]) @ mlp[0].weight.T + mlp[0].bias)
        return x + m[5] * (inner @ mlp[2].weight.T + mlp[2].bias)

    torch.testing.assert_close(got_text[0], finish(text[0], attended[:3], t, block.txt_attn, block.txt_mlp), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(got_image[0], finish(image[0], attended[3:], i, block.img_attn, block.img_mlp), rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_single_block(draw: Draw, randomise: Callable[..., None]) -> None:
    block = SingleBlock(32, heads=2, ratio=2.0)
    randomise(block)
    x, signal, ids = draw(1, 5, 32), Signal(draw(1, 32, seed=2)), draw(1, 5, 3, seed=3) * 5
    got = block(x, signal, Rope.of(ids, AXES, THETA), None)

    shift, scale, gate = (m[0, 0] for m in block.modulation(signal))
    fused = modulate_naively(x[0], shift, scale) @ block.linear1.weight.T + block.linear1.bias
    heads = []
    for h in range(2):
        q, k, v = (fused[:, 32 * i + 16 * h :][:, :16] for i in range(3))
        q, k = norm_naively(q, block.norm.query_norm.scale), norm_naively(k, block.norm.key_norm.scale)
        heads.append(attend_naively(turn_naively(q, ids[0]), turn_naively(k, ids[0]), v, [True] * 5))
    both = torch.cat([*heads, gelu_naively(fused[:, 96:])], dim=-1)
    expected = x[0] + gate * (both @ block.linear2.weight.T + block.linear2.bias)
    torch.testing.assert_close(got[0], expected, rtol=1e-4, atol=1e-5)


@torch.no_grad()
def test_final_layer_takes_shift_before_scale(draw: Draw, randomise: Callable[..., None]) -> None:
    layer = FinalLayer(6, 4)
    randomise(layer)
    x, vector = draw(1, 3, 6), draw(1, 6, seed=2)
    shift, scale = layer.adaLN_modulation(vector)[0].split(6)
    expected = modulate_naively(x[0], shift, scale) @ layer.linear.weight.T + layer.linear.bias
    torch.testing.assert_close(layer(x, Signal(vector))[0], expected)


def test_attention_by_rows_is_attention(draw: Draw) -> None:
    """As CPUs compute it in bfloat16; the last rows are fewer than those that are taken at a time."""
    q, k, v = (draw(2, 3, QUERY_ROWS + 44, 16, seed=s).bfloat16() for s in range(3))
    with torch.no_grad():
        found = attend(q, k, v, None).float()
    exact = torch.nn.functional.scaled_dot_product_attention(q.float(), k.float(), v.float()).transpose(1, 2).flatten(2)
    assert found.shape == exact.shape and float((found - exact).square().mean().sqrt() / exact.std()) < 0.02


@pytest.mark.parametrize("tokens", [5, 1100])
@pytest.mark.parametrize("hidden", [False, True])
def test_attention_that_is_learned_through_has_the_gradients_of_attention(draw: Draw, tokens: int, hidden: bool) -> None:
    """As CPUs compute it in bfloat16, with the scores kept, or, of many tokens, without."""
    given = [draw(2, 2, tokens, 16, seed=s) for s in range(3)]
    visible = (torch.arange(tokens) % 3 > 0).expand(2, 1, 1, tokens) if hidden else None
    way = draw(2, tokens, 32, seed=3)
    found, exact = [[x.to(dtype).requires_grad_() for x in given] for dtype in (torch.bfloat16, torch.float32)]
    attend(*found, visible).float().mul(way).sum().backward()
    attended = torch.nn.functional.scaled_dot_product_attention(*exact, attn_mask=visible)
    attended.transpose(1, 2).flatten(2).mul(way).sum().backward()
    for one, other in zip(found, exact, strict=True):
        assert one.grad is not None and other.grad is not None
        assert float((one.grad.float() - other.grad).norm() / other.grad.norm()) < 0.03
