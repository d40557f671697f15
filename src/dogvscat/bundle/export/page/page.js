// The page: pictures come in by drop, paste or choice, and are answered one after the other.

import { Classifier } from "./classifier.js";
import { PictureError, readPicture } from "./picture.js";
import { aboutInWords, answerInWords, percent, titleOf } from "./words.js";

const byId = (id) => document.getElementById(id);
const THUMBNAIL = 480; // pixels a side at most; whole pictures are not kept

let waiting = Promise.resolve(); // the end of the queue
let chosen = 0;
let answered = 0;

const ready = load();
ready.then(
  ({ about }) => {
    byId("status").textContent = "The network is loaded. You could go offline now.";
    document.title = byId("title").textContent = titleOf(about);
    byId("warning").hidden = !about.drawn_sample;
    byId("warning").textContent = "This network learned from drawings: what it says of photographs means nothing.";
    byId("about-text").replaceChildren(...aboutInWords(about).map(paragraph));
  },
  (error) => {
    byId("status").textContent = `The network could not be loaded: ${error.message}`;
    byId("status").className = "warning";
  },
);

async function load() {
  const [about, model] = await Promise.all([
    bytesOf("preprocessing.json").then((bytes) => JSON.parse(new TextDecoder().decode(bytes))),
    bytesOf("model.onnx"),
  ]);
  return await Classifier.load(model, about);
}

async function bytesOf(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: the server says ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

function take(files) {
  for (const file of files) {
    const card = addCard(file.name || "pasted picture");
    chosen += 1;
    waiting = waiting.then(() => answer(file, card));
  }
  tellProgress();
}

function addCard(name) {
  const card = byId("card").content.firstElementChild.cloneNode(true);
  card.classList.add("waiting");
  card.querySelector(".name").textContent = name;
  card.querySelector(".name").title = name;
  byId("answers").append(card);
  return card;
}

async function answer(file, card) {
  card.querySelector(".verdict").textContent = "Looking";
  try {
    const classifier = await ready;
    await painted();
    const size = classifier.about.input.shape[1];
    const { bitmap, pixels } = await readPicture(file, size);
    showPicture(card, bitmap);
    await painted();
    showAnswer(card, await classifier.answer(pixels), classifier.about);
  } catch (error) {
    showProblem(card, error instanceof PictureError ? error.message : `Something went wrong: ${error.message}`);
  }
  card.classList.remove("waiting");
  answered += 1;
  tellProgress(`${card.querySelector(".name").textContent}: ${card.querySelector(".verdict").textContent}`);
}

function showPicture(card, bitmap) {
  const canvas = card.querySelector(".picture");
  const scale = Math.min(1, THUMBNAIL / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.hidden = false;
  bitmap.close();
}

function showAnswer(card, answer, about) {
  const [negative, positive] = about.class_names;
  const { verdict, why } = answerInWords(answer, about);
  card.dataset.label = answer.label;
  card.dataset.probability = answer.probabilities[positive];
  card.querySelector(".verdict").textContent = verdict;
  if (answer.label === negative) card.querySelector(".verdict").classList.add("negative");
  if (answer.label === positive) card.querySelector(".verdict").classList.add("positive");
  card.querySelector(".share").style.width = `${100 * answer.probabilities[negative]}%`;
  card.querySelector("span.negative").textContent = `${negative} ${percent(answer.probabilities[negative])}`;
  card.querySelector("span.positive").textContent = `${positive} ${percent(answer.probabilities[positive])}`;
  card.querySelector(".told").hidden = false;
  card.querySelector(".why").textContent = why;
  card.querySelector(".why").hidden = !why;
}

function showProblem(card, sentence) {
  card.classList.add("failed");
  card.querySelector(".verdict").textContent = "No answer";
  card.querySelector(".why").textContent = sentence;
  card.querySelector(".why").hidden = false;
}

// Also what a screen reader says, so the latest answer is in it.
function tellProgress(latest = "") {
  if (!chosen) return;
  byId("progress").textContent = `${answered} of ${chosen} answered. ${latest}`;
}

function paragraph(text) {
  const element = document.createElement("p");
  element.textContent = text;
  return element;
}

// The network takes the whole thread for a moment; what was said before should be seen before. A page in the
// background paints nothing and is not waited for.
function painted() {
  return new Promise((resolve) => {
    if (document.hidden) setTimeout(resolve);
    else requestAnimationFrame(() => setTimeout(resolve));
  });
}

byId("choose").addEventListener("click", () => byId("files").click());
byId("files").addEventListener("change", (event) => {
  take(event.target.files);
  event.target.value = ""; // so that the same picture can be chosen again
});
document.addEventListener("paste", (event) => take(event.clipboardData?.files ?? []));
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  document.body.classList.add("dragging");
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) document.body.classList.remove("dragging");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  document.body.classList.remove("dragging");
  take(event.dataTransfer?.files ?? []);
});
