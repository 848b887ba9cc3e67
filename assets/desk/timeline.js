// Time as lanes: what was watched, evidence, subtitles, flags. Pointing moves the video; a flag's edges can be dragged or nudged.
import { clockTime, el } from "./elements.js";
import { timedParts } from "./parts.js";

const MOST_ROWS = 4;
const TICKS = 6;
const LATE = 0.95; // of the clip: what stands beside a moment from there on stands on its left
const STEPS_S = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600];

/**
 * Callbacks: `onSeek(index)`, `onFlag(id, part)`, `onMoment(id, {start_s, end_s}, edge, ended)` while an edge is moved ("start" or "end").
 */
export class Timeline {
  constructor(callbacks) {
    this.callbacks = callbacks;
    this.head = el("i", { class: "ew-head", "aria-hidden": "true" });
    this.ruler = el("div", { class: "ew-ruler", "aria-hidden": "true" });
    this.seen = el("div", { class: "ew-seen", title: "What was watched" });
    this.evidence = el("div", { class: "ew-lane", id: "desk-lane-evidence", hidden: true });
    this.subtitles = el("div", { class: "ew-lane", id: "desk-lane-subtitles", hidden: true });
    this.caption = el("p", { class: "ew-caption", id: "desk-caption", dir: "auto", hidden: true });
    this.flags = el("div", { class: "ew-lane ew-lane-flags", id: "desk-lane-flags" });
    this.marks = el("i", { class: "ew-marks", hidden: true, "aria-hidden": "true" });
    this.lanes = el("div", { class: "ew-lanes" }, this.ruler, this.seen, this.evidence, this.subtitles, this.flags, this.marks, this.head);
    this.body = el("div", { class: "ew-timeline", id: "desk-timeline" }, this.lanes);
    this.lanes.addEventListener("pointerdown", (event) => this.#press(event));
    this.subtitlesShown = true;
  }

  /** Show another clip: its frames, and the spans of its evidence and subtitles. */
  show(frames, { evidence, subtitles }) {
    Object.assign(this, { frames, drawn: null, timed: [], spans: { evidence, subtitles } });
    this.#fill(this.evidence, "evidence", evidence, "the data set's evidence");
    this.#fill(this.subtitles, "subtitles", subtitles, "");
    this.subtitles.hidden = !this.subtitlesShown || subtitles.length === 0;
    this.#tick();
    this.place(0);
  }

  /** Show or hide the evidence; return whether there is any. */
  toggleEvidence(shown) {
    const { length } = this.spans.evidence;
    this.evidence.hidden = !shown || length === 0;
    return length > 0;
  }

  /** Show the subtitles, or hide them; return whether there are any. */
  toggleSubtitles() {
    const { length } = this.spans.subtitles;
    this.subtitlesShown = !this.subtitlesShown;
    this.subtitles.hidden = !this.subtitlesShown || length === 0;
    this.place(this.placed);
    return length > 0;
  }

  /** Move the playhead to a frame, and show the subtitle that is on then. */
  place(index) {
    this.placed = index;
    const at_s = (this.frames.start(index) + this.frames.end(index)) / 2;
    this.head.style.left = this.#percent(at_s);
    const said = this.subtitlesShown ? this.spans.subtitles.filter(({ start_s, end_s }) => start_s <= at_s && at_s < end_s).map(({ text }) => text).join("\n") : "";
    if (this.caption.textContent !== said) this.caption.textContent = said;
    this.caption.hidden = said === "";
  }

  /** Return the frame where the next span on a lane in view begins, seen from a frame (-1: the one before), or null. */
  spanFrom(index, step) {
    const lanes = [this.timed, this.evidence.hidden ? [] : this.spans.evidence, this.subtitles.hidden ? [] : this.spans.subtitles];
    const starts = lanes.flat().map((span) => this.frameAt(span, "start")).filter((start) => (start - index) * step > 0);
    if (starts.length === 0) return null;
    return step > 0 ? Math.min(...starts) : Math.max(...starts);
  }

  /** Draw what was watched, as `[first, last]` frames. */
  watched(ranges) {
    this.seen.replaceChildren(...ranges.map(([first, last]) => this.#bar(this.frames.start(first), this.frames.end(last))));
  }

  /** Draw the marks for the next flag; either may be null. */
  mark({ start_s, end_s }) {
    this.marks.hidden = start_s === null && end_s === null;
    this.marks.classList.toggle("open", start_s === null || end_s === null);
    const from = start_s ?? end_s;
    this.marks.style.left = this.#percent(from);
    this.marks.style.width = this.#percent((end_s ?? from) - from);
  }

  /** Draw the moments of the flags, each in a row where it hides no other; the edges of the selected flag's active part can be moved. `names` gives their kinds' names. */
  flag(flags, selectedId, names, activePart) {
    const timed = timedParts(flags);
    this.timed = timed;
    const drawn = JSON.stringify([timed, selectedId, activePart]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const focused = document.activeElement?.dataset?.edge;
    const rows = rowsOf(timed);
    this.flags.style.setProperty("--rows", Math.max(2, ...[...rows.values()].map((row) => row + 1)));
    this.flags.replaceChildren(el("span", { class: "ew-lane-name" }, timed.length ? "" : "flags"), ...timed.map((one) => {
      const on = one.id === selectedId;
      const bar = this.#bar(one.start_s, one.end_s, ["ew-bar", `ew-${one.kind}`, on && "on", one.part === "other" && "second", one.start_s > LATE * this.frames.end_s && "late"].filter(Boolean).join(" "));
      Object.assign(bar.dataset, { flag: one.id, part: one.part });
      bar.title = `${names.get(one.kind)}${one.part === "other" ? ", the other one" : ""}: ${one.start_s.toFixed(2)}–${one.end_s.toFixed(2)} s`;
      bar.style.setProperty("--row", rows.get(one));
      if (one.number !== null) bar.append(el("span", { class: "ew-bar-number" }, String(one.number)));
      if (on && one.part === activePart) bar.append(this.#edge(one, "start"), this.#edge(one, "end"));
      return bar;
    }));
    if (focused) this.flags.querySelector(`[data-edge=${focused}]`)?.focus({ preventScroll: true });
  }

  /** Return the moment with one edge moved to a frame, the other pushed along when it stands in the way. */
  moved(flag, edge, index) {
    const frame = Math.max(0, Math.min(this.frames.count - 1, index));
    const start_s = edge === "start" ? this.frames.start(frame) : Math.min(flag.start_s, this.frames.start(frame));
    const end_s = edge === "end" ? this.frames.end(frame) : Math.max(flag.end_s, this.frames.end(frame));
    return { start_s, end_s };
  }

  /** Return the frame at an edge: the first one inside or the last one. */
  frameAt(flag, edge) {
    return edge === "start" ? this.frames.at(flag.start_s + 1e-4) : this.frames.at(Math.max(0, flag.end_s - 1e-4));
  }

  #edge(flag, edge) {
    const value = edge === "start" ? flag.start_s : flag.end_s;
    const nudge = (event) => {
      const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowDown: -1, ArrowUp: 1, PageDown: -10, PageUp: 10 }[event.key];
      if (steps === undefined) return;
      event.preventDefault();
      this.callbacks.onMoment(flag.id, this.moved(flag, edge, this.frameAt(flag, edge) + steps), edge, true);
    };
    return el("b", {
      class: `ew-edge ${edge}`, role: "slider", tabindex: "0", "aria-label": edge === "start" ? "Start of the flag's moment" : "End of the flag's moment",
      "aria-valuemin": "0", "aria-valuemax": this.frames.end_s.toFixed(2), "aria-valuenow": value.toFixed(2), "aria-valuetext": `${value.toFixed(2)} seconds`,
      data: { edge }, on: { keydown: nudge, pointerdown: (event) => this.#drag(event, flag, edge) },
    });
  }

  #drag(event, flag, edge) {
    event.preventDefault();
    event.stopPropagation();
    this.#hold(event, (index, ended) => this.callbacks.onMoment(flag.id, this.moved(flag, edge, index), edge, ended));
  }

  #press(event) {
    if (event.button !== 0 || !this.frames) return;
    event.preventDefault();
    const bar = event.target.closest("[data-flag]");
    if (bar) this.callbacks.onFlag(bar.dataset.flag, bar.dataset.part);
    else this.#hold(event, (index) => this.callbacks.onSeek(index), true);
  }

  /** Follow the pointer until it is let go; the lanes stay while bars are drawn anew. */
  #hold(event, follow, atOnce = false) {
    const frameUnder = ({ clientX }) => {
      const { left, width } = this.lanes.getBoundingClientRect();
      return this.frames.at(((clientX - left) / width) * this.frames.end_s);
    };
    const held = new AbortController();
    const { signal } = held;
    const move = (moved) => follow(frameUnder(moved), false);
    const done = (last) => {
      held.abort();
      if (last.type === "pointerup" && !atOnce) follow(frameUnder(last), true);
    };
    this.lanes.setPointerCapture(event.pointerId);
    this.lanes.addEventListener("pointermove", move, { signal });
    for (const end of ["pointerup", "pointercancel"]) this.lanes.addEventListener(end, done, { signal });
    if (atOnce) move(event);
  }

  #fill(lane, name, spans, title) {
    const bars = spans.map(({ start_s, end_s, text }) => {
      const bar = this.#bar(start_s, end_s, "ew-span");
      bar.title = text || title;
      bar.append(text);
      return bar;
    });
    lane.replaceChildren(el("span", { class: "ew-lane-name" }, name), ...bars);
  }

  #tick() {
    const step = STEPS_S.find((one) => this.frames.end_s / one <= TICKS * 1.5) ?? this.frames.end_s;
    const ticks = Array.from({ length: Math.floor(this.frames.end_s / step) + 1 }, (_, index) => index * step);
    this.ruler.replaceChildren(...ticks.map((at) => {
      const tick = el("span", { class: at > LATE * this.frames.end_s && "late" }, step < 1 ? clockTime(at).slice(0, 7) : clockTime(at).slice(0, 5));
      tick.style.left = this.#percent(at);
      return tick;
    }));
  }

  #bar(start_s, end_s, kind = "") {
    const bar = el("i", { class: kind });
    bar.style.left = this.#percent(start_s);
    bar.style.width = this.#percent(Math.min(end_s, this.frames.end_s) - start_s);
    return bar;
  }

  #percent(seconds) {
    return `${Math.max(0, Math.min(100, (100 * seconds) / this.frames.end_s))}%`;
  }
}

/** Return the row of each moment, so that those at the same time lie under each other. */
function rowsOf(moments) {
  const rows = new Map();
  for (const one of [...moments].sort((a, b) => a.start_s - b.start_s)) {
    const taken = moments.filter((other) => rows.has(other) && other.start_s < one.end_s && one.start_s < other.end_s).map((other) => rows.get(other));
    let row = 0;
    while (taken.includes(row) && row < MOST_ROWS - 1) row += 1;
    rows.set(one, row);
  }
  return rows;
}
