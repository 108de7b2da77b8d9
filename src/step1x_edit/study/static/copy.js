"use strict";
// Copy the private link with one click.
for (const button of document.querySelectorAll("[data-copies]")) {
  const field = document.getElementById(button.dataset.copies);
  button.hidden = false;
  button.addEventListener("click", async () => {
    field.select();
    if (navigator.clipboard) await navigator.clipboard.writeText(field.value);
    else document.execCommand("copy"); // pages without https have no clipboard
    button.textContent = button.dataset.done;
  });
  field.addEventListener("focus", () => field.select());
}
