// An annotator's work on one item as a plain value; every act makes a new one.
import { newId } from "./elements.js";

export const LONGEST_TEXT = 100_000; // characters of a note, a comment or an edited text; the server has the same limit
/** What the clock and the player say, and nobody did. */
export const FIGURES = new Set(["seconds_spent", "watched_share"]);

/** Return the work of somebody who has not begun. */
export function emptyWork() {
  return {
    verdict: null, no_error: false, omission: null, factual_consistency: null, logical_coherence: null, note: "", edited_text: null, skip_reason: null,
    seconds_spent: 0, watched_share: 0, flags: [], ticks: [],
  };
}

/** Return a new flag on words (`{start, end, quote}` or null) and a moment (`{start_s, end_s}` or null). */
export function newFlag(kind, words, moment) {
  return {
    id: newId(), kind, text_start: words?.start ?? null, text_end: words?.end ?? null, quote: words?.quote ?? "",
    start_s: moment?.start_s ?? null, end_s: moment?.end_s ?? null, severity: 1, comment: "",
    other_start: null, other_end: null, other_quote: "", other_start_s: null, other_end_s: null, claimed_order: null, true_order: null, props_up: "",
  };
}

/** Return the work with a flag more; "no error found" and a flag exclude each other, and an omission leaves something out. */
export function withFlag(work, flag) {
  const omission = flag.kind === "omission" && (work.omission ?? "none") === "none" ? "minor" : work.omission;
  return { ...work, no_error: false, omission, flags: [...work.flags, flag] };
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
  const { flags, ...rest } = work;
  const told = Object.keys(rest).filter((name) => !FIGURES.has(name)).sort().map((name) => [name, rest[name]]);
  return JSON.stringify([told, flags.map(({ id, ...flag }) => Object.keys(flag).sort().map((name) => flag[name]))]);
}

/** Return whether a flag says too little without a comment: what it points at is not in the text, or not in the taxonomy. */
export function lacksComment({ text_start, kind, comment }) {
  return (text_start === null || kind === "other") && comment.trim() === "";
}

/** Return why the work cannot be final yet, in the server's words (`check_submitted`), or null; `names` gives the names of the kinds of flags. */
export function whyNotFinal(work, names) {
  const { verdict, no_error, flags, note, edited_text } = work;
  if (!["accept", "reject", "unsure"].includes(verdict)) return "There is no verdict yet. Choose accept (A), reject (X) or unsure (U); or skip the item (S).";
  if (no_error && flags.length > 0) return 'The work says "no error found" and has flags. Delete the flags, or choose the verdict again.';
  if (verdict === "accept" && flags.length === 0 && !no_error) return 'Accepting a text without flags says "no error found". Press A to say so, or set a flag.';
  if (verdict === "reject" && flags.length === 0 && note.trim() === "") return "A rejection needs a reason. Set a flag, or write in the note why the text is not fit.";
  if (edited_text !== null && edited_text.trim() === "") return "The edited text is empty. Write the text as it should be, or drop the edit.";
  const short = flags.find(lacksComment);
  return short ? `The flag '${names.get(short.kind)}' needs a comment: say what is missing or wrong (C).` : null;
}
