// Why an item is skipped: a small chooser by digits.
import { showDialog } from "./dialogs.js";
import { button, el } from "./elements.js";
import { composes } from "./keys.js";

const REASONS = ["the clip does not play", "I do not know the language", "I cannot judge this"];
const LONGEST_REASON = 500; // characters

/** Ask why; `onReason(reason)` once it is said. Esc leaves it. */
export function askReason(root, onReason) {
  const done = (reason) => {
    dialog.close();
    onReason(reason);
  };
  const field = el("input", { type: "text", id: "desk-skip-other", dir: "auto", maxlength: LONGEST_REASON, "aria-label": "Another reason", placeholder: "in a few words, then Enter" });
  const cap = (number) => el("kbd", {}, String(number)); // no key of the registry: it is the same whatever a person changed
  const tell = () => (field.value.trim() ? done(field.value.trim()) : field.focus());
  const dialog = showDialog(
    root, { id: "desk-skip-reason", title: "Skip: why?" },
    el(
      "ol", { class: "ew-reasons" }, ...REASONS.map((reason, index) => el("li", {}, button({ data: { reason: index + 1 }, on: { click: () => done(reason) } }, cap(index + 1), reason))),
      el("li", {}, button({ data: { reason: REASONS.length + 1 }, on: { click: tell } }, cap(REASONS.length + 1), "something else:"), field),
    ),
    el("p", { class: "dim" }, "Somebody else gets the item. What you did on it is kept."),
  );
  dialog.addEventListener("keydown", (event) => {
    if (composes(event) || event.ctrlKey || event.altKey || event.metaKey || event.repeat) return;
    event.stopPropagation(); // with the dialog closed, the desk would take the key for its own
    if (event.target === field) {
      if (event.key === "Enter") tell();
      return;
    }
    const digit = /^(?:Digit|Numpad)([0-9])$/.exec(event.code)?.[1] ?? event.key;
    const chosen = dialog.querySelector(`[data-reason="${CSS.escape(digit)}"]`);
    if (!chosen) return;
    event.preventDefault();
    chosen.click();
  });
  dialog.querySelector("[data-reason]").focus(); // not on the button that closes it: Enter would do that without a word
  return dialog;
}
