"""The plan of the house holds: who may import whom, what stays light, and what the README draws."""

import ast
import json
import math
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FLOOR_0, CURATION, TRAINING = "store", "curation", "training"
HEAVY = ("torch", "torchvision", "transformers", "peft", "trl", "bitsandbytes", "datasets", "av", "krippendorff", "google.genai", "py3langid", "ray")
# On the top floor beside the rooms; the README need not draw them.
PAPERS = {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "LICENSE", "Makefile", "pyproject.toml"}
PAGES = ("app.py", "curation/ui/", "training/ui/")
# The modules of training/ that touch a model.
MODEL_FLOOR = tuple(f"training/{name}.py" for name in ("model", "tiny", "forward", "fit", "progress", "sft", "dpo", "losses", "evaluate", "writing", "merge"))
# Which library may be imported where; a path that ends in a slash is a folder.
ONLY_IN = {
    "gradio": PAGES,
    "fastapi": PAGES,
    "starlette": PAGES,
    "torch": ("training/torchvision_shim.py", *MODEL_FLOOR),
    "transformers": MODEL_FLOOR,
    "trl": ("training/sft.py", "training/dpo.py"),
    "trackio": ("training/exporting.py",),
    "peft": MODEL_FLOOR,
    "bitsandbytes": ("training/model.py",),
    "google": ("curation/synthesis/writers/gemini.py",),
    "ray": ("curation/synthesis/executors/on_ray.py",),
    "py3langid": ("curation/synthesis/language.py",),
    "av": ("store/video.py", "store/pictures.py", "store/proxy.py", "store/embedded_subtitles.py"),
}


def sources() -> list[Path]:
    return [ROOT / "app.py", *(path for room in (FLOOR_0, CURATION, TRAINING) for path in sorted((ROOT / room).rglob("*.py")))]


def imports_of(path: Path) -> set[str]:
    """Return every module that a file imports, at its top or inside a function."""
    return imports_in(path.read_text(encoding="utf-8"))


def imports_in(text: str) -> set[str]:
    found: set[str] = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def higher_floors(path: str, imported: set[str]) -> set[str]:
    """Return what a file imports from a floor that it stands under, or from its sibling."""
    own = path.split("/")[0]
    forbidden = {FLOOR_0: (CURATION, TRAINING, "app"), CURATION: (TRAINING, "app"), TRAINING: (CURATION, "app")}.get(own, ())
    wrong = {name for name in imported if name.split(".")[0] in forbidden}
    is_page = path.startswith(("curation/ui/", "training/ui/"))
    return wrong if is_page else wrong | {name for name in imported if name.startswith(("curation.ui", "training.ui")) and own != "app.py"}


def out_of_place(path: str, imported: set[str]) -> set[str]:
    """Return the libraries that this file may not import."""
    roots = {name.split(".")[0] for name in imported}
    return {
        library
        for library, places in ONLY_IN.items()
        if library in roots and not any(path == place or (place.endswith("/") and path.startswith(place)) for place in places)
    }


@pytest.mark.parametrize("path", sources(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_imports_downwards_and_each_library_in_its_place(path: Path) -> None:
    name = path.relative_to(ROOT).as_posix()
    assert not higher_floors(name, imports_of(path))
    assert not out_of_place(name, imports_of(path))


def test_the_rules_of_the_floors_see_a_breach() -> None:
    assert higher_floors("store/x.py", imports_in("def f():\n    from curation import desk"))
    assert higher_floors("curation/x.py", imports_in("import training.jobs"))
    assert higher_floors("curation/x.py", imports_in("from curation.ui import pairs"))
    assert out_of_place("curation/x.py", imports_in("import torch.nn"))
    assert not out_of_place("training/model.py", imports_in("import torch.nn"))


def sql_with_holes(tree: ast.AST) -> list[int]:
    """Return the lines where SQL is put together from an f-string, a % or a format call."""
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    asked = [node.args[0] for node in calls if node.func.attr in ("execute", "query", "executescript", "executemany") and node.args]  # type: ignore[attr-defined]
    return [node.lineno for node in asked if isinstance(node, ast.JoinedStr) or (isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "format")]


def test_sql_is_in_the_store_only_and_never_put_together() -> None:
    statement = re.compile(r"\b(SELECT\s.+\sFROM|INSERT\s+INTO|UPDATE\s+\w+\s+SET|DELETE\s+FROM|CREATE\s+TABLE)\b")
    for path in sources():
        text = path.read_text(encoding="utf-8")
        assert not sql_with_holes(ast.parse(text)), path
        if path.relative_to(ROOT).parts[0] != FLOOR_0:
            assert not statement.search(text), path
    assert sql_with_holes(ast.parse('db.execute(f"SELECT {x}")')), "the control"


def test_no_heavy_module_is_loaded_with_the_app() -> None:
    script = "import app, json, sys; print(json.dumps(sorted(sys.modules)))"
    loaded = set(json.loads(subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout))
    assert not loaded & set(HEAVY)
    assert "gradio" in loaded, "the control: the list is really read"


def test_importing_the_app_takes_at_most_a_quarter_longer_than_importing_gradio() -> None:
    # Instructions would be steadier than seconds, but need a profiler; the least of several CPU times is near enough.
    app = gradio = math.inf
    for _ in range(10):  # in turns, so that a slow moment of the machine meets both
        app, gradio = min(app, cpu_seconds("import app")), min(gradio, cpu_seconds("import gradio"))
        if app <= 1.25 * gradio:
            break
    assert app <= 1.25 * gradio, f"import app {app:.2f} s, import gradio {gradio:.2f} s of CPU"


def cpu_seconds(statement: str) -> float:
    script = f"import time\n{statement}\nprint(time.process_time())"
    return float(subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, check=True).stdout)


def test_readmes_tree_is_the_files_and_their_own_words() -> None:
    drawn = subprocess.run([sys.executable, "docs/tree.py"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert f"```text\n{drawn}```" in (ROOT / "README.md").read_text(encoding="utf-8"), "run python docs/tree.py and put what it prints into README"
    names = {line.split()[0].rstrip("/") for line in drawn.splitlines()}
    assert not {path.name for path in sources() if path.name != "__init__.py"} - names
    on_top = {path.split("/")[0] for path in subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()}
    assert not {name for name in on_top if not name.startswith(".")} - names - PAPERS
