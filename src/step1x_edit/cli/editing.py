"""The work of `step1x edit`: one picture or many, with the model loaded once, and every result written as soon as it is there."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from step1x_edit.cli.batch import Job, number_names
from step1x_edit.cli.economy import Economy, Edits
from step1x_edit.cli.libraries import loading
from step1x_edit.cli.progress import edits_line
from step1x_edit.cli.reading import STREAM, read
from step1x_edit.cli.streams import writing_output
from step1x_edit.cli.thought import Thought
from step1x_edit.errors import ImageError, TakenError, UsageError

if TYPE_CHECKING:
    from step1x_edit.credentials import Credentials
    from step1x_edit.editor import Editor
    from step1x_edit.image_modes import Picture
    from step1x_edit.image_origins import Origin
    from step1x_edit.types import EditRequest, EditResult


@dataclass(frozen=True, kw_only=True)
class Task:
    """What is the same for all edits of a run: the model, and how results are written."""

    model: str
    weights: Path | None
    device: str | None
    dtype: str | None
    count: int
    then: tuple[str, ...]
    overwrite: bool
    raw: bool
    adapters: tuple[tuple[Path, float], ...]
    adapters_apart: bool
    thought: Thought | None
    settings: bool
    exif: bool
    economy: Economy
    credentials: Credentials | None
    wanted: str
    """The fingerprint of the weights that made the picture whose likeness is asked for, where it says one."""

    def open(self, request: EditRequest) -> Editor:
        """Load the model, for this request and others like it."""
        with loading():
            edits = Edits(request.size, (request.image is not None) + len(request.references), request.guidance)
            editor = self.economy.open(self.model, self.device, self.dtype, self.weights, edits)
        if self.wanted not in ("", editor.weights):
            _say_notes(
                [f"That edit was made with other weights of {self.model} ({self.wanted}; these are {editor.weights}): it will differ."]
            )
        if self.adapters:
            editor.use_adapters(self.adapters, merge=not self.adapters_apart)
        return editor

    def one(self, request: EditRequest, image: Path, out: Path | None, compare: Path | None, picture: Picture | None = None) -> None:
        """One picture: as many results as are asked for, and of the last one the further turns."""
        self._check(request, out)
        results = self.count + len(self.then)
        targets, beside = self._place(image, out, compare, results)
        _say_notes(picture.notes if picture else ())
        write = partial(self._write, origin=picture.origin if picture else None)
        written: list[EditResult] = []
        with edits_line(results * (1 + (request.refine is not None))) as (say, advance):
            say(f"Loading {self.model}")
            editor = self.open(request)
            say("Editing")
            made: Iterable[EditResult]
            if self.thought is not None:
                made = [self.thought.run(editor, request, targets[0], write, advance)]
            elif self.then:
                made = editor.edit_turns(request, [request.instruction, *self.then], advance)
            else:
                made = editor.edit_seeds(request, range(request.seed, request.seed + self.count), advance)
            for target, result in zip(targets, made, strict=True):
                if beside is None:
                    write(result, target)
                else:
                    _write_beside(partial(write, result), beside)
                written.append(result)
        if compare:
            self._compare(request, written, compare)
            if out != STREAM:
                _say_path(compare)

    def _check(self, request: EditRequest, out: Path | None) -> None:
        """Refuse what does not go together, and what cannot be written to standard output."""
        if self.thought is not None and (self.then or self.count > 1 or request.image is None):
            raise UsageError("Thinking makes one result of one picture; leave out --then, --count and --text-to-image.")
        if self.then and self.count > 1:
            raise UsageError("Several turns are made of one result; leave out either --then or --count.")
        for text in self.then:
            replace(request, instruction=text)  # which says what is wrong with it
        if out == STREAM and (self.count > 1 or self.then or self.thought is not None):
            raise UsageError("One result alone can go to standard output; leave out --count, --then and --think, or name a file.")
        if out == STREAM and (sys.stdout is None or sys.stdout.isatty()):
            raise UsageError("There is nothing that would take the picture on standard output; pipe it on, or name a file with --out.")

    def _place(self, image: Path, out: Path | None, compare: Path | None, results: int) -> tuple[list[Path], Path | None]:
        """Where results go; and the picture beside which they do, under the names that are free then, where no file is named."""
        from step1x_edit.image_io import check_target, free_names

        if image == STREAM:
            image = Path("stdin.png")
        if out not in (None, STREAM) and out.is_dir():
            image, out = out / image.name, None
        targets = number_names(out, results) if out else free_names(image, results)
        if compare is not None and compare.resolve() in [each.resolve() for each in targets]:
            raise UsageError(f"The comparison and a result would both be written to {compare}; give them different names.")
        further = [*([compare] if compare else []), *(self.thought.names(targets[0]) if self.thought else [])]
        for target in [*(each for each in targets if each != STREAM), *further]:
            check_target(target, self.overwrite)
        return targets, image if out is None else None

    def _compare(self, request: EditRequest, results: Sequence[EditResult], target: Path) -> None:
        from step1x_edit.comparison import side_by_side
        from step1x_edit.image_io import write_image

        before = [] if request.image is None else [request.image]
        after = [each.raw if self.raw else each.image for each in results]
        write_image(side_by_side([*before, *after], " → ".join([request.instruction, *self.then])), target, self.overwrite)

    def many(self, jobs: Sequence[Job], options: dict[str, Any]) -> None:
        """All jobs of a batch file with the model loaded once; results that are there are kept, so that a run can be taken up again."""
        from step1x_edit.types import EditRequest

        sources = {job.image.resolve() for job in jobs}
        for job in jobs:
            own = {job.image.resolve()} if self.overwrite else set[Path]()  # which is read before it is replaced; another's may not be
            for target in job.targets:
                if target.resolve() in sources - own:
                    raise UsageError(f"The result {target} would take the place of a picture; choose another folder with --out.")
        waiting = [job for job in jobs if self.overwrite or not all(target.exists() for target in job.targets)]
        if not self.overwrite:
            _say_kept(jobs)
        if not waiting:
            return
        with edits_line(sum(max(len(job.instructions), len(job.targets)) for job in waiting)) as (say, advance):
            for job in waiting:
                say(f"Checking {job.image.name}")
                picture = read(job.image).image
                for text in job.instructions:
                    request = EditRequest(picture, text, **options)  # whatever is wrong is said before any work is done
            for job in waiting:
                job.targets[0].parent.mkdir(parents=True, exist_ok=True)
            say(f"Loading {self.model}")
            editor = self.open(request)
            for job in waiting:
                if not self.overwrite and all(target.exists() for target in job.targets):
                    _say_notes([f"Another program has made the results of {job.image} meanwhile; they are kept."])
                    continue
                say(job.image.name)
                found = read(job.image)
                _say_notes(f"{job.image}: {note}" for note in found.notes)
                request = EditRequest(found.image, job.instructions[0], **options)
                if len(job.instructions) > 1:
                    *_, last = editor.edit_turns(request, job.instructions, advance)
                    self._write_new(last, job.targets[0], found.origin)
                    continue
                missing = {request.seed + i: target for i, target in enumerate(job.targets) if self.overwrite or not target.exists()}
                for result in editor.edit_seeds(request, list(missing), advance):
                    self._write_new(result, missing[result.request.seed], found.origin)

    def _write_new(self, result: EditResult, target: Path, origin: Origin | None) -> None:
        """As `_write`, of many results; what another run has made of the same folder meanwhile does for it."""
        try:
            self._write(result, target, origin)
        except TakenError:
            _say_notes([f"Another program has made {target} meanwhile; it is kept."])

    def _write(self, result: EditResult, target: Path, origin: Origin | None) -> None:
        from step1x_edit.image_io import encode_image, write_image
        from step1x_edit.settings import describe_edit

        picture = result.raw if self.raw else result.image
        record = describe_edit(result) if self.settings else None
        kept = origin if self.exif else None
        seal = None if self.credentials is None else partial(self.credentials.sign, request=result.request)
        if target == STREAM:
            data = encode_image(picture, "PNG", record, kept)
            sealed = data if seal is None else seal(data, "PNG")
            with writing_output():
                sys.stdout.buffer.write(sealed)
            _say_notes(result.notes)
            return
        _say_notes([*result.notes, *write_image(picture, target, self.overwrite, record, seal, kept)])
        _say_path(target)


def _write_beside(write: Callable[[Path], None], image: Path) -> None:
    """Write under the next free name, even if another takes it meanwhile."""
    from step1x_edit.image_io import free_names

    while True:
        (target,) = free_names(image)
        with suppress(TakenError):
            return write(target)


def _say_kept(jobs: Sequence[Job]) -> None:
    """How many results are there already, and how many of these say themselves that something else was asked for."""
    from step1x_edit.image_io import open_record
    from step1x_edit.image_records import PREFIX

    kept = [(target, job.instructions[-1]) for job in jobs for target in job.targets if target.exists()]
    others = 0
    for target, instruction in kept:
        with suppress(ImageError):  # what is no picture says nothing
            others += open_record(target).get(f"{PREFIX}instruction", instruction) != instruction
    if kept:
        count, different = sum(len(job.targets) for job in jobs), f", {others} of them of another instruction" if others else ""
        _say_notes([f"{len(kept)} of {count} results are there already and are kept{different}; --overwrite makes them anew."])


def _say_notes(notes: Iterable[str]) -> None:
    for note in notes:
        print(f"Note: {note}", file=sys.stderr)


def _say_path(path: Path) -> None:
    with writing_output():
        typer.echo(os.fsencode(path))  # as it is on the disk, whatever the terminal's encoding
