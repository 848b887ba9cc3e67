"""`python -m benchmarks [NAME ...] [--quick]` runs the modules, each in its own process, and renews their tables in docs/.

A table stands between two comments that name its subject: in docs/benchmarks.md all of them, on other pages those that they
speak of. A run renews the tables of what it ran and leaves the rest; a quick one renews none.
"""

import argparse
import json
import os
import platform
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

from benchmarks.rows import Row, as_table

ROOT = Path(__file__).resolve().parents[1]
SUBJECTS = ("walk", "desk", "queue", "durability", "decoders", "pooling", "training", "synthesis")
FIRST_PAGE = "# Benchmarks\n\nBy `make benchmarks`. Shared cores: trust ratios more than seconds.\n"


def measured(subject: str, quick: bool) -> list[Row]:
    """Return what one module prints."""
    command = [sys.executable, "-m", f"benchmarks.{subject}", "--json", *(["--quick"] if quick else [])]
    told = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout
    return [Row(**row) for row in json.loads(told)["rows"]]


def machine() -> str:
    """Return a sentence that says on what is measured, and when."""
    return f"Measured on {os.cpu_count()} cores, {platform.system()} {platform.machine()}, Python {platform.python_version()}, {date.today().isoformat()}."


def with_table(page: str, subject: str, table: str) -> str:
    """Return the page with this text between the subject's comments; a page without them stays as it is."""
    between = re.compile(rf"(<!-- figures: {subject} -->\n).*?(<!-- end of {subject} -->)", re.DOTALL)
    return between.sub(lambda found: f"{found[1]}{table}\n{found[2]}", page)


def with_places(page: str) -> str:
    """Return the page of all figures with an empty place for each subject that has none, at the end."""
    places = (
        f"\n## {subject}\n\n<!-- figures: {subject} -->\n<!-- end of {subject} -->\n" for subject in SUBJECTS if f"<!-- figures: {subject} -->" not in page
    )
    return page + "".join(places)


def renew(docs: Path, subject: str, table: str) -> None:
    """Write the table to every page of `docs` that has a place for it, and to benchmarks.md, which gets one."""
    everything = docs / "benchmarks.md"
    everything.write_text(with_places(everything.read_text(encoding="utf-8") if everything.exists() else FIRST_PAGE), encoding="utf-8")
    for page in docs.glob("*.md"):
        before = page.read_text(encoding="utf-8")
        after = with_table(before, subject, table)
        if after != before:
            page.write_text(after, encoding="utf-8")


def main() -> None:
    """Run what is asked for, print it, and renew its tables."""
    parser = argparse.ArgumentParser(description="Run benchmarks and renew their tables in docs/.")
    parser.add_argument("subjects", nargs="*", default=SUBJECTS, metavar="NAME", help="of " + ", ".join(SUBJECTS))
    parser.add_argument("--quick", action="store_true", help="measure less, for a check that it runs; renews no table")
    given = parser.parse_args()
    for subject in given.subjects:
        table = f"{machine()}\n\n{as_table(measured(subject, given.quick))}"
        sys.stdout.write(f"## {subject}\n\n{table}\n\n")
        sys.stdout.flush()
        if not given.quick:
            renew(ROOT / "docs", subject, table)


if __name__ == "__main__":
    main()
