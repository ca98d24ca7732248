"""A question as it came over HTTP: known parameters, each once, of the right shape; anything else is a 400 with why.

Nothing of a question reaches a statement but as a parameter; names of columns and orders are ours alone.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, quote, urlencode

from tenure.api.formats import CLOUD
from tenure.api.http import Call
from tenure.domain.questions import MAX_POSITION, stored_time

LIMIT = 100
MAX_LIMIT = 1000
WHOSE = ("tenant", "claimed", "identifier", "kid")  # empty, each would ask for everybody's


class QuestionError(Exception):
    """The question cannot be answered as it is asked; the message is a sentence for the one who asks."""

    def __init__(self, sentence: str, status: int = 400) -> None:
        super().__init__(sentence)
        self.status = status


class Question:
    """The parameters of a call, or QuestionError. `known` are the names that the route takes."""

    def __init__(self, call: Call, known: frozenset[str]) -> None:
        self._path = call.path
        try:
            pairs = parse_qsl(call.query, keep_blank_values=True, max_num_fields=40, errors="strict")
        except ValueError:
            raise QuestionError("The query is not well-formed.") from None
        self._values = dict(pairs)
        for name, value in pairs:
            if name not in known:
                raise QuestionError(f"There is no parameter {name[:40]!r} here; there are: {', '.join(sorted(known))}.")
            if "\0" in value or len(value) > 2000:
                raise QuestionError(f"{name} is no text of at most 2000 characters.")
            if name in WHOSE and not value:
                raise QuestionError(f"{name} is empty; leave it out to ask for all.")
        if len(pairs) != len(self._values):
            raise QuestionError("A parameter stands twice.")

    def text(self, name: str) -> str | None:
        """The text given, None if there is none; what is there and empty counts as not given."""
        return self._values.get(name) or None

    def one_of(self, name: str, allowed: tuple[str, ...]) -> str | None:
        """One of the words allowed."""
        value = self.text(name)
        if value is not None and value not in allowed:
            raise QuestionError(f"{name} is one of {', '.join(allowed)}.")
        return value

    def number(self, name: str, least: int = 0, most: int = MAX_POSITION) -> int | None:
        """A whole number in a range."""
        value = self.text(name)
        if value is None:
            return None
        if not (value.isascii() and value.isdigit() and len(value) < 20 and least <= int(value) <= most):
            raise QuestionError(f"{name} is a whole number from {least} to {most}.")
        return int(value)

    def time(self, name: str) -> str | None:
        """A stored time, from ISO 8601 with zone or an age."""
        value = self.text(name)
        try:
            return stored_time(value, datetime.now(UTC)) if value else None
        except ValueError as error:
            raise QuestionError(f"{name}: {error}.") from None

    def limit(self) -> int:
        """How many items a page may have."""
        found = self.number("limit", 1, MAX_LIMIT)
        return LIMIT if found is None else found

    def next_link(self, after: str) -> str:
        """The URL of the next page, relative to the host; safe in a header."""
        values: Mapping[str, str] = {**self._values, "after": after}
        return f"{quote(self._path, safe='/%:@~-._!$&()*+,;=')}?{urlencode(values)}"


def as_cloud_events(call: Call, question: Question) -> bool:
    """Whether items are asked for as CloudEvents."""
    named = question.one_of("format", ("cloudevents",)) is not None
    return named or CLOUD in (piece.partition(";")[0].strip().lower() for piece in call.one(b"accept").split(","))
