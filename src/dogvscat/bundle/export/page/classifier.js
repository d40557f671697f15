// The network, run by ONNX Runtime Web on this machine, and what its numbers mean. Also runs in Node (check.mjs).

import * as ort from "./ort/ort.js";

// More threads need memory that is shared, which browsers allow on pages that are cross-origin isolated alone.
ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;

export class Classifier {
  #session;

  // model: bytes of the ONNX graph; about: what preprocessing.json says.
  static async load(model, about) {
    const classifier = new Classifier();
    classifier.about = about;
    classifier.#session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    return classifier;
  }

  // pixels: size * size * 3 bytes, RGB. Returns { logit, neither }; neither is undefined where the network does not tell.
  async logits(pixels) {
    const [, height, width, colors] = this.about.input.shape;
    const input = new ort.Tensor("uint8", pixels, [1, height, width, colors]);
    const outputs = await this.#session.run({ [this.about.input.name]: input });
    return { logit: outputs.logit.data[0], neither: outputs.neither?.data[0] };
  }

  // The answer: { label, probabilities by class name, neither, unsure: null, "close" or "neither" }.
  async answer(pixels) {
    const { class_names: names, decision } = this.about;
    const logits = await this.logits(pixels);
    const probability = sigmoid(logits.logit);
    const neither = logits.neither === undefined ? null : sigmoid(logits.neither);
    const close = probability > decision.unsure_low && probability < decision.unsure_high;
    const unsure = neither !== null && neither > decision.neither_limit ? "neither" : close ? "close" : null;
    const label = unsure ? "unsure" : names[probability >= decision.threshold ? 1 : 0];
    return { label, probabilities: { [names[0]]: 1 - probability, [names[1]]: probability }, neither, unsure };
  }
}

function sigmoid(logit) {
  return 1 / (1 + Math.exp(-logit));
}
