"""Object stores on this machine, each of its own process; ``setup.sh`` builds what this starts."""

import contextlib
import os
import socket
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from waiting import wait_until

FOLDER = Path(os.environ.get("BEAM_GRADCAM_STORES", Path.home() / ".cache" / "beam-gradcam" / "stores"))
PACKAGES = FOLDER / "packages"  # gcsfs and adlfs
BUCKET = "photos"
# Of Azurite, as its documentation has them for everybody.
_ACCOUNT, _KEY = "devstoreaccount1", (
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)  # fmt: skip


@dataclass(frozen=True)
class Store:
    """A running store."""

    options: Mapping[str, Mapping[str, Any]]  # what the config's section storage says
    environment: Mapping[str, str]
    make_bucket: str  # Python: makes BUCKET through the file system


def missing() -> str:
    """What is not there; empty where all is."""
    wanted = [FOLDER / "bin" / "minio", FOLDER / "bin" / "fake-gcs-server", FOLDER / "node_modules/.bin/azurite-blob",
              PACKAGES / ".installed"]  # fmt: skip
    absent = [str(path) for path in wanted if not path.exists()]
    return f"run tests/stores/setup.sh: there is no {', '.join(absent)}" if absent else ""


@contextlib.contextmanager
def start(kind: str, folder: Path) -> Iterator[Store]:
    """Start ``s3``, ``gcs`` or ``azure``; its log is in ``folder``."""
    port = _free_port()
    endpoint = f"http://127.0.0.1:{port}"
    if kind == "s3":
        command = [FOLDER / "bin" / "minio", "server", "--quiet", "--address", f"127.0.0.1:{port}", folder / "data"]
        secrets = {"MINIO_ROOT_USER": "somebody", "MINIO_ROOT_PASSWORD": "a long secret"}
        options = {"s3": {"key": "somebody", "secret": "a long secret", "client_kwargs": {"endpoint_url": endpoint}}}
        store = Store(options, {}, f"import s3fs; s3fs.S3FileSystem(**{options['s3']!r}).mkdir('{BUCKET}')")
    elif kind == "gcs":
        command = [FOLDER / "bin" / "fake-gcs-server", "-scheme", "http", "-host", "127.0.0.1", "-port", str(port),
                   "-backend", "memory", "-public-host", f"127.0.0.1:{port}", "-external-url", endpoint]  # fmt: skip
        secrets, options = {}, {"gcs": {"token": "anon", "endpoint_url": endpoint}}
        make = (
            f"import urllib.request as r; r.urlopen(r.Request('{endpoint}/storage/v1/b?project=p', "
            f'b\'{{"name": "{BUCKET}"}}\', {{"Content-Type": "application/json"}}))'
        )
        # Else gcsfs asks for a kind of bucket that the server does not know, and waits a minute and a half an upload.
        store = Store(options, {"GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false"}, make)
    else:
        command = [FOLDER / "node_modules/.bin/azurite-blob", "--silent", "--inMemoryPersistence", "--blobHost",
                   "127.0.0.1", "--blobPort", str(port), "--skipApiVersionCheck", "--disableTelemetry"]  # fmt: skip
        account = f"AccountName={_ACCOUNT};AccountKey={_KEY};BlobEndpoint={endpoint}/{_ACCOUNT};"
        connection = f"DefaultEndpointsProtocol=http;{account}"
        secrets, options = {}, {"abfs": {"connection_string": connection}}
        make = f"import adlfs; adlfs.AzureBlobFileSystem(**{options['abfs']!r}).mkdir('{BUCKET}')"
        store = Store(options, {}, make)
    with (folder / f"{kind}.log").open("ab") as log:
        server = subprocess.Popen(
            [str(part) for part in command], stdout=log, stderr=log, cwd=folder, env={**os.environ, **secrets}
        )
    try:
        wait_until(lambda: _answers(endpoint))
        yield store
    finally:
        server.terminate()
        server.wait(30)


def _answers(endpoint: str) -> bool:
    try:
        urllib.request.urlopen(endpoint, timeout=5)
    except urllib.error.HTTPError:
        return True  # it answers, if only to say no
    except OSError:
        return False
    return True


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]
