"""`--follow`: rows as they are committed, from a place in their order, until Ctrl-C or the reader goes."""

import contextlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tenure.cli.output import emit, table

POLL_S = 0.25

Row = Mapping[str, Any]


def follow(
    read: Callable[[int], Sequence[tuple[int, Row]]], last: int, columns: tuple[str, ...], as_json: bool
) -> None:
    """Prints what `read` finds behind a place (its number, the row) for as long as somebody looks on."""
    with contextlib.suppress(KeyboardInterrupt, BrokenPipeError):
        while True:
            found = read(last)
            for number, row in found:
                last = number
                emit(row, True) if as_json else _plain(row, columns)
            sys.stdout.flush()
            if not found:
                time.sleep(POLL_S)


def _plain(row: Row, columns: tuple[str, ...]) -> None:
    table([row], columns, False, header=False)
