"""What `/openapi.json` says is what the internal listener does, asked by a machine with and against the description."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import httpx

from support.auditor import Auditor
from support.house import House
from tenure.api.openapi import DOCUMENT

REFERENCE = (Path(__file__).parents[2] / "docs" / "reference" / "http.md").read_text()
PUBLIC = "^/(installed|uninstalled|enabled|disabled|webhooks|healthz)"
SCHEMATHESIS = "import sys; from schemathesis.cli import schemathesis; sys.exit(schemathesis())"


def test_no_5xx_and_no_authentication_passed_over(signed: House) -> None:
    """Schemathesis finds no 5xx, no answer without a token where one is needed, and no undescribed status or shape."""
    signed.installed()
    auditor = Auditor(signed, "audit", "sign")
    # no coverage phase: deep in it, CPython 3.11's own parser ends with "AST constructor recursion depth mismatch"
    checks = "not_a_server_error,ignored_auth,status_code_conformance,response_schema_conformance"
    command = [
        sys.executable, "-c", SCHEMATHESIS, "run", f"{signed.service.internal_url}/openapi.json", "--checks", checks,
        "--exclude-path-regex", PUBLIC, "--header", f"Authorization: Bearer {auditor.token}",
        "--max-examples", "25", "--phases", "examples,fuzzing", "--workers", "2", "--seed", "1",
        "--no-color", "--request-timeout", "20",
    ]  # fmt: skip
    clean = {name: value for name, value in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        command, check=False, capture_output=True, text=True, env=clean, cwd=signed.folder, timeout=110
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert re.search(r"[1-9][0-9]{2,} generated", done.stdout), done.stdout[-2000:]


def test_every_described_route_is_there(signed: House) -> None:
    """No route of the internal listener that is described is unknown to it."""
    for path, operations in DOCUMENT["paths"].items():
        method, operation = next(iter(operations.items()))
        if operation["tags"] == ["public"]:
            continue
        url = signed.service.internal_url + re.sub(r"{\w+}", "x", path)
        answer = httpx.request(method.upper(), url, trust_env=False)
        assert answer.status_code != 404, path


def test_the_reference_names_every_route_and_no_other() -> None:
    """docs/reference/http.md and `/openapi.json` name the same routes with the same parameters."""
    described: dict[str, Any] = DOCUMENT["paths"]
    named = set(re.findall(r"`(?:GET |POST |any )?(/[a-z{][^` ?]*)`", REFERENCE))
    assert described.keys() <= named
    assert named - {"/audit"} <= described.keys()
    for path, operations in described.items():
        for parameter in next(iter(operations.values())).get("parameters", []):
            if parameter["in"] == "query":
                assert f"`{parameter['name']}`" in REFERENCE, (path, parameter["name"])
