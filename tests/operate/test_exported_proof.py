"""An export proves itself: any bit, any line cut off, any other form of a line is found."""

from pathlib import Path
from typing import Any

import orjson
import pytest

from support.store_support import NAMES, make_log, rows_of, write_export
from tenure.store.evidence import MAX_LINE
from tenure.verify import verify_export


def test_every_bit_of_an_export_is_covered(tmp_path: Path) -> None:
    """Any single bit of an export flipped is found, at the position of the line it is in."""
    make_log(tmp_path / "events.db", 2, tenants=1)
    file = tmp_path / "log.ndjson"
    write_export(file, rows_of(tmp_path / "events.db"))
    assert verify_export(file, None, None).ok
    raw, line = file.read_bytes(), 1
    for index, byte in enumerate(raw):
        for bit in range(8):
            file.write_bytes(raw[:index] + bytes((byte ^ 1 << bit,)) + raw[index + 1 :])
            assert verify_export(file, None, None).walk.bad == line, (index, bit)
        line += byte == ord("\n")


@pytest.mark.parametrize("value", [None, [], 0, False, ""])
def test_only_an_object_is_an_empty_object(tmp_path: Path, value: Any) -> None:
    """null, [], 0, false and the empty text are not what `{}` hashes to."""
    make_log(tmp_path / "events.db", 1)
    item = dict(zip(NAMES, rows_of(tmp_path / "events.db")[0], strict=True))
    file = tmp_path / "log.ndjson"
    assert item["changed"] == "{}"
    file.write_bytes(orjson.dumps(item | {"changed": {}}) + b"\n")
    assert verify_export(file, None, None).ok
    file.write_bytes(orjson.dumps(item | {"changed": value}) + b"\n")
    assert verify_export(file, None, None).walk.bad == 1


def test_an_export_cut_off_is_held_to_its_manifest(tmp_path: Path) -> None:
    """Lines gone from the end, all of them even, are found by the manifest; without one it is said that nothing
    vouches for the end.
    """
    make_log(tmp_path / "events.db", 10)
    rows, file = rows_of(tmp_path / "events.db"), tmp_path / "log.ndjson"
    manifest = {"format": "ndjson", "filter": {}, "count": 10, "head": {"position": 10, "hash": rows[-1][-1]}}
    write_export(file, rows[:7])
    assert "nothing vouches" in verify_export(file, None, None).end
    (tmp_path / "log.ndjson.manifest.json").write_bytes(orjson.dumps(manifest))
    assert verify_export(file, None, None).walk.bad == 8
    file.write_bytes(b"")
    assert verify_export(file, None, None).walk.bad == 1
    write_export(file, rows)
    found = verify_export(file, None, None)
    assert (found.ok, "manifest" in found.end) == (True, True)
    (tmp_path / "log.ndjson.manifest.json").write_bytes(b"{}")
    assert not verify_export(file, None, None).ok


def test_a_line_without_end_is_no_export(tmp_path: Path) -> None:
    """A line longer than any event is refused at its bound, not read whole."""
    file = tmp_path / "log.ndjson"
    file.write_bytes(b"[" * (MAX_LINE + 2))
    assert "longer than" in verify_export(file, None, None).walk.why
