"use strict";
// The order of the results: tap chips from best to worst, drag them, or move them with the arrow keys; "=" ties.
// The state is a list of groups, best first; letters in one group share a place. The form's own fields are kept in step.
const ranking = (() => {
  const box = document.getElementById("ranking");
  const letters = [...document.querySelectorAll(".result")].map((result) => result.dataset.letter);
  const field = (letter) => document.querySelector(`[name=place_${letter}]`);
  const text = box.dataset;
  let groups = [];
  let held = null;

  const ranked = () => groups.flat();
  const placeOf = (letter) => groups.findIndex((group) => group.includes(letter)) + 1;
  const clean = () => (groups = groups.filter((group) => group.length));

  function remove(letter) {
    groups = groups.map((group) => group.filter((other) => other !== letter));
    clean();
  }

  // Put a letter before the chip with this index among the others; alone in its place.
  function insert(letter, index) {
    remove(letter);
    const order = ranked();
    if (index >= order.length) groups.push([letter]);
    else {
      const at = placeOf(order[index]) - 1;
      const inside = groups[at].indexOf(order[index]);
      if (inside > 0) groups.splice(at, 1, groups[at].slice(0, inside), [letter], groups[at].slice(inside));
      else groups.splice(at, 0, [letter]);
    }
    update();
  }

  function add(letter) {
    if (!placeOf(letter)) insert(letter, groups.length ? ranked().length : 0);
    focus(letter);
  }

  function takeOut(letter) {
    remove(letter);
    update();
    focus(letter);
  }

  function move(letter, step) {
    if (!placeOf(letter)) return;
    const at = ranked().indexOf(letter) + step;
    if (at >= 0 && at < ranked().length) insert(letter, at);
    focus(letter);
  }

  // Tie with the chip before, or part from it.
  function tie(letter) {
    const order = ranked();
    const at = order.indexOf(letter);
    if (at < 1) return;
    const group = placeOf(letter) - 1;
    const inside = groups[group].indexOf(letter);
    if (inside > 0) groups.splice(group, 1, groups[group].slice(0, inside), groups[group].slice(inside));
    else groups.splice(group - 1, 2, [...groups[group - 1], ...groups[group]]);
    update();
    focus(letter);
  }

  function make(tag, className, content = "") {
    const element = document.createElement(tag);
    element.className = className;
    element.textContent = content;
    if (tag === "button") element.type = "button";
    return element;
  }

  function chip(letter) {
    const button = make("button", "chip");
    const picture = new Image();
    picture.src = document.querySelector(`#result-${letter} .view img`).src;
    picture.alt = "";
    button.append(picture, make("b", "", letter));
    button.dataset.letter = letter;
    const place = placeOf(letter);
    button.setAttribute("aria-label", (place ? text.placed : text.chip).replace("%s", letter).replace("%p", place));
    button.addEventListener("pointerdown", grab);
    button.addEventListener("click", (event) => event.detail === 0 && add(letter)); // from the keyboard; taps end in drop()
    button.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (step) move(letter, step);
      else if (event.key === "=") tie(letter);
      else if (event.key === "Backspace" || event.key === "Delete") takeOut(letter);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    return button;
  }

  function relation(letter, tied) {
    const button = make("button", tied ? "relation tied" : "relation", tied ? "=" : "›");
    button.title = tied ? text.tie : text.better;
    button.setAttribute("aria-label", button.title);
    button.setAttribute("aria-pressed", tied);
    button.addEventListener("click", () => tie(letter));
    return button;
  }

  function update() {
    const rail = make("div", "rail");
    const tray = make("div", "tray");
    const left = letters.filter((letter) => !placeOf(letter));
    tray.append(...left.map(chip));
    rail.append(tray, make("span", left.length ? "end first after" : "end first", text.best));
    const order = ranked();
    order.forEach((letter, index) => {
      if (index) rail.append(relation(letter, placeOf(letter) === placeOf(order[index - 1])));
      rail.append(chip(letter));
    });
    left.forEach((_, index) => rail.append(...(index || order.length ? [make("span", "gap-slot")] : []), make("span", "hole")));
    rail.append(make("span", "end", text.worst));
    box.querySelector(".rail").replaceWith(rail);
    box.classList.toggle("complete", !left.length);
    for (const letter of letters) field(letter).value = placeOf(letter) || "";
    document.getElementById("ballot").dispatchEvent(new Event("change"));
  }

  function focus(letter) {
    box.querySelector(`.chip[data-letter="${letter}"]`)?.focus({ preventScroll: true });
  }

  function grab(event) {
    if (event.button) return;
    const button = event.currentTarget;
    held = { button, letter: button.dataset.letter, x: event.clientX, y: event.clientY, moved: false };
    button.setPointerCapture(event.pointerId);
    button.addEventListener("pointermove", drag);
    button.addEventListener("pointerup", drop);
    button.addEventListener("pointercancel", release);
  }

  function drag(event) {
    const [x, y] = [event.clientX - held.x, event.clientY - held.y];
    if (!held.moved && Math.hypot(x, y) < 6) return;
    held.moved = true;
    held.button.classList.add("held");
    held.button.style.transform = `translate(${x}px, ${y}px) scale(1.08)`;
  }

  function drop(event) {
    const { letter, moved } = held;
    release();
    if (!moved) return placeOf(letter) ? focus(letter) : add(letter);
    const rail = box.querySelector(".rail");
    const tray = rail.querySelector(".tray").getBoundingClientRect();
    if (tray.width && event.clientX < tray.right + 8) return takeOut(letter);
    const others = [...rail.querySelectorAll(":scope > .chip")].filter((other) => other.dataset.letter !== letter);
    const onto = others.find((other) => {
      const at = other.getBoundingClientRect();
      return Math.abs(event.clientX - (at.left + at.width / 2)) < at.width / 5;
    });
    const index = others.filter((other) => {
      const at = other.getBoundingClientRect();
      return at.left + at.width / 2 < event.clientX;
    }).length;
    if (onto) {
      remove(letter); // dropped on another chip: equally good
      groups[placeOf(onto.dataset.letter) - 1].push(letter);
      update();
    } else insert(letter, index);
    focus(letter);
  }

  function release() {
    const { button } = held;
    button.classList.remove("held");
    button.style.transform = "";
    button.removeEventListener("pointermove", drag);
    button.removeEventListener("pointerup", drop);
    button.removeEventListener("pointercancel", release);
    held = null;
  }

  // What the form holds already, after a reload or a refused form, is where the order begins.
  function restore() {
    const places = letters.filter((letter) => field(letter).value).map((letter) => [Number(field(letter).value), letter]);
    for (const [place, letter] of places) (groups[place - 1] ??= []).push(letter);
    groups = groups.filter(Boolean);
    update();
  }

  box.append(make("p", "help", text.help), make("div", "rail"));
  box.hidden = false;
  return { add, move, tie, restore, isRanked: (letter) => placeOf(letter) > 0 };
})();
