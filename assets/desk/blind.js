// Blind first: the question alone. What the annotator answers is kept before the given answer and the text come from the server.
import { button, el, hinted, kbd } from "./elements.js";
import { composes } from "./keys.js";
import { LONGEST_TEXT } from "./work.js";

const MOST_KEYS = 9;

/** The panel in the place of the text. Callbacks: `onChoose(index)`, `onType(answer)`, `onAnswer()`, `onSkip()`. */
export class BlindPanel {
  constructor(callbacks) {
    this.callbacks = callbacks;
    this.asked = el("h2", { class: "ew-blind-asked", id: "desk-blind-question", dir: "auto" });
    this.options = el("div", { class: "ew-blind-options", role: "group", "aria-labelledby": "desk-blind-question" });
    this.field = el("input", {
      type: "text", id: "desk-blind-answer", dir: "auto", maxlength: LONGEST_TEXT, "aria-label": "Your answer", "aria-describedby": "desk-blind-question", ...hinted("placeholder", "Your answer (#), in a few words", "w", { scope: "ask" }), autocomplete: "off",
      on: { input: () => callbacks.onType(this.field.value), keydown: (event) => event.key === "Enter" && !composes(event) && callbacks.onAnswer() },
    });
    this.send = button({ id: "desk-blind-send", class: "ew-go", on: { click: () => callbacks.onAnswer() } }, "Answer and see the text", kbd("enter", "ask"));
    this.body = el(
      "section", { class: "ew-right ew-blind", id: "desk-blind", "aria-label": "Your own answer first", hidden: true },
      el("div", { class: "ew-card" }, el("p", { class: "ew-what" }, el("strong", {}, "Answer first"), " from the clip; then come the given answer and the text"),
        this.asked, this.options, this.field, el("div", { class: "ew-blind-foot" }, button({ id: "desk-blind-skip", on: { click: () => callbacks.onSkip() } }, "Skip", kbd("s")), this.send)),
    );
  }

  /** Show another item's question, nothing chosen. */
  ask({ question, options }) {
    this.asked.textContent = question;
    this.choices = options.map((option, index) => button(
      { "aria-pressed": "false", data: { index }, on: { click: () => this.callbacks.onChoose(index) } },
      index < MOST_KEYS && kbd(String(index + 1), "ask"), el("span", { dir: "auto" }, option),
    ));
    this.options.replaceChildren(...this.choices);
    this.options.hidden = options.length === 0;
    this.field.hidden = options.length > 0;
    this.field.value = "";
  }

  /** Show what is chosen or typed (`{answer, answer_index}`, one of them null; or null), and whether it is on its way. */
  show(chosen, busy) {
    this.choices.forEach((made, index) => made.setAttribute("aria-pressed", String(index === chosen?.answer_index)));
    this.send.classList.toggle("ready", says(chosen));
    this.body.inert = busy;
    this.body.classList.toggle("busy", busy);
  }
}

function says(chosen) {
  return chosen !== null && (chosen.answer_index !== null || chosen.answer.trim() !== "");
}

/** Return the acts of answering first. */
export function blindActs(desk) {
  const choose = (chosen) => {
    if (desk.busy || !desk.asking) return;
    desk.quiet();
    desk.chosen = chosen;
    desk.draw();
  };
  return {
    choose: (index) => {
      const option = desk.item.questions[0].options[index];
      if (option !== undefined) choose({ answer: null, answer_index: index });
    },
    typeAnswer: (answer) => choose({ answer, answer_index: null }),
    toAnswer: () => (desk.blind.field.hidden ? desk.blind.choices[0] : desk.blind.field).focus(),
    answer: () => {
      if (desk.busy || !desk.asking) return;
      if (!says(desk.chosen)) {
        desk.say(desk.blind.field.hidden ? "Choose an answer first: press its number." : "Write your answer first.");
        return;
      }
      desk.blind.field.blur();
      desk.busy = true;
      desk.outbox.put(desk.item.assignment_id, "answer", { ...desk.chosen, seconds_spent: desk.clock.seconds });
      desk.draw();
    },
  };
}
