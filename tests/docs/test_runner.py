"""The runner of the docs' blocks sees what is wrong: a false output, a failing command, a marker nobody knows."""

from collections.abc import Callable
from pathlib import Path

import pytest

from support.page_reader import Reader
from support.page_shell import Shell, distance
from support.pages import PageError, commands, pattern, read, run_of

Follow = Callable[[str], None]


@pytest.fixture
def follow(tmp_path: Path) -> Follow:
    """Follows a page of the given text in a shell of its own."""

    def act(text: str) -> None:
        (tmp_path / "page.md").write_text(text)
        page = read(tmp_path / "page.md")
        reader = Reader(page, distance(page.ports, as_printed=False))
        with Shell(tmp_path, tmp_path, as_printed=False) as shell:
            for block in page.blocks:
                reader.follow(block, shell)

    return act


def _page(*blocks: str) -> str:
    return "# A page\n\n" + "\n\n".join(blocks) + "\n"


def _console(text: str, marker: str = "") -> str:
    return f"{marker}\n```console\n{text}\n```".lstrip()


GOOD = {
    "output": _console("$ echo one two\none two"),
    "a gap": _console("$ echo id 4f2 done\nid … done"),
    "lines left out": _console("$ seq 9\n1\n…\n9"),
    "columns": _console("$ printf 'a   b\\n'\na       b"),
    "status": _console("$ exit_with() { return 3; }; exit_with", "<!-- run: status 3 -->"),
    "what stays": _page("```sh\nexport WORD=kept\ncd /\n```", _console('$ echo "$WORD $PWD"\nkept /')),
    "hidden": _page("<!-- before:\nword=hidden\n-->", _console("$ echo $word\nhidden")),
    "saved": _page("<!-- write: a.txt -->\n```text\na line\n```", _console("$ cat a.txt\na line")),
    "python": "```python\nimport tenure\n```",
    "in the background": _page(
        _console("$ echo at 127.0.0.1:8000; sleep 60", '<!-- run: background until "at" -->'),
        "<!-- shown by: sleep -->\n```console\nat 127.0.0.1:8000\n```",
    ),
    "left out, with a reason": "<!-- not run: needs a Jira site -->\n```sh\nfalse\n```",
    "needs what is not here": "<!-- run: needs no-such-program-anywhere -->\n```sh\nfalse\n```",
}
BAD = {
    "another output": _console("$ echo one\ntwo"),
    "more output": _console("$ seq 2\n1"),
    "a failing command": "```sh\nfalse\ntrue\n```",
    "a failing one of several": _console("$ false\n$ true"),
    "another status": _console("$ true", "<!-- run: status 3 -->"),
    "failing python": "```python\nraise SystemExit(1)\n```",
    "failing hidden commands": "<!-- before:\nfalse\n-->",
    "nothing behind": "<!-- shown by: nobody -->\n```console\nhere\n```",
}


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD)
def test_what_is_true_passes(follow: Follow, text: str) -> None:
    """A page whose commands work and print what is shown can be followed."""
    follow(text)


@pytest.mark.parametrize("text", BAD.values(), ids=BAD)
def test_what_is_false_fails(follow: Follow, text: str) -> None:
    """A page with a false line cannot."""
    with pytest.raises(AssertionError):
        follow(text)


@pytest.mark.parametrize(
    "text",
    ["<!-- run: status 1 -->\n\n```sh\ntrue\n```", "```sh\ntrue\n"],
    ids=["a marker away from its fence", "a fence not closed"],
)
def test_a_page_is_read_strictly(tmp_path: Path, text: str) -> None:
    """A marker that marks nothing and a fence that does not end are errors, not silence."""
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(PageError):
        read(tmp_path / "page.md")


def test_an_unknown_word_in_a_marker_is_an_error(tmp_path: Path) -> None:
    """What a marker says is understood or refused."""
    (tmp_path / "page.md").write_text("<!-- run: sometimes -->\n```sh\ntrue\n```\n\n```console\nno prompt\n```")
    first, second = read(tmp_path / "page.md").blocks
    with pytest.raises(PageError):
        run_of(first)
    with pytest.raises(PageError):
        commands(second)


def test_a_gap_stays_in_its_line() -> None:
    """`…` within a line does not reach over its end."""
    assert pattern("a … c").fullmatch("a b c\n")
    assert not pattern("a … c").fullmatch("a b\nx c\n")


def test_ports_move_together(tmp_path: Path) -> None:
    """Every port printed as one is moved, wherever its number stands, and nothing else is."""
    (tmp_path / "page.md").write_text("At 127.0.0.1:8000 and localhost:3000, `--port 8000`; 18000 and 2026 are none.")
    page = read(tmp_path / "page.md")
    assert page.ports == {3000, 8000}
    assert Reader(page, 5).moved('("127.0.0.1", 3000) 8000 18000 2026') == '("127.0.0.1", 3005) 8005 18000 2026'
