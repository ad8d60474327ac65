"""The page and its questions over HTTP, on this machine only."""

import importlib.resources
import json
import logging
import re
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from pipeline.explore import queries
from pipeline.explore.about import describe
from pipeline.explore.errors import ExploreError
from pipeline.explore.export import PAGE_FORMATS, export_view
from pipeline.explore.guard import Guard
from pipeline.explore.photos import Photos
from pipeline.explore.session import Session
from pipeline.explore.view import read_view

_log = logging.getLogger("beam-gradcam")
_MOST_ASKED = 1 << 20  # bytes of a question
_TYPES = {"html": "text/html", "css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
Answer = Callable[[Any], Any]


def build_app(session: Session, token: str, port: int) -> ASGIApp:
    """The application; every answer needs ``token``."""
    photos = Photos(session)
    pages = _pages()

    def page(request: Request) -> Response:
        name = request.path_params.get("name", "index.html")
        if name not in pages:
            return _problem("there is no such page", 404)
        return Response(pages[name], media_type=_TYPES[name.rpartition(".")[2]])

    def photo(request: Request) -> Response:
        found = photos.photo(*(request.path_params[name] for name in ("table", "image_id", "size")))
        return Response(found, media_type="image/jpeg", headers={"cache-control": "private, max-age=3600"})

    def about(_: Request) -> Response:
        return JSONResponse(describe(session))

    def image(request: Request) -> Response:
        return JSONResponse(queries.find_image(session, request.path_params["image_id"]))

    routes = [
        Route("/", page),
        Route("/pages/{name}", page),
        Route("/photos/{table}/{size}/{image_id}", photo),
        Route("/api/about", about),
        Route("/api/image/{image_id}", image),
        *(Route(f"/api/{name}", _answering(answer), methods=["POST"]) for name, answer in _answers(session).items()),
    ]
    app = Starlette(routes=routes, exception_handlers={ExploreError: _refused, Exception: _failed})
    return Guard(app, token, port)


def serve(session: Session, token: str, listener: socket.socket) -> None:
    """Answer until Ctrl-C or SIGTERM."""
    port = listener.getsockname()[1]
    config = uvicorn.Config(
        build_app(session, token, port),
        log_level="warning",
        access_log=False,
        server_header=False,
        proxy_headers=False,  # there is none: what claims to be one is not believed
        lifespan="off",
    )
    _Server(config).run(sockets=[listener])


def listen(port: int | None) -> socket.socket:
    """A socket on the loopback address; without a port the usual one, or any where that is taken.

    Raises:
        ExploreError: the port is taken.
    """
    for wanted in (_USUAL_PORT, 0) if port is None else (port,):
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", wanted))
            listener.listen(128)  # who comes before the rows are loaded waits
        except OSError as error:
            listener.close()
            problem = error
            continue
        return listener
    raise ExploreError(f"--port {port}: {problem.strerror}; choose another, or leave it out")


_USUAL_PORT = 8459


class _Server(uvicorn.Server):
    """One that returns after a signal, so that what was opened before it is closed."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        before = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _answers(session: Session) -> dict[str, Answer]:
    """Name of a question -> what answers it, from JSON to JSON, or to a response."""

    def view(asked: Any) -> Any:
        return read_view(asked.get("view", {}), session.columns)

    def rows(asked: Any) -> Any:
        if "place" in asked:
            return queries.find_row(session, _integer(asked["place"]))
        page = _integer(asked.get("offset", 0)), _integer(asked.get("limit", 48))
        return queries.find_rows(session, view(asked), *page, _names(asked.get("columns", [])))

    def charts(asked: Any) -> Any:
        return queries.find_histograms(session, view(asked), _names(asked.get("columns", [])))

    def points(asked: Any) -> Any:
        x, y, *color = _names([asked.get("x"), asked.get("y"), *([asked["color"]] if asked.get("color") else [])])
        return queries.find_points(session, view(asked), x, y, color[0] if color else None)

    def classes(asked: Any) -> Any:
        return {"classes": queries.find_classes(session, view(asked))}

    def tag(asked: Any) -> Any:
        images = queries.find_images(session, view(asked))
        tag = asked.get("tag")
        if asked.get("remove"):
            changed = session.tags.remove([image_id for image_id, _ in images], tag)
        else:
            changed = session.tags.add(images, tag, asked.get("note"))
        return {"changed": changed, "tags": session.tags.counts()}

    def export(asked: Any) -> Any:
        name = asked.get("format")
        if name not in PAGE_FORMATS:
            raise ExploreError(f"format: one of {', '.join(PAGE_FORMATS)}")
        made = export_view(session, view(asked), name)
        headers = {"content-disposition": f'attachment; filename="{made.name}"'}
        return StreamingResponse(made.chunks, media_type="application/octet-stream", headers=headers)

    return {"rows": rows, "charts": charts, "points": points, "classes": classes, "tag": tag, "export": export}


def _answering(answer: Answer) -> Callable[[Request], Any]:
    async def endpoint(request: Request) -> Response:
        content = bytearray()
        async for chunk in request.stream():
            content += chunk
            if len(content) > _MOST_ASKED:
                return _problem("the question is too long", 413)
        try:
            asked = json.loads(content)
        except (ValueError, RecursionError):
            return _problem("the question is not JSON", 400)
        if not isinstance(asked, dict):
            return _problem("a question is a JSON object", 400)
        found = await run_in_threadpool(answer, asked)
        return found if isinstance(found, Response) else JSONResponse(found)

    return endpoint


def _pages() -> dict[str, bytes]:
    folder = importlib.resources.files("pipeline.explore") / "pages"
    return {file.name: file.read_bytes() for file in folder.iterdir() if file.name.rpartition(".")[2] in _TYPES}


def _integer(value: Any) -> int:
    if type(value) is not int or abs(value) > 1 << 50:
        raise ExploreError(f"{str(value)[:100]!r} is not a whole number")
    return value


def _names(values: Any) -> list[str]:
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise ExploreError("columns: a list of names")
    return values


def _refused(_: Request, error: Exception) -> Response:
    return _problem(str(error), 400)


def _failed(request: Request, error: Exception) -> Response:
    _log.error("%s failed", re.sub(r"[^\w/]", "?", request.url.path), exc_info=error)
    return _problem("the server failed at this; its terminal says why", 500)


def _problem(why: str, status: int) -> Response:
    return JSONResponse({"error": why}, status_code=status)
