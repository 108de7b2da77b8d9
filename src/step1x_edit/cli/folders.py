"""Where models lie on this machine: with the package, or where `step1x models pull` puts them."""

from __future__ import annotations

import os
from pathlib import Path


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


def find_version(name: str) -> str:
    """The version that a release is of; any other name as it is."""
    from step1x_edit.hub import RELEASES

    return RELEASES[name].preset if name in RELEASES else name
