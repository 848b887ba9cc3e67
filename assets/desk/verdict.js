// The bar at the bottom: two ratings with their wording, what the text leaves out, the verdict, and the way to the next item.
import { button, el, kbd } from "./elements.js";

const WORDING_MS = 3_000;

/** The bar. Callbacks: `onRate(rating, value)`, `onOmission(omission)`, `onVerdict(verdict)`, `onEdit()`, `onSubmit()`. */
export class VerdictBar {
  constructor(taxonomy, callbacks) {
    this.callbacks = callbacks;
    this.ratings = taxonomy.ratings.map((rating) => this.#rating(rating));
    this.omissions = taxonomy.omissions.map((one) => this.#omission(one));
    this.verdicts = taxonomy.verdicts.map((verdict) => this.#verdict(verdict));
    this.edit = button({ id: "desk-edit", title: "Write the text as it should be; it becomes a new text", on: { click: () => callbacks.onEdit() } }, "Edit text", kbd("i"));
    this.submit = button({ id: "desk-submit", class: "ew-go", on: { click: () => callbacks.onSubmit() } }, el("span", {}, "Submit and next"), kbd("enter"));
    const left = el(
      "div", { class: "ew-left-out", role: "group", "aria-labelledby": "desk-omission-name" },
      el("span", { id: "desk-omission-name" }, "Left out of the text", kbd("shift+m")), el("span", { class: "ew-levels" }, ...this.omissions.map((one) => one.made)),
    );
    this.body = el(
      "div", { class: "ew-foot" }, el("div", { class: "ew-ratings" }, ...this.ratings.map((one) => one.body)), left,
      el("div", { class: "ew-verdicts", role: "group", "aria-label": "Verdict" }, ...this.verdicts.map((one) => one.made), this.edit, this.submit),
    );
  }

  /** Show the work. `digits` names the rating that the digit keys set now, or null; `busy` while a submission is under way. */
  show(work, digits, busy) {
    for (const one of this.ratings) {
      one.body.classList.toggle("digits", one.rating === digits);
      one.buttons.forEach((made, index) => made.setAttribute("aria-pressed", String(work[one.rating] === index + 1)));
      if (this.work && this.work[one.rating] !== work[one.rating]) this.#word(one, work[one.rating]);
    }
    this.work = work;
    for (const { omission, made } of this.omissions) made.setAttribute("aria-pressed", String(work.omission === omission));
    for (const { verdict, name, label, made } of this.verdicts) {
      made.setAttribute("aria-pressed", String(work.verdict === verdict));
      label.textContent = verdict === "accept" && work.no_error ? "No error found" : name;
    }
    this.edit.setAttribute("aria-pressed", String(work.edited_text !== null));
    this.submit.firstChild.textContent = work.verdict === "skip" ? "Skip and next" : "Submit and next";
    this.submit.classList.toggle("ready", work.verdict !== null);
    this.body.classList.toggle("busy", busy);
    this.body.inert = busy;
  }

  /** Say for a while what a value of a rating means, as a person sets it or points at it; null ends that. */
  #word(one, value) {
    for (const other of this.ratings) {
      clearTimeout(other.silence);
      other.wording.textContent = "";
    }
    if (value === null) return;
    one.wording.textContent = `${value}: ${one.anchors[value - 1]}`;
    one.silence = setTimeout(() => { one.wording.textContent = ""; }, WORDING_MS);
  }

  #rating({ rating, name, anchors }) {
    const one = { rating, anchors, wording: el("span", { class: "ew-anchor", id: `desk-anchor-${rating}`, "aria-live": "polite" }) };
    one.buttons = anchors.map((anchor, index) => {
      const say = () => this.#word(one, index + 1);
      const silent = () => this.#word(one, null);
      return button({
        id: `desk-${rating}-${index + 1}`, "aria-label": `${name} ${index + 1}: ${anchor}`, "aria-pressed": "false",
        on: { click: () => this.callbacks.onRate(rating, index + 1), mouseenter: say, focus: say, mouseleave: silent, blur: silent },
      }, String(index + 1));
    });
    one.body = el("div", { class: "ew-rating", role: "group", "aria-label": name }, el("span", { class: "ew-rating-name" }, name), ...one.buttons, one.wording);
    return one;
  }

  #omission({ omission, name, anchor }) {
    return { omission, made: button({ id: `desk-omission-${omission}`, title: anchor, "aria-pressed": "false", on: { click: () => this.callbacks.onOmission(omission) } }, name) };
  }

  #verdict({ verdict, name, key, anchor }) {
    const label = el("span", {}, name);
    const made = button({ class: "ew-verdict", id: `desk-${verdict}`, title: anchor, "aria-pressed": "false", on: { click: () => this.callbacks.onVerdict(verdict) } }, label, kbd(key));
    return { verdict, name, label, made };
  }
}
