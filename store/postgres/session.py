"""One connection to PostgreSQL that opens itself again, and never waits without end.

Connections go to a primary only (`target_session_attrs=primary`, several hosts in the URL are tried in order): a
standby may lag, and a lagging context would let a replaced secret in. Dead connections are noticed before they are
used: the server's goodbye, or the reset of its socket, lies readable on an idle connection. Statements are prepared at
their first use and planned once. Within a transaction a connection that is lost is not replaced: what follows on
another one would be committed without what went before.
"""

import contextlib
import os
import re
import select
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from itertools import count
from typing import Any

import psycopg
from psycopg import RawCursor
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import ConnStatus, TransactionStatus

from tenure.domain.refusals import OursError, Reason

STATEMENT_MS = 1300
IDLE_IN_TRANSACTION_MS = 2000  # a process that stops in an append must not hold the head against all others
CONNECT_S = 2

_DEFAULTS = {
    "application_name": "tenure",
    "connect_timeout": str(CONNECT_S),
    "keepalives_idle": "5",
    "keepalives_interval": "2",
    "keepalives_count": "2",
    "tcp_user_timeout": "4000",
}
# a 2xx means flushed, whatever the server's default is; more than that is taken from the URL, less is not
_FLUSHED, _MORE = "synchronous_commit=on", "synchronous_commit=remote_apply"
_OPTIONS = (
    f"-c {_FLUSHED} -c plan_cache_mode=force_generic_plan -c default_transaction_isolation=read\\ committed "
    f"-c idle_in_transaction_session_timeout={IDLE_IN_TRANSACTION_MS} "
    # the server's side of it: a machine that vanished holds no lock for longer
    "-c tcp_keepalives_idle=5 -c tcp_keepalives_interval=2 -c tcp_keepalives_count=2"
)


class UnreachableError(OSError):
    """No primary answers; `strerror` says so and holds no password."""

    def __str__(self) -> str:
        return str(self.strerror)


def parameters_of(url: str, *, bounded: bool = True, read_only: bool = False) -> dict[str, Any]:
    """The connection's parameters, or ValueError if the URL is none."""
    try:
        given = {name: value for name, value in conninfo_to_dict(url).items() if value is not None}
    except psycopg.Error:
        raise ValueError("not a postgresql:// URL") from None
    own = str(given.pop("options", ""))
    options = f"{own} {_OPTIONS.replace(_FLUSHED, _MORE) if _MORE in own else _OPTIONS}"
    if bounded:
        options += f" -c statement_timeout={STATEMENT_MS} -c lock_timeout={STATEMENT_MS}"
    if read_only:
        options += " -c default_transaction_read_only=on"
    fixed = {"options": options, "target_session_attrs": "primary", "client_encoding": "UTF8"}
    return {**_DEFAULTS, **given, **fixed}


@lru_cache(maxsize=512)
def numbered(sql: str) -> str:
    """`?` and `?1`, as SQLite writes parameters, in PostgreSQL's way: `$1`."""
    numbers = count(1)
    return re.sub(r"\?(\d*)", lambda found: f"${found[1] or next(numbers)}", sql)


class Session:
    """A connection that is there when it is needed; one thread at a time, but for `abort`.

    `bounded`: statements and lock waits end after 1.3 s.
    """

    def __init__(self, url: str, *, bounded: bool = True, read_only: bool = False) -> None:
        self._parameters = parameters_of(url, bounded=bounded, read_only=read_only)
        self._connection: psycopg.Connection[tuple[Any, ...]] | None = None
        self._held: psycopg.Connection[tuple[Any, ...]] | None = None
        # a hold of our own on the connection's socket: its number is not given to another while `abort` uses it
        self._socket: socket.socket | None = None
        self._guard = threading.Lock()

    def connection(self) -> psycopg.Connection[tuple[Any, ...]]:
        """The live connection, opened if need be; UnreachableError if no primary answers."""
        if self._held is not None:
            return self._held
        found = self._connection
        if found is not None and _is_alive(found):
            return found
        self.close()
        try:
            made: psycopg.Connection[tuple[Any, ...]] = psycopg.connect(
                **self._parameters, autocommit=True, prepare_threshold=0, cursor_factory=RawCursor
            )
        except psycopg.OperationalError as error:
            raise UnreachableError(0, _without_secrets(error)) from None
        made.prepared_max = 256
        with self._guard:
            self._connection, self._socket = made, socket.socket(fileno=os.dup(made.fileno()))
        return made

    def execute(self, sql: str, parameters: Sequence[Any] = (), /) -> Any:
        """A cursor on the statement's rows; parameters as `?` or `?1`. `ports.Transaction`."""
        return self.connection().execute(numbered(sql), parameters or None)

    def statement(self, sql: str) -> None:
        """Runs a statement without parameters that is not worth being prepared, or cannot be."""
        self.connection().execute(sql.encode(), prepare=False)

    def hold(self) -> None:
        """From here on, until it is closed, the connection is not replaced if it is lost."""
        self._held = self.connection()

    @contextmanager
    def transaction(self, begin: bytes) -> Iterator[tuple[Any, ...]]:
        """All within is committed, or nothing. `begin`: BEGIN and, in the same breath, a SELECT that takes a lock; its
        row is given.
        """
        connection = self.connection()
        if self._held is not None:
            raise RuntimeError("a transaction within another")
        self._held = connection
        try:
            begun = connection.execute(begin, prepare=False)
            begun.nextset()
            yield begun.fetchone() or ()
            if connection.execute("COMMIT").statusmessage != "COMMIT":
                raise psycopg.InternalError("nothing was committed: a statement had failed")
        except BaseException:
            _roll_back(connection)
            raise
        finally:
            self._held = None

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Ends whatever this session waits for after so many seconds: OursError. The server itself never ends a commit
        that waits for a standby.
        """
        ended = threading.Event()

        def end() -> None:
            ended.set()
            self.abort()

        timer = threading.Timer(seconds, end)
        timer.daemon = True
        timer.start()
        try:
            yield
        except psycopg.Error as error:
            if not ended.is_set():
                raise
            why = f"the database took nothing within {seconds:.0f} s; is a synchronous standby missing?"
            raise OursError(Reason.STORE_UNAVAILABLE, why) from error
        finally:
            timer.cancel()

    def abort(self) -> None:
        """From another thread: ends whatever this session waits for, by shutting its socket."""
        with self._guard, contextlib.suppress(OSError):
            if self._socket is not None:
                self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        """Closes the connection; the next use opens another."""
        self._held = None
        with self._guard:
            found, self._connection = self._connection, None
            if self._socket is not None:
                self._socket.close()
            self._socket = None
        if found is not None:
            found.close()


def _roll_back(connection: psycopg.Connection[Any]) -> None:
    # a connection that is lost, or still busy, cannot: closing it is the same
    if connection.pgconn.transaction_status in (TransactionStatus.INTRANS, TransactionStatus.INERROR):
        with contextlib.suppress(psycopg.Error):
            connection.execute("ROLLBACK")
            return
    if connection.pgconn.transaction_status != TransactionStatus.IDLE:
        connection.close()


def _is_alive(connection: psycopg.Connection[Any]) -> bool:
    if connection.closed:
        return False
    link = connection.pgconn
    if link.transaction_status != TransactionStatus.IDLE:
        return link.transaction_status != TransactionStatus.UNKNOWN
    poll = select.poll()
    poll.register(link.socket, select.POLLIN)
    try:
        # a notice may lie there, or a goodbye: then the end of the stream comes behind it
        while poll.poll(0):
            link.consume_input()
    except psycopg.Error:
        return False
    return bool(link.status == ConnStatus.OK)


def _without_secrets(error: psycopg.Error) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
