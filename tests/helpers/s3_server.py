"""The real S3 protocol: moto's server, which can be told to be busy or slow, or to wait."""

import contextlib
import threading
from collections.abc import Callable, Iterator

import moto.server
from werkzeug.serving import make_server

SLOW_DOWN = (
    b'<?xml version="1.0"?><Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>'
)


class FaultyS3:
    """moto's application, but some requests of an object are answered otherwise."""

    def __init__(self):
        self.app = moto.server.DomainDispatcherApplication(moto.server.create_backend_app)
        self.port = 0
        self.requests: list[tuple[str, str]] = []
        self.busy = 0  # so many further answers are 503 SlowDown
        self.busy_every = 0  # one answer of so many, too
        self.hold: Callable[[], object] = lambda: None  # what comes before an answer, in the thread of the request

    def __call__(self, environ, start_response):
        self.requests.append((environ["REQUEST_METHOD"], environ["PATH_INFO"]))
        self.hold()
        if self.busy > 0 or (self.busy_every and len(self.requests) % self.busy_every == 0):
            self.busy -= 1
            start_response(
                "503 Slow Down", [("Content-Type", "application/xml"), ("Content-Length", str(len(SLOW_DOWN)))]
            )
            return [SLOW_DOWN]
        return self.app(environ, start_response)

    def client_options(self) -> dict[str, str]:
        return {"endpoint_url": f"http://127.0.0.1:{self.port}", "region_name": "us-east-1"}


@contextlib.contextmanager
def s3_server(bucket: str) -> Iterator[FaultyS3]:
    """A server with one bucket."""
    import boto3  # comes with moto

    app = FaultyS3()
    server = make_server("127.0.0.1", 0, app, threaded=True)
    app.port = server.server_port
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    client = boto3.client("s3", aws_access_key_id="x", aws_secret_access_key="x", **app.client_options())
    client.create_bucket(Bucket=bucket)
    yield app
    server.shutdown()
