"""How far a command has come, told on standard error."""

import sys
from collections.abc import Callable


def progress() -> Callable[[float, str], None]:
    """Return a function that tells the progress on standard error: in one line on a terminal, every tenth in a log."""
    told = -1

    def tell(share: float, text: str) -> None:
        nonlocal told
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{share:4.0%} {text}")
            sys.stderr.flush()
        elif int(share * 10) != told:
            sys.stderr.write(f"{share:4.0%} {text}\n")
        told = int(share * 10)

    return tell


def end_progress() -> None:
    """Clear the line on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()
