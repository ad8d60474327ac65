"""Where the files of an output are."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class TableLocation:
    """Where a run's parts are, and what its rows are of."""

    output: str
    run_id: str
    fingerprint: str
    targets: str = "predicted"  # rows of other target classes do not make an image done
    token: str | None = None  # of the launcher whose lease lets workers commit; None: there is no lease to look at

    @property
    def folder(self) -> str:
        return f"{self.output}/statistics/run={self.run_id}"

    @property
    def totals_uri(self) -> str:
        return f"{self.output}/runs/{self.run_id}/totals.json"

    @property
    def lease_uri(self) -> str:
        return f"{self.output}/leases/{self.fingerprint}.json"

    @property
    def earlier_uri(self) -> str:
        """The list of the parts that were there when the run was launched: what it builds on."""
        return f"{self.output}/runs/{self.run_id}/earlier.txt"

    def part_uri(self, shard_id: str) -> str:
        return f"{self.folder}/part-{shard_id}.parquet"
