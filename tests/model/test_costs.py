"""Arithmetic and memory counted from shapes, against formulas and against what a process really takes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from step1x_edit.model.costs import (
    Tokens,
    build_autoencoder,
    build_mllm,
    build_transformer,
    count,
    count_parameters,
    count_pictures,
    count_transformer,
    tokens_for,
)
from step1x_edit.model.presets import PRESETS, Preset
from step1x_edit.model.records import Grid


def empty(*shape: int) -> torch.Tensor:
    return torch.empty(*shape, device="meta")


def test_the_most_that_is_held_at_once() -> None:
    def work() -> torch.Tensor:
        a = empty(1000)  # 4,000 bytes
        b = a + 1  # 8,000
        b.mul_(2).view(10, 100)  # in place, and a view: nothing new
        c = torch.cat([a, b])  # 16,000
        del a, b  # 8,000
        return c[:10] + 1  # 8,040

    assert count(work).peak == 16_000


def test_products_are_counted_and_what_was_there_is_not() -> None:
    layer = nn.Linear(30, 20, device="meta")
    cost = count(lambda: layer(empty(7, 30)))
    assert (cost.flops, cost.peak) == (2 * 7 * 30 * 20, 4 * (7 * 30 + 7 * 20))


def test_attention_holds_no_table_of_pairs() -> None:
    q = empty(1, 2, 1000, 8)
    cost = count(lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q))
    assert (cost.flops, cost.peak) == (4 * 2 * 1000 * 1000 * 8, 4 * 2 * 1000 * 8)


def test_a_backward_pass_holds_what_it_needs() -> None:
    layers = nn.Sequential(*(nn.Linear(50, 50, device="meta") for _ in range(4)))

    def forward() -> None:
        layers(empty(10, 50))

    def both() -> None:
        layers(empty(10, 50)).sum().backward()

    once, twice = count(forward), count(both, grad=True)
    assert twice.flops == 3 * once.flops - 2 * 10 * 50 * 50  # no gradient of the input
    assert twice.peak > 4 * 50 * 50 * 4 > once.peak  # the gradients of the weights


def test_a_step_is_the_products_of_the_blocks(tiny: Callable[[str], Preset]) -> None:
    preset = tiny("v1.0")
    size, tokens, rows = preset.dit.hidden_size, Tokens(7, Grid(10, 10), 100), 2
    flops = count_transformer(preset, tokens, rows).flops
    blocks = preset.dit.depth + preset.dit.depth_single_blocks
    unwanted = tokens.all - tokens.noisy.tokens  # of which the last block computes keys and values, but no result
    spared = 2 * 5 * unwanted * size**2 + 4 * unwanted * tokens.all * size
    products = rows * (blocks * (2 * 12 * tokens.all * size**2 + 4 * tokens.all**2 * size) - spared)
    assert products < flops < 1.1 * products  # the rest: connector, modulation and both ends


def test_the_released_models_are_as_large_as_they_are() -> None:
    model, autoencoder = build_transformer(PRESETS["v1.0"]), build_autoencoder(PRESETS["v1.0"])
    assert count_parameters(model) == 12_427_800_385 and count_parameters(autoencoder) == 83_819_683
    assert round(count_parameters(build_mllm()) / 1e9, 2) == 8.29
    assert tokens_for(PRESETS["v1.1"], 1024).all == 640 + 2 * 64 * 64
    assert tokens_for(PRESETS["v1.2"], 1024, references=0).all == 512 + 64 * 64


def test_strips_need_less() -> None:
    whole, strips = (count_pictures(PRESETS["v1.0"], 512, 512, strip_rows=rows) for rows in (None, 16))
    assert strips.peak < 0.75 * whole.peak


MEASURE = """
from dataclasses import replace
import pytest
import torch
from step1x_edit.model.costs import Tokens, count_transformer
from step1x_edit.model.presets import PRESETS, ConnectorConfig, DiTConfig
from step1x_edit.model.records import Embedding, Grid
from step1x_edit.model.step1x_edit import Step1XEdit

def peak():  # getrusage would count the process that started this one
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

torch.set_num_threads(1)
torch.set_grad_enabled(False)
dit = DiTConfig(vec_in_dim=64, context_in_dim=64, hidden_size=256, num_heads=2, depth=1, depth_single_blocks=1)
preset = replace(PRESETS["v1.0"], dit=dit, connector=ConnectorConfig(in_channels=64, hidden_size=64, heads_num=2))
model = Step1XEdit(preset).eval()

def run(side):
    grid = Grid(side, side)
    words = Embedding(torch.randn(2, 64, 64), torch.ones(2, 64, dtype=torch.bool))
    model(torch.randn(2, grid.tokens, 64), torch.randn(2, grid.tokens, 64), words, torch.rand(2), grid)

run(8)
before = peak()
run(72)
print(peak() - before, count_transformer(preset, Tokens(64, Grid(72, 72), 72 * 72), 2, torch.float32).peak)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="this system does not say what a process takes")
def test_the_count_is_what_a_process_takes() -> None:
    done = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, timeout=120, check=True)
    measured, counted = map(int, done.stdout.split())
    assert counted > 150e6
    assert 0.75 * measured < counted < 1.25 * measured, (measured / 1e6, counted / 1e6)
