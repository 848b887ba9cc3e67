// The one list of keys: what the desk obeys, what `?` shows, and what a test holds to have no clash.

// Where a key works: "anywhere" on the desk, "always" while an item is there; "ask" while it is to be answered first, else "judge". With "judge" also one of
// "claim" while a claim is selected by keys, "flag" while a flag is selected, "item" else; "words" while the text has the focus and "watch" while it has not.
const APART = [["flag", "item"], ["flag", "claim"], ["item", "claim"], ["claim", "watch"], ["words", "watch"], ...["judge", "flag", "item", "claim", "words"].map((scope) => ["ask", scope])];
const MOST_OPTIONS = 9;

/** Return every key with its scope, group, act and meaning; flags and verdicts come from the taxonomy. */
export function allKeys(taxonomy) {
  const list = [];
  const add = (group, scope, chord, act, what, argument = null) => list.push({ group, scope, chord, act, what, argument });
  watchingKeys(add, "the selected flag, the marks, or what was played last", "judge");
  add("Watch", "watch", "shift+arrowleft", "jumpSpan", "to the start of the flag, evidence or subtitle before", -1);
  add("Watch", "watch", "shift+arrowright", "jumpSpan", "to the start of the next flag, evidence or subtitle", 1);
  add("Watch", "always", "shift+v", "toggleSubtitles", "show or hide the subtitles");
  add("Moment", "always", "[", "markStart", "start here: of the selected flag, else of the next one");
  add("Moment", "always", "]", "markEnd", "end here: of the selected flag, else of the next one");
  add("Moment", "flag", "d", "nudgeStart", "start a frame earlier", -1);
  add("Moment", "flag", "f", "nudgeStart", "start a frame later", 1);
  add("Moment", "flag", "shift+d", "nudgeEnd", "end a frame earlier", -1);
  add("Moment", "flag", "shift+f", "nudgeEnd", "end a frame later", 1);
  add("Selected flag", "judge", "k", "otherHalf", "the selected words are its other half: the other mention, the other event, what it props up; without words, go to the other moment");
  add("Selected flag", "judge", "shift+k", "dropOther", "take its other half away");
  walkingKeys(add, "judge");
  add("Words", "words", "arrowup", "sentence", "select the sentence at hand, else the first; then the one before", -1);
  add("Words", "words", "arrowdown", "sentence", "select the sentence at hand, else the first; then the one after", 1);
  add("Claims", "judge", "y", "claims", "to the first claim without a tick; on a claim, the next word in turn");
  for (const { value, name, support } of taxonomy.supports) add("Claims", "claim", String(value), "tick", `on a claim: ${name}, and to the next one`, support);
  add("Claims", "claim", "0", "tick", "on a claim: take the tick away", null);
  for (const { key, kind, name } of taxonomy.flags) add("Flags: select words, then press", "judge", key, "flag", name, kind);
  add("Selected flag", "judge", "g", "nextFlag", "select the next flag", 1);
  add("Selected flag", "judge", "shift+g", "nextFlag", "select the flag before", -1);
  for (const { value, name } of taxonomy.severities) add("Selected flag", "flag", String(value), "severity", `severity: ${name}`, value);
  for (const { key, field, what } of taxonomy.orders) add("Selected flag", "flag", key, "order", field === "true_order" ? `${what}; of a fabrication, what it props up` : what, field);
  add("Selected flag", "flag", "c", "comment", "write its comment");
  add("Selected flag", "flag", "delete", "deleteFlag", "delete it");
  for (const { key, verdict, name } of taxonomy.verdicts) {
    if (verdict === "skip") add("Verdict", "always", key, "skip", "skip, with a reason");
    else add("Verdict", "judge", key, "verdict", name, verdict);
  }
  for (let value = 1; value <= 5; value += 1) add("Verdict", "item", String(value), "rate", `rate ${value}: factual consistency first, then logical coherence`, value);
  add("Verdict", "item", "r", "switchRating", "let the digits rate the other one");
  add("Verdict", "judge", "shift+m", "omission", "what the text leaves out: nothing, minor, major");
  add("Verdict", "judge", "n", "note", "write the note");
  add("Verdict", "judge", "i", "edit", "edit the text");
  add("Verdict", "judge", "enter", "submit", "submit and take the next item");
  for (let number = 1; number <= MOST_OPTIONS; number += 1) add("Answer first", "ask", String(number), "choose", "choose the option with this number", number - 1);
  add("Answer first", "ask", "w", "toAnswer", "to the options, or to the field of an open question");
  add("Answer first", "ask", "enter", "answer", "keep the answer, and see the given one and the text");
  add("Verdict", "always", "shift+s", "release", "give the item back without a word, and take the next one");
  add("Desk", "anywhere", "z", "undo", "undo the last act, on the item before too");
  add("Desk", "anywhere", "shift+z", "redo", "do again");
  add("Desk", "anywhere", "shift+b", "bringRefused", "bring back an item that was not kept");
  add("Desk", "always", "escape", "escape", "leave a field, a flag, a loop, the marks");
  add("Desk", "anywhere", "b", "recent", "earlier items");
  add("Desk", "anywhere", "q", "guide", "guidelines");
  add("Desk", "anywhere", "?", "help", "this list");
  return list;
}

/** Add the player's keys: what `l` loops, and where the evidence may be shown. */
export function watchingKeys(add, loops, scope) {
  add("Watch", "always", "space", "togglePlay", "play or pause");
  add("Watch", "always", ",", "step", "one frame back", -1);
  add("Watch", "always", ".", "step", "one frame on", 1);
  add("Watch", "watch", "arrowleft", "jump", "one second back", -1);
  add("Watch", "watch", "arrowright", "jump", "one second on", 1);
  add("Watch", "watch", "home", "edge", "to the start of the clip", "start");
  add("Watch", "watch", "end", "edge", "to the end of the clip", "end");
  add("Watch", "always", "-", "speed", "slower", -1);
  add("Watch", "always", "+", "speed", "faster", 1);
  add("Watch", "always", "l", "toggleLoop", `loop ${loops}`);
  add("Watch", scope, "v", "toggleEvidence", "show or hide the data set's evidence");
}

/** Add the keys that walk through a text. */
export function walkingKeys(add, scope) {
  add("Words", scope, "w", "toText", "to the text: select words by keys");
  add("Words", "words", "arrowleft", "wordLeft", "the word to the left");
  add("Words", "words", "arrowright", "wordRight", "the word to the right");
  add("Words", "words", "shift+arrowleft", "wordLeft", "widen or narrow the selection to the left", "extend");
  add("Words", "words", "shift+arrowright", "wordRight", "widen or narrow the selection to the right", "extend");
}

/** Return a sentence for each two keys that could be meant at once. */
export function clashes(list) {
  const found = [];
  list.forEach((one, index) => {
    for (const other of list.slice(0, index)) {
      const apart = APART.some((pair) => pair.includes(one.scope) && pair.includes(other.scope) && one.scope !== other.scope);
      if (one.chord === other.chord && !apart) found.push(`The key ${one.chord} means "${other.what}" and "${one.what}".`);
    }
  });
  return found;
}

const SAME_KEY = { "=": "+", "_": "-", backspace: "delete", " ": "space", spacebar: "space" };

/** Return whether a keyboard event is part of composing a character; Safari says so of the last one by its code only. */
export function composes(event) {
  return event.isComposing || event.keyCode === 229;
}

/** Return the chord of a keyboard event, or null when it is the browser's own (Ctrl, Alt, Meta) or part of composing a character. */
export function chordOf(event) {
  if (composes(event)) return null;
  const composed = event.getModifierState?.("AltGraph");
  if (event.metaKey || ((event.ctrlKey || event.altKey) && !composed)) return null;
  const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code ?? "");
  if (digit && !event.shiftKey && !composed) return digit[1];
  let key = event.key.toLowerCase();
  // On a keyboard without Latin letters the place of the key counts.
  if (!composed && /^Key[A-Z]$/.test(event.code ?? "") && !/^[a-z]$/.test(key)) key = event.code.slice(3).toLowerCase();
  key = SAME_KEY[key] ?? key;
  const named = /^[a-z]$/.test(key) || key.length > 1;
  return event.shiftKey && named && key !== "space" && key !== "enter" ? `shift+${key}` : key;
}

/** Return whether typing belongs to the element: text fields and lists keep their keys. */
function takesText(element) {
  return Boolean(element?.closest?.("input, textarea, select, [contenteditable]:not([contenteditable=false])"));
}

const REPEATED = new Set(["step", "jump", "jumpSpan", "nudgeStart", "nudgeEnd", "wordLeft", "wordRight", "sentence", "speed"]);
const PRESSED_BY = new Set(["space", "enter"]);

/** Hands keys to acts. `scopes()` returns the scopes that hold now, `acts` the functions by name. */
export class Keys {
  constructor(list, acts, scopes) {
    const wrong = clashes(list);
    if (wrong.length > 0) throw new Error(wrong.join(" "));
    Object.assign(this, { list, acts, scopes });
  }

  /** Obey another list of keys. */
  use(list) {
    this.list = list;
  }

  /** Do what the key means here; return whether it meant something. */
  press(event) {
    const chord = chordOf(event);
    if (chord === null || (takesText(event.target) && chord !== "escape")) return false;
    if (PRESSED_BY.has(chord) && event.target.closest?.("button, a, summary, [role=tab]")) return false;
    if (event.target.closest?.("[role=slider]") && chord.includes("arrow")) return false;
    const scopes = new Set(this.scopes());
    const meant = this.list.find((key) => key.chord === chord && scopes.has(key.scope));
    if (!meant) return false;
    event.preventDefault();
    if (!event.repeat || REPEATED.has(meant.act)) this.acts[meant.act](meant.argument);
    return true;
  }
}
