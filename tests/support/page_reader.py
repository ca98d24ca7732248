"""Follows a page of the docs from top to bottom, and compares what is printed with what is shown."""

import os
import re
import shutil
import sys
from typing import Any

import typer

from support.page_shell import Shell, wait_for
from support.pages import Block, Command, Page, commands, pattern, run_of
from tenure.cli.main import app

AS_PRINTED = os.environ.get("TENURE_DOCS") == "as printed"
RUN = ("sh", "console", "python", "before")


def misread(words: list[str]) -> str:
    """What the command line says against these words, without doing what they ask; empty if it understands them."""
    command: Any = typer.main.get_command(app)
    context = None
    try:
        while True:
            context = command.make_context(command.name or "tenure", list(words), parent=context)
            if not hasattr(command, "resolve_command"):
                return ""
            _, command, words = command.resolve_command(context, [*context._protected_args, *context.args])
    except Exception as error:
        # typer brings a click of its own, so its errors are told by what they can do
        said = getattr(error, "format_message", None)
        if said is None:
            raise
        return str(said()) or type(error).__name__


class Reader:
    """Follows a page's blocks; its ports are moved by `step`."""

    def __init__(self, page: Page, step: int) -> None:
        self.page, self.step = page, step

    def moved(self, text: str) -> str:
        """A text of the page with its ports moved."""
        for port in sorted(self.page.ports, reverse=True):
            text = re.sub(rf"(?<!\d){port}(?!\d)", str(port + self.step), text)
        return text

    def follow(self, block: Block, shell: Shell) -> None:
        """Does with one block what its language and its marker say."""
        if block.verb == "write":
            self._write(block, shell)
        elif block.verb == "shown by":
            self._shown(block, shell)
        elif block.language in RUN and block.verb not in ("not run", "file") and not self._left_out(block):
            self._run(block, shell)

    def _left_out(self, block: Block) -> bool:
        how = run_of(block)
        return (how.installs and not AS_PRINTED) or bool(how.needs and shutil.which(how.needs) is None)

    def _run(self, block: Block, shell: Shell) -> None:
        how = run_of(block)
        steps = commands(block)
        for number, step in enumerate(steps, start=1):
            text = self.moved(step.text)
            if block.language == "python":
                text = f"{'python3' if AS_PRINTED else sys.executable} - <<'END_OF_BLOCK'\n{text}\nEND_OF_BLOCK"
            last = number == len(steps)
            if how.until and last:
                output, status = shell.start(text, self.moved(how.until)).output, 0
            else:
                status, output = shell.run(text, careful=block.language != "console" and not how.status)
            where = f"{self.page.name}:{block.line}: {text.strip()}"
            assert status == (how.status if last else 0), f"{where}\nended with {status}:\n{output}"
            self._compare(step, output, where, whole=not how.until)

    def _compare(self, step: Command, output: str, where: str, *, whole: bool) -> None:
        if step.output is None:
            return
        wanted = pattern(self.moved(step.output))
        text = "".join(line.rstrip() + "\n" for line in output.strip("\n").splitlines())
        found = wanted.fullmatch(text) if whole else wanted.search(text)
        assert found, f"{where}\nshown:\n{self.moved(step.output)}\n\nprinted:\n{output}"

    def _write(self, block: Block, shell: Shell) -> None:
        text = self.moved(block.text)
        status, output = shell.run(f"cat > {block.argument} <<'END_OF_BLOCK'\n{text}END_OF_BLOCK", careful=True)
        assert status == 0, output

    def _shown(self, block: Block, shell: Shell) -> None:
        behind = [one for one in shell.background if block.argument in one.text]
        assert behind, f"{self.page.name}:{block.line}: nothing in the background has {block.argument} in it"
        wanted = pattern(self.moved(block.text))
        wait_for(
            lambda: wanted.search(behind[-1].output),
            lambda: f"{self.page.name}:{block.line}: shown:\n{block.text}\nprinted:\n{behind[-1].output}",
        )
