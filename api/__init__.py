"""Faces the network: proves the caller, asks the domain, answers."""

if __name__ != "tenure.api":
    raise ImportError(f"import tenure.api, not {__name__}: under a second name its classes would be other classes")
