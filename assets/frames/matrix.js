// The pooled pictures: a row a method, a column a window. Pointing, focus and touch look at one, a click or Enter chooses it.
import { el } from "../desk/elements.js";
import { NAMES, secondsOf, spanOf } from "./words.js";

const COLUMNS = 5; // at least, so that pictures have one size and nothing moves
const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0], Home: [0, -Infinity], End: [0, Infinity] };

/** Callbacks: `onLook(place or null)`, `onChoose(place)`; a place is `{name, method}`. */
export class Matrix {
  constructor(callbacks) {
    Object.assign(this, { callbacks, cells: [], heads: [], windows: [] });
    this.body = el("div", { class: "fr-matrix", id: "frames-matrix", role: "grid", "aria-label": "Pooled frames, a row a method and a column a window" });
    this.body.addEventListener("keydown", (event) => this.#move(event));
    this.body.addEventListener("pointerleave", () => callbacks.onLook(null));
    this.body.addEventListener("focusout", (event) => this.body.contains(event.relatedTarget) || callbacks.onLook(null));
    this.clear();
  }

  /** Leave empty places where the pictures will come. */
  clear() {
    this.#build(Object.keys(NAMES), []);
  }

  /** Say whether other pictures are on their way. */
  wait(waiting) {
    this.body.setAttribute("aria-busy", String(waiting));
  }

  /** Show the windows of a preview. Who stood on a picture with the keyboard stands on the one in its place. */
  show({ windows, methods }) {
    const stood = this.#placeOf(document.activeElement);
    this.#build(methods, windows);
    if (stood) this.#cell(stood)?.focus();
  }

  /** Mark what is chosen: that is where Tab comes in. */
  mark({ name, method }) {
    for (const { cell, name: its, method: row } of this.cells) {
      const on = its === name && row === method;
      cell.parentElement.setAttribute("aria-selected", String(on));
      cell.tabIndex = on ? 0 : -1;
    }
    for (const { head, name: its } of this.heads) head.classList.toggle("on", its === name);
  }

  /** Mark the window in which the video stands, or none. */
  play(name) {
    for (const { head, name: its } of this.heads) head.classList.toggle("playing", its === name);
  }

  #build(methods, windows) {
    const columns = Math.max(COLUMNS, windows.length);
    Object.assign(this, { cells: [], heads: [], windows, methods });
    const blanks = Array.from({ length: columns - windows.length });
    const heads = windows.map((one) => this.#head(one));
    const rows = methods.map((method) => el(
      "div", { role: "row" }, el("div", { role: "rowheader", class: "fr-method", title: NAMES[method] }, method),
      ...windows.map((one) => this.#window(one, method)), ...blanks.map(() => el("div", { role: "gridcell", class: "fr-blank" })),
    ));
    this.body.style.setProperty("--columns", columns);
    this.body.replaceChildren(el("div", { role: "row" }, el("div", { role: "columnheader", class: "fr-corner" }, el("span", {}, "Method")), ...heads, ...blanks.map(() => el("div", { role: "columnheader", class: "fr-head" }, " "))), ...rows);
  }

  #head(one) {
    const head = el("div", { role: "columnheader", class: "fr-head", title: one.is_cut ? "Begins or ends at a shot change" : null }, el("b", {}, one.name), ` ${secondsOf(one.start_s)}–${secondsOf(one.end_s)} s`, one.is_cut && el("i", { role: "img", "aria-label": "at a cut" }, " ✂"));
    this.heads.push({ head, name: one.name });
    return head;
  }

  #window(one, method) {
    const place = { name: one.name, method };
    const cell = el(
      "button", { type: "button", class: "fr-cell", tabindex: "-1", "aria-label": `${method}, ${spanOf(one)}`, data: { method, name: one.name } },
      one.pictures[method] ? el("img", { src: one.pictures[method], alt: "", decoding: "sync", draggable: "false" }) : "damaged",
    );
    cell.addEventListener("pointerenter", () => this.callbacks.onLook(place));
    cell.addEventListener("focus", () => this.callbacks.onLook(place));
    cell.addEventListener("click", () => this.callbacks.onChoose(place));
    this.cells.push({ cell, ...place });
    return el("div", { role: "gridcell" }, cell);
  }

  #cell({ name, method }) {
    const column = this.windows.find((one) => one.name === name) ?? this.windows.at(0);
    return this.cells.find((one) => one.name === column?.name && one.method === method)?.cell;
  }

  #placeOf(element) {
    return this.cells.find((one) => one.cell === element) ?? null;
  }

  #move(event) {
    const place = this.#placeOf(event.target);
    const step = MOVES[event.key];
    if (!place || !step || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    const within = (index, length) => Math.max(0, Math.min(length - 1, index));
    const column = within(this.windows.findIndex((one) => one.name === place.name) + step[1], this.windows.length);
    const row = within(this.methods.indexOf(place.method) + step[0], this.methods.length);
    this.#cell({ name: this.windows[column].name, method: this.methods[row] })?.focus();
  }
}
