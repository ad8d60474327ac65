"""beam-gradcam in your own code: explain images in a notebook, read a run, or put the explaining into a Beam pipeline.

    import beam_gradcam as bg

    model = bg.open_model("dogs.keras", preprocessing="torch")
    found = model.explain(["a.jpg", "s3://bucket/b.jpg"], targets="top_k:3")
    found[0].overlay()

    run = bg.open_run("gradcam-output")
    run.sql("SELECT predicted_name, avg(border_lift) FROM statistics GROUP BY ALL")

    with beam.Pipeline() as p:
        p | beam.Create(uris) | bg.Explain("dogs.keras") | beam.io.WriteToParquet("rows", bg.schema())

The numbers are those of the job: the same code makes them.
"""

from typing import TYPE_CHECKING, Any

from beam_gradcam.own_packages import check_packages

if TYPE_CHECKING:
    from beam_gradcam.checking import Checked
    from beam_gradcam.columns import schema
    from beam_gradcam.explained import Explained, Explanation
    from beam_gradcam.model import Model, open_model
    from beam_gradcam.sources import Image
    from beam_gradcam.stored_image import read_image
    from beam_gradcam.stored_run import StoredRun, open_run
    from beam_gradcam.transform import Explain
    from transforms.errors import UserError

__all__ = [
    "Checked",
    "Explain",
    "Explained",
    "Explanation",
    "Image",
    "Model",
    "StoredRun",
    "UserError",
    "open_model",
    "open_run",
    "read_image",
    "schema",
]


def __getattr__(name: str) -> Any:
    check_packages()
    from transforms.faces import lazy_face  # not before it is known whose package that is

    return lazy_face(__name__, __file__)(name)
