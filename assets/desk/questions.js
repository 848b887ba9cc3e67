// Questions on the guidelines: kept in this browser until the server has them, like all that an annotator writes.
import { ask, comesLater } from "./api.js";
import { newId } from "./elements.js";
import { storedName } from "./outbox.js";

const RETRY_MS = 15_000;

/** Sends the annotator's questions. `onChange()` after each that was asked or acknowledged. */
export class Questions {
  constructor(annotator, onChange, storage = localStorage) {
    Object.assign(this, { annotator, onChange, storage, open: [], refused: null, sending: false });
    this.name = storedName("questions", annotator);
    try {
      this.open = JSON.parse(storage.getItem(this.name)) ?? [];
    } catch {
      // What cannot be read cannot be sent.
    }
  }

  /** Return how many the server has not got yet. */
  get waiting() {
    return this.open.length;
  }

  /** Ask a question, about the guidelines alone or with an item in mind. */
  async ask(question, assignmentId) {
    this.open.push({ id: newId(), question, assignment_id: assignmentId });
    this.#keep();
    await this.send();
  }

  /** Send what waits, one after the other; what the server refuses is told in `refused` and given up. */
  async send() {
    if (this.sending) return;
    this.sending = true;
    clearTimeout(this.again);
    this.refused = null;
    while (this.open.length > 0) {
      const [question] = this.open;
      const { status, body } = await ask("/api/desk/guidelines/ask", { method: "POST", body: question, annotator: this.annotator });
      if (comesLater(status)) {
        this.again = setTimeout(() => this.send(), RETRY_MS);
        break;
      }
      if (status !== 200) this.refused = { sentence: body.error ?? `The server refused it (status ${status}).`, question: question.question };
      this.open.shift();
      this.#keep();
    }
    this.sending = false;
    this.onChange();
  }

  #keep() {
    try {
      if (this.open.length > 0) this.storage.setItem(this.name, JSON.stringify(this.open));
      else this.storage.removeItem(this.name);
    } catch {
      // Without room for it the question lives as long as the page.
    }
    this.onChange();
  }
}
