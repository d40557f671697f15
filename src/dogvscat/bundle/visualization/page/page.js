// The page: a photo is chosen, and everything that the network computes from it is shown.

import { drawHeat, drawPhoto } from "./colors.js";
import { Computation, loadWeights } from "./computation.js";
import { PhotoError, readPhoto } from "./decode.js";
import { byId, listenForPhotos, newElement, nextPaint, showAnswer } from "./elements.js";
import { computeHeatMap } from "./heat.js";
import { Inspector } from "./inspector.js";
import { LayerList } from "./layers.js";
import { loadClassifier } from "./load.js";
import { describeModel, printable } from "./words.js";

let current = null; // { computation, answer } of the photo that is shown
let lastInQueue = Promise.resolve(); // each photo waits for the one before it

const inspector = new Inspector(ABOUT);
const layerList = new LayerList(byId("layers"), NETWORK, ABOUT, (operation, channel) =>
  inspector.open(current.computation, current.answer, operation, channel),
);
const networkLoaded = loadNetwork();

async function loadNetwork() {
  const classifier = await loadClassifier();
  const weights = await loadWeights(classifier, NETWORK);
  performance.mark("network loaded");
  return { classifier, weights };
}

networkLoaded.then(
  () => (byId("status").textContent = "The network is loaded. No photo leaves this device."),
  (error) => {
    byId("status").textContent = `The network could not be loaded: ${error.message}`;
    byId("status").className = "warning";
  },
);
byId("warning").hidden = !ABOUT.warnings.length;
byId("warning").textContent = ABOUT.warnings.join(" ");
byId("about-text").replaceChildren(...describeModel(ABOUT).map((text) => newElement("p", text)));

function addPhotos(files) {
  for (const file of files) lastInQueue = lastInQueue.then(() => showPhoto(file));
}

async function showPhoto(file) {
  const name = printable(file.name || "pasted photo");
  byId("status").textContent = `Looking at ${name}`;
  byId("status").className = "";
  try {
    const { classifier, weights } = await networkLoaded;
    await nextPaint();
    performance.mark("photo chosen");
    const { bitmap, pixels } = await readPhoto(file, NETWORK.image_size);
    bitmap.close();
    const computation = await Computation.run(classifier, NETWORK, pixels, weights);
    current = { computation, answer: classifier.decide(computation.logits) };
    showCard(name);
    await layerList.show(computation);
    byId("status").textContent = `${name}: ${byId("card").querySelector(".verdict").textContent}. Choose a map to look closer.`;
    performance.mark("all maps");
  } catch (error) {
    byId("status").textContent = error instanceof PhotoError ? `${name}: ${error.message}` : `Something went wrong: ${error.message}`;
    byId("status").className = "warning";
  }
}

function showCard(name) {
  const card = byId("card");
  card.querySelector(".name").textContent = name;
  card.querySelector(".name").title = name;
  drawPhoto(byId("photo"), current.computation.pixels, NETWORK.image_size, null);
  showAnswer(card, current.answer, ABOUT);
  hideHeatMap();
  document.body.classList.add("has-photo");
}

async function toggleHeatMap() {
  const button = byId("heat-button");
  if (button.getAttribute("aria-pressed") === "true") return hideHeatMap();
  const { computation, answer } = current;
  const { classifier } = await networkLoaded;
  button.disabled = true;
  const report = async (share) => {
    button.textContent = `Hiding parts: ${Math.round(100 * share)}%`;
    await nextPaint();
  };
  const { heat, className, method } = await computeHeatMap(classifier, computation, answer, report);
  button.disabled = false;
  button.textContent = "Heat map";
  if (current.computation !== computation) return; // another photo was chosen meanwhile
  drawHeat(byId("heat"), heat, NETWORK.image_size, NETWORK.heat_map);
  byId("heat").hidden = false;
  byId("heat-text").hidden = false;
  byId("heat-text").textContent = `Yellow: the strongest evidence for ${className}; gray: none (${method}).`;
  button.setAttribute("aria-pressed", "true");
}

function hideHeatMap() {
  byId("heat").hidden = true;
  byId("heat-text").hidden = true;
  byId("heat-button").setAttribute("aria-pressed", "false");
}

byId("heat-button").addEventListener("click", toggleHeatMap);
for (const button of document.querySelectorAll(".golden button")) {
  button.addEventListener("click", async () => {
    const picture = button.querySelector("img");
    addPhotos([new File([await (await fetch(picture.src)).blob()], picture.alt)]);
  });
}
listenForPhotos(addPhotos);
