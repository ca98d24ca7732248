"""What a how-to shows is what was tried: every code block is a file that a test runs."""

import re
from pathlib import Path

import pytest

from support.proxies import HOW_TO

PAGES = ("nginx", "caddy", "traefik", "fastapi", "django", "page-loads", "confluence", "staging", "systemd")
BLOCK = re.compile(r"^```(.*?)\n(.*?)^```$", re.M | re.S)
TRIED = {
    "proxies/nginx.conf": "test_behind_real_proxies.py",
    "proxies/Caddyfile": "test_behind_real_proxies.py",
    "proxies/traefik.yml": "test_behind_real_proxies.py",
    "proxies/tenure.yml": "test_behind_real_proxies.py",
    "apps/fastapi_app.py": "test_apps.py",
    "apps/django_app.py": "test_apps.py",
    "apps/front_end.js": "test_apps.py",
    "apps/site_call.py": "test_confluence.py",
    "staging/production.env": "test_staging.py",
    "staging/staging.env": "test_staging.py",
    "systemd/tenure.env": "test_systemd.py",
    "systemd/tenure.service": "test_systemd.py",
}


def _blocks(page: str) -> list[tuple[str, str]]:
    text = (HOW_TO / f"{page}.md").read_text()
    assert text.count("```") % 2 == 0
    return BLOCK.findall(text)


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_the_file_it_names(page: str) -> None:
    """A block names its file (`file=` after the language) and shows all of it."""
    blocks = _blocks(page)
    assert blocks != []
    for info, shown in blocks:
        name = info.partition(" file=")[2]
        assert shown == (HOW_TO / name).read_text(), f"{page}.md differs from {name}"


def test_every_file_is_shown_and_tried() -> None:
    """Each file beside the how-tos is on a page, and a test here names it."""
    files = {
        str(path.relative_to(HOW_TO))
        for folder in ("proxies", "apps", "staging", "systemd")
        for path in (HOW_TO / folder).iterdir()
        if path.is_file()
    }
    shown = {info.partition(" file=")[2] for page in PAGES for info, _ in _blocks(page)}
    assert files == shown == set(TRIED)
    support = "".join(path.read_text() for path in (Path(__file__).parents[1] / "support").glob("*.py"))
    for name, test in TRIED.items():
        assert Path(name).stem in (Path(__file__).parent / test).read_text() + support


@pytest.mark.parametrize("page", PAGES)
def test_links_lead_somewhere(page: str) -> None:
    """A link to another page of ours leads to a file."""
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", (HOW_TO / f"{page}.md").read_text()):
        assert (HOW_TO / target).exists()
