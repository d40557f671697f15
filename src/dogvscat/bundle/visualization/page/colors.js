// From numbers to colors on a canvas.

const ENLARGED = 480; // about this many pixels wide
const FRAME = 4; // thickness, in pixels of an enlarged picture
const NEGATIVE = [70, 150, 255]; // of the most negative number; the largest is white, and 0 is black

// Draws one map, or the weights of one filter for one of its inputs.
// numbers: row by row; largest: what is drawn at full strength.
export function drawNumbers(canvas, numbers, columns, largest) {
  const image = newImage(canvas, columns, numbers.length / columns);
  for (let i = 0; i < numbers.length; i++) {
    const strength = largest > 0 ? Math.min(1, Math.abs(numbers[i]) / largest) : 0;
    const color = numbers[i] < 0 ? NEGATIVE : [255, 255, 255];
    setPixel(image, i, ...color.map((part) => part * strength));
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// Draws a filter that sees red, green and blue: gray is 0.
// weights: three arrays, row by row.
export function drawColorFilter(canvas, weights, columns) {
  const image = newImage(canvas, columns, weights[0].length / columns);
  const largest = Math.max(...weights.map(largestOf)) || 1;
  for (let i = 0; i < weights[0].length; i++) {
    setPixel(image, i, ...weights.map((ofColor) => 127.5 + (127.5 * ofColor[i]) / largest));
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// Draws part of the photo as the network receives it, and black where there is only padding.
// pixels: size * size * 3 bytes; square: { top, left, side }, or null for the whole photo.
export function drawPhoto(canvas, pixels, size, square) {
  const { top, left, side } = square ?? { top: 0, left: 0, side: size };
  const image = newImage(canvas, side, side);
  for (let i = 0; i < side * side; i++) {
    const row = top + Math.floor(i / side);
    const column = left + (i % side);
    const isInside = row >= 0 && row < size && column >= 0 && column < size;
    const start = (row * size + column) * 3;
    setPixel(image, i, ...(isInside ? pixels.subarray(start, start + 3) : [0, 0, 0]));
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// Copies a small picture to a canvas, enlarged without smoothing, with a frame around a part of it.
// source: a canvas; box: { top, left, width, height } in its pixels.
export function drawEnlarged(canvas, source, box) {
  const factor = Math.max(1, Math.floor(ENLARGED / source.width));
  canvas.width = source.width * factor;
  canvas.height = source.height * factor;
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(source, 0, 0, canvas.width, canvas.height);
  // Bright with dark edges, so that it is seen on every picture; around the part, but inside of the canvas.
  const [left, top] = [box.left, box.top].map((edge) => Math.max(FRAME, edge * factor - FRAME / 2));
  const right = Math.min(canvas.width - FRAME, (box.left + box.width) * factor + FRAME / 2);
  const bottom = Math.min(canvas.height - FRAME, (box.top + box.height) * factor + FRAME / 2);
  for (const [color, thickness] of [["#000", FRAME + 3], ["#ffd400", FRAME]]) {
    context.strokeStyle = color;
    context.lineWidth = thickness;
    context.strokeRect(left, top, right - left, bottom - top);
  }
}

// Draws a heat map in the colors of `dogvscat explain`, transparent where there is no evidence.
// heat: size * size numbers in 0..1; style: { colors, opacity } of the network's description.
export function drawHeat(canvas, heat, size, { colors, opacity }) {
  const image = newImage(canvas, size, size);
  heat.forEach((strength, i) => {
    const position = strength * (colors.length - 1); // between two colors: their mixture
    const index = Math.min(colors.length - 2, Math.floor(position));
    const share = position - index;
    const color = colors[index].map((part, channel) => part + (colors[index + 1][channel] - part) * share);
    setPixel(image, i, ...color, 255 * opacity * strength ** 0.7);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
}

// The largest absolute value.
export function largestOf(numbers) {
  return numbers.reduce((largest, number) => Math.max(largest, Math.abs(number)), 0);
}

function newImage(canvas, columns, rows) {
  canvas.width = columns;
  canvas.height = rows;
  return new ImageData(columns, rows);
}

function setPixel(image, index, red, green, blue, alpha = 255) {
  image.data.set([red, green, blue, alpha], index * 4); // a Uint8ClampedArray, which rounds
}
