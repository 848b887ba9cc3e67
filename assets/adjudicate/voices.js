// What people said of one text: a column for each annotator, and a lane for each on the timeline. Who it was stays a number until it is decided.
import { button, el, hinted, kbd } from "../desk/elements.js";
import { takenAs } from "./draft.js";

const VERDICT_SIGNS = { accept: "✓", reject: "✕", unsure: "?" };
const SUPPORT_NAMES = { supported: "supported", contradicted: "contradicted", not_visible: "not visible", cannot_tell: "cannot tell" };

/** The columns. Callbacks: `onFlag(number, id)` loops its moment, `onTake(number, id)`, `onAsk(number)`. */
export class Voices {
  constructor(taxonomy, callbacks) {
    Object.assign(this, { taxonomy, callbacks });
    this.names = new Map(taxonomy.flags.map((flag) => [flag.kind, flag.name]));
    this.body = el("div", { class: "adj-voices", id: "adj-voices", role: "group", "aria-label": "What each annotator said" });
  }

  /** Draw all columns. `selected` is the flag that is looked at, `chosen` the number of the annotator. */
  show(item, draft, { selected, chosen }) {
    const focus = document.activeElement?.closest?.("#adj-voices") ? document.activeElement.id : null;
    this.body.style.setProperty("--voices", item.voices.length);
    const scrolled = [...this.body.children].map((column) => column.scrollTop);
    this.body.replaceChildren(...item.voices.map((voice) => this.#column(item, voice, draft, selected, voice.number === chosen)));
    [...this.body.children].forEach((column, index) => { column.scrollTop = scrolled[index] ?? 0; });
    if (focus) document.getElementById(focus)?.focus();
    this.body.querySelector(".adj-flag.on")?.scrollIntoView({ block: "nearest" });
  }

  #column(item, voice, draft, selected, chosen) {
    const title = nameOf(voice);
    return el(
      "section", { class: `adj-voice${chosen ? " on" : ""}`, data: { number: voice.number }, "aria-label": title, tabindex: "0" },
      el("header", {}, kbd(String(voice.number), "item"), el("h3", {}, title), voice.yours && el("span", { class: "adj-you" }, "you"),
        el("span", { class: `adj-verdict ${voice.verdict}` }, el("i", { "aria-hidden": "true" }, VERDICT_SIGNS[voice.verdict]), voice.no_error ? "accept: no error found" : voice.verdict)),
      el("p", { class: "dim adj-ratings" }, ...ratings(voice)),
      blindLine(item, voice),
      voice.flags.length ? el("ul", { class: "adj-flags" }, ...voice.flags.map((flag) => this.#flag(voice, flag, takenAs(draft, flag), flag.id === selected))) : el("p", { class: "dim" }, "No flags."),
      ticksLine(item, voice),
      voice.note && this.#note(item, voice),
      voice.edited_text !== null && el("details", { class: "adj-edit", open: true }, el("summary", {}, "Edited text"), el("p", { dir: "auto" }, voice.edited_text)),
      el("p", { class: "dim adj-effort" }, `${Math.round(voice.seconds_spent)} s, saw ${Math.round(100 * voice.watched_share)} % of the clip`),
    );
  }

  #flag(voice, flag, taken, on) {
    const severity = this.taxonomy.severities[flag.severity];
    const name = this.names.get(flag.kind);
    const about = flag.quote ? `“${flag.quote}”` : "no words";
    return el(
      "li", { class: `adj-flag ew-${flag.kind}${on ? " on" : ""}`, data: { flag: flag.id } },
      button({
        class: "adj-take", id: `adj-take-${flag.id}`, role: "checkbox", "aria-checked": String(Boolean(taken)), "aria-label": `Keep among the final flags: ${name}, ${about}`,
        ...hinted("title", "Keep it among the final flags (#)", "k"), on: { click: () => this.callbacks.onTake(voice.number, flag.id) },
      }, taken ? "✓" : ""),
      button(
        { class: "adj-said", id: `adj-said-${flag.id}`, title: "Loop its moment", "aria-current": on ? "true" : null, on: { click: () => this.callbacks.onFlag(voice.number, flag.id) } },
        el("span", { class: "adj-said-head" }, el("i", { class: "ew-swatch", "aria-hidden": "true" }), el("b", {}, name)),
        el("span", { class: "adj-said-head" }, el("span", { class: "ew-when" }, whenOf(flag)),
          el("span", { class: "ew-dots", role: "img", "aria-label": `severity ${severity.name}`, title: `${severity.name}: ${severity.anchor}` }, "●".repeat(flag.severity) + "○".repeat(3 - flag.severity))),
        el("span", { class: "adj-quote", dir: "auto" }, about, flag.other_quote && ` ⇄ “${flag.other_quote}”`),
        ...moreLines(flag).map((line) => el("span", { class: "adj-more", dir: "auto" }, line)),
      ),
    );
  }

  #note(item, voice) {
    const asked = item.questions.find((one) => one.question === voice.note.trim());
    return el(
      "div", { class: "adj-note" }, el("p", { dir: "auto" }, voice.note),
      asked ? el("span", { class: "dim" }, asked.answer === null ? "✓ asked as a question" : `Guidelines: ${asked.answer}`)
        : button({ class: "ew-small", id: `adj-ask-${voice.number}`, title: "Make this note a question on the guidelines", on: { click: () => this.callbacks.onAsk(voice.number) } }, "Ask the guidelines", kbd("n")),
    );
  }
}

/** The lanes under the timeline, a lane an annotator; they are put into `timeline.lanes`, so that pointing at a flag there works as it does on the desk. */
export class VoiceLanes {
  constructor(timeline) {
    this.timeline = timeline;
    this.body = el("div", { class: "adj-lanes" });
    timeline.flags.before(this.body);
  }

  /** Draw the flags of each annotator that have a moment. */
  show(voices, frames, selected, names) {
    const percent = (seconds) => `${Math.max(0, Math.min(100, (100 * seconds) / frames.end_s))}%`;
    this.body.replaceChildren(...voices.map((voice) => {
      const bars = voice.flags.filter((flag) => flag.start_s !== null).map((flag) => {
        const bar = el("i", { class: `ew-bar adj-bar ew-${flag.kind}${flag.id === selected ? " on" : ""}`, data: { flag: flag.id }, title: `${nameOf(voice)}, ${names.get(flag.kind)}: ${whenOf(flag)}` });
        bar.style.left = percent(flag.start_s);
        bar.style.width = percent(flag.end_s - flag.start_s);
        return bar;
      });
      return el("div", { class: "ew-lane adj-lane", data: { number: voice.number } }, el("span", { class: "ew-lane-name adj-lane-name" }, String(voice.number)), ...bars);
    }));
  }
}

/** Return what an annotator is called: a number, and the name once it is decided. */
export function nameOf(voice) {
  return voice.name === null ? `Annotator ${voice.number}` : `Annotator ${voice.number}: ${voice.name}`;
}

/** Return a flag's moment in words. */
export function whenOf({ start_s, end_s }) {
  return start_s === null ? "no time" : `${start_s.toFixed(1)}–${end_s.toFixed(1)} s`;
}

function ratings(voice) {
  const said = [["facts", voice.factual_consistency], ["logic", voice.logical_coherence]].filter(([, value]) => value !== null).map(([name, value]) => `${name} ${value}/5`);
  if (voice.omission !== null) said.push(voice.omission === "none" ? "nothing left out" : `left out: ${voice.omission}`);
  return [said.join(" · ") || "no ratings"];
}

function blindLine(item, voice) {
  const [asked] = item.clip.questions;
  if (voice.blind_answer === null && voice.blind_answer_index === null) return null;
  const told = voice.blind_answer_index === null ? voice.blind_answer : asked?.options[voice.blind_answer_index] ?? voice.blind_answer;
  const given = asked && (voice.blind_answer_index === null || asked.answer_index === null ? told === asked.answer : voice.blind_answer_index === asked.answer_index);
  return el("p", { class: "adj-blind" }, el("span", { class: "dim" }, "answered before reading: "), el("span", { dir: "auto" }, told), given ? " (as given)" : el("b", {}, " (not as given)"));
}

function ticksLine(item, voice) {
  if (voice.ticks.length === 0) return null;
  const letters = Array.from(item.text);
  const against = voice.ticks.filter((tick) => tick.support !== "supported");
  const lines = against.map((tick) => el("li", { dir: "auto" }, el("b", {}, `${SUPPORT_NAMES[tick.support]}: `), letters.slice(tick.text_start, tick.text_end).join("")));
  return el("div", { class: "adj-ticks" }, el("p", { class: "dim" }, `${voice.ticks.length - against.length} of ${voice.ticks.length} ticked claims supported`), lines.length > 0 && el("ul", {}, ...lines));
}

function moreLines(flag) {
  const order = flag.claimed_order && `told as ${flag.claimed_order}${flag.true_order ? `, is ${flag.true_order}` : ""}`;
  return [flag.comment, order, flag.props_up && `props up: ${flag.props_up}`].filter(Boolean);
}
