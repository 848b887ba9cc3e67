// The screen of the page Frames: every part in its place. It decides nothing; `frames.js` wires it.
import { button, clockTime, el, kbd } from "../desk/elements.js";
import { secondsOf } from "./words.js";

const COMES_LATER = new Set([0, 409, 500, 503]);
const TOLD_MS = 1000; // how often the seconds of waiting are counted on

/** Return the screen's parts by name, `root` among them. `acts` are the page's acts, the same that keys reach. */
export function buildScreen(acts, { player, matrix, inspector, settings }) {
  const parts = {
    name: el("b", { dir: "auto" }), dataset: el("span", { class: "dim" }), state: el("p", { id: "frames-state", role: "status" }),
    stamp: el("div", { class: "ew-stamp", id: "desk-stamp" }), unplayed: el("p", { class: "ew-problem", role: "alert", hidden: true }),
    play: button({ id: "frames-play", class: "ew-play", "aria-label": "Play or pause", on: { click: () => acts.togglePlay() } }, "▶"),
    loop: button({ id: "frames-loop", "aria-pressed": "false", title: "Play the chosen window over and over", on: { click: () => acts.toggleLoop() } }, "Loop", kbd("l")),
    seek: el("input", { type: "range", id: "frames-seek", min: "0", max: "0", value: "0", "aria-label": "Place in the video", on: { input: (event) => acts.seek(Number(event.target.value)), pointerup: (event) => event.target.blur() } }),
    problem: el("p", { class: "fr-problem", id: "frames-problem", role: "alert", hidden: true }),
    plain: el("section", { class: "ew-plain", id: "frames-plain", hidden: true }),
  };
  Object.assign(parts, { acts, ...pagerOf(acts) });
  player.stage.append(parts.stamp, parts.unplayed);
  const step = (sign, chord) => button({ class: "ew-small", "aria-label": sign < 0 ? "One frame back" : "One frame on", on: { click: () => acts.step(sign) } }, sign < 0 ? "◂" : "▸", kbd(chord));
  parts.work = el(
    "div", { class: "fr-work", hidden: true }, settings.body, parts.problem,
    el(
      "div", { class: "fr-main" }, el("section", { "aria-label": "Pooled frames" }, matrix.body),
      el(
        "section", { class: "fr-side", "aria-label": "Video and chosen picture" }, player.stage, parts.seek,
        el("div", { class: "ew-transport", role: "group", "aria-label": "Playback" }, parts.play, step(-1, ","), step(1, "."), parts.loop, button({ id: "frames-here", title: "To the window in which the video stands", on: { click: () => acts.here() } }, "Find window", kbd("h"))),
        inspector.figure,
      ),
    ),
    inspector.table,
  );
  const head = el(
    "header", { class: "ew-head-bar fr-head-bar" }, button({ id: "frames-pick", title: "Choose another clip", on: { click: () => acts.pick() } }, parts.name, parts.dataset, "▾", kbd("c")),
    parts.state, parts.turning, button({ id: "frames-help", on: { click: () => acts.help() } }, "Keys", kbd("?")),
  );
  parts.root = el("div", { class: "ew-desk ew-frames", id: "frames", data: { ready: "false" } }, head, parts.work, parts.plain);
  return parts;
}

/** The parts that turn the pages: `turning` with them all, and `pager(preview)`, which draws them. */
function pagerOf(acts) {
  const number = el("input", { type: "number", id: "frames-first", min: "1", step: "1", value: "1", "aria-label": "First window shown" });
  number.addEventListener("change", () => acts.goTo(Math.trunc(Number(number.value) || 1) - 1));
  const told = el("span", { id: "frames-range" });
  const turn = (way, name, chord) => button({ class: "ew-small", id: `frames-${way < 0 ? "before" : "after"}`, "aria-label": name, disabled: true, on: { click: () => acts.page(way) } }, way < 0 ? "◂" : "▸", kbd(chord));
  const [before, after] = [turn(-1, "The windows before", "p"), turn(1, "The next windows", "n")];
  const pager = (preview) => {
    const { first, count, total } = preview ?? { first: 0, count: 0, total: 0 };
    number.value = first + 1;
    number.max = Math.max(1, total);
    told.textContent = preview && ` to ${Math.min(first + count, total).toLocaleString("en")} of ${total.toLocaleString("en")}`;
    [before.disabled, after.disabled] = [first === 0, first + count >= total];
  };
  return { pager, turning: el("div", { class: "fr-turning", role: "group", "aria-label": "Windows shown" }, before, el("label", {}, "Windows ", number), told, after) };
}

/** Return when and which frame it is: "00:01.033 · frame 32 of 300". */
export function stampOf(frames, index) {
  return `${clockTime(frames.start(index))}${frames.exact ? ` · frame ${index + 1} of ${frames.count}` : ""}`;
}

/** Say how the question stands: on its way, answered, or refused with a sentence. */
export function showState(parts, { state, query, preview, sentence, status }, clip) {
  clearInterval(parts.counting);
  parts.problem.hidden = state !== "refused";
  parts.state.textContent = "";
  if (state === "waiting") return count(parts, query, clip);
  if (state === "refused") return refuse(parts, sentence, status, Number(query?.get("first")) > 0);
  if (state === "off") return undefined;
  const damaged = preview.windows.reduce((sum, one) => sum + one.damaged, 0);
  if (damaged) parts.state.textContent = `${damaged} of these frames rest on damage in the file and are left out.`;
  return undefined;
}

/** Count the seconds, which a screen reader is spared. */
function count(parts, query, clip) {
  const began = performance.now();
  const windowS = Number(query.get("window_s"));
  const from = Number.isFinite(windowS) ? ` from ${secondsOf(Number(query.get("first")) * windowS)} s on` : "";
  const seconds = el("span", { "aria-hidden": "true" });
  parts.state.append(`Decoding ${clip.name}${from} and pooling it four ways …`, seconds);
  parts.counting = setInterval(() => { seconds.textContent = ` ${Math.round((performance.now() - began) / 1000)} s`; }, TOLD_MS);
}

/** Say why not, and the way out where there is one but other settings. */
function refuse(parts, sentence, status, isLater) {
  const ways = [...waysOut(status, () => parts.acts.retry()), status === 400 && isLater && way("To the first window", () => parts.acts.goTo(0))];
  parts.problem.replaceChildren(sentence, " ", ...ways.filter(Boolean));
}

/** Return the links out of a refusal: to sign in and come back here, or `again()` where that may help. */
function waysOut(status, again) {
  const here = encodeURIComponent(location.pathname + location.search);
  return [status === 401 && el("a", { href: `/login?next=${here}` }, "Sign in"), COMES_LATER.has(status) && way("Try again", again)].filter(Boolean);
}

function way(name, act) {
  return button({ class: "ew-link", on: { click: act } }, name);
}

/** Show a page of words instead of a clip, with the ways out. */
export function showPlain(parts, title, { sentence, status = null, again = null }) {
  [parts.work.hidden, parts.plain.hidden] = [true, false];
  [parts.name.textContent, parts.dataset.textContent] = ["No clip", ""];
  const pick = button({ class: "ew-go", on: { click: () => parts.acts.pick() } }, "Choose a clip");
  parts.plain.replaceChildren(el("h2", {}, title), el("p", {}, sentence, " ", ...waysOut(status, again)), pick);
}
