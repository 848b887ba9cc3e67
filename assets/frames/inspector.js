// What is known of the picture that is looked at: the picture large, when its window is, and how much each source frame counts in each method.
import { el } from "../desk/elements.js";
import { NAMES, percentOf, secondsOf, spanOf } from "./words.js";

const CUT_OFF = 1.001; // more than rounding does

/** Two parts of the page: `figure` with the picture, `table` with the source frames. */
export class Inspector {
  constructor() {
    this.picture = el("img", { id: "frames-picture", alt: "", hidden: true, decoding: "sync" });
    this.caption = el("figcaption", { id: "frames-caption" });
    this.figure = el("figure", { class: "fr-large" }, el("div", { class: "fr-box" }, this.picture), this.caption);
    this.title = el("h2", { id: "frames-title" });
    this.body = el("div", { class: "fr-scroll", tabindex: "0", role: "region", "aria-label": "Source frames and their weights" });
    this.table = el("section", { class: "ew-card fr-sources", "aria-labelledby": "frames-title" }, this.title, this.body);
    this.clear();
  }

  /** Show nothing. */
  clear() {
    this.shown = null;
    this.picture.hidden = true;
    this.picture.removeAttribute("src");
    this.caption.textContent = "";
    this.title.textContent = "Source frames";
    this.body.replaceChildren();
  }

  /** Show one method of one window of a preview; its `weights` says whose formulas they are. */
  show({ windows, methods, weights, window_s: windowS }, { name, method }) {
    const one = windows.find((window) => window.name === name);
    if (!one) return this.clear();
    this.#drawPicture(one, method);
    if (this.shown !== one) this.#drawFrames(one, methods);
    this.title.replaceChildren(...titleOf(one, method, weights, windowS));
    for (const row of this.body.querySelectorAll("tbody tr")) row.classList.toggle("on", row.dataset.method === method);
    return undefined;
  }

  #drawPicture(one, method) {
    const { [method]: picture = null } = one.pictures;
    this.picture.hidden = picture === null;
    if (picture === null) return this.caption.replaceChildren("Nothing undamaged is on display in this window.");
    Object.assign(this.picture, { src: picture, alt: `${method} of ${spanOf(one)}` });
    return this.caption.replaceChildren(el("b", {}, method), ` blends like ${plural(one.like_frames[method], "frame")} of equal weight`);
  }

  #drawFrames(one, methods) {
    this.shown = one;
    if (one.columns.length === 0) return this.body.replaceChildren();
    // The last frame of BBLF would press all other bars flat: where it leaves their scale it is cut off.
    const most = Math.max(...one.columns.flatMap(({ weights }) => methods.filter((method) => method !== "BBLF").map((method) => weights[method])));
    const rows = methods.map((method) => el("tr", { data: { method } }, el("th", { scope: "row" }, method), ...one.columns.map((column) => weightCell(column.weights[method], most))));
    this.body.style.setProperty("--frames", one.columns.length);
    return this.body.replaceChildren(el(
      "table", {}, el("caption", { class: "fr-unseen" }, `Weights in percent of the frames of ${spanOf(one)}`),
      el("thead", {}, el("tr", {}, el("th", { scope: "col" }, el("span", { class: "fr-unseen" }, "Method")), ...one.columns.map((column) => frameHead(column)))), el("tbody", {}, ...rows),
    ));
  }
}

function frameHead({ time_s, frames, thumb }) {
  const told = frames > 1 ? `${frames} frames from ${secondsOf(time_s)} s on` : `the frame of ${secondsOf(time_s)} s`;
  return el("th", { scope: "col", title: told }, el("span", { class: "fr-thumb" }, thumb && el("img", { src: thumb, alt: "", decoding: "sync" })), el("span", { class: "fr-time" }, time_s.toFixed(2)));
}

function weightCell(weight, most) {
  return el("td", {}, el("span", {}, el("b", {}, percentOf(weight)), el("i", { class: weight > most * CUT_OFF ? "over" : null, style: `height: ${Math.min(100, (100 * weight) / most)}%` })));
}

function titleOf(one, method, weights, windowS) {
  const place = Number(one.name);
  const told = [
    `${method}: ${NAMES[method]}.`, "Weights in percent; a bar with a double top goes on.", weights === "povqa" && `POVQA's code calls it ${secondsOf((place - 1) * windowS)} to ${secondsOf(place * windowS)} s.`,
    one.columns[0]?.frames > 1 && `Each column is ${one.columns[0].frames} neighbours.`, one.is_cut && "Cut at a shot change.",
    one.damaged && `${plural(one.damaged, "frame")} left out: damage in the file.`,
  ];
  return [`Window ${one.name}: ${secondsOf(one.start_s)} to ${secondsOf(one.end_s)} s, ${plural(one.frames, "frame")}`, el("small", {}, told.filter(Boolean).join(" "))];
}

function plural(count, noun) {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
