"""The clip's clock is the browser's clock: Chromium shows the frames that the media layer reads, at the same times."""

import http.server
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from playwright.sync_api import Browser, Page

from store.media import probe, read_frames
from store.proxy import make_proxy
from tests.clips import Extras, cut_clip, make_clip, number_in, uneven_times

UNEVEN = tuple(uneven_times(40).tolist())
LATE: Extras = {"times_s": tuple(t + 8.3 for t in UNEVEN)}
# Loads a file, seeks to each time, and tells the frame's media time and one row of pixels of its upper and lower half.
SHOW = """async ([url, times]) => {
  const video = document.createElement('video');
  const event = (target, name) => new Promise((done, fail) => {
    target.addEventListener(name, done, {once: true});
    target.addEventListener('error', () => fail(new Error(target.error.message)), {once: true});
  });
  Object.assign(video, {muted: true, preload: 'auto', src: url});
  document.body.replaceChildren(video);
  // The first frame is presented after it is loaded: a seek must not take it for its own.
  const begun = new Promise((done) => video.requestVideoFrameCallback(done));
  await event(video, 'loadeddata');
  await begun;
  const seen = {begins_s: video.currentTime, size: [video.videoWidth, video.videoHeight], frames: []};
  const context = Object.assign(document.createElement('canvas'), {width: video.videoWidth, height: video.videoHeight}).getContext('2d');
  const row = (share) => Array.from(context.getImageData(0, Math.floor(video.videoHeight * share), video.videoWidth, 1).data);
  for (const time of times) {
    const presented = new Promise((done) => video.requestVideoFrameCallback((_, frame) => done(frame.mediaTime)));
    video.currentTime = time;
    await event(video, 'seeked');
    const media_time = await presented;
    context.drawImage(video, 0, 0);
    seen.frames.push([media_time, row(0.25), row(0.75)]);
  }
  return seen;
}"""


class Ranges(http.server.SimpleHTTPRequestHandler):
    """Serves files with the open ranges that Chromium asks for."""

    def do_GET(self) -> None:
        path = Path(self.directory) / unquote(self.path[1:])
        content = path.read_bytes() if path.is_file() else b"<!doctype html><body></body>"
        begin = int(self.headers.get("Range", "bytes=0-")[6:].split("-")[0])
        self.send_response(206 if begin or "Range" in self.headers else 200)
        self.send_header("Content-Type", "video/mp4" if path.is_file() else "text/html")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("Content-Range", f"bytes {begin}-{len(content) - 1}/{len(content)}")
        self.send_header("Content-Length", str(len(content) - begin))
        self.end_headers()
        self.wfile.write(content[begin:])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("browser")


@pytest.fixture(scope="module")
def page(chromium: Browser, folder: Path) -> Iterator[Page]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), lambda *given: Ranges(*given, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    page = chromium.new_page()
    page.goto(f"http://127.0.0.1:{server.server_port}/")
    yield page
    page.close()
    server.shutdown()


def show(page: Page, path: Path, times_s: list[float]) -> dict[str, Any]:
    seen: dict[str, Any] = page.evaluate(SHOW, [f"/{path.name}", times_s])
    return seen


def number_shown(upper: list[int], lower: list[int]) -> int:
    rows = [np.array(row, dtype=np.uint8).reshape(1, -1, 4)[..., :3] for row in (upper, lower)]
    return number_in(np.vstack([np.repeat(row, 8, axis=0) for row in rows]))


PLAYED: list[tuple[str, str, Extras]] = [
    ("uneven.mp4", "libx264", {"times_s": UNEVEN}),
    ("late picture.mp4", "libx264", {"times_s": tuple(t + 0.5 for t in UNEVEN), "sound": "aac", "sound_s": (0.0, 2.0)}),
    ("vp8.webm", "libvpx", {"times_s": UNEVEN, "sound": "libopus"}),
    ("vp9.webm", "libvpx-vp9", {}),
    ("av1.mp4", "libsvtav1", {"pixel_format": "yuv420p10le"}),
    ("mp3.mov", "libx264", {"sound": "libmp3lame"}),
]
PROXIED: list[tuple[str, str, Extras]] = [
    ("hevc.mkv", "libx265", {"times_s": UNEVEN}),
    ("late.webm", "libvpx", LATE),
    ("late picture.mkv", "libx264", {"times_s": tuple(t + 0.5 for t in UNEVEN), "sound": "ac3", "sound_s": (0.0, 2.0)}),
    ("odd.mp4", "libx264", {"size": (161, 65), "pixel_format": "yuv444p"}),
]


def assert_same_frames(page: Page, path: Path) -> None:
    found = probe(path)
    assert found.playable and found.duration_s is not None
    ends_s = np.append(found.frame_times[1:], found.duration_s)
    numbers = [1, 13, len(ends_s) - 1, 14, 12]
    middles_s = ((found.frame_times + ends_s) / 2)[numbers]
    seen = show(page, path, middles_s.tolist())
    assert seen["size"] == [found.width, found.height]
    assert [time for time, _, _ in seen["frames"]] == pytest.approx(found.frame_times[numbers], abs=2e-6)
    assert [number_shown(upper, lower) for _, upper, lower in seen["frames"]] == [number_in(p) for p in read_frames(path, middles_s).pixels]


@pytest.mark.parametrize(("name", "codec", "extras"), PLAYED, ids=[kind[0] for kind in PLAYED])
def test_chromium_plays_what_is_called_playable_frame_by_frame(page: Page, folder: Path, name: str, codec: str, extras: Extras) -> None:
    make_clip(folder / name, seconds=1.6, codec=codec, **extras)
    assert_same_frames(page, folder / name)


def test_chromium_hides_what_an_edit_list_hides(page: Page, folder: Path) -> None:
    make_clip(folder / "whole.mp4")
    cut_clip(folder / "whole.mp4", folder / "cut.mp4", start_s=0.72)
    assert_same_frames(page, folder / "cut.mp4")


@pytest.mark.parametrize(("name", "codec", "extras"), PROXIED, ids=[kind[0] for kind in PROXIED])
def test_chromium_plays_a_proxy_on_the_clock_of_its_original(page: Page, folder: Path, name: str, codec: str, extras: Extras) -> None:
    make_clip(folder / name, seconds=1.6, codec=codec, **extras)
    proxy = folder / f"{name}.proxy.mp4"
    make_proxy(folder / name, proxy)
    assert probe(proxy).frame_times == pytest.approx(probe(folder / name).frame_times, abs=1e-3)
    assert_same_frames(page, proxy)


def test_chromium_runs_another_clock_where_a_file_starts_late(page: Page, folder: Path) -> None:
    """The control: why such a file is not called playable."""
    path = folder / "late alone.webm"
    make_clip(path, codec="libvpx", **LATE)
    assert show(page, path, [])["begins_s"] == pytest.approx(8.3, abs=1e-3)
    assert not probe(path).playable
