// The panel that explains how the model works and how accurate it is, with the metrics of its model card.

import { formatPercent, withArticle } from "./words.js";

// Metrics of the card, in the order of the table.
const METRIC_NAMES = [
  ["accuracy", "Accuracy"],
  ["selective_accuracy", "Accuracy of the answers that are not “unsure”"],
  ["unsure_rate", "Answered “unsure”"],
  ["roc_auc", "Area under the ROC curve"],
  ["expected_calibration_error", "Expected calibration error"],
];

// model: the document of /api/v1/model; container: the element that the sections are added to.
export function describeModel(model, container) {
  const [negative, positive] = model.class_names;
  const size = model.image_size;
  container.append(
    newSection("How it works", [
      `Every photo is resized to ${size} × ${size} pixels. A convolutional network, trained from scratch on ` +
        `${formatCount(model.origin.num_train)} labeled photos, computes the probability that the photo shows ` +
        `${withArticle(positive)}.`,
      decisionRule(model),
      "The heat map shows where in the photo the evidence for the answer lies.",
    ]),
    accuracySection(model),
    limitsSection(model),
  );
}

function decisionRule({ class_names: [negative, positive], threshold, unsure_low, unsure_high, neither_limit, at_chance }) {
  if (at_chance) return "The answer is always “unsure”, since the network is no better than guessing.";
  const close = `this probability is strictly between ${formatPercent(unsure_low)} and ${formatPercent(unsure_high)}`;
  const conditions = [];
  if (unsure_low < unsure_high) conditions.push(close);
  if (neither_limit < 1) conditions.push("the photo seems to show neither");
  const unsureRule = conditions.length ? `The answer is “unsure” if ${conditions.join(", or if ")}. Otherwise it` : "The answer";
  return (
    `${unsureRule} is ${positive} if the probability is at least ${formatPercent(threshold)}, and ${negative} if it is ` +
    "lower."
  );
}

function accuracySection(model) {
  const split = ["test", "validation"].find((name) => model.metrics[name]);
  if (!split) {
    return newSection("How accurate it is", ["No metrics: no photos were held out to evaluate this model."]);
  }
  const rows = METRIC_NAMES.filter(([name]) => model.metrics[split][name]).map(([name, title]) =>
    metricRow(title, model.metrics[split][name]),
  );
  const neitherRate = model.metrics.neither?.unsure_rate;
  if (neitherRate) rows.push(metricRow("Photos that show neither: answered “unsure”", neitherRate));
  const table = document.createElement("table");
  table.append(...rows);
  const photos = split === "test" ? "test photos, used for nothing else" : "validation photos, not used for training";
  const section = newSection("How accurate it is", [`Measured on ${photos}, with 95% intervals:`]);
  section.append(table);
  return section;
}

function metricRow(title, { value, low, high, n }) {
  const row = document.createElement("tr");
  const header = document.createElement("th");
  const cell = document.createElement("td");
  const interval = document.createElement("small");
  header.scope = "row";
  header.textContent = title;
  cell.textContent = formatPercent(value);
  interval.textContent = `${formatPercent(low)} to ${formatPercent(high)}, n\u00a0=\u00a0${formatCount(n)}`;
  cell.append(interval);
  row.append(header, cell);
  return row;
}

function limitsSection(model) {
  const section = newSection("Where it fails", [
    "Expect more mistakes on photos unlike those that the network was trained on. " +
      "Do not use it where a wrong answer can harm somebody.",
  ]);
  if (model.known_failures.length) {
    const list = document.createElement("ul");
    for (const failure of model.known_failures) {
      const item = document.createElement("li");
      item.textContent = failure;
      list.append(item);
    }
    section.append(list);
  }
  return section;
}

function newSection(title, sentences) {
  const section = document.createElement("section");
  const heading = document.createElement("h2");
  heading.textContent = title;
  section.append(heading);
  for (const sentence of sentences) {
    const paragraph = document.createElement("p");
    paragraph.textContent = sentence;
    section.append(paragraph);
  }
  return section;
}

function formatCount(count) {
  return count.toLocaleString("en");
}
