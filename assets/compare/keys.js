// The keys of the page Compare, in the form that `desk/keys.js` obeys, shows and checks for clashes. The player's are the desk's own.
import { watchingKeys } from "../desk/keys.js";

/** What can be said of two texts; the first key of each is the one that its button shows. */
export const CHOICES = [
  { choice: "left", keys: ["1"], name: "Left is better", said: "left is better" },
  { choice: "tie", keys: ["3", "0"], name: "Equally good", said: "equally good" },
  { choice: "both_bad", keys: ["4", "9"], name: "Both bad", said: "both bad" },
  { choice: "right", keys: ["2"], name: "Right is better", said: "right is better" },
  { choice: "skip", keys: ["s"], name: "Skip", said: "skipped" },
];

/** Return every key with its scope, group, act and meaning: "anywhere" on the page, the others while two texts are there. */
export function compareKeys() {
  const list = [];
  const add = (group, scope, chord, act, what, argument = null) => list.push({ group, scope, chord, act, what, argument });
  for (const { choice, keys, name } of [...CHOICES].sort((one, other) => (one.keys[0] < other.keys[0] ? -1 : 1))) {
    const what = choice === "skip" ? "skip these two: they do not come back by themselves" : name.toLowerCase();
    keys.forEach((chord, place) => add("Choose", "always", chord, "choose", place ? `${what}, by another key` : what, place ? `${choice} too` : choice));
  }
  add("Choose", "anywhere", "z", "undo", "take back the last choice, also after a reload");
  add("Texts", "always", "d", "toggleDiff", "mark in each text the words that the other has not");
  add("Page", "always", "escape", "escape", "leave a text, end a loop");
  add("Page", "anywhere", "?", "help", "this list");
  watchingKeys(add, "what was played last", "always");
  return list;
}
