"""Thin adapters over `Editor` for programs that have a manner of their own: diffusers, ComfyUI."""
