"use strict";
// The review: one pair at a time. Texts of the dataset are only ever set as text.

const $ = (id) => document.getElementById(id);
const PLACES = ["left", "right"];
const view = { number: null, choice: null, answer: null, total: 0, open: false, busy: false, trail: [] };

async function ask(path, body) {
  const options = body === undefined ? {} : {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  };
  const found = await fetch(path, options);
  if (!found.ok) throw new Error(await found.text());
  return found.json();
}

function make(name, text, kind) {
  const element = document.createElement(name);
  element.textContent = text ?? "";
  if (kind) element.className = kind;
  return element;
}

function only(id) {
  for (const name of ["main", "end", "gone"]) $(name).hidden = name !== id;
}

function say(text) { $("status").textContent = text; }

function showState(state) {
  view.total = state.total;
  view.open = state.open;
  $("name").textContent = state.name;
  document.title = `Review: ${state.name}`;
  $("progress").max = state.total;
  $("progress").value = state.decided;
  view.counts = state.counts;
  view.decided = state.decided;
}

function showPlace() {
  const place = view.number === null ? "" : `pair ${(view.number + 1).toLocaleString("en")} · `;
  $("place").textContent =
    `${place}${view.decided.toLocaleString("en")} of ${view.total.toLocaleString("en")} decided`;
}

async function show(number) {
  if (number === null) return showEnd();
  const pair = await ask(`pair/${number}`);
  Object.assign(view, { number, choice: pair.choice, answer: pair.answer, facts: pair.facts });
  $("prompt").textContent = pair.prompt || "(no prompt)";
  $("note").value = "";
  for (const place of PLACES) {
    const image = $(place).querySelector("img");
    image.src = `image/${number}/${place}`;
  }
  only("main");
  showAnswer();
  showPlace();
  ahead();
}

function ahead() {  // the next images are loaded before they are needed
  const next = (view.number + 1) % view.total;
  for (const place of PLACES) new Image().src = `image/${next}/${place}`;
}

function showEnd() {
  view.number = null;
  const { keep, flip, equal, drop } = view.counts;
  $("end-counts").textContent = `${keep} kept, ${flip} flipped, ${equal} equal, ${drop} dropped.`;
  only("end");
  showPlace();
  $("end").focus();
}

const MARKED = { equal: "equally good", drop: "dropped" };

function showAnswer() {
  const { answer, choice } = view;
  $("facts").classList.toggle("blind", !answer);
  $("hidden-scores").hidden = Boolean(answer);
  $("scores").hidden = !answer;
  for (const place of PLACES) {
    const side = $(place), role = answer ? (answer.chosen === place ? "chosen" : "rejected") : "";
    side.classList.toggle("chosen", role === "chosen");
    side.classList.toggle("rejected", role === "rejected");
    side.classList.toggle("picked", choice === place);
    side.querySelector(".role").textContent = role;
    side.querySelector(".mine").textContent =
      choice === place ? "✓ your choice" : MARKED[choice] ?? "";
    drawBoxes(place);
  }
  showFacts();
  showScores();
}

function showFacts() {
  const body = $("facts").tBodies[0];
  body.replaceChildren(...view.facts.map((fact, n) => {
    const row = document.createElement("tr"), head = make("th", fact.text);
    head.scope = "row";
    const marks = PLACES.map((place) => {
      const holds = view.answer?.[place].holds;
      return make("td", holds ? (holds[n] ? "✓ yes" : "✗ no") : "", `mark ${holds ? (holds[n] ? "yes" : "no") : ""}`);
    });
    row.append(head, ...marks);
    row.classList.toggle("wrong", marks.some((mark) => mark.classList.contains("no")));
    return row;
  }));
  $("facts-section").hidden = view.facts.length === 0;
}

function number(value) {
  return value === null ? "–" : Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 });
}

function showScores() {
  const rows = view.answer?.scores ?? [];
  $("scores").tBodies[0].replaceChildren(...rows.map((score) => {
    const row = document.createElement("tr"), head = make("th", score.name);
    head.scope = "row";
    const cells = PLACES.map((place) => {
      const other = score[place === "left" ? "right" : "left"];
      const more = score[place] !== null && other !== null && score[place] > other;
      return make("td", number(score[place]), more ? "num more" : "num");
    });
    row.append(head, ...cells);
    return row;
  }));
  const margin = view.answer?.margin;
  $("margin").textContent = margin === null || margin === undefined ? "" : `Margin ${number(margin)}`;
}

function drawBoxes(place) {
  const side = $(place), image = side.querySelector("img"), layer = side.querySelector(".boxes");
  const boxes = view.answer?.[place].boxes ?? [];
  layer.replaceChildren(...boxes.map(({ text, box, asked }) => {
    const element = make("div", "", asked ? "box" : "box stray");
    const [x0, y0, x1, y1] = box;
    element.style.left = `${100 * x0}%`;
    element.style.top = `${100 * y0}%`;
    element.style.width = `${100 * (x1 - x0)}%`;
    element.style.height = `${100 * (y1 - y0)}%`;
    element.classList.toggle("low", y0 < 0.08);
    element.append(make("span", text));
    return element;
  }));
}

function fit(image) {  // boxes are fractions of the image, so its frame has the same shape
  const { naturalWidth: width, naturalHeight: height } = image;
  if (!width) return;
  const frame = image.closest(".picture");
  frame.style.aspectRatio = `${width} / ${height}`;
  const wide = width / height > image.closest(".frame").clientWidth / image.closest(".frame").clientHeight;
  frame.style.height = wide ? "auto" : "100%";
  frame.style.width = wide ? "100%" : "auto";
  image.classList.toggle("pixels", Math.max(width, height) <= 128);
}

const SAID = { keep: "kept", flip: "flipped", equal: "equal", drop: "dropped" };
const CHOSE = { left: "Left is better", right: "Right is better", equal: "Equally good", drop: "Dropped" };

async function decide(choice) {
  if (view.number === null) return;
  if ((choice === "keep" || choice === "flip") && !view.answer) {
    return say("Press R first: keep and flip need the sides to be shown.");
  }
  const at = view.number, known = Boolean(view.answer);
  const done = await ask(`pair/${at}`, { choice, note: $("note").value });
  showState(done);
  view.trail.push(at);
  const told = known ? ` (${SAID[done.decision]})` : "";
  say(`${CHOSE[done.choice]}${told}: pair ${at + 1}. U undoes it.`);
  return $("stay").checked ? show(at) : show(done.next);
}

async function skip() {
  if (view.number === null) return;
  view.trail.push(view.number);
  say("");
  return show((view.number + 1) % view.total);
}

async function previous() {
  const number = view.trail.pop() ?? (view.number === null ? view.total - 1 : view.number - 1);
  say("");
  return show((number + view.total) % view.total);
}

async function undo() {
  const done = await ask("undo", {});
  showState(done);
  if (done.number === null) { showPlace(); return say("There is nothing to undo."); }
  view.trail.pop();
  say(`Undone: pair ${done.number + 1}.`);
  return show(done.number);
}

async function reveal() {
  if (view.number === null || view.answer) return;
  view.answer = await ask(`pair/${view.number}/answer`);
  showAnswer();
  say(`The scorers chose the ${view.answer.chosen} image.`);
}

async function boxes() {
  const hidden = document.body.classList.toggle("bare");
  say(hidden ? "Boxes are hidden." : "Boxes are shown, once scores are.");
}

async function zoom(place) {
  const image = $(place).querySelector("img"), large = $("zoom-image");
  large.src = image.src;
  large.classList.toggle("pixels", image.classList.contains("pixels"));
  $("zoom-title").textContent = large.alt = image.alt;
  for (const button of $("zoom").querySelectorAll("[data-act]")) {
    button.setAttribute("aria-pressed", String(button.dataset.act === `zoom-${place}`));
  }
  if (!$("zoom").open) $("zoom").showModal();  // closed, it gives the focus back
}

async function finish() {
  await ask("finish", {});
  only("gone");
  $("gone").focus();
}

const ACTS = {
  left: () => decide("left"), right: () => decide("right"),
  equal: () => decide("equal"), drop: () => decide("drop"),
  keep: () => decide("keep"), flip: () => decide("flip"),
  "zoom-left": () => zoom("left"), "zoom-right": () => zoom("right"), close: async () => $("zoom").close(),
  skip, previous, undo, reveal, finish, boxes,
  note: async () => $("note").focus(), help: async () => $("help").showModal(),
};
const KEYS = {
  ArrowLeft: "left", ArrowRight: "right", e: "equal", d: "drop", k: "keep", f: "flip", " ": "skip",
  u: "undo", p: "previous", r: "reveal", z: "zoom-left", b: "boxes", n: "note", "?": "help",
};
const ZOOM_KEYS = { ArrowLeft: "zoom-left", ArrowRight: "zoom-right", z: "close" };

async function act(name) {
  if (view.busy) return;
  view.busy = true;
  try {
    await ACTS[name]();
  } catch (error) {
    if (error instanceof TypeError) {  // no answer: the command has ended
      $("gone-title").textContent = "The review is not running";
      $("gone-text").textContent = "Everything you decided is kept. Start the command again to continue.";
      only("gone");
    } else {
      say(`That did not work: ${error.message}`);
    }
  } finally {
    view.busy = false;
  }
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat || $("help").open) return;
  if (event.target === $("note")) {
    if (event.key === "Enter" || event.key === "Escape") { event.preventDefault(); $("note").blur(); $("main").focus(); }
    return;
  }
  const keys = $("zoom").open ? ZOOM_KEYS : KEYS;
  const name = keys[event.key.length === 1 ? event.key.toLowerCase() : event.key];
  if (!name || (keys === KEYS && !$("keys").checked && name !== "help")) return;
  if (event.key === " " && event.target.closest("button")) return;  // Space presses a button
  event.preventDefault();
  act(name);
});
document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-act]");
  if (!button) return;
  if (event.detail > 0) button.blur();  // after a mouse, Space skips again
  act(button.dataset.act);
});
$("zoom-image").addEventListener("click", () => act("close"));
$("help-button").addEventListener("click", () => act("help"));
for (const image of document.querySelectorAll(".picture img")) {
  image.addEventListener("load", () => fit(image));
  image.addEventListener("error", () => { say("An image of this pair can't be shown."); });
}
window.addEventListener("resize", () => document.querySelectorAll(".picture img").forEach(fit));

(async () => {
  const state = await ask("state");
  showState(state);
  await show(state.next);
  say("");
})();
