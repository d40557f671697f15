// Resizes a decoded photo to the network's square, as photos/decoding/decoder.py does with Pillow. Each browser scales a canvas
// in its own way, so no canvas scales anything here: the arithmetic below is Pillow's, equal to the last bit.
// Source: Pillow, src/libImaging/Resample.c and Reduce.c.

// Weights are whole numbers in fixed point, as in Pillow: of 32 bits 8 hold the byte, 2 are headroom, and 22 are left
// for the fraction.
const FIXED_POINT_ONE = 2 ** 22;

// The factor by which a JPEG is reduced before it is resized: Pillow does this in the decoder (`draft`).
export function jpegReduction(width, height, size) {
  const largest = Math.min(Math.floor(width / size), Math.floor(height / size));
  return [8, 4, 2].find((factor) => factor <= largest) ?? 1;
}

// The taps of an antialiased bilinear filter: for each of `outSize` outputs, the index of its first input and the
// weights of its inputs. The inputs cover the `extent`, which is shorter than `inSize` if the last one is partial.
function computeTaps(inSize, extent, outSize) {
  const scale = extent / outSize;
  const support = Math.max(scale, 1); // half the width of the filter; wider when shrinking, against aliasing
  return Array.from({ length: outSize }, (_, output) => {
    const center = (output + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(inSize, Math.trunc(center + support + 0.5));
    const weights = [];
    for (let x = first; x < end; x++) weights.push(Math.max(0, 1 - Math.abs((x - center + 0.5) / support)));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => Math.trunc(0.5 + (weight / sum) * FIXED_POINT_ONE)) };
  });
}

// From a weighted sum in fixed point to a byte, rounded.
function toByte(sum) {
  return Math.min(255, Math.max(0, Math.floor((sum + FIXED_POINT_ONE / 2) / FIXED_POINT_ONE)));
}

// One row of RGB bytes, resized to as many pixels as there are taps.
function resizeRow(row, taps) {
  const bytes = new Uint8Array(taps.length * 3);
  taps.forEach(({ first, weights }, x) => {
    for (let color = 0; color < 3; color++) {
      let sum = 0;
      for (let tap = 0; tap < weights.length; tap++) sum += row[(first + tap) * 3 + color] * weights[tap];
      bytes[x * 3 + color] = toByte(sum);
    }
  });
  return bytes;
}

// Resizes a photo to a square, whatever its aspect ratio. It takes the rows one strip after the other, so that a large
// photo is never completely in memory.
export class Resizer {
  // width, height: of the photo; size: side of the square; reduction: from jpegReduction, 1 for anything but a JPEG.
  constructor(width, height, size, reduction) {
    const columns = Math.ceil(width / reduction); // after reduction
    const rows = Math.ceil(height / reduction);
    Object.assign(this, { width, height, size, reduction });
    this.columnTaps = computeTaps(columns, width / reduction, size);
    this.rowTaps = computeTaps(rows, height / reduction, size);
    // Both passes round to bytes, so their order changes the result. Since Pillow 13 the vertical pass comes first for
    // photos that are much taller than wide.
    this.verticalFirst = rows > size && rows - size > 2 * (columns - size);
    this.sums = new Float64Array(columns * 3); // of the rows that are being reduced to a single row
    this.numSummed = 0; // rows in these sums
    this.numReceived = 0; // rows of the photo so far
    this.numReduced = 0; // rows after reduction so far
    // The vertical pass: one row of weighted sums, in fixed point, for each row of the square.
    this.outputRows = this.rowTaps.map(() => new Float64Array((this.verticalFirst ? columns : size) * 3));
  }

  // rgba: the next rows, 4 bytes per pixel; alpha is ignored.
  addRows(rgba, numRows) {
    for (let row = 0; row < numRows; row++) {
      this.#addToSums(rgba, row * this.width * 4);
      this.numReceived += 1;
      if (this.numSummed === this.reduction || this.numReceived === this.height) this.#reduceRow();
    }
  }

  // The square: size * size * 3 bytes, RGB.
  finish() {
    const square = new Uint8Array(this.size * this.size * 3);
    this.outputRows.forEach((outputRow, y) => {
      const bytes = Uint8Array.from(outputRow, toByte);
      square.set(this.verticalFirst ? resizeRow(bytes, this.columnTaps) : bytes, y * this.size * 3);
    });
    return square;
  }

  #addToSums(rgba, start) {
    for (let x = 0; x < this.width; x++) {
      const index = Math.floor(x / this.reduction) * 3;
      for (let color = 0; color < 3; color++) this.sums[index + color] += rgba[start + x * 4 + color];
    }
    this.numSummed += 1;
  }

  // From the sums of `reduction` rows to a single row of means.
  #reduceRow() {
    const means = new Uint8Array(this.sums.length);
    for (let column = 0; column * 3 < means.length; column++) {
      const columns = Math.min(this.reduction, this.width - column * this.reduction); // fewer at the right edge
      for (let color = 0; color < 3; color++) {
        means[column * 3 + color] = Math.floor(this.sums[column * 3 + color] / (columns * this.numSummed) + 0.5);
      }
    }
    this.#addToOutput(this.verticalFirst ? means : resizeRow(means, this.columnTaps));
    this.sums.fill(0);
    this.numSummed = 0;
  }

  // Adds a row, with its weight, to each row of the square that it is an input of.
  #addToOutput(row) {
    this.rowTaps.forEach(({ first, weights }, y) => {
      const weight = weights[this.numReduced - first];
      if (!weight) return;
      const outputRow = this.outputRows[y];
      for (let i = 0; i < row.length; i++) outputRow[i] += row[i] * weight;
    });
    this.numReduced += 1;
  }
}
