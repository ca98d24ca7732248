"""The command `tenure`, also as `python -m tenure`.

All else is imported within `main`, so that Ctrl-C in a command's first moments ends it as Ctrl-C does later: status
130 and no traceback. There is nothing to clean up before the imports are done, and an interrupt raised in the middle
of one would come out of it as whatever that module makes of it; so until then the signal ends the process at once.

The garbage collector rests while `serve` is imported: it would look 200 times for garbage that imports do not make, a
fifteenth of a start.
"""

import os
import signal
import sys
from types import FrameType

INTERRUPTED = 130


def main() -> None:
    """Runs the command line."""
    # a shell starts what it puts in the background with the signal ignored; that stays
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if heard:
        signal.signal(signal.SIGINT, _end)
    if sys.argv[1:2] == ["serve"]:
        import gc  # noqa: PLC0415 (see above)

        gc.disable()
        from tenure.cli.root import main as run  # noqa: PLC0415 (see above)
    else:
        from tenure.cli.main import main as run  # noqa: PLC0415

    if heard:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        run()
    except KeyboardInterrupt:
        raise SystemExit(INTERRUPTED) from None


def _end(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
