"""The manifest: which images to explain, and what is known about each."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.manifest.label_kinds import LabelKind
    from transforms.manifest.manifest import Manifest, ManifestError, ManifestFormat
    from transforms.manifest.read import ManifestSummary, ReadManifest, base_of, read_manifest, survey_manifest

__all__ = [
    "LabelKind",
    "Manifest",
    "ManifestError",
    "ManifestFormat",
    "ManifestSummary",
    "ReadManifest",
    "base_of",
    "read_manifest",
    "survey_manifest",
]
__getattr__ = lazy_face(__name__, __file__)
