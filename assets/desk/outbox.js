// What an annotator did and the server has not acknowledged yet. Kept in localStorage before it is sent, so that it outlives the tab.
import { comesLater } from "./api.js";
import { newId } from "./elements.js";
import { sameWork } from "./work.js";

const SEND_AFTER_MS = 300;
const RETRY_MS = [1000, 2000, 4000, 8000, 15000];
const KEEPALIVE_BYTES = 60_000; // browsers refuse more than 64 KiB in flight
const LEAVING = new Set(["submit", "skip", "release"]);

/**
 * Sends the work on each item in order, one operation at a time, until the server says that it is kept; items do not wait for each other.
 *
 * An item has a slot: `sent`, an operation that is under way and goes out again with the same id until it is answered, and `waiting`, what comes
 * behind it. As a draft carries the whole work, only the newest has to wait. Callbacks: `send(operation, keepalive)` returns {status, body};
 * `onState({state, detail, signedOut})` with state "saved", "saving" or "unsaved"; `onSaved(operation, body)`;
 * `onStale(operation, current, sentence)`; `onMet(operation, current)` when another window did the same; `onRefused(operation, sentence, status)`.
 */
export class Outbox {
  constructor(annotator, callbacks, storage = localStorage) {
    Object.assign(this, { annotator, callbacks, storage });
    this.prefix = storedName("outbox", annotator, "");
    this.tab = newId();
    this.slots = new Map();
  }

  /** Take up an item as the server sent it; return the work that is newer than the server's, or null. */
  open({ assignment_id: id, sequence, text_sha256 = null }) {
    const known = this.slots.get(id);
    if (known) {
      known.text_sha256 ??= text_sha256;
      const newer = isUnsent(known) || known.refused || known.sequence > sequence;
      if (!newer) Object.assign(known, { sequence, work: null });
      return known.work;
    }
    const slot = { id, sequence, text_sha256, work: null, sent: null, waiting: [], idle: false, running: false, paused: false, refused: null, timer: null, wake: null };
    this.slots.set(id, slot);
    const kept = this.#read(id);
    if (!kept) return null;
    const { tab, ...rest } = kept;
    Object.assign(slot, rest, { adopted: tab });
    this.#start(slot);
    return slot.work;
  }

  /** Take up what earlier tabs left. */
  adopt() {
    const names = Array.from({ length: this.storage.length }, (_, index) => this.storage.key(index)).filter((name) => name.startsWith(this.prefix));
    for (const name of names) this.open({ assignment_id: name.slice(this.prefix.length), sequence: 0 });
  }

  /** Return whether an item was submitted, skipped or given back, and the server has not said yet that it knows. */
  isLeaving(id) {
    const slot = this.slots.get(id);
    return Boolean(slot) && LEAVING.has((slot.waiting.at(-1) ?? slot.sent)?.kind);
  }

  /** Return whether an answer that was given blind is on its way. */
  isAnswering(id) {
    const slot = this.slots.get(id);
    return Boolean(slot) && [slot.sent, ...slot.waiting].some((operation) => operation?.kind === "answer");
  }

  /** Return whether what is unsent says no more than the time that was spent. */
  isIdle(id) {
    return Boolean(this.slots.get(id)?.idle);
  }

  /** Return whether the server has yet to hear of an item that was left. */
  get leaving() {
    return [...this.slots.keys()].some((id) => this.isLeaving(id));
  }

  /**
   * Keep an operation on an item and send it soon; `state` is the work, an answer, or null. A draft waits a moment for the next act.
   * `idle` says that nobody did anything since the last one: only the time spent went on.
   */
  put(id, kind, state, idle = false) {
    const slot = this.slots.get(id);
    slot.idle = idle;
    const { waiting } = slot;
    const last = waiting.at(-1)?.kind;
    if (kind === "reopen" && LEAVING.has(last)) {
      // It never left this browser: what was to leave is a draft again.
      const { state: work, client_at } = waiting.pop();
      if (work) waiting.push({ kind: "draft", state: work, client_at });
    } else {
      if (last === "draft" && state && kind !== "answer") waiting.pop();
      waiting.push({ kind, state, client_at: new Date().toISOString() });
    }
    if (state && kind !== "answer") slot.work = state;
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
      if (slot.running || slot.paused || slot.sent || slot.waiting.length === 0) continue;
      clearTimeout(slot.timer);
      this.#next(slot);
      const keepalive = JSON.stringify(slot.sent).length < KEEPALIVE_BYTES;
      this.callbacks.send(slot.sent, keepalive).then(this.#answered.bind(this, slot, slot.sent));
    }
  }

  /** Settle a clash: "mine" sends `work` over the other window's, "theirs" gives it up. */
  settle(id, choice, current, work) {
    const slot = this.slots.get(id);
    Object.assign(slot, { sequence: current.sequence, sent: null, waiting: [], paused: false, refused: null, work: current.work });
    if (choice === "mine") this.put(id, "draft", work);
    this.#keep(slot);
    this.#tell();
  }

  /** Try no more to save an item; its copy in localStorage stays. */
  forget(id) {
    clearTimeout(this.slots.get(id)?.timer);
    this.slots.delete(id);
    this.#tell();
  }

  /** Return whether everything is acknowledged. */
  get empty() {
    return [...this.slots.values()].every((slot) => !isUnsent(slot) && !slot.refused);
  }

  async #start(slot) {
    clearTimeout(slot.timer);
    if (slot.running || slot.paused) return;
    slot.running = true;
    for (let failures = 0; isUnsent(slot) && !slot.paused; ) {
      this.#next(slot);
      this.#tell();
      const operation = slot.sent;
      const answer = await this.callbacks.send(operation, false);
      if (this.#answered(slot, operation, answer)) failures = 0;
      else if (!slot.paused && slot.sent === operation) await this.#pause(slot, RETRY_MS[Math.min(failures++, RETRY_MS.length - 1)], answer);
    }
    slot.running = false;
    this.#tell();
  }

  /** Make an operation of what waits, unless one is under way: that one keeps its id and its content. */
  #next(slot) {
    if (slot.sent) return;
    const { kind, state, client_at } = slot.waiting.shift();
    slot.sent = { id: newId(), kind, assignment_id: slot.id, base_sequence: slot.sequence, client_at, text_sha256: slot.text_sha256, state };
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
    if (status === 409 && body.current && (operation.kind === "answer" || [operation.state, slot.work].some((work) => sameWork(work, body.current.work)))) {
      // An answer is no work, and two windows with the same work, as after a new sign-in in a second tab, leave nothing to choose. It goes out again behind the other's.
      slot.sent = { ...operation, id: newId(), base_sequence: body.current.sequence };
      this.#keep(slot);
      this.callbacks.onMet?.(operation, body.current);
      return true;
    }
    if (status === 409 && body.current) {
      slot.paused = true;
      this.callbacks.onStale(operation, body.current, body.error);
      return false;
    }
    if (comesLater(status)) return false;
    // The server will never take this one. It stays in localStorage until the next act replaces it.
    slot.sent = null;
    if (operation.kind === "reopen") slot.waiting = [];
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
    else this.callbacks.onState({ state: slots.some(isUnsent) ? "saving" : "saved", detail: "", signedOut: false });
  }

  #keep(slot) {
    const name = this.prefix + slot.id;
    const { sequence, text_sha256, work, sent, waiting, idle } = slot;
    try {
      // Another tab may hold unsent work on the same item under this name: that is not ours to remove.
      if (isUnsent(slot)) this.storage.setItem(name, JSON.stringify({ tab: this.tab, sequence, text_sha256, work, sent, waiting, idle }));
      else if ([this.tab, slot.adopted].includes(this.#read(slot.id)?.tab)) this.storage.removeItem(name);
      this.storageFull = false;
    } catch {
      // The store is full or switched off: the server is the only copy then, and the page says so.
      this.storageFull = true;
    }
  }

  #read(id) {
    try {
      const kept = JSON.parse(this.storage.getItem(this.prefix + id));
      return Array.isArray(kept?.waiting) ? kept : null; // what an older page kept in another form is left where it is
    } catch {
      return null;
    }
  }
}

/** Return the name under which something of an annotator's (work on an item) is kept in localStorage. */
export function storedName(what, annotator, assignmentId = "") {
  return `eyewitness/${what}/${encodeURIComponent(annotator)}/${assignmentId}`;
}

function isUnsent(slot) {
  return slot.sent !== null || slot.waiting.length > 0;
}
