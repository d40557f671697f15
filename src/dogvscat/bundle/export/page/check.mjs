// Checks the export before it is written, with ONNX Runtime Web in Node: node check.mjs FOLDER PIXELS
// FOLDER has the page's files, model.onnx and about.json. PIXELS is a file with the raw bytes of all images, one after
// the other. Prints one line of JSON per image, with its logits.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, file] = process.argv.slice(2);
const { Classifier } = await import(pathToFileURL(join(folder, "classifier.js")));
const about = JSON.parse(await readFile(join(folder, "about.json"), "utf8"));
const classifier = await Classifier.load(new Uint8Array(await readFile(join(folder, "model.onnx"))), about);
const pixels = new Uint8Array(await readFile(file));
const [, height, width, colors] = about.input.shape;
const imageBytes = height * width * colors;
for (let start = 0; start < pixels.length; start += imageBytes) {
  const { logit, neither } = await classifier.computeLogits(pixels.slice(start, start + imageBytes));
  console.log(JSON.stringify({ logit, neither }));
}
