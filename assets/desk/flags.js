// The flags of an item: the row of kinds to set one, and the list of those that are set.
import { button, el, kbd, typedSeconds } from "./elements.js";
import { LONGEST_TEXT } from "./work.js";

/** Return the row of buttons that set flags; it is the legend of the underlines too. `onFlag(kind)`. */
export function flagButtons(taxonomy, onFlag) {
  return el("div", { class: "ew-kinds", role: "group", "aria-label": "Set a flag" }, ...taxonomy.flags.map((flag) => button(
    { id: `desk-flag-${flag.kind}`, class: `ew-kind ew-${flag.kind}`, title: `${flag.short} ${flag.question}`, on: { click: () => onFlag(flag.kind) } },
    el("i", { class: "ew-swatch", "aria-hidden": "true" }), flag.name, kbd(flag.key),
  )));
}

/**
 * The list of flags. Callbacks: `onSelect(id)`, `onChange(id, changes, merge)`, `onDelete(id)`, `onLoop(id)`,
 * `onProblem(sentence)`, and `onProblem(null)` once the field is right.
 */
export class FlagList {
  constructor(taxonomy, callbacks) {
    Object.assign(this, { taxonomy, callbacks });
    this.names = new Map(taxonomy.flags.map((flag) => [flag.kind, flag.name]));
    this.body = el("ul", { class: "ew-flags", id: "desk-flags", "aria-label": "Flags" });
  }

  /** Draw the flags; only the selected one can be changed in place. The focus, and what is being typed, stay as they are. */
  show(flags, selectedId, length_s) {
    this.length_s = length_s;
    this.body.hidden = flags.length === 0;
    const focused = this.body.contains(document.activeElement) ? document.activeElement : null;
    const typing = focused?.matches("[data-field=comment]");
    const drawn = JSON.stringify([flags.map((flag) => (typing && flag.id === selectedId ? { ...flag, comment: "" } : flag)), selectedId]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const { flag, field } = { flag: focused?.closest("[data-flag]").dataset.flag, field: focused?.dataset.field };
    this.body.replaceChildren(...flags.map((one) => (one.id === selectedId ? this.#open(one) : this.#row(one))));
    if (focused) (this.body.querySelector(`[data-flag="${flag}"] [data-field="${field}"]`) ?? this.body.querySelector(`[data-flag="${flag}"] button`))?.focus();
    else this.body.querySelector(".on")?.scrollIntoView({ block: "nearest" });
  }

  /** Put the focus into the selected flag's comment. */
  focusComment() {
    this.body.querySelector("[data-field=comment]")?.focus();
  }

  #row(flag) {
    const severity = this.taxonomy.severities[flag.severity];
    return el(
      "li", { class: `ew-flag ew-${flag.kind}`, data: { flag: flag.id } },
      button(
        { class: "ew-flag-head", title: "Select it and loop its moment", on: { click: () => this.callbacks.onSelect(flag.id) } },
        el("i", { class: "ew-swatch", "aria-hidden": "true" }), el("span", { class: "ew-flag-name" }, this.names.get(flag.kind)),
        el("span", { class: "ew-quote", dir: "auto" }, flag.quote ? `“${flag.quote}”` : flag.comment || "no words"),
        el("span", { class: "ew-when" }, whenOf(flag)), dots(severity),
      ),
    );
  }

  #open(flag) {
    const change = (changes, merge = null) => this.callbacks.onChange(flag.id, changes, merge);
    const levels = this.taxonomy.severities.map(({ value, name, anchor }) => button(
      { "aria-pressed": String(value === flag.severity), title: anchor, data: { field: `severity-${value}` }, on: { click: () => change({ severity: value }) } }, kbd(String(value)), name,
    ));
    const comment = el("input", {
      type: "text", "aria-label": "Comment of the flag", maxlength: LONGEST_TEXT, dir: "auto", data: { field: "comment" },
      placeholder: flag.quote && flag.kind !== "other" ? "comment (C)" : "say what is missing or wrong (C)",
      on: { input: (event) => change({ comment: event.target.value }, `comment ${flag.id}`) },
    });
    comment.value = flag.comment;
    return el(
      "li", { class: `ew-flag ew-${flag.kind} on`, data: { flag: flag.id }, "aria-current": "true" },
      el(
        "div", { class: "ew-flag-head" }, el("i", { class: "ew-swatch", "aria-hidden": "true" }), el("span", { class: "ew-flag-name" }, this.names.get(flag.kind)),
        el("span", { class: "ew-quote", dir: "auto", title: flag.quote }, flag.quote ? `“${flag.quote}”` : "no words"),
        button({ class: "ew-small", title: "Loop its moment (L)", "aria-label": "Loop its moment", on: { click: () => this.callbacks.onLoop(flag.id) } }, "↻"),
        button({ class: "ew-small", title: "Delete the flag (Del)", "aria-label": "Delete the flag", on: { click: () => this.callbacks.onDelete(flag.id) } }, "✕"),
      ),
      el("div", { class: "ew-flag-more" }, this.#seconds(flag, "start_s", "Start"), "–", this.#seconds(flag, "end_s", "End"), " s",
        el("span", { class: "ew-levels", role: "group", "aria-label": "Severity" }, ...levels)),
      comment,
    );
  }

  #seconds(flag, field, name) {
    const input = el("input", {
      type: "text", inputmode: "decimal", class: "ew-seconds", "aria-label": `${name} of the moment in seconds`, data: { field },
      on: { input: (event) => this.#typing(flag, field, event.target), change: (event) => this.#typed(flag, field, event.target), keydown: (event) => event.key === "Enter" && event.target.blur() },
    });
    input.value = flag[field] === null ? "" : flag[field].toFixed(3).replace(/0$/, "");
    return input;
  }

  /** Let a complaint go as soon as what is typed is right. */
  #typing(flag, field, input) {
    if (this.#whatIsWrong(input.value, momentWith(flag, field, input.value), field) === null) this.callbacks.onProblem(null);
  }

  /** Take over seconds that were typed, or say why not and show the old ones. */
  #typed(flag, field, input) {
    const moment = momentWith(flag, field, input.value);
    const wrong = this.#whatIsWrong(input.value, moment, field);
    this.callbacks.onProblem(wrong);
    if (wrong) {
      input.value = flag[field] === null ? "" : String(flag[field]);
    } else {
      this.callbacks.onChange(flag.id, moment, null);
    }
  }

  #whatIsWrong(typed, moment, field) {
    const { start_s, end_s, [field]: seconds } = moment;
    if (Number.isNaN(seconds)) return `“${typed}” is not a time. Type seconds, such as 17.8 or 1:02.5.`;
    if (seconds > this.length_s) return `The clip ends at ${this.length_s.toFixed(3)} s. Type a time inside it.`;
    return end_s < start_s ? `The moment would end at ${end_s} s, before it starts at ${start_s} s.` : null;
  }
}

/** Return the flag's moment with the seconds that were typed at one of its edges. */
function momentWith(flag, field, typed) {
  const seconds = typedSeconds(typed);
  return { start_s: flag.start_s ?? seconds, end_s: flag.end_s ?? seconds, [field]: seconds };
}

function whenOf({ start_s, end_s }) {
  return start_s === null ? "no time" : `${start_s.toFixed(1)}–${end_s.toFixed(1)} s`;
}

function dots({ value, name, anchor }) {
  return el("span", { class: "ew-dots", title: `${name}: ${anchor}`, "aria-label": `severity ${name}`, role: "img" }, "●".repeat(value) + "○".repeat(3 - value));
}
