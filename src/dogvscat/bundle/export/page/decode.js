// From a photo to the network's pixels: the browser decodes the file, resample.js reduces it.

import { Resizer, jpegReduction } from "./resample.js";

const MAX_BYTES = 100 * 1024 * 1024;
const MAX_PIXELS = 50_000_000;
const STRIP_ROWS = 256; // a canvas as large as the photo would be too large for some phones

export class PhotoError extends Error {}

// Decode a file. Returns { bitmap, pixels }: an ImageBitmap, which the caller must close, and size * size * 3 bytes,
// RGB. Throws a PhotoError with a sentence for people.
export async function readPhoto(file, size) {
  if (file.size === 0) throw new PhotoError("The file is empty.");
  if (file.size > MAX_BYTES) throw new PhotoError("The file is larger than 100 MB.");
  const firstBytes = new Uint8Array(await file.slice(0, 2).arrayBuffer());
  const bitmap = await decode(file);
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) {
    bitmap.close();
    throw new PhotoError(`The photo has ${width} x ${height} pixels; at most 50 million are read.`);
  }
  const isJpeg = firstBytes[0] === 0xff && firstBytes[1] === 0xd8;
  const resizer = new Resizer(width, height, size, isJpeg ? jpegReduction(width, height, size) : 1);
  for (const { rgba, numRows } of readStrips(bitmap)) resizer.addRows(rgba, numRows);
  return { bitmap, pixels: resizer.finish() };
}

async function decode(file) {
  try {
    // As in training: convert colors to sRGB by their profile, apply the EXIF orientation.
    return await createImageBitmap(file, { colorSpaceConversion: "default", imageOrientation: "from-image" });
  } catch {
    const heic = /\.hei[cf]$/i.test(file.name) ? " Few browsers can read HEIC: convert it to JPEG." : "";
    throw new PhotoError(`This browser cannot read the file as a photo.${heic}`);
  }
}

// Yields { rgba, numRows } from top to bottom: 4 bytes per pixel of the next rows.
function* readStrips(bitmap) {
  const { width, height } = bitmap;
  const canvas = document.createElement("canvas");
  canvas.width = width;
  canvas.height = Math.min(height, STRIP_ROWS);
  const context = canvas.getContext("2d", { alpha: false, willReadFrequently: true });
  if (!context) throw new PhotoError("The photo is too wide for this browser.");
  for (let top = 0; top < height; top += STRIP_ROWS) {
    const numRows = Math.min(STRIP_ROWS, height - top);
    context.fillStyle = "white"; // shows through transparent pixels
    context.fillRect(0, 0, width, numRows);
    context.drawImage(bitmap, 0, top, width, numRows, 0, 0, width, numRows);
    yield { rgba: context.getImageData(0, 0, width, numRows).data, numRows };
  }
}
