// The sentences that the page says about operations and numbers.

import { LOGIT, PIXELS } from "./computation.js";

const MEANINGS = {
  scaling: "The bytes of the photo, 0 to 255, become numbers from 0 to 1: a map each for red, green and blue.",
  brightness: "The brightness: a weighted sum of red, green and blue.",
  subtract: "The first map minus the second: what remains is color without brightness.",
  add: "Two inputs are added, position by position.",
  multiply: "Each map is multiplied by its weight, one number between 0 and 1.",
  conv: "A convolution. Each filter looks for one pattern, at every position: its weights times the numbers below them, added up.",
  norm: "A normalization: each map is multiplied by a number, and another number is added.",
  relu: "What is below zero becomes zero: a pattern is there or it is not.",
  leaky_relu: "What is below zero becomes ten times smaller.",
  elu: "What is below zero becomes exp(x) - 1, which is never below -1.",
  silu: "Each number is multiplied by its sigmoid, so that what is far below zero becomes nearly zero.",
  sigmoid: "Each number becomes a number between 0 and 1.",
  max_pool: "Of each square of positions, only the largest number is kept. Where exactly it was is forgotten.",
  average_pool: "Each square of positions becomes its mean.",
  dropout: "Only training does something here: it sets a random share of the numbers to zero. Predictions skip it.",
  flatten: "All numbers of all maps, as one list.",
  mean: "The mean of each map over all positions: how much of its pattern the whole photo has.",
  dense: "A hidden layer: each of its numbers is a weighted sum of all numbers before it.",
};

const COLORS = ["red", "green", "blue"];

export function describeOperation(name, operation, about) {
  if (name === LOGIT) {
    const [negative, positive] = about.class_names;
    const second = operation.output_shape[0] === 2 ? " The second number says whether the photo shows neither." : "";
    return `The answer: a weighted sum of all features. Above 0 it speaks for ${positive}, below 0 for ${negative}.${second}`;
  }
  if (operation.kind === "norm" && operation.is_identity) {
    return "A normalization. When predicting, it is a multiplication and an addition per map; they are already in the weights of the convolution before it.";
  }
  return MEANINGS[operation.kind];
}

// The name of a number or map: "stem.conv1, map 5, row 3, column 4", each counted from 1.
export function nameNumber(computation, { operation, channel, row, column }) {
  const position = `row ${row + 1}, column ${column + 1}`;
  if (operation === PIXELS) return `${COLORS[channel]} of the pixel in ${position}`;
  return `${nameMap(computation, operation, channel)}${hasPositions(computation, operation) ? `, ${position}` : ""}`;
}

export function nameMap(computation, operation, channel) {
  if (operation === LOGIT) return channel ? "logit of showing neither" : LOGIT;
  return `${operation}, ${hasPositions(computation, operation) ? "map" : "feature"} ${channel + 1}`;
}

export function hasPositions(computation, operation) {
  return operation === PIXELS || computation.network.operations[operation].output_shape.length === 3;
}

// Three significant digits; a long row of them tells a learner nothing.
export function formatNumber(number) {
  if (number === 0) return "0";
  const size = Math.abs(number);
  return size >= 1000 || size < 0.0005 ? number.toExponential(1) : String(Number(number.toPrecision(3)));
}
