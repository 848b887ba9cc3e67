"""`python docs/tree.py` prints the tree that stands in README: our modules, each with the first sentence of its docstring."""

import ast
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("store", "curation", "training")
# What is no module of ours, in the words that a newcomer needs.
OTHERS = {
    "assets/": "the desk's ES modules, styles, taxonomy, guidelines, prompts, the demo project",
    "benchmarks/": "figures with goals and controls: `make benchmarks`",
    "docs/": "formats, choices, benchmarks; the scripts that draw this tree and take the pictures",
    "tests/": "mirrors the rooms; tests/browser drives Chromium",
    "requirements.txt": "pinned, grouped by what each is for",
}


def tree() -> str:
    """Return the tree as text: two spaces a level, names, then sentences."""
    lines = [_line("app.py", _sentence(ROOT / "app.py"), 0)]
    for room in ROOMS:
        lines += _room(ROOT / room, 0)
    return "\n".join([*lines, *(_line(name, text, 0) for name, text in OTHERS.items())]) + "\n"


def _room(folder: Path, depth: int) -> list[str]:
    lines = [_line(folder.name + "/", _sentence(folder / "__init__.py"), depth)]
    for path in sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name)):
        if path.suffix == ".py" and path.name != "__init__.py":
            lines.append(_line(path.name, _sentence(path), depth + 1))
        elif path.is_dir() and (path / "__init__.py").exists():
            lines += _room(path, depth + 1)
    return lines


def _line(name: str, text: str, depth: int) -> str:
    return f"{'  ' * depth}{name}".ljust(26) + " " + text


def _sentence(path: Path) -> str:
    """Return the first sentence of a module's docstring, without its full stop."""
    told = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
    return re.split(r"\.(?:\s|$)|:\n", told.replace("\n", " "), maxsplit=1)[0].strip()[:130]


if __name__ == "__main__":
    sys.stdout.write(tree())
