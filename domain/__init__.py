"""Rules without I/O: what a callback means, when it is believed, what a check answers.

Faces nobody. No clock, no randomness, no logging, no database.
"""

if __name__ != "tenure.domain":
    raise ImportError(f"import tenure.domain, not {__name__}: under a second name its classes would be other classes")
