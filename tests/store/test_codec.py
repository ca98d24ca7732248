"""What an event says is read alike, whether its stored text is validated or known to be as it was made."""

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from tenure.domain.events import Data, Draft, EventType, Installed, Switched
from tenure.store.codec import data_of, data_of_own, encode

TEXT = st.text(max_size=6)
DATA: st.SearchStrategy[Data] = st.one_of(
    st.builds(Switched, TEXT),
    st.builds(Installed, **{one.name: TEXT if one.default == "" else st.text(min_size=1) for one in fields(Installed)}),
)
SWITCHES = (EventType.UNINSTALLED, EventType.ENABLED, EventType.DISABLED)


@given(DATA, st.sampled_from(SWITCHES))
def test_what_was_just_made_is_read_as_if_validated(data: Data, switch: EventType) -> None:
    """The quick reading gives what the validating one gives, and both what was stored."""
    kind = EventType.INSTALLED if isinstance(data, Installed) else switch
    _, _, text = encode(Draft(kind, {}, data))
    assert data_of_own(kind, text) == data_of_own(kind, text.encode()) == data_of(kind, text) == data


@pytest.mark.parametrize("text", ['{"secret":"s"}', "{}", "[]", "nothing"])
def test_an_install_without_its_parts_is_refused_by_both(text: str) -> None:
    """What no install ever stored is no event, however it is read."""
    for read in (data_of, data_of_own):
        with pytest.raises((ValidationError, ValueError, AttributeError)):
            read(EventType.INSTALLED, text)
