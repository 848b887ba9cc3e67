// An annotator's work on one item as a plain value; every act makes a new one. The server checks what may be submitted.
import { newId } from "./elements.js";

export const LONGEST_TEXT = 100_000; // characters of a note, a comment or an edited text; the server has the same limit
const DEPTH = 50;

/** Return the work of somebody who has not begun. */
export function emptyWork() {
  return {
    verdict: null, no_error: false, factual_consistency: null, logical_coherence: null, note: "", edited_text: null, seconds_spent: 0, watched_share: 0, flags: [],
  };
}

/** Return a new flag on words (`{start, end, quote}` or null) and a moment (`{start_s, end_s}` or null). */
export function newFlag(kind, words, moment) {
  return {
    id: newId(), kind, text_start: words?.start ?? null, text_end: words?.end ?? null, quote: words?.quote ?? "",
    start_s: moment?.start_s ?? null, end_s: moment?.end_s ?? null, severity: 1, comment: "",
  };
}

/** Return the work with a flag more; "no error found" and a flag exclude each other. */
export function withFlag(work, flag) {
  return { ...work, no_error: false, flags: [...work.flags, flag] };
}

/** Return the work without the flag. */
export function withoutFlag(work, id) {
  return { ...work, flags: work.flags.filter((flag) => flag.id !== id) };
}

/** Return the work with some fields of one flag changed. */
export function withFlagChanged(work, id, changes) {
  return { ...work, flags: work.flags.map((flag) => (flag.id === id ? { ...flag, ...changes } : flag)) };
}

/** Return the work with a verdict; accepting a text without flags says "no error found". */
export function withVerdict(work, verdict) {
  return { ...work, verdict, no_error: verdict === "accept" && work.flags.length === 0 };
}

/** Return whether two works say the same; ids and clock figures (time spent, share watched) do not count. */
export function sameWork(one, other) {
  return one !== null && other !== null && said(one) === said(other);
}

function said(work) {
  const { verdict, no_error, factual_consistency, logical_coherence, note, edited_text, flags } = work;
  const told = flags.map(({ kind, text_start, text_end, quote, start_s, end_s, severity, comment }) => [kind, text_start, text_end, quote, start_s, end_s, severity, comment]);
  return JSON.stringify([verdict, no_error, factual_consistency, logical_coherence, note, edited_text, told]);
}

/** Return whether a flag says too little without a comment: what it points at is not in the text, or not in the taxonomy. */
export function lacksComment({ text_start, kind, comment }) {
  return (text_start === null || kind === "other") && comment.trim() === "";
}

/** What can be undone and done again, 50 acts deep. Acts with the same `merge` name in a row are one. */
export class History {
  constructor() {
    this.past = [];
    this.future = [];
    this.merge = null;
  }

  /** Note the work as it was before an act. */
  note(before, merge = null) {
    if (merge === null || merge !== this.merge) this.past.push(before);
    if (this.past.length > DEPTH) this.past.shift();
    this.merge = merge;
    this.future = [];
  }

  /** Return the work before the last act, or null. */
  undo(present) {
    return this.#move(this.past, this.future, present);
  }

  /** Return the work that the last undo left, or null. */
  redo(present) {
    return this.#move(this.future, this.past, present);
  }

  #move(from, to, present) {
    if (from.length === 0) return null;
    to.push(present);
    this.merge = null;
    return from.pop();
  }
}
