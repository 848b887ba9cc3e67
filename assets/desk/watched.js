// Which frames of a clip somebody saw: those on screen while it played or was stepped through.

const LONGEST_SKIP_S = 0.5; // a decoder under load leaves frames out; more than this was a jump, not watching

/** Counts the frames that were on screen; `before` are those that were seen earlier, as `[first, last]` pairs. */
export class Watched {
  constructor(frames, before) {
    this.frames = frames;
    this.seen = new Uint8Array(frames.count);
    for (const [first, last] of before) this.seen.fill(1, first, last + 1);
    this.jump();
  }

  /** What comes next does not go on from the frame seen last. */
  jump() {
    this.latest = null;
  }

  /** Note a frame on screen at a speed; those between it and the one before were passed over and count. */
  add(index, speed) {
    const before = this.latest ?? index;
    const skipped_s = this.frames.start(index) - this.frames.start(before);
    if (skipped_s >= 0 && skipped_s <= LONGEST_SKIP_S * speed) this.seen.fill(1, before, index + 1);
    else this.seen[index] = 1;
    this.latest = index;
  }

  /** Return the share, 0 to 1, of the frames. */
  get share() {
    return this.seen.reduce((sum, one) => sum + one, 0) / this.seen.length;
  }

  /** Return the frames as `[first, last]` pairs. */
  get ranges() {
    const found = [];
    this.seen.forEach((one, index) => {
      if (one && found.at(-1)?.[1] === index - 1) found.at(-1)[1] = index;
      else if (one) found.push([index, index]);
    });
    return found;
  }
}
