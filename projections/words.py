"""A stranger's text as it may be shown: as text, in one place, and nowhere else.

Left in: every letter, sign and space of Unicode, and the joiners that some scripts need. Shown as a replacement sign:
control characters, line breaks, characters that turn the direction of what follows, lone surrogates, what has no
meaning. Of marks stacked on one letter four are kept, so that no text reaches into the lines above and below.
Escaping is left to whoever writes HTML, XML or a terminal's line.
"""

import unicodedata

SIGN = "\ufffd"
STACKED = 4
_JOINERS = "\u200c\u200d\ufe0f"
_STRANGE = frozenset(("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"))


def tame(text: str) -> str:
    """The text as it may be shown."""
    if text.isascii() and text.isprintable():
        return text
    shown: list[str] = []
    marks = 0
    for letter in text:
        kind = unicodedata.category(letter)
        marks = marks + 1 if kind in ("Mn", "Me") else 0
        if kind in _STRANGE and letter not in _JOINERS:
            shown.append(SIGN)
        elif marks <= STACKED:
            shown.append(letter)
    return "".join(shown)
