"""How the page of `step1x ui` looks: colours that can be read, and what changes on a phone."""

from __future__ import annotations

import gradio as gr

THEME = gr.themes.Soft(
    primary_hue="teal",
    neutral_hue="slate",
    font=["ui-sans-serif", "system-ui", "sans-serif"],
    font_mono=["ui-monospace", "monospace"],
).set(
    body_text_color_subdued="*neutral_500",
    block_info_text_color="*neutral_500",
    block_label_text_color="*primary_700",
    block_label_background_fill_dark="*primary_700",
    block_title_text_color="*primary_700",
    block_title_background_fill_dark="*primary_700",
    button_primary_background_fill="*primary_700",
    button_primary_background_fill_dark="*primary_700",
    button_primary_background_fill_hover="*primary_800",
    button_primary_background_fill_hover_dark="*primary_800",
    button_primary_text_color="white",
    button_primary_text_color_dark="white",
)
"""With text that can be read, by WCAG's ratio of contrast, on a light screen and a dark one."""

STYLE = """
.gradio-container { max-width: min(1180px, 100%) !important; margin: 0 auto !important; }
#title h1 { margin-bottom: 0; font-weight: 650; letter-spacing: -0.01em; }
#title p { color: var(--body-text-color-subdued); margin-top: 2px; }
#status { min-height: 1.6em; }
#status p { color: var(--body-text-color-subdued); font-variant-numeric: tabular-nums; }
#ideas .label { display: none; }
footer { display: none !important; }
#turns, #turns .grid-wrap { height: auto !important; max-height: none; overflow: visible; }
#turns .grid-container { grid-template-columns: repeat(6, minmax(0, 1fr)) !important; }
#turns .caption-label { left: 0; right: 0; bottom: 0; max-width: none; margin: 0; padding: 2px 6px; border-radius: 0; font-size: 12px;
  line-height: 1.25; text-align: left; white-space: normal; overflow-wrap: anywhere; text-overflow: clip;
  display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; }
#turns .thumbnail-item[aria-current="true"] { outline: 3px solid var(--primary-600); outline-offset: -3px; }
@media (max-width: 760px) {
  #work, #folds { flex-direction: column; }
  #work > *, #folds > * { width: 100%; min-width: 0 !important; }
  #turns .grid-container { grid-template-columns: repeat(3, minmax(0, 1fr)) !important; }
  #upload, #upload .image-container { height: 200px !important; }
  #ideas { overflow: hidden; }
  #ideas .gallery { flex-wrap: nowrap; overflow-x: auto; scrollbar-width: none; }
  #ideas .gallery > * { flex: none; }
  #title p { font-size: 0.9em; }
}
"""
