// The page: checks the bundle, loads its variants one after the other, and asks all of them what the user gives.

import { BundleError, loadFiles, loadManifest } from "./bundle.js";
import { best, Card, refusal } from "./cards.js";
import { engineOf, reasonOf } from "./formats.js";
import { showExamples, watchFiles } from "./inputs.js";
import { answerFromKept, keepLoaded } from "./keep.js";
import { makeSheet } from "./paper-canvas.js";
import { decoded, PictureError, pixelsOf } from "./picture.js";
import { hasSimd } from "./simd.js";
import { call } from "./thread.js";

const find = (id) => document.getElementById(id);
const loaded = []; // {variant, card, predict}, in the manifest's order, the reference first
const settings = JSON.parse(find("page").textContent);
let manifest;
let sheet = null;
let current = null; // the pixels last asked about, for variants that are loaded later
let given = null; // the image last given, for another choice of ink

function tell(text) {
  find("status").textContent = text;
}

function complain(text) {
  find("problem").textContent = text;
  find("problem").hidden = !text;
}

async function start() {
  if (!hasSimd()) throw new BundleError("This browser lacks WebAssembly SIMD, which both engines need; update it, or take another.");
  if (!globalThis.DecompressionStream) throw new BundleError("This browser cannot unpack gzip, as browsers since 2023 do; update it, or take another.");
  if (settings.engines[0] === "LiteRT.js") call("warm");
  manifest = await loadManifest();
  describe();
  const checked = loadFiles(manifest);
  const runnable = manifest.variants.filter(engineOf);
  for (const variant of manifest.variants) if (!engineOf(variant)) refuse(variant, reasonOf(variant));
  const cards = runnable.map((variant, place) => new Card(variant, manifest.output.labels, place === 0));
  const longest = Math.max(...manifest.output.labels.map((label) => label.length));
  find("cards").style.setProperty("--label", `${Math.min(longest, 14) + 1}ch`);
  find("cards").append(...cards.map((card) => card.root));
  prepareInputs(); // who draws at once is answered as soon as a variant can
  const files = await checked;
  for (const [place, variant] of runnable.entries()) {
    tell(`Loading ${variant.id} (${place + 1} of ${runnable.length}) …`);
    await load(variant, cards[place], files.get(variant.id));
  }
  if (!loaded.length) return complain("None of this bundle's variants runs here; the reasons stand below."), tell("");
  performance.mark("loaded");
  tell("");
  await measure();
  await keep();
}

// Where there is no place for it, or the network has just gone, the page runs on without.
async function keep() {
  await Promise.all([answerFromKept(), keepLoaded(), call("keep")]).catch(() => {});
  performance.mark("kept");
}

function describe() {
  const { name, input, output, variants } = manifest;
  document.title = `${name} in the browser`;
  find("name").textContent = name;
  const [, height, width, channels] = input.shape;
  find("facts").textContent =
    `${variants.length} variant${variants.length === 1 ? "" : "s"}, ${output.labels.length} classes, input ${width}×${height} ` +
    `${channels === 1 ? "in gray" : "in colour"}. Everything is computed on this device; nothing you show it leaves it.`;
}

async function load(variant, card, bytes) {
  try {
    await call("open", manifest, variant, bytes);
    if (!loaded.length && !card.isReference) card.becomeReference();
    loaded.push({ variant, card });
    card.ready();
    if (current) await catchUp(loaded.at(-1), current);
  } catch (error) {
    if (loaded.at(-1)?.variant === variant) loaded.pop();
    card.root.remove();
    refuse(variant, error.message);
  }
}

function refuse(variant, reason) {
  find("refused").append(refusal(variant.id, reason));
  find("refused-part").hidden = false;
}

const blank = () => new Uint8Array(manifest.input.shape.slice(1).reduce((one, other) => one * other));

async function answer(entry, { pixels, answers }) {
  const probabilities = await call("ask", entry.variant.id, pixels);
  answers.push([entry, probabilities]);
  entry.card.show(probabilities, best(answers[0][1], 1)[0]);
}

// Asks all variants; a newer question ends an older one.
async function ask(pixels) {
  const question = (current = { pixels, answers: [] });
  preview(pixels);
  find("answer").textContent = "";
  find("answer").classList.add("asking");
  for (const entry of [...loaded]) {
    if (current !== question) return;
    await answer(entry, question);
  }
  if (current === question && question.answers.length) summarize(question.answers);
}

// A variant that was loaded after the question answers it too.
async function catchUp(entry, question) {
  if (question.answers.every(([other]) => other !== entry)) await answer(entry, question);
  if (question === current) summarize(question.answers);
}

function summarize(answers) {
  const names = answers.map(([, probabilities]) => manifest.output.labels[best(probabilities, 1)[0]]);
  const [first] = answers[0];
  const share = (100 * Math.max(...answers[0][1])).toFixed(1);
  const others = answers.slice(1).filter((_, place) => names[place + 1] !== names[0]);
  const agreement = others.length
    ? others.map(([entry], i) => `${entry.variant.id} says ${names[answers.indexOf(others[i])]}`).join(", ")
    : answers.length > 1 ? `all ${answers.length} variants agree` : "";
  find("answer").textContent = `${names[0]} (${share} %, ${first.variant.id})${agreement ? `; ${agreement}` : ""}`;
}

function preview(pixels) {
  const [, height, width, channels] = manifest.input.shape;
  const canvas = Object.assign(find("preview"), { height, width });
  const image = new ImageData(width, height);
  for (let i = 0; i < width * height; i += 1) {
    for (let c = 0; c < 3; c += 1) image.data[i * 4 + c] = pixels[i * channels + (channels === 3 ? c : 0)];
    image.data[i * 4 + 3] = 255;
  }
  canvas.getContext("2d").putImageData(image, 0, 0);
  find("preview-part").hidden = false;
}

// Runs what the user did, and tells what was wrong with it.
async function attempt(work) {
  complain("");
  try {
    await work();
  } catch (error) {
    complain(error instanceof PictureError ? error.message : `This failed: ${error.message}`);
  }
}

const askImage = (image, invert) => {
  const [, height, width, channels] = manifest.input.shape;
  return ask(pixelsOf(image, height, width, channels, invert));
};

function prepareInputs() {
  const gray = manifest.input.shape[3] === 1;
  if (gray) {
    const drawn = () => attempt(() => ((given = null), askImage(sheet.image(), "yes")));
    sheet = makeSheet(find("sheet"), find("pen"), drawn, forget);
    find("clear").addEventListener("click", () => sheet.clear());
    find("invert").addEventListener("change", () => given && attempt(() => askImage(given, find("invert").value)));
  }
  for (const id of ["sheet-part", "invert-part"]) find(id).hidden = !gray;
  const onFile = (file, error) =>
    attempt(async () => {
      if (error) throw error;
      given = await decoded(file);
      await askImage(given, gray ? find("invert").value : "no");
    });
  watchFiles([find("file"), find("camera")], find("drop"), onFile);
  find("examples-part").hidden = !showExamples(find("examples"), manifest.output.labels, sheet, settings.examples, onFile);
  find("again").addEventListener("click", measure);
  find("inputs").hidden = find("results").hidden = false;
}

function forget() {
  find("answer").classList.remove("asking");
  current = given = null;
  find("answer").textContent = "";
  find("preview-part").hidden = true;
  for (const { card } of loaded) card.clear("nothing asked yet");
}

async function measure() {
  find("again").disabled = true;
  for (const { variant, card } of loaded) card.time(await call("measure", variant.id, current?.pixels ?? blank()));
  find("again").disabled = false;
  performance.mark("measured");
}

start().catch((error) => {
  tell("");
  if (!loaded.length) for (const id of ["inputs", "results"]) find(id).hidden = true;
  complain(error instanceof BundleError ? error.message : `The page cannot start: ${error.message}`);
});
