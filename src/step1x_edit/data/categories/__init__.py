"""The kinds of edit that are composed, so that their targets are exact, one file each; `makers.MAKERS` lists them."""

from step1x_edit.data.categories import addition, background, colour, material, motion, portrait, removal, replacement, style, text, tone

__all__ = ["addition", "background", "colour", "material", "motion", "portrait", "removal", "replacement", "style", "text", "tone"]
