"""Films to measure on, made by ffmpeg from the demo's clips: the same ones each time."""

import subprocess
from pathlib import Path

DEMO = Path(__file__).resolve().parents[1] / "assets" / "demo"
SCENES = ("cockatoo.mp4", "bunny.mp4", "throw.mp4", "tree-hand.mp4", "lecture-swing.mp4")  # 849 frames and 51 of the last
RATE, FRAMES = 30, 900
FILM = "the film: five scenes of the demo enlarged to 720p with grain, 900 frames, x264 veryfast, a key frame each 250 where no other is named"


def make_films(folder: Path, quick: bool) -> tuple[Path, Path]:
    """Write the film with a key frame each 250 frames, the longest that x264 leaves on its own, and one each second; return both. Cost: 30 s of CPU.

    `quick` makes a fifth of it, 640 x 360.
    """
    long, short = folder / "film.mp4", folder / "film-1s.mp4"
    width, height, count = (640, 360, FRAMES // 5) if quick else (1280, 720, FRAMES)
    same = f"scale={width}:{height}:force_original_aspect_ratio=increase,crop={width}:{height},setsar=1,format=yuv420p,setpts=N/{RATE}/TB"
    scenes = "".join(f"[{number}:v]{same}[v{number}];" for number in range(len(SCENES)))
    joined = "".join(f"[v{number}]" for number in range(len(SCENES)))
    graph = f"{scenes}{joined}concat=n={len(SCENES)},noise=alls=6:allf=t:all_seed=1,split[a][b]"
    encoder = ["-frames:v", str(count), "-r", str(RATE), "-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-sc_threshold", "0"]
    inputs = [word for name in SCENES for word in ("-i", str(DEMO / name))]
    command = ["-filter_complex", graph, "-map", "[a]", *encoder, "-g", "250", str(long), "-map", "[b]", *encoder, "-g", str(RATE), str(short)]
    run_ffmpeg("-y", *inputs, *command)
    return long, short


def make_long(path: Path, seconds: int) -> Path:
    """Write a film of 64 x 48 pixels, 24 frames/s, as long as asked; return its path. Cost: 20 s of CPU for an hour."""
    source = f"testsrc=size=64x48:rate=24:duration={seconds}"
    run_ffmpeg("-y", "-f", "lavfi", "-i", source, "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", str(path))
    return path


def decode_to_null(path: str) -> None:
    """Decode every frame and drop it: the floor that all ratios stand on."""
    run_ffmpeg("-threads", "1", "-i", path, "-map", "0:v:0", "-f", "null", "-")


def run_ffmpeg(*words: str) -> bytes:
    """Return what ffmpeg writes to its standard output."""
    return subprocess.run(["ffmpeg", "-v", "error", "-nostdin", *words], stdout=subprocess.PIPE, check=True).stdout
