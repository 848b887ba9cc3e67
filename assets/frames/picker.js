// Choosing a clip: all of them by data set and name, found by words, a page at a time.
import { showDialog } from "../desk/dialogs.js";
import { button, clockTime, el } from "../desk/elements.js";
import { composes } from "../desk/keys.js";
import { fetchJson } from "./pooled.js";

const TYPED_MS = 200;

/** Show the list over the page; `onOpen(clipId)` when one is chosen. */
export function showPicker(root, shownId, onOpen) {
  const words = el("input", { type: "text", id: "frames-search", "aria-label": "Words of the name or the data set", placeholder: "Words of the name or the data set", autocomplete: "off", on: { input: () => later() } });
  const dataset = el("select", { id: "frames-dataset", "aria-label": "Data set", on: { change: () => show(0) } }, el("option", { value: "" }, "All data sets"));
  const said = el("p", { class: "dim", role: "status", id: "frames-found" });
  const list = el("ul", { class: "fr-clips", id: "frames-clips" });
  const [before, after] = [turn("Earlier in the list", -1), turn("Later in the list", 1)];
  const dialog = showDialog(root, { id: "frames-picker", title: "Choose a clip" }, el("div", { class: "fr-find" }, words, dataset), list, el("div", { class: "fr-turn" }, before, said, after));
  let shown = { start: 0, clips: [], count: 0, at_once: 0 };
  let typing = null;
  let asking = new AbortController();

  const later = () => {
    clearTimeout(typing);
    typing = setTimeout(() => show(0), TYPED_MS);
  };

  /** Show the clips from number `start` on; return whether they came. */
  async function show(start) {
    clearTimeout(typing);
    asking.abort();
    asking = new AbortController();
    const { signal } = asking;
    const query = new URLSearchParams([["words", words.value], ["start", start], ...(dataset.value ? [["dataset", dataset.value]] : [])]);
    const { status, body } = await fetchJson(`/api/frames/clips?${query}`, signal).catch(() => ({ status: null }));
    if (signal.aborted) return false;
    if (status !== 200) {
      said.textContent = body.error;
      return false;
    }
    shown = body;
    if (dataset.options.length === 1) dataset.append(...body.datasets.map((name) => el("option", { value: name }, name)));
    draw();
    return true;
  }

  function draw() {
    const { clips, start, count } = shown;
    list.replaceChildren(...clips.map((one) => el("li", {}, row(one))));
    list.scrollTop = 0;
    said.textContent = count ? `${(start + 1).toLocaleString("en")} to ${(start + clips.length).toLocaleString("en")} of ${count.toLocaleString("en")} clips` : "No clip has all these words.";
    [before.disabled, after.disabled] = [start === 0, start + clips.length >= count];
  }

  function row(one) {
    const told = one.problem ? el("span", { class: "fr-wrong", title: one.problem }, "no video") : el("span", { class: "dim" }, one.length_s === null ? "" : clockTime(one.length_s).slice(0, -2));
    return button({ data: { clip: one.id }, "aria-current": one.id === shownId ? "true" : null, on: { click: () => { dialog.close(); onOpen(one.id); } } }, el("b", { dir: "auto" }, one.name), el("span", { class: "dim" }, one.dataset), told);
  }

  function turn(name, way) {
    return button({ disabled: true, "aria-label": name, on: { click: () => show(Math.max(0, shown.start + way * shown.at_once)) } }, way < 0 ? "◂" : "▸");
  }

  dialog.addEventListener("close", () => {
    clearTimeout(typing);
    asking.abort();
  });
  dialog.addEventListener("keydown", (event) => {
    if (composes(event)) return;
    const rows = [...list.querySelectorAll("button")];
    const at = rows.indexOf(document.activeElement);
    // What is listed may be of the words before.
    if (event.key === "Enter" && event.target === words) show(0).then((came) => came && list.querySelector("button")?.click());
    if (!["ArrowDown", "ArrowUp"].includes(event.key) || (at < 0 && event.target !== words)) return;
    event.preventDefault();
    const next = at + (event.key === "ArrowDown" ? 1 : -1);
    (next < 0 ? words : rows[Math.min(next, rows.length - 1)])?.focus();
  });
  words.focus();
  show(0);
  return dialog;
}
