// A line chart as SVG, drawn at the size of its element: text has the same size on a phone and on a wide screen.

const SVG = "http://www.w3.org/2000/svg";
const MARGIN = { top: 20, right: 14, bottom: 24, left: 48 };

/**
 * @param {HTMLElement} element Its content is replaced.
 * @param {{name: string, kind: string, points: number[][]}[]} lines Points are [x, y], in ascending order of x. The
 *   kind is a class of the style sheet.
 * @param {{label: string, format: (y: number) => string, end: number, best?: number, fromZero?: boolean}} options
 *   Words for screen readers, how numbers are written, the last x of the axis, and an x to mark.
 */
export function drawChart(element, lines, { label, format, end, best = 0, fromZero = false }) {
  const width = Math.max(200, element.clientWidth - 16);
  const height = Math.max(120, element.clientHeight - 16);
  const drawn = lines.filter(({ points }) => points.length);
  const values = drawn.flatMap(({ points }) => points.map(([, y]) => y));
  const ticks = niceTicks(fromZero ? 0 : Math.min(...values), Math.max(...values));
  const [low, high] = [ticks[0], ticks.at(-1)];
  const start = Math.min(1, ...drawn.map(({ points }) => points[0][0]));
  const span = Math.max(end - start, 1e-9);
  const toX = (x) => MARGIN.left + ((x - start) / span) * (width - MARGIN.left - MARGIN.right);
  const toY = (y) => height - MARGIN.bottom - ((y - low) / (high - low)) * (height - MARGIN.top - MARGIN.bottom);

  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label });
  for (const tick of ticks) {
    svg.append(make("line", { class: "grid", x1: MARGIN.left, x2: width - MARGIN.right, y1: toY(tick), y2: toY(tick) }));
    svg.append(make("text", { x: MARGIN.left - 6, y: toY(tick) + 4, "text-anchor": "end" }, format(tick)));
  }
  for (const epoch of epochTicks(Math.ceil(start), end, width / 60)) {
    svg.append(make("text", { x: toX(epoch), y: height - 6, "text-anchor": "middle" }, String(epoch)));
  }
  if (best) {
    svg.append(make("line", { class: "best", x1: toX(best), x2: toX(best), y1: MARGIN.top, y2: height - MARGIN.bottom }));
  }
  for (const [index, { name, kind, points }] of drawn.entries()) {
    const path = points.map(([x, y], i) => `${i ? "L" : "M"}${toX(x).toFixed(1)} ${toY(y).toFixed(1)}`).join("");
    svg.append(make("path", { class: `line ${kind}`, d: path }));
    const [x, y] = points.at(-1);
    svg.append(make("circle", { class: kind, cx: toX(x), cy: toY(y), r: 3.5 }));
    if (drawn.length > 1) {
      const words = { class: kind, x: MARGIN.left + index * 110, y: 12 };
      svg.append(make("text", words, `${kind === "train" ? "- -" : "—"} ${name}`));
    }
  }
  if (best) {
    // Last, so that it lies over the lines.
    const isRight = toX(best) > width / 2;
    const place = { x: toX(best) + (isRight ? -5 : 5), y: MARGIN.top + 12, "text-anchor": isRight ? "end" : "start" };
    svg.append(make("text", { class: "best", ...place }, "best"));
  }
  element.replaceChildren(svg);
}

function make(name, attributes, text = "") {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  element.textContent = text;
  return element;
}

/** Four to six round numbers that enclose all values. */
function niceTicks(least, most) {
  const range = most - least || Math.abs(most) || 1;
  const magnitude = 10 ** Math.floor(Math.log10(range / 4));
  const step = [1, 2, 5, 10].map((factor) => factor * magnitude).find((size) => range / size <= 5);
  const first = Math.floor(least / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(most / step - 1e-9));
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** Whole epochs, at most as many as there is room for. */
function epochTicks(start, end, room) {
  const step = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000].find((size) => (end - start) / size <= room) ?? 5000;
  const epochs = [];
  for (let epoch = Math.ceil(start / step) * step; epoch <= end; epoch += step) epochs.push(epoch);
  return epochs;
}
