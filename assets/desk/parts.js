// The two parts of a flag: its words and moment, and those of the other mention (entity drift) or the other event (temporal error).

const WITH_OTHER = new Set(["entity_drift", "temporal_error"]);
export const NO_MARKS = { start_s: null, end_s: null };
export const FIELDS = { words: ["start_s", "end_s"], other: ["other_start_s", "other_end_s"] };

/** Return whether flags of this kind have a second part. */
export function hasOther(kind) {
  return WITH_OTHER.has(kind);
}

/** Return what a new flag of this kind says unless a person says otherwise: a fabrication in a rationale props up the given answer. */
export function kindDefaults(kind, item) {
  const fits = kind === "justified_fabrication" && item.kind !== "narrative";
  return fits ? { props_up: item.questions[0]?.answer ?? "" } : {};
}

/** Return the moment of one part, "words" or "other", as `{start_s, end_s}`; both null while it has none. */
export function momentOf(flag, part) {
  const [start, end] = FIELDS[part];
  return { start_s: flag?.[start] ?? null, end_s: flag?.[end] ?? null };
}

/** Return the changes of a flag that give one part this moment; a true order that was only proposed goes with it. */
export function momentChanges(flag, part, { start_s, end_s }) {
  const [start, end] = FIELDS[part];
  const changes = { [start]: start_s, [end]: end_s };
  if (flag.kind !== "temporal_error" || flag.true_order !== shownOrder(flag)) return changes;
  return { ...changes, true_order: shownOrder({ ...flag, ...changes }) };
}

/** Return the changes that make words (`{start, end, quote}`) the other half of a flag, with the moment that was looked at last. */
export function otherChanges(flag, words, moment) {
  if (flag.kind === "justified_fabrication") return { props_up: words.quote };
  const placed = { other_start: words.start, other_end: words.end, other_quote: words.quote };
  // Who looked at nothing but the flag's own moment since said nothing of the other one.
  const elsewhere = moment && (flag.start_s === null || moment.start_s < flag.start_s || moment.end_s > flag.end_s);
  const seen = elsewhere ? momentChanges(flag, "other", moment) : {};
  if (flag.kind !== "temporal_error") return { ...placed, ...seen };
  return { ...placed, ...seen, claimed_order: flag.claimed_order ?? (flag.text_start <= words.start ? "before" : "after") };
}

/** Return the changes that take the other half of a flag away. */
export function withoutOther() {
  return { other_start: null, other_end: null, other_quote: "", other_start_s: null, other_end_s: null, claimed_order: null, true_order: null, props_up: "" };
}

/** Return the order of the two moments: "before", "after", "same" when they overlap, null while one is missing. */
function shownOrder({ start_s, end_s, other_start_s, other_end_s }) {
  if (start_s === null || other_start_s === null) return null;
  if (end_s <= other_start_s && start_s < other_start_s) return "before";
  return other_end_s <= start_s && other_start_s < start_s ? "after" : "same";
}

/** Return the words of all flags as `{id, part, kind, number, text_start, text_end}`; the number joins the two parts of a flag, null when there is one. */
export function wordedParts(flags) {
  return flags.flatMap(({ id, kind, text_start, text_end, other_start, other_end }, index) => {
    const number = (other_start ?? null) === null ? null : index + 1;
    return [{ id, part: "words", kind, number, text_start, text_end }, { id, part: "other", kind, number, text_start: other_start, text_end: other_end }];
  }).filter((one) => (one.text_start ?? null) !== null);
}

/** Return the moments of all flags as `{id, part, kind, number, start_s, end_s}`. */
export function timedParts(flags) {
  return flags.flatMap((flag, index) => {
    const number = (flag.other_start_s ?? null) === null ? null : index + 1;
    return Object.keys(FIELDS).map((part) => ({ id: flag.id, part, kind: flag.kind, number, ...momentOf(flag, part) }));
  }).filter((one) => one.start_s !== null);
}
