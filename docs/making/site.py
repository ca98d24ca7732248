"""How the site differs from the folder: pages by kind, and the pages of the repository's root beside them.

Links are written for the forge, relative to the file. On the site the root's pages lie at the top; a link to a file
that is not on the site, such as code, becomes its bare text.
"""

import posixpath
import re
from pathlib import Path
from typing import Any

from properdocs.config.defaults import ProperDocsConfig
from properdocs.structure.files import File, Files
from properdocs.structure.pages import Page

ROOT = Path(__file__).parents[2]
KINDS = {
    "Tutorial": "tutorial",
    "How to": "how-to",
    "Reference": "reference",
    "Explanation": "explanation",
    "Decisions": "decisions",
}
TOP = {
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "README.md": "overview.md",
}
_FILE = re.compile(r"^(\s*(?:`{3,}|~{3,})\w+)\s+file=\S+$", re.MULTILINE)
_LINK = re.compile(r"(!?)\[([^\]]*)\]\(([^)\s#]*)(#[^)\s]*)?\)")


def on_config(config: ProperDocsConfig) -> ProperDocsConfig:
    """The menu: one entry for each kind, the pages in the order in which the map (docs/README.md) names them."""
    docs = ROOT / "docs"
    mapped = [found[3] for found in _LINK.finditer((docs / "README.md").read_text())]
    menu: list[Any] = [{"Docs": "README.md"}]
    for title, folder in KINDS.items():
        names = (path.relative_to(docs).as_posix() for path in (docs / folder).rglob("*.md"))
        pages = sorted(names, key=lambda name: mapped.index(name) if name in mapped else len(mapped))
        if pages:
            menu.append({title: pages})
    config.nav = [*menu, {"Project": list(TOP.values())}]
    return config


def on_files(files: Files, config: ProperDocsConfig) -> Files:
    """Adds the pages of the root."""
    for source, name in TOP.items():
        files.append(File.generated(config, name, content=(ROOT / source).read_text()))
    return files


def on_page_markdown(markdown: str, page: Page, config: ProperDocsConfig, files: Files) -> str:
    """Turns links of the forge into links of the site."""
    here = page.file.src_uri
    source = {name: top for top, name in TOP.items()}.get(here, f"docs/{here}")

    def turned(found: re.Match[str]) -> str:
        mark, label, target, anchor = found.groups(default="")
        if not target or ":" in target:
            return found[0]
        path = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        name = TOP.get(path, path.removeprefix("docs/"))
        if (path in TOP or path.startswith("docs/")) and files.get_file_from_path(name):
            return f"{mark}[{label}]({posixpath.relpath(name, posixpath.dirname(here) or '.')}{anchor})"
        return label if (ROOT / path).exists() else found[0]

    return _LINK.sub(turned, _FILE.sub(r"\1", markdown))


def on_page_content(html: str, page: Page, config: ProperDocsConfig, files: Files) -> str:
    """Gives tables the theme's look, which else comes by script, and not on every page."""
    return html.replace("<table>", '<table class="table table-striped table-sm">')
