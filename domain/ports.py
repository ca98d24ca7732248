"""What the outside fulfils: the log, the contexts, the vault. Names are the field's own; all are real in tests."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypedDict, Unpack

from tenure.domain.events import Draft, Event
from tenure.domain.tenant import Tenant


@dataclass(frozen=True, slots=True)
class Spend:
    """A believed token, the digest of the body it came with, and what came of it (a reason, or empty)."""

    fingerprint: str
    body_digest: str
    outcome: str = ""


@dataclass(frozen=True, slots=True)
class Append:
    """Asks for one event at the end of a stream, or only for a token to be spent (`draft` None)."""

    app_key: str
    client_key: str
    expected_version: int
    draft: Draft | None
    spend: Spend | None


@dataclass(frozen=True, slots=True)
class Appended:
    """Durable and in force; `event` is None if there was nothing to append."""

    event: Event | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Nothing was written: the stream is at another version than expected."""

    version: int


@dataclass(frozen=True, slots=True)
class Spent:
    """Nothing was written: the token was spent before, as told."""

    spend: Spend


AppendResult = Appended | Conflict | Spent


class Chosen(TypedDict, total=False):
    """Which events are read, all of them if nothing is given: `since` and `until` are stored times, both included;
    behind the position `after`, at most `limit` (below 0: any number).
    """

    client_key: str | None
    kind: str | None
    since: str | None
    until: str | None
    kid: str | None
    after: int
    limit: int


class EventLog(Protocol):
    """The append-only log. A batch is one transaction; a returned result is fsynced and in the projections."""

    def append(self, batch: Sequence[Append]) -> list[AppendResult]: ...

    def append_under_lock(self, decide: Callable[[], Sequence[Append]]) -> list[AppendResult]: ...

    def spent(self, fingerprint: str) -> Spend | None: ...

    def stream(self, app_key: str, client_key: str, until: int | None = None) -> Iterator[Event]: ...

    def read(self, **chosen: Unpack[Chosen]) -> Iterator[Event]: ...

    def stored(self, **chosen: Unpack[Chosen]) -> Iterator[dict[str, Any]]: ...

    def kid_tenants(self, kid: str) -> list[str]: ...

    def version(self, app_key: str, client_key: str) -> int: ...

    def head(self) -> tuple[int, str]: ...

    def hash_at(self, position: int) -> str | None: ...

    def position_at(self, time: str) -> int: ...

    def close(self) -> None: ...


class AsyncLog(Protocol):
    """The log's writing end, off the event loop: appends of one moment share a transaction. Where the disk takes fewer
    than are asked for: `within` (seconds) or not at all, and who `yields` leaves the places to others.
    """

    async def append(self, request: Append, *, within: float, yields: bool = False) -> AppendResult: ...

    def refuses(self, within: float, *, yields: bool = False) -> bool: ...


class Contexts(Protocol):
    """The projection that lets people in; `get` reads the latest commit, by primary key, after it was called."""

    async def get(self, app_key: str, client_key: str) -> Tenant | None: ...


class SpentTokens(Protocol):
    """The spent list; `spent` reads the latest commit."""

    async def spent(self, fingerprint: str) -> Spend | None: ...


class Transaction(Protocol):
    """An open transaction of the store, handed to inline projectors."""

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any: ...


class InlineProjector(Protocol):
    """A projection that is updated in the append's own transaction."""

    def apply(self, transaction: Transaction, event: Event) -> None: ...


class Vault(Protocol):
    """Seals what must not lie in the log in the clear, each tenant under a key of its own."""

    def ensure_key(self, app_key: str, client_key: str) -> None: ...

    def pin(self, app_key: str, client_key: str) -> None: ...

    def opens(self, app_key: str, client_key: str, sealed: str) -> bool: ...

    def seal(self, app_key: str, client_key: str, version: int, name: str, plain: bytes) -> str: ...

    def open(self, app_key: str, client_key: str, version: int, name: str, sealed: str) -> bytes: ...

    def fingerprint(self, app_key: str, client_key: str, secret: bytes) -> str: ...
