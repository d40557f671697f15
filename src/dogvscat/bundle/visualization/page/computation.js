// What the network computes from one photo: every number of every operation, as ONNX Runtime gives them.
//
// A number is { operation, channel, row, column }. The operation "pixels" is the photo itself; features, which have no
// position, have row and column 0.

export const PIXELS = "pixels";
export const LOGIT = "logit";

export class Computation {
  #outputs;

  // pixels: size * size * 3 bytes, RGB; network: the description in data.js; weights: from loadWeights.
  static async run(classifier, network, pixels, weights) {
    const values = Object.values(network.operations).map(({ value }) => value);
    const ownOutputs = ["logit", "neither", "activation"].filter((name) => classifier.outputNames.includes(name));
    const computation = new Computation();
    computation.#outputs = await classifier.run(pixels, [...new Set([...values, ...ownOutputs])]);
    Object.assign(computation, { network, pixels, weights });
    computation.logits = {
      logit: computation.#outputs.logit.data[0],
      neither: computation.#outputs.neither?.data[0],
    };
    return computation;
  }

  // The log-odds that each position adds, { rows, columns, numbers }, or null if the network has no such output.
  get classActivation() {
    const output = this.#outputs.activation;
    return output ? { rows: output.dims[1], columns: output.dims[2], numbers: output.data } : null;
  }

  // { rows, columns, channels } of an operation's output.
  shape(operation) {
    if (operation === PIXELS) return { rows: this.network.image_size, columns: this.network.image_size, channels: 3 };
    const shape = this.network.operations[operation].output_shape;
    return shape.length === 3
      ? { rows: shape[0], columns: shape[1], channels: shape[2] }
      : { rows: 1, columns: 1, channels: shape[0] };
  }

  // All numbers of an operation: channel by channel, row by row. If the network also looks at the mirror image, these are
  // the numbers for the photo as it is.
  numbers(operation) {
    const { rows, columns, channels } = this.shape(operation);
    return this.#outputs[this.network.operations[operation].value].data.subarray(0, rows * columns * channels);
  }

  // The same for the mirror image, or null.
  mirroredNumbers(operation) {
    const { data } = this.#outputs[this.network.operations[operation].value];
    const count = this.numbers(operation).length;
    return data.length === 2 * count ? data.subarray(count) : null;
  }

  // One map: the numbers of one channel, row by row.
  map(operation, channel) {
    const { rows, columns } = this.shape(operation);
    return this.numbers(operation).subarray(channel * rows * columns, (channel + 1) * rows * columns);
  }

  value({ operation, channel, row, column }) {
    const { rows, columns } = this.shape(operation);
    if (operation === PIXELS) return this.pixels[(row * columns + column) * 3 + channel];
    return this.numbers(operation)[(channel * rows + row) * columns + column];
  }

  // The square of the photo that a number depends on: { top, left, side }, in pixels; null for the whole photo.
  receptiveField({ operation, row, column }) {
    if (operation === PIXELS) return { top: row, left: column, side: 1 };
    const { field } = this.network.operations[operation];
    if (!field) return null;
    const [start, step, side] = field;
    return { top: start + row * step, left: start + column * step, side };
  }
}

// The weights of the network by name, tensors. They are outputs of the graph, whatever the photo is.
export async function loadWeights(classifier, network) {
  const names = Object.values(network.operations).flatMap(({ weights }) => weights);
  return await classifier.run(new Uint8Array(network.image_size ** 2 * 3), names);
}
