"""Tokens made by the npm package `atlassian-jwt`, the one that most apps and tools use, are accepted."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from support.house import House

SCRIPT = """
const jwt = require('atlassian-jwt');
const {iss, secret, calls} = JSON.parse(process.argv[1]);
const now = Math.floor(Date.now() / 1000);
const made = calls.map(([method, url]) => jwt.encodeSymmetric(
  {iss, iat: now, exp: now + 180, qsh: jwt.createQueryStringHash(jwt.fromMethodAndUrl(method, url))}, secret));
console.log(JSON.stringify(made));
"""
CALLS = [["GET", "/page"], ["GET", "/page?b=2&a=1&a=0&c=x%20y"], ["POST", "/a/b/"], ["GET", "/p?q=%C3%BC&empty="]]


@pytest.fixture(scope="module")
def peer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the npm package in it; without node, npm or a registry the test is skipped."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not here: tokens of the npm package atlassian-jwt are not tried")
    folder = tmp_path_factory.mktemp("npm")
    try:
        command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts", "atlassian-jwt@2"]
        done = subprocess.run(command, cwd=folder, capture_output=True, timeout=60, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm install took too long: tokens of the npm package atlassian-jwt are not tried")
    if done.returncode:
        pytest.skip("npm could not install atlassian-jwt: its tokens are not tried")
    return folder


def test_tokens_of_the_npm_package_are_accepted(signed: House, peer: Path) -> None:
    """A URL hashed and signed by the npm package passes the check of that URL."""
    site = signed.installed()
    wanted = json.dumps({"iss": site.client_key, "secret": site.secret, "calls": CALLS})
    command = ["node", "-e", SCRIPT, wanted]
    made = json.loads(subprocess.run(command, cwd=peer, capture_output=True, timeout=30, check=True).stdout)
    for (method, uri), token in zip(CALLS, made, strict=True):
        headers = {"X-Original-Method": method, "X-Original-URI": uri, "Authorization": f"JWT {token}"}
        assert signed.forward_auth(headers).status_code == 200
