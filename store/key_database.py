"""Where keys lie, as `store.keyring`, `store.tokens` and `store.signed_head` see it: a file (`store.key_file`) or
tables in PostgreSQL (`store.postgres.keys`). The SQL they ask is the same text for both.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

T = TypeVar("T")
AT_ONCE = 500  # rows in one statement


class KeyDatabase(Protocol):
    """One connection, one thread at a time. Whatever is written is written within `transaction`, which keeps every
    other writer away. `data_version` is another when somebody else may have changed something. `overwrite` sees to the
    bytes of what was deleted; False if it has to be done again.
    """

    name: str
    read_only: bool

    def execute(self, sql: str, parameters: Sequence[Any] = ..., /) -> Any: ...

    def transaction(self) -> AbstractContextManager[None]: ...

    def data_version(self) -> int: ...

    def overwrite(self) -> bool: ...

    def close(self) -> None: ...


def in_parts(items: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many at a time as one statement takes."""
    return (items[first : first + AT_ONCE] for first in range(0, len(items), AT_ONCE))
