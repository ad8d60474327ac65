"""The explorer's page in a browser: served, opened, and waited for."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from explored import session_of

WIDE, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}
TOKEN = "t0ken"


@contextmanager
def served(output, run: str = "r1", before: str | None = None) -> Iterator[str]:
    """The address of the page over an output, with its token."""
    import uvicorn

    from pipeline.explore.server import build_app, listen

    with session_of(output, run, before) as session, listen(None) as listener:
        port = listener.getsockname()[1]
        config = uvicorn.Config(build_app(session, TOKEN, port), log_level="warning", lifespan="off")
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{port}/?token={TOKEN}"
        finally:
            server.should_exit = True
            thread.join()


def ready(page) -> None:
    """Waits until the page shows what it was asked for last."""
    page.wait_for_selector("body[data-state=ready]")
