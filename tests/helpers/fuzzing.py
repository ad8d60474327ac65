"""A coverage-guided fuzzer (atheris) for strangers' bytes: ``fuzzing.py images|manifests SEEDS [libFuzzer options]``.

Every input must give a picture or an ``ImageFailure``, a manifest or a ``ManifestError``; all else is a finding, and so
is an input that takes too long or too much memory. libFuzzer ends the process with another exit code than 0 then.
"""

import sys
import tempfile
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["transforms"]):
    from transforms.explain.settings import Limits
    from transforms.images.decode import decode_image
    from transforms.manifest.manifest import Manifest, ManifestError
    from transforms.manifest.read import read_manifest
    from transforms.manifest.survey import survey_manifest
    from transforms.records import ImageFailure
    from transforms.storage.storage import Storage

_LIMITS = Limits(max_bytes=1 << 20, max_pixels=1 << 20)
_KINDS = ("m.csv", "m.tsv", "m.txt", "m.jsonl", "m.parquet", "m.csv.gz")
_STORAGE = Storage()
_FOLDER = Path(tempfile.mkdtemp(prefix="fuzzing-"))


def image(encoded: bytes) -> None:
    """The first byte says which size the model needs, as that chooses the scale of a JPEG."""
    if not encoded:
        return
    need = (1 + encoded[0], 1 + encoded[0])
    try:
        decoded = decode_image(encoded[1:], _LIMITS, need, max_side=64)
    except ImageFailure:
        return
    assert decoded.pixels.shape[2] == 3
    assert decoded.width * decoded.height <= _LIMITS.max_pixels


def manifest(content: bytes) -> None:
    """The first byte says which kind of file it is."""
    if not content:
        return
    path = _FOLDER / _KINDS[content[0] % len(_KINDS)]
    path.write_bytes(content[1:])
    try:
        survey = survey_manifest(Manifest(str(path)), _STORAGE)
    except ManifestError:
        return
    assert len(list(read_manifest(Manifest(str(path)), _STORAGE))) == survey.count


if __name__ == "__main__":
    atheris.Setup([sys.argv[0], *sys.argv[2:]], {"images": image, "manifests": manifest}[sys.argv[1]])
    atheris.Fuzz()
