"""Named stories of a Jira app's life: what a site or a stranger does, and what each step must give.

A story is played on a `Stage` against any running Tenure. It lays out fresh sites for itself, so that it can be
played again and again, beside other traffic, and leaves nothing but tenants of its own.
"""

from tenure.simulator.stories import attacks, life, mistakes, races
from tenure.simulator.stories.stage import Story

STORIES: dict[str, Story] = {
    story.name: story for room in (life, races, attacks, mistakes) for story in room.CHAPTER.stories
}
