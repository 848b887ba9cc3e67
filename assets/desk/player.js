// The video: plays inside the clip's span only, steps by real frames, knows which frame is on screen and which were played.
import { el } from "./elements.js";
import { Frames } from "./frames.js";
import { Watched } from "./watched.js";

export const SPEEDS = [0.25, 0.5, 0.75, 1, 1.25, 1.5, 2];
const UNHEARD_MS = 250; // no report after a seek for so long: the frame on screen is the one that was there before, or nobody sees the window
const TURN_S = 0.02; // a span ends this long before its last frame does, because a seek takes as long to be heard
const MOST_TRIES = 8; // seeks inside a frame, and as many before it
const CREEP_SPEED = 0.125;
const CREEP_MS = 4000;
const CREPT_MS = 50;
const SAME_MOMENT_S = 1e-5; // browsers cut times to whole microseconds

/**
 * Two video elements: one shows the clip, the other loads the next one and is swapped in.
 *
 * A frame is sought in its middle. It counts as shown, and `stage.dataset.frame` names it, once the browser reports it
 * (`requestVideoFrameCallback`), which happens up to a screen refresh before or after `seeked`, and not at all when the
 * frame is on screen already: so the last report is kept.
 *
 * Callbacks: `onFrame(index)` for each frame asked for or on screen, `onPlaying(playing)`, `onReady()` when a frame that was sought can be seen,
 * `onProblem(sentence or null)`.
 */
export class Player {
  constructor(callbacks) {
    Object.assign(this, { callbacks, speed: 1, loop: null, head: 0, anchor: 0, wish: false, settled: true, creeping: false, reports: new Map() });
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
    Object.assign(this, { clip: { url, start_s, end_s, times: frames }, loop: null, head: 0, anchor: 0, wish: false, watchedBefore });
    this.#measure(end_s === null ? (frames.at(-1) ?? 0) : end_s - start_s);
    this.callbacks.onProblem(url ? null : "The video of this clip is missing. Skip the item, or ask an admin to import it again.");
    if (this.spare.dataset.url === url) this.#swap();
    if (this.video.dataset.url !== url) this.#open(this.video, url);
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

  get playing() {
    return !this.video.paused && !this.creeping;
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
    this.#forget();
    this.anchor = this.head;
    this.watched.jump();
    this.touched = true;
    this.video.play().catch((error) => {
      if (error.name !== "AbortError") this.#broken();
    });
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
    video.addEventListener("play", mine(() => this.creeping || this.callbacks.onPlaying(true)));
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

  /** Look for the frame `head` in its middle. */
  #go() {
    this.place = { at_s: this.frames.middle(this.head), early_s: null, late_s: null, tries: 0, before: this.#reported };
    this.#look();
  }

  /** While the browser still looks for another place nothing piles up: the last wish is granted when it is done. */
  #look() {
    this.#forget();
    this.settled = false;
    this.wish = this.video.seeking || this.video.readyState < HTMLMediaElement.HAVE_METADATA;
    if (this.wish) return;
    const target_s = (this.clip?.start_s ?? 0) + this.place.at_s;
    if (Math.abs(this.video.currentTime - target_s) > SAME_MOMENT_S) this.video.currentTime = target_s;
    else queueMicrotask(() => this.#arrived());
  }

  #forget() {
    clearTimeout(this.unheard);
    clearTimeout(this.turning);
    if (!this.creeping) return;
    this.creeping = false;
    this.video.pause();
    Object.assign(this.video, { muted: false, playbackRate: this.speed });
  }

  /** The browser has found a frame. */
  #arrived() {
    if (this.video.seeking || this.creeping) return;
    clearTimeout(this.unheard);
    if (this.wish) this.#look();
    else if (this.playing) this.#turnInTime();
    else if (!this.settled) this.#check();
  }

  #check() {
    if (!this.frames.exact || this.#reported === this.head) this.#found(this.head);
    else this.unheard = setTimeout(() => (document.hidden ? this.#found(this.head) : this.#elsewhere()), UNHEARD_MS);
  }

  /**
   * Another frame came than the one in whose middle it was sought: browsers go by how long the file says that a frame lasts, and
   * with uneven frames that is not until the next one. Look later or earlier; what no seek finds is played into from before it.
   */
  #elsewhere() {
    const { frames, head, place } = this;
    const reported = this.#reported;
    place[reported < head ? "early_s" : "late_s"] = place.at_s;
    place.tries += 1;
    const before = place.tries - MOST_TRIES;
    if (before > 0 && reported < head && reported !== place.before) return this.#creep();
    if (before > MOST_TRIES) return this.#found(this.#truth);
    if (before > 0) place.at_s = frames.middle(Math.max(0, head - before));
    else if (place.late_s === null) place.at_s = place.early_s + (frames.end(head) - frames.times[head]) * 2 ** (place.tries - 2);
    else place.at_s = ((place.early_s ?? frames.times[head]) + place.late_s) / 2;
    return this.#look();
  }

  /** Play slowly and without sound into the frame that is sought. */
  #creep() {
    this.#forget();
    this.creeping = true;
    Object.assign(this.video, { muted: true, playbackRate: CREEP_SPEED });
    this.unheard = setTimeout(() => this.#found(this.#truth), CREEP_MS);
    this.video.play().catch(() => this.#found(this.#truth));
  }

  /** While it plays the browser tells a frame before its time has come: who stops at once sees the one before. */
  #stopCreeping() {
    clearTimeout(this.unheard);
    this.unheard = setTimeout(() => this.#found(this.#truth), CREPT_MS);
  }

  /** The frame on screen as the browser told it; where it told nothing, the one that was sought. */
  get #truth() {
    const reported = this.#reported;
    return reported === null || reported === this.place.before ? this.head : Math.max(0, Math.min(this.frames.count - 1, reported));
  }

  /** The browser reports the frame on screen: the truth while it plays, and the answer to a search at rest. */
  #presented() {
    if (this.video.seeking || this.wish) return;
    const index = this.#reported;
    if (this.playing) {
      if (index > this.#span[1]) this.#turn();
      else if (index >= 0) this.#show(index);
      this.#turnInTime();
    } else if (this.creeping) {
      if (index === this.head) this.#stopCreeping();
      else if (index > this.head) this.#found(this.#truth);
    } else if (!this.settled && this.frames.exact) {
      if (index === this.head) this.#found(index);
      else this.#elsewhere();
    }
  }

  /** The search is over. */
  #found(index) {
    this.#forget();
    this.#show(index);
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

  /** The span is over: begin it again, or stop on its last frame. */
  #turn() {
    const [first, last] = this.#span;
    if (this.loop) {
      const playing = this.playing || this.video.ended;
      this.seek(first);
      if (playing) this.video.play().catch(() => this.#broken());
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
