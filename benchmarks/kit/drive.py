"""Samples of a served contestant: requests/s under load, and what its process spent on each."""

import os
from collections.abc import Mapping
from pathlib import Path

from kit.bench import Bench
from kit.measure import in_turn
from kit.stand import Child, Load

_TICK = os.sysconf("SC_CLK_TCK")


class Contestant:
    """One server asked one kind of request on so many connections."""

    def __init__(self, child: Child, port: int, requests: Path, *, expect: int = 204) -> None:
        self._child = child
        self._port = port
        self._requests = requests
        self._expect = expect
        self.cpu_us: list[float] = []
        self.busy: list[float] = []
        self.p99_ms: list[float] = []

    def sample(self, load: Load, connections: int, *, seconds: float = 3600.0, count: int | None = None) -> float:
        """Requests/s, every answer as expected."""
        before = cpu_seconds(self._child)
        answer = load.run(port=self._port, requests=self._requests, connections=connections, seconds=seconds,
                          count=count, expect=self._expect)  # fmt: skip
        self.cpu_us.append((cpu_seconds(self._child) - before) / answer["done"] * 1e6)
        self.busy.append(answer["busy"])
        self.p99_ms.append(answer["p99_ms"])
        return float(answer["rate"])


def compare(
    bench: Bench, load: Load, contestants: Mapping[str, Contestant], connections: int
) -> dict[str, list[float]]:
    """Requests/s of each in turn, after one sample each that is thrown away."""
    samplers = {
        name: lambda contestant=contestant: contestant.sample(load, connections, seconds=bench.seconds)
        for name, contestant in contestants.items()
    }
    for contestant in contestants.values():
        contestant.sample(load, connections, seconds=min(1.0, bench.seconds))
        contestant.cpu_us.clear()
    return in_turn(samplers, bench.rounds)


def note(contestants: Mapping[str, Contestant]) -> str:
    """What each spent on a request, and how busy the load generator was."""
    busiest = max(max(contestant.busy) for contestant in contestants.values())
    spent = ", ".join(f"{name} {sum(c.cpu_us) / len(c.cpu_us):.0f}" for name, c in contestants.items())
    return f"CPU µs a request: {spent}; load generator at most {busiest:.0%} of a core"


def cpu_seconds(child: Child) -> float:
    """CPU time of a process and its threads so far."""
    fields = Path(f"/proc/{child.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK
