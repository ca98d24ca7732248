"""What the decision log says differently to SQLite and to PostgreSQL; everything else is the same text for both."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """`one_of`: among the texts of a JSON list, a parameter. `agent`: a decision's user agent, or empty. `walked`: the
    time of a decision as no index knows it, so that the planner walks another. `numbering`: the number of a new alarm,
    where it is not given by itself.
    """

    one_of: str
    agent: str
    walked: str
    numbering: str


SQLITE = Dialect(
    one_of="IN (SELECT value FROM json_each(?))",
    agent="coalesce(json_extract(facts, '$.user_agent'), '')",
    walked="+at",
    numbering="NULL",
)
POSTGRES = Dialect(
    one_of="IN (SELECT json_array_elements_text(?::json))",
    agent="coalesce(facts::json ->> 'user_agent', '')",
    walked="(at || '')",
    numbering="(SELECT coalesce(max(number), 0) + 1 FROM alarms)",
)
