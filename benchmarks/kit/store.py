"""A store with so many tenants, written by the store's own code: keys, sealed secrets, events, projection."""

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from kit.traffic import APP_KEY, KID, Known, install_key_pem

from tenure.domain.events import Cause, Changed, Draft, EventType, Installed
from tenure.domain.ports import Append
from tenure.projections.security_context import SecurityContextProjector, schema
from tenure.store.clock import utc_now
from tenure.store.connection import connect
from tenure.store.decisions import open_decisions
from tenure.store.key_file import KeyFile
from tenure.store.masters import from_text
from tenure.store.sqlite import SqliteLog, open_log
from tenure.store.vault import Vault

MASTER = "MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
BATCH = 2000


def furnish(folder: Path, tenants: Iterable[Known], key_host: str = "") -> None:
    """Makes `events.db`, `keys.db` and `decisions.db` in the folder, with an `installed` of every tenant."""
    open_log(folder / "events.db", [schema()])
    open_decisions(folder / "decisions.db")
    if key_host:
        _keep_install_key(folder / "events.db", key_host)
    # every new key is a commit of its own: made in memory where there is such a folder, then moved
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else folder) as made:
        _fill(folder / "events.db", Path(made) / "keys.db", iter(tenants))
        for path in Path(made).iterdir():
            shutil.move(path, folder / path.name)


def _fill(log_path: Path, keys_path: Path, tenants: Iterator[Known]) -> None:
    vault = Vault(KeyFile(keys_path), from_text(MASTER))
    log = SqliteLog(log_path, [SecurityContextProjector()])
    log.connection.execute("PRAGMA cache_size=-200000")
    try:
        while batch := [_first_install(vault, tenant) for tenant in islice(tenants, BATCH)]:
            log.append(batch)
    finally:
        log.close()
        vault.close()


def _first_install(vault: Vault, tenant: Known) -> Append:
    vault.ensure_key(APP_KEY, tenant.client_key)
    return install(vault, tenant, 0)


def install(vault: Vault, tenant: Known, version: int) -> Append:
    """An `installed` at the version the stream has, sealed as the service seals it."""
    secret = tenant.secret.encode()
    data = Installed(
        base_url=tenant.base_url,
        display_url=tenant.base_url,
        product_type="jira",
        public_key="M" * 380,
        server_version="100283",
        plugins_version="1001.0.0-SNAPSHOT",
        service_entitlement_number="SEN-12345",
        oauth_client_id="b" * 60,
        secret=vault.seal(APP_KEY, tenant.client_key, version + 1, "secret", secret),
        secret_fingerprint=vault.fingerprint(APP_KEY, tenant.client_key, secret),
        personal=vault.seal(APP_KEY, tenant.client_key, version + 1, "personal", b"{}"),
    )
    draft = Draft(EventType.INSTALLED, {"kind": "rs256", "kid": KID}, data, Changed(Cause.FIRST), "f" * 64)
    return Append(APP_KEY, tenant.client_key, version, draft, None)


def _keep_install_key(path: Path, host: str) -> None:
    database = connect(path)
    try:
        database.execute(
            "INSERT INTO install_keys VALUES (?, ?, ?, ?)", (host, KID, install_key_pem().decode(), utc_now())
        )
    finally:
        database.close()
