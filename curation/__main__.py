"""`python -m curation import FORMAT FILE --videos DIR`, `find-media --videos DIR`, `proxies`, `export-annotations` and `negatives`, with `--data DIR`.

What it does with syntheses stands in synthesis/commands.py, and `inversions` in synthesis/inversions.py.
"""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from curation.annotation_export import FILE, export_annotations
from curation.datasets import FORMATS
from curation.import_media import find_media
from curation.import_summary import media_json
from curation.importing import ImportRequest, run_import
from curation.negatives import SEED, make_negatives
from curation.progress import end_progress, progress
from curation.proxies import make_proxies
from curation.synthesis.commands import add_synthesis
from curation.synthesis.inversions import add_command
from store.database import open_store
from store.errors import InputError, UserError
from store.settings import default_data

TEXTS = "texts"  # the format whose clips are here already


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says and write JSON, or a table; return 0, or 2 with a sentence on standard error."""
    options = _parser().parse_args(arguments)
    try:
        told = options.act(options)
        end_progress()
    except UserError as error:
        end_progress()
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        end_progress()
        sys.stderr.write("Stopped before the end. The same command may be given again.\n")
        return 2
    sys.stdout.write((told if isinstance(told, str) else json.dumps(told, ensure_ascii=False, indent=2)) + "\n")
    if isinstance(told, dict) and told.get("problem"):
        sys.stderr.write(f"{told['problem']}\n")
        return 2
    return 0


def _import(options: argparse.Namespace) -> dict[str, Any]:
    if options.videos is None and options.format != TEXTS:
        raise InputError("Say where the videos lie (--videos DIR). Only texts alone need none.")
    request = ImportRequest(
        options.format, options.file, options.data, options.videos, options.subtitles, options.candidates, options.intervals, options.dataset, options.overlap
    )
    summary = run_import(request, progress())
    return summary.as_json() | {"proxies": _proxies(options)}


def _find_media(options: argparse.Namespace) -> dict[str, Any]:
    given = find_media(options.data, options.videos, options.dataset, progress())
    told = {"clips_given": given.clips, "spans_cut": given.spans_cut, "spans_dropped": given.spans_dropped}
    return told | {"media": media_json(given.media), "proxies": _proxies(options)}


def _proxies(options: argparse.Namespace) -> dict[str, Any]:
    done = make_proxies(options.data, progress())
    failed = [{"name": name, "reason": reason} for name, reason in done.failed]
    return {"made": list(done.made), "failed": failed, "another_maker_is_at_work": done.is_elsewhere}


def _export_annotations(options: argparse.Namespace) -> dict[str, Any]:
    path, count = export_annotations(options.data, options.out)
    return {"file": str(path), "annotations": count}


def _negatives(options: argparse.Namespace) -> dict[str, Any]:
    with open_store(options.data) as db:
        made = make_negatives(db, options.seed)
    return {"new": made.new, "standing": dict(made.standing), "gone": made.gone, "left_out": dict(made.left_out), "seed": made.seed}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m curation", description="Bring clips, questions and texts in, have texts written, and bring annotations out."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    formats = "".join(f"\n  {format.name:<10} {format.sentence}" for format in FORMATS.values())
    imports = commands.add_parser(
        "import",
        help="import an annotation file and its videos",
        description=f"Import an annotation file and its videos.\n\nformats:{formats}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    imports.add_argument("format", choices=FORMATS, metavar="FORMAT")
    imports.add_argument("file", type=Path, metavar="FILE", help="the annotation file")
    _add_videos(imports, required=False)
    imports.add_argument("--dataset", metavar="NAME", help="name of the data set, where the format's own will not do")
    imports.add_argument("--subtitles", type=Path, metavar="DIR", help="folder of .srt and .vtt files named like the clips or videos")
    imports.add_argument("--candidates", type=Path, metavar="FILE", help="texts about these clips: candidate records in our own JSON lines, or a table (.csv)")
    imports.add_argument("--intervals", type=Path, metavar="FILE", help="nextgqa: the gsub JSON (default: gsub_<name>.json or *.gsub.json beside FILE)")
    imports.add_argument("--overlap", type=int, default=2, metavar="N", help="annotations wanted of each candidate; 0 queues none (default: %(default)s)")
    imports.set_defaults(act=_import)
    finds = commands.add_parser("find-media", help="look for the files that clips wait for")
    _add_videos(finds)
    finds.add_argument("--dataset", metavar="NAME", help="look for the files of this data set only")
    finds.set_defaults(act=_find_media)
    proxies = commands.add_parser("proxies", help="make playable copies of what no browser plays")
    proxies.set_defaults(act=_proxies)
    exports = commands.add_parser("export-annotations", help="write all annotations as JSON lines")
    exports.add_argument("--out", type=Path, metavar="FILE", help=f"file to write (default: {FILE} in the data directory)")
    exports.set_defaults(act=_export_annotations)
    negatives = commands.add_parser("negatives", help="make correctness pairs: the right answer over the wrong option most like it")
    negatives.add_argument(
        "--seed", type=int, default=SEED, metavar="N", help="decides between wrong options equally like the right one (default: %(default)s)"
    )
    negatives.set_defaults(act=_negatives)
    for command in (imports, finds, proxies, exports, negatives):
        command.add_argument("--data", type=Path, default=default_data(), metavar="DIR", help="data directory (default: %(default)s)")
    add_synthesis(commands)
    add_command(commands)
    return parser


def _add_videos(command: argparse.ArgumentParser, required: bool = True) -> None:
    also = "" if required else f"; needed by all formats but {TEXTS}"
    command.add_argument("--videos", type=Path, required=required, metavar="DIR", help=f"folder of the videos; folders inside it are searched too{also}")


if __name__ == "__main__":
    sys.exit(main())
