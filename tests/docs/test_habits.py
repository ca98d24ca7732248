"""The habits of the project are one command each, and need nothing from elsewhere."""

import re
import shlex

import yaml

from support.pages import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
HOOKS = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())
LOCK = (ROOT / "requirements-dev.lock").read_text()


def test_each_habit_is_one_command() -> None:
    """Set-up, demo, test, check, docs and tutorial are targets that `make` lists with what they do."""
    listed = set(re.findall(r"^([a-z]+):.*## \S", MAKEFILE, re.MULTILINE))
    assert {"setup", "demo", "test", "check", "format", "docs", "pictures", "tutorial", "lock"} <= listed
    phony = re.search(r"^\.PHONY: (.*)$", MAKEFILE, re.MULTILINE)
    assert phony
    assert listed <= set(phony[1].split())


def test_hooks_fetch_nothing() -> None:
    """Every hook before a commit calls a tool of the lock where it lies."""
    assert [repo["repo"] for repo in HOOKS["repos"]] == ["local"]
    for hook in HOOKS["repos"][0]["hooks"]:
        assert hook["language"] == "system"
        tool = shlex.split(hook["entry"])[0].removeprefix(".venv/bin/")
        assert re.search(rf"^{tool}==", LOCK, re.MULTILINE), tool


def test_the_changelog_has_a_place_for_what_comes() -> None:
    """The changelog begins with what is not released yet."""
    titles = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "[Unreleased]"
