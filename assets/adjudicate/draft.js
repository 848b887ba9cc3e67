// An adjudicator's decision in the making, as a plain value; every act makes a new one. Kept in localStorage until it is decided.
import { newId } from "../desk/elements.js";
import { lacksComment } from "../desk/work.js";

const DEPTH = 50;

/** Return the draft of somebody who has not begun, or of the decision that stands. */
export function draftOf(item) {
  if (!item.decision) return { verdict: null, reason: "", flags: [] };
  const { verdict, reason, flags } = item.decision;
  return { verdict, reason, flags };
}

/** Return whether two flags say the same of the same words. */
function sameFlag(one, other) {
  return ["kind", "text_start", "text_end"].every((name) => one[name] === other[name]) && (one.text_start !== null || one.comment === other.comment);
}

/** Return the flag among the final ones that stands for this one, or undefined. */
export function takenAs(draft, flag) {
  return draft.flags.find((one) => sameFlag(one, flag));
}

/** Return the draft with these flags of annotators among the final ones; each is a copy that can be changed. */
export function withTaken(draft, flags) {
  return flags.reduce((made, flag) => (takenAs(made, flag) ? made : { ...made, flags: [...made.flags, { ...flag, id: newId() }] }), draft);
}

/** Return the draft without the final flag. */
export function without(draft, id) {
  return { ...draft, flags: draft.flags.filter((flag) => flag.id !== id) };
}

/** Return the draft with some fields of one final flag changed. */
export function withChanged(draft, id, changes) {
  return { ...draft, flags: draft.flags.map((flag) => (flag.id === id ? { ...flag, ...changes } : flag)) };
}

/** Return whether the draft goes against what more than half of the annotators said. */
export function overrides(item, draft) {
  return item.majority !== null && draft.verdict !== null && draft.verdict !== item.majority;
}

/** Return why this cannot be decided yet, as the server would say it, and which field mends it; null when it can. */
export function whyNot(item, draft, names) {
  const count = item.voices.filter((voice) => voice.verdict === item.majority).length;
  const short = draft.flags.find(lacksComment);
  if (draft.verdict === null) return { field: null, sentence: "There is no verdict yet. Accept the text, reject it, or say that it cannot be decided." };
  if (overrides(item, draft) && !draft.reason.trim()) {
    return { field: "reason", sentence: `${count} of ${item.voices.length} annotators said “${item.majority}”, and you say “${draft.verdict}”. Give a reason for overriding them.` };
  }
  if (draft.verdict === "reject" && draft.flags.length === 0 && !draft.reason.trim()) return { field: "reason", sentence: "A rejection needs a ground. Take over a flag or set one, or give a reason." };
  if (short) return { field: short.id, sentence: `The flag “${names.get(short.kind)}” needs a comment: say what is missing or wrong.` };
  return null;
}

/** Drafts in localStorage, by person and text. */
export class Drafts {
  constructor(person) {
    this.prefix = `eyewitness/decision/${encodeURIComponent(person)}/`;
  }

  /** Return the draft that was left at this state of the text, or null; what was meant for an older state keeps its reason. */
  read(item) {
    try {
      const kept = JSON.parse(localStorage.getItem(this.prefix + item.candidate_id));
      if (!kept) return null;
      return kept.sequence === item.sequence || !item.decision ? kept.draft : { ...draftOf(item), reason: kept.draft.reason };
    } catch {
      return null;
    }
  }

  /** Keep the draft; return whether there was room for it. */
  keep(item, draft) {
    try {
      localStorage.setItem(this.prefix + item.candidate_id, JSON.stringify({ sequence: item.sequence, draft }));
      return true;
    } catch {
      return false;
    }
  }

  /** Forget the draft: it is decided. */
  drop(candidateId) {
    localStorage.removeItem(this.prefix + candidateId);
  }
}

/** What can be undone and done again on one text. Acts with the same `merge` name in a row are one. */
export class Past {
  constructor() {
    Object.assign(this, { past: [], future: [], merge: null });
  }

  /** Note the draft as it was before an act. */
  note(before, merge = null) {
    if (merge === null || merge !== this.merge) this.past.push(before);
    if (this.past.length > DEPTH) this.past.shift();
    this.merge = merge;
    this.future = [];
  }

  /** Return the draft before the last act ("undo") or after the next one ("redo"), or null. */
  turn(way, present) {
    const [from, to] = way === "undo" ? [this.past, this.future] : [this.future, this.past];
    if (from.length === 0) return null;
    to.push(present);
    this.merge = null;
    return from.pop();
  }
}
