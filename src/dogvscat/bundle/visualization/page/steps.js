// The sentences of a number's path: how each number becomes the next one, and the last one the answer.

import { PIXELS } from "./computation.js";
import { newElement } from "./elements.js";
import { sigmoid } from "./classifier.js";
import { capitalize, describeAnswer, formatPercent } from "./words.js";
import { formatNumber, nameNumber } from "./meanings.js";
import { isSameNumber, partsOf } from "./numbers.js";

// Fills a list with a path of numbers from pathThrough. choose is called with the number of a step that is chosen.
export function showPath(list, computation, { numbers, reachesAnswer }, chosen, answer, about, choose) {
  const items = numbers.map((number, index) => {
    const item = newElement("li");
    const name = nameNumber(computation, number);
    if (number.operation === PIXELS) item.append(newElement("strong", capitalize(name)));
    else item.append(newButton(name, () => choose(number)));
    item.append(newElement("p", describeStep(computation, number, numbers[index - 1])));
    if (isSameNumber(number, chosen)) item.setAttribute("aria-current", "step");
    return item;
  });
  const rest = reachesAnswer ? describeDecision(computation, answer, about) : [END_OF_PATH];
  list.replaceChildren(...items, ...rest.map((text) => newElement("li", text)));
}

const END_OF_PATH =
  "The path ends here: on every way that was tried, the number becomes 0, or pooling keeps a larger one. So the answer hardly depends on this number.";

// How a number is computed, with the number before it on the path.
export function describeStep(computation, number, previous) {
  const value = formatNumber(computation.value(number));
  if (number.operation === PIXELS) return `${value} of 255`;
  const { rule, parts, bias } = partsOf(computation, number);
  const part = parts.find((candidate) => isSameNumber(candidate.number, previous)) ?? parts[0];
  const input = formatNumber(computation.value(part.number));
  const { kind } = computation.network.operations[number.operation];
  if (rule === "same") return `${value}, unchanged`;
  if (rule === "function") return `${kind.replace("_", " ")} of ${input} is ${value}`;
  if (rule === "largest") return `the largest of ${parts.length} numbers: ${value}`;
  if (rule === "product") return `${parts.map((factor) => formatNumber(computation.value(factor.number))).join(" x ")} = ${value}`;
  const product = part.weight === 1 ? input : `${input} x ${formatNumber(part.weight)} = ${formatNumber(part.product)}`;
  const others = parts.filter((candidate) => candidate !== part).reduce((sum, { product }) => sum + product, 0);
  const terms = [];
  if (parts.length > 1) terms.push(`${parts.length - 1} other ${parts.length === 2 ? "number adds" : "numbers add"} ${formatNumber(others)}`);
  if (bias) terms.push(`the bias adds ${formatNumber(bias)}`);
  return terms.length ? `${product}; ${terms.join("; ")}: together ${value}` : product;
}

// From the logit to the answer.
function describeDecision(computation, answer, about) {
  const positive = about.class_names[1];
  const sentences = [];
  const mirrored = computation.mirroredNumbers("logit");
  const { logit } = computation.logits;
  if (mirrored) {
    const ways = `${formatNumber(computation.numbers("logit")[0])} for the photo, ${formatNumber(mirrored[0])} for its mirror image`;
    sentences.push(`The network also looks at the mirror image: ${ways}, on average ${formatNumber(logit)}.`);
  }
  sentences.push(`Probability of ${positive}: 1 / (1 + exp(${formatNumber(-logit)})) = ${formatPercent(sigmoid(logit))}.`);
  if (answer.neither !== null) {
    const limit = formatPercent(about.decision.neither_limit);
    sentences.push(`Probability of showing neither: ${formatPercent(answer.neither)}; above ${limit} the answer is unsure.`);
  }
  const { verdict, reason } = describeAnswer(answer, about);
  const threshold = formatPercent(about.decision.threshold);
  sentences.push(`Answer: ${verdict}. ${reason || `If the probability is at least ${threshold}, the answer is ${positive}.`}`);
  return sentences;
}

function newButton(text, onClick) {
  const button = newElement("button", text, { type: "button", class: "link" });
  button.addEventListener("click", onClick);
  return button;
}
