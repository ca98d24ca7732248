"""Data keys wrapped by master keys, marks of erasure, and how a master key is replaced: the one meaning of it all.

Where they lie is a `KeyDatabase`. A data key is wrapped once for every master in force, in the transaction that makes
it, so that no process with another master strands it. Rotation: the new master comes in (`incoming`), every key is
wrapped for it too, then it is `current` and the old one `former`; both open everything until the former is retired.
Every step can be done again after a crash.

What is deleted may have left bytes behind. That they have to be overwritten is a row beside the keys, written in the
transaction that destroys and gone when it is done: whoever comes after a crash sees it.
"""

import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain

from tenure.store.clock import utc_now
from tenure.store.connection import UntrustedStoreError
from tenure.store.key_database import KeyDatabase, in_parts
from tenure.store.masters import DEPOSITED, DIRECT, MasterKey, WrongMasterError, deposit, withdraw
from tenure.store.values import values

Place = tuple[str, str]
# key id, purpose, app key, client key, and the wrap for a master if there is one
Wrapped = tuple[str, str, str, str, bytes | None]

# looked up row by row, by both keys: what a planner knows of a table that is new would make it read all of it instead
_ITS_WRAP = "(SELECT wrapped FROM wrapped_keys AS w WHERE w.key_id = made.key_id AND w.master_id = ?)"
WRAPPED = f"SELECT key_id, purpose, app_key, client_key, {_ITS_WRAP} FROM data_keys AS made"
_OF_PLACES = (
    f"SELECT key_id, app_key, client_key, {_ITS_WRAP} FROM (SELECT column1 AS app_key, column2 AS client_key, "
    "(SELECT key_id FROM data_keys WHERE purpose = ? AND app_key = column1 AND client_key = column2) AS key_id "
    "FROM ({}) AS asked) AS made"
)


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


class KeyRing:
    """The keys of one database. Without a master: marks and erasures only. One thread at a time.

    `admit`: a database without any master key takes this one as its first.
    """

    def __init__(self, database: KeyDatabase, master: MasterKey | None = None, *, admit: bool = True) -> None:
        self._database = database
        self.name = database.name
        self.execute, self.transaction = database.execute, database.transaction
        self._master = master
        try:
            if master is not None:
                self._admit(master, admit and not database.read_only)
        except BaseException:
            database.close()
            raise

    def close(self) -> None:
        """Closes the database."""
        self._database.close()

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
                    self.add_master(master.id, "current")
        check_master(self.masters(), master.id)

    def add_master(self, master_id: str, state: str) -> None:
        """Notes a master key, in the open transaction; its boxes are not made yet."""
        self.execute("INSERT INTO master_keys VALUES (?, ?, ?, ?, ?)", (master_id, state, utc_now(), b"", b""))

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

    def ensure_all(self, tenants: Sequence[Place], purpose: str = "tenant") -> dict[Place, str]:
        """As `ensure`, of several in one transaction."""
        wanted = list(dict.fromkeys(tenants))
        found = self._key_ids(wanted, purpose)
        if len(found) < len(wanted):
            with self.transaction():
                found = self._key_ids(wanted, purpose)
                for some in in_parts([place for place in wanted if place not in found]):
                    found |= self._make(some, purpose)
        return found

    def _key_ids(self, places: Sequence[Place], purpose: str) -> dict[Place, str]:
        return {(app, client): key_id for key_id, _, app, client, _ in self.wrapped(places, purpose)}

    def _make(self, places: Sequence[Place], purpose: str) -> dict[Place, str]:
        # in this transaction: a master that has gone meanwhile must not be the only one to open a new key
        states = self.masters()
        check_master(states, self.master.id)
        made = {place: os.urandom(8).hex() for place in places}
        rows = [(key_id, purpose, *place, utc_now()) for place, key_id in made.items()]
        self.execute(f"INSERT INTO data_keys {values(len(rows), 5)}", tuple(chain.from_iterable(rows)))
        raws = [(key_id, os.urandom(32), wrap_context(purpose, *place, key_id)) for place, key_id in made.items()]
        for master_id in states:
            wrap = self._wrapper(master_id)
            self.keep([(key_id, master_id, wrap(raw, context)) for key_id, raw, context in raws])
        return made

    def _wrapper(self, master_id: str) -> Callable[[bytes, bytes], bytes]:
        if master_id == self.master.id:
            return lambda raw, context: DIRECT + self.master.wrap(raw, context)
        row = self.execute("SELECT deposit_public FROM master_keys WHERE master_id = ?", (master_id,)).fetchone()
        public = self._unwrap_own(row[0], box_context(master_id, "public"))
        return lambda raw, context: DEPOSITED + deposit(public, raw, context)

    def _unwrap_own(self, wrapped: bytes, context: bytes) -> bytes:
        try:
            return self.master.unwrap(wrapped, context)
        except WrongMasterError:
            raise UntrustedStoreError(
                f"the key store's master keys do not belong together; restore {self.name}"
            ) from None

    def keep(self, wraps: Sequence[tuple[str, str, bytes]]) -> None:
        """Stores wraps (key id, master id, wrapped), also in place of others."""
        for some in in_parts(wraps):
            self.execute(
                f"INSERT INTO wrapped_keys {values(len(some), 3)} "
                "ON CONFLICT (key_id, master_id) DO UPDATE SET wrapped = excluded.wrapped",
                tuple(chain.from_iterable(some)),
            )

    def wrapped(self, places: Sequence[Place], purpose: str = "tenant") -> Iterator[Wrapped]:
        """The data keys in force of those app and client keys, each with its wrap for this ring's master."""
        for some in in_parts(places):
            asked = (self.master.id, purpose, *chain.from_iterable(some))
            rows = self.execute(_OF_PLACES.format(values(len(some), 2)), asked).fetchall()
            yield from ((key_id, purpose, *rest) for key_id, *rest in rows if key_id is not None)

    def raw(self, key_id: str) -> bytes | None:
        """The data key of an id, None if it is not there; UntrustedStoreError if it does not open."""
        row = self.execute(f"{WRAPPED} WHERE key_id = ?", (self.master.id, key_id)).fetchone()
        return self.opened(row) if row else None

    def opened(self, found: Wrapped) -> bytes:
        """The data key of what was found with this ring's wrap; UntrustedStoreError if that does not open."""
        key_id, purpose, app_key, client_key, wrapped = found
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
                "INSERT INTO erasures SELECT coalesce(max(number), 0) + 1, ?, ?, ?, ?, ?, ?, ? FROM erasures",
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
        """Another one when somebody else may have changed something."""
        return self._database.data_version()

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
        self.execute(
            "INSERT INTO uncleaned VALUES (1, ?, 1) ON CONFLICT (id) DO UPDATE SET times = uncleaned.times + 1",
            (utc_now(),),
        )

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
        """Has what was deleted overwritten, as far as the database can (`KeyDatabase.overwrite`); False if that has to
        be done again: it stays noted.
        """
        asked = self._asked()
        done = self._database.overwrite()
        if done:
            with self.transaction():
                # what was destroyed meanwhile is not cleaned by this
                self.execute("DELETE FROM uncleaned WHERE times = ?", (asked,))
        return done


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
