// Loads the network from the constants of data.js. A page that is opened without a web server can fetch no file, and can
// import no module from one.

import { Classifier } from "./classifier.js";

export async function loadClassifier() {
  const [model, webAssembly] = await Promise.all([
    decodeBase64(MODEL_BASE64),
    decodeBase64(WEB_ASSEMBLY_GZIP_BASE64).then(decompress),
  ]);
  const loader = URL.createObjectURL(new Blob([LOADER_SOURCE], { type: "text/javascript" }));
  ort.env.wasm.wasmPaths = { mjs: loader };
  ort.env.wasm.wasmBinary = webAssembly;
  const classifier = await Classifier.load(model, ABOUT);
  URL.revokeObjectURL(loader);
  return classifier;
}

async function decodeBase64(text) {
  const response = await fetch(`data:application/octet-stream;base64,${text}`);
  return new Uint8Array(await response.arrayBuffer());
}

async function decompress(bytes) {
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}
