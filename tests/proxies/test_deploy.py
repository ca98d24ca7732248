"""The deployment how-tos: the image's commands run, its health check asks a real route, manifests fit the service."""

import json
import re
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from support.house import House
from support.postgres import Cluster
from support.proxies import HOW_TO, ROOT, Front, Proxy, found
from support.settings_files import settings_in
from tenure.service import Service
from tenure.settings import Settings
from tenure.store.vault import new_master_key

DEPLOY = HOW_TO / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
MANIFESTS: list[dict[str, Any]] = list(yaml.safe_load_all((DEPLOY / "kubernetes.yml").read_text()))


def steps(word: str) -> list[str]:
    """What follows an instruction of the Dockerfile, in its order."""
    return re.findall(rf"^{word} (.*)$", DOCKERFILE, re.MULTILINE)


def listed(text: str) -> list[str]:
    """An instruction in its exec form."""
    made: list[str] = json.loads(text)
    return made


def one(kind: str) -> dict[str, Any]:
    """The manifest of a kind."""
    (manifest,) = [manifest for manifest in MANIFESTS if manifest["kind"] == kind]
    return manifest


def container() -> dict[str, Any]:
    """The container of the Deployment."""
    (made,) = one("Deployment")["spec"]["template"]["spec"]["containers"]
    return dict(made)


# -- the image


def test_the_image_runs_as_nobody_in_particular() -> None:
    """Its last user is a number other than 0, what it needs to write is its own folder, nothing is a shell's text."""
    assert steps("USER") == ["10001"]
    assert steps("WORKDIR") == steps("VOLUME") == ["/var/lib/tenure"]
    assert listed(steps("ENTRYPOINT")[0]) == ["tenure"]
    instructions = {line.split()[0] for line in DOCKERFILE.splitlines() if line and not line.startswith("#")}
    assert instructions <= {"FROM", "COPY", "RUN", "ENV", "USER", "WORKDIR", "VOLUME", "EXPOSE", "HEALTHCHECK",
                            "ENTRYPOINT", "CMD"}  # fmt: skip


def test_the_images_lock_is_the_services_with_a_client_for_postgres() -> None:
    """Every pin of the runtime lock, psycopg, and nothing else; each with its hashes; the same as tests run with."""

    def pins(name: str) -> set[str]:
        return set(re.findall(r"^([\w.-]+==[^\s;]+)", (ROOT / name).read_text(), re.MULTILINE))

    image = pins("requirements-postgres.lock")
    assert pins("requirements.lock") < image <= pins("requirements-dev.lock")
    assert {pin.partition("==")[0] for pin in image - pins("requirements.lock")} <= {"psycopg", "psycopg-binary"}
    text = (ROOT / "requirements-postgres.lock").read_text()
    assert "://" not in text
    assert text.count("--hash=sha256:") >= len(image)


def test_what_is_copied_into_the_image_is_there() -> None:
    """The files that the build takes are in the project or made by its own commands."""
    taken = [word for line in steps("COPY") if "--from" not in line for word in line.split()[:-1]]
    assert taken == ["requirements-postgres.lock", "dist/tenure-*.whl"]
    assert (ROOT / taken[0]).is_file()
    assert "--outdir dist" in (ROOT / "Makefile").read_text()


def test_the_images_lock_installs_with_its_hashes(tmp_path: Path) -> None:
    """pip takes the build's own arguments: every requirement is pinned and hashed, whichever version is there."""
    (install,) = [line for line in steps("RUN") if "--require-hashes" in line]
    words = shlex.split(install.replace("/src/", f"{ROOT}/"))[1:]
    ran = subprocess.run(
        [sys.executable, *words, "--dry-run", "--no-index"], capture_output=True, text=True, timeout=100, check=False,
        cwd=tmp_path,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stderr


def test_the_image_starts_and_is_found_healthy(tmp_path: Path, cluster: Cluster) -> None:
    """`serve` takes the image's arguments and the settings file, in a folder of its own that is all it writes; the
    health check is content with it, and with nothing else.
    """
    words = listed(steps("CMD")[0])
    assert words[0] == "serve"
    ports = {words[words.index(name) + 1] for name in ("--port", "--internal-port")}
    assert set(steps("EXPOSE")[0].split()) == ports
    settings = settings_in(DEPLOY / "tenure.env") | {"MASTER_KEY": new_master_key(), "UPSTREAM_URL": ""}
    settings["DATABASE_URL"] = cluster.url(cluster.database())
    arguments = ["127.0.0.1" if word == "0.0.0.0" else "0" if word in ports else word for word in words[1:]]
    check = listed(steps("HEALTHCHECK")[0].partition("CMD ")[2])
    with House(tmp_path, settings, *arguments) as house:
        assert house.page(house.installed()).status_code == 200
        script = check[-1].replace("http://127.0.0.1:8000", house.url)
        assert script != check[-1]
        assert _health(script) == 0
    assert _health(script) != 0


def _health(script: str) -> int:
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=30, check=False)
    return ran.returncode


# -- Kubernetes


def test_probes_ask_routes_that_there_are(tmp_path: Path) -> None:
    """Each probe's path answers 200 on the listener its port names."""
    made = container()
    assert {port["name"]: port["containerPort"] for port in made["ports"]} == {"public": 8000, "internal": 8001}
    assert [made["args"][made["args"].index(f"--{name}") + 1] for name in ("port", "internal-port")] == ["8000", "8001"]
    with House(tmp_path) as house:
        where = {"public": house.url, "internal": house.service.internal_url}
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            asked = made[probe]["httpGet"]
            assert _health(f"import urllib.request as u; u.urlopen('{where[asked['port']]}{asked['path']}')") == 0


def test_the_pods_may_nothing_that_they_do_not_need() -> None:
    """Not root, no new rights, a root file system to read only, no token of the cluster's; every mount is listed."""
    pod, made = one("Deployment")["spec"]["template"]["spec"], container()
    assert pod["automountServiceAccountToken"] is False
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] == int(steps("USER")[0])
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert made["securityContext"] == {
        "allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]},
    }  # fmt: skip
    assert {mount["name"] for mount in made["volumeMounts"]} == {volume["name"] for volume in pod["volumes"]}
    assert steps("WORKDIR")[0] in {mount["mountPath"] for mount in made["volumeMounts"]}
    # what is under way when it is told to go gets its time
    assert pod["terminationGracePeriodSeconds"] > 5 + 5


def test_the_pods_settings_are_settings() -> None:
    """Every variable is a setting, all that are required are there, and no secret stands in the ConfigMap."""
    made = container()
    plain = set(one("ConfigMap")["data"])
    sealed = {entry["name"] for entry in made["env"]}
    assert plain | sealed <= {f"TENURE_{name.upper()}" for name in Settings.model_fields}
    assert {"TENURE_APP_KEY", "TENURE_BASE_URL", "TENURE_DATABASE_URL", "TENURE_MASTER_KEY"} <= plain | sealed
    assert sealed == {"TENURE_DATABASE_URL", "TENURE_MASTER_KEY"}
    assert made["envFrom"] == [{"configMapRef": {"name": one("ConfigMap")["metadata"]["name"]}}]


def test_manifests_speak_of_each_other() -> None:
    """Every selector finds the Deployment's pods, every port is a named port of theirs."""
    labels = one("Deployment")["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"] for port in container()["ports"]}
    for manifest in MANIFESTS:
        spec = manifest.get("spec", {})
        selector = spec.get("podSelector", spec.get("selector", {}))
        assert selector.get("matchLabels", selector or labels) == labels, manifest["kind"]
        assert {port["targetPort"] for port in spec.get("ports", [])} <= ports
        assert all(manifest[name] for name in ("apiVersion", "kind", "metadata"))
    rules = one("NetworkPolicy")["spec"]["ingress"]
    assert {port["port"] for rule in rules for port in rule["ports"]} == ports
    assert [rule for rule in rules if "from" not in rule] == [{"ports": [{"port": "public"}]}]


# -- several replicas behind nginx


@pytest.fixture
def replicas(tmp_path: Path, cluster: Cluster) -> Iterator[tuple[Front, Service]]:
    """Two services on one database behind one nginx, and the second of them."""
    found("nginx")
    (tmp_path / "proxy").mkdir()
    settings = {"DATABASE_URL": cluster.url(cluster.database())}
    with (
        House(tmp_path, settings) as house,
        Service(tmp_path, {name: value for name, value in house.settings.items() if value}) as second,
    ):
        lines = [line for line in (HOW_TO / "proxies" / "nginx.conf").read_text().splitlines() if "tenure_" in line]
        text = (DEPLOY / "replicas.conf").read_text()
        for number, service in (("11", house.service), ("12", second)):
            text = text.replace(f"10.0.0.{number}:8000", service.url.partition("//")[2])
            text = text.replace(f"10.0.0.{number}:8001", service.internal_url.partition("//")[2])
        changes = {lines[0]: text, lines[1]: ""}
        app = house.receiver.url
        with (
            Proxy("nginx", tmp_path / "proxy", "http://127.0.0.1:8000", "http://127.0.0.1:8001", app, changes) as proxy,
            proxy.client() as client,
        ):
            yield Front(house, proxy, client), second


def test_two_replicas_are_one_service(replicas: tuple[Front, Service]) -> None:
    """Both are asked in turn; what one has taken is in force on the other at once, and a spent token is spent."""
    front, second = replicas
    site = front.installed()
    for _ in range(4):
        before = site.page_token("GET", "/page")
        assert site.rotate().status == 204
        old = {front.ask("GET", "/page", before).status_code for _ in range(4)}
        pages = [front.ask("GET", "/page", site.page_token("GET", "/page")).status_code for _ in range(4)]
        assert (set(pages), old) == ({200}, {425})
    sent = site.install()
    head = front.house.head()
    assert {site.resend(sent).status for _ in range(6)} == {204}
    assert front.house.head() == head
    assert second.pid != front.house.service.pid


def test_a_replica_may_die(replicas: tuple[Front, Service]) -> None:
    """kill -9 of one of two under load: every call of Jira's is taken all the same, and pages go on."""
    front, second = replicas
    site = front.installed()
    statuses: list[int] = []
    done = threading.Event()

    def call() -> None:
        while not done.is_set():
            statuses.append(front.site().install().status)

    caller = threading.Thread(target=call)
    caller.start()
    try:
        while len(statuses) < 4:
            done.wait(0.02)
        second.kill()
        killed = len(statuses)
        while len(statuses) < killed + 6:
            done.wait(0.02)
    finally:
        done.set()
        caller.join()
    assert set(statuses) == {204}, statuses
    assert front.ask("GET", "/page", site.page_token("GET", "/page")).status_code == 200
