"""The manifest: which images to explain, and what is known about each."""

from typing import TYPE_CHECKING

from transforms.faces import lazy_face

if TYPE_CHECKING:
    from transforms.manifest.boxes import BoxFormat
    from transforms.manifest.conflicts import refuse_conflicts
    from transforms.manifest.folders import are_classes, labelled_by_folder
    from transforms.manifest.label_kinds import LabelKind
    from transforms.manifest.manifest import Conflicts, LabelSource, Manifest, ManifestError, ManifestFormat, Piece
    from transforms.manifest.read import OnMistake, base_of, read_blocks, read_manifest, with_named_label
    from transforms.manifest.survey import ManifestSummary, survey_manifest

__all__ = [
    "BoxFormat",
    "Conflicts",
    "LabelKind",
    "LabelSource",
    "Manifest",
    "ManifestError",
    "ManifestFormat",
    "ManifestSummary",
    "OnMistake",
    "Piece",
    "are_classes",
    "base_of",
    "labelled_by_folder",
    "read_blocks",
    "read_manifest",
    "refuse_conflicts",
    "survey_manifest",
    "with_named_label",
]
__getattr__ = lazy_face(__name__, __file__)
