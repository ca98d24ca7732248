"""What every store must do: one suite over memory, SQLite and PostgreSQL."""

import asyncio
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from support.domain_support import APP, CLIENT, install, request, stamp
from support.stores import InMemory, InPostgres, OnDisk, Store, whole_chain
from tenure.domain.chain import GENESIS, walk
from tenure.domain.events import Cause, Changed, Draft, Event, EventType, Installed, Operated, Switched
from tenure.domain.ports import Append, Appended, Conflict, EventLog, Spend, Spent
from tenure.projections import tenants
from tenure.projections.security_context import as_of, schema
from tenure.store.clock import utc_now


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    made: Store
    if request.param == "memory":
        made = InMemory()
    elif request.param == "sqlite":
        made = OnDisk(tmp_path)
    else:
        made = InPostgres(request.getfixturevalue("cluster"))
    yield made
    made.close()


@pytest.fixture
def log(store: Store) -> EventLog:
    """The log of that store."""
    return store.open()


def appended(log: EventLog, asked: Append) -> Event:
    """The event of an append that must succeed."""
    found = log.append([asked])[0]
    assert isinstance(found, Appended)
    assert found.event is not None
    return found.event


def test_an_empty_log_has_its_head_at_nothing(log: EventLog) -> None:
    """Before the first event the head is position 0 and the genesis hash."""
    assert log.head() == (0, GENESIS)
    assert list(log.stream(APP, CLIENT)) == []
    assert list(log.read()) == []
    assert log.version(APP, CLIENT) == 0
    assert log.position_at(utc_now()) == 0


def test_positions_are_of_the_log_and_versions_of_the_stream(log: EventLog, store: Store) -> None:
    """Positions run without gap through all streams, versions within each."""
    first, other = appended(log, request(0, install())), appended(log, request(0, install(), client_key="b"))
    second = appended(log, request(1))
    assert [(e.position, e.version) for e in (first, other, second)] == [(1, 1), (2, 1), (3, 2)]
    assert log.head() == (3, second.hash)
    assert [event.position for event in log.stream(APP, CLIENT)] == [1, 3]
    assert [event.position for event in log.stream(APP, CLIENT, 2)] == [1]
    assert log.version(APP, CLIENT) == 2
    assert whole_chain(store.rows()) == log.head()


def test_what_is_read_is_what_was_appended(log: EventLog) -> None:
    """An event read back equals the one returned, with every field and its change."""
    data = Installed("https://é.example", "sealed", "print", personal="p", public_key="k")
    event = appended(log, request(0, data, changed=Changed(Cause.FIRST, ("a", "b"))))
    assert (event.data, event.changed) == (data, Changed(Cause.FIRST, ("a", "b")))
    switched = appended(log, request(1, EventType.UNINSTALLED))
    assert (switched.data, switched.changed, switched.type) == (Switched(), None, "uninstalled")
    assert list(log.stream(APP, CLIENT)) == [event, switched]


def test_another_version_than_expected_is_a_conflict(log: EventLog) -> None:
    """Nothing is written, and the version of the stream is told."""
    appended(log, request(0, install()))
    assert log.append([request(0)]) == [Conflict(1)]
    assert log.append([request(2)]) == [Conflict(1)]
    assert log.append([request(1, client_key="b")]) == [Conflict(0)]
    assert log.head()[0] == 1


def test_a_spent_token_appends_nothing(log: EventLog) -> None:
    """A token spent before is told with its body's digest and outcome, before any conflict."""
    spend = Spend("token", "body")
    appended(log, request(0, install(), spend=spend))
    assert log.append([request(7, spend=Spend("token", "other", "payload_invalid"))]) == [Spent(spend)]
    assert log.spent("token") == spend
    assert log.spent("other") is None
    assert log.head()[0] == 1


def test_a_token_can_be_spent_without_an_event(log: EventLog) -> None:
    """Spending alone adds no event, moves no head, and lasts."""
    spend = Spend("token", "body", "payload_invalid")
    assert log.append([request(0, None, spend=spend)]) == [Appended(None)]
    assert log.head() == (0, GENESIS)
    assert log.append([request(0, None, spend=spend)]) == [Spent(spend)]


def test_a_conflict_spends_no_token(log: EventLog) -> None:
    """What was not written leaves its token to be used again."""
    assert log.append([request(5, spend=Spend("token", "body"))]) == [Conflict(0)]
    assert log.spent("token") is None


def test_a_batch_leaves_out_only_what_conflicts(log: EventLog, store: Store) -> None:
    """Each of a batch has its own result, and sees what came before it in the batch."""
    spend = Spend("token", "body")
    results = log.append(
        [request(0, install(), spend=spend), request(0), request(1), request(2, spend=spend), request(2)]
    )
    assert [type(result) for result in results] == [Appended, Conflict, Appended, Spent, Appended]
    assert whole_chain(store.rows()) == log.head()
    assert log.head()[0] == 3
    assert log.append([]) == []


def test_a_batch_that_fails_writes_nothing(store: Store) -> None:
    """If one of a batch breaks, the whole transaction is as if it had not been, and the log goes on."""
    times = iter([stamp(1)])
    log = store.open(lambda: next(times))
    with pytest.raises((StopIteration, RuntimeError)):
        log.append([request(0, install(), spend=Spend("token", "body")), request(1, EventType.DISABLED)])
    assert (log.head(), log.spent("token")) == ((0, GENESIS), None)
    again = store.open()
    appended(again, request(0, install()))
    assert whole_chain(store.rows()) == again.head()


def test_filters_and_times_include_their_ends(store: Store) -> None:
    """Reading by type, client, time and position; a time includes what was recorded at that very time."""
    times = iter([stamp(1), stamp(2), stamp(2), stamp(3)])
    log = store.open(lambda: next(times))
    log.append([request(0, install()), request(1), request(0, install(), client_key="b"), request(2)])
    assert [log.position_at(stamp(second)) for second in range(5)] == [0, 1, 3, 4, 4]
    assert [event.position for event in log.read(since=stamp(2), until=stamp(2))] == [2, 3]
    assert [event.position for event in log.read(client_key="b")] == [3]
    assert [event.position for event in log.read(kind="enabled")] == [2, 4]
    assert [event.position for event in log.read(after=1, limit=2)] == [2, 3]
    assert list(log.read(limit=0)) == []


def test_install_keys_are_found_by_their_kid(log: EventLog) -> None:
    """Events by the kid that proved them, alone or with other filters, and the tenants that a kid ever touched."""
    for version, (key, kid) in enumerate([("b", "k1"), ("a", "k1"), ("c", "k2"), ('"', "k'1")]):
        asked = request(0, install(), client_key=key)
        assert asked.draft is not None
        appended(log, replace(asked, draft=replace(asked.draft, proof={"kind": "rs256", "kid": kid})))
        assert log.head()[0] == version + 1
    appended(log, request(1, client_key="a"))
    assert [event.position for event in log.read(kid="k1")] == [1, 2]
    assert [event.position for event in log.read(kid="k1", client_key="a", kind="installed", after=1)] == [2]
    assert [event.client_key for event in log.read(kid="k'1")] == ['"']
    assert (log.kid_tenants("k1"), log.kid_tenants("k2"), log.kid_tenants("k")) == (["a", "b"], ["c"], [])


def test_the_hash_of_any_position_is_told(log: EventLog) -> None:
    """The hash at a position is that of its event; before the first and behind the last there is none."""
    first, second = appended(log, request(0, install())), appended(log, request(1))
    assert [log.hash_at(position) for position in range(4)] == [None, first.hash, second.hash, None]


def test_what_is_decided_under_the_lock_sees_the_latest(log: EventLog, store: Store) -> None:
    """`decide` reads what was committed before, and what it asks for is appended; what it raises leaves nothing."""
    other = store.open()
    appended(other, request(0, install()))
    seen: list[int] = []

    def decide() -> list[Append]:
        seen.append(log.version(APP, CLIENT))
        return [request(seen[-1], EventType.UNINSTALLED)]

    assert [type(found) for found in log.append_under_lock(decide)] == [Appended]
    assert (seen, log.head()[0]) == ([1], 2)
    assert log.append_under_lock(list) == []
    with pytest.raises(StopIteration):
        log.append_under_lock(lambda: [next(iter(list[Append]()))])
    appended(other, request(2, EventType.ENABLED))
    assert whole_chain(store.rows()) == log.head()


def test_while_one_decides_nobody_else_appends(store: Store) -> None:
    """An append that comes while another decides waits for it, and finds what it wrote."""
    if isinstance(store, InMemory):
        return  # it is of one thread
    deciding, release = threading.Event(), threading.Event()

    def decide() -> list[Append]:
        deciding.set()
        assert release.wait(20)
        return [request(0, install())]

    # each on the thread that uses it
    with ThreadPoolExecutor(1) as one, ThreadPoolExecutor(1) as two:
        first = one.submit(lambda: store.open().append_under_lock(decide))
        assert deciding.wait(20)
        second = two.submit(lambda: store.open().append([request(0, install())]))
        with pytest.raises(TimeoutError):
            second.result(0.3)
        release.set()
        assert [type(found) for found in first.result(20)] == [Appended]
        assert second.result(20) == [Conflict(1)]


def test_a_log_can_be_examined_as_of_one_moment(store: Store) -> None:
    """In a snapshot the stored bytes, the head and the events are of one moment, whatever is appended meanwhile; the
    chain over those bytes holds, and no guard is missing.
    """
    if isinstance(store, InMemory):
        return  # it stores nothing
    writer, reader = store.open(), store.open()
    appended(writer, request(0, install("é\n'")))
    appended(writer, request(1))
    reader.snapshot()
    before = reader.head()
    appended(writer, request(2))
    found = walk(reader.stored_rows())
    assert (found.bad, (found.position, found.hash)) == (0, before) == (0, reader.head())
    assert [event.position for event in reader.read()] == [1, 2]
    assert reader.schema_problems([schema("postgres" if store.name == "postgres" else "")]) == reader.damage() == []


def test_tenants_are_walked_by_key(store: Store) -> None:
    """Tenants come by client key, behind one, of one app, and of many given keys only those, also past one part."""
    if isinstance(store, InMemory):
        return  # it has no tables
    log = store.open()
    keys = [f"k{number:04}" for number in range(1200)] + ["é", "Z", "_"]
    for start in range(0, len(keys), 250):
        log.append([request(0, install(), client_key=key) for key in keys[start : start + 250]])
    log.append([replace(request(0, install(), client_key="k0001"), app_key="other")])
    ordered = sorted(keys)
    assert [t.client_key for t in tenants.page(log.connection, APP, "", -1)] == ordered
    assert [t.client_key for t in tenants.page(log.connection, APP, "k0100", 3)] == ["k0101", "k0102", "k0103"]
    assert [t.client_key for t in tenants.page(log.connection, APP, "", -1, keys)] == ordered
    assert [t.client_key for t in tenants.page(log.connection, APP, "", 700, [*keys, "none"])] == ordered[:700]
    assert [t.app_key for t in tenants.page(log.connection, None, "k0000", 2, ["k0000", "k0001"])] == [APP, "other"]
    assert tenants.page(log.connection, APP, "", 5, []) == []


def test_a_long_log_is_read_whole(log: EventLog) -> None:
    """Reading gives every event once and in order, also past the size of a page, and while others are appended."""
    for start in range(0, 2100, 100):
        log.append([request(version, install() if version == 0 else EventType.ENABLED)
                    for version in range(start, start + 100)])  # fmt: skip
    found = log.read()
    first = next(found)
    appended(log, request(2100))
    assert [first.position, *(event.position for event in found)][:2100] == list(range(1, 2101))
    assert [event.version for event in log.stream(APP, CLIENT)] == list(range(1, 2102))
    assert [event.position for event in log.read(after=500, limit=1200)] == list(range(501, 1701))


HOSTILE = [
    "'; DROP TABLE events; --",
    "? ?1 $1 %s %(x)s {} \\",
    "é😀\u202e\u0301",
    "\t\r\n\x01\x7f\ufffd\uffff",
    "x" * 400,
    " ",
    "NULL",
    '{"a":1}',
]


@pytest.mark.parametrize("text", HOSTILE)
def test_any_text_is_kept_as_it_is(log: EventLog, store: Store, text: str) -> None:
    """Keys, data and tokens of any characters come back as they were, and are found by exactly themselves."""
    spend = Spend(text, text)
    data = Installed("https://a.example/" + text, text, text, display_url=text, personal=text)
    event = appended(log, request(0, data, client_key=text, spend=spend))
    assert (event.client_key, event.data) == (text, data)
    assert list(log.stream(APP, text)) == [event]
    assert list(log.read(client_key=text)) == [event]
    assert log.spent(text) == spend
    assert whole_chain(store.rows()) == log.head()
    tenant = asyncio.run(store.context(APP, text))
    assert tenant is not None
    assert tenant.secret.sealed == text


@pytest.mark.parametrize("text", ["a\0b", "\0", "a\ud800", "\udfff"])
def test_text_that_a_store_would_change_is_refused(log: EventLog, text: str) -> None:
    """A NUL and half of a surrogate pair are refused by every store, before anything of the batch is written."""
    for asked in (
        request(0, install(), client_key=text),
        request(0, install(), spend=Spend(text, "x")),
        request(0, install(text)),
        replace(request(0), draft=Draft("enabled", {}, Switched(), None, text)),
    ):
        with pytest.raises(ValueError, match=r"NUL|surrogates"):
            log.append([request(0, install()), asked])
    assert log.head() == (0, GENESIS)


def test_operators_have_a_stream_of_their_own(log: EventLog) -> None:
    """The stream of the empty client key takes operators' events, and is no tenant."""
    draft = Draft("operator.started", {"kind": "operator"}, Operated("me", "here", {"a": [1, "é"]}))
    event = appended(log, Append(APP, "", 0, draft, None))
    assert event.data == Operated("me", "here", {"a": [1, "é"]})
    assert list(log.stream(APP, "")) == [event]


def test_a_second_opening_sees_what_the_first_appended(log: EventLog, store: Store) -> None:
    """What an append returned is in every other reader's next answer."""
    other = store.open()
    event = appended(log, request(0, install(), spend=Spend("t", "b")))
    assert other.head() == (1, event.hash)
    assert other.spent("t") == Spend("t", "b")
    assert list(other.stream(APP, CLIENT)) == [event]


STEP = st.one_of(
    st.sampled_from([EventType.UNINSTALLED, EventType.ENABLED, EventType.DISABLED]),
    st.builds(install, st.sampled_from(["one", "two", "three"]), st.sampled_from(["https://a.b", "https://c.d/wiki"])),
)


@settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(st.tuples(st.sampled_from(["a", "b"]), STEP), min_size=1, max_size=12), split=st.integers(1, 12))
def test_the_context_is_the_fold_at_every_position(store: Store, steps: list[tuple[str, Any]], split: int) -> None:
    """After any events, appended in batches of any size, the projection is what folding the log gives."""
    log = store.open()
    app = f"app-{log.head()[0]}"
    versions = dict.fromkeys("ab", 0)
    asked = []
    for client_key, step in steps:
        asked.append(replace(request(versions[client_key], step, client_key=client_key), app_key=app))
        versions[client_key] += 1
    for start in range(0, len(asked), split):
        assert all(isinstance(found, Appended) for found in log.append(asked[start : start + split]))
        for key in "ab":
            assert asyncio.run(store.context(app, key)) == as_of(log, app, key, None)
    middle = log.head()[0] - len(steps) // 2
    folded = [event for event in log.read() if event.app_key == app and event.position <= middle]
    assert [event for key in "ab" for event in log.stream(app, key, middle)] == [
        event for key in "ab" for event in folded if event.client_key == key
    ]
