// When each frame of a clip is shown. Times are seconds on the clip's clock: 0 is where the clip starts.

const GUESSED_RATE = 30;
const ROUNDING_S = 1e-3;

/** The frames of a clip, read from its file by the server, or guessed when the server does not know them. */
export class Frames {
  constructor(times, length_s) {
    this.exact = times.length > 0;
    this.times = this.exact ? times : Array.from({ length: Math.max(1, Math.ceil(length_s * GUESSED_RATE)) }, (_, index) => index / GUESSED_RATE);
    const last = this.times.at(-1);
    const gap = this.times.length > 1 ? (last - this.times[0]) / (this.times.length - 1) : 1 / GUESSED_RATE;
    this.end_s = length_s > last ? length_s : last + gap;
  }

  get count() {
    return this.times.length;
  }

  /** Return when frame `index` begins. */
  start(index) {
    return index <= 0 ? 0 : this.times[Math.min(index, this.count - 1)];
  }

  /** Return when frame `index` gives way to the next one. */
  end(index) {
    return index + 1 < this.count ? this.times[index + 1] : this.end_s;
  }

  /** Return a moment well inside frame `index`: a seek to its very edge may show its neighbour. */
  middle(index) {
    return (this.times[index] + this.end(index)) / 2;
  }

  /** Return the frame on screen at a moment. */
  at(time_s) {
    let low = 0;
    let high = this.count - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (this.times[middle] <= time_s) low = middle;
      else high = middle - 1;
    }
    return low;
  }

  /**
   * Return the frame whose own time is nearest: what a browser reports of the frame that it shows is off by rounding only.
   * A frame that lies before the clip is -1, and one after it is `count`.
   */
  nearest(time_s) {
    if (time_s < this.times[0] - ROUNDING_S) return -1;
    const below = this.at(time_s);
    return this.end(below) - time_s < time_s - this.times[below] ? below + 1 : below;
  }
}
