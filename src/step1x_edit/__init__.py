"""Edit images by instruction: the system of "Step1X-Edit: A Practical Framework for General Image Editing" (2504.17761).

    from step1x_edit import Editor

    result = Editor.open("mini").edit(image, "make it night", seed=1)
    result.image.save("night.png")

The four names below are the whole public Python interface. They are imported when first used, so that importing the
package, or asking the command for help, loads neither torch nor transformers.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from step1x_edit.editor import Editor
    from step1x_edit.types import EditCategory, EditRequest, EditResult

__all__ = ["EditCategory", "EditRequest", "EditResult", "Editor"]
__version__ = "0.1.0"

_HOME = {"Editor": "editor", "EditCategory": "types", "EditRequest": "types", "EditResult": "types"}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
