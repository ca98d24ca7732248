"""The log in PostgreSQL: what the database itself refuses, one order for many processes, migrations side by side."""

import asyncio
import contextlib
import multiprocessing
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest

from support.append_worker import append_from_threads, open_postgres
from support.domain_support import APP, install, request, stamp
from support.postgres import Cluster
from support.stores import InPostgres, whole_chain
from tenure.domain.events import EventType
from tenure.domain.ports import Append, Appended, Spend
from tenure.domain.refusals import OursError
from tenure.domain.tenant import Tenant
from tenure.projections.security_context import SecurityContextProjector, current_of, schema
from tenure.store.connection import UntrustedStoreError
from tenure.store.postgres import service
from tenure.store.postgres.log import _BEGIN, PostgresLog, open_log
from tenure.store.postgres.service import PostgresEvents
from tenure.store.postgres.session import Session, UnreachableError, numbered, parameters_of


@pytest.fixture
def store(cluster: Cluster) -> Iterator[InPostgres]:
    """An empty database with the schema."""
    made = InPostgres(cluster)
    yield made
    made.close()


def connected(store: InPostgres) -> psycopg.Connection[tuple[Any, ...]]:
    """A connection as any other tool would open it."""
    return psycopg.connect(store.url, autocommit=True)


@pytest.mark.parametrize("prelude", ["", "SET session_replication_role = replica; "])
@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE events SET type = 'x'",
        "UPDATE events SET hash = 'x' WHERE position = 1",
        "DELETE FROM events WHERE position = 2",
        "TRUNCATE events",
        "TRUNCATE events, spent_tokens, log_head CASCADE",
        "INSERT INTO events SELECT 1, 9, type, app_key, 'x', '', '', '', '', '', '' FROM events LIMIT 1",
        "INSERT INTO events SELECT * FROM events WHERE position = 1 ON CONFLICT (position) DO UPDATE SET type = 'x'",
        "INSERT INTO events SELECT 9, 9, type, app_key, client_key, '', '', '', '', '', '' FROM events LIMIT 1",
        "INSERT INTO events SELECT 3, 1, type, app_key, client_key, '', '', '', '', '', '' FROM events LIMIT 1",
        "UPDATE spent_tokens SET body_digest = 'x'",
        "DELETE FROM spent_tokens",
        "TRUNCATE spent_tokens",
        "INSERT INTO spent_tokens SELECT fingerprint, 'x', '', '', '', '' FROM spent_tokens "
        "ON CONFLICT (fingerprint) DO UPDATE SET body_digest = 'x'",
        "DELETE FROM log_head",
        "TRUNCATE log_head",
        "INSERT INTO log_head VALUES (2, 0, '')",
        "MERGE INTO events e USING (SELECT 1 AS p) s ON e.position = s.p WHEN MATCHED THEN DELETE",
    ],
)
def test_the_database_refuses_changes_of_any_tool(store: InPostgres, statement: str, prelude: str) -> None:
    """UPDATE, DELETE, TRUNCATE and inserts elsewhere than at the head fail, also in a session that plays a replica."""
    log = store.open()
    log.append([request(0, install(), spend=Spend("token", "body")), request(1)])
    before = store.rows(), log.head()
    with pytest.raises(psycopg.Error):
        store.foreign(prelude + statement)
    assert (store.rows(), log.head()) == before
    assert log.spent("token") == Spend("token", "body")


@pytest.mark.parametrize(
    ("sabotage", "name"),
    [
        ("DROP TRIGGER events_no_change ON events", "events_no_change"),
        ("ALTER TABLE events DISABLE TRIGGER events_no_truncate", "events_no_truncate"),
        ("ALTER TABLE events ENABLE TRIGGER events_append", "events_append"),
        ("ALTER TABLE spent_tokens DISABLE TRIGGER ALL", "spent_tokens_no_change"),
        ("DROP TRIGGER log_head_no_delete ON log_head", "log_head_no_delete"),
        (
            "CREATE OR REPLACE FUNCTION tenure_immutable() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN RETURN NEW; END $$",
            "events_no_change",
        ),
        (
            "DROP TRIGGER events_no_change ON events; CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events"
            " FOR EACH ROW WHEN (false) EXECUTE FUNCTION tenure_immutable();"
            " ALTER TABLE events ENABLE ALWAYS TRIGGER events_no_change",
            "events_no_change",
        ),
    ],
)
def test_a_log_without_its_guards_is_not_trusted(store: InPostgres, sabotage: str, name: str) -> None:
    """A trigger that is gone, off, weakened or hollow is missed at the next start, by name."""
    store.foreign(sabotage)
    with pytest.raises(UntrustedStoreError, match=name):
        open_log(store.url, [schema("postgres")])


@pytest.mark.parametrize(
    ("sabotage", "named"),
    [
        ("ALTER TABLE events DROP CONSTRAINT events_app_key_client_key_version_key", "constraint events"),
        ("ALTER TABLE events ADD COLUMN more TEXT", "column events.more is not of ours"),
        ("ALTER TABLE security_contexts ALTER COLUMN secret DROP NOT NULL", "security_contexts.secret is changed"),
        ("DROP INDEX events_kid", "index events_kid is gone"),
        ("CREATE RULE swallow AS ON INSERT TO spent_tokens DO INSTEAD NOTHING", "rule spent_tokens.swallow"),
        (
            "CREATE FUNCTION let_in() RETURNS trigger LANGUAGE plpgsql AS "
            "$$ BEGIN NEW.installed = 1; RETURN NEW; END $$;"
            " CREATE TRIGGER let_in BEFORE UPDATE ON security_contexts FOR EACH ROW EXECUTE FUNCTION let_in()",
            "trigger security_contexts.let_in is not of ours",
        ),
        ("ALTER TABLE security_contexts ENABLE ROW LEVEL SECURITY", "table security_contexts is changed"),
    ],
)
def test_a_schema_that_is_not_ours_is_not_trusted(store: InPostgres, sabotage: str, named: str) -> None:
    """Whatever of the tables is gone, changed or added refuses the next start, by name."""
    store.foreign(sabotage)
    with pytest.raises(UntrustedStoreError, match=named):
        open_log(store.url, [schema("postgres")])


def test_an_index_of_ones_own_is_nobodys_business(store: InPostgres) -> None:
    """An index that somebody added for his own questions does not keep the service from starting."""
    store.foreign("CREATE INDEX of_mine ON events (hash)")
    open_log(store.url, [schema("postgres")])


def test_a_role_that_may_only_read_and_append_serves(store: InPostgres, cluster: Cluster) -> None:
    """With the documented grants the service starts, appends and reads; changing, or moving the head, is forbidden."""
    database = store.url.rpartition("/")[2]
    role = f"app_{database}"
    store.foreign(f"""
        CREATE ROLE {role} LOGIN;
        GRANT SELECT, INSERT ON events, spent_tokens TO {role};
        GRANT SELECT, UPDATE (id) ON log_head TO {role};
        GRANT SELECT, INSERT, UPDATE ON security_contexts, install_keys TO {role};
        GRANT SELECT ON nobody, tenure_migrations TO {role};
    """)
    url = cluster.url(database, user=role)
    open_log(url, [schema("postgres")])
    log = PostgresLog(url, [SecurityContextProjector()])
    assert isinstance(log.append([request(0, install(), spend=Spend("t", "b"))])[0], Appended)
    assert whole_chain(store.rows()) == log.head()
    log.close()
    with psycopg.connect(url, autocommit=True) as connection:
        for forbidden in (
            "UPDATE log_head SET position = 0",
            "DELETE FROM events",
            "TRUNCATE events",
            "UPDATE spent_tokens SET outcome = 'x'",
            "ALTER TABLE events DISABLE TRIGGER ALL",
            "DROP TRIGGER events_append ON events",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(forbidden.encode())


def test_nobodys_temporary_tables_stand_in_for_ours(store: InPostgres, cluster: Cluster) -> None:
    """Neither a role that appends nor a stranger moves the head by tables of its own: the first's are not looked at,
    the second may not use our trigger; a right given back, or a path taken away, is missed at the next start.
    """
    database = store.url.rpartition("/")[2]
    appends, stranger = f"appends_{database}", f"stranger_{database}"
    store.foreign(f"""
        CREATE ROLE {appends} LOGIN; CREATE ROLE {stranger} LOGIN;
        GRANT SELECT, INSERT ON events TO {appends};
    """)
    with psycopg.connect(cluster.url(database, user=appends), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE log_head AS SELECT 1 AS id, 998::bigint AS position, ''::text AS hash")
        connection.execute("GRANT ALL ON log_head TO PUBLIC")
        with pytest.raises(psycopg.errors.InsufficientPrivilege, match="at the head only"):
            connection.execute("INSERT INTO events VALUES (999, 1, 'x', 'a', 'b', '', '{}', '{}', '{}', '', '')")
    with psycopg.connect(cluster.url(database, user=stranger), autocommit=True) as connection:
        connection.execute("CREATE TEMP TABLE mine (position bigint, hash text)")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(
                "CREATE TRIGGER t BEFORE INSERT ON mine FOR EACH ROW EXECUTE FUNCTION public.tenure_append()"
            )
    assert store.open().head()[0] == 0
    for change, back in (
        ("GRANT EXECUTE ON FUNCTION tenure_append() TO", "REVOKE EXECUTE ON FUNCTION tenure_append() FROM"),
        ("ALTER FUNCTION tenure_append() SET search_path =", ""),
    ):
        store.foreign(f"{change} public")
        with pytest.raises(UntrustedStoreError, match="events_append"):
            open_log(store.url, [schema("postgres")])
        store.foreign(f"{back} public" if back else "SELECT 1")


def test_a_question_that_came_too_late_has_no_answer(store: InPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was not begun in time is `store_unavailable`, never the None that means an unknown tenant."""
    moments = iter((0.0, 1000.0))
    monkeypatch.setattr(service, "time", SimpleNamespace(monotonic=lambda: next(moments)))

    async def ask() -> Tenant | None:
        events = PostgresEvents(store.url, current_of, [])
        try:
            return await events.get(APP, "nobody")
        finally:
            events.close()

    with pytest.raises(OursError):
        asyncio.run(ask())


def test_eight_processes_of_four_connections_append_to_one_chain(store: InPostgres) -> None:
    """32 writers in 8 processes leave gapless positions and versions, one chain, and everything they were told."""
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=append_from_threads, args=(store.url, f"p{n}", 4, 10)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    assert [worker.exitcode for worker in workers] == [0] * 8
    log = store.open()
    assert log.head()[0] == 8 * 4 * 10 * 2
    assert whole_chain(store.rows()) == log.head()
    assert [event.version for event in log.stream(APP, "shared")] == list(range(1, 8 * 4 * 10 + 1))


def test_a_late_commit_leaves_no_gap(store: InPostgres) -> None:
    """While one append has its position but not its commit, no later position can appear: no reader passes it by."""

    class Slow:
        def apply(self, transaction: object, event: object) -> None:
            taken.set()
            assert release.wait(20)

    taken, release = threading.Event(), threading.Event()
    slow, quick, reader = store.open(projectors=[Slow()]), store.open(), store.open()
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(slow.append, [request(0, install(), client_key="slow")])
        assert taken.wait(20)
        second = pool.submit(quick.append, [request(0, install(), client_key="quick")])
        with connected(store) as watcher:
            waiting = (
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
            )
            while watcher.execute(waiting.encode()).fetchone() != (1,):
                assert not second.done()
        assert reader.head()[0] == 0
        assert list(reader.read()) == []
        release.set()
        first.result()
        second.result()
    assert [(event.position, event.client_key) for event in reader.read()] == [(1, "slow"), (2, "quick")]
    assert whole_chain(store.rows()) == reader.head()


def test_a_transaction_with_an_older_number_still_comes_later(store: InPostgres) -> None:
    """A transaction that began, and got its number, before another but appends after it has the later position."""
    other = store.open()
    with contextlib.closing(PostgresLog(store.url)) as log:
        # the log's own transaction, but with something between its beginning and its lock
        inner = log.session.connection()

        def late(sql: Any, *rest: Any, **how: Any) -> Any:
            if sql == _BEGIN:
                execute(b"BEGIN; SELECT pg_current_xact_id()", prepare=False)
                other.append([request(0, install(), client_key="younger")])
                sql = _BEGIN.partition(b";")[2]
                return execute(b"SELECT 1;" + sql, prepare=False)
            return execute(sql, *rest, **how)

        execute: Any = inner.execute
        inner.execute = late  # type: ignore[assignment, method-assign]
        log.append([request(0, install(), client_key="older")])
    with connected(store) as watcher:
        rows = watcher.execute("SELECT client_key, xmin::text::bigint FROM events ORDER BY position").fetchall()
    assert [row[0] for row in rows] == ["younger", "older"]
    assert rows[0][1] > rows[1][1]
    assert whole_chain(store.rows()) == other.head()


@pytest.mark.parametrize(
    "clauses", ["client_key = $2", "type = $2", "(proof::json ->> 'kid') = $2", "app_key = 'x' AND client_key = $2"]
)
def test_each_filter_is_walked_by_an_index(store: InPostgres, clauses: str) -> None:
    """A page of a filtered read comes off an index in the order of positions: no table is scanned, nothing sorted."""
    log = store.open(projectors=[])
    for start in range(0, 3000, 250):
        log.append([request(0, install(), client_key=f"client-{number}") for number in range(start, start + 250)])
    with connected(store) as connection:
        connection.execute("ANALYZE events")
        sql = f"PREPARE page AS SELECT * FROM events WHERE position > $1 AND {clauses} ORDER BY position LIMIT 1000"
        connection.execute(sql.encode())
        connection.execute("SET plan_cache_mode = force_generic_plan")
        plan = "\n".join(row[0] for row in connection.execute("EXPLAIN EXECUTE page (0, 'x')"))
    assert "Seq Scan" not in plan, plan
    assert "Index Scan" in plan, plan


def test_the_walk_over_a_time_begins_where_the_time_does(store: InPostgres) -> None:
    """Events since a time are read from the first of that time on, even where the clock has gone back meanwhile."""
    times = iter([stamp(5), stamp(1), stamp(6), stamp(2)])
    log = store.open(lambda: next(times))
    log.append([request(version, install() if version == 0 else EventType.ENABLED) for version in range(4)])
    assert [event.position for event in log.read(since=stamp(5))] == [1, 3]
    assert [event.position for event in log.read(since=stamp(2), after=1)] == [3, 4]
    assert list(log.read(since=stamp(9))) == []


def test_who_decides_too_long_loses_the_lock_and_writes_nothing(store: InPostgres) -> None:
    """A process that stops while it holds the log is ended by the server after 2 s, and others go on."""
    stuck, other = store.open(), store.open()

    def decide() -> list[Append]:
        time.sleep(3)
        return [request(0, install())]

    with pytest.raises(psycopg.errors.IdleInTransactionSessionTimeout):
        stuck.append_under_lock(decide)
    assert isinstance(other.append([request(0, install())])[0], Appended)
    assert [type(found) for found in stuck.append([request(1)])] == [Appended]
    assert whole_chain(store.rows()) == other.head()


def test_many_may_migrate_at_once(cluster: Cluster) -> None:
    """Eight that start on an empty database at the same moment make one schema, and each finds it whole."""
    url = cluster.url(cluster.database())
    spawn = multiprocessing.get_context("spawn")
    workers = [spawn.Process(target=open_postgres, args=(url,)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(100)
    assert [worker.exitcode for worker in workers] == [0] * 8


def test_a_database_of_a_newer_tenure_is_not_touched(store: InPostgres) -> None:
    """A migration that this code does not know refuses the start."""
    store.foreign("INSERT INTO tenure_migrations (name) VALUES ('events_99')")
    with pytest.raises(UntrustedStoreError, match="newer"):
        open_log(store.url, [schema("postgres")])


def test_a_session_whose_server_side_was_ended_goes_on(store: InPostgres) -> None:
    """A connection that the server has ended while idle is noticed before the next statement."""
    log = store.open()
    log.append([request(0, install())])
    with connected(store) as killer:
        killer.execute("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                       "WHERE application_name = 'tenure' AND datname = current_database()")  # fmt: skip
    assert isinstance(log.append([request(1)])[0], Appended)


def test_who_holds_the_head_too_long_is_answered_for(store: InPostgres) -> None:
    """While another holds the head, an append ends as unavailable within 2 s, and goes through afterwards."""
    events = PostgresEvents(store.url, current_of, [SecurityContextProjector()])

    async def append() -> Any:
        async with asyncio.timeout(2):
            return await events.append(request(0, install()))

    with connected(store) as holder:
        with holder.transaction():
            holder.execute("SELECT 1 FROM log_head FOR UPDATE")
            with pytest.raises(OursError):
                asyncio.run(append())
        assert isinstance(asyncio.run(append()), Appended)
    events.close()


def test_contexts_asked_for_together_are_each_their_own(store: InPostgres) -> None:
    """Of many asked for at once, known, unknown and twice the same, each gets its own tenant."""
    events = PostgresEvents(store.url, current_of, [SecurityContextProjector()])

    async def ask() -> list[str]:
        for key in ("a", "b"):
            await events.append(request(0, install(key), client_key=key))
        found = await asyncio.gather(*(events.get(APP, key) for key in ["a", "b", "c", "a", "", "'", "?"] * 20))
        return [tenant.client_key + tenant.secret.sealed if tenant else "-" for tenant in found]

    assert asyncio.run(ask()) == ["asealed-a", "bsealed-b", "-", "asealed-a", "-", "-", "-"] * 20
    events.close()


def test_an_install_key_that_is_none_is_replaced(store: InPostgres) -> None:
    """A key that every process reads gives way to the one that was fetched since; keys of other hosts stay."""
    events = PostgresEvents(store.url, current_of, [SecurityContextProjector()])

    async def ask() -> list[str | None]:
        keys = events.key_store
        for host, pem in (("a", "no key"), ("b", "other"), ("a", "key")):
            await keys.put(host, "kid", pem)
        return [await keys.get(host, "kid") for host in ("a", "b", "c")]

    assert asyncio.run(ask()) == ["key", "other", None]
    events.close()


def test_an_unreachable_database_says_so_without_its_password() -> None:
    """What is told of a failed connection holds neither the URL nor the password."""
    session = Session("postgresql://me:hunter2@127.0.0.1:1/x")
    with pytest.raises(UnreachableError) as caught:
        session.execute("SELECT 1")
    assert "hunter2" not in str(caught.value)
    with pytest.raises(ValueError, match="not a postgresql:// URL") as refused:
        parameters_of("postgresql://me:hunter2@[/x")
    assert "hunter2" not in str(refused.value)


def test_a_standby_is_never_asked() -> None:
    """Whatever the URL wants, a connection is to a primary, and a commit waits for the disk."""
    found = parameters_of("postgresql://h/x?target_session_attrs=any&options=-c%20synchronous_commit%3Doff")
    assert found["target_session_attrs"] == "primary"
    assert found["options"].rindex("synchronous_commit=on") > found["options"].index("synchronous_commit=off")


@pytest.mark.parametrize(
    ("wanted", "got"), [("remote_apply", "remote_apply"), ("off", "on"), ("local", "on"), ("remote_write", "on")]
)
def test_a_commit_may_wait_for_more_but_not_for_less(store: InPostgres, wanted: str, got: str) -> None:
    """`remote_apply` in the URL holds for the session; whatever waits for less than a standby's disk does not."""
    session = Session(f"{store.url}?options=-c%20synchronous_commit%3D{wanted}")
    assert session.execute("SHOW synchronous_commit").fetchone() == (got,)
    session.close()


def test_parameters_are_numbered() -> None:
    """Both ways of SQLite's become PostgreSQL's."""
    assert numbered("a = ? AND b = ?") == "a = $1 AND b = $2"
    assert numbered("a = ?1 OR b = ?2 OR c = ?1") == "a = $1 OR b = $2 OR c = $1"
