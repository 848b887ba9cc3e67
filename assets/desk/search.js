// Looking for one frame of a video that stands still. It is sought in its middle, and found when the browser says that it is on screen.

const UNHEARD_MS = 250; // no report after a seek for so long: the frame on screen is the one that was there before, or nobody sees the window
const MOST_TRIES = 8; // seeks inside a frame, and as many before it
const CREEP_SPEED = 0.125;
const CREEP_MS = 4000;
const CREPT_MS = 50;
const SAME_MOMENT_S = 1e-5; // browsers cut times to whole microseconds

/**
 * The browser reports a frame (`requestVideoFrameCallback`) up to a screen refresh before or after `seeked`, and not at all
 * when it is on screen already: so the last report is kept, and `reported()` returns it as a frame's number, or null.
 *
 * `onFound(index)` tells the frame that is on screen, at best the one that was sought.
 */
export class Search {
  constructor({ reported, onFound }) {
    Object.assign(this, { reported, onFound, over: true, wish: false, creeping: false });
  }

  /** Look for frame `wanted` of a clip that begins at `start_s` of the video's file. */
  begin(video, { frames, start_s, speed }, wanted) {
    this.stop();
    Object.assign(this, { video, frames, start_s, speed, wanted, over: false });
    this.place = { at_s: frames.middle(wanted), early_s: null, late_s: null, tries: 0, before: this.reported() };
    this.#look();
  }

  /** Let it be. */
  stop() {
    clearTimeout(this.unheard);
    [this.over, this.wish] = [true, false];
    if (!this.creeping) return;
    this.creeping = false;
    this.video.pause();
    Object.assign(this.video, { muted: false, playbackRate: this.speed });
  }

  /** The browser came to the place where it was sent; a wish that came meanwhile is granted. */
  arrived() {
    if (this.over || this.creeping || this.video.seeking) return;
    clearTimeout(this.unheard);
    if (this.wish) this.#look();
    else if (!this.frames.exact || this.reported() === this.wanted) this.#found(this.wanted);
    else this.unheard = setTimeout(() => (document.hidden ? this.#found(this.wanted) : this.#elsewhere()), UNHEARD_MS);
  }

  /** The browser reports a frame. */
  told() {
    if (this.over || this.wish || this.video.seeking || !this.frames.exact) return;
    const index = this.reported();
    if (this.creeping && index === this.wanted) this.#stopCreeping();
    else if (this.creeping && index < this.wanted) return;
    else if (this.creeping) this.#found(this.#truth);
    else if (index === this.wanted) this.#found(index);
    else this.#elsewhere();
  }

  /** While the browser still looks for another place nothing piles up: the last wish is granted when it is done. */
  #look() {
    clearTimeout(this.unheard);
    this.wish = this.video.seeking || this.video.readyState < HTMLMediaElement.HAVE_METADATA;
    if (this.wish) return;
    const target_s = this.start_s + this.place.at_s;
    if (Math.abs(this.video.currentTime - target_s) > SAME_MOMENT_S) this.video.currentTime = target_s;
    else queueMicrotask(() => this.arrived());
  }

  /**
   * Another frame came than the one in whose middle it was sought: browsers go by how long the file says that a frame lasts, and
   * with uneven frames that is not until the next one. Look later or earlier; what no seek finds is played into from before it.
   */
  #elsewhere() {
    const { frames, place, wanted } = this;
    const reported = this.reported();
    place[reported < wanted ? "early_s" : "late_s"] = place.at_s;
    place.tries += 1;
    const before = place.tries - MOST_TRIES;
    if (before > 0 && reported < wanted && reported !== place.before) return this.#creep();
    if (before > MOST_TRIES) return this.#found(this.#truth);
    if (before > 0) place.at_s = frames.middle(Math.max(0, wanted - before));
    else if (place.late_s === null) place.at_s = place.early_s + (frames.end(wanted) - frames.times[wanted]) * 2 ** (place.tries - 2);
    else place.at_s = ((place.early_s ?? frames.times[wanted]) + place.late_s) / 2;
    return this.#look();
  }

  /** Play slowly and without sound into the frame. */
  #creep() {
    clearTimeout(this.unheard);
    this.creeping = true;
    Object.assign(this.video, { muted: true, playbackRate: CREEP_SPEED });
    this.unheard = setTimeout(() => this.#found(this.#truth), CREEP_MS);
    this.video.play().catch(() => this.creeping && this.#found(this.#truth));
  }

  /** While it plays the browser tells a frame before its time has come: who stops at once sees the one before. */
  #stopCreeping() {
    clearTimeout(this.unheard);
    this.unheard = setTimeout(() => this.#found(this.#truth), CREPT_MS);
  }

  /** The frame on screen as the browser told it; where it told nothing, the one that was sought. */
  get #truth() {
    const reported = this.reported();
    return reported === null || reported === this.place.before ? this.wanted : Math.max(0, Math.min(this.frames.count - 1, reported));
  }

  #found(index) {
    this.stop();
    this.onFound(index);
  }
}
