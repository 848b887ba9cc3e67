"""`python -m training pool VIDEO OUT`, and what commands.py does with runs.

`pool`: a film as one picture a window and pooling method, in the folder that POVQA's programs read.
"""

import argparse
import json
import os
import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from store.errors import InputError, UserError
from training.commands import add_runs
from training.exporting import add_export
from training.lineage import add_lineage
from training.pool_files import JPEG_QUALITY, PoolOrder, Size, Tell, pool_to_files
from training.pool_layout import key_frame
from training.pooling import METHODS, PoolSettings

POOL = "A film as one picture a window and pooling method, in the folder that POVQA's programs read."
SIZE_PX = 448  # longest side
POVQA_SIZE_PX = (224, 224)
BAR = 30  # characters
MOST_PROBLEMS = 10  # of a subtitle file, that are told at once


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return 0, 1 when a run went wrong, or 2 with a sentence on standard error, as JSON where JSON was asked for."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.act(options))
    except UserError as error:
        sys.stderr.write(json.dumps({"error": str(error)}, ensure_ascii=False) + "\n" if getattr(options, "json", False) else f"{error}\n")
        return 2
    except BrokenPipeError:
        # Whoever reads has seen enough (| head); without this Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 1


def _pool(options: argparse.Namespace) -> int:
    order = _order(options)
    try:
        with _progress() as tell:
            told = pool_to_files(order, tell)
    except KeyboardInterrupt:
        raise InputError("Stopped. The same command goes on where this one was.") from None
    ours = told["eyewitness"]
    if ours["damaged_frames"]:
        sys.stderr.write(f"{order.video.name} is damaged: {ours['damaged_frames']} frames were left out; run_summary.json names their windows.\n")
    problems = ours["subtitle_problems"]
    for problem in problems[:MOST_PROBLEMS]:
        sys.stderr.write(f"{order.subtitles}: {problem}\n")
    if len(problems) > MOST_PROBLEMS:
        sys.stderr.write(f"{order.subtitles}: {len(problems) - MOST_PROBLEMS:,} more like these stand in run_summary.json.\n")
    if missing := told["key_frames_total_in_annotations"] - told["key_frames_found"]:
        sys.stderr.write(f"Key frames behind the end of the film or on damage, which were left out: {missing}.\n")
    sys.stdout.write(f"{order.folder}: {told['total_chunks']} windows, {', '.join(order.methods)}.\n")
    return 0


def _order(options: argparse.Namespace) -> PoolOrder:
    if options.fast and options.compat:
        raise InputError("--fast averages planes, which POVQA's way does not: leave one of --fast and --compat out.")
    if options.compat and (options.half_life, options.last_share) != (PoolSettings.half_life_s, PoolSettings.last_share):
        raise InputError("--compat has its own half-life and last share: leave --half-life and --last-share out, or --compat.")
    if options.fast and options.linear_light:
        raise InputError("--fast averages planes, in which light cannot be averaged: leave one of --fast and --linear-light out.")
    return PoolOrder(
        video=options.video,
        out=options.out,
        methods=METHODS if options.method == "all" else (options.method,),
        settings=PoolSettings(
            window_s=options.window,
            weights="povqa" if options.compat else "time",
            half_life_s=options.half_life,
            last_share=options.last_share,
            linear_light=options.linear_light,
            cut_at_shots=options.cut_at_shots,
        ),
        size=options.size if options.size is not None else POVQA_SIZE_PX if options.compat else SIZE_PX,
        png=options.png,
        fast=options.fast,
        subtitles=options.subtitles,
        keys=tuple(key_frame(moment, number) for number, moment in enumerate(options.key)),
        annotations=options.annotations,
    )


def _size(text: str) -> Size:
    """Return "448" as the longest side and "224x224" as width and height in pixels."""
    match = re.fullmatch(r"(\d{1,5})(?:x(\d{1,5}))?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is no size: give the longest side as 448, or width and height as 224x224")
    return int(match[1]) if match[2] is None else (int(match[1]), int(match[2]))


@contextmanager
def _progress() -> Iterator[Tell]:
    """Yield a function that tells the progress on standard error: a bar on a terminal, else a line every tenth."""
    begun_s, begun_at, tenth = time.monotonic(), -1, -1

    def tell(done: int, total: int) -> None:
        nonlocal begun_at, tenth
        begun_at = done if begun_at < 0 else begun_at
        total = max(done, total, 1)
        if sys.stderr.isatty():
            left_s = (time.monotonic() - begun_s) / max(done - begun_at, 1) * (total - done)
            bar = "#" * (BAR * done // total)
            sys.stderr.write(f"\r\x1b[K[{bar:<{BAR}}] {done:,} of {total:,} windows, {left_s:,.0f} s left")
            sys.stderr.flush()
        elif done * 10 // total != tenth:
            sys.stderr.write(f"{done:,} of {total:,} windows\n")
        tenth = done * 10 // total

    try:
        yield tell
    finally:
        if sys.stderr.isatty():
            sys.stderr.write("\r\x1b[K")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m training", description="Prepare what a model is trained on, and train it.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    add_runs(commands)
    add_export(commands)
    add_lineage(commands)
    pools = commands.add_parser("pool", help="pool a film's frames into pictures, all methods in one pass", description=POOL)
    pools.add_argument("video", type=Path, metavar="VIDEO")
    pools.add_argument("out", type=Path, metavar="OUT", help="the pictures go to OUT/<name of the video>")
    pools.add_argument("--method", choices=(*METHODS, "all"), default="all", help="default: %(default)s")
    pools.add_argument("--window", type=float, default=1.0, metavar="S", help="seconds in a picture (default: %(default)s); the last has a rest under S/20 too")
    pools.add_argument("--compat", choices=("povqa",), help="average, count frames and label times as POVQA's code does, at 224x224")
    pools.add_argument("--half-life", type=float, default=PoolSettings.half_life_s, metavar="S", help="of WAE and BBLF, in seconds (default: %(default)s)")
    pools.add_argument("--last-share", type=float, default=PoolSettings.last_share, metavar="X", help="of the last frame in BBLF (default: %(default)s)")
    pools.add_argument("--size", type=_size, metavar="PX", help=f"longest side as {SIZE_PX}, the default, or width and height as 224x224")
    pools.add_argument("--subtitles", type=Path, metavar="FILE", help=".srt, .vtt, TVQA's .jsonl, or a video: its first text stream")
    pools.add_argument("--key", nargs="+", action="extend", default=[], metavar="TIME", help="also keep the frame shown at HH:MM:SS or seconds, as it is")
    pools.add_argument("--annotations", type=Path, metavar="FILE", help="POVQA's annotations of the film; each timestamp is a key frame")
    pools.add_argument("--linear-light", action="store_true", help="average light instead of coded levels")
    pools.add_argument("--cut-at-shots", action="store_true", help="let no window blend two shots")
    pools.add_argument("--fast", action="store_true", help="average YUV planes and make pictures of the averages only; colours are coarser")
    pools.add_argument("--png", action="store_true", help=f"write PNG, bit for bit, instead of JPEG of quality {JPEG_QUALITY['quality']}")
    pools.set_defaults(act=_pool)
    return parser


if __name__ == "__main__":
    sys.exit(main())
