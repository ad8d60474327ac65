"""The whole command line on real stores: manifest, images, overlays, parts, resume, status, report, render."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import servers
import yaml
from containers import Packed, write_parquet, write_records, write_tar, write_zip
from runs import ROOT, write_photos

pytestmark = [
    pytest.mark.stores,
    pytest.mark.timeout(900),
    pytest.mark.skipif(bool(servers.missing()), reason=servers.missing()),
]
COUNT = 6
# Every spelling of a store that the docs name, and an output with slashes at its end.
SPELLINGS = {
    "s3": ["s3://photos", "s3a://photos"],
    "gcs": ["gs://photos", "gcs://photos"],
    "azure": ["az://photos", "abfs://photos", "abfss://photos", "abfs://photos@devstoreaccount1.dfs.core.windows.net"],
}


@pytest.fixture(scope="module", params=list(SPELLINGS))
def store(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    with servers.start(request.param, folder) as started:
        python(started, started.make_bucket)
        photos = write_photos(folder, COUNT)
        upload = (
            "import sys, json\n"
            "from pathlib import Path\n"
            "from transforms.storage import Storage\n"
            "storage = Storage(json.loads(sys.argv[1]))\n"
            "for path in map(Path, sys.argv[3:]): storage.put(f'{sys.argv[2]}/in/{path.name}', path.read_bytes())\n"
            "lines = [Path(path).name for path in sys.argv[3:]]\n"
            "storage.put(f'{sys.argv[2]}/in/m.csv', '\\n'.join(['uri', *lines]).encode())\n"
        )
        python(started, upload, json.dumps(started.options), SPELLINGS[request.param][0], *photos)
        yield request.param, started, folder


def python(store: servers.Store, code: str, *arguments: str) -> str:
    return run(store, "-c", code, *arguments)


def command(store: servers.Store, *arguments: str) -> str:
    return run(store, "-m", "pipeline", *arguments)


def run(store: servers.Store, *arguments: str) -> str:
    paths = (str(ROOT), str(ROOT / "pipeline" / "api"), str(servers.PACKAGES))
    environment = {**os.environ, **store.environment, "PYTHONPATH": os.pathsep.join(paths)}
    ended = subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, timeout=600, env=environment, cwd=ROOT
    )
    assert ended.returncode == 0, ended.stdout[-1000:] + ended.stderr[-4000:]
    return ended.stdout


def config_of(store: servers.Store, folder: Path, root: str, **overlays) -> str:
    config = {
        "input": {"manifest": f"{root}/in/m.csv"},
        "model": {"source": "none", "input_size": 32},
        "overlays": {"policy": "all", **overlays},
        "run": {"shard_size": 3},
        "storage": dict(store.options),
    }
    (folder / "job.yaml").write_text(yaml.safe_dump(config))
    return str(folder / "job.yaml")


@pytest.mark.parametrize("position", range(max(map(len, SPELLINGS.values()))))
def test_a_run_is_found_again_in_every_spelling(store, position):
    kind, started, folder = store
    if position >= len(SPELLINGS[kind]):
        pytest.skip(f"{kind} has no more spellings")
    root = SPELLINGS[kind][position]
    output = f"{root}/out {position}/"
    config = config_of(started, folder, root)
    job = ["run", config, "--set", f"output.path={output}"]
    first = json.loads(command(started, *job).splitlines()[-1])
    assert (first["images"], first["explained_now"], first["failures"]) == (COUNT, COUNT, 0)
    again = json.loads(command(started, *job).splitlines()[-1])
    assert (again["images"], again["explained_now"]) == (COUNT, 0)
    status = json.loads(command(started, "status", output, "--config", config, "--json"))
    assert [(run["state"], run["images"]) for run in status["runs"]] == [("finished", COUNT), ("finished", 0)]
    page = command(started, "report", output, "--run", first["run_id"], "--config", config).strip()
    assert page == f"{output.rstrip('/')}/runs/{first['run_id']}/report/index.html"
    rendered = command(started, "render", output, "--run", first["run_id"], "--config", config, "--limit", "2")
    assert [line.startswith(f"{output.rstrip('/')}/overlays/") for line in rendered.split("\n")[:-1]] == [True, True]
    read = (
        "import sys, json, cv2, numpy as np\n"
        "from transforms.storage import Storage\n"
        "storage, pages = Storage(json.loads(sys.argv[1])), sys.argv[2:]\n"
        "assert b'<html' in storage.read(pages[0]).lower()\n"
        "for uri in pages[1:]: assert cv2.imdecode(np.frombuffer(storage.read(uri), np.uint8), 1) is not None\n"
    )
    python(started, read, json.dumps(started.options), page, *rendered.split("\n")[:-1])


def test_overlays_in_a_tar_can_be_read_again(store):
    kind, started, folder = store
    root = SPELLINGS[kind][0]
    config = config_of(started, folder, root, policy="tar")
    outcome = json.loads(command(started, "run", config, "--set", f"output.path={root}/tar").splitlines()[-1])
    assert outcome["failures"] == 0
    read = (
        "import sys, json\n"
        "import beam_gradcam as bg, cv2, numpy as np\n"
        "from transforms.storage import Storage\n"
        "options = json.loads(sys.argv[1])\n"
        "rows = bg.open_run(sys.argv[2], storage_options=options).table().to_pylist()\n"
        "storage = Storage(options)\n"
        "pictures = [cv2.imdecode(np.frombuffer(storage.read(row['overlay_uri']), np.uint8), 1) for row in rows]\n"
        "print(sum(picture is not None for picture in pictures))\n"
    )
    assert python(started, read, json.dumps(started.options), f"{root}/tar").split() == [str(COUNT)]


@pytest.mark.parametrize("kind", ["tar", "zip", "tfrecord", "parquet"])
def test_images_inside_files_of_the_store(store, kind):
    name, started, folder = store
    root = SPELLINGS[name][0]
    images = [Packed(path.stem, path.read_bytes()) for path in sorted(folder.glob("*.png"))]
    write = {"tar": write_tar, "zip": write_zip, "tfrecord": write_records, "parquet": write_parquet}[kind]
    path = write(folder / f"packed.{kind}", images)
    put = "import sys, json\nfrom transforms.storage import Storage\n"
    put += "Storage(json.loads(sys.argv[1])).put(sys.argv[2], open(sys.argv[3], 'rb').read())\n"
    python(started, put, json.dumps(started.options), f"{root}/{kind}/packed.{kind}", str(path))
    config = config_of(started, folder, root)
    job = ["run", config, "--set", f"input.manifest={root}/{kind}/*.{kind}", "--set", f"output.path={root}/of {kind}"]
    first = json.loads(command(started, *job).splitlines()[-1])
    assert (first["images"], first["explained_now"], first["failures"]) == (len(images), len(images), 0)
    again = json.loads(command(started, *job).splitlines()[-1])
    assert (again["images"], again["explained_now"]) == (len(images), 0)
    read = (
        "import sys, json, hashlib\n"
        "import beam_gradcam as bg\n"
        "options = json.loads(sys.argv[1])\n"
        "rows = bg.open_run(sys.argv[2], storage_options=options).table().to_pylist()\n"
        "for row in rows:\n"
        "    content = bg.read_image(row['uri'], options)\n"
        "    assert hashlib.sha256(content).hexdigest() == row['content_sha256']\n"
        "print(len(rows))\n"
    )
    assert python(started, read, json.dumps(started.options), f"{root}/of {kind}").split() == [str(len(images))]
