// The panel that says how it works and how far to trust it, with the model card's own figures.

import { withArticle } from "./words.js";

const FIGURES = [
  ["accuracy", "Right answers"],
  ["selective_accuracy", "Right answers, where it is not unsure"],
  ["unsure_rate", "Answered “unsure”"],
  ["roc_auc", "Area under the ROC curve"],
  ["expected_calibration_error", "How far its percentages are off, on average"],
];

export function describeModel(model, place) {
  const [negative, positive] = model.class_names;
  const size = model.image_size;
  place.append(
    section("How it works", [
      `Every photo is squashed to ${size} × ${size} pixels. A network of convolutions, trained from scratch on ` +
        `${count(model.origin.num_train)} labelled pictures, turns them into the probability that it shows ` +
        `${withArticle(positive)}.`,
      `From ${share(model.threshold)} on it says ${positive}, below ${negative}. ` + unsure(model, positive),
      "The heat-map shows where in the picture the evidence for the answer lies.",
    ]),
    figures(model),
    limits(model),
  );
}

function unsure({ unsure_low, unsure_high, neither_limit }, positive) {
  const close = `strictly between ${share(unsure_low)} and ${share(unsure_high)} ${positive}`;
  const other = neither_limit < 1 ? ", and where the picture seems to show neither" : "";
  return `It says “unsure” ${close}${other}.`;
}

function figures(model) {
  const split = ["test", "validation"].find((name) => model.metrics[name]);
  if (!split) return section("How good it is", ["This model has no figures: nothing was put aside to judge it with."]);
  const rows = FIGURES.filter(([name]) => model.metrics[split][name]).map(([name, words]) =>
    row(words, model.metrics[split][name]),
  );
  const others = model.metrics.neither?.unsure_rate;
  if (others) rows.push(row("Of photos that show neither: answered “unsure”", others));
  const table = document.createElement("table");
  table.append(...rows);
  const what = split === "test" ? "on photos put aside until the end" : "on photos it did not learn from";
  const made = section("How good it is", [`Measured ${what}, with 95% intervals:`]);
  made.append(table);
  return made;
}

function row(words, { value, low, high, n }) {
  const line = document.createElement("tr");
  const name = document.createElement("th");
  const figure = document.createElement("td");
  const interval = document.createElement("small");
  name.scope = "row";
  name.textContent = words;
  figure.textContent = share(value);
  interval.textContent = `${share(low)} to ${share(high)}, n\u00a0=\u00a0${count(n)}`;
  figure.append(interval);
  line.append(name, figure);
  return line;
}

function limits(model) {
  const made = section("Where it errs", [
    "On photos of other kinds than it learned from, expect more mistakes. " +
      "Do not use it where a wrong answer harms somebody.",
  ]);
  if (model.known_failures.length) {
    const list = document.createElement("ul");
    for (const failure of model.known_failures) {
      const item = document.createElement("li");
      item.textContent = failure;
      list.append(item);
    }
    made.append(list);
  }
  return made;
}

function section(title, sentences) {
  const made = document.createElement("section");
  const heading = document.createElement("h2");
  heading.textContent = title;
  made.append(heading);
  for (const sentence of sentences) {
    const paragraph = document.createElement("p");
    paragraph.textContent = sentence;
    made.append(paragraph);
  }
  return made;
}

const share = (value) => `${(100 * value).toFixed(1)}%`;
const count = (number) => number.toLocaleString("en");
