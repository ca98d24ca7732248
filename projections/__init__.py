"""Faces questions: what is true now, or was at any position, folded from the log."""

if __name__ != "tenure.projections":
    raise ImportError(
        f"import tenure.projections, not {__name__}: under a second name its classes would be other classes"
    )
