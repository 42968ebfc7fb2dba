// The page's service worker: where nothing answers, it gives what the page has kept, and else stays out of the way.

addEventListener("fetch", (event) => event.respondWith(fetch(event.request).catch((error) => keptOf(event.request, error))));

async function keptOf(request, error) {
  const kept = await caches.match(request);
  if (!kept) throw error;
  return kept;
}
