// The list of keys that `?` shows, where each of them can be changed.
import { showDialog } from "./dialogs.js";
import { button, el, keyName } from "./elements.js";
import { chordOf } from "./keys.js";

/** Show every key by group, as it holds now; a click on a key cap waits for another key. */
export function showKeys(root, keymap) {
  const said = el("p", { id: "desk-keys-said", role: "status", "aria-live": "polite" });
  const all = button({ class: "ew-link", id: "desk-keys-reset", on: { click: () => { keymap.resetAll(); draw("All keys are as they were at first."); } } }, "Reset all");
  const body = el("div", { class: "ew-help" });
  const dialog = showDialog(
    root, { id: "desk-help", title: "Keys" },
    el("p", { class: "dim" }, "Keys are silent while you type; Esc leaves a field. To change a key, click on it and press the new one. ", all), said, body,
  );
  const draw = (sentence = "") => {
    said.textContent = sentence;
    all.hidden = keymap.changed.size === 0;
    body.replaceChildren(...groups(keymap.list).map(([name, members]) => el(
      "section", {}, el("h3", {}, name), el("dl", {}, ...rows(members).flatMap(({ keys, what }) => [el("dt", {}, ...keys.map((key) => cap(key))), el("dd", {}, what)])),
    )));
  };
  const cap = (key) => button(
    { class: `ew-cap${keymap.isChanged(key) ? " changed" : ""}`, title: `Change the key for "${key.what}"`, data: { cap: `${key.act} ${key.argument ?? ""}`.trim() }, on: { click: (event) => ask(event.currentTarget, key) } },
    el("kbd", {}, keyName(key.chord)),
  );
  const ask = (made, key) => {
    dialog.querySelector(".ew-cap.asking")?.classList.remove("asking");
    made.classList.add("asking");
    said.textContent = `Press the new key for "${key.what}". Esc leaves it as it is${keymap.isChanged(key) ? ", Backspace gives it its first key again" : ""}.`;
    made.onkeydown = (event) => {
      if (["Shift", "Control", "Alt", "AltGraph", "Meta", "Tab"].includes(event.key)) return;
      event.preventDefault();
      event.stopPropagation();
      made.onkeydown = null;
      draw(outcome(event, key));
      dialog.querySelector(`[data-cap="${CSS.escape(made.dataset.cap)}"]`)?.focus();
    };
    made.focus();
  };
  const outcome = (event, key) => {
    if (event.key === "Escape") return "";
    if (event.key === "Backspace" && keymap.isChanged(key)) return keymap.reset(key) ?? `"${key.what}" has its first key again.`;
    const chord = chordOf(event);
    if (chord === null) return "Keys with Ctrl, Alt or Meta belong to the browser. Choose another one.";
    return keymap.change(key, chord) ?? `"${key.what}" is now ${keyName(chord)}.`;
  };
  draw();
  return dialog;
}

function groups(keys) {
  const found = new Map();
  for (const key of keys) found.set(key.group, [...(found.get(key.group) ?? []), key]);
  return [...found];
}

/** Put the keys of acts that take a number, and those that mean the same, on one line; all others have their own. */
function rows(members) {
  const rates = members.filter((key) => key.act === "rate");
  const others = members.filter((key) => key.act !== "rate");
  const rest = [...new Set(others.map((key) => key.what))].map((what) => ({ keys: others.filter((key) => key.what === what), what }));
  return rates.length ? [...rest, { keys: rates, what: "rate 1 to 5: factual consistency first, then logical coherence" }] : rest;
}
