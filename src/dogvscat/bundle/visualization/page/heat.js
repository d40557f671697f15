// Heat maps: where in the photo the evidence for the answer is, as in bundle/predict/heat_map.py.

// Returns { heat, method }: size * size numbers in 0..1 for the more probable class, and how they were computed.
// answer: of the classifier; report is called with the share of the work that is done.
export async function computeHeatMap(classifier, computation, answer, report) {
  const activation = computation.classActivation;
  const evidence = activation ?? (await hideParts(classifier, computation, report));
  const names = classifier.about.class_names;
  const isPositive = answer.probabilities[names[1]] >= classifier.about.decision.threshold;
  const forClass = Array.from(evidence.numbers, (number) => Math.max(0, isPositive ? number : -number));
  const heat = enlarge(forClass, evidence.rows, evidence.columns, computation.network.image_size);
  const largest = heat.reduce((maximum, number) => Math.max(maximum, number), 0);
  return {
    heat: largest > 0 ? heat.map((number) => number / largest) : heat,
    className: names[isPositive ? 1 : 0],
    method: activation ? "class activation map" : "hiding parts of the photo",
  };
}

// How far the logit falls when a square of the photo is hidden by its mean color.
// Source: Zeiler and Fergus, Visualizing and understanding convolutional networks, 2014.
async function hideParts(classifier, { network, pixels, logits }, report) {
  const { edges } = network.heat_map; // of cells; a hidden square covers two by two
  const count = edges.length - 2;
  const color = meanColor(pixels);
  const numbers = [];
  for (let index = 0; index < count * count; index++) {
    const hidden = pixels.slice();
    const [row, column] = [Math.floor(index / count), index % count];
    for (let y = edges[row]; y < edges[row + 2]; y++) {
      for (let x = edges[column]; x < edges[column + 2]; x++) hidden.set(color, (y * network.image_size + x) * 3);
    }
    numbers.push(logits.logit - (await classifier.computeLogits(hidden)).logit);
    await report((index + 1) / (count * count));
  }
  return { rows: count, columns: count, numbers };
}

function meanColor(pixels) {
  const sums = [0, 0, 0];
  pixels.forEach((byte, i) => (sums[i % 3] += byte));
  return sums.map((sum) => Math.round(sum / (pixels.length / 3)));
}

// Stretches a small map over the photo; between the centers of its cells the numbers change evenly.
function enlarge(numbers, rows, columns, size) {
  const between = (position, count) => {
    const center = Math.min(count - 1, Math.max(0, ((position + 0.5) * count) / size - 0.5));
    const first = Math.min(Math.max(0, count - 2), Math.floor(center));
    return { first, second: Math.min(count - 1, first + 1), share: center - first };
  };
  const heat = new Float32Array(size * size);
  for (let y = 0; y < size; y++) {
    const vertical = between(y, rows);
    for (let x = 0; x < size; x++) {
      const horizontal = between(x, columns);
      const inRow = (row) =>
        numbers[row * columns + horizontal.first] * (1 - horizontal.share) +
        numbers[row * columns + horizontal.second] * horizontal.share;
      heat[y * size + x] = inRow(vertical.first) * (1 - vertical.share) + inRow(vertical.second) * vertical.share;
    }
  }
  return heat;
}
