// The bundle: its manifest and model files, each checked against its digest before anything acts on it.

import { fetchBytes } from "./bytes.js";
import { canonical } from "./canonical.js";
import { engineOf } from "./formats.js";
import { sha256 } from "./sha256.js";

const FOLDER = "bundle/";
const SCHEMA_VERSION = 1;

// What is wrong with a bundle, in words for its user.
export class BundleError extends Error {}

// Returns the manifest, checked.
export async function loadManifest() {
  const text = new TextDecoder().decode(await fetchBytes(`${FOLDER}manifest.json`));
  let fields, content;
  try {
    fields = JSON.parse(text);
    content = canonical(text, ["digest"]);
  } catch (error) {
    throw new BundleError(`manifest.json is no valid JSON: ${error.message}. The bundle is refused; export it again.`);
  }
  if (fields.digest !== (await sha256(new TextEncoder().encode(content)))) {
    throw new BundleError("manifest.json was edited or damaged: its digest differs. The bundle is refused; export it again.");
  }
  if (fields.schema_version !== SCHEMA_VERSION) {
    throw new BundleError(`manifest.json has schema_version ${fields.schema_version}, this page reads ${SCHEMA_VERSION}.`);
  }
  checkKind(fields);
  return fields;
}

// Returns the bytes of all files that this page runs, by name, once all of them are found to be the exported ones.
export async function loadFiles(manifest) {
  const variants = manifest.variants.filter(engineOf);
  const contents = await Promise.all(variants.map(loadFile));
  return new Map(variants.map((variant, place) => [variant.id, contents[place]]));
}

async function loadFile(variant) {
  const bytes = await fetchBytes(FOLDER + encodeURIComponent(variant.file));
  if (bytes.length !== variant.size_bytes || (await sha256(bytes)) !== variant.sha256) {
    throw new BundleError(
      `${variant.file} is not the file that was exported: its SHA-256 differs from manifest.json's. ` +
        "The bundle is refused; export it again.",
    );
  }
  return bytes;
}

function checkKind(manifest) {
  const { input, output } = manifest;
  if (!output.labels) {
    throw new BundleError("This bundle has no labels, so no class has a name to show; export it again with --labels.");
  }
  const single = !manifest.other_inputs.length && !manifest.other_outputs.length && output.shape.length === 2;
  if (!single || input.layout !== "NHWC" || ![1, 3].includes(input.shape[3])) {
    throw new BundleError(
      `This page shows classifiers of images; this model takes ${JSON.stringify(input.shape)} ` +
        `and gives ${JSON.stringify(output.shape)}.`,
    );
  }
}
