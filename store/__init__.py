"""Faces the disk: the append-only log, the vault of tenant keys, the decision log."""

if __name__ != "tenure.store":
    raise ImportError(f"import tenure.store, not {__name__}: under a second name its classes would be other classes")
