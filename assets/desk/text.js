// The text under judgement: flags as underlines that differ by style as well as by colour, a mark before each claim, and the words that are selected.
import { Points, words } from "./codepoints.js";
import { button, el } from "./elements.js";
import { wordedParts } from "./parts.js";

const DEEPEST_LINE = 2; // a fourth flag on the same words shares the lowest line

/** The panel of one text. Offsets outside it count code points. */
export class TextPanel {
  /** Callbacks: `onFlag(id, part)` when somebody clicks the words of a flag, `onClaim(index)` the mark of a claim, `onPlace()` when the selection or the focus went elsewhere. */
  constructor(taxonomy, callbacks) {
    this.callbacks = callbacks;
    this.supports = new Map(taxonomy.supports.map(({ support, name }) => [support, name]));
    this.body = el("div", {
      class: "ew-text", id: "desk-text", dir: "auto", tabindex: "0", role: "region", "aria-label": "Text to judge",
      on: { click: (event) => this.#click(event), mouseup: () => this.body.blur(), focus: () => callbacks.onPlace(), blur: () => callbacks.onPlace() },
    });
    this.selected = this.anchor = this.moving = null;
    document.addEventListener("selectionchange", () => {
      const before = this.claim;
      this.#read();
      if (this.claim !== before) callbacks.onPlace();
    });
    this.show("", []);
  }

  /** Show another text with its claims (`{start, end}` in order), without flags. */
  show(text, claims) {
    this.clear();
    this.body.blur();
    this.points = new Points(text);
    this.claims = claims;
    this.words = this.drawn = null;
    this.marks = new Map(claims.map(({ start }, index) => [start, this.#claimMark(index)]));
    this.glued = claims.map(({ start }) => this.points.afterCharacter(start));
    this.flag([], null);
    this.tick(() => null);
    this.body.scrollTop = 0;
  }

  /** Draw the words of the flags, both stretches of those that have two; the selected flag stands out. */
  flag(flags, selectedId) {
    const worded = wordedParts(flags);
    const drawn = JSON.stringify([worded, selectedId]);
    if (drawn === this.drawn) return;
    this.#read();
    this.drawn = drawn;
    const lines = underlines(worded);
    const edges = [...new Set([0, this.points.length, ...this.marks.keys(), ...this.glued, ...worded.flatMap((one) => [one.text_start, one.text_end])])].sort((a, b) => a - b);
    const pieces = edges.slice(1).map((end, index) => {
      const start = edges[index];
      const over = worded.filter((one) => one.text_start <= start && one.text_end >= end);
      const words = document.createTextNode(this.points.slice(start, end));
      const piece = over.reduceRight((inner, one) => flagMark(one, one.id === selectedId, lines.get(one), one.text_end === end, inner), words);
      return this.marks.has(start) ? el("span", { class: "ew-with-claim" }, this.marks.get(start), piece) : piece;
    });
    this.body.replaceChildren(...pieces);
    if (this.selected) this.#select(this.selected.start, this.selected.end);
  }

  /** Draw what is said of each claim: `supportOf(claim)` returns it, or null. */
  tick(supportOf) {
    [...this.marks.values()].forEach((mark, index) => {
      const support = supportOf(this.claims[index]);
      const told = `Claim ${index + 1} of ${this.claims.length}: ${this.supports.get(support) ?? "not ticked"}`;
      [mark.dataset.support, mark.title] = [support ?? "", told];
      mark.setAttribute("aria-label", told);
    });
  }

  /** Return the index of the claim that is selected by keys, or null: the digits say something of it then. */
  get claim() {
    if (!this.focused || !this.selected) return null;
    const at = this.claims.findIndex(({ start, end }) => start === this.selected.start && end === this.selected.end);
    return at < 0 ? null : at;
  }

  /** Put the focus on the text, with a claim selected. */
  toClaim(index) {
    this.body.focus({ preventScroll: true });
    this.anchor = this.moving = null;
    this.#select(this.claims[index].start, this.claims[index].end);
    this.callbacks.onPlace();
  }

  /** Go to the claim before (-1) or after (1); to the one at hand first, when only a part of it is selected. */
  moveClaim(step) {
    if (this.claims.length === 0) return;
    const at = this.selected ? Math.max(0, this.claims.findIndex(({ end }) => end > this.selected.start)) : 0;
    this.toClaim(this.claim === null ? at : Math.max(0, Math.min(this.claims.length - 1, this.claim + step)));
  }

  /** Return the selected words as `{start, end, quote}` without outer spaces, or null. */
  get selection() {
    this.#read();
    const span = this.selected && this.points.trimmed(this.selected.start, this.selected.end);
    return span ? { ...span, quote: this.points.slice(span.start, span.end) } : null;
  }

  /** Let the selection go. */
  clear() {
    this.selected = this.anchor = this.moving = null;
    if (this.#holds(getSelection())) getSelection().removeAllRanges();
  }

  get focused() {
    return document.activeElement === this.body;
  }

  /** Put the focus on the text, with a word selected. */
  focus() {
    this.body.focus({ preventScroll: true });
    if (!this.selected) this.move(0, false);
  }

  /** Select the word before (-1), at (0) or after (1) the selection; with `extend` its moving edge goes there instead. */
  move(step, extend) {
    const list = (this.words ??= words(this.points));
    if (list.length === 0) return;
    const from = this.selected ?? { start: 0, end: 0 };
    if (!extend || this.anchor === null) this.anchor = list.findIndex((part) => part.end > from.start);
    const here = extend && this.moving !== null ? this.moving : this.anchor;
    const next = Math.max(0, Math.min(list.length - 1, here + (this.selected ? step : 0)));
    this.moving = next;
    if (!extend) this.anchor = next;
    const [first, last] = [Math.min(this.anchor, next), Math.max(this.anchor, next)];
    this.#select(list[first].start, list[last].end);
  }

  /** Select the word on the left (-1) or right (1) as the eye sees it: in Hebrew or Arabic the next word is on the left. */
  moveSideways(side, extend) {
    this.move(getComputedStyle(this.body).direction === "rtl" ? -side : side, extend);
  }

  #claimMark(index) {
    return button({ class: "ew-claim", tabindex: "-1", data: { claim: index }, on: { click: () => this.callbacks.onClaim(index) } });
  }

  #select(start, end) {
    const range = document.createRange();
    range.setStart(...this.#place(this.points.unitAt(start), true));
    range.setEnd(...this.#place(this.points.unitAt(end), false));
    this.selected = { start, end };
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    const seen = range.getBoundingClientRect();
    const frame = this.body.getBoundingClientRect();
    if (seen.bottom > frame.bottom) this.body.scrollTop += seen.bottom - frame.bottom + 8;
    if (seen.top < frame.top) this.body.scrollTop -= frame.top - seen.top + 8;
  }

  /** Return the text node and the offset in it of a UTF-16 offset into the whole text; what begins there lies behind a claim's mark. */
  #place(unit, begins) {
    const walker = document.createTreeWalker(this.body, NodeFilter.SHOW_TEXT);
    let before = 0;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (unit < before + node.length || (unit === before + node.length && !begins)) return [node, unit - before];
      before += node.length;
    }
    return [this.body, this.body.childNodes.length];
  }

  #holds(selection) {
    return selection.rangeCount > 0 && selection.getRangeAt(0).intersectsNode(this.body);
  }

  /** Take over what the person selected, cut to the text. */
  #read() {
    const selection = getSelection();
    if (!this.body.isConnected || this.body.hidden) return;
    if (!this.#holds(selection)) {
      this.selected = this.anchor = this.moving = null;
      return;
    }
    const range = selection.getRangeAt(0);
    const whole = document.createRange();
    whole.selectNodeContents(this.body);
    const start = range.compareBoundaryPoints(Range.START_TO_START, whole) < 0 ? 0 : this.#unitOf(range.startContainer, range.startOffset);
    const end = range.compareBoundaryPoints(Range.END_TO_END, whole) > 0 ? this.points.text.length : this.#unitOf(range.endContainer, range.endOffset);
    const span = { start: this.points.pointAt(start), end: this.points.pointAt(end) };
    const same = this.selected && span.start === this.selected.start && span.end === this.selected.end;
    if (!same) this.anchor = this.moving = null;
    this.selected = span.end > span.start ? span : null;
  }

  #unitOf(node, offset) {
    const before = document.createRange();
    before.setStart(this.body, 0);
    before.setEnd(node, offset);
    return before.toString().length;
  }

  #click(event) {
    if (!getSelection().isCollapsed) return;
    const mark = event.target.closest("mark");
    if (mark && !event.target.closest("button")) this.callbacks.onFlag(mark.dataset.flag, mark.dataset.part);
  }
}

/** Return the underlined words of a part; its last piece bears the number that joins it to the other part. */
function flagMark({ id, part, kind, number }, on, line, last, inner) {
  const classes = ["ew-" + kind, on && "on", part === "other" && "second"].filter(Boolean).join(" ");
  return el("mark", { class: classes, data: { flag: id, part, line, ...(last && number !== null ? { number } : {}) } }, inner);
}

/** Return on which line, 0 the highest, each part is drawn, so that flags on the same words do not hide each other. */
function underlines(parts) {
  const lines = new Map();
  for (const part of [...parts].sort((a, b) => a.text_start - b.text_start)) {
    const taken = parts.filter((other) => lines.has(other) && other.text_start < part.text_end && part.text_start < other.text_end).map((other) => lines.get(other));
    let line = 0;
    while (taken.includes(line) && line < DEEPEST_LINE) line += 1;
    lines.set(part, line);
  }
  return lines;
}
