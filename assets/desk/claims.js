// The claims of a text and what the annotator says of each: a mark before each sentence, and a line that counts or explains them.
import { button, el, kbd } from "./elements.js";

/** Return the work with a word on a claim `{start, end}`; null takes it back. */
export function withTick(work, { start, end }, support) {
  const rest = work.ticks.filter((tick) => tick.text_start !== start || tick.text_end !== end);
  const ticks = support === null ? rest : [...rest, { text_start: start, text_end: end, support }];
  return { ...work, ticks: ticks.sort((a, b) => a.text_start - b.text_start || a.text_end - b.text_end) };
}

/** Return what the ticks say of a claim, or null. */
export function supportOf(ticks, { start, end }) {
  return ticks.find((tick) => tick.text_start === start && tick.text_end === end)?.support ?? null;
}

/** Return what a claim turns to next: each word in turn, then none. */
export function nextSupport(taxonomy, support) {
  const at = taxonomy.supports.findIndex((one) => one.support === support);
  return taxonomy.supports[at + 1]?.support ?? null;
}

/** The line over the text: how many claims are ticked; while one is selected by keys, what can be said of it. */
export class ClaimLine {
  /** Callbacks: `onStart()` goes to the first claim without a tick, `onTick(support)` says it of the selected one. */
  constructor(taxonomy, callbacks) {
    this.count = el("span", {});
    this.start = button(
      { class: "ew-small", id: "desk-claims", title: "Say of each sentence whether the clip supports it", on: { click: () => callbacks.onStart() } }, this.count, kbd("y"),
    );
    this.choices = taxonomy.supports.map(({ support, name, anchor, value }) => ({
      support, made: button({ class: "ew-small", title: anchor, data: { support }, on: { click: () => callbacks.onTick(support) } }, kbd(String(value), "claim"), name),
    }));
    this.legend = el("div", { class: "ew-supports", role: "group", "aria-label": "This sentence is", hidden: true }, ...this.choices.map((one) => one.made));
  }

  /** Show how many of the claims are ticked, and the choice for the one at `current`, or null. */
  show(claims, ticks, current) {
    const done = claims.filter((claim) => supportOf(ticks, claim) !== null).length;
    this.count.textContent = `${done} of ${claims.length} claims ticked`;
    this.start.hidden = claims.length === 0;
    this.legend.hidden = current === null;
    if (current === null) return;
    const support = supportOf(ticks, claims[current]);
    for (const one of this.choices) one.made.setAttribute("aria-pressed", String(one.support === support));
  }
}
