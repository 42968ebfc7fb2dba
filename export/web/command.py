"""`liteport web`."""

from pathlib import Path
from typing import Annotated

import typer

from liteport.terminal import progress


def web(
    bundle: Annotated[Path, typer.Argument(help="The bundle.", metavar="BUNDLE")],
    out: Annotated[Path, typer.Option(help="The page's folder.")] = Path("page"),
    examples: Annotated[
        list[Path] | None,
        typer.Option("--example", help="An image to offer on the page; may be given several times."),
    ] = None,
    serve: Annotated[bool, typer.Option("--serve", help="Serve the page afterwards, until Ctrl-C.")] = False,
    port: Annotated[int, typer.Option(help="Where --serve listens; 0 for a free port.", min=0, max=65535)] = 8000,
    host: Annotated[str, typer.Option(help="Whom --serve answers: 0.0.0.0 for phones on your network.")] = "127.0.0.1",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing page.")] = False,
) -> None:
    """Write a page that runs a bundle's TFLite and ONNX variants in the browser that opens it.

    The folder is static: any web server gives it, and nothing else is asked once it is loaded. The engines come from
    npm at the first time.
    """
    from .page import write_page
    from .server import make_server

    with progress() as show:
        write_page(bundle, out, examples=examples or (), force=force, progress=show)
    size = sum(path.stat().st_size for path in out.rglob("*") if path.is_file())
    typer.echo(f"wrote {out}: {size / 1e6:.1f} MB")
    if not serve:
        typer.echo(f"next: liteport web {bundle} --out {out} --force --serve, or give {out} to any web server")
        return
    with make_server(out, port, host) as server:
        typer.echo(f"open http://{'localhost' if host == '127.0.0.1' else host}:{server.server_port}/ (Ctrl-C ends it)")
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            typer.echo("stopped")
