"""What gradio leaves unsaid to those who do not see the page of `step1x ui`, out of reach of those who use keys alone, and unread of a kind
of picture that their browser does not know."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

CURRENT = "▸ "
"""What stands before the words of the turn that is shown."""

_SCRIPT = """() => {
  const [photos, now] = [PHOTOS, CURRENT];
  const all = (selector) => [...document.querySelectorAll(selector)];

  function tell(grip) {
    const [frame, at] = [grip.parentElement, grip].map((element) => element.getBoundingClientRect());
    grip.setAttribute("aria-valuenow", Math.round((100 * (at.left + at.width / 2 - frame.left)) / frame.width));
  }

  function slide(event) {  // gradio knows of the mouse alone
    const step = { ArrowLeft: -0.05, ArrowRight: 0.05 }[event.key];
    if (!step) return;
    event.preventDefault();
    const grip = event.currentTarget;
    const at = grip.getBoundingClientRect();
    const [from, clientY] = [at.left + at.width / 2, at.top + at.height / 2];
    const to = from + step * grip.parentElement.clientWidth;
    for (const [target, kind, clientX] of [[grip, "mousedown", from], [window, "mousemove", to], [window, "mouseup", to]]) {
      target.dispatchEvent(new MouseEvent(kind, { view: window, bubbles: true, cancelable: true, clientX, clientY }));
    }
    requestAnimationFrame(() => tell(grip));
  }

  function say() {
    all("#status").forEach((status) => status.setAttribute("role", "status"));
    all("#photos button").forEach((button, index) => button.setAttribute("aria-label", photos[index]));
    all("#compare img").forEach((picture, index) => (picture.alt = index ? "After" : "Before"));
    all("#turns .thumbnail-item").forEach((button, index, turns) => {
      const words = button.querySelector(".caption-label")?.textContent.trim() ?? "";
      const current = words.startsWith(now);
      button.setAttribute("aria-label", `${current ? words.slice(now.length) : words}, ${index + 1} of ${turns.length}`);
      button.setAttribute("aria-current", String(current));
    });
    for (const words of all("#ideas button, #turns .thumbnail-item")) words.lang = /\\p{Script=Han}/u.test(words.textContent) ? "zh" : "en";
    for (const grip of all("#compare .outer:not([tabindex])")) {
      const named = { role: "slider", tabindex: 0, "aria-label": "Before and after", "aria-valuemin": 0, "aria-valuemax": 100 };
      for (const [name, value] of Object.entries(named)) grip.setAttribute(name, value);
      tell(grip);
      grip.addEventListener("focus", () => tell(grip));
      grip.addEventListener("keydown", slide);
    }
  }

  // Gradio takes only what the browser knows for a picture, and many browsers know no HEIC: such a file is for the server to judge.
  function offer(files) {
    const carried = new DataTransfer();
    for (const file of files) carried.items.add(file.type ? file : new File([file], file.name, { type: "image/unknown" }));
    return carried;
  }
  const strange = (box, files) => box.closest?.("#upload") && [...(files ?? [])].some((file) => !file.type);
  document.addEventListener("change", ({ target }) => strange(target, target.files) && (target.files = offer(target.files).files), true);
  document.addEventListener("drop", (event) => {
    if (!strange(event.target, event.dataTransfer?.files)) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    const carried = { dataTransfer: offer(event.dataTransfer.files), bubbles: true, cancelable: true };
    event.target.dispatchEvent(new DragEvent("drop", carried));
  }, true);

  new MutationObserver(say).observe(document.body, { childList: true, characterData: true, subtree: true });
  say();
}"""


def make_script(photos: Sequence[Path]) -> str:
    """A function in JavaScript that the page calls once: it names what has no name, has changes read aloud, gives the seam keys, and
    has files of a kind that the browser does not know uploaded.

    Args:
        photos: the examples, in their order on the page.
    """
    names = [path.stem.replace("-", " ").replace("_", " ") for path in photos]
    return _SCRIPT.replace("PHOTOS", json.dumps(names)).replace("CURRENT", json.dumps(CURRENT))
