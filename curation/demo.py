"""The demo project: real clips with questions and texts, some of them flawed on purpose (assets/demo)."""

from collections.abc import Callable
from pathlib import Path

from curation.import_summary import Summary
from curation.importing import ImportRequest, run_import

DEMO = Path(__file__).resolve().parents[1] / "assets" / "demo"
OVERLAP = 2


def load_demo(data: Path, progress: Callable[[float, str], None] = lambda share, text: None) -> Summary:
    """Import the demo project into `data` and return what came in; every text is queued for two annotators."""
    return run_import(ImportRequest("jsonl", DEMO / "demo.jsonl", data, videos=DEMO, overlap=OVERLAP), progress)
