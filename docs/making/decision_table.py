"""The page of the decision table, from `domain/lifecycle.py`."""

from tenure.domain.callbacks import Callback
from tenure.domain.lifecycle import Outcome, Proof, look_up
from tenure.domain.tenant import Standing

HEAD = """# Decision table

<!-- Made by `make pictures` from domain/lifecycle.py. Change that, then make it again. -->

What each lifecycle call comes to, once its token has been read and, if there is one, been found good in every step up
to [the state](reasons.md). The tenant is *unknown* (never installed, or erased), *live*, or *uninstalled* (kept).

- **event**: believed, appended to the log, in force with the 204.
- **acknowledged**: believed and answered 204, but nothing changes and no event is written.
- a code: refused, for [that reason](reasons.md).

Proofs: **RS256** by a key of Atlassian's own, published at the key host. **HS256** by the secret stored for this
tenant. **none**: the call carries no token. A picture of the same: [the lifecycle](../explanation/lifecycle.md).
"""
MODES = {
    False: "\n## As it comes: signed installs only\n",
    True: "\n## With `LEGACY_INSTALL=on`\n\nWhat differs is in bold. Only for hosts without signed install.\n",
}
PROOFS = {Proof.RS256: "RS256", Proof.HS256: "HS256", Proof.NONE: "none"}


def page() -> str:
    """The Markdown text: one table for each mode."""
    parts = [HEAD]
    for legacy, title in MODES.items():
        parts.append(title + "\n| Callback | Proof | unknown | live | uninstalled |\n|---|---|---|---|---|\n")
        for callback in Callback:
            for proof in Proof:
                cells = " | ".join(_cell(callback, proof, where, legacy) for where in Standing)
                parts.append(f"| {callback.value} | {PROOFS[proof]} | {cells} |\n")
    return "".join(parts)


def _cell(callback: Callback, proof: Proof, where: Standing, legacy: bool) -> str:
    usual, asked = (look_up(callback, proof, where, mode) for mode in (False, legacy))
    outcome, reason = asked
    words = f"`{reason.value}`" if reason else "event" if outcome is Outcome.APPEND else "acknowledged"
    return f"**{words}**" if asked != usual else words
