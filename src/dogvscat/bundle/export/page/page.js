// The page: photos are added by drop, paste or button, and are answered one after the other.

import { Classifier } from "./classifier.js";
import { PhotoError, readPhoto } from "./decode.js";
import { byId, listenForPhotos, newElement, nextPaint, showAnswer } from "./elements.js";
import { describeModel, pageTitle, printable } from "./words.js";

const THUMBNAIL_SIDE = 480; // pixels at most; whole photos are not kept in memory

let lastInQueue = Promise.resolve(); // each photo waits for the one before it
let numAdded = 0;
let numAnswered = 0;

const classifierLoaded = loadClassifier();
classifierLoaded.then(
  ({ about }) => {
    byId("status").textContent = "The network is loaded. You can go offline now.";
    document.title = byId("title").textContent = pageTitle(about);
    byId("warning").hidden = !about.warnings.length;
    byId("warning").textContent = about.warnings.join(" ");
    byId("about-text").replaceChildren(...describeModel(about).map((text) => newElement("p", text)));
  },
  (error) => {
    byId("status").textContent = `The network could not be loaded: ${error.message}`;
    byId("status").className = "warning";
  },
);

async function loadClassifier() {
  const [about, model] = await Promise.all([
    fetchBytes("preprocessing.json").then((bytes) => JSON.parse(new TextDecoder().decode(bytes))),
    fetchBytes("model.onnx"),
  ]);
  return await Classifier.load(model, about);
}

async function fetchBytes(name) {
  const response = await fetch(name);
  if (!response.ok) throw new Error(`${name}: the server answered with status ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

function addPhotos(files) {
  for (const file of files) {
    const card = addCard(printable(file.name || "pasted photo"));
    numAdded += 1;
    lastInQueue = lastInQueue.then(() => answer(file, card));
  }
  showProgress();
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
    const classifier = await classifierLoaded;
    await nextPaint();
    const size = classifier.about.input.shape[1];
    const { bitmap, pixels } = await readPhoto(file, size);
    showThumbnail(card, bitmap);
    await nextPaint();
    showAnswer(card, await classifier.predict(pixels), classifier.about);
  } catch (error) {
    showError(card, error instanceof PhotoError ? error.message : `Something went wrong: ${error.message}`);
  }
  card.classList.remove("waiting");
  numAnswered += 1;
  showProgress(`${card.querySelector(".name").textContent}: ${card.querySelector(".verdict").textContent}`);
}

function showThumbnail(card, bitmap) {
  const canvas = card.querySelector(".thumbnail");
  const scale = Math.min(1, THUMBNAIL_SIDE / Math.max(bitmap.width, bitmap.height));
  canvas.width = Math.max(1, Math.round(bitmap.width * scale));
  canvas.height = Math.max(1, Math.round(bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  canvas.hidden = false;
  bitmap.close();
}

function showError(card, sentence) {
  card.classList.add("failed");
  card.querySelector(".verdict").textContent = "No answer";
  card.querySelector(".reason").textContent = sentence;
  card.querySelector(".reason").hidden = false;
}

// Screen readers read this line aloud, so it contains the latest answer.
function showProgress(latestAnswer = "") {
  if (!numAdded) return;
  byId("progress").textContent = `${numAnswered} of ${numAdded} answered. ${latestAnswer}`;
}

listenForPhotos(addPhotos);
