// From a decoded picture to the network's pixels, as dogvscat's decoder does it with Pillow. Canvases scale in ways of
// their own, so nothing is scaled by a canvas here: the arithmetic below is Pillow's, to the last bit.

const PRECISION = 2 ** 22; // Pillow's fixed point: 32 bits, less 8 for a byte, less 2 for headroom

// How much a JPEG is reduced while it is decoded: Pillow's `draft`.
export function reductionOf(width, height, size) {
  const room = Math.min(Math.floor(width / size), Math.floor(height / size));
  return [8, 4, 2].find((factor) => factor <= room) ?? 1;
}

// Bilinear and antialiased: for each of `outSize` places, where its inputs begin and what each weighs.
function tapsOf(inSize, extent, outSize) {
  const scale = extent / outSize;
  const support = Math.max(scale, 1);
  return Array.from({ length: outSize }, (_, place) => {
    const center = (place + 0.5) * scale;
    const first = Math.max(0, Math.trunc(center - support + 0.5));
    const end = Math.min(inSize, Math.trunc(center + support + 0.5));
    const weights = [];
    for (let x = first; x < end; x++) weights.push(Math.max(0, 1 - Math.abs((x - center + 0.5) / support)));
    const sum = weights.reduce((total, weight) => total + weight, 0);
    return { first, weights: weights.map((weight) => Math.trunc(0.5 + (weight / sum) * PRECISION)) };
  });
}

function byteOf(sum) {
  return Math.min(255, Math.max(0, Math.floor((sum + PRECISION / 2) / PRECISION)));
}

// One row of RGB bytes in another width.
function squeezed(row, taps) {
  const bytes = new Uint8Array(taps.length * 3);
  taps.forEach(({ first, weights }, place) => {
    for (let color = 0; color < 3; color++) {
      let sum = 0;
      for (let tap = 0; tap < weights.length; tap++) sum += row[(first + tap) * 3 + color] * weights[tap];
      bytes[place * 3 + color] = byteOf(sum);
    }
  });
  return bytes;
}

// Squashes a picture to a square while its rows come in, so that a large one is never in memory at once.
export class Squasher {
  // width, height: of the picture; size: of the square; reduction: from reductionOf, 1 for anything but a JPEG.
  constructor(width, height, size, reduction) {
    const columns = Math.ceil(width / reduction);
    const rows = Math.ceil(height / reduction);
    Object.assign(this, { width, height, size, reduction });
    this.columnTaps = tapsOf(columns, width / reduction, size);
    this.rowTaps = tapsOf(rows, height / reduction, size);
    // Each pass rounds to bytes, so their order shows: since Pillow 13 much taller pictures are lowered first.
    this.lowersFirst = rows > size && rows - size > 2 * (columns - size);
    this.sums = new Float64Array(columns * 3); // of the rows that are being reduced to one
    this.summed = 0;
    this.received = 0; // rows of the picture
    this.reduced = 0; // rows after reduction
    this.lines = this.rowTaps.map(() => new Float64Array((this.lowersFirst ? columns : size) * 3));
  }

  // rgba: bytes of `count` further rows, four a pixel; alpha is passed over.
  add(rgba, count) {
    for (let row = 0; row < count; row++) {
      this.#sum(rgba, row * this.width * 4);
      this.received += 1;
      if (this.summed === this.reduction || this.received === this.height) this.#finishRow();
    }
  }

  // The square: size * size * 3 bytes, RGB.
  finish() {
    const square = new Uint8Array(this.size * this.size * 3);
    this.lines.forEach((line, place) => {
      const bytes = Uint8Array.from(line, byteOf);
      square.set(this.lowersFirst ? squeezed(bytes, this.columnTaps) : bytes, place * this.size * 3);
    });
    return square;
  }

  #sum(rgba, start) {
    for (let x = 0; x < this.width; x++) {
      const place = Math.floor(x / this.reduction) * 3;
      for (let color = 0; color < 3; color++) this.sums[place + color] += rgba[start + x * 4 + color];
    }
    this.summed += 1;
  }

  #finishRow() {
    const means = new Uint8Array(this.sums.length);
    for (let place = 0; place * 3 < means.length; place++) {
      const columns = Math.min(this.reduction, this.width - place * this.reduction); // fewer at the right edge
      for (let color = 0; color < 3; color++) {
        means[place * 3 + color] = Math.floor(this.sums[place * 3 + color] / (columns * this.summed) + 0.5);
      }
    }
    this.#lower(this.lowersFirst ? means : squeezed(means, this.columnTaps));
    this.sums.fill(0);
    this.summed = 0;
  }

  // Adds a row to every line of the square that it weighs in.
  #lower(row) {
    this.rowTaps.forEach(({ first, weights }, place) => {
      const weight = weights[this.reduced - first];
      if (!weight) return;
      const line = this.lines[place];
      for (let i = 0; i < row.length; i++) line[i] += row[i] * weight;
    });
    this.reduced += 1;
  }
}
