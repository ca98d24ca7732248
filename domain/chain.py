"""The hash that chains each event to the one before it.

hash = hex(SHA-256(previous hash, then every stored column)), each piece written as a netstring (`length:bytes,`), in
the order of the columns. What is hashed is what is stored, byte for byte; nothing is parsed or formatted again.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

GENESIS = "0" * 64


def chain_hash(previous: str, columns: Iterable[str | int]) -> str:
    """The hash of an event's columns behind the event of hash `previous` (`GENESIS` for the first)."""
    return _hash(previous.encode(), [str(piece).encode() for piece in columns]).decode()


@dataclass(slots=True)
class Walk:
    """What a walk along the chain found: `events` rows; the last sound one's position and hash; the first `bad`
    position (0: none) and why; the hashes at the positions that were asked for.
    """

    events: int = 0
    position: int = 0
    hash: str = GENESIS
    bad: int = 0
    why: str = ""
    wanted: dict[int, str] = field(default_factory=dict)

    def fail(self, position: int, why: str) -> None:
        """Notes the first bad position; later ones say nothing more."""
        if not self.bad:
            self.bad, self.why = position, why


def walk(rows: Iterable[Sequence[bytes]], wanted: Collection[int] = ()) -> Walk:
    """Follows the chain along stored rows (columns as bytes, the hash last) in the order of their positions.

    A row is sound if it is the next position, the next version of its stream, and its hash is that of its columns
    behind the hash before. `rows` may break off with an exception: it is the caller's to note.
    """
    found = Walk(wanted={0: GENESIS})
    follow(found, rows, wanted)
    return found


def follow(found: Walk, rows: Iterable[Sequence[bytes]], wanted: Collection[int] = ()) -> None:
    """As `walk`, into `found`, so that what was seen before an exception is kept."""
    versions: dict[tuple[bytes, bytes], int] = {}
    for row in rows:
        found.events += 1
        if found.bad:
            continue
        expected, stream = found.position + 1, (row[3], row[4])
        version = versions.get(stream, 0) + 1
        if row[0] != b"%d" % expected:
            found.fail(expected, f"position {expected} is missing")
        elif _hash(found.hash.encode(), row[:-1]) != row[-1]:
            found.fail(expected, f"the hash at position {expected} does not follow from its event and the one before")
        elif row[1] != b"%d" % version:
            found.fail(expected, f"position {expected} is not the next version of its stream")
        else:
            found.position, found.hash, versions[stream] = expected, row[-1].decode(), version
            if expected in wanted:
                found.wanted[expected] = found.hash


def _hash(previous: bytes, columns: Iterable[bytes]) -> bytes:
    pieces = [b"%d:%b," % (len(raw), raw) for raw in (previous, *columns)]
    return hashlib.sha256(b"".join(pieces)).hexdigest().encode()
