// Fetching bytes, and unpacking those that are stored packed.

// Returns a file's bytes; an error names the file.
export async function fetchBytes(url) {
  return new Uint8Array(await (await request(url)).arrayBuffer());
}

async function request(url) {
  let response;
  try {
    response = await fetch(url);
  } catch (error) {
    throw new Error(`${nameOf(url)} cannot be fetched (${error.message}); is the server still there?`);
  }
  if (!response.ok) throw new Error(`${nameOf(url)} cannot be fetched: the server says ${response.status}`);
  return response;
}

// Engines lie in the folder packed by gzip, a third of their size, whatever the server knows of compression.
// A server that unpacks such files itself sends them without gzip's first two bytes.
// Returns a response, so that a browser can compile what arrives while the rest is on its way.
export async function fetchUnpacked(url, type) {
  const response = await request(url);
  const reader = response.body.getReader();
  const first = await reader.read();
  const packed = first.value?.[0] === 0x1f && first.value[1] === 0x8b;
  const stream = new ReadableStream({
    start: (out) => first.done ? out.close() : out.enqueue(first.value),
    pull: async (out) => {
      const { done, value } = await reader.read();
      if (done) out.close();
      else out.enqueue(value);
    },
  });
  const content = packed ? stream.pipeThrough(new DecompressionStream("gzip")) : stream;
  return new Response(content, { headers: { "Content-Type": type } });
}

function nameOf(url) {
  return decodeURIComponent(String(url).split("/").pop());
}
