"""`python -m benchmarks [NAME ...] [--quick]` runs the modules, each in its own process, and writes docs/benchmarks.md."""

import argparse
import json
import os
import platform
import subprocess
import sys
from datetime import date
from pathlib import Path

from benchmarks.rows import Row, as_table

ROOT = Path(__file__).resolve().parents[1]
SUBJECTS = ("walk", "desk", "queue", "durability")


def measured(subject: str, quick: bool) -> list[Row]:
    """Return what one module prints."""
    command = [sys.executable, "-m", f"benchmarks.{subject}", "--json", *(["--quick"] if quick else [])]
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [Row(**row) for row in json.loads(told)["rows"]]


def main() -> None:
    """Run what is asked for; a full run of all subjects rewrites the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("subjects", nargs="*", default=SUBJECTS, metavar="NAME", help="of " + ", ".join(SUBJECTS))
    parser.add_argument("--quick", action="store_true")
    given = parser.parse_args()
    machine = f"{os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, {date.today().isoformat()}"
    parts = [f"# Benchmarks\n\nMeasured on {machine}, by `make benchmarks`. Shared cores: trust ratios more than seconds.\n"]
    for subject in given.subjects:
        parts.append(f"## {subject}\n\n{as_table(measured(subject, given.quick))}\n")
    if tuple(given.subjects) == SUBJECTS and not given.quick:
        (ROOT / "docs" / "benchmarks.md").write_text("\n".join(parts), encoding="utf-8")
    sys.stdout.write("\n".join(parts))


if __name__ == "__main__":
    main()
