"""`keys.db`: data keys wrapped by master keys, marks of erasure, and how a master key is replaced.

A data key is wrapped once for every master in force, in the transaction that makes it, so that no process with another
master strands it. Rotation: the new master comes in (`incoming`), every key is wrapped for it too, then it is `current`
and the old one `former`; both open everything until the former is retired. Every step can be done again after a crash.

`secure_delete` overwrites what is deleted; after an erasure or a retirement the file is rewritten and its WAL cut to
nothing, because SQLite leaves copies of moved cells in the gaps of its pages. That it has to be is a row of the file
itself, written in the transaction that destroys and gone when it is done: whoever comes after a crash sees it.
"""

import os
import time
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pysqlite3 import OperationalError
from sqlite_utils import Database

from tenure.store.clock import utc_now
from tenure.store.connection import BUSY_TIMEOUT_MS, UntrustedStoreError, check_permissions, connect, migrate, writing
from tenure.store.masters import DEPOSITED, DIRECT, MasterKey, WrongMasterError, deposit, withdraw

CLEAN_DEADLINE_S = 10.0
CLEAN_WAIT_MS = 100  # a checkpoint that waits for a reader holds the write lock: others get their turn in between


@dataclass(frozen=True, slots=True)
class Erasure:
    """The mark of a destroyed data key."""

    number: int
    key_id: str
    app_key: str
    client_key: str
    erased_at: str
    by: str
    origin: str
    why: str


def open_keys(path: Path) -> Database:
    """The key file, made or migrated, deleting securely."""
    check_permissions(path)
    database = connect(path, create=True)
    database.execute("PRAGMA secure_delete=ON")
    migrate(database, "keys")
    return database


class KeyRing:
    """The keys of one `keys.db`. Without a master: marks and erasures only. One connection, one thread at a time.

    `admit`: a file without any master key takes this one as its first. `read_only`: nothing is made or changed.
    """

    def __init__(
        self, path: Path, master: MasterKey | None = None, *, admit: bool = True, read_only: bool = False
    ) -> None:
        self._database = connect(path, read_only=True) if read_only else open_keys(path)
        self.execute = self._database.conn.execute
        self._master = master
        try:
            if master is not None:
                self._admit(master, admit and not read_only)
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Closes the key file."""
        self._database.close()

    def transaction(self) -> AbstractContextManager[None]:
        """All or nothing, under the file's write lock."""
        return writing(self._database)

    @property
    def master(self) -> MasterKey:
        """The master key, or UntrustedStoreError if this ring was opened without one."""
        if self._master is None:
            raise UntrustedStoreError("this needs the master key; set TENURE_MASTER_KEY(_FILE)")
        return self._master

    def _admit(self, master: MasterKey, admit: bool) -> None:
        if not self.masters():
            if not admit:
                raise UntrustedStoreError(
                    "no master key was ever used here; serve takes the one it is given as the first"
                )
            with self.transaction():
                if not self.masters():
                    self.execute("INSERT INTO master_keys VALUES (?, 'current', ?, x'', x'')", (master.id, utc_now()))
        check_master(self.masters(), master.id)

    def masters(self) -> dict[str, str]:
        """The master keys by id, each with its state."""
        return dict(self.execute("SELECT master_id, state FROM master_keys"))

    # -- data keys

    def key_id(self, app_key: str, client_key: str, purpose: str = "tenant") -> str | None:
        """The id of a data key in force."""
        row = self.execute(
            "SELECT key_id FROM data_keys WHERE purpose = ? AND app_key = ? AND client_key = ?",
            (purpose, app_key, client_key),
        ).fetchone()
        return row[0] if row else None

    def ensure(self, app_key: str, client_key: str, purpose: str = "tenant") -> str:
        """The id of the data key, made now if there is none; committed when it returns."""
        return self.ensure_all([(app_key, client_key)], purpose)[app_key, client_key]

    def ensure_all(self, tenants: Sequence[tuple[str, str]], purpose: str = "tenant") -> dict[tuple[str, str], str]:
        """As `ensure`, of several in one transaction."""
        found = {(app, client): self.key_id(app, client, purpose) for app, client in tenants}
        if None in found.values():
            with self.transaction():
                for app, client in found:
                    found[app, client] = self.key_id(app, client, purpose) or self._make(app, client, purpose)
        return {tenant: key_id for tenant, key_id in found.items() if key_id is not None}

    def _make(self, app_key: str, client_key: str, purpose: str) -> str:
        key_id, raw = os.urandom(8).hex(), os.urandom(32)
        self.execute("INSERT INTO data_keys VALUES (?, ?, ?, ?, ?)", (key_id, purpose, app_key, client_key, utc_now()))
        context = wrap_context(purpose, app_key, client_key, key_id)
        # in this transaction: a master that has gone meanwhile must not be the only one to open a new key
        check_master(self.masters(), self.master.id)
        for other in self.masters():
            self.keep(key_id, other, self._wrap_for(other, raw, context))
        return key_id

    def _wrap_for(self, master_id: str, raw: bytes, context: bytes) -> bytes:
        if master_id == self.master.id:
            return DIRECT + self.master.wrap(raw, context)
        row = self.execute("SELECT deposit_public FROM master_keys WHERE master_id = ?", (master_id,)).fetchone()
        public = self._unwrap_own(row[0], box_context(master_id, "public"))
        return DEPOSITED + deposit(public, raw, context)

    def _unwrap_own(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self.master.unwrap(wrapped, context)
        except WrongMasterError:
            raise UntrustedStoreError("the key store's master keys do not belong together; restore keys.db") from None

    def keep(self, key_id: str, master_id: str, wrapped: bytes) -> None:
        """Stores a wrap."""
        self.execute("INSERT OR REPLACE INTO wrapped_keys VALUES (?, ?, ?)", (key_id, master_id, wrapped))

    def raw(self, key_id: str) -> bytes | None:
        """The data key of an id, None if it is not there; UntrustedStoreError if it does not open."""
        row = self.execute(
            "SELECT purpose, app_key, client_key, wrapped FROM data_keys LEFT JOIN wrapped_keys "
            "ON wrapped_keys.key_id = data_keys.key_id AND master_id = ? WHERE data_keys.key_id = ?",
            (self.master.id, key_id),
        ).fetchone()
        if row is None:
            return None
        purpose, app_key, client_key, wrapped = row
        if wrapped is None:
            check_master(self.masters(), self.master.id)
        try:
            return self._open(wrapped or b"", wrap_context(purpose, app_key, client_key, key_id))
        except WrongMasterError:
            raise UntrustedStoreError(f"the key of tenant {client_key} does not open under this master key") from None

    def _open(self, wrapped: bytes, context: bytes) -> bytes:
        form, body = wrapped[:1], wrapped[1:]
        if form == DIRECT:
            return self.master.unwrap(body, context)
        if form != DEPOSITED:
            raise WrongMasterError
        row = self.execute("SELECT deposit_private FROM master_keys WHERE master_id = ?", (self.master.id,)).fetchone()
        private = self._unwrap_own(row[0] if row else b"", box_context(self.master.id, "private"))
        return withdraw(private, body, context)

    # -- erasure

    def erase(
        self, app_key: str, client_key: str, by: str, origin: str, why: str, sealed_under: str = ""
    ) -> str | None:
        """Marks and destroys a tenant's data key; its id, None if there was none. Call `clean` after it.

        `sealed_under`: the key the tenant's secret is under. It is marked also if it is not here, so that no copy of
        this file brings it back.
        """
        with self.transaction():
            key_id = self.key_id(app_key, client_key)
            for one in dict.fromkeys(filter(None, (key_id, sealed_under))):
                self._destroy(Erasure(0, one, app_key, client_key, utc_now(), by, origin, why))
        return key_id

    def destroy(self, mark: Erasure) -> bool:
        """Marks and destroys the one data key that a mark names (its number is not looked at); False if it is marked
        already. Call `clean` after it.
        """
        with self.transaction():
            return self._destroy(mark)

    def _destroy(self, mark: Erasure) -> bool:
        new = self.erasure_of(mark.key_id) is None
        if new:
            self.execute(
                "INSERT INTO erasures (key_id, app_key, client_key, erased_at, by, origin, why) VALUES (?,?,?,?,?,?,?)",
                (mark.key_id, mark.app_key, mark.client_key, mark.erased_at, mark.by, mark.origin, mark.why),
            )
        self._remove(mark.key_id)
        return new

    def _remove(self, key_id: str) -> None:
        self.execute("DELETE FROM wrapped_keys WHERE key_id = ?", (key_id,))
        self.execute("DELETE FROM data_keys WHERE key_id = ?", (key_id,))
        self.must_clean()

    def sweep(self, before: str, used: Collection[str], unused: Callable[[str, str], bool]) -> list[str]:
        """Destroys tenants' keys made before a stored time that are not among the `used` ids, that are `unused`, by app
        key and client key, and whose tenant has no mark: the client keys. Call `clean` after it.
        """
        found: list[str] = []
        with self.transaction():
            for key_id in sorted(self.key_ids().difference(used)):
                row = self.execute(
                    "SELECT app_key, client_key FROM data_keys AS made WHERE key_id = ? AND purpose = 'tenant' "
                    "AND created_at < ? AND client_key NOT LIKE ' %' AND NOT EXISTS (SELECT 1 FROM erasures "
                    "WHERE app_key = made.app_key AND client_key = made.client_key)",
                    (key_id, before),
                ).fetchone()
                if row is not None and unused(*row):
                    self._remove(key_id)
                    found.append(row[1])
        return found

    def erasures(self, after: int = 0) -> list[Erasure]:
        """The marks, oldest first, from a number on."""
        rows = self.execute("SELECT * FROM erasures WHERE number > ? ORDER BY number", (after,))
        return [Erasure(*row) for row in rows]

    def erasure_of(self, key_id: str) -> Erasure | None:
        """The mark of a key, if it was destroyed."""
        row = self.execute("SELECT * FROM erasures WHERE key_id = ?", (key_id,)).fetchone()
        return Erasure(*row) if row else None

    def generation(self) -> tuple[int, str]:
        """Changes whenever a key is destroyed or a master key comes or goes."""
        (number,) = self.execute("SELECT coalesce(max(number), 0) FROM erasures").fetchone()
        return number, " ".join(f"{name}:{state}" for name, state in sorted(self.masters().items()))

    def data_version(self) -> int:
        """Changes whenever another connection has changed the file."""
        return int(self.execute("PRAGMA data_version").fetchone()[0])

    def tenants(self) -> int:
        """How many tenants have a data key."""
        # a client key with a space is none: the decision log's own key lies under one
        (count,) = self.execute(
            "SELECT count(*) FROM data_keys WHERE purpose = 'tenant' AND client_key NOT LIKE ' %'"
        ).fetchone()
        return int(count)

    def key_ids(self) -> set[str]:
        """The ids of all data keys in force."""
        return {row[0] for row in self.execute("SELECT key_id FROM data_keys")}

    # -- overwriting

    def must_clean(self) -> None:
        """Notes, in the open transaction, that bytes of what was deleted are left."""
        self.execute("INSERT INTO uncleaned VALUES (1, ?, 1) ON CONFLICT DO UPDATE SET times = times + 1", (utc_now(),))

    def unclean(self) -> bool:
        """Whether bytes of what was deleted are left."""
        return self._asked() is not None

    def _asked(self) -> int | None:
        row = self.execute("SELECT times FROM uncleaned").fetchone()
        return row[0] if row else None

    def cleaned(self) -> bool:
        """Whether no byte of what was deleted is left, now that it was tried again if any was; see `clean`."""
        return not self.unclean() or self.clean()

    def clean(self) -> bool:
        """Rewrites the file and cuts its WAL to nothing, so that no deleted byte is left; False if others were in the
        way for too long: it stays noted, and has to be done again. Nobody waits for it longer than CLEAN_WAIT_MS.
        """
        asked = self._asked()
        self.execute(f"PRAGMA busy_timeout={CLEAN_WAIT_MS}")
        try:
            # cut before it is rewritten: while others read, the WAL would only grow by another copy
            done = patiently(self._cut) and patiently(self._rewrite) and patiently(self._cut)
        finally:
            self.execute(f"PRAGMA busy_timeout={BUSY_TIMEOUT_MS}")
        if done:
            # what was destroyed meanwhile is not cleaned by this
            self.execute("DELETE FROM uncleaned WHERE times = ?", (asked,))
        return done

    def _rewrite(self) -> bool:
        self.execute("VACUUM")
        return True

    def _cut(self) -> bool:
        busy, _, _ = self.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
        return not busy


def check_master(states: dict[str, str], master_id: str) -> None:
    """Refuses a master key that is not in force."""
    state = states.get(master_id)
    if state == "incoming":
        raise UntrustedStoreError(
            "the rotation to this master key is not finished; under the old one run again: tenure keys rotate --to FILE"
        )
    if state is None:
        raise UntrustedStoreError(
            "this master key is not the one the tenants' keys are wrapped by; set TENURE_MASTER_KEY(_FILE) to it"
        )


def netstrings(*pieces: str) -> bytes:
    """Pieces so joined that no two lists give the same bytes."""
    return b"".join(b"%d:%b," % (len(raw), raw) for raw in (piece.encode() for piece in pieces))


def wrap_context(purpose: str, app_key: str, client_key: str, key_id: str) -> bytes:
    return netstrings(f"{purpose} key", app_key, client_key, key_id)


def box_context(master_id: str, half: str) -> bytes:
    return netstrings("deposit box", master_id, half)


def patiently(step: Callable[[], Any]) -> bool:
    """Whether the step came through before ten seconds were over; it is tried again while the file is busy."""
    # others read for microseconds at a time: a free moment comes
    ends = time.monotonic() + CLEAN_DEADLINE_S
    while time.monotonic() < ends:
        try:
            if step():
                return True
        except OperationalError:
            pass
        time.sleep(0.05)
    return False
