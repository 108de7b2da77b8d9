"""Systems that need no service: leaving the picture as it is, our own editor, and a folder of pictures that something else made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from step1x_edit.bench.calls import Refused
from step1x_edit.bench.gedit import BenchCase, find_picture, place_result
from step1x_edit.bench.systems.system import Edited, Settings, name_folder
from step1x_edit.errors import ImageError, UsageError
from step1x_edit.image_io import read_image
from step1x_edit.types import EditRequest

if TYPE_CHECKING:
    from step1x_edit.editor import Editor


class LeaveAsIs:
    """The baseline that every editor must beat: it does nothing."""

    name = "leave-as-is"
    concurrency = 2
    facts: Mapping[str, Any] = {}

    def edit(self, case: BenchCase, picture: Image.Image, seed: int) -> Edited:
        """The picture itself."""
        return Edited(picture, model=self.name)


class Own:
    """Our own editor, any checkpoint."""

    concurrency = 1

    def __init__(self, name: str, editor: Editor, options: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        self.name = name
        self.editor = editor
        self.options = options
        self.facts = {**facts, "options": dict(options)} if options else facts

    def edit(self, case: BenchCase, picture: Image.Image, seed: int) -> Edited:
        """One edit, with the model's own steps, guidance and size where the options name none."""
        try:
            EditRequest(picture, case.instruction)
        except UsageError as error:  # what is wrong with this case alone, not with the options
            raise Refused(str(error)) from error
        return Edited(self.editor.edit(picture, case.instruction, seed=seed, **self.options).image, model=self.name)


class Folder:
    """Pictures that another tool made, in the published layout or named by language and key."""

    concurrency = 2

    def __init__(self, folder: Path) -> None:
        if not folder.is_dir():
            raise UsageError(f"There is no folder {folder}; give one with edited pictures.")
        self.folder = folder
        self.name = name_folder(folder.resolve().name)
        self.facts: Mapping[str, Any] = {"folder": str(folder)}

    def edit(self, case: BenchCase, picture: Image.Image, seed: int) -> Edited:
        """The case's picture."""
        places = (
            place_result(self.folder, case.name),
            self.folder / case.task / case.language / f"{case.key}.png",
            self.folder / case.language / f"{case.key}.png",
            self.folder / f"{case.key}_{case.language}.png",
        )
        found = next((path for place in places if (path := find_picture(place))), None)
        if found is None:
            raise Refused("the folder holds no picture of this case")
        try:
            return Edited(read_image(found).image, model=self.name)
        except ImageError as error:
            raise Refused(str(error)) from error


OPTIONS: Mapping[str, type] = {"steps": int, "guidance": float, "size": int}
"""What our own editor may be told with --option."""


def leave_as_is(settings: Settings) -> LeaveAsIs:
    """See `LeaveAsIs`."""
    _check_options("leave-as-is", settings.options, {})
    return LeaveAsIs()


def own(settings: Settings) -> Own:
    """See `Own`."""
    assert settings.open_editor is not None
    _check_options("step1x", settings.options, OPTIONS)
    model = settings.model or "mini"
    editor, facts = settings.open_editor(model)
    return Own(f"step1x-{name_folder(model)}", editor, settings.options, {"model": model, **facts})


def folder(settings: Settings) -> Folder:
    """See `Folder`."""
    _check_options("folder", settings.options, {})
    return Folder(Path(settings.model))


def _check_options(system: str, given: Mapping[str, Any], known: Mapping[str, type]) -> None:
    for name, value in given.items():
        if name not in known:
            able = f"it takes {', '.join(known)}" if known else "it takes none"
            raise UsageError(f"The system {system} has no option {name}; {able}.")
        if isinstance(value, bool) or not isinstance(value, int if known[name] is int else (int, float)):
            raise UsageError(f"The option {name} must be a number, not {value!r}.")
