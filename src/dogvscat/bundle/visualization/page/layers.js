// The list of layers: a section for each, with its maps as small pictures that can be chosen.

import { drawNumbers, largestOf } from "./colors.js";
import { newElement, nextPaint } from "./elements.js";
import { describeOperation, formatNumber, hasPositions, nameMap } from "./meanings.js";

const NUM_AT_ONCE = 3; // layers between two paints of the page
const NUM_FIRST = 32; // maps of a layer that are drawn at first: the strongest

export class LayerList {
  #container;
  #choose;
  #computation = null;

  // choose is called with an operation and a channel when a map is chosen.
  constructor(container, network, about, choose) {
    this.#container = container;
    this.#choose = choose;
    this.network = network;
    this.about = about;
  }

  // Draws the maps of a photo, one layer after the other, so that the first are seen at once. Stops if another photo
  // comes in between.
  async show(computation) {
    this.#computation = computation;
    for (const [number, layer] of this.network.layers.entries()) {
      const section = this.#newSection(layer, number);
      const old = this.#container.children[number];
      if (old) old.replaceWith(section);
      else this.#container.append(section);
      if (number % NUM_AT_ONCE === NUM_AT_ONCE - 1) await nextPaint();
      if (number === NUM_AT_ONCE - 1) performance.mark("first maps");
      if (this.#computation !== computation) return;
    }
  }

  #newSection(layer, number) {
    const heading = newElement("h3", layer.name, { id: `layer-${number}` });
    const section = newElement("section", "", { class: "layer", "aria-labelledby": heading.id });
    const text = newElement("p", "", { class: "facts muted" });
    text.append(newElement("code", layer.text), ` ${this.#facts(layer)}`);
    const meaning = newElement("p", "", { class: "meaning" });
    const maps = newElement("div", "", { class: "maps", role: "group", "aria-label": `Maps of ${layer.name}` });
    const more = newElement("button", "", { type: "button", class: "quiet", hidden: "" });
    const show = (operation) => {
      meaning.textContent = describeOperation(operation, this.network.operations[operation], this.about);
      this.#fill(maps, more, operation);
    };
    section.append(heading, text);
    if (layer.operations.length > 1) section.append(this.#newStepChoice(layer, number, show));
    section.append(meaning, maps, more);
    show(layer.operations.at(-1));
    return section;
  }

  #facts({ output_shape: shape, receptive_field: field, num_weights: count }) {
    const size = shape.length === 3 ? `${shape[2]} maps of ${shape[1]} x ${shape[0]}` : `${shape[0]} numbers`;
    const sees = field < this.network.image_size ? `each number sees ${field} x ${field} pixels` : "each number sees the whole photo";
    const weights = count ? `, ${count.toLocaleString("en")} weights` : "";
    return `${size}, ${shape.length === 3 ? sees : "from the whole photo"}${weights}`;
  }

  // A layer such as a residual block consists of several operations.
  #newStepChoice(layer, number, show) {
    const label = newElement("label", "Step ", { class: "step", for: `step-${number}` });
    const choice = newElement("select", "", { id: `step-${number}` });
    for (const operation of layer.operations) {
      choice.append(newElement("option", operation.replace(`${layer.name}.`, ""), { value: operation }));
    }
    choice.value = layer.operations.at(-1);
    choice.addEventListener("change", () => show(choice.value));
    label.append(choice);
    return label;
  }

  #fill(maps, more, operation) {
    const { channels } = this.#computation.shape(operation);
    const { is_identity: isIdentity } = this.network.operations[operation];
    maps.replaceChildren();
    more.hidden = isIdentity || channels <= NUM_FIRST;
    if (isIdentity) return; // the same pictures again would only lengthen the page
    more.textContent = `Show all ${channels}`;
    this.#addTiles(maps, operation, strongestMaps(this.#computation, operation));
    more.onclick = () => {
      more.hidden = true;
      this.#addTiles(maps, operation, Array.from({ length: channels }, (_, channel) => channel));
      maps.firstElementChild.focus();
    };
  }

  #addTiles(maps, operation, channels) {
    const computation = this.#computation;
    const isMap = hasPositions(computation, operation);
    maps.classList.toggle("features", !isMap);
    // A feature is one number, so its brightness only means something next to that of the others.
    const largestFeature = isMap ? 0 : largestOf(computation.numbers(operation));
    const tiles = channels.map((channel, index) => {
      const numbers = computation.map(operation, channel);
      const largest = numbers.reduce((maximum, number) => Math.max(maximum, number));
      const label = `${nameMap(computation, operation, channel)}: ${isMap ? "largest number " : ""}${formatNumber(largest)}`;
      const tile = newElement("button", "", { type: "button", class: "map", title: label, "aria-label": label });
      tile.tabIndex = index ? -1 : 0; // one stop of the Tab key per layer; arrow keys go from map to map
      const canvas = newElement("canvas", "", { "aria-hidden": "true" });
      drawNumbers(canvas, numbers, computation.shape(operation).columns, isMap ? largestOf(numbers) : largestFeature);
      tile.append(canvas, newElement("span", isMap ? channel + 1 : formatNumber(largest), { "aria-hidden": "true" }));
      tile.addEventListener("click", () => this.#choose(operation, channel));
      return tile;
    });
    maps.replaceChildren(...tiles);
    maps.onkeydown = moveFocus;
  }
}

// The channels with the largest means, in their order.
function strongestMaps(computation, operation) {
  const { channels } = computation.shape(operation);
  const means = Array.from({ length: channels }, (_, channel) => {
    const map = computation.map(operation, channel);
    return map.reduce((sum, number) => sum + number, 0) / map.length;
  });
  const order = means.map((_, channel) => channel).sort((a, b) => means[b] - means[a]);
  return order.slice(0, NUM_FIRST).sort((a, b) => a - b);
}

// Arrow keys, Home and End move the focus among the maps of a layer.
function moveFocus(event) {
  const tiles = [...event.currentTarget.children];
  const index = tiles.indexOf(document.activeElement);
  const perRow = tiles.filter((tile) => tile.offsetTop === tiles[0].offsetTop).length;
  const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: perRow, ArrowUp: -perRow, Home: -index, End: tiles.length - 1 - index };
  const target = tiles[index + (steps[event.key] ?? NaN)];
  if (!target) return;
  event.preventDefault();
  tiles[index].tabIndex = -1;
  target.tabIndex = 0;
  target.focus();
}
