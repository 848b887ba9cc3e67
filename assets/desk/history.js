// What can be undone and done again: 50 acts deep, across items and after a reload. Kept in localStorage for each annotator.
import { FIGURES } from "./work.js";

const DEPTH = 50;
const MOST_CHARACTERS = 400_000; // browsers give a site some 5 million; the outbox needs the rest

/**
 * The acts of one annotator, the newest last. An act is `{id, changes, left}`: the item, what it changed as `{field: [before, after]}`, and
 * "submit", "skip" or "release" when the item was left by it. `onFull()` when the browser keeps it no more.
 */
export class History {
  constructor(name = null, onFull = () => {}, storage = localStorage) {
    Object.assign(this, { name, onFull, storage, past: [], future: [], merge: null, full: false });
    if (name) this.#read();
  }

  /** Note an act that made `after` of `before`; acts with the same `merge` name in a row are one. */
  note(id, before, after, merge = null) {
    const changes = changesOf(before, after);
    const last = this.past.at(-1);
    const same = merge !== null && merge === this.merge && last?.id === id && !last.left;
    if (same) for (const [field, [, now]] of Object.entries(changes)) last.changes[field] = [(last.changes[field] ?? changes[field])[0], now];
    else if (Object.keys(changes).length > 0) this.past.push({ id, changes, left: null });
    this.merge = merge;
    this.future = [];
    this.#keep();
  }

  /** Note that an item was left, by an act that may have changed its work too. */
  noteLeft(id, left, before, after) {
    this.past.push({ id, changes: changesOf(before, after), left });
    this.merge = null;
    this.future = [];
    this.#keep();
  }

  /** Return the act that "undo" would take back, or "redo" do again; null when there is none. */
  next(way) {
    return (way === "undo" ? this.past : this.future).at(-1) ?? null;
  }

  /** Move that act to the other side. */
  turn(way) {
    const [from, to] = way === "undo" ? [this.past, this.future] : [this.future, this.past];
    to.push(from.pop());
    this.merge = null;
    this.#keep();
  }

  /** Forget all acts on an item. */
  forget(id) {
    for (const side of ["past", "future"]) this[side] = this[side].filter((act) => act.id !== id);
    this.merge = null;
    this.#keep();
  }

  #read() {
    try {
      const { past = [], future = [] } = JSON.parse(this.storage.getItem(this.name)) ?? {};
      Object.assign(this, { past, future });
    } catch {
      // What cannot be read is not there to be undone.
    }
  }

  #keep() {
    while (this.past.length > DEPTH) this.past.shift();
    if (!this.name) return;
    let kept = JSON.stringify({ past: this.past, future: this.future });
    for (; kept.length > MOST_CHARACTERS && this.past.length + this.future.length > 1; kept = JSON.stringify({ past: this.past, future: this.future })) {
      (this.past.length > 1 ? this.past : this.future).shift();
    }
    try {
      this.storage.setItem(this.name, kept);
      this.full = false;
    } catch {
      if (!this.full) this.onFull();
      this.full = true;
    }
  }
}

/** Return the fields in which two works differ, as `{field: [before, after]}`; what nobody did is left out. */
function changesOf(before, after) {
  const changed = Object.keys(after).filter((field) => !FIGURES.has(field) && !same(before[field], after[field]));
  return Object.fromEntries(changed.map((field) => [field, [before[field], after[field]]]));
}

/** Return the work with the changes taken back ("undo") or made again ("redo"); null when a field is not as they left it: somebody changed it since. */
export function turned(work, changes, way) {
  const [from, to] = way === "undo" ? [1, 0] : [0, 1];
  const entries = Object.entries(changes);
  if (!entries.every(([field, values]) => same(work[field], values[from]))) return null;
  return { ...work, ...Object.fromEntries(entries.map(([field, values]) => [field, values[to]])) };
}

const NAMES = {
  verdict: "the verdict", factual_consistency: "a rating", logical_coherence: "a rating", omission: "what is left out", note: "the note", edited_text: "the edit", ticks: "a claim's tick",
};

/** Return in a few words what an act was. */
export function nameOf({ changes, left }) {
  if (left) return { submit: "the submission", skip: "the skip", release: "giving it back" }[left];
  if (!changes.flags) return NAMES[Object.keys(changes)[0]] ?? "the last act";
  const [before, after] = changes.flags;
  if (before.length !== after.length) return before.length < after.length ? "a flag" : "the deletion of a flag";
  const [was, is] = [before, after].map((flags, side) => flags.find((flag, index) => !same(flag, [before, after][1 - side][index])));
  const field = is && Object.keys(is).find((name) => !same(is[name], was[name]));
  return `a flag's ${{ severity: "severity", comment: "comment", start_s: "moment", end_s: "moment" }[field] ?? "details"}`;
}

function same(one, other) {
  return JSON.stringify(one) === JSON.stringify(other);
}
