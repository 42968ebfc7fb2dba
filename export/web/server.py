"""A small web server for a page, for this machine or for a phone beside it."""

import functools
import http.server
import sys
from pathlib import Path
from typing import Any

from liteport.errors import InvalidInputError

# Browsers refuse modules of another type, and what a system says of these suffixes differs.
_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".mjs": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
    ".wasm": "application/wasm",
    ".gz": "application/gzip",
    ".tflite": "application/octet-stream",
    ".onnx": "application/octet-stream",
}


class _Handler(http.server.SimpleHTTPRequestHandler):
    extensions_map = http.server.SimpleHTTPRequestHandler.extensions_map | _TYPES

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "no-cache")  # a page made anew is seen at once
        self.send_header("X-Content-Type-Options", "nosniff")
        super().end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """Says nothing: what a browser asks for is seen in the browser."""


class _Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Says nothing of who left before all was sent."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)


def make_server(folder: Path, port: int, host: str = "127.0.0.1") -> http.server.ThreadingHTTPServer:
    """Makes a server that listens; `serve_forever` has it answer.

    Args:
        folder: What it gives.
        port: Where it listens; 0 for a free one.
        host: Who may ask: "127.0.0.1" this machine, "0.0.0.0" the network.

    Raises:
        InvalidInputError: If it cannot listen there.
    """
    handler = functools.partial(_Handler, directory=str(folder))
    try:
        return _Server((host, port), handler)
    except (OSError, OverflowError) as error:
        raise InvalidInputError(
            f"cannot listen on {host}, port {port}: {error}; name another --port or --host"
        ) from error
