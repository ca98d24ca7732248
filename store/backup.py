"""A consistent copy of the log while it is being written; never of the keys.

`VACUUM INTO` reads one snapshot and writes a compact file; that is 0600 from its first byte, is walked along its chain
before it gets its name, and is fsynced.
"""

from pathlib import Path

from tenure.domain.chain import Walk, walk
from tenure.store.connection import UntrustedStoreError, connect
from tenure.store.evidence import stored_rows
from tenure.store.files import partial_of, sync, write_new


def copy_log(source: Path, target: Path) -> Walk:
    """Copies the log to a new file; FileExistsError if there is one, UntrustedStoreError if the copy is not whole."""
    if target.exists():
        raise FileExistsError(f"{target} exists already; a backup is never written over a file")
    partial = partial_of(target)
    try:
        write_new(partial, [])
        database = connect(source, read_only=True)
        try:
            database.execute("VACUUM INTO ?", [str(partial)])
        finally:
            database.close()
        found = _checked(partial)
        sync(partial)
        partial.rename(target)
        sync(target.absolute().parent)
    finally:
        partial.unlink(missing_ok=True)
    return found


def _checked(path: Path) -> Walk:
    database = connect(path, read_only=True)
    try:
        found = walk(stored_rows(database.conn))
    finally:
        database.close()
    if found.bad:
        raise UntrustedStoreError(f"{found.why}; the log is not intact, so no backup was made (tenure log verify)")
    return found
