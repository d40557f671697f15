// The page of a training: the server sends its state after each change, and this script shows it.

import { drawChart } from "./chart.js";

const get = (id) => document.getElementById(id);
const percent = (share) => `${(100 * share).toFixed(1)}%`;
const short = (number) => String(Number(number.toPrecision(3)));
const ENDED = ["finished", "stopped", "failed"];

let current = null; // the last state that was received
let shownEpoch = null; // the number of epochs in the table and in the pictures
let isPaused = false;

const stream = new EventSource("events");
stream.addEventListener("message", ({ data }) => {
  current = JSON.parse(data);
  if (ENDED.includes(current.phase)) stream.close();
  if (!isPaused || ENDED.includes(current.phase)) show(current);
});
stream.addEventListener("error", () => {
  // The browser tries again by itself: if the training is resumed with --watch, the page continues.
  if (current === null || ENDED.includes(current.phase)) return;
  const resume = current.resume ? ` If it was killed, continue it with: ${current.resume}` : "";
  current = { ...current, phase: "lost", message: `The training does not answer any more.${resume}`, hint: null };
  show(current);
});

get("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  get("pause").setAttribute("aria-pressed", String(isPaused));
  get("pause").textContent = isPaused ? "Continue updates" : "Pause updates";
  if (!isPaused && current) show(current);
});
new ResizeObserver(() => current?.history.length && showCurves(current)).observe(get("curves"));

function show(state) {
  const { phase, history, run } = state;
  document.body.dataset.phase = phase;
  setText("run", run ? `Training ${run}` : "Training");
  setText("headline", headline(state));
  document.title = run ? `${headline(state)} - ${run}` : headline(state);
  setText("message", [state.message, state.hint].filter(Boolean).join(" "));
  get("report").hidden = phase !== "finished";
  setText("report-path", state.report ?? "");
  get("note").hidden = !state.note;
  setText("note", state.note ?? "");
  get("pause").hidden = ENDED.includes(phase);
  if (!state.epochs) return;
  get("progress").value = ["finished", "evaluating"].includes(phase) ? 1 : finishedEpochs(state) / state.epochs;
  showFacts(state);
  if (history.length || state.step.step) showCurves(state);
  if (shownEpoch !== history.length) {
    // Only now: a table that is written again each second could not be read or selected.
    showTable(history);
    showMistakes(state);
    shownEpoch = history.length;
  }
}

function headline({ phase, history, epochs, step }) {
  const completed = history.length === 1 ? "1 epoch" : `${history.length} epochs`;
  return {
    preparing: "Preparing",
    training: step.step || history.length ? `Epoch ${history.length + 1} of ${epochs}` : "Starting the first epoch",
    evaluating: `${completed} finished, evaluating the network`,
    finished: `Finished after ${completed}`,
    stopped: `Stopped after ${completed}`,
    failed: "The training failed",
    lost: "No connection to the training",
  }[phase];
}

const finishedEpochs = ({ history, step, steps_per_epoch: steps }) => history.length + step.step / steps;

function showFacts({ phase, history, step, steps_per_epoch: steps, ...state }) {
  get("facts").hidden = false;
  const isRunning = phase === "training";
  get("time-left").parentElement.hidden = get("this-epoch").parentElement.hidden = !isRunning;
  setFact("time-left", state.seconds_left === null ? "not known yet" : duration(state.seconds_left),
    state.stops_early ? "less if training stops early" : "without the evaluation at the end");
  const last = history.at(-1);
  setFact("accuracy", last ? percent(last.val_accuracy) : "after the first epoch", last ? `loss ${last.val_loss.toFixed(4)}` : "");
  const best = history[state.best_epoch - 1];
  setFact("best", best ? String(state.best_epoch) : "after the first epoch", best ? `loss ${best.val_loss.toFixed(4)}` : "");
  setFact("rate", short(step.step || !last ? step.learning_rate : last.learning_rate), "");
  setFact("this-epoch", `step ${step.step} of ${steps}`, step.step ? `loss ${step.loss.toFixed(3)}, accuracy ${percent(step.accuracy)}` : "");
}

function showCurves(state) {
  const { history, step, epochs, best_epoch: best } = state;
  get("curves").hidden = false;
  const column = (name) => history.map((row) => [row.epoch, row[name]]);
  // The mean over a few batches would jump up and down, so the running epoch counts from its middle on.
  const isUsable = step.step / state.steps_per_epoch >= 0.5 || (!history.length && step.step);
  const running = (value) => (isUsable ? [[finishedEpochs(state), value]] : []);
  const end = Math.max(2, epochs);
  for (const [id, name, key, format] of [
    ["loss-chart", "Loss", "loss", short],
    ["accuracy-chart", "Accuracy", "accuracy", (share) => `${short(100 * share)}%`],
  ]) {
    const lines = [
      { name: "training", kind: "train", points: [...column(key), ...running(step[key])] },
      { name: "validation", kind: "validation", points: column(`val_${key}`) },
    ];
    const last = history.at(-1);
    const label = last
      ? `${name} over ${history.length} epochs: training ${format(last[key])}, validation ${format(last[`val_${key}`])}, best epoch ${best}`
      : `${name} of the first epoch so far: training ${format(step[key])}`;
    drawChart(get(id), lines, { label, format, end, best });
  }
  const rates = [...column("learning_rate"), ...(step.step ? [[finishedEpochs(state), step.learning_rate]] : [])];
  const label = `Learning rate over the epochs: now ${short(rates.at(-1)[1])}`;
  drawChart(get("rate-chart"), [{ name: "learning rate", kind: "validation", points: rates }],
    { label, format: short, end, fromZero: true });
}

function showTable(history) {
  const rows = history.map((row) => {
    const element = document.createElement("tr");
    const number = document.createElement("th");
    number.scope = "row";
    number.textContent = row.epoch;
    const cells = [row.loss.toFixed(4), percent(row.accuracy), row.val_loss.toFixed(4), percent(row.val_accuracy),
      short(row.learning_rate), row.seconds.toFixed(1)];
    element.append(number, ...cells.map((text) => Object.assign(document.createElement("td"), { textContent: text })));
    return element;
  });
  get("epochs").replaceChildren(...rows.reverse());
}

function showMistakes({ mistakes, history }) {
  get("mistakes").hidden = !mistakes;
  if (!mistakes) return;
  const { count, total, surest } = mistakes;
  const listed = surest.length < count ? ` These are the ${surest.length} that the network was surest of.` : "";
  setText("mistakes-summary", count
    ? `After epoch ${history.length}, ${count.toLocaleString("en")} of ${total.toLocaleString("en")} validation photos are answered incorrectly.${listed} The probabilities are not calibrated yet.`
    : `After epoch ${history.length}, all ${total.toLocaleString("en")} validation photos are answered correctly.`);
  get("pictures").replaceChildren(...surest.map(({ sample, path, label, answer, probability }) => {
    const item = document.createElement("li");
    const picture = Object.assign(document.createElement("img"), { src: `pictures/${sample}.png`, alt: "" });
    const words = document.createElement("p");
    const name = Object.assign(document.createElement("small"), { textContent: path });
    words.append(`${label}, answered ${answer} (${percent(probability)})`, name);
    item.append(picture, words);
    return item;
  }));
}

function setText(id, text) {
  if (get(id).textContent !== text) get(id).textContent = text; // equal text is not announced again
}

function setFact(id, value, detail) {
  const small = Object.assign(document.createElement("small"), { textContent: detail });
  get(id).replaceChildren(value, ...(detail ? [small] : []));
}

function duration(seconds) {
  if (seconds < 90) return `${Math.ceil(seconds)} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 90 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
}
