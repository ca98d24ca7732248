"""What a row is given: a folder that is thrown away, how long to measure, and what several rows share."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from kit.store import furnish
from kit.traffic import Known, known


@dataclass(slots=True)
class Bench:
    """`quick`: small counts, to see that a row works; its figures are no figures."""

    quick: bool
    work: Path
    peers: Path = Path(__file__).resolve().parent.parent / "peers"
    _large: Path | None = field(default=None)

    @property
    def rounds(self) -> int:
        """Samples of each contestant."""
        return 3 if self.quick else 7

    @property
    def seconds(self) -> float:
        """Seconds of load in one sample."""
        return 1.0 if self.quick else 4.0

    @property
    def many(self) -> int:
        """Events, or tenants, of the large store."""
        return 50_000 if self.quick else 1_000_000

    @contextmanager
    def folder(self) -> Iterator[Path]:
        """An empty folder on the working disk, gone afterwards."""
        with tempfile.TemporaryDirectory(dir=self.work) as made:
            yield Path(made)

    def large(self) -> Path:
        """The folder of a store with `many` tenants, one event each; made once a run, not to be written to."""
        if self._large is None:
            folder = Path(tempfile.mkdtemp(dir=self.work))
            furnish(folder, known(self.many))
            self._large = folder
        return self._large

    def tenants(self, count: int = 1000) -> list[Known]:
        """The tenants of a row."""
        return list(known(count))
