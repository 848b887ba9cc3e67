// The opened flag: its words and moment, those of its other half, what only its kind says, and its comment.
import { button, el, hinted, kbd, typedSeconds } from "./elements.js";
import { FIELDS, hasOther, momentOf } from "./parts.js";
import { LONGEST_TEXT } from "./work.js";

const CHOICE_LENGTH = 60; // characters of a claim in the menu

/** Makes the row of the selected flag. The callbacks are those of `FlagList`. */
export class FlagDetail {
  constructor(taxonomy, callbacks) {
    Object.assign(this, { taxonomy, callbacks });
    this.kinds = new Map(taxonomy.flags.map((flag) => [flag.kind, flag]));
  }

  /** Return the row; `context` is `{item, length_s}`: the item, and where its clip ends. */
  open(flag, number, context) {
    const { name } = this.kinds.get(flag.kind);
    const second = hasOther(flag.kind);
    return el(
      "li", { class: `ew-flag ew-${flag.kind} on`, data: { flag: flag.id }, "aria-current": "true" },
      el(
        "div", { class: "ew-flag-head" }, el("i", { class: "ew-swatch", "aria-hidden": "true" }), el("span", { class: "ew-flag-name" }, name, second && el("sup", {}, String(number))),
        this.#levels(flag), button({ class: "ew-small", ...hinted("title", "Delete the flag (#)", "delete"), "aria-label": "Delete the flag", on: { click: () => this.callbacks.onDelete(flag.id) } }, "✕"),
      ),
      this.#part(flag, "words", flag.quote, "no words", context),
      second && this.#part(flag, "other", flag.other_quote, ["select its words, press ", kbd("k")], context),
      flag.kind === "temporal_error" && this.#orders(flag),
      flag.kind === "justified_fabrication" && this.#propsUp(flag, context.item),
      this.#comment(flag),
    );
  }

  #levels(flag) {
    const levels = this.taxonomy.severities.map(({ value, name, anchor }) => button(
      { "aria-pressed": String(value === flag.severity), title: anchor, data: { field: `severity-${value}` }, on: { click: () => this.callbacks.onChange(flag.id, { severity: value }, null) } },
      kbd(String(value), "flag"), name,
    ));
    return el("span", { class: "ew-levels", role: "group", "aria-label": "Severity" }, ...levels);
  }

  #part(flag, part, quote, lacking, context) {
    const name = this.kinds.get(flag.kind).parts?.[part];
    const [start, end] = FIELDS[part];
    const loop = {
      class: "ew-small", ...hinted("title", "Loop this moment (#)", "l", { field: `loop-${part}` }), "aria-label": `Loop the moment${name ? ` of ${name}` : ""}`,
      on: { click: () => this.callbacks.onSelect(flag.id, part) },
    };
    const drop = { class: "ew-small", ...hinted("title", "Take it away (#)", "shift+k", { field: "drop-other" }), "aria-label": `Take ${name} away`, on: { click: () => this.callbacks.onDropOther() } };
    return el(
      "div", { class: "ew-part", role: "group", "aria-label": name ?? "Words and moment", data: { part }, on: { focusin: (event) => !event.target.matches("button") && this.callbacks.onPart(part) } },
      name && button({ class: "ew-part-name", ...hinted("title", "Let the keys work on this one (#)", "k", { field: `part-${part}` }), on: { click: () => this.callbacks.onPart(part) } }, name),
      quote ? el("span", { class: "ew-quote", dir: "auto", title: quote }, `“${quote}”`) : el("span", { class: "ew-lacking" }, ...[lacking].flat()),
      this.#seconds(flag, part, start, "Start", context.length_s), "–", this.#seconds(flag, part, end, "End", context.length_s), "s", button(loop, "↻"),
      part === "other" && button(drop, "✕"),
    );
  }

  #orders(flag) {
    return el("div", { class: "ew-more" }, ...this.taxonomy.orders.flatMap(({ field, name, what, key, values }) => [
      el("span", { class: "ew-order" }, name, kbd(key)),
      el("span", { class: "ew-levels", role: "group", "aria-label": `${name}: ${what}` }, ...values.map((value) => button(
        { "aria-pressed": String(flag[field] === value), data: { field: `${field}-${value}` }, on: { click: () => this.callbacks.onChange(flag.id, { [field]: flag[field] === value ? null : value }, null) } }, value,
      ))),
    ]));
  }

  /** A menu of what it may prop up, and a field for anything else. */
  #propsUp(flag, { questions, text, claims, kind }) {
    const points = [...text];
    const answers = kind === "narrative" ? [] : questions.slice(0, 1).map(({ answer }) => answer).filter(Boolean);
    const given = answers.map((answer) => ({ value: answer, name: `the given answer: ${answer}` }));
    const said = claims.map(({ start, end }) => points.slice(start, end).join("")).map((value) => ({ value, name: `“${shortened(value)}”` }));
    const own = ![...given, ...said].some(({ value }) => value === flag.props_up);
    const change = (props_up, merge) => this.callbacks.onChange(flag.id, { props_up }, merge);
    const menu = el(
      "select", { "aria-label": "What it props up", data: { field: "props_up" }, on: { change: (event) => change(event.target.value, null) } },
      ...[...given, ...said, { value: own ? flag.props_up : "", name: "in other words …" }].map(({ value, name }) => el("option", { value, selected: value === flag.props_up }, name)),
    );
    const field = el("input", {
      type: "text", dir: "auto", maxlength: LONGEST_TEXT, "aria-label": "What it props up, in other words", placeholder: "what it makes look proved",
      data: { field: "props_up_typed", typed: "props_up" }, on: { input: () => change(field.value, `props ${flag.id}`) },
    });
    field.value = flag.props_up;
    return el("div", { class: "ew-more ew-props" }, el("span", {}, "props up "), kbd("p"), menu, own && field);
  }

  #comment(flag) {
    const comment = el("input", {
      type: "text", "aria-label": "Comment of the flag", maxlength: LONGEST_TEXT, dir: "auto",
      ...hinted("placeholder", flag.quote && flag.kind !== "other" ? "comment (#)" : "say what is missing or wrong (#)", "c", { field: "comment", typed: "comment" }),
      on: { input: (event) => this.callbacks.onChange(flag.id, { comment: event.target.value }, `comment ${flag.id}`) },
    });
    comment.value = flag.comment;
    return comment;
  }

  #seconds(flag, part, field, name, length_s) {
    const edge = FIELDS[part].indexOf(field) === 0 ? "start_s" : "end_s";
    const typedMoment = () => {
      const seconds = typedSeconds(input.value);
      const { start_s, end_s } = momentOf(flag, part);
      return [seconds, { start_s: start_s ?? seconds, end_s: end_s ?? seconds, [edge]: seconds }];
    };
    const input = el("input", {
      type: "text", inputmode: "decimal", class: "ew-seconds", "aria-label": `${name} of the moment in seconds`, data: { field },
      on: {
        input: () => whatIsWrong(input.value, ...typedMoment(), length_s) === null && this.callbacks.onProblem(null),
        change: () => this.#typed(flag, part, input, typedMoment(), length_s), keydown: (event) => event.key === "Enter" && event.target.blur(),
      },
    });
    const shown = flag[field];
    input.value = shown === null ? "" : shown.toFixed(3).replace(/0$/, "");
    return input;
  }

  /** Take over seconds that were typed, or say why not and show the old ones. */
  #typed(flag, part, input, [seconds, moment], length_s) {
    const wrong = whatIsWrong(input.value, seconds, moment, length_s);
    this.callbacks.onProblem(wrong);
    if (wrong === null) this.callbacks.onMoment(flag.id, part, moment);
    else input.value = flag[input.dataset.field] ?? "";
  }
}

function shortened(words) {
  return words.length > CHOICE_LENGTH ? `${words.slice(0, CHOICE_LENGTH)}…` : words;
}

function whatIsWrong(typed, seconds, { start_s, end_s }, length_s) {
  if (Number.isNaN(seconds)) return `“${typed}” is not a time. Type seconds, such as 17.8 or 1:02.5.`;
  if (seconds > length_s) return `The clip ends at ${length_s.toFixed(3)} s. Type a time inside it.`;
  return end_s < start_s ? `The moment would end at ${end_s} s, before it starts at ${start_s} s.` : null;
}
