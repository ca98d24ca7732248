"""Settings files of the how-tos, as systemd and `.env` read them: NAME=value lines."""

from pathlib import Path


def settings_in(file: Path) -> dict[str, str]:
    """The TENURE_ settings of a file, without the prefix."""
    lines = [line for line in file.read_text().splitlines() if line and not line.startswith("#")]
    pairs = [line.partition("=") for line in lines]
    assert all(name.startswith("TENURE_") for name, _, _ in pairs)
    return {name.removeprefix("TENURE_"): value for name, _, value in pairs}
