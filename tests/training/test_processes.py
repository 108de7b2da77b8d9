"""Which tensors travel together between processes, and what one process alone makes of sharing."""

from __future__ import annotations

import itertools

import torch
from hypothesis import given
from hypothesis import strategies as st

from step1x_edit.training.processes import ALONE, MESSAGE, together


@given(st.lists(st.tuples(st.integers(0, 2 * MESSAGE), st.sampled_from([torch.float32, torch.bfloat16])), max_size=12))
def test_messages_hold_all_tensors_in_order_and_none_is_too_long(sizes: list[tuple[int, torch.dtype]]) -> None:
    tensors = [torch.empty(size, dtype=dtype, device="meta") for size, dtype in sizes]
    messages = list(together(tensors))
    assert [id(tensor) for message in messages for tensor in message] == [id(tensor) for tensor in tensors]
    for message in messages:
        assert len(message) == 1 or sum(tensor.numel() for tensor in message) <= MESSAGE
        assert len({tensor.dtype for tensor in message}) == 1
    for one, next_one in itertools.pairwise(messages):  # no message ends before it must
        full = sum(tensor.numel() for tensor in one) + next_one[0].numel() > MESSAGE
        assert full or one[0].dtype is not next_one[0].dtype


def test_alone_all_the_work_is_ones_own() -> None:
    items = [torch.full((2, 3), float(n)) for n in range(3)]
    assert [float(each.sum()) for each in ALONE.share_out(lambda item: item * 2, items)] == [0.0, 12.0, 24.0]
