// The path of one number through the network: from the pixel that counts most for it, to the answer.

import { LOGIT, PIXELS } from "./computation.js";
import { partsOf, strongestPart, windowPositions } from "./numbers.js";

const MOST_USES = 8; // of a number in one convolution that are tried: the strongest
const MOST_TRIALS = 400;

// Returns { numbers, reachesAnswer }: numbers from a pixel through the given number to the answer, each an input of the
// next. Before the given number, each is the strongest part of the next. After it, the next is where the number counts
// most, among the ways on which it is not lost: a number that becomes 0, or is not the largest of its square, leads
// nowhere. If it is lost on all ways that are tried, the path ends early.
export function pathThrough(computation, number) {
  const numbers = [number];
  while (numbers[0].operation !== PIXELS) numbers.unshift(strongestPart(partsOf(computation, numbers[0])).number);
  const rest = pathToAnswer(computation, number, { trials: MOST_TRIALS });
  return { numbers: [...numbers, ...(rest ?? lostPath(computation, number)).slice(1)], reachesAnswer: rest !== null };
}

// The path from a number to the answer; null if none is found. The uses for which the number counts most are tried first.
function pathToAnswer(computation, number, budget) {
  if (number.operation === LOGIT) return [number];
  budget.trials -= 1;
  if (budget.trials < 0) return null;
  for (const use of usesOf(computation, number)) {
    const rest = pathToAnswer(computation, use.number, budget);
    if (rest) return [number, ...rest];
  }
  return null;
}

function lostPath(computation, number) {
  const [use] = usesOf(computation, number);
  return use ? [number, ...lostPath(computation, use.number)] : [number];
}

// Where a number is used, [{ number, product }], the strongest first; nothing if it is 0.
function usesOf(computation, number) {
  if (computation.value(number) === 0) return [];
  const uses = Object.entries(computation.network.operations)
    .filter(([, operation]) => operation.inputs.includes(number.operation))
    .flatMap(([name, operation]) => usesIn(computation, name, operation, number));
  return uses.sort(byStrength);
}

function byStrength(a, b) {
  return Math.abs(b.product) - Math.abs(a.product);
}

// Where an operation uses a number, [{ number, product }]: with a product as in partsOf; of many, only the strongest.
function usesIn(computation, name, operation, number) {
  const value = computation.value(number);
  const use = (position, product) => ({ number: { ...number, ...position, operation: name }, product });
  if (operation.is_identity) return [use({}, value)];
  const { kind, settings } = operation;
  if (kind === "conv") return usesInConvolution(computation, name, operation, number);
  if (kind === "dense") return [useInDense(computation, name, number)];
  if (kind === "flatten") {
    const { columns, channels } = computation.shape(number.operation);
    const channel = (number.row * columns + number.column) * channels + number.channel;
    return [use({ channel, row: 0, column: 0 }, value)];
  }
  if (kind === "mean") {
    const { rows, columns } = computation.shape(number.operation);
    return [use({ row: 0, column: 0 }, value / (rows * columns))];
  }
  if (kind === "max_pool" || kind === "average_pool") {
    const positions = usingPositions(computation, name, settings.size, settings, number);
    const isMax = kind === "max_pool";
    return positions
      .map((position) => use(position, isMax ? value : value / settings.size ** 2))
      .filter((candidate) => !isMax || computation.value(candidate.number) === value);
  }
  if (kind === "multiply" && number.operation === operation.inputs[1]) {
    return [strongestInMap(computation, name, number.channel)];
  }
  // All others compute each position on its own. Brightness has one channel for the three.
  const channel = Math.min(number.channel, computation.shape(name).channels - 1);
  return [use({ channel }, value)];
}

// The positions of an operation whose windows contain the position of a number.
function usingPositions(computation, name, size, { stride, pads }, number) {
  const { rows, columns } = computation.shape(name);
  const shape = computation.shape(number.operation);
  const candidates = (position, count) => {
    const last = Math.min(count - 1, Math.floor((position + pads[0]) / stride));
    const first = Math.max(0, Math.ceil((position + pads[0] - size + 1) / stride));
    return Array.from({ length: Math.max(0, last - first + 1) }, (_, i) => first + i);
  };
  return candidates(number.row, rows).flatMap((row) =>
    candidates(number.column, columns).flatMap((column) =>
      windowPositions(shape, size, { stride, pads }, row, column)
        .filter((position) => position.row === number.row && position.column === number.column)
        .map(({ inRow, inColumn }) => ({ row, column, inRow, inColumn })),
    ),
  );
}

function usesInConvolution(computation, name, { settings }, number) {
  const { data, dims } = computation.weights[`${name}.weight`]; // (channels out, channels in, rows, columns)
  const value = computation.value(number);
  const uses = [];
  for (const { row, column, inRow, inColumn } of usingPositions(computation, name, settings.kernel, settings, number)) {
    for (let channel = 0; channel < dims[0]; channel++) {
      const index = ((channel * dims[1] + number.channel) * dims[2] + inRow) * dims[3] + inColumn;
      uses.push({ number: { operation: name, channel, row, column }, product: data[index] * value });
    }
  }
  return uses.sort(byStrength).slice(0, MOST_USES);
}

function useInDense(computation, name, number) {
  const { data, dims } = computation.weights[`${name}.weight`]; // (features in, units)
  const units = name === LOGIT ? 1 : dims[1]; // the second logit is not the answer
  const products = Array.from(
    { length: units },
    (_, unit) => data[number.channel * dims[1] + unit] * computation.value(number),
  );
  const channel = products.reduce((best, product, i) => (Math.abs(product) > Math.abs(products[best]) ? i : best), 0);
  return { number: { operation: name, channel, row: 0, column: 0 }, product: products[channel] };
}

function strongestInMap(computation, operation, channel) {
  const map = computation.map(operation, channel);
  const index = map.reduce((best, value, i) => (Math.abs(value) > Math.abs(map[best]) ? i : best), 0);
  const { columns } = computation.shape(operation);
  return { number: { operation, channel, row: Math.floor(index / columns), column: index % columns }, product: map[index] };
}
