"""Keys of one store put into another, along with its log.

The target gets what the source has: master keys, data keys, wraps, tokens, sessions that were ended, the head signed
last; what is other or only there gives way. Marks of erasure never do: the target keeps its own and gets the source's,
and no key that either has marked as destroyed is in the target afterwards.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from tenure.store.copying import Row, Say, Table, copy_table
from tenure.store.key_database import KeyDatabase, in_parts
from tenure.store.keyring import KeyRing
from tenure.store.values import values

_MASTERS = Table("master_keys", ("master_id",), ("state", "since", "deposit_private", "deposit_public"), mirrored=True)
_DATA = Table("data_keys", ("key_id",), ("purpose", "app_key", "client_key", "created_at"), mirrored=True)
_WRAPS = Table("wrapped_keys", ("key_id", "master_id"), ("wrapped",), mirrored=True)
_REST = (
    Table("api_tokens", ("name",), ("digest", "scopes", "created_at", "expires_at", "revoked_at"), mirrored=True),
    Table("ended_sessions", ("digest",), ("expires_at",), mirrored=True),
    Table("signed_head", ("id",), ("origin", "public_key", "position", "hash", "note", "signed_at"), mirrored=True),
)
_MARK = ("key_id", "app_key", "client_key", "erased_at", "by", "origin", "why")


class UnfitKeysError(Exception):
    """The keys cannot be copied as they are; the message says what to do first."""


def check_copyable(source: KeyDatabase) -> None:
    """Refuses keys in the middle of a rotation: the new master key is not known to open all of them."""
    if "incoming" in KeyRing(source).masters().values():
        raise UnfitKeysError(
            "a rotation of the master key is not finished; run: tenure keys rotate --to FILE, then copy"
        )


def holds_keys(database: KeyDatabase) -> bool:
    """Whether a service was begun with these keys, or tokens were made."""
    tables = ("master_keys", "data_keys", "erasures", "api_tokens", "signed_head")
    return any(database.execute(f"SELECT 1 FROM {name} LIMIT 1").fetchone() for name in tables)


def copy_keys(source: KeyDatabase, target: KeyDatabase, say: Say) -> int:
    """Makes the target's keys the source's; how many rows were written or taken away. Can be done again."""
    check_copyable(source)
    written = _copy_marks(source, target)
    marked = _marked(target)
    unmarked: Callable[[Row], bool] = lambda row: row[0] not in marked  # noqa: E731 (of keys and wraps alike)
    locked = partial(_locked, target)
    _destroy_others(source, target, marked)
    written += copy_table(_MASTERS, source, target, locked, say)
    # wraps first, so that no key is ever there without one
    written += copy_table(_WRAPS, source, target, locked, say, unmarked)
    written += copy_table(_DATA, source, target, locked, say, unmarked)
    for table in _REST:
        written += copy_table(table, source, target, locked, say)
    return written


def other_keys(source: KeyDatabase, target: KeyDatabase) -> str:
    """What the target's keys lack or have besides the source's, in words; empty if nothing."""
    ours, theirs = KeyRing(source), KeyRing(target)
    if ours.masters() != theirs.masters():
        return "a master key came or went meanwhile"
    if ours.key_ids() - _marked(target) != theirs.key_ids() or not _marked(source) <= _marked(target):
        return "a key was made or destroyed meanwhile"
    return ""


def _locked(target: KeyDatabase, put: Callable[[], Any]) -> None:
    with target.transaction():
        # what gives way may be a key, and the bytes of it are not to stay
        KeyRing(target).must_clean()
        put()


def _destroy_others(source: KeyDatabase, target: KeyDatabase, marked: set[str]) -> None:
    # first, because a tenant has one key: an older one would keep the new one out
    gone = sorted(KeyRing(target).key_ids() - (KeyRing(source).key_ids() - marked))
    for some in in_parts(gone):
        with target.transaction():
            KeyRing(target).must_clean()
            for table in ("wrapped_keys", "data_keys"):
                target.execute(f"DELETE FROM {table} WHERE key_id IN ({', '.join('?' * len(some))})", some)


def _marked(database: KeyDatabase) -> set[str]:
    return {row[0] for row in database.execute("SELECT key_id FROM erasures")}


def _copy_marks(source: KeyDatabase, target: KeyDatabase) -> int:
    sql = f"SELECT {', '.join(_MARK)} FROM erasures ORDER BY number"
    known = _marked(target)
    missing = [tuple(row) for row in source.execute(sql) if row[0] not in known]
    for some in in_parts(missing):
        with target.transaction():
            _put_marks(target, some)
    return len(missing)


def _put_marks(target: KeyDatabase, marks: Sequence[Row]) -> None:
    (last,) = target.execute("SELECT coalesce(max(number), 0) FROM erasures").fetchone()
    rows = [(last + number, *mark) for number, mark in enumerate(marks, 1)]
    sql = f"INSERT INTO erasures (number, {', '.join(_MARK)}) {values(len(rows), len(_MARK) + 1)}"
    target.execute(sql, tuple(value for row in rows for value in row))
