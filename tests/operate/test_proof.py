"""The log can be proved: what was changed is found, at the right first position, also against a head kept elsewhere."""

import base64
import hashlib
import random
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson
import pysqlite3
import pytest

from support.store_support import APP, NAMES, foreign, make_log, rehash, rows_of, write_export, write_rows
from tenure.domain.chain import follow, walk
from tenure.domain.checkpoint import Verifier, read, verify
from tenure.operators import note
from tenure.projections.security_context import current, schema
from tenure.settings import KeySettings
from tenure.store.connection import UntrustedStoreError
from tenure.store.decisions import open_decisions
from tenure.store.evidence import stored_rows
from tenure.store.key_file import KeyFile
from tenure.store.masters import GivenMaster
from tenure.store.signed_head import HeadRefusedError, HeadSigner, last_signed
from tenure.store.sqlite import SqliteLog, open_log
from tenure.verify import Findings, _say, _snapshot, verify_export, verify_live

MASTER_TEXT = base64.b64encode(b"m" * 32).decode()
MASTER = GivenMaster(b"m" * 32)
Rows = list[tuple[Any, ...]]


def settings(folder: Path) -> KeySettings:
    """The settings of a store in a folder."""
    return KeySettings(database_url=str(folder / "events.db"), master_key=MASTER_TEXT)


def check(folder: Path, note: str | None = None) -> Findings:
    """What `log verify` finds."""
    return verify_live(settings(folder), note, None)


def sign(folder: Path) -> str:
    """A signed head of the log as it is."""
    signer, log = HeadSigner(KeyFile(folder / "keys.db"), MASTER, "com.example.app"), SqliteLog(folder / "events.db")
    try:
        return signer.sign(log).note
    finally:
        signer.close()
        log.close()


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of 3,000 events with a signed head."""
    folder = tmp_path_factory.mktemp("large")
    make_log(folder / "events.db", 3000)
    sign(folder)
    return folder


@pytest.fixture
def copy(large: Path, tmp_path: Path) -> Path:
    """A copy of it to spoil."""
    for path in large.iterdir():
        shutil.copy(path, tmp_path / path.name)
    return tmp_path


def test_an_untouched_log_holds(copy: Path) -> None:
    """Nothing is found in a log nobody touched, and its head is signed."""
    found = check(copy)
    assert (found.ok, found.problems, found.walk.bad, found.walk.events) == (True, [], 0, 3000)
    assert found.head is not None
    assert check(copy, found.head).ok


def test_checking_changes_nothing(copy: Path) -> None:
    """With the master key at hand the head is said as it would be signed, past the one signed last; no byte of any
    file changes, nothing waits in a WAL.
    """
    log = SqliteLog(copy / "events.db")
    note(log, "com.example.app", "started", version="1")
    log.close()
    open_decisions(copy / "decisions.db")
    before = {path.name: path.read_bytes() for path in copy.glob("*.db")}
    found = check(copy)
    assert found.ok
    assert found.head is not None
    assert verify(found.head, _verifier(copy)).position == 3001
    assert {path.name: path.read_bytes() for path in copy.glob("*.db")} == before
    assert [path.name for path in copy.glob("*-wal") if path.stat().st_size] == []
    assert read(sign_of(copy)).position == 3000
    assert sign(copy) == found.head


def test_a_store_never_signed_is_checked_without_a_head(copy: Path) -> None:
    """Where no head was ever signed none is said, and no signing key is made for it."""
    _execute(copy / "keys.db", "DELETE FROM signed_head", "DELETE FROM data_keys", "DELETE FROM wrapped_keys")
    found = check(copy)
    assert (found.ok, found.head, last_signed(KeyFile(copy / "keys.db"))) == (True, None, None)


def test_every_bit_of_a_small_log_is_covered(tmp_path: Path) -> None:
    """Any single bit of any stored column flipped is found, at its own position."""
    make_log(tmp_path / "events.db", 4, tenants=2)
    log = SqliteLog(tmp_path / "events.db", read_only=True)
    rows = list(stored_rows(log.connection))
    log.close()
    assert not walk(rows).bad
    flips = 0
    for index, row in enumerate(rows):
        for column, raw in enumerate(row):
            for bit in range(len(raw) * 8):
                changed = bytearray(raw)
                changed[bit // 8] ^= 1 << bit % 8
                spoiled = [*rows[:index], (*row[:column], bytes(changed), *row[column + 1 :]), *rows[index + 1 :]]
                assert walk(spoiled).bad == index + 1
                flips += 1
    assert flips > 5000


def test_bits_of_the_file_are_covered(tmp_path: Path) -> None:
    """A bit flipped in the database file either changes no stored column or is found; a sample of all bits."""
    make_log(tmp_path / "events.db", 6, tenants=2)
    connection = foreign(tmp_path / "events.db")
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.close()
    rows, raw = rows_of(tmp_path / "events.db"), (tmp_path / "events.db").read_bytes()
    chance, spoiled = random.Random(7), tmp_path / "spoiled.db"
    begin = raw.index(b"com.example.app") // 4096 * 4096
    for _ in range(250):
        bit = chance.randrange(begin * 8, (begin + 4096) * 8)
        changed = bytearray(raw)
        changed[bit // 8] ^= 1 << bit % 8
        spoiled.write_bytes(changed)
        spoiled.chmod(0o600)
        found = verify_live(KeySettings(database_url=str(spoiled)), None, None)
        if not found.walk.bad:
            assert rows_of(spoiled) == rows


def _delete(rows: Rows) -> Rows:
    return rows[:1499] + rows[1500:]


def _insert(rows: Rows) -> Rows:
    return [*rows[:1499], rows[10], *rows[1499:]]


def _swap(rows: Rows) -> Rows:
    one, other = rows[1499], rows[1599]
    moved = [*rows]
    moved[1499], moved[1599] = (one[0], *other[1:]), (other[0], *one[1:])
    return moved


def _renumbered(rows: Rows) -> Rows:
    return [(position, *row[1:]) for position, row in enumerate(rows, 1)]


@pytest.mark.parametrize(
    "spoil",
    [_delete, lambda rows: _renumbered(_delete(rows)), lambda rows: _renumbered(_insert(rows)), _swap],
    ids=["deleted", "deleted and renumbered", "inserted", "swapped"],
)
def test_a_large_log_that_was_cut_into_is_found(large: Path, tmp_path: Path, spoil: Callable[[Rows], Rows]) -> None:
    """Deletion, insertion and swap are found at the first position they touch."""
    rows = spoil(rows_of(large / "events.db"))
    spoiled = [tuple(str(piece).encode() for piece in row) for row in rows]
    assert walk(spoiled).bad == 1500
    write_export(tmp_path / "log.ndjson", rows)
    assert verify_export(tmp_path / "log.ndjson", None, None).walk.bad == 1500


def test_a_deleted_event_is_found_in_the_store(copy: Path) -> None:
    """An event deleted by another tool is found there, and the triggers taken away for it are named."""
    connection = foreign(copy / "events.db")
    connection.execute("DELETE FROM events WHERE position = 1500")
    connection.close()
    found = check(copy)
    assert found.walk.bad == 1500
    assert any("trigger events_no_delete is gone" in problem for problem in found.problems)


@pytest.mark.parametrize("head_too", [False, True])
def test_a_cut_tail_is_found(copy: Path, head_too: bool) -> None:
    """Events gone from the end are found at the first one missing, also if the stored head was cut with them."""
    write_rows(copy / "events.db", rows_of(copy / "events.db")[:2500], head=head_too)
    assert check(copy).walk.bad == 2501


def test_a_rewritten_log_is_found_against_a_kept_head(copy: Path) -> None:
    """A log written anew with sound hashes, keys.db gone too, is found by whoever kept a head; not by the chain."""
    note = sign(copy)
    verifier = _verifier(copy)
    rows = rows_of(copy / "events.db")
    rows[1499] = (*rows[1499][:5], "2020-01-01T00:00:00.000000Z", *rows[1499][6:])
    write_rows(copy / "events.db", rehash(rows))
    assert check(copy).walk.bad == 3000
    (copy / "keys.db").unlink()
    assert not check(copy).walk.bad
    found = verify_live(settings(copy), note, verifier)
    assert found.walk.bad == 3000
    write_export(copy / "log.ndjson", rows_of(copy / "events.db"))
    assert verify_export(copy / "log.ndjson", note, verifier).walk.bad == 3000


def test_a_rolled_back_log_is_found_and_no_head_signed(copy: Path) -> None:
    """An older copy put back is found at the first position missing, and its head is not signed."""
    note = sign(copy)
    (copy / "events.db").unlink()
    make_log(copy / "events.db", 2000)
    found = check(copy, note)
    assert found.walk.bad == 2001
    with pytest.raises(HeadRefusedError):
        sign(copy)


@pytest.mark.parametrize("cut", [False, True])
def test_a_log_that_goes_on_meanwhile_holds(copy: Path, cut: bool) -> None:
    """A head signed while a verification reads is no missing event; if the log is cut behind it then, it is one."""
    verified = Findings(app_key=APP)
    with _snapshot(settings(copy)) as before:
        follow(verified.walk, stored_rows(before.connection), set())
        make_log(copy / "longer.db", 3005)
        rows = rows_of(copy / "longer.db")
        write_rows(copy / "events.db", rows)
        sign(copy)
        if cut:
            write_rows(copy / "events.db", rows[:-2])
        _say(verified, before, settings(copy))
    assert verified.ok is not cut
    assert cut == any("ends at position 3003" in problem for problem in verified.problems)


def test_a_backup_put_back_is_named_at_its_end(copy: Path, large: Path) -> None:
    """A true older copy is sound as far as it goes; the first bad position is the one after it."""
    make = rows_of(large / "events.db")[:1000]
    write_rows(copy / "events.db", make)
    assert check(copy, sign_of(large)).walk.bad == 1001


def sign_of(folder: Path) -> str:
    """The head signed last."""
    last = last_signed(KeyFile(folder / "keys.db"))
    assert last is not None
    return last.note


def _verifier(folder: Path) -> Verifier:
    last = last_signed(KeyFile(folder / "keys.db"))
    assert last is not None
    return last.verifier


def test_a_changed_projection_is_named(copy: Path) -> None:
    """A context that its events do not say is a problem, though the chain holds."""
    connection = foreign(copy / "events.db")
    connection.execute("UPDATE security_contexts SET enabled = 1 - enabled WHERE client_key = 'tenant-7'")
    connection.execute("DELETE FROM security_contexts WHERE client_key = 'tenant-8'")
    connection.close()
    found = check(copy)
    assert not found.ok
    assert not found.walk.bad
    assert any("tenant-7" in problem for problem in found.problems)
    assert any("tenant-8" in problem for problem in found.problems)


def test_a_head_of_another_log_is_refused(copy: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A head signed by another key is a problem; so is one whose text was changed."""
    other = tmp_path_factory.mktemp("other")
    make_log(other / "events.db", 10)
    assert any("another key" in problem for problem in check(copy, sign(other)).problems)
    note = sign(copy)
    assert not check(copy, note.replace("\n3000\n", "\n2999\n")).ok
    assert not check(copy, "no head at all").ok


def test_an_export_with_json_members_is_read_alike(large: Path, tmp_path: Path) -> None:
    """proof, changed and data may be the JSON that the stored texts hold."""
    file = tmp_path / "log.ndjson"
    lines = []
    for row in rows_of(large / "events.db"):
        item = dict(zip(NAMES, row, strict=True))
        lines.append(orjson.dumps(item | {name: orjson.loads(item[name]) for name in ("proof", "changed", "data")}))
    file.write_bytes(b"\n".join(lines) + b"\n")
    found = verify_export(file, sign_of(large), _verifier(large))
    assert (found.ok, found.walk.events) == (True, 3000)


@pytest.mark.timeout(300)
def test_a_hundred_thousand_events_take_seconds(tmp_path: Path) -> None:
    """100,000 events are verified, projections and all, in under 5 s of processor time."""
    make_log(tmp_path / "events.db", 100_000, tenants=1000)
    # this thread's alone: key hosts of other tests live in this process, too
    began = time.thread_time()
    found = check(tmp_path)
    assert time.thread_time() - began < 5
    assert (found.ok, found.walk.events) == (True, 100_000)


def test_the_hash_is_what_is_documented(large: Path) -> None:
    """hash = SHA-256 over netstrings of the hash before and every column: computed here from scratch."""
    previous = "0" * 64
    for row in rows_of(large / "events.db")[:50]:
        pieces = [str(piece).encode() for piece in (previous, *row[:-1])]
        previous = hashlib.sha256(b"".join(b"%d:%b," % (len(raw), raw) for raw in pieces)).hexdigest()
        assert previous == row[-1]


def _execute(path: Path, *statements: str) -> None:
    connection = pysqlite3.connect(str(path), isolation_level=None)
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "change",
    [
        "CREATE TRIGGER z AFTER UPDATE ON log_head BEGIN UPDATE security_contexts SET installed = 1; END",
        "CREATE VIEW z AS SELECT * FROM events",
        "CREATE TABLE z (a)",
        "DROP INDEX events_client_key",
        "CREATE INDEX z ON events (hash)",
        "DROP TRIGGER spent_tokens_no_update",
    ],
)
def test_any_part_of_the_schema_that_is_not_ours_is_named(copy: Path, change: str) -> None:
    """One trigger, view, table or index more or less: verify names it, and the start is refused."""
    _execute(copy / "events.db", change)
    assert not check(copy).ok
    with pytest.raises(UntrustedStoreError, match=r"gone|not of ours"):
        open_log(copy / "events.db", [schema()])


def test_statistics_for_the_planner_are_no_change(copy: Path) -> None:
    """ANALYZE, as an administrator may run it, changes nothing that is held to."""
    _execute(copy / "events.db", "ANALYZE")
    assert check(copy).ok
    open_log(copy / "events.db", [schema()])


def test_an_index_that_hides_rows_is_found(copy: Path) -> None:
    """An index made to leave a tenant out, its text in the schema put right again: the file is not sound."""
    _execute(
        copy / "events.db",
        "DROP INDEX events_client_key",
        "CREATE INDEX events_client_key ON events (client_key) WHERE client_key <> 'tenant-7'",
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_schema SET sql = 'CREATE INDEX events_client_key ON events (client_key)' "
        "WHERE name = 'events_client_key'",
        "PRAGMA writable_schema=RESET",
    )
    assert any("not sound" in problem for problem in check(copy).problems)


def test_a_changed_nobody_is_named_and_lets_nobody_in(copy: Path) -> None:
    """A tenant's row in place of that of nobody makes no tenant of who is unknown, and is found."""
    _execute(
        copy / "events.db",
        "DELETE FROM nobody",
        "INSERT INTO nobody SELECT * FROM security_contexts WHERE client_key = 'tenant-7'",
    )
    log = SqliteLog(copy / "events.db", read_only=True)
    assert current(log.connection, APP, "a ghost") is None
    assert current(log.connection, APP, "tenant-7") is not None
    log.close()
    assert any("nobody" in problem for problem in check(copy).problems)


def test_the_signed_head_is_what_its_text_says(copy: Path) -> None:
    """Position and hash beside the signed text changed: verify says so and nothing is signed on top of it."""
    rows = rows_of(copy / "events.db")
    _execute(copy / "keys.db", f"UPDATE signed_head SET position = 5, hash = '{rows[4][-1]}'")
    write_rows(copy / "events.db", rows[:5])
    assert any("of position 3000" in problem for problem in check(copy).problems)
    with pytest.raises(UntrustedStoreError):
        sign(copy)


def test_a_key_given_is_held_to_the_store(copy: Path) -> None:
    """`--key` of another log is a problem, with a kept head and without; the right one is none."""
    other = Verifier("com.example.app/00000000", bytes(32))
    assert verify_live(settings(copy), None, _verifier(copy)).ok
    assert any("key given" in problem for problem in verify_live(settings(copy), None, other).problems)
    (copy / "keys.db").unlink()
    assert not verify_live(settings(copy), None, other).ok
