// Fetching bytes, and unpacking those that are stored packed.

// Returns a file's bytes; an error names the file.
export async function fetchBytes(url) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new Error(`${nameOf(url)} cannot be fetched (${error.message}); is the server still there?`);
  }
  if (!response.ok) throw new Error(`${nameOf(url)} cannot be fetched: the server says ${response.status}`);
  return new Uint8Array(await response.arrayBuffer());
}

// Engines lie in the folder packed by gzip, a third of their size, whatever the server knows of compression.
// A server that unpacks such files itself sends them without gzip's first two bytes.
export async function fetchUnpacked(url) {
  const bytes = await fetchBytes(url);
  if (bytes[0] !== 0x1f || bytes[1] !== 0x8b) return bytes;
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function nameOf(url) {
  return decodeURIComponent(String(url).split("/").pop());
}
