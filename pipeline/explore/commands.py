"""The commands, each with its exit code."""

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path

from pipeline.audit import commands as audit
from pipeline.config import load_config
from pipeline.exit_codes import ExitCode
from pipeline.explore.errors import ExploreError
from pipeline.runs import Run, find_run, run_at
from pipeline.terminal import say_result
from transforms.storage import Storage, is_local, uris

_NEEDED = {"starlette": "starlette", "uvicorn": "uvicorn"}


def explore(
    output: str, run_id: str | None, against: str | None, port: int | None, config_file: str | None
) -> ExitCode:
    """``beam-gradcam explore``: prints the address of the page and answers until it is interrupted."""
    missing = [package for name, package in _NEEDED.items() if importlib.util.find_spec(name) is None]
    if missing:
        raise ExploreError(
            f"the page needs {' and '.join(missing)}: pip install 'beam-gradcam[explore]', "
            f"or pip install {' '.join(missing)}"
        )
    from pipeline.explore.guard import new_token
    from pipeline.explore.server import listen, serve
    from pipeline.explore.session import open_session

    config = load_config(config_file)
    storage = audit.storage_of(config)
    run = audit.bounded(find_run(storage.absolute(output), run_id, storage), config)
    before = None if against is None else audit.bounded(_other_run(run, against, storage), config)
    audited = config.audit
    with (
        listen(port) as listener,
        open_session(run, before, storage, audited.regions, audited.slices) as session,
    ):
        token = new_token()
        say_result(f"http://127.0.0.1:{listener.getsockname()[1]}/?token={token}")
        serve(session, token, listener)
    return ExitCode.DONE


def export(
    kind: str, output: str, target: str | None, run_id: str | None, where: str, tag: str | None, config_file: str | None
) -> ExitCode:
    """``beam-gradcam export``: prints where the file is."""
    from pipeline.explore.export import FORMATS, export_view
    from pipeline.explore.session import open_session
    from pipeline.explore.view import read_view

    if kind not in FORMATS:
        raise ExploreError(f"there is no format {kind!r}; write one of {', '.join(FORMATS)}")
    config = load_config(config_file)
    storage = audit.storage_of(config)
    run = audit.bounded(find_run(storage.absolute(output), run_id, storage), config)
    with open_session(run, None, storage, config.audit.regions) as session:
        filters = [] if tag is None else [{"tag": tag}]
        view = read_view({"sql": where, "filters": filters}, session.columns)
        made = export_view(session, view, kind)
        uri = storage.absolute(target or made.name)
        _write(made.chunks, uri, storage)
    say_result(uri)
    return ExitCode.DONE


def _other_run(run: Run, against: str, storage: Storage) -> Run:
    """A run by its folder, or by its id in the same output."""
    if "/" in against:
        return run_at(storage.absolute(against), storage)
    return find_run(run.output, against, storage)


def _write(chunks: Iterator[bytes], uri: str, storage: Storage) -> None:
    """In one step; a large file goes to a disk here as it is made."""
    if not is_local(uri):
        storage.put(uri, b"".join(chunks))
        return
    path = Path(uris.local_path(uri))
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "xb") as file:
            file.writelines(chunks)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
