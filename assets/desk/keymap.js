// The keys as one annotator wants them: the registry's, with those that were changed. Kept in this browser.
import { keyName } from "./elements.js";
import { clashes } from "./keys.js";

const NOT_OURS = /^(tab|shift\+tab|escape|shift\+escape|f\d+|shift\+f\d+|shift\+shift|control|alt|altgraph|meta|capslock|contextmenu|dead|process|unidentified)$/;

/** The list of keys that holds now, and the way to change it. `onChange()` after each change. */
export class Keymap {
  constructor(defaults, onChange = () => {}) {
    Object.assign(this, { defaults, onChange, changed: new Map(), name: null, list: defaults });
  }

  /** Take up an annotator's own keys. A change that no longer fits, because of a new key of ours, is left out. */
  open(name, storage = localStorage) {
    Object.assign(this, { name, storage });
    this.changed = new Map(Object.entries(this.#read()).filter(([id]) => this.defaults.some((key) => idOf(key) === id)));
    // All at once, as two keys may have been exchanged; then those go without which fewer clash.
    for (const [id, chord] of [...this.changed]) {
      const before = clashes(this.#with()).length;
      this.changed.delete(id);
      if (clashes(this.#with()).length >= before) this.changed.set(id, chord);
    }
    if (clashes(this.#with()).length > 0) this.changed.clear();
    this.#apply();
  }

  /** Give an act another key; return null, or the sentence that says why not. */
  change(key, chord) {
    if (NOT_OURS.test(chord)) return `The key ${keyName(chord)} belongs to the browser. Choose another one.`;
    const [clash] = clashes(this.#with(idOf(key), chord));
    if (clash) return clash;
    this.changed.set(idOf(key), chord);
    this.#save();
    return null;
  }

  /** Give an act its first key again; return null, or the sentence that says why not. */
  reset(key) {
    const chord = this.defaults.find((one) => idOf(one) === idOf(key)).chord;
    const [clash] = clashes(this.#with(idOf(key), chord));
    if (clash) return clash;
    this.changed.delete(idOf(key));
    this.#save();
    return null;
  }

  /** Give all acts their first keys again. */
  resetAll() {
    this.changed.clear();
    this.#save();
  }

  /** Return whether an act has another key than at first. */
  isChanged(key) {
    return this.changed.has(idOf(key));
  }

  /** Write the keys that hold now into the key caps inside `root`, and into what `hinted` made; a cap names the first key of its act. */
  hint(root) {
    if (this.changed.size === 0 && !this.hinted) return;
    this.hinted = this.changed.size > 0;
    for (const cap of root.querySelectorAll("kbd[data-chord]")) {
      const name = this.nameNow(cap.dataset.chord, cap.dataset.scope);
      if (cap.textContent !== name) cap.textContent = name;
    }
    for (const one of root.querySelectorAll("[data-hint]")) {
      const { hint, scope, said } = one.dataset;
      one.setAttribute(one.hasAttribute("placeholder") ? "placeholder" : "title", said.replace("#", this.nameNow(hint, scope)));
    }
  }

  /** Return how the key is written now that was this chord at first. */
  nameNow(chord, scope = null) {
    const meant = this.defaults.filter((key) => key.chord === chord);
    const index = this.defaults.indexOf(meant.find((key) => key.scope === scope) ?? meant.find((key) => key.scope !== "item") ?? meant[0]);
    return keyName(this.list[index]?.chord ?? chord);
  }

  #with(id = null, chord = null) {
    return this.defaults.map((key) => ({ ...key, chord: idOf(key) === id ? chord : (this.changed.get(idOf(key)) ?? key.chord) }));
  }

  #apply() {
    this.list = this.#with();
    this.onChange();
  }

  #save() {
    this.#apply();
    try {
      this.storage?.setItem(this.name, JSON.stringify(Object.fromEntries(this.changed)));
    } catch {
      // Without room for it the keys hold until the page is closed.
    }
  }

  #read() {
    try {
      return JSON.parse(this.storage.getItem(this.name)) ?? {};
    } catch {
      return {};
    }
  }
}

function idOf({ scope, act, argument }) {
  return `${scope} ${act} ${argument}`;
}
