// Sends the photos to the server, one per request and a few at a time. Each photo has a card with its answer or error.
// File names come from strangers: they are only ever set as text, never as HTML.

import { describeModel } from "./about.js";
import { offerGolden } from "./golden.js";
import { askForToken, listenForToken, tokenHeaders } from "./token.js";
import { formatProbability, heatMapLegend, printable, unsureReason, verdictText } from "./words.js";

const PREDICT = "api/v1/predict";
const MAX_REQUESTS = 3; // at once
const MAX_TRIES = 5; // while the server is busy

const byId = (id) => document.getElementById(id);
const cards = byId("cards");
const queue = []; // { card, file } that are not sent yet
let numInProgress = 0;
let model = null; // the document of /api/v1/model, once it is loaded

// ---- Adding photos: by button, paste or drop

byId("choose-photos").addEventListener("click", () => byId("chosen-files").click());
byId("take-photo").addEventListener("click", () => byId("taken-photo").click());
for (const input of [byId("chosen-files"), byId("taken-photo")]) {
  input.addEventListener("change", () => {
    addPhotos(input.files);
    input.value = ""; // else choosing the same photo again would be no change
  });
}

document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) addPhotos(event.clipboardData.files);
  else warn("There is no picture in the clipboard. If you copied a link, save the picture first, then choose it here.");
});

// Dragging from an element to its child fires "enter" for the child before "leave" for the parent, so both are counted.
let dragDepth = 0;
const setDragDepth = (depth) => {
  dragDepth = Math.max(0, depth);
  document.body.classList.toggle("dragging", dragDepth > 0);
};
document.addEventListener("dragenter", () => setDragDepth(dragDepth + 1));
document.addEventListener("dragleave", () => setDragDepth(dragDepth - 1));
document.addEventListener("dragover", (event) => event.preventDefault()); // else the browser would allow no drop
document.addEventListener("drop", (event) => {
  event.preventDefault();
  setDragDepth(0);
  if (event.dataTransfer.files.length) addPhotos(event.dataTransfer.files);
  else warn("You dropped a link, not a picture. Save the picture first and drop the file here.");
});

byId("clear").addEventListener("click", () => {
  queue.length = 0; // requests in progress finish on cards that nobody sees
  for (const card of [...cards.children]) {
    URL.revokeObjectURL(card.querySelector(".photo-image").src);
    card.remove();
  }
  byId("results").hidden = true;
  document.body.classList.remove("has-photos");
  byId("choose-photos").focus();
});

function addPhotos(files) {
  warn("");
  document.body.classList.add("has-photos");
  byId("results").hidden = false;
  for (const file of files) cards.append(newCard(file));
  showSummary();
  sendNext();
}

// Warnings about the model itself stay in front of the sentence.
function warn(sentence) {
  const text = [...(model?.warnings ?? []), sentence].filter(Boolean).join(" ");
  byId("warning").textContent = text;
  byId("warning").hidden = !text;
}

// ---- The card of a photo

function newCard(file) {
  const card = byId("card").content.firstElementChild.cloneNode(true);
  const image = card.querySelector(".photo-image");
  const name = printable(file.name || "photo");
  card.querySelector(".name").textContent = name;
  card.querySelector(".name").title = name;
  image.alt = name;
  image.addEventListener("error", () => {
    // The server reads formats that a browser may not show, such as TIFF.
    image.hidden = true;
    card.querySelector(".no-preview").hidden = false;
  });
  image.src = URL.createObjectURL(file);
  card.querySelector(".retry").addEventListener("click", () => enqueue(card, file));
  card.querySelector(".heat-map-toggle").addEventListener("click", () => toggleHeatMap(card, file));
  enqueue(card, file);
  return card;
}

function enqueue(card, file) {
  setState(card, "waiting", "Waiting");
  card.querySelector(".retry").hidden = true;
  queue.push({ card, file });
  sendNext();
}

// Start requests until enough are in progress; each request that ends starts the next one.
function sendNext() {
  while (numInProgress < MAX_REQUESTS && queue.length) {
    numInProgress += 1;
    predict(queue.shift()).finally(() => {
      numInProgress -= 1;
      showSummary();
      sendNext();
    });
  }
}

async function predict({ card, file }) {
  setState(card, "in-progress", "Looking …");
  try {
    showAnswer(card, (await request(file, "")).predictions[0]);
  } catch (error) {
    showError(card, error);
  }
}

function setState(card, state, verdict, reason = "") {
  card.dataset.state = state;
  card.querySelector(".verdict").textContent = verdict;
  card.querySelector(".reason").textContent = reason;
  card.querySelector(".reason").hidden = !reason;
}

function showAnswer(card, answer) {
  const [negative, positive] = Object.keys(answer.probabilities); // the server sends them in this order
  const labels = card.querySelectorAll(".bar-labels span");
  setState(card, "answered", verdictText(answer), unsureReason(answer, model));
  card.dataset.label = answer.label;
  card.dataset.answer = { [negative]: "negative", [positive]: "positive" }[answer.label] ?? "unsure";
  labels[0].textContent = `${negative} ${formatProbability(answer.probabilities[negative])}`;
  labels[1].textContent = `${positive} ${formatProbability(answer.probabilities[positive])}`;
  card.querySelector(".bar span").style.width = `${100 * answer.probabilities[negative]}%`;
  card.querySelector(".probabilities").hidden = false;
  card.querySelector(".heat-map-toggle").hidden = card.querySelector(".photo-image").hidden;
}

function showError(card, error) {
  setState(card, "failed", error.title ?? "No answer", error.message);
  card.querySelector(".retry").hidden = !error.canRetry;
}

function showSummary() {
  const allCards = [...cards.children];
  const finishedCards = allCards.filter((card) => ["answered", "failed"].includes(card.dataset.state));
  const counts = new Map();
  for (const card of finishedCards) {
    const label = card.dataset.state === "failed" ? "no answer" : card.dataset.label;
    counts.set(label, (counts.get(label) ?? 0) + 1);
  }
  const order = [...(model?.class_names ?? []), "unsure", "no answer"];
  const sortedCounts = [...counts].sort(([labelA], [labelB]) => order.indexOf(labelA) - order.indexOf(labelB));
  const photos = allCards.length === 1 ? "1 photo" : `${allCards.length} photos`;
  let summary = `${photos}: ${sortedCounts.map(([label, count]) => `${label} ${count}`).join(", ")}`;
  if (finishedCards.length < allCards.length) summary = `${finishedCards.length} of ${photos} answered`;
  // Screen readers read the summary aloud, so for a single photo it contains the answer.
  else if (allCards.length === 1) summary = `1 photo: ${allCards[0].querySelector(".verdict").textContent}`;
  byId("summary").textContent = summary;
}

// ---- The heat map, requested when it is first shown

async function toggleHeatMap(card, file) {
  const button = card.querySelector(".heat-map-toggle");
  const heatMap = card.querySelector(".heat-map");
  const legend = card.querySelector(".legend");
  if (button.getAttribute("aria-busy") === "true") return;
  if (!heatMap.src) {
    button.setAttribute("aria-busy", "true");
    try {
      const answer = (await request(file, "?explain=true")).predictions[0];
      heatMap.src = answer.heat_map;
      heatMap.alt = "Heat map: bright where the evidence for the answer lies";
      legend.textContent = heatMapLegend(answer);
    } catch (error) {
      legend.textContent = `No heat map: ${error.message}`;
      legend.hidden = false;
      return;
    } finally {
      button.removeAttribute("aria-busy");
    }
  }
  const visible = button.getAttribute("aria-pressed") !== "true";
  button.setAttribute("aria-pressed", String(visible));
  heatMap.hidden = !visible;
  heatMap.parentElement.classList.toggle("explained", visible);
  legend.hidden = !visible;
}

// ---- The server

class RequestError extends Error {
  // title: heading of the card; message: a sentence; canRetry: whether trying again may help.
  constructor(title, message, canRetry = false) {
    super(message);
    this.title = title;
    this.canRetry = canRetry;
  }
}

// Ask the server about one photo, several times while it is busy. Returns the document of /predict.
async function request(file, query) {
  const maxBytes = model?.limits.body_bytes ?? Infinity;
  if (file.size > maxBytes) {
    const megabytes = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MB`;
    const message = `This file has ${megabytes(file.size)}; at most ${megabytes(maxBytes)} are read.`;
    throw new RequestError("Too large", message);
  }
  // A dropped folder looks like a file until it is read; `fetch` would report it as a lost connection.
  await file.slice(0, 1).arrayBuffer().catch(() => {
    const message = "The browser cannot read this file. If it is a folder, choose the photos in it.";
    throw new RequestError("Cannot be read", message);
  });
  for (let attempt = 1; ; attempt += 1) {
    const response = await post(file, query);
    const document = await response.json().catch(() => ({}));
    if (response.ok) return document;
    if (response.status === 401) {
      askForToken(byId("token-form"));
      throw new RequestError("Token required", "Enter a token, then try again.", true);
    }
    const busy = response.status === 429 || response.status === 503;
    if (!busy || attempt === MAX_TRIES) throw errorFromProblem(response.status, document, busy);
    await waitSeconds(Number(response.headers.get("Retry-After") ?? 1) * attempt);
  }
}

async function post(file, query) {
  try {
    return await fetch(PREDICT + query, { method: "POST", body: file, headers: tokenHeaders() });
  } catch {
    throw new RequestError("No connection", "The server cannot be reached. Is it still running?", true);
  }
}

function errorFromProblem(status, { detail, hint }, busy) {
  const titles = { 400: "Damaged picture", 408: "Too slow", 413: "Too large", 415: "Unknown format" };
  const message = [detail, hint].filter(Boolean).map(toSentence).join(" ");
  const title = busy ? "Server busy" : titles[status] ?? "No answer";
  return new RequestError(title, message || `The server answered with status ${status}.`, busy || status === 408);
}

// The server's reasons about a file have no subject: "is damaged: ...".
function toSentence(reason) {
  const clause = /^(is|has|declares|needs|cannot|would) /.test(reason) ? `This file ${reason}` : reason;
  return clause.charAt(0).toUpperCase() + clause.slice(1) + (/[.!?]$/.test(clause) ? "" : ".");
}

function waitSeconds(seconds) {
  return new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
}

async function loadModel() {
  try {
    const response = await fetch("api/v1/model", { headers: tokenHeaders() });
    byId("token-form").hidden = true;
    if (response.status === 401) askForToken(byId("token-form"));
    if (!response.ok) throw new Error(`status ${response.status}`);
    const isFirst = !model;
    model = await response.json();
    if (!isFirst) return; // the token has changed, and everything is on the page already
    describeModel(model, byId("about-content"));
    offerGolden(model.golden, byId("golden"), addPhotos);
    byId("about-error").hidden = true;
    if (model.warnings.length) warn("");
  } catch {
    byId("about-error").hidden = false;
  }
}

listenForToken(byId("token-form"), loadModel);
loadModel();
