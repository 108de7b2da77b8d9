"use strict";
// A result as large as the window: wheel, pinch or buttons to come closer, drag to move, a seam between before and after.
const zoom = (() => {
  const dialog = document.getElementById("zoom");
  const stage = dialog.querySelector(".zoom-stage");
  const [after, before] = stage.querySelectorAll("img");
  const range = dialog.querySelector(".slide");
  const letters = [...document.querySelectorAll(".result")].map((result) => result.dataset.letter);
  const pointers = new Map();
  let [scale, x, y, current] = [1, 0, 0, 0];

  function draw() {
    const [width, height] = [stage.clientWidth, stage.clientHeight];
    x = Math.min(0, Math.max(width * (1 - scale), x));
    y = Math.min(0, Math.max(height * (1 - scale), y));
    after.style.transform = before.style.transform = `translate(${x}px, ${y}px) scale(${scale})`;
    const seam = ((range.value / 100) * width - x) / scale; // the seam stays where it is on the screen
    before.style.clipPath = `inset(0 ${Math.max(0, width - seam)}px 0 0)`;
  }

  function closer(factor, cx = stage.clientWidth / 2, cy = stage.clientHeight / 2) {
    const next = Math.min(8, Math.max(1, scale * factor));
    x = cx - ((cx - x) * next) / scale;
    y = cy - ((cy - y) * next) / scale;
    scale = next;
    draw();
  }

  function show(index) {
    current = (index + letters.length) % letters.length;
    const picture = document.querySelector(`#result-${letters[current]} .view img`);
    after.src = picture.src;
    after.alt = picture.alt;
    document.getElementById("zoom-letter").textContent = letters[current];
    draw();
  }

  function open(letter) {
    before.src = document.querySelector(".source img").src;
    [scale, x, y, range.value] = [1, 0, 0, 0];
    dialog.showModal();
    show(Math.max(0, letters.indexOf(letter)));
    if (!letter) range.value = 100; // the original itself
    draw();
  }

  const inside = (event) => [event.clientX - stage.getBoundingClientRect().left, event.clientY - stage.getBoundingClientRect().top];
  const actions = {
    previous: () => show(current - 1),
    next: () => show(current + 1),
    in: () => closer(1.5),
    out: () => closer(1 / 1.5),
    close: () => dialog.close(),
  };
  for (const button of dialog.querySelectorAll("[data-zoom]")) button.addEventListener("click", actions[button.dataset.zoom]);
  range.addEventListener("input", draw);
  window.addEventListener("resize", () => dialog.open && draw());
  stage.addEventListener("dragstart", (event) => event.preventDefault());
  stage.addEventListener("dblclick", (event) => closer(scale > 1 ? 0.01 : 2.5, ...inside(event)));
  stage.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      closer(Math.exp(-event.deltaY / 400), ...inside(event));
    },
    { passive: false },
  );
  stage.addEventListener("pointerdown", (event) => {
    stage.setPointerCapture(event.pointerId);
    pointers.set(event.pointerId, inside(event));
  });
  stage.addEventListener("pointermove", (event) => {
    const was = pointers.get(event.pointerId);
    if (!was) return;
    const now = inside(event);
    const other = [...pointers].find(([id]) => id !== event.pointerId)?.[1];
    if (other) {
      const apart = (point) => Math.hypot(point[0] - other[0], point[1] - other[1]);
      if (apart(was)) closer(apart(now) / apart(was), (now[0] + other[0]) / 2, (now[1] + other[1]) / 2);
    } else {
      [x, y] = [x + now[0] - was[0], y + now[1] - was[1]];
      draw();
    }
    pointers.set(event.pointerId, now);
  });
  for (const end of ["pointerup", "pointercancel"]) stage.addEventListener(end, (event) => pointers.delete(event.pointerId));
  dialog.addEventListener("keydown", (event) => {
    if (event.target === range && event.key.startsWith("Arrow")) return;
    const action = { ArrowLeft: "previous", ArrowRight: "next", "+": "in", "=": "in", "-": "out" }[event.key];
    if (action) actions[action]();
  });
  return { open };
})();
