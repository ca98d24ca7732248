"""`tenure simulate page --through proxy`: pages and front-end calls through a real proxy, as a person drives them."""

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from support.commands import free_port
from support.house import APP_KEY, BASE_URL, House
from support.proxies import Proxy, found


@dataclass(frozen=True, slots=True)
class Driven:
    """A service that asks the simulator for keys, with a proxy in front."""

    house: House
    proxy: Proxy
    key_port: int

    def simulate(self, where: str, *arguments: str, trusted: str = "") -> tuple[int, str]:
        """Exit status, and what came back; what was said, where nothing did. `trusted`: a file of certificates."""
        common = ("--url", BASE_URL, "--connect", where, "--key-port", str(self.key_port), "--app-key", APP_KEY)
        ran = subprocess.run(
            [sys.executable, "-m", "tenure", "simulate", *arguments, *common, "--json"],
            cwd=self.proxy.folder.parent, env=os.environ | ({"SSL_CERT_FILE": trusted} if trusted else {}),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if not ran.stdout:
            return ran.returncode, ran.stderr
        row = orjson.loads(ran.stdout)
        assert "eyJ" not in row["sent"]
        return ran.returncode, str(row["came"])


@pytest.fixture(scope="module", params=["nginx", "caddy"])
def driven(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Driven]:
    """One with TLS, whose certificate nobody here trusts, and one without."""
    name = str(request.param)
    found(name)
    folder, key_port = tmp_path_factory.mktemp(name), free_port()
    (folder / "proxy").mkdir()
    settings = {"FORWARD_AUTH": name, "INSTALL_KEYS_URL": f"http://127.0.0.1:{key_port}"}
    with (
        House(folder, settings) as house,
        Proxy(name, folder / "proxy", house.url, house.service.internal_url, house.receiver.url) as proxy,
    ):
        yield Driven(house, proxy, key_port)


def _trusted(driven: Driven) -> str:
    pem: Path = driven.proxy.folder / "cert.pem"
    return str(pem) if pem.exists() else ""


def test_a_page_comes_through_the_proxy_once_its_site_has_installed(driven: Driven) -> None:
    """The token of an iframe goes in the query, a front end's in the header where such are taken; neither is told.

    A certificate that is not trusted is called so, and not "nothing answers".
    """
    load = ("page", "acme", "--through", "proxy", "--path")
    trusted = _trusted(driven)
    url = driven.proxy.url
    if trusted:
        status, said = driven.simulate(url, *load, "/page")
        assert (status, "not trusted here" in said, "SSL_CERT_FILE" in said) == (1, True, True)
    assert driven.simulate(url, *load, "/page?x=1", trusted=trusted) == (0, "401 tenant_unknown")
    assert driven.simulate(driven.house.url, "install", "acme") == (0, "204")
    driven.house.receiver.clear()
    assert driven.simulate(url, *load, "/page?x=1", trusted=trusted) == (0, "200")
    assert driven.simulate(url, *load, "/page", trusted=trusted) == (0, "200")
    assert driven.simulate(url, *load, "/api/me", "--context", trusted=trusted) == (0, "200")
    assert driven.simulate(url, *load, "/page", "--context", trusted=trusted) == (1, "401 context_not_allowed")
    assert [got.path.partition("?")[0] for got in driven.house.receiver.received] == ["/page", "/page", "/api/me"]
