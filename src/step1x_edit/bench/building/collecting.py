"""From requests to candidates, one by one: skipped with a reason, recognised as a duplicate, or cleared and given to the reviewer."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from step1x_edit.bench.building.clearing import LEAST_LIKENESS, NOT_ALIKE, NotCleared, clear_request
from step1x_edit.bench.building.grouping import SAME_WORDING, alike, group_intents, guess_task, letter_groups
from step1x_edit.bench.building.lookalikes import SAME_PICTURE, PictureSearch
from step1x_edit.bench.building.requests import Request, Skipped
from step1x_edit.bench.building.store import PICTURES, Candidate, Store
from step1x_edit.bench.building.wording import reword
from step1x_edit.bench.gedit import TASKS
from step1x_edit.data.duplicates import hash_picture
from step1x_edit.data.tools.toolbox import Toolbox
from step1x_edit.errors import ImageError
from step1x_edit.image_io import write_image
from step1x_edit.thinking import Thinker

_TRIED_AGAIN = f"not cleared: {NOT_ALIKE}"


@dataclass
class Collected:
    """How many candidates there are: new and old ones together."""

    candidates: int = 0
    skipped: int = 0


def collect(
    requests: Iterable[Request | Skipped],
    store: Store,
    search: PictureSearch | None,
    tools: Toolbox,
    least: float = LEAST_LIKENESS,
    thinker: Thinker | None = None,
    progress: Callable[[Collected], None] = lambda state: None,
) -> Collected:
    """Turn requests into candidates; those that are in the store already are passed over, so the same call goes on after a kill.

    Requests that no public picture was enough like are tried again, since there may be others now, or less may be enough.

    Args:
        requests: see `read_requests`.
        store: where candidates are kept.
        search: see `clear_request`.
        tools: find faces, plates and text.
        least: see `clear_request`.
        thinker: sorts and rewords, see `reword`; None leaves that to rules and the reviewer.
        progress: told after each request.

    Raises:
        Step1XError: the thinker cannot be asked; the same call goes on with the request that it was asked about.
    """
    earlier = store.read()
    known = {each.request: each for each in earlier}
    number = max((each.number for each in earlier), default=-1)
    times: Counter[str] = Counter()  # the same request may come several times, and each counts
    taken = [(int(each.hash, 16), letter_groups(each.english or each.chinese)) for each in earlier if each.name]
    state = Collected(sum(bool(each.name) for each in earlier), sum(not each.name for each in earlier))
    for request in requests:
        name = f"{request.digest}/{times[request.digest]}"
        times[request.digest] += 1
        before = known.get(name)
        if before is not None and before.reason != _TRIED_AGAIN:
            continue
        candidate = _take(request, store.folder, taken, search, tools, least, thinker)
        number += before is None
        store.add(replace(candidate, number=before.number if before else number, request=name))
        state.skipped -= before is not None
        state.candidates += bool(candidate.name)
        state.skipped += not candidate.name
        progress(state)
    _group(store)
    return state


def _take(
    request: Request | Skipped,
    folder: Path,
    taken: list[tuple[int, frozenset[str]]],
    search: PictureSearch | None,
    tools: Toolbox,
    least: float,
    thinker: Thinker | None,
) -> Candidate:
    if isinstance(request, Skipped):
        return _skip(request.reason)
    try:
        cleared = clear_request(request, search, tools, least)
    except NotCleared as error:
        return _skip(f"not cleared: {error}")
    except ImageError:  # whose sentence names the file
        return _skip("its picture cannot be read")
    value, groups = hash_picture(np.asarray(cleared.picture)), letter_groups(cleared.english or cleared.chinese)
    if any((value ^ other).bit_count() <= SAME_PICTURE and alike(groups, words) >= SAME_WORDING for other, words in taken):
        return _skip("a duplicate: the same picture and instruction came before")
    task = request.task if request.task in TASKS else guess_task(cleared.english, cleared.chinese)
    if thinker is not None:
        worded = reword(cleared, thinker)
        cleared, task = worded.cleared, worded.task or task
    name = secrets.token_hex(8)
    write_image(cleared.picture, folder / PICTURES / f"{name}.png")
    taken.append((value, groups))
    return Candidate(
        number=0,
        name=name,
        state="open",
        reason="",
        task=task,
        english=cleared.english,
        chinese=cleared.chinese,
        replaced=cleared.replaced,
        likeness=cleared.likeness,
        hidden=cleared.hidden,
        questions=cleared.questions,
        hash=f"{value:x}",
    )


def _skip(reason: str) -> Candidate:
    return Candidate(0, "", "skipped", reason)


def _group(store: Store) -> None:
    candidates = [each for each in store.read() if each.name]
    numbers = group_intents([each.english or each.chinese for each in candidates])
    store.group({each.number: number for each, number in zip(candidates, numbers, strict=True)})
