// Shows the suspected photos one at a time and sends each decision to the command that serves this page.
// Paths come from strangers: they are only ever set as text, never as HTML.

import { formatProbability, printable } from "./words.js";

const byId = (id) => document.getElementById(id);
const token = document.querySelector("meta[name=token]").content;
const buttons = Object.fromEntries([...document.querySelectorAll("[data-choice]")].map((button) => [button.dataset.choice, button]));
const KEYS = { 1: "negative", 2: "positive", 3: "leave_out", 4: "keep" };
const OUTCOMES = { relabeled: "relabeled", left_out: "left out", kept: "kept as filed" };
let state = null; // the document of /state
let isReady = false; // whether the current photo, or the reason why it cannot be shown, is on the page
let isSending = false;

// ---- Deciding

for (const [choice, button] of Object.entries(buttons)) button.addEventListener("click", () => decide(choice));
byId("undo").addEventListener("click", undo);
byId("keys").addEventListener("change", showKeys);
document.addEventListener("keydown", (event) => {
  // A key that is held down decides only one photo.
  if (!byId("keys").checked || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key in KEYS) decide(KEYS[event.key]);
  else if (event.key.toLowerCase() === "u") undo();
});

function decide(choice) {
  if (!state?.photo || !isReady) return; // nobody decides a photo that is not visible yet
  const [negative, positive] = state.class_names;
  const label = { negative, positive, leave_out: "leave_out", keep: state.photo.filed_as }[choice];
  send("decisions", { sha256: state.photo.sha256, label });
}

function undo() {
  if (state?.last) send("undo", { sha256: state.last.sha256 });
}

async function send(path, body) {
  if (isSending) return;
  isSending = true;
  try {
    const headers = { "Content-Type": "application/json", "X-Page-Token": token };
    const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
    if (response.status === 403) location.reload(); // the command was started again: the page needs its new token
    else if (response.ok) show(await response.json());
    else await recover(response);
  } catch {
    warn("The command that serves this page does not answer. Start it again; every decision so far is written.");
  } finally {
    isSending = false;
  }
}

async function recover(response) {
  const { detail, hint } = await response.json().catch(() => ({}));
  await load();
  warn([detail ?? `The command answered with status ${response.status}`, hint].filter(Boolean).map(toSentence).join(" "));
}

function toSentence(text) {
  return text.charAt(0).toUpperCase() + text.slice(1) + (/[.!?]$/.test(text) ? "" : ".");
}

async function load() {
  show(await (await fetch("state")).json());
}

// ---- Showing

function show(newState) {
  const isSamePhoto = state?.photo?.sha256 === newState.photo?.sha256;
  state = newState;
  warn("");
  const { num_decided: numDecided, num_suspects: numSuspects, class_names: [negative, positive], photo } = state;
  byId("progress").max = Math.max(1, numSuspects);
  byId("progress").value = numDecided;
  byId("progress-text").textContent = `${numDecided} of ${numSuspects} photos decided`;
  byId("file").textContent = printable(state.file);
  byId("command").textContent = printable(state.command);
  byId("outcome").textContent = `${outcomeCounts()}.`;
  byId("last").textContent = lastDecision();
  byId("undo").setAttribute("aria-disabled", String(!state.last));
  for (const id of ["suspect", "choices"]) byId(id).hidden = !photo;
  byId("finished").hidden = Boolean(photo);
  if (!photo) return;
  buttons.negative.querySelector("span").textContent = printable(negative);
  buttons.positive.querySelector("span").textContent = printable(positive);
  buttons.keep.querySelector("span").textContent = `Keep as ${printable(photo.filed_as)}`;
  byId("path").textContent = printable(photo.path);
  showEvidence(photo);
  if (!isSamePhoto) showImage(photo);
}

function showEvidence({ filed_as: filedAs, probabilities }) {
  const label = document.createElement("b");
  label.textContent = printable(filedAs);
  const opinions = Object.entries(probabilities ?? {}).map(([name, value]) => `${printable(name)} ${formatProbability(value)}`);
  const opinion = opinions.length ? `networks that did not learn from this photo: ${opinions.join(", ")}.` : "networks that did not learn from this photo are undecided.";
  byId("evidence").replaceChildren("Filed as ", label, `; ${opinion}`);
}

function outcomeCounts() {
  return Object.entries(state.counts).map(([outcome, count]) => `${count} ${OUTCOMES[outcome]}`).join(", ");
}

function lastDecision() {
  if (!state.last) return "";
  const { path, label, filed_as: filedAs } = state.last;
  const outcome = label === "leave_out" ? "left out" : label === filedAs ? `stays ${label}` : `is ${label} now`;
  return printable(`${path} ${outcome}`);
}

// The pictures of the current and the next photo, as promises of object URLs; others are released.
const pictures = new Map();

function picture(sha256) {
  if (!pictures.has(sha256)) pictures.set(sha256, fetchPicture(sha256));
  return pictures.get(sha256);
}

async function fetchPicture(sha256) {
  const response = await fetch(`photos/${sha256}`);
  if (response.ok) return URL.createObjectURL(await response.blob());
  const { detail } = await response.json().catch(() => ({}));
  throw new Error(detail ?? `the command answered with status ${response.status}`);
}

async function showImage(photo) {
  const [image, reason] = [byId("image"), byId("no-image")];
  const isCurrent = () => state.photo?.sha256 === photo.sha256;
  isReady = false;
  image.hidden = reason.hidden = true; // never one photo under the name of another
  let message = "";
  try {
    const url = await picture(photo.sha256);
    if (!isCurrent()) return;
    image.src = url;
    await image.decode();
  } catch (error) {
    pictures.delete(photo.sha256); // the next try asks again
    message = `This photo cannot be shown: ${error.message}`;
  }
  if (!isCurrent()) return;
  image.alt = `The photo ${printable(photo.path)}`;
  image.hidden = Boolean(message);
  reason.hidden = !message;
  reason.textContent = message;
  isReady = true;
  if (state.next_sha256) picture(state.next_sha256).catch(() => {});
  release();
}

function release() {
  for (const [sha256, promise] of pictures) {
    if ([state.photo?.sha256, state.next_sha256].includes(sha256)) continue;
    pictures.delete(sha256);
    promise.then(URL.revokeObjectURL, () => {});
  }
}

function warn(sentence) {
  byId("warning").textContent = sentence;
  byId("warning").hidden = !sentence;
}

function showKeys() {
  document.body.classList.toggle("with-keys", byId("keys").checked);
}

showKeys();
load().catch(() => warn("The command that serves this page does not answer. Start it again, then reload this page."));
