// The flags of an item: the row of kinds to set one, and the list of those that are set.
import { button, el, kbd } from "./elements.js";
import { FlagDetail } from "./flag_detail.js";
import { momentOf } from "./parts.js";

/** Return the row of buttons that set flags; it is the legend of the underlines too. `onFlag(kind)`. */
export function flagButtons(taxonomy, onFlag) {
  return el("div", { class: "ew-kinds", role: "group", "aria-label": "Set a flag" }, ...taxonomy.flags.map((flag) => button(
    { id: `desk-flag-${flag.kind}`, class: `ew-kind ew-${flag.kind}`, title: `${flag.short} ${flag.question}`, on: { click: () => onFlag(flag.kind) } },
    el("i", { class: "ew-swatch", "aria-hidden": "true" }), flag.name, kbd(flag.key),
  )));
}

/**
 * The list of flags. Callbacks: `onSelect(id, part)` also loops the moment of that part, `onPart(part)` makes one part of the selected flag the one
 * that keys work on, `onChange(id, changes, merge)`, `onMoment(id, part, moment)`, `onDropOther()`, `onDelete(id)`, `onProblem(sentence)`, and `onProblem(null)` once the field is right.
 */
export class FlagList {
  constructor(taxonomy, callbacks) {
    Object.assign(this, { taxonomy, callbacks });
    this.names = new Map(taxonomy.flags.map((flag) => [flag.kind, flag.name]));
    this.detail = new FlagDetail(taxonomy, callbacks);
    this.list = el("ul", { class: "ew-flags", id: "desk-flags", "aria-label": "Flags" });
    this.empty = el("p", { class: "ew-no-flags" }, "Something not so? Select its words (", kbd("w"), " or drag), then press a flag's key.");
    this.body = el("div", { class: "ew-flag-box" }, this.empty, this.list);
  }

  /** Draw the flags of an item; only the selected one can be changed in place. The focus, and what is being typed, stay as they are. */
  show(flags, selectedId, part, { item, length_s }) {
    [this.list.hidden, this.empty.hidden] = [flags.length === 0, flags.length > 0];
    this.#draw(flags, selectedId, { item, length_s });
    for (const row of this.list.querySelectorAll("[data-part]")) row.classList.toggle("on", row.dataset.part === part);
  }

  #draw(flags, selectedId, context) {
    const focused = this.list.contains(document.activeElement) ? document.activeElement : null;
    const typing = focused?.dataset.typed;
    const drawn = JSON.stringify([flags.map((flag) => (typing && flag.id === selectedId ? { ...flag, [typing]: "" } : flag)), selectedId, context.item.assignment_id]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const { flag, field } = { flag: focused?.closest("[data-flag]").dataset.flag, field: focused?.dataset.field };
    this.list.replaceChildren(...flags.map((one, index) => (one.id === selectedId ? this.detail.open(one, index + 1, context) : this.#row(one, index + 1))));
    if (focused) (this.list.querySelector(`[data-flag="${flag}"] [data-field="${field}"]`) ?? this.list.querySelector(`[data-flag="${flag}"] button`))?.focus();
    else this.list.querySelector(".on")?.scrollIntoView({ block: "nearest" });
  }

  /** Put the focus into a field of the selected flag, as `data-field` names it. */
  focusField(field) {
    this.list.querySelector(`.ew-flag.on [data-field="${field}"]`)?.focus();
  }

  #row(flag, number) {
    const two = flag.other_start !== null || flag.other_start_s !== null;
    return el(
      "li", { class: `ew-flag ew-${flag.kind}`, data: { flag: flag.id } },
      button(
        { class: "ew-flag-head", title: "Select it and loop its moment", on: { click: () => this.callbacks.onSelect(flag.id, "words") } },
        el("i", { class: "ew-swatch", "aria-hidden": "true" }), el("span", { class: "ew-flag-name" }, this.names.get(flag.kind), two && el("sup", { title: "The number in the text and on the timeline" }, String(number))),
        el("span", { class: "ew-quote", dir: "auto" }, flag.quote ? `“${flag.quote}”` : flag.comment || "no words"),
        flag.other_quote && el("span", { class: "ew-quote", dir: "auto" }, `⇄ “${flag.other_quote}”`),
        el("span", { class: "ew-when" }, whenOf(flag)), dots(this.taxonomy.severities[flag.severity]),
      ),
    );
  }
}

function whenOf(flag) {
  const told = ["words", "other"].map((part) => momentOf(flag, part)).filter((one) => one.start_s !== null);
  if (told.length === 0) return "no time";
  return told.length > 1 ? `${told.map(({ start_s }) => start_s.toFixed(1)).join(" ⇄ ")} s` : `${told[0].start_s.toFixed(1)}–${told[0].end_s.toFixed(1)} s`;
}

function dots({ value, name, anchor }) {
  return el("span", { class: "ew-dots", title: `${name}: ${anchor}`, "aria-label": `severity ${name}`, role: "img" }, "●".repeat(value) + "○".repeat(3 - value));
}
