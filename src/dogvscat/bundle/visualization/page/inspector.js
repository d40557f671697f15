// The window of one map: the map large, what a position of it sees of the photo, its filter, and the path of a number.

import { drawColorFilter, drawEnlarged, drawNumbers, drawPhoto, largestOf } from "./colors.js";
import { byId, newElement } from "./elements.js";
import { formatNumber, hasPositions, nameMap, nameNumber } from "./meanings.js";
import { partsOf } from "./numbers.js";
import { pathThrough } from "./path.js";
import { showPath } from "./steps.js";

const NUM_PLACES = 4;
const NUM_PARTS = 6;
const MOST_SLICES = 24; // of a filter that are drawn: the strongest

export class Inspector {
  #computation;
  #answer;
  #number;

  constructor(about) {
    this.about = about;
    const close = () => byId("inspector").close();
    byId("close").addEventListener("click", close);
    // A click outside of the window closes it. The content covers the whole window, so only such a click has the dialog
    // element itself as its target.
    byId("inspector").addEventListener("click", (event) => event.target === byId("inspector") && close());
    byId("map-canvas").addEventListener("click", (event) => this.#choosePosition(event));
    for (const id of ["row", "column"]) byId(id).addEventListener("input", () => this.#readPosition());
  }

  // Opens the window at the strongest place of a map.
  open(computation, answer, operation, channel) {
    this.#computation = computation;
    this.#answer = answer;
    this.#number = null; // the same map of another photo has other places
    this.#show(strongestPlaces(computation, operation, channel)[0]);
    if (!byId("inspector").open) byId("inspector").showModal();
    byId("inspector").scrollTop = 0;
  }

  // Goes to a number of another map. The button that was pressed is gone then, so the title gets the focus.
  #jump(number) {
    this.#show(number);
    byId("inspector-title").focus();
    byId("inspector").scrollTop = 0;
  }

  #show(number) {
    const previous = this.#number;
    this.#number = number;
    const computation = this.#computation;
    const isMap = hasPositions(computation, number.operation);
    byId("inspector-title").textContent = nameMap(computation, number.operation, number.channel);
    for (const element of document.querySelectorAll("#inspector .only-maps")) element.hidden = !isMap;
    this.#drawMap();
    this.#drawPhoto();
    this.#describe();
    // The buttons of the places keep the focus as long as the map is the same.
    if (previous?.operation !== number.operation || previous?.channel !== number.channel) {
      if (isMap) this.#showPlaces();
      this.#showFilter();
    }
    this.#showParts();
    showPath(
      ...[byId("path"), computation, pathThrough(computation, number), number, this.#answer, this.about],
      (next) => this.#jump(next),
    );
  }

  #drawMap() {
    const { operation, channel, row, column } = this.#number;
    const map = this.#computation.map(operation, channel);
    const { columns } = this.#computation.shape(operation);
    const picture = document.createElement("canvas");
    drawNumbers(picture, map, columns, largestOf(map));
    drawEnlarged(byId("map-canvas"), picture, { top: row, left: column, width: 1, height: 1 });
  }

  #drawPhoto() {
    const { pixels, network } = this.#computation;
    const picture = document.createElement("canvas");
    drawPhoto(picture, pixels, network.image_size, null);
    const field = this.#computation.receptiveField(this.#number);
    drawEnlarged(byId("field-canvas"), picture, clip(field, network.image_size));
  }

  #describe() {
    const { row, column, operation } = this.#number;
    const { rows, columns } = this.#computation.shape(operation);
    const size = this.#computation.network.image_size;
    const field = this.#computation.receptiveField(this.#number);
    const square = field && field.side < size ? `the framed ${field.side} x ${field.side} pixels` : "the whole photo";
    const value = formatNumber(this.#computation.value(this.#number));
    byId("position-text").textContent = `This number is ${value}. It depends on ${square}.`;
    for (const [id, value, count] of [["row", row, rows], ["column", column, columns]]) {
      byId(id).max = count;
      if (Number(byId(id).value) !== value + 1) byId(id).value = value + 1;
    }
  }

  #showPlaces() {
    const computation = this.#computation;
    const { operation, channel } = this.#number;
    const places = strongestPlaces(computation, operation, channel).map((place) => {
      const label = `Row ${place.row + 1}, column ${place.column + 1}: ${formatNumber(computation.value(place))}`;
      const button = newElement("button", "", { type: "button", class: "place", "aria-label": label, title: label });
      const canvas = newElement("canvas", "", { "aria-hidden": "true" });
      drawPhoto(canvas, computation.pixels, computation.network.image_size, computation.receptiveField(place));
      button.append(canvas, newElement("span", formatNumber(computation.value(place)), { "aria-hidden": "true" }));
      button.addEventListener("click", () => this.#show(place));
      return button;
    });
    byId("places").replaceChildren(...places);
  }

  // The filter that makes the map; pooling, normalization and activation functions keep the map that a filter made.
  #showFilter() {
    const { operations } = this.#computation.network;
    const keeping = ["relu", "leaky_relu", "elu", "silu", "max_pool", "average_pool", "norm", "dropout"];
    let name = this.#number.operation;
    while (keeping.includes(operations[name].kind)) name = operations[name].inputs[0];
    const hasFilter = operations[name].kind === "conv";
    byId("filter").hidden = !hasFilter;
    if (!hasFilter) return;
    const { data, dims } = this.#computation.weights[`${name}.weight`]; // (channels out, channels in, rows, columns)
    const length = dims[2] * dims[3];
    const slices = Array.from({ length: dims[1] }, (_, channel) => {
      const start = (this.#number.channel * dims[1] + channel) * length;
      return { channel, weights: data.subarray(start, start + length) };
    });
    const input = operations[name].inputs[0];
    const seesColors = dims[1] === 3 && ["scaling", "add"].includes(operations[input].kind);
    byId("filter-text").textContent = seesColors
      ? `${name}: ${dims[2]} x ${dims[3]} weights for each of red, green and blue; gray is 0.`
      : `${name}: ${dims[2]} x ${dims[3]} weights for each of the ${dims[1]} maps of ${input}` +
        `${dims[1] > MOST_SLICES ? `, the strongest ${MOST_SLICES}` : ""}. White: above 0, blue: below 0.`;
    byId("slices").replaceChildren(...(seesColors ? [newColorSlice(slices, dims[3])] : newSlices(slices, dims[3])));
  }

  #showParts() {
    const computation = this.#computation;
    const { rule, parts } = partsOf(computation, this.#number);
    const strongest = [...parts].sort((a, b) => Math.abs(b.product) - Math.abs(a.product)).slice(0, NUM_PARTS);
    const selection = strongest.length < parts.length ? `, the strongest ${strongest.length} of ${parts.length}` : "";
    byId("parts-title").textContent = `What this number is made of${selection}`;
    const items = strongest.map(({ number, weight, product }) => {
      const item = newElement("li");
      const value = formatNumber(computation.value(number));
      const name = nameNumber(computation, number);
      if (number.operation === "pixels") item.append(name);
      else {
        const button = newElement("button", name, { type: "button", class: "link" });
        button.addEventListener("click", () => this.#jump(number));
        item.append(button);
      }
      const isWeighted = rule === "sum" && weight !== 1;
      item.append(`: ${isWeighted ? `${value} x ${formatNumber(weight)} = ${formatNumber(product)}` : value}`);
      return item;
    });
    byId("parts").replaceChildren(...items);
  }

  #choosePosition(event) {
    const { operation } = this.#number;
    if (!hasPositions(this.#computation, operation)) return;
    const { rows, columns } = this.#computation.shape(operation);
    const box = event.currentTarget.getBoundingClientRect();
    const index = (offset, length, count) => Math.min(count - 1, Math.max(0, Math.floor((offset / length) * count)));
    const row = index(event.clientY - box.top, box.height, rows);
    this.#show({ ...this.#number, row, column: index(event.clientX - box.left, box.width, columns) });
  }

  #readPosition() {
    if (!byId("row").validity.valid || !byId("column").validity.valid) return; // a number is half typed
    const [row, column] = ["row", "column"].map((id) => byId(id).valueAsNumber - 1);
    if (Number.isInteger(row) && Number.isInteger(column)) this.#show({ ...this.#number, row, column });
  }
}

// The positions with the largest numbers of a map, the largest first, and not all next to each other.
export function strongestPlaces(computation, operation, channel) {
  const { rows, columns } = computation.shape(operation);
  const map = computation.map(operation, channel);
  const places = Array.from(map, (_, i) => ({ operation, channel, row: Math.floor(i / columns), column: i % columns }));
  places.sort((a, b) => computation.value(b) - computation.value(a));
  const distance = Math.ceil(rows / 8);
  const chosen = [];
  for (const place of places) {
    const isFar = ({ row, column }) => Math.max(Math.abs(row - place.row), Math.abs(column - place.column)) >= distance;
    if (chosen.every(isFar)) chosen.push(place);
    if (chosen.length === NUM_PLACES) break;
  }
  return chosen;
}

function newColorSlice(slices, columns) {
  const canvas = newElement("canvas", "", { class: "slice", "aria-hidden": "true" });
  drawColorFilter(canvas, slices.map(({ weights }) => weights), columns);
  return canvas;
}

function newSlices(slices, columns) {
  const largest = Math.max(...slices.map(({ weights }) => largestOf(weights)));
  const strength = ({ weights }) => weights.reduce((sum, weight) => sum + weight ** 2, 0);
  const strongest = [...slices].sort((a, b) => strength(b) - strength(a)).slice(0, MOST_SLICES);
  return strongest.map(({ channel, weights }) => {
    const slice = newElement("span", "", { class: "slice-of-map" });
    const canvas = newElement("canvas", "", { class: "slice", "aria-hidden": "true" });
    drawNumbers(canvas, weights, columns, largest);
    slice.append(canvas, newElement("span", `map ${channel + 1}`));
    return slice;
  });
}

// A square, cut off at the borders of the photo; the whole photo for null.
function clip(square, size) {
  if (!square) return { top: 0, left: 0, width: size, height: size };
  const [top, left] = [Math.max(0, square.top), Math.max(0, square.left)];
  return {
    top,
    left,
    width: Math.min(size, square.left + square.side) - left,
    height: Math.min(size, square.top + square.side) - top,
  };
}
