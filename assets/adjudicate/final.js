// The decision in the making: the flags that stand after it, the verdict and the reason.
import { button, el, hinted, kbd } from "../desk/elements.js";
import { composes } from "../desk/keys.js";
import { overrides } from "./draft.js";
import { whenOf } from "./voices.js";

const LONGEST_REASON = 100_000; // the server has the same limit

/** The panel. Callbacks: `onSelect(id)`, `onChange(id, changes, merge)`, `onDelete(id)`, `onVerdict(verdict)`, `onReason(text)`, `onDecide()`. */
export class FinalPanel {
  constructor(taxonomy, callbacks) {
    Object.assign(this, { taxonomy, callbacks });
    this.names = new Map(taxonomy.flags.map((flag) => [flag.kind, flag.name]));
    this.flags = el("ul", { class: "adj-final-flags", id: "adj-final", "aria-label": "Final flags" });
    this.none = el("p", { class: "dim adj-none" }, "No final flags. ", kbd("k"), " keeps the selected one, ", kbd("shift+k"), " all of one annotator; or select words and set your own.");
    this.verdicts = taxonomy.verdicts.filter((one) => one.verdict !== "skip").map(({ verdict, name, key, anchor }) => ({
      verdict, made: button({ id: `adj-${verdict}`, class: "ew-verdict", title: anchor, "aria-pressed": "false", on: { click: () => callbacks.onVerdict(verdict) } }, name, kbd(key)),
    }));
    this.reason = el("textarea", {
      id: "adj-reason", rows: "1", dir: "auto", maxlength: LONGEST_REASON, "aria-label": "Reason for the decision", ...hinted("placeholder", "Reason (#)", "r"),
      on: { input: () => callbacks.onReason(this.reason.value), keydown: (event) => this.#typed(event) },
    });
    this.decide = button({ id: "adj-decide", class: "ew-go", on: { click: () => callbacks.onDecide() } }, el("span", {}, "Decide"), kbd("enter"));
    this.note = el("p", { class: "adj-override", id: "adj-override", role: "status" });
    this.body = el(
      "section", { class: "ew-card adj-final", "aria-label": "Decision" }, el("div", { class: "adj-final-list" }, this.none, this.flags), this.note,
      el("div", { class: "adj-final-bar" }, el("div", { class: "ew-verdicts", role: "group", "aria-label": "Verdict" }, ...this.verdicts.map((one) => one.made)), this.reason, this.decide),
    );
  }

  /** Draw the draft; `selected` is the final flag that keys work on. The focus, and what is being typed, stay as they are. */
  show(item, draft, selected, busy) {
    this.#showFlags(draft.flags, selected);
    for (const { verdict, made } of this.verdicts) made.setAttribute("aria-pressed", String(draft.verdict === verdict));
    if (this.reason.value !== draft.reason) this.reason.value = draft.reason;
    const against = overrides(item, draft);
    this.note.hidden = !against;
    this.note.textContent = against ? `Overrides the majority (${item.voices.filter((voice) => voice.verdict === item.majority).length} of ${item.voices.length} said “${item.majority}”): a reason is needed.` : "";
    this.reason.required = against;
    this.decide.firstChild.textContent = busy ? "Deciding …" : item.decision ? "Change the decision" : "Decide";
    this.decide.classList.toggle("ready", draft.verdict !== null && !(against && !draft.reason.trim()));
    this.body.inert = busy;
  }

  /** Put the focus into the selected flag's comment. */
  focusComment() {
    this.flags.querySelector("input")?.focus();
  }

  #showFlags(flags, selected) {
    [this.none.hidden, this.flags.hidden] = [flags.length > 0, flags.length === 0];
    const typing = this.flags.contains(document.activeElement) && document.activeElement.matches("input");
    const drawn = JSON.stringify([flags.map((flag) => (typing && flag.id === selected ? { ...flag, comment: "" } : flag)), selected]);
    if (drawn === this.drawn) return;
    this.drawn = drawn;
    const focus = this.flags.contains(document.activeElement) ? document.activeElement.id : null;
    this.flags.replaceChildren(...flags.map((flag) => this.#flag(flag, flag.id === selected)));
    if (focus) document.getElementById(focus)?.focus();
    this.flags.querySelector(".on")?.scrollIntoView({ block: "nearest" });
  }

  #flag(flag, on) {
    const severity = this.taxonomy.severities[flag.severity];
    const row = el(
      "li", { class: `adj-stands ew-${flag.kind}${on ? " on" : ""}`, data: { flag: flag.id }, "aria-current": on ? "true" : null },
      el(
        "div", { class: "adj-stands-head" },
        button({ class: "adj-said", id: `adj-stands-${flag.id}`, title: "Select it and loop its moment", on: { click: () => this.callbacks.onSelect(flag.id) } },
          el("i", { class: "ew-swatch", "aria-hidden": "true" }), el("b", {}, this.names.get(flag.kind)), el("span", { class: "ew-quote", dir: "auto" }, flag.quote ? `“${flag.quote}”` : flag.comment || "no words"),
          el("span", { class: "ew-when" }, whenOf(flag)), el("span", { class: "ew-dots", role: "img", "aria-label": `severity ${severity.name}` }, "●".repeat(flag.severity) + "○".repeat(3 - flag.severity))),
        button({ class: "ew-small", ...hinted("title", "Delete it (#)", "delete"), "aria-label": `Delete the final flag ${this.names.get(flag.kind)}`, on: { click: () => this.callbacks.onDelete(flag.id) } }, "✕"),
      ),
    );
    if (on) row.append(this.#more(flag));
    return row;
  }

  #more(flag) {
    const levels = this.taxonomy.severities.map(({ value, name, anchor }) => button(
      { "aria-pressed": String(value === flag.severity), title: anchor, on: { click: () => this.callbacks.onChange(flag.id, { severity: value }) } }, kbd(String(value)), name,
    ));
    const comment = el("input", {
      type: "text", id: "adj-comment", "aria-label": "Comment of the final flag", dir: "auto", ...hinted("placeholder", "comment (#)", "c"),
      on: { input: (event) => this.callbacks.onChange(flag.id, { comment: event.target.value }, `comment ${flag.id}`) },
    });
    comment.value = flag.comment;
    return el("div", { class: "adj-stands-more" }, el("span", { class: "ew-levels", role: "group", "aria-label": "Severity" }, ...levels), comment);
  }

  /** Enter decides from the reason too; with Shift it begins a line. */
  #typed(event) {
    if (event.key !== "Enter" || event.shiftKey || composes(event)) return;
    event.preventDefault();
    if (!event.repeat) this.callbacks.onDecide();
  }
}
