// From an image file to the model's pixels, as liteport.runtime.images does it.

import { prepared, WORKING_SIZE } from "./paper.js";
import { isDarkOnLight } from "./polarity.js";
import { reduced, resized } from "./resize.js";

const MOST_PIXELS = 90e6; // as many as the runtime takes
const CANVAS_EDGE = 4096; // phones give up on larger canvases

// What is wrong with an image, in words for its user.
export class PictureError extends Error {}

// Returns {height, width, data} of RGBA, upright.
export async function decoded(file) {
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
  } catch {
    throw new PictureError(`${file.name || "This"} is no image that this browser can read; take a PNG, JPEG or WebP.`);
  }
  if (bitmap.width * bitmap.height > MOST_PIXELS) {
    throw new PictureError(`${file.name || "This image"} has ${bitmap.width}×${bitmap.height} pixels; take one below 90 million.`);
  }
  const shrink = Math.min(1, CANVAS_EDGE / Math.max(bitmap.width, bitmap.height));
  const [width, height] = [bitmap.width, bitmap.height].map((size) => Math.max(1, Math.round(size * shrink)));
  const context = Object.assign(document.createElement("canvas"), { width, height }).getContext("2d");
  context.drawImage(bitmap, 0, 0, width, height);
  bitmap.close();
  return { height, width, data: context.getImageData(0, 0, width, height).data };
}

// Returns uint8 pixels (height, width, channels). `invert` is "auto", "yes" or "no": see the runtime's.
export function pixelsOf(image, height, width, channels, invert) {
  if (channels === 1 && invert !== "no") {
    const drawing = drawn(image);
    if (invert === "yes" || isDarkOnLight(drawing)) {
      const pixels = prepared(drawing, height, width);
      if (!pixels) throw new PictureError("This is blank paper, with no ink on it.");
      return pixels;
    }
  }
  return fitted(image, height, width, channels);
}

// Transparency is laid on white, colours become gray where the model needs it, and the size becomes the model's.
function fitted({ height, width, data }, newHeight, newWidth, channels) {
  const flat = onWhite(data);
  const planes = channels === 1 ? [grayOf(flat)] : [0, 1, 2].map((channel) => every(flat, channel));
  const small = planes.map((plane) => resized({ height, width, data: plane }, newHeight, newWidth).data);
  const pixels = new Uint8Array(newHeight * newWidth * channels);
  small.forEach((plane, channel) => plane.forEach((value, i) => (pixels[i * channels + channel] = value)));
  return pixels;
}

// In gray and no larger than is needed; a transparent image as dark ink on white, whatever its colours.
function drawn({ height, width, data }) {
  const factor = Math.max(1, Math.round(Math.max(height, width) / WORKING_SIZE));
  const alpha = every(data, 3);
  const small = (plane) => reduced({ height, width, data: plane }, factor);
  const gray = small(grayOf(data));
  if (alpha.every((value) => value === 255)) return gray;
  return inked(gray, small(alpha).data);
}

function inked({ height, width, data }, alpha) {
  const last = height - 1;
  let [border, count, light, all] = [0, 0, 0, 0];
  data.forEach((value, i) => {
    const [row, column] = [Math.floor(i / width), i % width];
    const times = (row === 0) + (row === last) + (column === 0) + (column === width - 1);
    border += (times * alpha[i]) / 255;
    count += times;
    light += (value * alpha[i]) / 255;
    all += alpha[i] / 255;
  });
  const turn = border / count < 0.5 && light > 127.5 * all; // light ink on nothing
  const mixed = data.map((value, i) => {
    const share = alpha[i] / 255;
    return Math.round((turn ? 255 - value : value) * share + 255 * (1 - share));
  });
  return { height, width, data: mixed };
}

function onWhite(data) {
  return data.map((value, i) => {
    const alpha = data[i - (i % 4) + 3];
    return alpha === 255 ? value : Math.round((value * alpha + 255 * (255 - alpha)) / 255);
  });
}

const every = (data, channel) => Uint8Array.from({ length: data.length / 4 }, (_, i) => data[i * 4 + channel]);

// ITU-R 601-2 luma, in Pillow's integers.
export function grayOf(data) {
  return Uint8Array.from(
    { length: data.length / 4 },
    (_, i) => (data[i * 4] * 19595 + data[i * 4 + 1] * 38470 + data[i * 4 + 2] * 7471 + 0x8000) >> 16,
  );
}
