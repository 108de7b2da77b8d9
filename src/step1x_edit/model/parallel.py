"""One forward pass on several devices at once: guidance's two sides on different ones; where there are more, each side's tokens shared out.

    parallel = Parallel([torch.device("cuda:0"), torch.device("cuda:1")])
    parallel.decode((model, copy), ...)

Every device holds all of the DiT. All layers but attention treat each token by itself, so that a device computes them for its own tokens
alone; for attention it fetches the keys and values of the others. One process drives all devices, a thread each; what one device computes
and another one fetches is kept in order by PyTorch, which has copies between devices wait on both. Numbers are those of one device, but for
rounding.

Source: context parallelism by gathering keys and values, as in Llama 3 (2407.21783, 3.3.2). Choice: not in the paper.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from threading import Barrier, BrokenBarrierError, Lock
from types import TracebackType

import torch
from torch import Tensor

from step1x_edit.model.caching import Shortcuts, StepCache
from step1x_edit.model.dit import DiT, see_pictures
from step1x_edit.model.layers import Elsewhere, Rope, Signal
from step1x_edit.model.records import Context, map_tensors, take_rows

_NOTHING = torch.empty(0), torch.empty(0)


class Parallel:
    """Devices that compute together; holds no model, so that whoever holds both frees the model's memory at once when let go of."""

    def __init__(self, devices: Sequence[torch.device]) -> None:
        self._devices = tuple(devices)
        self._threads = ThreadPoolExecutor(len(devices), "device")
        self._one_at_a_time = Lock()  # a pass needs all threads at once

    def decode(
        self,
        models: Sequence[DiT],
        noisy_BNC: Tensor,
        reference_BMC: Tensor | None,
        context: Context,
        t_B: Tensor,
        rope: Rope,
        text_mask_BT: Tensor | None = None,
        cache: StepCache | None = None,
        wanted: int | None = None,
        signal: Signal | None = None,
    ) -> Tensor:
        """Predict for the noisy tokens, on the device that they are on: `DiT.decode` with `wanted` their number, by equal models, one on
        each device.

        Raises:
            UsageError: a cache is given, which would have to look at all tokens.
        """
        if cache is not None:
            Shortcuts(cache.kind).check(self._devices)
        assert wanted == noisy_BNC.shape[1]
        groups = math.gcd(len(noisy_BNC), len(self._devices))
        members = len(self._devices) // groups
        given = _Given(noisy_BNC, reference_BMC, context, t_B, rope, text_mask_BT, signal)
        tables = [_Table(take_rows(given, _share(len(noisy_BNC), group, groups)), members) for group in range(groups)]
        seats = [_Seat(table, place) for table in tables for place in range(members)]
        with self._one_at_a_time:
            try:
                places = zip(models, self._devices, seats, strict=True)
                work = [self._threads.submit(_work, model, device, seat) for model, device, seat in places]
                wait(work)
            finally:  # Ctrl-C may come before all have begun: the others would wait for them for ever
                for table in tables:
                    table.all_there.abort()
        if (failure := _find_failure(work)) is not None:
            try:
                raise failure
            finally:
                del failure, work  # else this frame and the failure would hold one another, and all that the devices had at work
        shares = [each.result().to(noisy_BNC.device) for each in work]
        return torch.cat([torch.cat(shares[i : i + members], dim=1) for i in range(0, len(shares), members)])


@dataclass(frozen=True)
class _Given:
    """What `DiT.decode` is given."""

    noisy_BNC: Tensor
    reference_BMC: Tensor | None
    context: Context
    t_B: Tensor
    rope: Rope
    text_mask_BT: Tensor | None
    signal: Signal | None

    def share(self, place: int, places: int) -> _Given:
        """One place's share of text, noisy and reference tokens."""
        text, noisy, _ = self.counts
        t, n, m = (_share(count, place, places) for count in self.counts)
        parts = [self.rope.part(first + own.start, first + own.stop).turns for first, own in ((0, t), (text, n), (text + noisy, m))]
        return replace(
            self,
            noisy_BNC=self.noisy_BNC[:, n],
            reference_BMC=None if self.reference_BMC is None else self.reference_BMC[:, m],
            context=Context(self.context.tokens_BLD[:, t], self.context.vector_BV),
            rope=Rope(torch.cat(parts, dim=2)),
            text_mask_BT=None if self.text_mask_BT is None else self.text_mask_BT[:, t],
        )

    @property
    def counts(self) -> tuple[int, int, int]:
        """Tokens of the text, of the noisy picture, and of the reference."""
        reference = 0 if self.reference_BMC is None else self.reference_BMC.shape[1]
        return self.context.tokens_BLD.shape[1], self.noisy_BNC.shape[1], reference

    def to(self, device: torch.device) -> _Given:
        """The same on another device, where the model has to make its modulation itself."""
        bare = replace(self, signal=self.signal and Signal(self.signal.vector_BD))
        return map_tensors(bare, lambda x: x.to(device))


def _work(model: DiT, device: torch.device, seat: _Seat) -> Tensor:
    """One device's part of the forward pass: what it predicts for its share of the noisy tokens."""
    with torch.inference_mode(), seat:
        own = seat.share.to(device)
        wanted, seen = own.noisy_BNC.shape[1], own.text_mask_BT if seat.alone else seat
        return model.decode(own.noisy_BNC, own.reference_BMC, own.context, own.t_B, own.rope, seen, None, wanted, own.signal)


def _find_failure(work: Sequence[Future[Tensor]]) -> BaseException | None:
    """That of the device that failed, if one did; the others only waited for it in vain."""
    failures = [failure for each in work if (failure := each.exception()) is not None]
    return min(failures, key=lambda each: isinstance(each, BrokenBarrierError), default=None)


class _Table:
    """Where devices that share some rows' tokens show one another what attention needs."""

    def __init__(self, given: _Given, places: int) -> None:
        self.shares = [given.share(place, places) for place in range(places)]
        masks = [see_pictures(share.text_mask_BT, sum(share.counts[1:])) for share in self.shares if share.text_mask_BT is not None]
        self.mask = torch.cat(masks, dim=3) if masks else None
        self.all_there = Barrier(places)
        self._shown = [[_NOTHING] * places, [_NOTHING] * places]

    def show(self, place: int, turn: int, k_BHLK: Tensor, v_BHLK: Tensor) -> list[tuple[Tensor, Tensor]]:
        """Show keys and values, and see those of all places, in their order.

        What was shown in the turn before stays, since others may still be looking; all have seen it before anybody comes to the next one.
        """
        shown = self._shown[turn % 2]
        shown[place] = k_BHLK, v_BHLK
        self.all_there.wait()
        return list(shown)


class _Seat(Elsewhere):
    """A device's place at the table for one forward pass, in which all attend equally often; who fails has the others stop waiting."""

    def __init__(self, table: _Table, place: int) -> None:
        self._table, self._place, self._turn, self._mask = table, place, 0, table.mask
        self.share = table.shares[place]
        self.alone = len(table.shares) == 1

    def gather(self, k_BHLK: Tensor, v_BHLK: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        """Those of all places, on this device."""
        shown, device = self._table.show(self._place, self._turn, k_BHLK, v_BHLK), k_BHLK.device
        self._turn += 1
        if self._mask is not None:
            self._mask = self._mask.to(device)  # for the first attention, and from then on as it is
        keys, values = (torch.cat([each.to(device) for each in parts], dim=2) for parts in zip(*shown, strict=True))
        return keys, values, self._mask

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if kind is not None:
            self._table.all_there.abort()


def _share(count: int, place: int, places: int) -> slice:
    """One of so many nearly equal parts."""
    return slice(count * place // places, count * (place + 1) // places)
