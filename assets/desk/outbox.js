// What an annotator did and the server has not acknowledged yet. Kept in localStorage before it is sent, so that it outlives the tab.
import { newId } from "./elements.js";
import { sameWork } from "./work.js";

export const SEND_AFTER_MS = 300;
const RETRY_MS = [1000, 2000, 4000, 8000, 15000];
const KEEPALIVE_BYTES = 60_000; // browsers refuse more than 64 KiB in flight

/**
 * Sends the work on each item in order, one operation at a time, until the server says that it is kept.
 *
 * An item has a slot: `sent`, an operation that is under way and goes out again with the same id until it is answered, and `waiting`, the newest
 * work behind it. As an operation carries the whole work, only the newest has to wait. Callbacks: `send(operation, keepalive)` returns {status, body};
 * `onState({state, detail, signedOut})` with state "saved", "saving" or "unsaved"; `onSaved(operation, body)`;
 * `onStale(candidateId, operation, current, sentence)`; `onRefused(operation, sentence, status)`.
 */
export class Outbox {
  constructor(annotator, callbacks, storage = localStorage) {
    Object.assign(this, { annotator, callbacks, storage });
    this.prefix = storedName("outbox", annotator, "");
    this.tab = newId();
    this.slots = new Map();
  }

  /** Take up an item at the operation that its work was read at; return the unsent `{kind, work}` that an earlier tab left, or null. */
  open(candidateId, sequence) {
    const known = this.slots.get(candidateId);
    if (known && (known.sent || known.waiting)) return latest(known);
    const slot = { candidateId, sequence, sent: null, waiting: null, running: false, paused: false, refused: null, timer: null, wake: null };
    this.slots.set(candidateId, slot);
    const kept = this.#read(candidateId);
    if (!kept) return null;
    Object.assign(slot, { sequence: kept.sequence, sent: kept.sent, waiting: kept.waiting, adopted: kept.tab });
    this.#start(slot);
    return latest(slot);
  }

  /** Return the candidates that an earlier tab left unsent work for. */
  leftOver() {
    const names = Array.from({ length: this.storage.length }, (_, index) => this.storage.key(index));
    return names.filter((name) => name.startsWith(this.prefix)).map((name) => name.slice(this.prefix.length));
  }

  /** Keep the newest work on an item and send it soon; a draft waits a moment for the next act. */
  put(candidateId, kind, work) {
    const slot = this.slots.get(candidateId);
    slot.waiting = { kind, work, client_at: new Date().toISOString() };
    slot.refused = null;
    this.#keep(slot);
    this.#tell();
    clearTimeout(slot.timer);
    if (kind === "draft") slot.timer = setTimeout(() => this.#start(slot), SEND_AFTER_MS);
    else this.#start(slot);
  }

  /** Try again at once: the network is back, or somebody signed in. */
  retry() {
    for (const slot of this.slots.values()) {
      if (slot.wake) slot.wake();
      else this.#start(slot);
    }
  }

  /** Send what waits before the page goes away; the copy in localStorage stays until it is acknowledged. */
  leave() {
    for (const slot of this.slots.values()) {
      if (slot.running || slot.paused || slot.sent || !slot.waiting) continue;
      clearTimeout(slot.timer);
      this.#next(slot);
      const keepalive = JSON.stringify(slot.sent).length < KEEPALIVE_BYTES;
      this.callbacks.send(slot.sent, keepalive).then(this.#answered.bind(this, slot, slot.sent));
    }
  }

  /** Settle a clash: "mine" sends this window's work over the other's, "theirs" gives it up. */
  settle(candidateId, choice, current, work) {
    const slot = this.slots.get(candidateId);
    Object.assign(slot, { sequence: current.sequence, sent: null, waiting: null, paused: false });
    if (choice === "mine") this.put(candidateId, "draft", work);
    this.#keep(slot);
    this.#tell();
  }

  /** Try no more to save an item; its copy in localStorage stays. */
  forget(candidateId) {
    clearTimeout(this.slots.get(candidateId)?.timer);
    this.slots.delete(candidateId);
    this.#tell();
  }

  /** Return whether everything is acknowledged. */
  get empty() {
    return [...this.slots.values()].every((slot) => !slot.sent && !slot.waiting && !slot.refused);
  }

  async #start(slot) {
    clearTimeout(slot.timer);
    if (slot.running || slot.paused) return;
    slot.running = true;
    for (let failures = 0; (slot.sent || slot.waiting) && !slot.paused; ) {
      this.#next(slot);
      this.#tell();
      const operation = slot.sent;
      const answer = await this.callbacks.send(operation, false);
      if (this.#answered(slot, operation, answer)) failures = 0;
      else if (!slot.paused) await this.#pause(slot, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)], answer);
    }
    slot.running = false;
    this.#tell();
  }

  /** Make an operation of what waits, unless one is under way: that one keeps its id and its content. */
  #next(slot) {
    if (slot.sent) return;
    const { kind, work, client_at } = slot.waiting;
    slot.sent = { id: newId(), kind, candidate_id: slot.candidateId, base_sequence: slot.sequence, client_at, state: work };
    slot.waiting = null;
    this.#keep(slot);
  }

  /** Take the server's word; return whether the operation is done with. */
  #answered(slot, operation, { status, body }) {
    // The same operation may have gone out twice, the first time while the page was leaving; the second answer says nothing new.
    if (slot.sent?.id !== operation.id) return true;
    if (status === 200) {
      Object.assign(slot, { sequence: body.sequence, sent: null });
      this.#keep(slot);
      this.callbacks.onSaved(operation, body);
      return true;
    }
    if (status === 409 && body.current && [operation.state, slot.waiting?.work ?? null].some((work) => sameWork(work, body.current.work))) {
      // Two windows with the same work, as after a new sign-in in a second tab: nothing is there to choose. It goes out again behind the other's.
      const { kind, state, client_at } = operation;
      Object.assign(slot, { sequence: body.current.sequence, sent: null, waiting: slot.waiting ?? { kind, work: state, client_at } });
      this.#keep(slot);
      return true;
    }
    if (status === 409 && body.current) {
      slot.paused = true;
      this.callbacks.onStale(slot.candidateId, operation, body.current, body.error);
      return false;
    }
    if (status === 0 || status === 401 || status === 429 || status >= 500) return false;
    // The server will never take this one. It stays in localStorage until the next act replaces it.
    slot.sent = null;
    slot.refused = body.error ?? `The server refused it (status ${status}).`;
    this.callbacks.onRefused(operation, slot.refused, status);
    return true;
  }

  async #pause(slot, wait_ms, { status, body }) {
    slot.trouble = { detail: body.error, signedOut: status === 401 };
    this.#tell();
    await new Promise((resolve) => {
      slot.wake = resolve;
      setTimeout(resolve, wait_ms);
    });
    slot.wake = slot.trouble = null;
  }

  #tell() {
    const slots = [...this.slots.values()];
    const trouble = slots.map((slot) => slot.trouble).find(Boolean);
    const refused = slots.map((slot) => slot.refused).find(Boolean);
    if (trouble) this.callbacks.onState({ state: "unsaved", ...trouble });
    else if (refused) this.callbacks.onState({ state: "unsaved", detail: refused, signedOut: false });
    else if (slots.some((slot) => slot.paused)) this.callbacks.onState({ state: "unsaved", detail: "Choose which work to keep.", signedOut: false });
    else this.callbacks.onState({ state: slots.some((slot) => slot.sent || slot.waiting) ? "saving" : "saved", detail: "", signedOut: false });
  }

  #keep(slot) {
    const name = this.prefix + slot.candidateId;
    try {
      // Another tab may hold unsent work on the same item under this name: that is not ours to remove.
      if (slot.sent || slot.waiting) this.storage.setItem(name, JSON.stringify({ tab: this.tab, sequence: slot.sequence, sent: slot.sent, waiting: slot.waiting }));
      else if ([this.tab, slot.adopted].includes(this.#read(slot.candidateId)?.tab)) this.storage.removeItem(name);
      this.storageFull = false;
    } catch {
      // The store is full or switched off: the server is the only copy then, and the page says so.
      this.storageFull = true;
    }
  }

  #read(candidateId) {
    try {
      return JSON.parse(this.storage.getItem(this.prefix + candidateId));
    } catch {
      return null;
    }
  }
}

/** Return the name under which something of an annotator's work on an item is kept in localStorage. */
export function storedName(what, annotator, candidateId) {
  return `eyewitness/${what}/${encodeURIComponent(annotator)}/${candidateId}`;
}

function latest(slot) {
  if (slot.waiting) return { kind: slot.waiting.kind, work: slot.waiting.work };
  return slot.sent ? { kind: slot.sent.kind, work: slot.sent.state } : null;
}
