// From a file the visitor chose to the network's pixels; the browser decodes, resample.js does the rest.

import { Squasher, reductionOf } from "./resample.js";

const MOST_BYTES = 100 * 1024 * 1024;
const MOST_PIXELS = 50_000_000;
const ROWS_AT_ONCE = 256; // a canvas as large as the picture would be too large for some telephones

export class PictureError extends Error {}

// Decode a file. Returns { bitmap, pixels }: the picture as the browser has it, to be closed by the caller, and
// size * size * 3 bytes, RGB. Throws a PictureError with a sentence for people.
export async function readPicture(file, size) {
  if (file.size === 0) throw new PictureError("The file is empty.");
  if (file.size > MOST_BYTES) throw new PictureError("The file is larger than 100 MB.");
  const head = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const bitmap = await decode(file);
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) {
    bitmap.close();
    throw new PictureError(`The picture has ${width} x ${height} pixels; at most 50 million are read.`);
  }
  const isJpeg = head[0] === 0xff && head[1] === 0xd8;
  const squasher = new Squasher(width, height, size, isJpeg ? reductionOf(width, height, size) : 1);
  for (const { rgba, count } of strips(bitmap)) squasher.add(rgba, count);
  return { bitmap, pixels: squasher.finish() };
}

async function decode(file) {
  try {
    // Colour profiles are passed over, as in training; the orientation a camera noted down is applied.
    return await createImageBitmap(file, { colorSpaceConversion: "none", imageOrientation: "from-image" });
  } catch {
    const heic = /\.hei[cf]$/i.test(file.name) ? " HEIC pictures are read by few browsers: convert it to JPEG." : "";
    throw new PictureError(`This browser cannot read the file as a picture.${heic}`);
  }
}

function* strips(bitmap) {
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = Math.min(height, ROWS_AT_ONCE);
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  if (!context) throw new PictureError("The picture is too wide for this browser.");
  for (let top = 0; top < height; top += ROWS_AT_ONCE) {
    const count = Math.min(ROWS_AT_ONCE, height - top);
    context.fillStyle = "white"; // what shows through a transparent picture
    context.fillRect(0, 0, width, count);
    context.drawImage(bitmap, 0, top, width, count, 0, 0, width, count);
    yield { rgba: context.getImageData(0, 0, width, count).data, count };
  }
}
