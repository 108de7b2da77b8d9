"use strict";
// The form as a whole: what is still missing, the keys, and one click that sends it once.
(() => {
  const form = document.getElementById("ballot");
  const status = document.getElementById("status");
  const next = document.getElementById("next");
  const results = [...document.querySelectorAll(".result")];
  const letters = results.map((result) => result.dataset.letter);
  const nonce = form.elements.nonce.value;
  let here = null;
  let sent = false;

  document.documentElement.classList.add("js");
  form.noValidate = true; // the order's own fields are hidden, so the browser could not point at them
  for (const element of document.querySelectorAll(".tools, .keys")) element.hidden = false;

  const rated = (scale, letter) => form.querySelector(`[name=${scale}_${letter}]:checked`);

  function missing() {
    const parts = [];
    for (const scale of ["overall", "identity"]) {
      const without = letters.filter((letter) => !rated(scale, letter));
      if (without.length) parts.push(form.dataset[scale].replace("%s", without.join(" ")));
    }
    if (letters.some((letter) => !ranking.isRanked(letter))) parts.push(form.dataset.place);
    return parts;
  }

  // What is filled in stays with the browser's own entry of this page, for a reload, the back button or a lost connection.
  const filled = () => [...new FormData(form)].filter(([name]) => /_[A-F]$/.test(name));
  const remember = () => history.replaceState({ nonce, filled: filled() }, "", "/compare");
  const recall = () => {
    if (history.state?.nonce === nonce) for (const [name, value] of history.state.filled) form.elements[name].value = value;
  };

  function check() {
    remember();
    const parts = missing();
    status.textContent = parts.length ? form.dataset.missing.replace("%s", parts.join(form.dataset.comma)) : form.dataset.ready;
    next.classList.toggle("ready", !parts.length);
    for (const scale of form.querySelectorAll(".lacking")) if (scale.querySelector(":checked")) scale.classList.remove("lacking");
  }

  function go(letter) {
    here?.classList.remove("here");
    here = document.getElementById(`result-${letter}`);
    here.classList.add("here");
    here.focus({ preventScroll: true });
    here.scrollIntoView({ block: "nearest", behavior: "smooth" });
  }

  function rate(scale, level) {
    if (!here) return;
    here.querySelectorAll(`[data-scale=${scale}] input`)[level].checked = true;
    check();
  }

  form.addEventListener("change", check);
  form.addEventListener("submit", (event) => {
    if (missing().length || sent) {
      event.preventDefault();
      for (const scale of form.querySelectorAll(".scale")) scale.classList.toggle("lacking", !scale.querySelector(":checked"));
      const first = form.querySelector(".lacking input") ?? form.querySelector(".tray .chip");
      first?.focus({ preventScroll: true }); // so that it is read aloud
      first?.closest(".scale")?.scrollIntoView({ block: "center", behavior: "smooth" });
      return;
    }
    sent = true;
  });
  document.querySelector("[action='/language']").addEventListener("formdata", ({ formData }) => {
    for (const [name, value] of [["nonce", nonce], ...filled()]) formData.append(name, value); // comes back filled in
  });
  window.addEventListener("pageshow", () => (sent = false)); // back from the cache of the browser

  for (const result of results) {
    const letter = result.dataset.letter;
    result.querySelector("[data-does=compare]").addEventListener("click", () => slider.toggle(result));
    result.querySelector("[data-does=zoom]").addEventListener("click", () => zoom.open(letter));
    result.addEventListener("focusin", () => here !== result && (here?.classList.remove("here"), (here = result), result.classList.add("here")));
    result.querySelector(".view").addEventListener("click", (event) => {
      event.preventDefault();
      if (!result.querySelector(".frame").classList.contains("sliding")) zoom.open(letter);
    });
  }
  document.querySelector(".source .view").addEventListener("click", (event) => {
    event.preventDefault();
    zoom.open(null);
  });

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey && event.key === "Enter") return form.requestSubmit();
    if (event.ctrlKey || event.altKey || event.metaKey || document.querySelector("dialog[open]")) return;
    if (event.target.matches("input:not([type=radio]), select, textarea")) return;
    const letter = event.key.toUpperCase();
    const digit = "1234567890".indexOf(event.key);
    if (letters.includes(letter)) go(letter);
    else if (digit >= 0) rate(digit < 5 ? "overall" : "identity", digit % 5);
    else if (!here) return;
    else if (letter === "R") ranking.add(here.dataset.letter), go(here.dataset.letter);
    else if (letter === "Z") zoom.open(here.dataset.letter);
    else if (letter === "X") slider.toggle(here);
    else if (event.key === "=") ranking.tie(here.dataset.letter), go(here.dataset.letter);
    else if (/^Arrow(Left|Right)$/.test(event.key) && !event.target.matches("[type=radio]")) {
      ranking.move(here.dataset.letter, event.key === "ArrowLeft" ? -1 : 1), go(here.dataset.letter);
    } else return;
    event.preventDefault();
  });

  recall();
  ranking.restore();
})();
