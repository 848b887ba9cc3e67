// Sentences that stay on screen until they are settled, each with its ways out.
import { el } from "./elements.js";

/** A list of notices under the head bar; each has a key, so that it can be taken back. */
export class Notices {
  constructor() {
    this.shown = new Map();
    this.body = el("div", { class: "ew-notices", id: "desk-notices", role: "alert", hidden: true });
  }

  /** Show a sentence with its buttons, in the place of what was said under this key before. */
  put(key, sentence, ...buttons) {
    const made = el("p", {}, el("span", {}, sentence), ...buttons);
    if (this.shown.has(key)) this.shown.get(key).replaceWith(made);
    else this.body.append(made);
    this.shown.set(key, made);
    this.body.hidden = false;
  }

  /** Take a notice back. */
  drop(key) {
    this.shown.get(key)?.remove();
    this.shown.delete(key);
    this.body.hidden = this.shown.size === 0;
  }
}
