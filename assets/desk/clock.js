// How long somebody really worked on an item: a pause of more than 30 s counts nothing.

const IDLE_MS = 30_000;

/** Counts active time between signs of life. `now` returns milliseconds. */
export class ActiveClock {
  constructor(now = () => performance.now()) {
    this.now = now;
    this.reset(0);
  }

  /** Start a new item with the seconds spent on it before. */
  reset(seconds) {
    this.total_ms = seconds * 1000;
    this.last_ms = this.now();
  }

  /** Note a sign of life: a key, the pointer, a frame played. */
  alive() {
    this.total_ms += this.#since();
    this.last_ms = this.now();
  }

  get seconds() {
    return Math.round((this.total_ms + this.#since()) / 100) / 10;
  }

  /** Return the time since the last sign of life. */
  get idle_ms() {
    return this.now() - this.last_ms;
  }

  #since() {
    const gap = this.now() - this.last_ms;
    return gap <= IDLE_MS ? gap : 0;
  }
}
