// The guidelines: their text, the questions that they leave open with the answers, and a field to ask one.
import { ask } from "./api.js";
import { showDialog } from "./dialogs.js";
import { button, el } from "./elements.js";

const LONGEST_QUESTION = 2000; // characters; the server has the same limit

/** Show the guidelines over the desk. */
export async function showGuide(desk) {
  const { markdown, issues } = await read();
  const list = el("ul", { class: "ew-issues", id: "desk-issues" });
  const field = el("textarea", { id: "desk-ask", dir: "auto", rows: "2", maxlength: LONGEST_QUESTION, "aria-label": "Ask about the guidelines", placeholder: "What do the guidelines leave open?" });
  const said = el("p", { id: "desk-asked", role: "status" });
  const draw = (open) => list.replaceChildren(...open.map(issue));
  const send = async () => {
    const question = field.value.trim();
    if (!question) return field.focus();
    field.value = "";
    said.textContent = "Your question is on its way.";
    await desk.questions.ask(question, desk.item?.assignment_id ?? null);
    const { refused, waiting } = desk.questions;
    said.textContent = refused?.sentence ?? (waiting ? "The server does not take it now. Your question is kept in this browser and goes out by itself." : "Asked. The answer will stand here.");
    if (refused) field.value = refused.question;
    return draw((await read()).issues);
  };
  showDialog(
    desk.screen.root, { id: "desk-guide", title: "Guidelines" }, el("div", { class: "ew-guide" }, ...paragraphs(markdown)),
    el("section", { class: "ew-ask" }, el("h3", {}, "Questions that they leave open"), list, field, el("div", {}, button({ id: "desk-ask-send", class: "ew-go", on: { click: send } }, "Ask"), said)),
  );
  draw(issues);
}

/** Return `{markdown, issues}` from the server; without it the text that comes with the page. */
async function read() {
  const { status, body } = await ask("/api/desk/guidelines");
  if (status === 200) return body;
  try {
    const answer = await fetch(new URL("../guidelines.md", import.meta.url));
    return { markdown: await answer.text(), issues: [] };
  } catch {
    return { markdown: "# Guidelines\n\nThe server does not answer. Try again when the network is back.", issues: [] };
  }
}

function issue({ question, answer }) {
  return el("li", {}, el("p", { class: "ew-asked", dir: "auto" }, question), answer === null ? el("p", { class: "dim" }, "No answer yet.") : el("p", { dir: "auto" }, answer));
}

function paragraphs(text) {
  return text.trim().split(/\n{2,}/).slice(1).map((block) => {
    if (block.startsWith("## ")) return el("h3", {}, block.slice(3));
    if (!/^[-*|] /.test(block)) return el("p", {}, ...emphasis(block.replace(/\n/g, " ")));
    return el("ul", {}, ...block.split(/\n(?=[-*] )/).map((line) => el("li", {}, ...emphasis(line.slice(2).replace(/\n\s*/g, " ")))));
  });
}

function emphasis(line) {
  return line.split(/(\*\*[^*]+\*\*)/).filter(Boolean).map((part) => (part.startsWith("**") ? el("strong", {}, part.slice(2, -2)) : part));
}
