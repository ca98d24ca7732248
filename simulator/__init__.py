"""Plays the other party: a Jira site, its key host and an app's receiver, signing for real."""

if __name__ != "tenure.simulator":
    raise ImportError(
        f"import tenure.simulator, not {__name__}: under a second name its classes would be other classes"
    )
