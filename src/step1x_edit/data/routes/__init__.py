"""Routes from a real photograph to an edit of what stands in it, one file each, as the paper's pipeline has them."""

from step1x_edit.data.routes import (
    addition,
    background,
    colour,
    material,
    motion,
    portrait,
    removal,
    replacement,
    style,
    text,
    tone,
)
from step1x_edit.data.routes.route import Route, Unsuited
from step1x_edit.types import EditCategory

__all__ = ["ROUTES", "Route", "Unsuited"]

ROUTES: dict[EditCategory, Route] = {
    EditCategory.SUBJECT_ADDITION: addition.make,
    EditCategory.SUBJECT_REMOVAL: removal.make,
    EditCategory.SUBJECT_REPLACEMENT: replacement.make,
    EditCategory.BACKGROUND_CHANGE: background.make,
    EditCategory.COLOR_ALTERATION: colour.make,
    EditCategory.MATERIAL_MODIFICATION: material.make,
    EditCategory.TEXT_MODIFICATION: text.make,
    EditCategory.MOTION_CHANGE: motion.make,
    EditCategory.PORTRAIT_EDITING: portrait.make,
    EditCategory.STYLE_TRANSFER: style.make,
    EditCategory.TONE_TRANSFORMATION: tone.make,
}
