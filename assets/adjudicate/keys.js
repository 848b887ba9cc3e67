// The keys of the page Adjudicate, in the form that `desk/keys.js` obeys, shows and checks for clashes.
import { walkingKeys, watchingKeys } from "../desk/keys.js";

const MOST_NUMBERS = 5; // annotators that have a digit of their own

// Scopes: "anywhere" on the page, "always" while a text is there; "flag" while a final flag is selected and "item" while none is; "words" while the text has the focus and "watch" while it has not.

/** Return every key with its scope, group, act and meaning; flags and verdicts come from the taxonomy. */
export function adjudicationKeys(taxonomy) {
  const list = [];
  const add = (group, scope, chord, act, what, argument = null) => list.push({ group, scope, chord, act, what, argument });
  watchingKeys(add, "the selected flag, or what was played last", "always");
  add("What people said", "always", "g", "nextSaid", "the next flag that somebody set: select it and loop its moment", 1);
  add("What people said", "always", "shift+g", "nextSaid", "the flag before", -1);
  for (let number = 1; number <= MOST_NUMBERS; number += 1) add("What people said", "item", String(number), "column", `to annotator ${number}: their next flag`, number);
  add("What people said", "always", "k", "take", "keep the selected flag among the final ones, or leave it out");
  add("What people said", "always", "shift+k", "takeAll", "keep all flags of the chosen annotator");
  add("What people said", "always", "n", "askNote", "make the chosen annotator's note a question on the guidelines");
  walkingKeys(add, "always");
  add("Words", "words", "arrowup", "sentence", "select the claim at hand, else the first; then the one before", -1);
  add("Words", "words", "arrowdown", "sentence", "select the claim at hand, else the first; then the one after", 1);
  for (const { key, kind, name } of taxonomy.flags) add("A flag of your own: select words, then", "always", key, "flag", name, kind);
  add("Final flags", "always", "f", "nextFinal", "select the next final flag", 1);
  add("Final flags", "always", "shift+f", "nextFinal", "select the one before", -1);
  for (const { value, name } of taxonomy.severities) add("Final flags", "flag", String(value), "severity", `severity: ${name}`, value);
  add("Final flags", "flag", "[", "startHere", "its moment starts at this frame");
  add("Final flags", "flag", "]", "endHere", "its moment ends at this frame");
  add("Final flags", "flag", "c", "comment", "write its comment");
  add("Final flags", "flag", "delete", "deleteFinal", "delete it");
  for (const { key, verdict, name } of taxonomy.verdicts.filter((one) => one.verdict !== "skip")) add("Decision", "always", key, "verdict", name, verdict);
  add("Decision", "always", "r", "reason", "write the reason");
  add("Decision", "always", "enter", "decide", "decide and take the next worst");
  add("Decision", "always", "s", "later", "look at the next one first");
  add("Decision", "always", "z", "undo", "undo");
  add("Decision", "always", "shift+z", "redo", "do again");
  add("Page", "always", "escape", "escape", "leave a field, a flag, a loop");
  add("Page", "anywhere", "b", "list", "what waits, and what was decided");
  add("Page", "anywhere", "q", "questions", "questions on the guidelines");
  add("Page", "anywhere", "?", "help", "this list");
  return list;
}
