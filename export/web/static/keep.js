// Keeps what has been loaded, so that the page opens again where there is no network.

const CACHE = "liteport";

// Keeps all that this page, or this thread of it, has asked of its server. Browsers offer no place for it to pages that
// come by plain HTTP from another machine.
export async function keepLoaded() {
  if (!globalThis.caches) return;
  const here = new URL(".", location.href).href;
  const loaded = performance.getEntriesByType("resource").map(({ name }) => name);
  const urls = new Set([location.href.replace(/#.*/, ""), ...loaded].filter((url) => url.startsWith(here)));
  const cache = await caches.open(CACHE);
  await cache.addAll([...urls]);
}

// Has the service worker answer the page's requests, the next time that it is opened.
export const answerFromKept = async () => navigator.serviceWorker?.register("offline.js");
