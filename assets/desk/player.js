// The video: plays inside the clip's span only, steps by real frames, knows which frame is on screen and which were played.
import { el } from "./elements.js";
import { Frames } from "./frames.js";

export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];
const LONGEST_SKIP_S = 0.5; // a decoder under load leaves frames out; more than this was a jump, not watching

/**
 * Two video elements: one shows the clip, the other loads the next one and is swapped in.
 *
 * Callbacks: `onFrame(index)` for each frame on screen, `onPlaying(playing)`, `onReady()` when a frame that was sought can be seen, `onProblem(sentence or null)`.
 */
export class Player {
  constructor(callbacks) {
    Object.assign(this, { callbacks, speed: 1, loop: null, head: 0, anchor: 0 });
    this.stage = el("div", { class: "ew-stage", id: "desk-stage" });
    [this.video, this.spare] = [this.#element(), this.#element()];
    this.spare.hidden = true;
    this.stage.append(this.video, this.spare);
    this.frames = new Frames([], 1);
    this.watched = new Uint8Array(1);
  }

  /** Show a clip: `{url, start_s, end_s, frames}`, with the frames that were watched before as `[first, last]` pairs. */
  load({ url, start_s, end_s, frames }, watchedBefore = []) {
    this.video.pause();
    Object.assign(this, { clip: { url, start_s, end_s, times: frames }, loop: null, head: 0, anchor: 0, shown: null, wish: null, watchedBefore });
    this.#measure(end_s === null ? (frames.at(-1) ?? 0) : end_s - start_s);
    this.callbacks.onProblem(url ? null : "The video of this clip is missing. Skip the item, or ask a lead to import it again.");
    if (this.spare.dataset.url === url) this.#swap();
    if (this.video.dataset.url !== url) this.#open(this.video, url);
    this.video.playbackRate = this.speed;
    this.touched = false; // whether anybody played or looked for a frame since
    this.callbacks.onFrame(0);
    if (this.video.readyState >= HTMLMediaElement.HAVE_METADATA) this.#known();
  }

  /** Load a file into the hidden element, so that it can be swapped in. */
  preload(url) {
    if (url && url !== this.video.dataset.url && url !== this.spare.dataset.url) this.#open(this.spare, url);
  }

  get playing() {
    return !this.video.paused;
  }

  /** Play or pause. */
  toggle() {
    if (this.playing) this.pause();
    else this.play();
  }

  /** Stop on the frame that the clock names: the picture may be one ahead of what was reported, so it is sought again. */
  pause() {
    this.video.pause();
    const anchor = this.anchor;
    this.seek(this.frames.at(this.video.currentTime - this.clip.start_s));
    this.anchor = anchor;
  }

  /** Play from the frame on screen; from the start when that is the last one. */
  play() {
    const [first, last] = this.loop ?? [0, this.frames.count - 1];
    if (this.head >= last || this.head < first) this.seek(first);
    this.anchor = this.head;
    this.shown = null;
    this.touched = true;
    this.video.play().catch((error) => {
      if (error.name !== "AbortError") this.#broken();
    });
  }

  /** Stop and show the frame `count` further on. */
  step(count) {
    this.video.pause();
    const anchor = this.anchor;
    this.seek(this.head + count);
    this.anchor = anchor;
  }

  /** Show a frame; what was played last is then this frame alone. */
  seek(index) {
    this.touched = true;
    this.head = this.anchor = Math.max(0, Math.min(this.frames.count - 1, index));
    this.shown = null;
    const target = (this.clip?.start_s ?? 0) + this.frames.middle(this.head);
    if (this.video.seeking || this.video.readyState < HTMLMediaElement.HAVE_METADATA) this.wish = target;
    else this.video.currentTime = target;
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
  }

  /** Return the frames played last as `[first, last]`: from where Play was pressed or the loop begins to the frame on screen. */
  get played() {
    if (this.loop && this.head >= this.loop[0] && this.head <= this.loop[1]) return this.loop;
    return [Math.min(this.anchor, this.head), Math.max(this.anchor, this.head)];
  }

  /** Return the share, 0 to 1, of the clip's frames that were on screen while it played or was stepped through. */
  get watchedShare() {
    return this.watched.reduce((sum, one) => sum + one, 0) / this.watched.length;
  }

  /** Return the frames that were watched as `[first, last]` pairs. */
  get watchedRanges() {
    const found = [];
    this.watched.forEach((one, index) => {
      if (one && found.at(-1)?.[1] === index - 1) found.at(-1)[1] = index;
      else if (one) found.push([index, index]);
    });
    return found;
  }

  #element() {
    const video = el("video", { playsinline: true, preload: "auto", tabindex: "-1", "aria-label": "Clip", disablepictureinpicture: true });
    const mine = (act) => () => video === this.video && this.clip && act();
    video.addEventListener("loadedmetadata", mine(() => this.#known()));
    video.addEventListener("seeked", mine(() => this.#seeked()));
    video.addEventListener("play", mine(() => this.callbacks.onPlaying(true)));
    video.addEventListener("pause", mine(() => this.callbacks.onPlaying(false)));
    video.addEventListener("ended", mine(() => this.#atEnd()));
    video.addEventListener("error", mine(() => this.#broken()));
    video.addEventListener("click", () => this.toggle());
    this.#follow(video);
    return video;
  }

  #open(video, url) {
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

  /** Ask the browser which frame it shows; where it cannot say, ask its clock. */
  #follow(video) {
    if (video.requestVideoFrameCallback) {
      const told = (_, { mediaTime }) => {
        if (video === this.video && this.clip) this.#presented(this.frames.nearest(mediaTime - this.clip.start_s));
        video.requestVideoFrameCallback(told);
      };
      video.requestVideoFrameCallback(told);
    } else {
      video.addEventListener("timeupdate", () => video === this.video && this.clip && this.#presented(this.frames.at(video.currentTime - this.clip.start_s)));
    }
  }

  #presented(index) {
    if (this.video.seeking || this.wish !== null) return;
    const [, last] = this.loop ?? [0, this.frames.count - 1];
    // At rest the place that was sought is the truth: a report may be late, and then it is of the frame before.
    if (!this.playing) {
      if (index === this.head) this.#watch(index);
      return;
    }
    this.#watch(index);
    this.#show(index);
    if (index >= last) this.#atEnd();
  }

  #show(index) {
    this.head = index;
    this.stage.dataset.frame = String(index);
    this.callbacks.onFrame(index);
  }

  #watch(index) {
    const before = this.shown ?? index;
    const skipped_s = this.frames.start(index) - this.frames.start(before);
    if (skipped_s >= 0 && skipped_s <= LONGEST_SKIP_S * this.speed) this.watched.fill(1, before, index + 1);
    else this.watched[index] = 1;
    this.shown = index;
  }

  #atEnd() {
    if (this.loop) {
      const playing = this.playing || this.video.ended;
      this.seek(this.loop[0]);
      if (playing) this.video.play().catch(() => this.#broken());
      return;
    }
    this.video.pause();
    this.head = this.frames.count - 1;
    this.#watch(this.head);
    this.callbacks.onFrame(this.head);
    this.callbacks.onPlaying(false);
  }

  #seeked() {
    if (this.wish !== null) {
      this.video.currentTime = this.wish;
      this.wish = null;
      return;
    }
    const index = this.frames.at(this.video.currentTime - this.clip.start_s);
    this.#watch(index);
    this.#show(index);
    this.callbacks.onReady();
  }

  /** The file's own length is known: guess the frames anew where nobody knew it, and go where somebody asked meanwhile. */
  #known() {
    if (this.clip.end_s === null && Number.isFinite(this.video.duration)) this.#measure(this.video.duration - this.clip.start_s);
    this.callbacks.onProblem(null);
    this.video.currentTime = this.wish ?? this.clip.start_s + this.frames.middle(this.head);
    this.wish = null;
  }

  #measure(length_s) {
    this.frames = new Frames(this.clip.times, length_s);
    this.watched = new Uint8Array(this.frames.count);
    for (const [first, last] of this.watchedBefore) this.watched.fill(1, first, last + 1);
  }

  #broken() {
    if (this.video.dataset.url) this.callbacks.onProblem("This browser cannot play the video. Skip the item, and tell a lead.");
  }
}
