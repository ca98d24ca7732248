"""The projection that lets people in: always what folding the log gives."""

import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.domain_support import APP, CLIENT, SITE, install, request
from tenure.domain.events import EventType, Installed
from tenure.domain.ports import Append, Appended
from tenure.domain.tenant import Tenant
from tenure.projections.security_context import (
    SecurityContextProjector,
    as_of,
    current,
    from_row,
    host_of,
    schema,
    to_row,
)
from tenure.projections.tenants import find, listing
from tenure.store.connection import connect
from tenure.store.sqlite import SqliteLog, open_log

NEW = "https://new.atlassian.net/wiki"
STEP = st.one_of(
    st.sampled_from([EventType.UNINSTALLED, EventType.ENABLED, EventType.DISABLED]),
    st.builds(
        install,
        st.sampled_from(["one", "two", "three"]),
        st.sampled_from([SITE, NEW]),
        installation_id=st.sampled_from(["", "i-1", "i-2"]),
        product_type=st.sampled_from(["", "jira"]),
    ),
)


class Store:
    """A log with its projection, and a reader of the projection."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "events.db"
        open_log(self.path, [schema()])
        self.log = SqliteLog(self.path, [SecurityContextProjector()])
        self.reader = connect(self.path, read_only=True)

    def add(self, step: Installed | EventType, client_key: str = CLIENT, app_key: str = APP) -> None:
        """Appends one event at the end of its stream."""
        asked: Append = replace(request(0, step, client_key=client_key), app_key=app_key)
        version = sum(1 for _ in self.log.stream(app_key, client_key))
        assert isinstance(self.log.append([replace(asked, expected_version=version)])[0], Appended)

    def now(self, app_key: str, client_key: str) -> Tenant | None:
        """The tenant as projected."""
        return current(self.reader.conn, app_key, client_key)

    def named(self, name: str) -> list[str]:
        """The client keys found under a name."""
        return [tenant.client_key for tenant in find(self.reader.conn, name)]

    def close(self) -> None:
        """Closes both connections."""
        self.reader.close()
        self.log.close()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty log with its projection."""
    made = Store(tmp_path)
    yield made
    made.close()


@settings(max_examples=40, deadline=None)
@given(steps=st.lists(st.tuples(st.sampled_from(["a", "b"]), STEP), max_size=12))
def test_the_row_equals_the_fold_after_every_event(steps: list[tuple[str, Installed | EventType]]) -> None:
    """After each of any events each tenant's row is what folding the log gives, then and as of then."""
    with tempfile.TemporaryDirectory() as folder:
        store = Store(Path(folder))
        seen = []
        for client_key, step in steps:
            store.add(step, client_key)
            now = {key: store.now(APP, key) for key in ("a", "b")}
            assert now == {key: as_of(store.log, APP, key, None) for key in ("a", "b")}
            seen.append(now)
        for position, then in enumerate(seen, 1):
            assert then == {key: as_of(store.log, APP, key, position) for key in ("a", "b")}
        for tenant in seen[-1].values() if seen else ():
            assert tenant is None or from_row(to_row(tenant)) == tenant
        store.close()


def test_as_of_includes_its_position(store: Store) -> None:
    """Before the first event nobody is known; at an event's position it has happened; past the head is the head."""
    store.add(install("one"))
    store.add(install("one"), "other")
    store.add(EventType.ENABLED)
    store.add(EventType.UNINSTALLED)
    found = [as_of(store.log, APP, CLIENT, position) for position in range(6)]
    assert [tenant and (tenant.installed, tenant.enabled) for tenant in found] == [
        None,
        (True, False),
        (True, False),
        (True, True),
        (False, False),
        (False, False),
    ]
    assert found[5] == store.now(APP, CLIENT)


def test_an_uninstall_is_seen_by_every_reader_at_once(store: Store) -> None:
    """When the append has returned, another connection already reads the tenant as uninstalled."""
    store.add(install())
    live = store.now(APP, CLIENT)
    assert live is not None
    assert live.installed
    store.add(EventType.UNINSTALLED)
    gone = store.now(APP, CLIENT)
    assert gone is not None
    assert not gone.installed


def test_tenants_of_two_apps_keep_apart(store: Store) -> None:
    """A tenant is of an app and a client key; another app's tenant of that key is another."""
    store.add(install("one"))
    store.add(install("two"), CLIENT, "other.app")
    mine, theirs = store.now(APP, CLIENT), store.now("other.app", CLIENT)
    assert mine is not None
    assert theirs is not None
    assert (mine.secret.fingerprint, theirs.secret.fingerprint) == ("print-one", "print-two")
    assert store.now("third.app", CLIENT) is None
    assert [tenant.app_key for tenant in find(store.reader.conn, CLIENT)] == ["other.app", APP]


@pytest.mark.parametrize(
    "name",
    [
        "b",
        "new.atlassian.net",
        "NEW.Atlassian.net",
        "new.atlassian.net/",
        "https://new.atlassian.net",
        "https://NEW.atlassian.net/wiki/x?y",
        "i-2",
    ],
)
def test_a_tenant_is_found_by_any_of_its_names(store: Store, name: str) -> None:
    """Client key, host, URL and installation id name a tenant."""
    store.add(install(installation_id="i-1"), "a")
    store.add(install(base_url=NEW, installation_id="i-2"), "b")
    assert store.named(name) == ["b"]


@pytest.mark.parametrize("name", ["x", "atlassian.net", "a%", "%", "https://x.example", "I-1", "A", "' OR 1 --"])
def test_another_name_finds_nobody(store: Store, name: str) -> None:
    """Names are compared whole; there are no patterns in them."""
    store.add(install(installation_id="i-1"), "a")
    assert store.named(name) == []


def test_an_ambiguous_name_lists_the_newest_first(store: Store) -> None:
    """Two tenants of one site are both listed, the one with the latest event first."""
    store.add(install(), "a")
    store.add(install(), "b")
    assert store.named("acme.atlassian.net") == ["b", "a"]
    store.add(EventType.ENABLED, "a")
    assert store.named(SITE) == ["a", "b"]
    assert [tenant.client_key for tenant in listing(store.reader.conn)] == ["a", "b"]


def test_a_client_key_that_is_anothers_host_names_both(store: Store) -> None:
    """A host-like name that is one tenant's key and another's site is ambiguous: nobody takes it over."""
    store.add(install(), "acme.atlassian.net")
    store.add(install(), "b")
    assert store.named("acme.atlassian.net") == ["b", "acme.atlassian.net"]


def test_a_plain_client_key_is_meant_alone(store: Store) -> None:
    """A client key is proved: another tenant that calls its installation by it is not meant."""
    store.add(install(), "a")
    store.add(install(installation_id="a"), "b")
    assert store.named("a") == ["a"]


def test_a_host_is_no_installation_id(store: Store) -> None:
    """What looks like a host is never taken for what a tenant calls its installation."""
    store.add(install(installation_id="new.atlassian.net"), "b")
    assert store.named("new.atlassian.net") == []


def test_a_renamed_tenant_is_found_under_its_new_name_only(store: Store) -> None:
    """After a rename the old host names nobody."""
    store.add(install())
    store.add(install(base_url=NEW))
    assert store.named("acme.atlassian.net") == []
    assert store.named("new.atlassian.net") == [CLIENT]


@pytest.mark.parametrize(
    ("url", "host"),
    [("https://A.B", "a.b"), ("https://a.b:8080/x", "a.b"), ("http://[::1]:1", "::1"), ("a.b", ""), ("", "")],
)
def test_the_host_of_a_url_is_in_lower_case(url: str, host: str) -> None:
    """Only the host counts, in lower case; a text that is no URL has none."""
    assert host_of(url) == host


@given(st.text("ab.-/:@?#[]\t%A1", max_size=12))
def test_the_host_of_a_plain_url_is_read_as_of_any_other(rest: str) -> None:
    """The short way that nearly every site's URL takes gives what the standard library's reading gives."""
    url = f"https://{rest}"
    try:
        expected = (urlsplit(url).hostname or "").lower()
    except ValueError:
        return
    assert host_of(url) == expected


def test_a_forged_row_of_nobody_lets_nobody_in(tmp_path: Path) -> None:
    """A tenant's row put in place of the one that is read for unknown tenants makes no unknown tenant known."""
    store = Store(tmp_path)
    store.add(install("one"))
    writer = connect(store.path)
    writer.conn.execute("DELETE FROM nobody")
    writer.conn.execute("INSERT INTO nobody SELECT * FROM security_contexts")
    writer.close()
    assert store.now(APP, "ghost") is None
    assert store.now(APP, CLIENT) is not None
