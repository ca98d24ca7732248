"""`make mutants`: changes the domain in every small way (mutate.py) and runs its tests on each: do they notice?

At least 95 in a hundred must be killed. A mutant that behaves as the original does (an equivalent one) cannot be: each
of those stands in equivalent.txt with its reason, is counted and shown, and must still be there and still live.

    run.py [--sample N] [--seed N] [--file NAME …] [--processes N]
"""

import argparse
import os
import random
import sys
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

import pytest

HERE: Final = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from mutants import mutate, proving  # noqa: E402 (tests/ is put on the path above)

TESTS: Final = ("tests/domain",)
AT_LEAST: Final = 0.95
# what the tests import from elsewhere: once here, not in each child
WARM: Final = ("hypothesis.strategies", "hypothesis.internal.conjecture.engine", "jwt", "atlassian_jwt", "pydantic",
               "pydantic_settings", "httpx", "orjson", "structlog", "cryptography.hazmat.primitives.asymmetric.ed25519",
               "starlette.applications", "uvicorn", "pysqlite3", "cryptography.x509")  # fmt: skip


def equivalents() -> dict[str, str]:
    """The mutants that no test can kill, each with the reason: lines of `name | reason`."""
    lines = (HERE / "equivalent.txt").read_text().splitlines()
    pairs = (line.rpartition(" | ") for line in lines if line and not line.startswith("#"))
    return {name.strip(): reason.strip() for name, _, reason in pairs}


def _parts(work: Sequence[proving.Job], processes: int) -> Iterator[Sequence[proving.Job]]:
    for one in range(processes):
        yield work[one::processes]


def _living(work: Sequence[proving.Job], processes: int) -> set[str]:
    """The names of those that live, worked off by a few processes."""
    if processes > 1:
        children = []
        for part in _parts(work, processes):
            reading, writing = os.pipe()
            if not (pid := os.fork()):
                os.close(reading)
                with os.fdopen(writing, "w") as out:
                    out.write("\n".join(sorted(_living(part, 1))))
                os._exit(0)
            os.close(writing)
            children.append((pid, reading))
        found: set[str] = set()
        for pid, reading in children:
            with os.fdopen(reading) as said:
                found |= set(said.read().split("\n")) - {""}
            if os.waitpid(pid, 0)[1]:
                raise RuntimeError("a process that tried mutants ended badly")
        return found
    return {name for name, lives in work if proving.in_child(lives)}


def _patched(mutants: Sequence[mutate.Mutant], processes: int, traced: proving.Traced) -> tuple[set[str], object]:
    """The living among the mutants in functions, and what the tracing found; for the traced child."""
    if traced.failed:
        return {f"broken: {', '.join(traced.failed[:5])}"}, None
    enums, alive, work = mutate.enums_of(proving.DOMAIN), proving.functions(), list[proving.Job]()
    for one in mutants:
        if not one.inside or any((one.file, line) in traced.imported for line in range(one.first, one.last + 1)):
            continue
        names = {name for line in range(one.first, one.last + 1) for name in traced.lines.get((one.file, line), ())}
        items = [traced.items[name] for name in sorted(names, key=traced.seconds.__getitem__)]
        work.append((one.name, partial(_try_patched, one, enums, alive, items)))
    known: dict[str, Counter[str]] = defaultdict(Counter)
    for (file, _), tests in traced.lines.items():
        known[file].update({name.partition("::")[0] for name in tests})
    return _living(work, processes), ({name for name, _ in work}, dict(known))


def _try_patched(
    one: mutate.Mutant, enums: dict[str, list[str]], alive: proving.Functions, items: Sequence[pytest.Item]
) -> bool:
    code = mutate.code_of(proving.DOMAIN / one.file, enums, one.number)
    return proving.lives_patched(one.file, code, alive, items)


def _try_imported(one: mutate.Mutant, enums: dict[str, list[str]], tests: Sequence[str]) -> bool:
    return proving.lives_imported(one.file, mutate.code_of(proving.DOMAIN / one.file, enums, one.number), tests)


def _files(module: str, known: Counter[str]) -> list[str]:
    """The test files that know the module (they run through it, or speak of it), those that run through most first."""
    for path in (path for tests in TESTS for path in (proving.ROOT / tests).glob("test_*.py")):
        text = path.read_text()
        if f"domain.{module} import" in text or f"import {module}" in text or path.stem == "test_shapes":
            known[str(path.relative_to(proving.ROOT))] += 1
    # what needs no more than the domain starts in no time
    return sorted(known, key=lambda file: (not file.endswith("test_shapes.py"), -known[file], file))


def living(mutants: Sequence[mutate.Mutant], processes: int) -> set[str]:
    """The names of the mutants that every test lets live."""
    proving.warm(WARM)
    found, (done, known) = proving.trace_in_child(TESTS, lambda traced: _patched(mutants, processes, traced))
    enums = mutate.enums_of(proving.DOMAIN)
    files = {
        name: _files(name.removesuffix(".py"), known.get(name, Counter())) for name in {one.file for one in mutants}
    }
    left = [one for one in mutants if one.name not in done]
    # the first file alone kills most, before the others have been imported
    for part in (slice(0, 1), slice(1, None)):
        work: list[proving.Job] = [
            (one.name, partial(_try_imported, one, enums, files[one.file][part])) for one in left
        ]
        alive = _living(work, processes)
        left = [one for one in left if one.name in alive]
    return set(found) | alive


def _table(mutants: Sequence[mutate.Mutant], alive: set[str], same: set[str]) -> Iterator[str]:
    yield f"{'file':<16} {'mutants':>8} {'killed':>7} {'equivalent':>11} {'living':>7}"
    files = sorted({one.file for one in mutants})
    for file in (*files, ""):
        names = {one.name for one in mutants if not file or one.file == file}
        dead = names - alive
        counts = f"{len(names):>8} {len(dead):>7} {len(names & same):>11} {len(names & alive - same):>7}"
        yield f"{file or 'all':<16} {counts}"


def main() -> int:
    """Tries them, prints one table and each that lives; exit 1 if too many do, or the list is not true."""
    parser = argparse.ArgumentParser(prog="run.py")
    parser.add_argument("--sample", type=int, help="try so many, chosen by the seed")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--file", action="append", help="only the mutants of this file of domain/")
    parser.add_argument("--processes", type=int, default=2)
    wanted = parser.parse_args()
    os.nice(10)
    os.chdir(proving.ROOT)
    began, enums = time.monotonic(), mutate.enums_of(proving.DOMAIN)
    every = [one for path in sorted(proving.DOMAIN.glob("*.py")) for one in mutate.mutants_of(path, enums)]
    tried = [one for one in every if not wanted.file or one.file in wanted.file]
    if wanted.sample:
        tried = random.Random(wanted.seed).sample(tried, min(wanted.sample, len(tried)))
        print(f"seed {wanted.seed}: {len(tried)} of {len(every)} mutants")
    alive, listed, names = living(tried, wanted.processes), equivalents(), {one.name for one in tried}
    same = set(listed) & names
    print("\n".join(_table(tried, alive, same)))
    where = {one.name: one.first for one in tried}
    living_on = sorted(alive - same, key=lambda name: (name.split()[0], where[name]))
    print("".join(f"lives: {name} (line {where[name]})\n" for name in living_on), end="")
    gone = sorted(set(listed) - {one.name for one in every})
    killed = sorted(same - alive)
    print("".join(f"equivalent.txt: no such mutant: {name}\n" for name in gone), end="")
    print("".join(f"equivalent.txt: a test kills it: {name}\n" for name in killed), end="")
    share = len(names - alive) / max(1, len(names - same))
    dead = len(names - alive)
    print(f"{dead} killed of {len(names)}, {share:.1%} of those that can be told from the original, "
          f"{dead / len(names):.1%} of all; {time.monotonic() - began:.0f} s")  # fmt: skip
    return 1 if share < AT_LEAST or gone or killed else 0


if __name__ == "__main__":
    sys.exit(main())
