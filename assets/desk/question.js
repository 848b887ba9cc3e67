// The question under the video, its options, the answer that the writer of the text was given, and the annotator's own where it was asked first.
import { el } from "./elements.js";

/** Return the panel for an item: one question for a rationale or an answer, all of the clip's for a narrative. */
export function questionPanel({ kind, questions, blind_answer = null }) {
  if (questions.length === 0) return el("section", { class: "ew-card ew-questions", id: "desk-question" }, el("p", { class: "dim" }, "This clip has no questions."));
  if (kind !== "narrative") return el("section", { class: "ew-card ew-questions", id: "desk-question", "aria-label": "Question" }, ...oneQuestion(questions[0], blind_answer));
  return el(
    "section", { class: "ew-card ew-questions", id: "desk-question", "aria-label": "Questions about the clip", tabindex: "0" },
    el("p", { class: "dim" }, `The narrative tells these ${questions.length} questions and answers as one story:`),
    el("ol", {}, ...questions.map((one) => el("li", {}, el("span", { dir: "auto" }, one.question), " ", el("strong", { dir: "auto" }, one.answer ?? "answer withheld")))),
  );
}

function oneQuestion({ question, options, answer, answer_index }, blind) {
  const asked = el("p", { class: "ew-asked", dir: "auto" }, question);
  if (options.length === 0) {
    return [asked, el("p", { class: "ew-answers" }, el("span", {}, el("span", { class: "dim" }, "Given answer: "), el("strong", { dir: "auto" }, answer ?? "withheld")),
      blind && el("span", { id: "desk-blind-said" }, el("span", { class: "dim" }, "You answered: "), el("strong", { dir: "auto" }, blind.answer)))];
  }
  const chips = options.map((option, index) => {
    const given = answer_index === null ? answer !== null && option === answer : index === answer_index;
    const chosen = index === (blind?.answer_index ?? null);
    return el("li", { class: [given && "given", chosen && "yours"].filter(Boolean).join(" "), dir: "auto" }, option, given && el("span", {}, "✓ given"), chosen && el("span", { id: "desk-blind-said" }, "you answered"));
  });
  return [asked, el("ul", { class: "ew-options" }, ...chips)];
}
