// Before an export is written: what does ONNX Runtime Web say about pictures? node check.mjs FOLDER PIXELS
// FOLDER holds model.onnx and about.json; PIXELS is one picture after the other, raw. Prints a line of JSON for each.

import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const [folder, file] = process.argv.slice(2);
const { Classifier } = await import(pathToFileURL(join(folder, "classifier.js")));
const about = JSON.parse(await readFile(join(folder, "about.json"), "utf8"));
const classifier = await Classifier.load(new Uint8Array(await readFile(join(folder, "model.onnx"))), about);
const pixels = new Uint8Array(await readFile(file));
const [, height, width, colors] = about.input.shape;
for (let start = 0; start < pixels.length; start += height * width * colors) {
  const { logit, neither } = await classifier.logits(pixels.slice(start, start + height * width * colors));
  console.log(JSON.stringify({ logit, neither }));
}
