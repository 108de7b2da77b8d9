"use strict";
// Before/after: the original lies over a result and is cut off at a movable seam.
const slider = (() => {
  const source = document.querySelector(".source img");

  function build(result) {
    const frame = result.querySelector(".frame");
    const range = result.querySelector(".slide");
    const before = new Image();
    before.src = source.src;
    before.alt = "";
    before.className = "before-layer";
    const seam = document.createElement("span");
    seam.className = "seam";
    frame.append(before, seam);
    const move = (percent) => {
      range.value = percent;
      before.style.clipPath = `inset(0 ${100 - percent}% 0 0)`;
      seam.style.left = `${percent}%`;
    };
    const follow = (event) => {
      const box = frame.getBoundingClientRect();
      move(Math.max(0, Math.min(100, (100 * (event.clientX - box.left)) / box.width)));
    };
    range.addEventListener("input", () => move(range.value));
    frame.addEventListener("pointermove", (event) => {
      if (frame.classList.contains("sliding") && (event.pointerType === "mouse" || event.buttons)) follow(event);
    });
    frame.addEventListener("pointerdown", (event) => frame.classList.contains("sliding") && follow(event));
    frame.addEventListener("dragstart", (event) => event.preventDefault());
    move(50);
    return { before, seam };
  }

  function toggle(result) {
    result.layers ??= build(result);
    const frame = result.querySelector(".frame");
    const on = frame.classList.toggle("sliding");
    result.layers.before.hidden = result.layers.seam.hidden = !on;
    result.querySelector(".slide").hidden = !on;
    result.querySelector("[data-does=compare]").setAttribute("aria-pressed", on);
  }

  return { toggle };
})();
