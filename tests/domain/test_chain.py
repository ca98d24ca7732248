"""The chain over the stored rows: its hash, and the first place where a row does not follow."""

import hashlib
from collections.abc import Sequence

import pytest

from tenure.domain.chain import GENESIS, Walk, chain_hash, follow, walk

Row = tuple[bytes, ...]


def rows(*streams: tuple[str, str]) -> list[Row]:
    """Sound rows, one event each for the streams given: position, version, type, app key, client key, and the hash."""
    made, previous, versions = list[Row](), GENESIS, dict[tuple[str, str], int]()
    for position, stream in enumerate(streams, 1):
        versions[stream] = versions.get(stream, 0) + 1
        columns = (position, versions[stream], "enabled", *stream)
        previous = chain_hash(previous, columns)
        made.append((*(str(piece).encode() for piece in columns), previous.encode()))
    return made


def sealed(previous: str, columns: Sequence[str | int]) -> Row:
    """A row whose hash is right, whatever it says."""
    return (*(str(piece).encode() for piece in columns), chain_hash(previous, columns).encode())


THREE = rows(("app", "a"), ("app", "b"), ("app", "a"))


def test_the_hash_is_over_netstrings() -> None:
    """Each piece is its length, a colon, its bytes and a comma, the hash before as the first of them."""
    text = b"64:" + b"0" * 64 + b",1:7,6:r\xc3\xa9sum,0:,"
    assert chain_hash(GENESIS, [7, "résum", ""]) == hashlib.sha256(text).hexdigest()


def test_where_one_column_ends_is_part_of_the_hash() -> None:
    """Text moved from one column to the next, or a column more, gives another hash."""
    assert len({chain_hash(GENESIS, pieces) for pieces in (["ab", "c"], ["a", "bc"], ["abc"], ["ab", "c", ""])}) == 4


def test_a_sound_chain_is_walked_to_its_end() -> None:
    """Events are counted, the last position and hash told, and the hashes asked for, with that of the beginning."""
    assert walk([]) == Walk(wanted={0: GENESIS})
    hashes = [row[-1].decode() for row in THREE]
    assert walk(THREE, (2, 9)) == Walk(3, 3, hashes[2], 0, "", {0: GENESIS, 2: hashes[1]})
    assert walk(THREE).wanted == {0: GENESIS}


@pytest.mark.parametrize("gone", [0, 1])
def test_a_row_that_is_missing_is_named(gone: int) -> None:
    """The first position that is not there is bad; what came before it stands, and all rows are counted."""
    found = walk([*THREE[:gone], *THREE[gone + 1 :]], (3,))
    assert (found.events, found.position, found.bad) == (2, gone, gone + 1)
    assert found.why == f"position {gone + 1} is missing"
    assert found.hash == (GENESIS if gone == 0 else THREE[0][-1].decode())
    assert found.wanted == {0: GENESIS}


@pytest.mark.parametrize("column", [1, 2, 3, 4, 5])
def test_a_column_that_was_changed_is_named(column: int) -> None:
    """Any column of a row but its position, its hash among them, changed: the hash does not follow there."""
    bent = (*THREE[1][:column], b"7" + THREE[1][column][1:], *THREE[1][column + 1 :])
    found = walk([THREE[0], bent, THREE[2]])
    assert (found.events, found.position, found.bad) == (3, 1, 2)
    assert found.why.startswith("the hash at position 2 does not follow")


def test_a_version_out_of_its_stream_is_named() -> None:
    """A row whose hash is right must be the next version of its own stream, and of no other."""
    first = THREE[0][-1].decode()
    for columns in ((2, 1, "enabled", "app", "a"), (2, 3, "enabled", "app", "a"), (2, 2, "enabled", "app", "b"),
                    (2, 2, "enabled", "other", "a")):  # fmt: skip
        found = walk([THREE[0], sealed(first, columns)])
        assert (found.position, found.bad, found.why) == (1, 2, "position 2 is not the next version of its stream")
    for columns in ((2, 2, "enabled", "app", "a"), (2, 1, "enabled", "app", "b"), (2, 1, "enabled", "other", "a")):
        assert walk([THREE[0], sealed(first, columns)]).bad == 0


def test_only_the_first_bad_position_is_told() -> None:
    """What follows a bad row is counted and says nothing more."""
    found = walk([THREE[0], THREE[2], THREE[0], THREE[1]])
    assert (found.events, found.position, found.bad, found.why) == (4, 1, 2, "position 2 is missing")


def test_what_was_seen_before_rows_break_off_is_kept() -> None:
    """A source that fails half way leaves what it had given."""

    def breaking() -> Sequence[Row]:  # type: ignore[misc]
        yield THREE[0]
        raise OSError("the file ends here")

    found = Walk()
    with pytest.raises(OSError, match="ends here"):
        follow(found, breaking(), (1,))
    assert (found.events, found.position, found.wanted) == (1, 1, {1: THREE[0][-1].decode()})
