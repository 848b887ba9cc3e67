// The text under judgement: flags as underlines that differ by style as well as by colour, and the words that are selected.
import { el } from "./elements.js";
import { Points, segments } from "./codepoints.js";

const DEEPEST_LINE = 2; // a fourth flag on the same words shares the lowest line

/** The panel of one text. Offsets outside it count code points. */
export class TextPanel {
  /** `onFlag(id)` is called when somebody clicks the words of a flag. */
  constructor({ onFlag }) {
    this.onFlag = onFlag;
    this.body = el("div", {
      class: "ew-text", id: "desk-text", dir: "auto", tabindex: "0", role: "region", "aria-label": "Text to judge",
      on: { click: (event) => this.#click(event), mouseup: () => this.body.blur() },
    });
    this.selected = this.anchor = this.moving = null;
    document.addEventListener("selectionchange", () => this.#read());
    this.show("");
  }

  /** Show another text, without flags. */
  show(text) {
    this.clear();
    this.body.blur();
    this.points = new Points(text);
    this.words = this.sentences = this.drawn = null;
    this.flag([], null);
    this.body.scrollTop = 0;
  }

  /** Draw the flags that have words; the selected one stands out. */
  flag(flags, selectedId) {
    const worded = flags.filter((flag) => flag.text_start !== null);
    const drawn = JSON.stringify([worded.map(({ id, kind, text_start, text_end }) => [id, kind, text_start, text_end]), selectedId]);
    if (drawn === this.drawn) return;
    this.#read();
    this.drawn = drawn;
    const lines = underlines(worded);
    const edges = [...new Set([0, this.points.length, ...worded.flatMap((flag) => [flag.text_start, flag.text_end])])].sort((a, b) => a - b);
    const parts = edges.slice(1).map((end, index) => {
      const start = edges[index];
      const over = worded.filter((flag) => flag.text_start <= start && flag.text_end >= end);
      return over.reduceRight(
        (inner, flag) => el("mark", { class: `ew-${flag.kind}${flag.id === selectedId ? " on" : ""}`, data: { flag: flag.id, line: lines.get(flag.id) } }, inner),
        document.createTextNode(this.points.slice(start, end)),
      );
    });
    this.body.replaceChildren(...parts);
    if (this.selected) this.#select(this.selected.start, this.selected.end);
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
    if (!this.selected) this.move(0, "word", false);
  }

  /** Select the word or sentence before (-1), at (0) or after (1) the selection; with `extend` its moving edge goes there instead. */
  move(step, granularity, extend) {
    const list = this.#segments(granularity);
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
    this.move(getComputedStyle(this.body).direction === "rtl" ? -side : side, "word", extend);
  }

  #segments(granularity) {
    if (granularity === "word") return (this.words ??= segments(this.points, "word"));
    return (this.sentences ??= segments(this.points, "sentence"));
  }

  #select(start, end) {
    const range = document.createRange();
    range.setStart(...this.#place(this.points.unitAt(start)));
    range.setEnd(...this.#place(this.points.unitAt(end)));
    this.selected = { start, end };
    getSelection().removeAllRanges();
    getSelection().addRange(range);
    const seen = range.getBoundingClientRect();
    const frame = this.body.getBoundingClientRect();
    if (seen.bottom > frame.bottom) this.body.scrollTop += seen.bottom - frame.bottom + 8;
    if (seen.top < frame.top) this.body.scrollTop -= frame.top - seen.top + 8;
  }

  /** Return the text node and the offset in it of a UTF-16 offset into the whole text. */
  #place(unit) {
    const walker = document.createTreeWalker(this.body, NodeFilter.SHOW_TEXT);
    let before = 0;
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      if (unit <= before + node.length) return [node, unit - before];
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
    if (mark) this.onFlag(mark.dataset.flag);
  }
}

/** Return on which line, 0 the highest, each flag is drawn, so that flags on the same words do not hide each other. */
function underlines(flags) {
  const lines = new Map();
  for (const flag of [...flags].sort((a, b) => a.text_start - b.text_start)) {
    const taken = flags.filter((other) => lines.has(other.id) && other.text_start < flag.text_end && flag.text_start < other.text_end).map((other) => lines.get(other.id));
    let line = 0;
    while (taken.includes(line) && line < DEEPEST_LINE) line += 1;
    lines.set(flag.id, line);
  }
  return lines;
}
