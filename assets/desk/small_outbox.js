// What a person sent from another page than the desk and the server has not acknowledged yet: kept in localStorage first, each under its own id.
import { comesLater } from "./api.js";

const RETRY_MS = [1000, 2000, 4000, 8000, 15000];

/**
 * Sends operations one after the other until the server says that each is kept; a repeated one changes nothing there. `page` names whose they are in localStorage.
 *
 * Callbacks: `send(path, body)` returns {status, body}; `onState({state, detail, signedOut})` with state "saved", "saving" or "unsaved";
 * `onSaved(path, body, answer)`; `onRefused(path, body, sentence)`.
 */
export class Outbox {
  constructor(person, callbacks, page, storage = localStorage) {
    Object.assign(this, { person, callbacks, storage, running: false, wake: null });
    this.prefix = `eyewitness/${page}/${encodeURIComponent(person)}/`;
    this.queue = this.#leftOver();
  }

  /** Keep an operation, whose body has an id, and send it. */
  put(path, body) {
    const operation = { path, body, at: Date.now() };
    try {
      this.storage.setItem(this.prefix + body.id, JSON.stringify(operation));
    } catch {
      // The store is full or switched off: the server is the only copy then.
    }
    this.queue.push(operation);
    this.start();
  }

  /** Return whether a decision on this text is on its way. */
  holds(candidateId) {
    return this.queue.some(({ path, body }) => path === "decide" && body.candidate_id === candidateId);
  }

  get empty() {
    return this.queue.length === 0;
  }

  /** Try again at once: the network is back, or somebody signed in. */
  retry() {
    if (this.wake) this.wake();
    else this.start();
  }

  /** Send what waits. */
  async start() {
    if (this.running) return;
    this.running = true;
    for (let failures = 0; this.queue.length > 0; ) {
      if (failures === 0) this.callbacks.onState({ state: "saving" });
      const [operation] = this.queue;
      const { status, body } = await this.callbacks.send(operation.path, operation.body);
      if (comesLater(status)) {
        this.callbacks.onState({ state: "unsaved", detail: body.error, signedOut: status === 401 });
        await this.#pause(RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)]);
      } else {
        failures = 0;
        this.#done(operation, status, body);
      }
    }
    this.running = false;
    this.callbacks.onState({ state: "saved" });
  }

  #done({ path, body: sent }, status, answer) {
    this.queue.shift();
    this.storage.removeItem(this.prefix + sent.id);
    if (status === 200) this.callbacks.onSaved(path, sent, answer);
    else this.callbacks.onRefused(path, sent, answer.error ?? `The server refused it (status ${status}).`);
  }

  async #pause(wait_ms) {
    await new Promise((resolve) => {
      this.wake = resolve;
      setTimeout(resolve, wait_ms);
    });
    this.wake = null;
  }

  #leftOver() {
    const names = Array.from({ length: this.storage.length }, (_, index) => this.storage.key(index)).filter((name) => name.startsWith(this.prefix));
    return names.map((name) => this.#read(name)).filter((kept) => kept?.body).sort((one, other) => one.at - other.at);
  }

  #read(name) {
    try {
      return JSON.parse(this.storage.getItem(name));
    } catch {
      return null; // what cannot be read cannot be sent, and holds up nothing
    }
  }
}
