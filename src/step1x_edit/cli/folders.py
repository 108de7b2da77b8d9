"""Where models lie on this machine: with the package, or where `step1x models pull` puts them."""

from __future__ import annotations

import os
from pathlib import Path

from step1x_edit.errors import UsageError


def models_folder() -> Path:
    """Where fetched models go: STEP1X_MODELS, or a folder of the user's cache."""
    if chosen := os.environ.get("STEP1X_MODELS"):
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME")
    return (Path(cache) if cache else Path.home() / ".cache") / "step1x-edit" / "models"


def find_weights(name: str) -> Path | None:
    """The folder of a model that is here; None where it is not."""
    package = Path(__file__).parents[1] / "weights" / name
    if Path(name).name != name:
        return None
    return next((folder for folder in (package, models_folder() / name) if folder.is_dir()), None)


def need_weights(name: str) -> Path:
    """The folder of a model that is to be used.

    Raises:
        UsageError: there is no model of this name, or it has not been fetched.
    """
    from step1x_edit.hub import RELEASES

    if (folder := find_weights(name)) is not None:
        return folder
    if name not in RELEASES:
        raise UsageError(f"There is no model {name!r}; choose one of {', '.join(('mini', *RELEASES))}.")
    raise UsageError(f"The weights of {name} are not here; step1x models pull {name} fetches them, or give their folder with --weights.")


def check_version(name: str, folder: Path) -> None:
    """Whether the folder says of its weights that they are of the model of this name, if it says anything.

    Raises:
        UsageError: they are of another one.
        WeightsError: what it says is no description of a model.
    """
    from step1x_edit.model.presets import PRESETS
    from step1x_edit.model.weights import load_preset

    version = find_version(name)
    if version in PRESETS and (held := load_preset(folder, PRESETS[version]).name) != version and held in PRESETS:
        raise UsageError(f"{folder} holds {held}, not {name}; choose --model {held}, or another folder.")


def find_version(name: str) -> str:
    """The version that a release is of; any other name as it is."""
    from step1x_edit.hub import RELEASES

    return RELEASES[name].preset if name in RELEASES else name
