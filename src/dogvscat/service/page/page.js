// Pictures go to the server one a request, a few at a time; each has its card, its answer and its own errors.
// File names come from strangers: they are only ever set as text.

import { describeModel } from "./how.js";
import { explanation, legend, percent, verdict } from "./words.js";

const PREDICT = "api/v1/predict";
const AT_ONCE = 3;
const TRIES = 5;

const byId = (id) => document.getElementById(id);
const cards = byId("cards");
const waiting = [];
let looking = 0;
let model = null;

// ---- Pictures come in

byId("pick").addEventListener("click", () => byId("picked").click());
byId("shoot").addEventListener("click", () => byId("shot").click());
for (const input of [byId("picked"), byId("shot")]) {
  input.addEventListener("change", () => {
    add(input.files);
    input.value = ""; // so that the same picture can be chosen again
  });
}

document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) add(event.clipboardData.files);
  else warn("There is no picture in the clipboard. Of a link, save the picture first, then choose it here.");
});

let depth = 0; // dragging over a child enters it before it leaves its parent
const dragging = (change) => {
  depth = Math.max(0, depth + change);
  document.body.classList.toggle("dragging", depth > 0);
};
document.addEventListener("dragenter", () => dragging(1));
document.addEventListener("dragleave", () => dragging(-1));
document.addEventListener("dragover", (event) => event.preventDefault());
document.addEventListener("drop", (event) => {
  event.preventDefault();
  depth = 0;
  dragging(0);
  if (event.dataTransfer.files.length) add(event.dataTransfer.files);
  else warn("That was a link, not a picture. Save the picture first, then drop the file here.");
});

byId("clear").addEventListener("click", () => {
  waiting.length = 0;
  for (const card of [...cards.children]) {
    URL.revokeObjectURL(card.querySelector(".picture").src);
    card.remove();
  }
  byId("results").hidden = true;
  document.body.classList.remove("busy");
  byId("pick").focus();
});

function add(files) {
  warn("");
  document.body.classList.add("busy");
  byId("results").hidden = false;
  for (const file of files) cards.append(newCard(file));
  summarize();
  lookAtNext();
}

function warn(sentence) {
  byId("warning").textContent = sentence;
  byId("warning").hidden = !sentence;
}

// ---- A picture's card

function newCard(file) {
  const card = byId("card").content.firstElementChild.cloneNode(true);
  const picture = card.querySelector(".picture");
  const name = file.name || "picture";
  card.querySelector(".name").textContent = name;
  card.querySelector(".name").title = name;
  picture.alt = name;
  picture.addEventListener("error", () => {
    picture.hidden = true;
    card.querySelector(".unseen").hidden = false;
  });
  picture.src = URL.createObjectURL(file);
  card.querySelector(".again").addEventListener("click", () => enqueue(card, file));
  card.querySelector(".toggle").addEventListener("click", () => toggleHeat(card, file));
  enqueue(card, file);
  return card;
}

function enqueue(card, file) {
  show(card, "waiting", "Waiting");
  card.querySelector(".again").hidden = true;
  waiting.push({ card, file });
  lookAtNext();
}

async function lookAtNext() {
  while (looking < AT_ONCE && waiting.length) {
    looking += 1;
    lookAt(waiting.shift()).finally(() => {
      looking -= 1;
      summarize();
      lookAtNext();
    });
  }
}

async function lookAt({ card, file }) {
  show(card, "looking", "Looking …");
  try {
    showAnswer(card, (await ask(file, "")).predictions[0]);
  } catch (error) {
    showError(card, error);
  }
}

function show(card, state, text, why = "") {
  card.dataset.state = state;
  card.querySelector(".verdict").textContent = text;
  card.querySelector(".why").textContent = why;
  card.querySelector(".why").hidden = !why;
}

function showAnswer(card, answer) {
  const [negative, positive] = Object.keys(answer.probabilities);
  const shares = card.querySelectorAll(".shares span");
  show(card, "answered", verdict(answer), explanation(answer, model));
  card.dataset.label = answer.label;
  card.dataset.answer = { [negative]: "negative", [positive]: "positive" }[answer.label] ?? "unsure";
  shares[0].textContent = `${negative} ${percent(answer.probabilities[negative])}`;
  shares[1].textContent = `${positive} ${percent(answer.probabilities[positive])}`;
  card.querySelector(".bar span").style.width = `${100 * answer.probabilities[negative]}%`;
  card.querySelector(".probabilities").hidden = false;
  card.querySelector(".toggle").hidden = card.querySelector(".picture").hidden;
}

function showError(card, error) {
  show(card, "failed", error.title ?? "No answer", error.message);
  card.querySelector(".again").hidden = !error.passing;
}

function summarize() {
  const all = [...cards.children];
  const done = all.filter((card) => ["answered", "failed"].includes(card.dataset.state));
  const counts = new Map();
  for (const card of done) {
    const label = card.dataset.state === "failed" ? "no answer" : card.dataset.label;
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const order = [...(model?.class_names ?? []), "unsure", "no answer"];
  const sorted = [...counts].sort(([one], [other]) => order.indexOf(one) - order.indexOf(other));
  const parts = sorted.map(([label, count]) => `${label} ${count}`);
  const pictures = all.length === 1 ? "1 picture" : `${all.length} pictures`;
  const text = done.length < all.length ? `${done.length} of ${pictures} looked at` : `${pictures}: ${parts.join(", ")}`;
  // A screen reader hears of one picture by its answer, and of many once, when all are done.
  if (all.length > 1 || done.length < all.length) byId("summary").textContent = text;
  else byId("summary").textContent = `1 picture: ${all[0]?.querySelector(".verdict").textContent}`;
}

// ---- The heat-map is made when it is first asked for

async function toggleHeat(card, file) {
  const button = card.querySelector(".toggle");
  const heat = card.querySelector(".heat");
  if (button.getAttribute("aria-busy") === "true") return;
  if (!heat.src) {
    let answer;
    button.setAttribute("aria-busy", "true");
    try {
      answer = (await ask(file, "?explain=true")).predictions[0];
      heat.src = answer.heat_map;
      heat.alt = "Heat-map: bright where the evidence for the answer lies";
    } catch (error) {
      card.querySelector(".legend").textContent = `No heat-map: ${error.message}`;
      card.querySelector(".legend").hidden = false;
      return;
    } finally {
      button.removeAttribute("aria-busy");
    }
    card.querySelector(".legend").textContent = legend(answer, model);
  }
  const shown = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(shown));
  heat.hidden = !shown;
  heat.parentElement.classList.toggle("explained", shown);
  card.querySelector(".legend").hidden = !shown;
}

// ---- The server

class NoAnswer extends Error {
  constructor(title, message, passing = false) {
    super(message);
    this.title = title;
    this.passing = passing; // whether trying again may help
  }
}

async function ask(file, query) {
  const most = model?.limits.body_bytes ?? Infinity;
  if (file.size > most) {
    const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`;
    throw new NoAnswer("Too large", `This file has ${megabytes(file.size)}; at most ${megabytes(most)} are read.`);
  }
  await file.slice(0, 1).arrayBuffer().catch(() => {
    throw new NoAnswer("Cannot be read", "The browser could not read this file. A folder? Choose the photos in it.");
  });
  for (let tried = 1; ; tried += 1) {
    const response = await send(file, query);
    const document = await response.json().catch(() => ({}));
    if (response.ok) return document;
    const busy = response.status === 429 || response.status === 503;
    if (!busy || tried === TRIES) throw problem(response.status, document, busy);
    await seconds(Number(response.headers.get("Retry-After") ?? 1) * tried);
  }
}

async function send(file, query) {
  try {
    return await fetch(PREDICT + query, { method: "POST", body: file });
  } catch {
    throw new NoAnswer("No connection", "The server cannot be reached. Is it still running?", true);
  }
}

function problem(status, { detail, hint }, busy) {
  const titles = { 400: "Damaged picture", 408: "Too slow", 413: "Too large", 415: "Not a picture it knows" };
  const message = [detail, hint].filter(Boolean).map(sentence).join(" ");
  const title = busy ? "Too busy" : titles[status] ?? "No answer";
  return new NoAnswer(title, message || `The server answered with status ${status}.`, busy || status === 408);
}

// The server's reasons speak of the file without naming it: "is damaged: ...".
function sentence(reason) {
  const whole = /^(is|has|declares|needs|cannot) /.test(reason) ? `This file ${reason}` : reason;
  return whole.charAt(0).toUpperCase() + whole.slice(1) + (/[.!?]$/.test(whole) ? "" : ".");
}

function seconds(number) {
  return new Promise((resolve) => setTimeout(resolve, 1000 * number));
}

fetch("api/v1/model")
  .then((response) => response.json())
  .then((document) => {
    model = document;
    describeModel(model, byId("how-content"));
    if (model.origin.drawn_sample) {
      warn("This network learned from drawings, not photographs: its answers about photographs mean nothing.");
    }
  })
  .catch(() => {
    byId("how-error").hidden = false;
  });
