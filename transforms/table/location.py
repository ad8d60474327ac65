"""Where everything lies in an output: the only place that spells the names of its folders and files."""

import dataclasses
from typing import Literal

Embeddings = Literal["", "features", "with_probabilities"]
"""What the table of embeddings has for the images of a part."""


@dataclasses.dataclass(frozen=True)
class OutputLayout:
    """The folder of a job's ``output.path``. All locations are URIs, without a slash at the end."""

    root: str

    @property
    def statistics(self) -> str:
        """The table of all runs, a Hive-partitioned dataset."""
        return f"{self.root}/statistics"

    @property
    def models(self) -> str:
        return f"{self.root}/models"

    @property
    def runs(self) -> str:
        return f"{self.root}/runs"

    @property
    def indexes(self) -> str:
        """Which images lie where in the files of manifests that hold them themselves."""
        return f"{self.root}/indexes"

    @property
    def embeddings(self) -> str:
        """The table of the pooled features of images, beside that of the statistics."""
        return f"{self.root}/embeddings"

    def methods(self, digest: str) -> str:
        """What was found of the methods for a model, by the digest of its source."""
        return f"{self.root}/methods/{digest}.json"

    def model(self, fingerprint: str) -> str:
        """The compiled model."""
        return f"{self.models}/{fingerprint}"

    @property
    def overlays(self) -> str:
        """Those of all runs."""
        return f"{self.root}/overlays"

    @property
    def history(self) -> str:
        """The folder of the page about the last runs."""
        return f"{self.root}/history"

    def lease(self, fingerprint: str) -> str:
        return f"{self.root}/leases/{fingerprint}.json"

    def run(self, run_id: str) -> "RunLayout":
        return RunLayout(self.root, run_id)


@dataclasses.dataclass(frozen=True)
class RunLayout:
    """What one run leaves in an output."""

    root: str
    run_id: str

    @property
    def statistics(self) -> str:
        """The folder of its parts."""
        return f"{OutputLayout(self.root).statistics}/run={self.run_id}"

    def part(self, shard_id: str) -> str:
        return f"{self.statistics}/part-{shard_id}.parquet"

    @property
    def overlays(self) -> str:
        return f"{OutputLayout(self.root).overlays}/run={self.run_id}"

    @property
    def folder(self) -> str:
        """What the run says about itself."""
        return f"{OutputLayout(self.root).runs}/{self.run_id}"

    @property
    def record(self) -> str:
        """What it is about to do, written before it does it; what has this file is a run."""
        return f"{self.folder}/run.json"

    @property
    def config(self) -> str:
        return f"{self.folder}/config.yaml"

    @property
    def earlier(self) -> str:
        """The list of the parts that were there when the run was launched: what it builds on."""
        return f"{self.folder}/earlier.txt"

    @property
    def stopped(self) -> str:
        """Why a worker gave up, for the launcher; only there while the run is unfinished."""
        return f"{self.folder}/stopped.json"

    @property
    def totals(self) -> str:
        """The counts of all shards, the sign that every one of them is committed."""
        return f"{self.folder}/totals.json"

    @property
    def summary(self) -> str:
        """What came of it, written last; a run that has this file is finished."""
        return f"{self.folder}/summary.json"

    @property
    def neighbours(self) -> str:
        """What the embeddings say of each image: neighbours, groups of near duplicates, outliers."""
        return f"{self.folder}/neighbours.parquet"

    @property
    def controls(self) -> str:
        return f"{self.folder}/controls.parquet"

    @property
    def faithfulness(self) -> str:
        return f"{self.folder}/faithfulness.parquet"

    @property
    def tags(self) -> str:
        """What people have marked in the explorer."""
        return f"{self.folder}/tags.parquet"

    @property
    def report(self) -> str:
        """The folder of its report."""
        return f"{self.folder}/report"

    def comparison(self, before: str) -> str:
        """The folder of the comparison with the run ``before``."""
        return f"{self.folder}/compare/{before}"


def is_part(uri: str) -> bool:
    """Whether a file of the statistics folder is a part; temporary files have other names."""
    name = uri.rpartition("/")[2]
    return name.startswith("part-") and name.endswith(".parquet")


def embeddings_beside(part: str) -> str:
    """Where the embeddings of a part of the statistics are."""
    statistics, run, name = part.rsplit("/", 2)
    return f"{OutputLayout(statistics.rpartition('/')[0]).embeddings}/{run}/{name}"


@dataclasses.dataclass(frozen=True)
class TableLocation:
    """Where a run's rows go, and what they are rows of."""

    output: str
    run_id: str
    fingerprint: str
    targets: str = "predicted"  # rows of other target classes do not make an image done
    model_digest: str = ""  # of the compiled model's files; every part says which made its rows
    embeddings: Embeddings = ""  # what parts have beside them, and must have to make their images done
    token: str | None = None  # of the launcher whose lease lets workers commit; None: there is no lease to look at

    @property
    def layout(self) -> OutputLayout:
        return OutputLayout(self.output)

    @property
    def run(self) -> RunLayout:
        return self.layout.run(self.run_id)

    @property
    def lease(self) -> str:
        return self.layout.lease(self.fingerprint)
