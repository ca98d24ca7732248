"""Many rows in one statement: the text of a VALUES, the same for both databases."""

from functools import lru_cache


@lru_cache(maxsize=512)
def values(rows: int, width: int, cast: str = "") -> str:
    """`VALUES (?, …), …` for so many rows of so many columns; `cast` follows each mark."""
    row = f"({', '.join([f'?{cast}'] * width)})"
    return f"VALUES {', '.join([row] * rows)}"
