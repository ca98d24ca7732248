"""The hash that chains each event to the one before it.

hash = hex(SHA-256(previous hash, then every stored column)), each piece written as a netstring (`length:bytes,`), in
the order of the columns. What is hashed is what is stored, byte for byte; nothing is parsed or formatted again.
"""

import hashlib
from collections.abc import Iterable

GENESIS = "0" * 64


def chain_hash(previous: str, columns: Iterable[str | int]) -> str:
    """The hash of an event's columns behind the event of hash `previous` (`GENESIS` for the first)."""
    pieces = [str(piece) for piece in (previous, *columns)]
    text = "".join([f"{len(piece)}:{piece}," for piece in pieces])
    if text.isascii():  # nearly always: characters are bytes
        return hashlib.sha256(text.encode()).hexdigest()
    return hashlib.sha256(b"".join([b"%d:%b," % (len(raw), raw) for raw in map(str.encode, pieces)])).hexdigest()
