"""Eyewitness: `python app.py` serves the pages. Arguments -> Settings -> pages and routes -> serve."""

import argparse
import contextlib
import fcntl
import ipaddress
import os
import socket
import sys
import threading
import warnings
import webbrowser
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, TextIO

# Before Gradio is imported: nothing here may call home.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")

import gradio as gr
import uvicorn
from fastapi import FastAPI
from starlette.middleware.sessions import SessionMiddleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles

from curation.adapter_texts import queue_texts
from curation.demo import load_demo
from curation.export import freeze_set
from curation.importing import start_proxy_maker
from curation.ui import adjudicate, agreement, annotate, batches, compare, importing, pairs, people, synthesise
from curation.ui.access import ADJUDICATOR, ADMIN, ANNOTATOR, Access, make_access, session_secret
from curation.ui.adjudication_routes import build_adjudication_router
from curation.ui.compare_routes import build_compare_router
from curation.ui.desk_routes import build_desk_router
from curation.ui.download_routes import build_download_router
from curation.ui.gate import Gate
from curation.ui.guideline_routes import build_guideline_router
from curation.ui.media_routes import build_media_router
from curation.ui.navigation import Page, build_navigation
from curation.ui.sentences import SentenceRoute
from curation.ui.session_routes import build_session_router
from store.clips import has_clips, media_without_proxy
from store.context import Context
from store.database import open_store
from store.errors import ConflictError, RefusedError, StorageError, UserError
from store.settings import default_data
from training.stages import advance_plans
from training.turns import advance
from training.ui import frames, train
from training.ui.frames_routes import build_frames_router

ASSETS = Path(__file__).resolve().parent / "assets"
LOOPBACK_NAMES = ["localhost", "127.0.0.1", "::1", "[::1]"]
# The first is at "/"; the bar shows them in this order, and the gate holds each against everybody below its role.
PAGES = (
    Page("/", "Annotate", ANNOTATOR, annotate.build),
    Page("/compare", "Compare", ANNOTATOR, compare.build),
    Page("/adjudicate", "Adjudicate", ADJUDICATOR, adjudicate.build),
    Page("/agreement", "Agreement", ADJUDICATOR, agreement.build),
    Page("/pairs", "Pairs", ADJUDICATOR, pairs.build),
    Page("/frames", "Frames", ADJUDICATOR, frames.build),
    Page("/batches", "Batches", ADMIN, batches.build),
    Page("/people", "People", ADMIN, people.build),
    Page("/train", "Train", ADMIN, train.build),
    Page("/import", "Import", ADMIN, importing.build),
    Page("/synthesise", "Synthesise", ADMIN, synthesise.build),
)
ROUTERS = (
    build_session_router,
    build_desk_router,
    build_guideline_router,
    build_compare_router,
    build_adjudication_router,
    build_media_router,
    build_download_router,
    partial(build_frames_router, route_class=SentenceRoute),
)


@dataclass(frozen=True)
class Settings:
    """What the command line says."""

    data: Path
    host: str = "127.0.0.1"
    port: int = 7860
    demo: bool = True
    open_browser: bool = False
    https_proxy: str | None = None  # address of the proxy that speaks https in front


def main(arguments: list[str] | None = None) -> int:
    """Serve until interrupted; return 0, or 2 with a sentence on standard error."""
    settings = parse_arguments(arguments)
    try:
        with prepared(settings):
            serve(settings)
    except UserError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    return 0


def parse_arguments(arguments: list[str] | None = None) -> Settings:
    """Return the settings that the command line gives."""
    parser = argparse.ArgumentParser(prog="python app.py", description="Watch clips beside what models wrote about them; flag, pair, train, agree.")
    parser.add_argument("--data", type=Path, default=default_data(), metavar="DIR", help="data directory (default: %(default)s)")
    parser.add_argument("--host", default="127.0.0.1", help="address to serve on; anything but loopback needs accounts (default: %(default)s)")
    parser.add_argument("--port", type=_port, default=7860, help="port to serve on, 1 to 65535 (default: %(default)s)")
    parser.add_argument(
        "--https-proxy",
        metavar="ADDRESS",
        help="people come over https through a proxy at this address: cookies go over https only, and its X-Forwarded-For and -Proto are believed",
    )
    parser.add_argument("--no-demo", action="store_true", help="do not create the demo project in an empty data directory")
    parser.add_argument("--open", action="store_true", help="open the address in a browser")
    given = parser.parse_args(arguments)
    return Settings(given.data.expanduser().absolute(), given.host, given.port, not given.no_demo, given.open, given.https_proxy)


@contextlib.contextmanager
def prepared(settings: Settings) -> Iterator[None]:
    """Hold the data directory, with the demo in it when it is empty.

    Raises RefusedError for an open door without accounts, ConflictError when another app holds the directory or the port.
    """
    refuse_open_door(settings)
    with open_store(settings.data) as db:
        empty, waiting = not has_clips(db), bool(media_without_proxy(db))
    with _sole_holder(settings):
        _refuse_taken_port(settings)
        if empty and settings.demo:
            sys.stdout.write(f"Creating the demo project in {settings.data} ...\n")
            sys.stdout.flush()
            load_demo(settings.data)
        elif waiting:
            start_proxy_maker(settings.data)
        # What waited for its turn when the machine went down need not wait for somebody to open the page.
        advance_plans(settings.data)
        advance(settings.data)
        yield


def refuse_open_door(settings: Settings) -> None:
    """Raise RefusedError when others could reach the app, by itself or through a proxy, and nobody would be asked who they are."""
    if _is_loopback(settings.host) and not settings.https_proxy:
        return
    if make_access(settings.data).has_accounts():
        return
    door = f"--https-proxy {settings.https_proxy}" if settings.https_proxy else f"--host {settings.host}"
    raise RefusedError(
        f"{door} would let everybody on the network in, and there are no accounts. "
        f"Make one first: python -m store account NAME admin --data {settings.data}. Or leave {door.split()[0]} away to serve this machine only."
    )


def make_server_app(settings: Settings) -> FastAPI:
    """Return pages and routes as one ASGI app over the data directory."""
    access = make_access(settings.data)
    context = Context(settings.data, access.handler, partial(freeze_set, settings.data), partial(queue_texts, settings.data))
    api = FastAPI(openapi_url=None, lifespan=partial(_closing, access))
    for build_router in ROUTERS:
        api.include_router(build_router(access))
    api.mount("/eyewitness", FreshFiles(directory=ASSETS))
    # Gradio warns that several pages rule out the server-side rendering that nobody asked for.
    warnings.filterwarnings("ignore", message="SSR mode is not supported")
    pages: FastAPI = gr.mount_gradio_app(
        api,
        build_pages(context, access),
        path="/",
        auth_dependency=access.user,
        theme=gr.themes.Default(primary_hue="blue", neutral_hue="zinc", font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
        css_paths=ASSETS / "pages.css",
        favicon_path=str(ASSETS / "icon.svg"),
        run_history=False,
        app_kwargs={"openapi_url": None, "docs_url": None, "redoc_url": None},
        footer_links=[],
    )
    pages.add_middleware(Gate, access=access, pages=PAGES)
    if not access.has_accounts():
        # A name is enough here, so no other site may lead a browser to this one under a name of its own.
        pages.add_middleware(TrustedHostMiddleware, allowed_hosts=LOOPBACK_NAMES)
    pages.add_middleware(
        SessionMiddleware,
        secret_key=session_secret(settings.data),
        session_cookie=f"eyewitness-{settings.port}",
        same_site="lax",
        https_only=bool(settings.https_proxy),
    )
    return pages


@contextlib.asynccontextmanager
async def _closing(access: Access, _: FastAPI) -> AsyncIterator[None]:
    """Finish what waits to be written when the server stops."""
    yield
    access.writer.close()


class FreshFiles(StaticFiles):
    """Our own modules and styles: a browser asks each time, so that it never mixes those of two versions.

    What else lies in assets/ stays inside: the demo's texts name their writers, and its planted flaws are the answers.
    """

    def lookup_path(self, path: str) -> tuple[str, os.stat_result | None]:
        """Return the file for a path when a browser needs it."""
        folder = Path(path).parts[:-1]  # none: the file lies in assets/ itself
        return super().lookup_path(path) if not folder or Path(path).suffix in (".js", ".css") else ("", None)

    def file_response(self, *given: Any, **named: Any) -> Response:
        """Return the file, or 304 when the browser has it."""
        response = super().file_response(*given, **named)
        response.headers["Cache-Control"] = "no-cache"
        return response


def build_pages(context: Context, access: Access) -> gr.Blocks:
    """Return the pages, each with handlers for its least role and above."""
    pages: gr.Blocks
    with gr.Blocks(title="Eyewitness", analytics_enabled=False, fill_width=True) as pages:
        _build_page(PAGES[0], context, access)
    for page in PAGES[1:]:
        with pages.route(page.name, page.path):
            _build_page(page, context, access)
    pages.queue(default_concurrency_limit=8)
    return pages


def _build_page(page: Page, context: Context, access: Access) -> None:
    build_navigation(PAGES)
    page.build(replace(context, handler=partial(access.handler, least=page.least)))


def serve(settings: Settings) -> None:
    """Serve until interrupted, and say where once the port answers."""
    config = uvicorn.Config(
        make_server_app(settings),
        host=settings.host,
        port=settings.port,
        log_level="warning",
        # Otherwise anybody on this machine could name any address, and be counted at the door as a new one each time.
        proxy_headers=bool(settings.https_proxy),
        forwarded_allow_ips=settings.https_proxy,
        timeout_graceful_shutdown=3,  # seconds; a page that is open in a browser would hold the app for ever
    )
    server = uvicorn.Server(config)
    threading.Thread(target=_announce, args=(settings, server), daemon=True).start()
    # uvicorn has shut down in order by the time that it passes Ctrl+C on.
    with contextlib.suppress(KeyboardInterrupt):
        server.run()


def _announce(settings: Settings, server: uvicorn.Server) -> None:
    waiting = threading.Event()
    while not server.started:
        waiting.wait(0.05)
    address = f"http://{'127.0.0.1' if settings.host == '0.0.0.0' else settings.host}:{settings.port}/"
    sys.stdout.write(f"Eyewitness is at {address}  (data: {settings.data}; Ctrl+C stops it)\n")
    sys.stdout.flush()
    if settings.open_browser:
        webbrowser.open(address)


def _port(given: str) -> int:
    if not given.isdecimal() or not 0 < int(given) < 65536:
        raise argparse.ArgumentTypeError(f"{given!r} is no port; give a number from 1 to 65535")
    return int(given)


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@contextlib.contextmanager
def _sole_holder(settings: Settings) -> Iterator[None]:
    with _lock_file(settings.data) as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            lock.seek(0)
            raise ConflictError(
                f"Another Eyewitness ({lock.read().strip()}) serves {settings.data}. Use that one, stop it, or give another --data directory."
            ) from error
        with contextlib.suppress(OSError):  # on a full disk the lock holds without its words
            lock.truncate(0)
            lock.write(f"process {os.getpid()}, port {settings.port}")
            lock.flush()
        yield


def _lock_file(data: Path) -> TextIO:
    try:
        return (data / "app.lock").open("a+")
    except OSError as error:
        raise StorageError(f"{data / 'app.lock'} cannot be opened: {error.strerror}. Make room and rights, or give another --data directory.") from error


def _refuse_taken_port(settings: Settings) -> None:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as error:
            raise ConflictError(f"Port {settings.port} on {settings.host} cannot be used: {error.strerror}. Give another one with --port.") from error


if __name__ == "__main__":
    sys.exit(main())
