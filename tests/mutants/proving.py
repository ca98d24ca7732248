"""Runs the domain's tests on one mutant: in a child of a process that has everything imported already.

What lies in a function's body is put into the functions as they stand (a new code object), and only the tests that run
through the changed lines are run. What runs at import is given to the import of a fresh child, and the test files run
there, those that know the module first. A child ends at the first test that fails; a busy loop ends by the limit on its
processor time, which a loaded machine does not use up.
"""

import contextlib
import gc
import importlib.abc
import importlib.util
import os
import pickle
import resource
import signal
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from types import CodeType, FrameType, FunctionType, ModuleType
from typing import Any, Final

# the plugins that are installed would look at each start at what no test here needs
os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"

import hypothesis
import pytest
from _pytest.runner import runtestprotocol

ROOT: Final = Path(__file__).parents[2]
DOMAIN: Final = ROOT / "domain"
CPU_S: Final = 25
MEMORY: Final = 1 << 30
WALL_S: Final = 300
KILLED: Final = 70
OPTIONS: Final = ("-q", "-x", "--no-header", "--noconftest", "-W", "ignore", "-p", "no:cacheprovider",
                  f"--rootdir={ROOT}", f"--config-file={ROOT / 'pyproject.toml'}")  # fmt: skip

Job = tuple[str, Callable[[], bool]]  # a mutant's name, and what says whether it lives


def quick_examples() -> None:
    """Few examples, always the same ones, and none shrunk: a verdict must not depend on luck."""
    hypothesis.settings.register_profile(
        "mutants", max_examples=30, derandomize=True, database=None, deadline=None,
        phases=(hypothesis.Phase.explicit, hypothesis.Phase.generate),
        suppress_health_check=list(hypothesis.HealthCheck),
    )  # fmt: skip
    hypothesis.settings.load_profile("mutants")


def warm(modules: Sequence[str]) -> None:
    """Imports once what every child will need, pytest's own parts among it."""
    for name in modules:
        importlib.import_module(name)
    out = os.dup(1), os.dup(2)
    _silenced()
    pytest.main([*OPTIONS, "--collect-only", str(ROOT / "tests/mutants")])
    for place, kept in enumerate(out, 1):
        os.dup2(kept, place)
        os.close(kept)


def in_child(work: Callable[[], bool]) -> bool:
    """Whether a mutant lives: `work` in a child of this process. One that dies or does not end does not live."""
    pid = os.fork()
    if not pid:
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
        signal.alarm(WALL_S)
        with contextlib.suppress(BaseException):
            if work():
                os._exit(0)
        os._exit(KILLED)
    return os.waitpid(pid, 0)[1] == 0


def _silenced() -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)


class _Loader(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Gives one module of the domain as changed code."""

    def __init__(self, file: str, code: CodeType) -> None:
        self._name = "tenure.domain" if file == "__init__.py" else f"tenure.domain.{file.removesuffix('.py')}"
        self._code = code

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> Any:
        if fullname != self._name:
            return None
        package = [str(DOMAIN)] if fullname == "tenure.domain" else None
        spec = importlib.util.spec_from_loader(fullname, self, origin=str(DOMAIN), is_package=package is not None)
        assert spec is not None
        spec.submodule_search_locations = package
        return spec

    def exec_module(self, module: ModuleType) -> None:
        exec(self._code, module.__dict__)


def lives_imported(file: str, code: CodeType, tests: Sequence[str]) -> bool:
    """Whether every test passes where the module is imported as changed. Only for a child without Tenure in it."""
    _silenced()
    sys.meta_path.insert(0, _Loader(file, code))
    quick_examples()
    return pytest.main([*OPTIONS, *tests]) == 0


class Traced:
    """A pytest plugin: runs every test once, noting which lines of the domain each runs through; then `then`.

    `lines` are file and line to tests, `imported` the lines that ran before any test, `seconds` a test's duration.
    """

    def __init__(self, then: Callable[["Traced"], None]) -> None:
        self.lines: dict[tuple[str, int], set[str]] = defaultdict(set)
        self.imported: set[tuple[str, int]] = set()
        self.seconds: dict[str, float] = {}
        self.items: dict[str, pytest.Item] = {}
        self.failed: list[str] = []
        self._then, self._test = then, ""

    def trace(self, frame: FrameType, event: str, _: object) -> Any:
        """Notes lines of the domain, and looks at nothing else."""
        folder, _slash, file = frame.f_code.co_filename.rpartition("/")
        if folder != str(DOMAIN):
            return None

        def line(inner: FrameType, _event: str, _argument: object) -> Any:
            if self._test:
                self.lines[file, inner.f_lineno].add(self._test)
            else:
                self.imported.add((file, inner.f_lineno))
            return line

        return line(frame, event, None)

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        """Instead of pytest's own loop."""
        if session.testsfailed:
            self.failed = ["collection"]
            return True
        for item in session.items:
            clear_caches()
            self.items[item.nodeid], self._test, began = item, item.nodeid, time.process_time()
            sys.settrace(self.trace)
            try:
                reports = runtestprotocol(item, log=False, nextitem=None)
            finally:
                sys.settrace(None)
            self.seconds[item.nodeid] = time.process_time() - began
            self.failed += [item.nodeid for one in reports if one.failed]
        self._then(self)
        return True


def clear_caches() -> None:
    """Empties what the domain remembers, so that no test runs on what another has left."""
    for name, module in list(sys.modules.items()):
        if name.startswith("tenure.domain"):
            for one in vars(module).values():
                if hasattr(one, "cache_clear"):
                    one.cache_clear()


Functions = dict[tuple[str, str, int], list[FunctionType]]


def functions() -> Functions:
    """Every function of the domain that is alive, by file, name and line."""
    found: Functions = defaultdict(list)
    for one in gc.get_objects():
        if isinstance(one, FunctionType) and one.__code__.co_filename.startswith(f"{DOMAIN}/"):
            code = one.__code__
            found[Path(code.co_filename).name, code.co_qualname, code.co_firstlineno].append(one)
    return found


def lives_patched(file: str, code: CodeType, alive: Functions, items: Sequence[pytest.Item]) -> bool:
    """Whether the tests pass with the changed code put into the functions. Only in a child."""
    _silenced()
    sys.settrace(None)
    waiting = [code]
    while waiting:
        piece = waiting.pop()
        waiting += [inner for inner in piece.co_consts if isinstance(inner, CodeType)]
        for one in alive.get((file, piece.co_qualname, piece.co_firstlineno), ()):
            if len(one.__code__.co_freevars) == len(piece.co_freevars):
                one.__code__ = piece
    clear_caches()
    return not any(one.failed for item in items for one in runtestprotocol(item, log=False, nextitem=None))


def trace_in_child(tests: Sequence[str], then: Callable[[Traced], Any]) -> Any:
    """What `then` gives of a traced run, in a child: this process stays without Tenure."""
    reading, writing = os.pipe()
    pid = os.fork()
    if not pid:
        os.close(reading)
        out = os.fdopen(os.dup(writing), "wb")
        _silenced()
        quick_examples()

        def ended(traced: Traced) -> None:
            pickle.dump(then(traced), out)
            out.close()

        plugin = Traced(ended)
        sys.settrace(plugin.trace)
        pytest.main([*OPTIONS, *tests], plugins=[plugin])
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as said:
        told = said.read()
    os.waitpid(pid, 0)
    if not told:
        raise RuntimeError("the tests could not be run: run them with pytest")
    return pickle.loads(told)
