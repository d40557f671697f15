// Runs the network with ONNX Runtime Web and turns its outputs into a prediction. Also runs in Node (check.mjs).

import * as ort from "./ort/ort.js";

// Threads need shared memory, which browsers only allow on pages that are cross-origin isolated.
ort.env.wasm.numThreads = globalThis.crossOriginIsolated ? Math.min(4, navigator.hardwareConcurrency || 1) : 1;

export class Classifier {
  #session;

  // model: bytes of the ONNX graph; about: the document preprocessing.json.
  static async load(model, about) {
    const classifier = new Classifier();
    classifier.about = about;
    classifier.#session = await ort.InferenceSession.create(model, { executionProviders: ["wasm"] });
    return classifier;
  }

  // pixels: size * size * 3 bytes, RGB; names: of outputs of the graph. Returns their tensors by name.
  async run(pixels, names) {
    const [, height, width, colors] = this.about.input.shape;
    const input = new ort.Tensor("uint8", pixels, [1, height, width, colors]);
    return await this.#session.run({ [this.about.input.name]: input }, names);
  }

  // The names of the graph's outputs that a prediction needs.
  get answerNames() {
    return this.outputNames.filter((name) => name === "logit" || name === "neither");
  }

  get outputNames() {
    return this.#session.outputNames;
  }

  // pixels as above. Returns { logit, neither }, two log-odds; neither is undefined if the network has no such output.
  async computeLogits(pixels) {
    const outputs = await this.run(pixels, this.answerNames);
    return { logit: outputs.logit.data[0], neither: outputs.neither?.data[0] };
  }

  // pixels as above. Returns a prediction, as decide does.
  async predict(pixels) {
    return this.decide(await this.computeLogits(pixels));
  }

  // logits: from computeLogits. Returns { label, reason, probabilities, neither }: label is a class name or "unsure";
  // reason is null, or why it is unsure: "at_chance", "neither" or "close"; probabilities are by class name; neither is
  // a probability or null. The rules are those of judging/decision.py.
  decide(logits) {
    const { class_names: names, decision } = this.about;
    const probability = sigmoid(logits.logit);
    const neither = logits.neither === undefined ? null : sigmoid(logits.neither);
    const close = probability > decision.unsure_low && probability < decision.unsure_high;
    const showsNeither = neither !== null && neither > decision.neither_limit;
    const reason = decision.at_chance ? "at_chance" : showsNeither ? "neither" : close ? "close" : null;
    const label = reason ? "unsure" : names[probability >= decision.threshold ? 1 : 0];
    return { label, reason, probabilities: { [names[0]]: 1 - probability, [names[1]]: probability }, neither };
  }
}

export function sigmoid(logit) {
  return 1 / (1 + Math.exp(-logit));
}
