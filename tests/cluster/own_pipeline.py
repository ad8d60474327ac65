"""A pipeline of somebody's own with ``bg.Explain`` in it: ``python own_pipeline.py MANIFEST OUTPUT [beam options]``."""

import sys
from pathlib import Path

import apache_beam as beam
import beam_gradcam as bg
from apache_beam.options.pipeline_options import PipelineOptions


def main() -> None:
    manifest, output, *options = sys.argv[1:]
    keyed = [(number, uri) for number, uri in enumerate(Path(manifest).read_text().split("\n"))]
    with beam.Pipeline(options=PipelineOptions(options)) as root:
        _ = (
            root
            | beam.Create(keyed)
            | bg.Explain("bundled:efficientnet-lite0", targets="top_k:2")
            | beam.Values()
            | beam.io.WriteToParquet(output, bg.schema())
        )


if __name__ == "__main__":
    main()
