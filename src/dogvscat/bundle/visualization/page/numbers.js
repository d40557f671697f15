// What each number of the network is computed from. The kinds of operations are those of network/operations.py.

import { PIXELS } from "./computation.js";

// Returns { rule, parts, bias } of a number that is not a pixel. A part is { number, weight, product }: a number of an
// input, and what it contributes. The rule says how the parts become the number:
// - "sum": the products, weight times number, and the bias are added
// - "largest": the largest of them
// - "function": a function of the only part
// - "product": the two parts are multiplied
// - "same": the only part, unchanged
export function partsOf(computation, number) {
  const operation = computation.network.operations[number.operation];
  if (operation.is_identity) return { rule: "same", parts: [partAt(computation, operation.inputs[0], number)], bias: 0 };
  return PARTS[operation.kind](computation, operation, number);
}

// The part that decides most: the largest, or the one whose product is furthest from 0.
export function strongestPart({ rule, parts }) {
  const strength = (part) => (rule === "largest" ? part.product : Math.abs(part.product));
  return parts.reduce((strongest, part) => (strength(part) > strength(strongest) ? part : strongest));
}

export function isSameNumber(a, b) {
  return a.operation === b.operation && a.channel === b.channel && a.row === b.row && a.column === b.column;
}

// The positions of the input that a window sees, without those in the padding: { row, column, inRow, inColumn }, where
// the last two count within the window.
export function windowPositions({ rows, columns }, size, { stride, pads: [before] }, row, column) {
  const positions = [];
  for (let inRow = 0; inRow < size; inRow++) {
    for (let inColumn = 0; inColumn < size; inColumn++) {
      const position = { row: row * stride - before + inRow, column: column * stride - before + inColumn };
      const isInside = position.row >= 0 && position.row < rows && position.column >= 0 && position.column < columns;
      if (isInside) positions.push({ ...position, inRow, inColumn });
    }
  }
  return positions;
}

// The part of an input at the position of a number. Inputs with one channel or one position have the same number for all.
function partAt(computation, input, { channel, row, column }, weight = 1) {
  const { rows, columns, channels } = computation.shape(input);
  const number = {
    operation: input,
    channel: Math.min(channel, channels - 1),
    row: Math.min(row, rows - 1),
    column: Math.min(column, columns - 1),
  };
  return { number, weight, product: weight * computation.value(number) };
}

function sumOfInputs(computation, { inputs }, number, weights) {
  return { rule: "sum", parts: inputs.map((input, i) => partAt(computation, input, number, weights[i])), bias: 0 };
}

function functionOfInput(computation, { inputs }, number) {
  return { rule: "function", parts: [partAt(computation, inputs[0], number)], bias: 0 };
}

function partsOfConvolution(computation, { inputs: [input], settings }, number) {
  const shape = computation.shape(input);
  const { data } = computation.weights[`${number.operation}.weight`]; // (channels out, channels in, rows, columns)
  const positions = windowPositions(shape, settings.kernel, settings, number.row, number.column);
  const parts = [];
  for (let channel = 0; channel < shape.channels; channel++) {
    const start = (number.channel * shape.channels + channel) * settings.kernel ** 2;
    for (const position of positions) {
      const weight = data[start + position.inRow * settings.kernel + position.inColumn];
      parts.push(partAt(computation, input, { ...position, channel }, weight));
    }
  }
  return { rule: "sum", parts, bias: biasOf(computation, number) };
}

function partsOfDense(computation, { inputs: [input] }, number) {
  const { channels } = computation.shape(input);
  const { data, dims } = computation.weights[`${number.operation}.weight`]; // (features in, units)
  const parts = Array.from({ length: channels }, (_, channel) =>
    partAt(computation, input, { channel, row: 0, column: 0 }, data[channel * dims[1] + number.channel]),
  );
  return { rule: "sum", parts, bias: biasOf(computation, number) };
}

function biasOf(computation, { operation, channel }) {
  return computation.weights[`${operation}.bias`]?.data[channel] ?? 0;
}

function partsOfNormalization(computation, { inputs, settings }, number) {
  const [gamma, beta, mean, variance] = ["gamma", "beta", "mean", "variance"].map(
    (key) => computation.weights[`${number.operation}.${key}`].data[number.channel],
  );
  const weight = gamma / Math.sqrt(variance + settings.epsilon);
  return { rule: "sum", parts: [partAt(computation, inputs[0], number, weight)], bias: beta - mean * weight };
}

function partsOfPool(computation, { kind, inputs: [input], settings }, number) {
  const positions = windowPositions(computation.shape(input), settings.size, settings, number.row, number.column);
  const weight = kind === "max_pool" ? 1 : 1 / positions.length; // padding does not count
  const parts = positions.map((position) => partAt(computation, input, { ...number, ...position }, weight));
  return { rule: kind === "max_pool" ? "largest" : "sum", parts, bias: 0 };
}

function partsOfMean(computation, { inputs: [input] }, { channel }) {
  const { rows, columns } = computation.shape(input);
  const parts = Array.from({ length: rows * columns }, (_, i) => {
    const position = { channel, row: Math.floor(i / columns), column: i % columns };
    return partAt(computation, input, position, 1 / (rows * columns));
  });
  return { rule: "sum", parts, bias: 0 };
}

function partsOfFlatten(computation, { inputs: [input] }, number) {
  const { columns, channels } = computation.shape(input);
  const position = Math.floor(number.channel / channels); // the channels of a position lie together
  const origin = { channel: number.channel % channels, row: Math.floor(position / columns), column: position % columns };
  return { rule: "same", parts: [partAt(computation, input, origin)], bias: 0 };
}

const PARTS = {
  scaling: (computation, operation, number) => sumOfInputs(computation, operation, number, [operation.settings.scale]),
  brightness: (computation, { inputs: [input], settings }, number) => ({
    rule: "sum",
    parts: settings.weights.map((weight, channel) => partAt(computation, input, { ...number, channel }, weight)),
    bias: 0,
  }),
  subtract: (computation, operation, number) => sumOfInputs(computation, operation, number, [1, -1]),
  add: (computation, operation, number) => sumOfInputs(computation, operation, number, [1, 1]),
  multiply: (computation, { inputs }, number) => {
    const factors = inputs.map((input) => partAt(computation, input, number));
    const product = factors[0].product * factors[1].product;
    return { rule: "product", parts: factors.map((part) => ({ ...part, product })), bias: 0 };
  },
  conv: partsOfConvolution,
  dense: partsOfDense,
  norm: partsOfNormalization,
  relu: functionOfInput,
  leaky_relu: functionOfInput,
  elu: functionOfInput,
  silu: functionOfInput,
  sigmoid: functionOfInput,
  max_pool: partsOfPool,
  average_pool: partsOfPool,
  mean: partsOfMean,
  flatten: partsOfFlatten,
};
