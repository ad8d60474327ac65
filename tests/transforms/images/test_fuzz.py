"""A minute of coverage-guided fuzzing; tests/helpers/fuzzing.py itself can be given a night."""

import importlib.util
import subprocess
import sys
from pathlib import Path

import encoded
import pytest

SECONDS = 30
FUZZER = str(Path(encoded.__file__).with_name("fuzzing.py"))
MANIFESTS = {
    0: b'uri,label,boxes\na.jpg,cat,"[[1, 2, 3, 4]]"\n"b,c.jpg",dog,\n',
    1: b"uri\tlabel\na.jpg\tcat\n",
    2: b"a.jpg\n# b.jpg\n\xef\xbb\xbfc.jpg\r\n",
    3: b'{"uri": "a.jpg", "targets": [1, 2]}\n{"uri": "b.jpg", "boxes": [[0, 0, 1, 1]]}\n',
}


@pytest.mark.fuzz
@pytest.mark.skipif(importlib.util.find_spec("atheris") is None, reason="atheris is not installed on this platform")
@pytest.mark.parametrize("what", ["images", "manifests"])
def test_strangers_bytes(tmp_path, what):
    if what == "images":
        files = {**encoded.lossy_files(), **{name: file for name, (file, _) in encoded.lossless_files().items()}}
        seeds = [bytes([16]) + file for file in files.values()]
    else:
        seeds = [bytes([kind]) + content for kind, content in MANIFESTS.items()]
    corpus = tmp_path / "corpus"
    corpus.mkdir()
    for number, seed in enumerate(seeds):
        (corpus / str(number)).write_bytes(seed)
    options = [
        f"-max_total_time={SECONDS}",
        "-timeout=20",
        "-rss_limit_mb=2048",
        "-seed=1",
        f"-artifact_prefix={tmp_path}/",
    ]
    command = [sys.executable, FUZZER, what, str(corpus), *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS + 100, cwd=tmp_path)
    findings = [path for path in tmp_path.iterdir() if path.name.startswith(("crash-", "oom-", "timeout-"))]
    assert done.returncode == 0, (done.stderr[-3000:], [path.read_bytes()[:200] for path in findings])
    assert "Done" in done.stderr
