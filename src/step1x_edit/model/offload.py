"""Weights that wait in main memory until they are used: whole models, or their transformer blocks one at a time.

    waiting = Waiting(torch.device("cuda"))
    waiting.add(mllm.model, by_blocks=True)      # from now on its forward pass brings what it needs, and sends it back
    waiting.add(model, by_blocks=True)

While a block computes, the next one is fetched: on CUDA from pinned memory on a stream of its own, so that copying costs no time where
computing takes longer, and once the block before is done, so that there are never more than two. Weights never change, so that nothing is
ever copied back. The numbers are the same as without.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn

from step1x_edit.model.blocks import blocks_of


class Waiting:
    """The models that wait; one of them at a time is on the device, whole or but for its blocks."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self._inside: _Model | None = None

    def add(self, module: nn.Module, by_blocks: bool) -> None:
        """Send a model to main memory, and have each of its layers that is called bring it back."""
        model = _Model(module, self.device, by_blocks)
        for part in model.layers():
            part.register_forward_pre_hook(lambda *_: self._bring(model))

    def send_back(self) -> None:
        """Send to main memory whatever is on the device."""
        if self._inside is not None:
            self._inside.release()
            self._inside = None

    def _bring(self, model: _Model) -> None:
        if self._inside is not model:
            self.send_back()
            model.outside.bring(self.device)
            self._inside = model


class _Model:
    """One model: what is brought as a whole, and blocks that follow one another."""

    def __init__(self, module: nn.Module, device: torch.device, by_blocks: bool) -> None:
        self._device = device
        self._blocks = blocks_of(module) if by_blocks else []
        within = {id(part) for block in self._blocks for part in block.modules()}
        self._outside = [part for part in module.modules() if id(part) not in within]
        pinned = device.type == "cuda"
        self.outside = _Held(self._outside, pinned)
        self._held = [_Held(block.modules(), pinned) for block in self._blocks]
        self._stream = torch.cuda.Stream(device) if pinned and self._blocks else None
        self._left: Any = None  # told by CUDA once it has computed the block that was left last
        for i, block in enumerate(self._blocks):
            block.register_forward_pre_hook(lambda *_, i=i: self._enter(i))
            block.register_forward_hook(lambda *_, i=i: self._leave(i))

    def layers(self) -> list[nn.Module]:
        """The modules that have tensors of their own which are brought as a whole, and the blocks."""
        return [part for part in self._outside if any(True for _ in _own(part))] + self._blocks

    def release(self) -> None:
        """Send everything to main memory."""
        for held in (self.outside, *self._held):
            held.release()

    def _enter(self, i: int) -> None:
        after = (i + 1) % len(self._held)
        for j, held in enumerate(self._held):
            if j not in (i, after):
                held.release()  # fetched ahead, but another block was called: a cache leaves some out
        self._held[i].bring(self._device)
        if self._left is not None:
            self._left.synchronize()  # else what is fetched would run ahead of what is computed, and fill the device
        self._held[after].fetch(self._device, self._stream)

    def _leave(self, i: int) -> None:
        self._held[i].release()
        if self._stream is not None:
            self._left = torch.cuda.current_stream(self._device).record_event()


class _Held:
    """Tensors of some modules, whose home is main memory."""

    def __init__(self, parts: Iterable[nn.Module], pinned: bool) -> None:
        self._home = [(part, name, _pin(tensor) if pinned else tensor) for part in parts for name, tensor in _own(part)]
        self._here = False
        self._arrival: Any = None
        self._go_home()

    def bring(self, device: torch.device) -> None:
        """Have them on the device, waiting for those that are on their way."""
        if not self._here:
            self.fetch(device, None)
        if self._arrival is not None:
            stream = torch.cuda.current_stream(device)
            stream.wait_event(self._arrival)
            for part, name, _ in self._home:
                _tensor(part, name).record_stream(stream)  # else the memory could be given away while it is still read
            self._arrival = None

    def fetch(self, device: torch.device, stream: Any) -> None:
        """Start to copy them to the device, on a stream where there is one."""
        if self._here:
            return
        self._here = True
        if stream is None:
            for part, name, tensor in self._home:
                _place(part, name, tensor.to(device))
            return
        with torch.cuda.stream(stream):
            for part, name, tensor in self._home:
                _place(part, name, tensor.to(device, non_blocking=True))
            self._arrival = stream.record_event()

    def release(self) -> None:
        """Let go of the copies, if there are any."""
        if self._here:
            self._go_home()

    def _go_home(self) -> None:
        for part, name, tensor in self._home:
            _place(part, name, tensor)
        self._here, self._arrival = False, None


def _own(part: nn.Module) -> Iterable[tuple[str, Tensor]]:
    yield from part.named_parameters(recurse=False)
    yield from part.named_buffers(recurse=False)


def _tensor(part: nn.Module, name: str) -> Tensor:
    found = getattr(part, name)
    assert isinstance(found, Tensor)
    return found


def _place(part: nn.Module, name: str, tensor: Tensor) -> None:
    if name in part._parameters:
        part._parameters[name] = tensor if isinstance(tensor, nn.Parameter) else nn.Parameter(tensor, requires_grad=False)
    else:
        part._buffers[name] = tensor


def _pin(tensor: Tensor) -> Tensor:
    pinned = tensor.cpu().pin_memory()
    return nn.Parameter(pinned, requires_grad=False) if isinstance(tensor, nn.Parameter) else pinned
