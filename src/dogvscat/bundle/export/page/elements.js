// What the pages have in common: small helpers, how photos are added, and how an answer is shown.

import { describeAnswer, formatPercent } from "./words.js";

export const byId = (id) => document.getElementById(id);

// An element with text and attributes: newElement("p", "Hello", { class: "muted" }).
export function newElement(kind, text = "", attributes = {}) {
  const element = document.createElement(kind);
  element.textContent = text;
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

// Shows an answer of the classifier in an element that has the parts of a card.
export function showAnswer(card, answer, about) {
  const [negative, positive] = about.class_names;
  const { verdict, reason } = describeAnswer(answer, about);
  card.dataset.label = answer.label;
  card.dataset.probability = answer.probabilities[positive];
  card.querySelector(".verdict").textContent = verdict;
  card.querySelector(".verdict").classList.toggle("negative", answer.label === negative);
  card.querySelector(".verdict").classList.toggle("positive", answer.label === positive);
  card.querySelector(".bar-negative").style.width = `${100 * answer.probabilities[negative]}%`;
  card.querySelector("span.negative").textContent = `${negative} ${formatPercent(answer.probabilities[negative])}`;
  card.querySelector("span.positive").textContent = `${positive} ${formatPercent(answer.probabilities[positive])}`;
  card.querySelector(".probabilities").hidden = false;
  card.querySelector(".reason").textContent = reason;
  card.querySelector(".reason").hidden = !reason;
}

// Calls addPhotos with the files that a visitor chooses, pastes or drops.
export function listenForPhotos(addPhotos) {
  byId("choose").addEventListener("click", () => byId("files").click());
  byId("files").addEventListener("change", (event) => {
    addPhotos(event.target.files);
    event.target.value = ""; // else choosing the same photo again would be no change
  });
  document.addEventListener("paste", (event) => addPhotos(event.clipboardData?.files ?? []));
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
    addPhotos(event.dataTransfer?.files ?? []);
  });
}

// The network blocks the page's thread for a moment, so wait until the browser has painted what was changed before.
// A page in the background is not painted; there is nothing to wait for.
export function nextPaint() {
  return new Promise((resolve) => {
    if (document.hidden) setTimeout(resolve);
    else requestAnimationFrame(() => setTimeout(resolve));
  });
}
