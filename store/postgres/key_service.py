"""The keys of one worker in PostgreSQL: nothing on the event loop waits for the network.

What is sealed or opened there is so with the keys at hand (`KeysAtHand`): a tenant's is brought before its context is
used, read in a lane if it is not at hand yet. Keys at hand are held to the database every `KEPT_S`; who asks later than
that waits for it, and if the database does not answer is refused. A key that was read before an erasure was heard of,
and arrives after it, is read again.

Two lanes, each with a connection of its own: what is written (keys made, login codes, ended sessions) may wait for a
standby, and no check waits for that.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import Any, TypeVar

from tenure.domain.ports import Contexts
from tenure.domain.refusals import OursError, Reason
from tenure.domain.tenant import Tenant
from tenure.store.connection import UntrustedStoreError
from tenure.store.keyring import Place, Wrapped, check_master
from tenure.store.masters import MasterKey
from tenure.store.postgres.keys import KeyTables
from tenure.store.postgres.service import Bounded
from tenure.store.signed_head import SignedHead, last_signed
from tenure.store.tokens import ApiTokens
from tenure.store.vault import CACHED_KEYS, KEPT_S, DataKey, Sealing, Vault, key_id_of

T = TypeVar("T")
# a tenant's key, or a question with an answer of its own
_Asked = Place | Callable[[], Any]


class KeysAtHand(Sealing):
    """Seals and opens with the keys that were brought. On the loop's thread; keys made at the start stay, and may be
    used on any.
    """

    def __init__(self, source: Vault) -> None:
        self._source = source
        self._kept: OrderedDict[Place, DataKey] = OrderedDict()
        self._pinned: dict[Place, DataKey] = {}

    def ensure_key(self, app_key: str, client_key: str) -> None:
        """Makes the key if there is none, and keeps it for good. For the start, before any lane: it waits."""
        self._source.ensure_key(app_key, client_key)
        self._pinned[app_key, client_key] = self._source.key(app_key, client_key)

    def pin(self, app_key: str, client_key: str) -> None:
        """Nothing to do: what was made at the start is kept."""

    def opens(self, app_key: str, client_key: str, sealed: str) -> bool:
        """Whether the key that a text was sealed under is the one at hand."""
        return self.has((app_key, client_key), key_id_of(sealed))

    def key(self, app_key: str, client_key: str, wanted: str | None = None) -> DataKey:
        """The key at hand; OursError if it is not."""
        place = (app_key, client_key)
        found = self._kept.get(place) or self._pinned.get(place)
        if found is None:
            raise OursError(Reason.STORE_UNAVAILABLE, f"the key of tenant {client_key} is not at hand")
        return found

    def has(self, place: Place, key_id: str) -> bool:
        """Whether this very key is at hand."""
        found = self._kept.get(place)
        return found is not None and found.key_id == key_id

    def put(self, place: Place, key: DataKey | None) -> None:
        """What the database has for a tenant."""
        self._kept.pop(place, None)
        if key is not None:
            self._kept[place] = key
        if len(self._kept) > CACHED_KEYS:
            self._kept.popitem(last=False)

    def drop(self, key_ids: Iterable[str]) -> None:
        """Forgets keys that were destroyed."""
        gone = set(key_ids)
        if gone:
            for place in [place for place, key in self._kept.items() if key.key_id in gone]:
                del self._kept[place]

    def clear(self) -> None:
        """Forgets everything: the master key is none any more."""
        self._kept.clear()
        self._pinned.clear()


class PostgresKeys:
    """`tenure.keydesk.WorkerKeys` on a database."""

    def __init__(self, url: str, master: MasterKey) -> None:
        reader, writer = KeyTables(url, bounded=True), KeyTables(url, bounded=True)
        self._database = reader
        self._vault, self._maker = Vault(reader, master, admit=False), Vault(writer, master, admit=False)
        self._tokens, self._new_tokens = ApiTokens(reader), ApiTokens(writer)
        self.vault = self.veiling = KeysAtHand(self._vault)
        self._number, _ = self._vault.ring.generation()
        self._looked = time.monotonic()
        self._looking: asyncio.Task[None] | None = None
        self._reads: Bounded[_Asked, Any] = Bounded(reader.session, self._read, "keys")
        self._writes: Bounded[_Asked, Any] = Bounded(writer.session, self._write, "new keys")

    def contexts(self, inner: Contexts) -> Contexts:
        """The same contexts, each with the tenant's key at hand when it is given."""
        return _KeyedContexts(inner, self)

    async def bring(self, tenant: Tenant) -> None:
        """Puts the tenant's key at hand; OursError if the database does not answer."""
        if time.monotonic() - self._looked > KEPT_S:
            await self.refresh()
        place = (tenant.app_key, tenant.client_key)
        if not tenant.erased_at and not self.vault.has(place, key_id_of(tenant.secret.sealed)):
            self.vault.put(place, await self._fetched(place))

    async def _fetched(self, place: Place) -> DataKey | None:
        while True:
            heard = self._number
            found: DataKey | None = _believed(await self._reads.submit(place))
            if heard == self._number:
                return found

    async def ensure_key(self, app_key: str, client_key: str, *, within: float, yields: bool = False) -> None:
        """`lifecycle.Keys`; the key is at hand after it. However long it may take, not longer than the lane's bound."""
        place = (app_key, client_key)
        found = await self._fetched(place)
        if found is None:
            heard = self._number
            found = _believed(await self._writes.submit(place, yields=yields))
            found = found if heard == self._number else await self._fetched(place)
        self.vault.put(place, found)

    async def ask(self, question: Callable[[ApiTokens], T]) -> T:
        """What the database says of API tokens, codes and sessions."""
        found: T = _believed(await self._reads.submit(lambda: question(self._tokens)))
        return found

    async def tell(self, act: Callable[[ApiTokens], T]) -> T:
        """The same, for what writes."""
        found: T = _believed(await self._writes.submit(lambda: act(self._new_tokens)))
        return found

    async def condition(self) -> tuple[SignedHead | None, list[str]]:
        """The head signed last, and what is wrong with the keys; OursError if the database does not answer."""
        found: tuple[SignedHead | None, list[str]] = _believed(await self._reads.submit(self._examined))
        return found

    def _examined(self) -> tuple[SignedHead | None, list[str]]:
        last, wrong = None, list[str]()
        try:
            last = last_signed(self._database)
            check_master(self._vault.ring.masters(), self._vault.ring.master.id)
        except UntrustedStoreError as error:
            wrong.append(str(error))
        return last, wrong

    async def refresh(self) -> None:
        """Forgets the keys that were destroyed meanwhile, in whatever process; all if the master key is none any more.
        OursError if the database does not answer.
        """
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
            self._looking.add_done_callback(self._looked_at)
        await asyncio.shield(self._looking)

    def _looked_at(self, done: "asyncio.Task[None]") -> None:
        self._looking = None
        if not done.cancelled():
            done.exception()  # whoever waits has it, too; where nobody does it is no news

    async def _look(self) -> None:
        now, after = time.monotonic(), self._number
        gone, last, in_force = _believed(await self._reads.submit(lambda: self._since(after)))
        self._number = last
        if in_force:
            self.vault.drop(gone)
        else:
            self.vault.clear()
        self._looked = now

    def _since(self, after: int) -> tuple[list[str], int, bool]:
        ring = self._vault.ring
        marks = ring.erasures(after)
        in_force = ring.masters().get(ring.master.id) in ("current", "former")
        return [mark.key_id for mark in marks], marks[-1].number if marks else after, in_force

    def _read(self, batch: Sequence[_Asked]) -> list[Any]:
        return self._answered(self._vault, batch)

    def _write(self, batch: Sequence[_Asked]) -> list[Any]:
        self._maker.ring.ensure_all([one for one in batch if isinstance(one, tuple)])
        return self._answered(self._maker, batch)

    def _answered(self, vault: Vault, batch: Sequence[_Asked]) -> list[Any]:
        places = list(dict.fromkeys(one for one in batch if isinstance(one, tuple)))
        found = {(row[2], row[3]): row for row in vault.ring.wrapped(places)}
        return [_tried(one if callable(one) else partial(_opened, vault, found.get(one))) for one in batch]

    def close(self) -> None:
        """Ends the lanes and their connections."""
        for lane in (self._reads, self._writes):
            lane.close()


class _KeyedContexts:
    """`ports.Contexts`."""

    def __init__(self, inner: Contexts, keys: PostgresKeys) -> None:
        self._inner = inner
        self._keys = keys

    async def get(self, app_key: str, client_key: str) -> Tenant | None:
        found = await self._inner.get(app_key, client_key)
        if found is not None:
            await self._keys.bring(found)
        return found


def _opened(vault: Vault, found: Wrapped | None) -> DataKey | None:
    return vault.opened(found) if found else None


def _tried(question: Callable[[], Any]) -> Any:
    # one question that fails leaves the others of its batch alone
    try:
        return question()
    except Exception as error:
        return error


def _believed(answer: Any) -> Any:
    if isinstance(answer, UntrustedStoreError | OursError):
        raise answer
    if isinstance(answer, Exception):
        raise OursError(Reason.STORE_UNAVAILABLE, type(answer).__name__) from answer
    return answer
