"""The shape of the house: which room may import which, what is packaged, what the locks promise."""

import ast
import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
INWARD = {
    "domain": {"domain"},
    "store": {"domain", "store"},
    "projections": {"domain", "projections"},
    "simulator": {"domain", "simulator"},
    "api": {"domain", "projections", "api"},
}
# fmt: off
DOMAIN_MAY_IMPORT = frozenset({
    "__future__", "base64", "binascii", "collections", "cryptography", "dataclasses",
        "datetime", "enum",
    "functools", "hashlib", "hmac", "ipaddress", "itertools", "json", "jwt", "operator", "orjson", "re",
    "struct", "tenure.domain", "types", "typing", "urllib.parse",
})
# fmt: on
IMPURE_BUILTINS = {"open", "print", "input", "eval", "exec", "__import__", "breakpoint"}
SHIPPED = {".py", ".sql", ".typed", ".html", ".css", ".js"}
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
PACKAGE_DIR: dict[str, str] = PROJECT["tool"]["setuptools"]["package-dir"]
LOCKS = ("requirements.lock", "requirements-dev.lock")


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imported_names(path: Path) -> Iterator[tuple[int, str]]:
    """Yield (line, dotted name) for each import, relative ones resolved against the import name."""
    package = ["tenure", *path.relative_to(ROOT).parent.parts]
    for node in ast.walk(ast.parse(path.read_bytes())):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *filter(None, [node.module])])
            yield from ((node.lineno, f"{module}.{alias.name}") for alias in node.names)


def room_of(name: str) -> str | None:
    """Return the room a dotted name lies in, None when it is not ours."""
    top, _, rest = name.partition(".")
    if top in INWARD:
        return f"{top} (as a top-level module)"
    if top != "tenure":
        return None
    room = rest.partition(".")[0]
    return room if room in INWARD else "tenure"


def is_under(name: str, prefixes: frozenset[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


@pytest.mark.parametrize("room", INWARD)
def test_a_room_imports_only_rooms_further_in(room: str) -> None:
    """Arrows point inward: a room imports itself and the rooms listed for it; only tenure/ imports all."""
    allowed = {None, *INWARD[room]}
    outward = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in python_files(room)
        for line, name in imported_names(path)
        if room_of(name) not in allowed
    ]
    assert outward == []


def test_the_domain_imports_nothing_that_does_io() -> None:
    """The domain imports only modules on the short list of those that compute."""
    strangers = [
        f"{path.relative_to(ROOT)}:{line} imports {name}"
        for path in python_files("domain")
        for line, name in imported_names(path)
        if not is_under(name, DOMAIN_MAY_IMPORT)
    ]
    assert strangers == []


def test_the_domain_calls_no_builtin_that_does_io() -> None:
    """The domain opens no file, prints nothing and evaluates no text."""
    calls = [
        f"{path.relative_to(ROOT)}:{node.lineno} calls {node.func.id}"
        for path in python_files("domain")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in IMPURE_BUILTINS
    ]
    assert calls == []


def test_folders_are_the_packages_and_the_packages_are_the_folders() -> None:
    """Every folder with Python in it is a listed package, and every listed package is such a folder."""
    roots = [ROOT / folder for folder in PACKAGE_DIR.values()]
    holding_python = {path.parent.relative_to(ROOT) for root in roots for path in root.rglob("*.py")}
    names = {".".join(("tenure", *folder.parts)).replace("tenure.tenure", "tenure") for folder in holding_python}
    assert names == set(PROJECT["tool"]["setuptools"]["packages"])
    assert all((ROOT / folder / "__init__.py").is_file() for folder in holding_python)


def test_rooms_mappings_and_typing_links_agree() -> None:
    """The rooms are the same in this test, in package-dir and among the links that type checkers follow."""
    expected = {"tenure": "tenure"} | {f"tenure.{room}": room for room in INWARD}
    assert expected == PACKAGE_DIR
    links = {link.name: link.resolve() for link in (ROOT / "typings" / "tenure").iterdir() if link.is_symlink()}
    own = {path.name: path for path in (ROOT / "tenure").iterdir() if not path.name.startswith("__py")}
    assert links == {room: ROOT / room for room in INWARD} | own


@pytest.mark.parametrize("room", INWARD)
def test_a_room_refuses_a_second_name(room: str) -> None:
    """A room imported under any other name raises ImportError, so that no class exists twice."""
    spec = importlib.util.spec_from_file_location(f"other_{room}", ROOT / room / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    with pytest.raises(ImportError, match=f"tenure\\.{room}"):
        spec.loader.exec_module(importlib.util.module_from_spec(spec))
    assert f"other_{room}" not in sys.modules


@pytest.mark.parametrize("package", PACKAGE_DIR)
def test_the_installed_package_has_every_file_of_the_room(package: str) -> None:
    """What lies in a room lies, byte for byte, where Python imports it from: the tree or the built wheel."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    installed, room = Path(spec.origin).parent, ROOT / PACKAGE_DIR[package]
    files = [path.relative_to(room) for path in room.rglob("*") if path.suffix in SHIPPED]
    differing = [
        str(file)
        for file in files
        if not (installed / file).is_file() or (installed / file).read_bytes() != (room / file).read_bytes()
    ]
    assert files != []
    assert differing == []


def locked(lock: str) -> dict[str, str]:
    """Return name -> the rest of its requirement, continuation lines joined."""
    joined = (ROOT / lock).read_text().replace("\\\n", " ")
    parts = (line.partition("==") for line in joined.splitlines() if line.strip())
    return {name: rest for name, _, rest in parts}


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_every_requirement_by_hash_and_names_no_address(lock: str) -> None:
    """A lock holds exact versions with SHA-256 hashes and nothing about where they come from."""
    text = (ROOT / lock).read_text()
    assert "://" not in text
    assert re.findall(r"^-.*", text, re.MULTILINE) == []
    unhashed = [name for name, rest in locked(lock).items() if not re.search(r"--hash=sha256:[0-9a-f]{64}\b", rest)]
    assert unhashed == []


def test_the_locks_agree_and_hold_every_declared_dependency() -> None:
    """Tests run on the versions that are served: the development lock holds the runtime lock's pins."""
    runtime, dev = ({name: rest.split()[0] for name, rest in locked(lock).items()} for lock in LOCKS)
    assert runtime.items() <= dev.items()
    declared = PROJECT["project"]["dependencies"]
    extra = PROJECT["project"]["optional-dependencies"]["dev"]
    for pins, requirements in ((runtime, declared), (dev, extra)):
        assert {re.split(r"[<>=\[; ]", line)[0] for line in requirements} <= pins.keys()


def test_every_test_states_its_rule() -> None:
    """Every test function opens with a docstring that states its rule."""
    silent = [
        f"{path.relative_to(ROOT)}:{node.lineno} {node.name}"
        for path in python_files("tests")
        for node in ast.walk(ast.parse(path.read_bytes()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert silent == []
