// The video: plays inside the clip's span only, steps by real frames, knows which frame is on screen and which were played.
import { el } from "./elements.js";
import { Frames } from "./frames.js";
import { Search } from "./search.js";
import { Watched } from "./watched.js";

export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];
const TURN_S = 0.02; // a span ends this long before its last frame does, because a seek takes as long to be heard

/**
 * Two video elements: one shows the clip, the other loads the next one and is swapped in.
 *
 * `stage.dataset.frame` names the frame that is on screen, by the browser's own report.
 *
 * Callbacks: `onFrame(index)` for each frame asked for or on screen, `onPlaying(playing)`, `onReady()` when a frame that was sought can be seen,
 * `onProblem(sentence or null)`.
 */
export class Player {
  constructor(callbacks) {
    Object.assign(this, { callbacks, speed: 1, loop: null, head: 0, anchor: 0, settled: true, reports: new Map() });
    this.search = new Search({ reported: () => this.#reported, onFound: (index) => this.#show(index) });
    this.stage = el("div", { class: "ew-stage", id: "desk-stage" });
    [this.video, this.spare] = [this.#element(), this.#element()];
    this.spare.hidden = true;
    this.stage.append(this.video, this.spare);
    this.frames = new Frames([], 1);
    this.watched = new Watched(this.frames, []);
  }

  /** Show a clip: `{url, start_s, end_s, frames}`, with the frames that were watched before as `[first, last]` pairs. */
  load({ url, start_s, end_s, frames }, watchedBefore = []) {
    this.video.pause();
    this.#forget();
    Object.assign(this, { clip: { url, start_s, end_s, times: frames }, loop: null, head: 0, anchor: 0, watchedBefore });
    this.#measure(end_s === null ? (frames.at(-1) ?? 0) : end_s - start_s);
    this.callbacks.onProblem(url ? null : "The video of this clip is missing. Skip the item, or ask an admin to import it again.");
    if (this.spare.dataset.url === url) this.#swap();
    if (this.video.dataset.url !== url || this.video.error) this.#open(this.video, url); // one that failed ahead, without a network, gets another try
    this.video.playbackRate = this.speed;
    delete this.stage.dataset.frame;
    this.touched = false; // whether anybody played or looked for a frame since
    this.callbacks.onFrame(0);
    if (this.video.readyState >= HTMLMediaElement.HAVE_METADATA) this.#known();
  }

  /** Load a clip into the hidden element and find its first frame there, so that it can be swapped in. */
  preload({ url, start_s, frames }) {
    if (!url || url === this.video.dataset.url || url === this.spare.dataset.url) return;
    this.#open(this.spare, url);
    this.spare.currentTime = start_s + (frames.length ? new Frames(frames, 0).middle(0) : 0);
  }

  /** Load the clip anew when that went wrong: the network may be back. */
  retry() {
    if (this.video.error) this.#open(this.video, this.video.dataset.url);
  }

  get playing() {
    return !this.video.paused && !this.search.creeping;
  }

  /** Play or pause. */
  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** Stop on the frame that the clock names: the picture may be one ahead of what was reported, so it is sought again. */
  pause() {
    this.video.pause();
    this.#seekFrom(this.anchor, this.frames.at(this.video.currentTime - this.clip.start_s));
  }

  /** Play from the frame on screen; from the start when that is the last one. */
  play() {
    const [first, last] = this.#span;
    if (this.head >= last || this.head < first) this.seek(first);
    if (!this.search.wish) this.search.stop();
    this.anchor = this.head;
    this.watched.jump();
    this.touched = true;
    this.#roll();
  }

  /** Stop and show the frame `count` further on. */
  step(count) {
    this.video.pause();
    this.#seekFrom(this.anchor, this.head + count);
  }

  /** Show a frame; what was played last is then this frame alone. */
  seek(index) {
    this.touched = true;
    this.head = this.anchor = Math.max(0, Math.min(this.frames.count - 1, index));
    this.watched.jump();
    this.#go();
    this.callbacks.onFrame(this.head);
  }

  /** Play `[first, last]` over and over; null ends that. */
  setLoop(range) {
    this.loop = range;
    if (range === null) return;
    this.seek(range[0]);
    this.play();
  }

  /** Take the next speed up (1) or down (-1). */
  changeSpeed(step) {
    this.speed = SPEEDS[Math.max(0, Math.min(SPEEDS.length - 1, SPEEDS.indexOf(this.speed) + step))];
    this.video.playbackRate = this.speed;
    this.#turnInTime();
  }

  /** Return the frames played last as `[first, last]`: from where Play was pressed or the loop begins to the frame on screen. */
  get played() {
    if (this.loop && this.head >= this.loop[0] && this.head <= this.loop[1]) return this.loop;
    return [Math.min(this.anchor, this.head), Math.max(this.anchor, this.head)];
  }

  /** Return what a loop plays when nothing else is named: the frames played last, or the whole clip when that is one frame. */
  get playedRange() {
    const [first, last] = this.played;
    return first === last ? [0, this.frames.count - 1] : [first, last];
  }

  /** Return the share, 0 to 1, of the clip's frames that were on screen while it played or was stepped through. */
  get watchedShare() {
    return this.watched.share;
  }

  /** Return the frames that were watched as `[first, last]` pairs. */
  get watchedRanges() {
    return this.watched.ranges;
  }

  get #span() {
    return this.loop ?? [0, this.frames.count - 1];
  }

  /** The frame that the browser reported last; -1 and `frames.count` lie before and after the clip, null is none yet. */
  get #reported() {
    return this.reports.has(this.video) ? this.frames.nearest(this.reports.get(this.video) - this.clip.start_s) : null;
  }

  #element() {
    const video = el("video", { playsinline: true, preload: "auto", tabindex: "-1", "aria-label": "Clip", disablepictureinpicture: true });
    const mine = (act) => () => video === this.video && this.clip && act();
    video.addEventListener("loadedmetadata", mine(() => this.#known()));
    video.addEventListener("seeked", mine(() => this.#arrived()));
    video.addEventListener("playing", mine(() => this.#turnInTime()));
    video.addEventListener("play", mine(() => this.search.creeping || this.callbacks.onPlaying(true)));
    video.addEventListener("pause", mine(() => this.callbacks.onPlaying(false)));
    video.addEventListener("ended", mine(() => this.#turn()));
    video.addEventListener("error", mine(() => this.#broken()));
    video.addEventListener("click", () => this.toggle());
    this.#hear(video, mine(() => this.#presented()));
    return video;
  }

  /** Have the browser report each frame that it shows; one that cannot is asked for its clock. */
  #hear(video, act) {
    const told = (_, { mediaTime }) => {
      video.requestVideoFrameCallback?.(told); // first: who seeks before asking again loses the next report at times
      this.reports.set(video, mediaTime);
      act();
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(told);
    else video.addEventListener("timeupdate", () => told(null, { mediaTime: this.clip.start_s + this.frames.start(this.frames.at(video.currentTime - this.clip.start_s)) }));
  }

  #open(video, url) {
    this.reports.delete(video);
    video.dataset.url = url ?? "";
    if (url) video.src = url;
    else video.removeAttribute("src");
    video.load();
  }

  #swap() {
    [this.video, this.spare] = [this.spare, this.video];
    this.spare.pause();
    [this.video.hidden, this.spare.hidden] = [false, true];
  }

  #seekFrom(anchor, index) {
    this.seek(index);
    this.anchor = anchor;
  }

  /** Look for the frame `head`. */
  #go() {
    this.#forget();
    this.settled = false;
    this.search.begin(this.video, { frames: this.frames, start_s: this.clip?.start_s ?? 0, speed: this.speed }, this.head);
  }

  #forget() {
    clearTimeout(this.turning);
    this.search.stop();
  }

  /** The browser came to the place where it was sent. */
  #arrived() {
    if (this.playing && !this.search.wish) this.search.stop();
    this.search.arrived();
    this.#turnInTime();
  }

  /** The browser reports the frame on screen: the truth while it plays, and the answer to a search at rest. */
  #presented() {
    if (!this.playing) return this.search.told();
    if (this.video.seeking || this.search.wish) return undefined;
    const index = this.#reported;
    if (index > this.#span[1]) this.#turn();
    else if (index >= 0) this.#show(index);
    return this.#turnInTime();
  }

  #show(index) {
    this.head = index;
    this.watched.add(index, this.speed);
    this.stage.dataset.frame = String(index);
    this.callbacks.onFrame(index);
    if (this.settled) return;
    this.settled = true;
    this.callbacks.onReady();
  }

  /** Turn round while the span's last frame is on screen: who waits for the report of the next one shows it. */
  #turnInTime() {
    clearTimeout(this.turning);
    if (!this.playing || this.video.seeking) return;
    const last = this.#span[1];
    const end_s = Math.max(this.frames.middle(last), this.frames.end(last) - TURN_S * this.speed);
    const left_ms = ((end_s - (this.video.currentTime - this.clip.start_s)) / this.speed) * 1000;
    if (left_ms <= 1) this.#turn();
    else this.turning = setTimeout(() => this.#turnInTime(), left_ms);
  }

  /** Let it run; who pauses or takes another clip before it does breaks nothing. */
  #roll() {
    this.video.play().catch((error) => {
      if (error.name !== "AbortError") this.#broken();
    });
  }

  /** The span is over: begin it again, or stop on its last frame. */
  #turn() {
    const [first, last] = this.#span;
    if (this.loop) {
      const playing = this.playing || this.video.ended;
      this.seek(first);
      if (playing) this.#roll();
      return;
    }
    this.watched.add(last, this.speed);
    this.video.pause();
    this.#seekFrom(this.anchor, last);
  }

  /** The file's own length is known: guess the frames anew where nobody knew it, and go where somebody asked meanwhile. */
  #known() {
    if (this.clip.end_s === null && Number.isFinite(this.video.duration)) this.#measure(this.video.duration - this.clip.start_s);
    this.callbacks.onProblem(null);
    this.#go();
  }

  #measure(length_s) {
    this.frames = new Frames(this.clip.times, length_s);
    this.watched = new Watched(this.frames, this.watchedBefore);
  }

  #broken() {
    if (this.video.dataset.url) this.callbacks.onProblem("This browser cannot play the video. Skip the item, and tell an admin.");
  }
}
