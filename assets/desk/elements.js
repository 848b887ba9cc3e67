// Building the page: every text goes in as a text node, never as markup.

/**
 * Return a new element. `attributes` may hold `class`, `data` (an object), `on` (event name -> listener), and any attribute;
 * null, undefined and false leave an attribute away. Children are nodes or strings; null and false are left away.
 */
export function el(tag, attributes = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "data") Object.assign(made.dataset, value);
    else if (name === "on") for (const [event, listener] of Object.entries(value)) made.addEventListener(event, listener);
    else made.setAttribute(name, value === true ? "" : value);
  }
  made.append(...children.filter((child) => child !== null && child !== undefined && child !== false));
  return made;
}

/** Return a key cap for a chord as `keys.js` names it; it follows when the key is changed. `scope` tells which key is meant where a chord has two meanings. */
export function kbd(chord, scope = null) {
  return el("kbd", { data: scope ? { chord, scope } : { chord } }, keyName(chord));
}

/**
 * Return the attributes of a title or placeholder (`name`) with a key in it, "#" in the sentence, that follows when the key is changed; `data` is the element's other data.
 */
export function hinted(name, said, chord, data = {}) {
  return { [name]: said.replace("#", keyName(chord)), data: { ...data, hint: chord, said } };
}

const KEY_NAMES = {
  space: "space", enter: "↵", escape: "Esc", delete: "Del", arrowleft: "←", arrowright: "→", arrowup: "↑", arrowdown: "↓", home: "Home", end: "End", "-": "−",
};

/** Return how a chord is written on a key cap: "shift+z" is "⇧Z". */
export function keyName(chord) {
  const shifted = chord.startsWith("shift+");
  const bare = shifted ? chord.slice(6) : chord;
  return (shifted ? "⇧" : "") + (KEY_NAMES[bare] ?? bare.toUpperCase());
}

/** Return a button that leaves focus and text selection where they are when it is clicked with a mouse. */
export function button(attributes, ...children) {
  const made = el("button", { type: "button", ...attributes }, ...children);
  made.addEventListener("mousedown", (event) => event.preventDefault());
  return made;
}

/** Return seconds as minutes and seconds with milliseconds: 21.455 is "00:21.455". */
export function clockTime(seconds) {
  const whole = Math.max(0, Math.round(seconds * 1000));
  const minutes = Math.floor(whole / 60000);
  return `${String(minutes).padStart(2, "0")}:${String(Math.floor(whole / 1000) % 60).padStart(2, "0")}.${String(whole % 1000).padStart(3, "0")}`;
}

/** Return the seconds that a person typed ("17.8", "17,8", "1:02.5"), or NaN. */
export function typedSeconds(typed) {
  const parts = typed.trim().replace(",", ".").split(":");
  if (parts.length > 3 || !parts.every((part) => /^\d+(\.\d+)?$/.test(part))) return NaN;
  return parts.reduce((total, part) => total * 60 + Number(part), 0);
}

/** Return an id that nobody else makes; `crypto.randomUUID` is missing on plain http. */
export function newId() {
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}
