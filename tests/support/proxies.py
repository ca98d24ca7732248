"""Real proxies as children on free ports, run with the very files that the how-tos show.

A file is a template by its literal values: addresses, certificate and log paths are replaced as plain text, nothing
else is. A proxy that is not here is skipped with a word, or fails where TENURE_REQUIRE_PROXIES is 1 (`.ci/run`).
"""

import datetime
import os
import shutil
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from support.children import Child
from support.house import House
from tenure.simulator.receiver import Received
from tenure.simulator.site import Site

ROOT = Path(__file__).resolve().parents[2]
HOW_TO = ROOT / "docs" / "how-to"
HOST = "app.example.com"
NAMES = ("nginx", "caddy", "traefik")
ANY_CERTIFICATE = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
ANY_CERTIFICATE.check_hostname, ANY_CERTIFICATE.verify_mode = False, ssl.CERT_NONE


def found(name: str) -> str:
    """The proxy's program; skips the test without it, or fails where proxies are required."""
    beside = f"{ROOT / '.proxies' / 'bin'}:/usr/sbin:/usr/local/sbin"
    program = shutil.which(name, path=f"{os.environ.get('PATH', '')}:{beside}")
    if program is None:
        sentence = f"{name} is not here: its how-to is not tried (.ci/run installs it)"
        if os.environ.get("TENURE_REQUIRE_PROXIES") == "1":
            pytest.fail(sentence)
        pytest.skip(sentence)
    return program


def filled(file: Path, values: Mapping[str, str]) -> str:
    """The file's text with each literal value replaced; a value that is not there is an error."""
    text = file.read_text()
    for old, new in values.items():
        assert old in text, f"{file.name} has no {old}"
        text = text.replace(old, new)
    return text


def certificate(folder: Path) -> tuple[Path, Path]:
    """A self-signed certificate for HOST, and its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, HOST)])
    now = datetime.datetime.now(datetime.UTC)
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(HOST)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem, private = folder / "cert.pem", folder / "cert.key"
    pem.write_bytes(signed.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
    return pem, private


def address(url: str) -> str:
    """Host and port of a URL."""
    return url.partition("://")[2].partition("/")[0]


class Proxy:
    """One proxy in front of a service's two listeners and an app, until it is closed. `changes` are made to its file of
    routes beside the addresses, as a reader of the how-to would.
    """

    def __init__(
        self, name: str, folder: Path, public: str, internal: str, app: str, changes: Mapping[str, str] | None = None
    ) -> None:
        self.name, self.folder, self.port = name, folder, 0
        self.program = found(name)
        self.values = {
            "127.0.0.1:8000": address(public),
            "127.0.0.1:8001": address(internal),
            "127.0.0.1:3000": address(app),
            **(changes or {}),
        }
        environment = {"PATH": "/usr/bin:/bin", "HOME": str(folder), "XDG_DATA_HOME": str(folder)}
        self._child = Child(folder, environment, self._command, self._ready)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'http' if self.name == 'caddy' else 'https'}://127.0.0.1:{self.port}"

    @property
    def host(self) -> str:
        """What a client calls it."""
        return f"{HOST}:{self.port}"

    def _command(self, port: int) -> list[str]:
        self.port = port
        return {"nginx": self._nginx, "caddy": self._caddy, "traefik": self._traefik}[self.name]()

    # -- each proxy's own ways

    def _nginx(self) -> list[str]:
        pem, key = certificate(self.folder)
        site = filled(
            HOW_TO / "proxies" / "nginx.conf",
            {
                **self.values,
                "listen 443 ssl": f"listen 127.0.0.1:{self.port} ssl",
                "/etc/ssl/app.example.com.pem": str(pem),
                "/etc/ssl/app.example.com.key": str(key),
                "/var/log/nginx/": f"{self.folder}/",
            },
        )
        paths = "".join(
            f"    {kind}_temp_path {self.folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        user = "user root;\n" if os.geteuid() == 0 else ""
        main = (
            f"daemon off;\n{user}worker_processes 1;\npid {self.folder}/pid;\nerror_log {self.folder}/error.log;\n"
            f"events {{}}\nhttp {{\n{paths}{site}}}\n"
        )
        (self.folder / "nginx.conf").write_text(main)
        return [self.program, "-p", str(self.folder), "-e", f"{self.folder}/error.log", "-c", "nginx.conf"]

    def _caddy(self) -> list[str]:
        text = filled(
            HOW_TO / "proxies" / "Caddyfile",
            {**self.values, f"{HOST} {{": f"http://{HOST}:{self.port} {{", "/var/log/caddy/": f"{self.folder}/"},
        )
        (self.folder / "Caddyfile").write_text(f"{{\n\tadmin off\n}}\n{text}")
        return [self.program, "run", "--config", str(self.folder / "Caddyfile"), "--adapter", "caddyfile"]

    def _traefik(self) -> list[str]:
        routes = self.folder / "tenure.yml"
        routes.write_text(filled(HOW_TO / "proxies" / "tenure.yml", self.values))
        fixed = filled(
            HOW_TO / "proxies" / "traefik.yml",
            {
                '":443"': f'"127.0.0.1:{self.port}"',
                "/etc/traefik/tenure.yml": str(routes),
                "/var/log/traefik/": f"{self.folder}/",
            },
        )
        (self.folder / "traefik.yml").write_text(fixed)
        return [self.program, f"--configFile={self.folder / 'traefik.yml'}"]

    # -- its life

    def _ready(self, _: int) -> bool:
        try:
            with self.client(timeout=5) as client:
                # 404: a proxy that has not read its routes yet
                return client.get("/page").status_code not in (200, 404)
        except httpx.HTTPError:
            return False

    def client(self, timeout: float = 15) -> httpx.Client:
        """A client of the public name, which resolves nowhere: the proxy is called by address."""
        return httpx.Client(
            base_url=self.url, headers={"Host": self.host, "Connection": "close"}, verify=ANY_CERTIFICATE,
            trust_env=False, timeout=timeout,
        )  # fmt: skip

    def raw(self, request: bytes) -> bytes:
        """The bytes answered to bytes, until the proxy closes."""
        answer = b""
        with socket.create_connection(("127.0.0.1", self.port), timeout=10) as plain:
            connection = plain
            if self.url.startswith("https"):
                connection = ANY_CERTIFICATE.wrap_socket(plain, server_hostname=HOST)
            connection.sendall(request)
            while piece := connection.recv(65536):
                answer += piece
        return answer

    def written(self) -> str:
        """All that the proxy has written: its logs and what it printed."""
        return "".join(log.read_text() for log in self.folder.glob("*.log")) + self._child.printed()

    def close(self) -> None:
        """Ends it."""
        self._child.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@dataclass(frozen=True, slots=True)
class Front:
    """A service, the proxy before it, and the app behind (the house's receiver), which takes pages and webhooks."""

    house: House
    proxy: Proxy
    client: httpx.Client

    def site(self, **options: Any) -> Site:
        """A site that calls through the proxy."""
        return self.house.site(connect_url=self.proxy.url, client=self.client, **options)

    def installed(self, **options: Any) -> Site:
        """A site that has installed and enabled the app through the proxy."""
        site = self.site(**options)
        assert site.install().status == 204
        assert site.enable().status == 204
        return site

    def ask(self, method: str, uri: str, token: str | None = None, *more: tuple[str, str]) -> httpx.Response:
        """One call of the public name, with the token in its header; the app's record starts afresh."""
        self.house.receiver.clear()
        bearer = [("Authorization", f"JWT {token}")] if token else []
        return self.client.request(method, uri, headers=[*bearer, *more])

    def seen(self) -> list[Received]:
        """What the app got since the last `ask`."""
        return list(self.house.receiver.received)
