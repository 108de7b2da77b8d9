"""The kinds of edit that can be made with an exact target, one file each."""

from step1x_edit.data.categories import (
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
from step1x_edit.data.categories.category import Category
from step1x_edit.types import EditCategory

__all__ = ["CATEGORIES", "Category"]

CATEGORIES: dict[EditCategory, Category] = {
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
