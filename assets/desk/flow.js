// Which item is on screen and which come next. The next one is shown at once, while what was done is on its way to the server.
import { ask } from "./api.js";
import { MOST_COUNTED, drawFinished, drawProgress } from "./drawing.js";
import { button, el } from "./elements.js";
import { meet } from "./presence.js";
import { showPlain } from "./screen.js";

const LOOK_AGAIN_MS = 30_000;
const MOST_KNOWN = 20; // items that undo can bring back without asking the server
const STATE_AFTER = { submit: "final", skip: "skipped", release: "released" };

/** The items of one annotator: `ahead` those that come next, leased already; `known` the latest ones by id, as they were left. */
export class Flow {
  constructor(desk) {
    Object.assign(this, { desk, ahead: [], known: new Map(), progress: { done: 0, open: 0 }, newest: 0, finished: null, waiting: false, failed: false });
  }

  /** Fetch the item that waits for this annotator. */
  async fetchNext() {
    const { status, body } = await ask("/api/desk/item");
    if (status === 200) this.receive(body);
    else this.#showProblem(status, body.error);
  }

  /** Go back to the queue from an item that was opened again. */
  toQueue() {
    this.#putAside();
    this.desk.item = null;
    if (this.ahead.length > 0) this.advance();
    else this.fetchNext();
  }

  /** Leave the item where it is, and take what the server gives. */
  startAnew() {
    Object.assign(this, { ahead: [], finished: null });
    this.desk.item = null;
    return this.fetchNext();
  }

  /** Take what the server sent: the items that are open, or that nothing waits. `sequence` tells how much it knew. */
  receive({ annotator, next, upcoming, finished }, sequence = this.newest) {
    const { desk } = this;
    if (sequence < this.newest) {
      // A later answer was faster. It knew what comes next, and waited only until this one is kept too.
      if (this.waiting && !desk.outbox.leaving) this.advance();
      return;
    }
    meet(desk, annotator);
    this.failed = false;
    clearInterval(this.lookAgain);
    const open = [next, upcoming].filter((item) => item && !desk.outbox.isLeaving(item.assignment_id));
    if (!desk.outbox.leaving) this.#count(next ?? finished);
    const shown = desk.item?.assignment_id;
    const moved = open.length > 0 && !desk.stays && !desk.player.touched && open.every((item) => item.assignment_id !== shown);
    Object.assign(this, { newest: sequence, finished, ahead: open.filter((item) => item.assignment_id !== shown) });
    if (!shown || moved) this.advance();
    else desk.preload();
  }

  /** Take what became of one item: it was answered, is open again, or asks no more because the one before it was answered. */
  refresh(item, kind) {
    const { desk } = this;
    const id = item.assignment_id;
    if (desk.item?.assignment_id === id) {
      if (kind === "answer") desk.unveil(item);
      else desk.item = { ...desk.item, state: item.state };
    } else {
      this.ahead = this.ahead.map((one) => (one.assignment_id === id ? item : one));
      if (this.known.has(id)) this.#remember(item);
    }
  }

  /** Hand the item on screen to the outbox for good and show the next one in the same turn. `kind` is "submit", "skip" or "release". */
  depart(kind) {
    const { desk } = this;
    const { item } = desk;
    const work = desk.payload();
    desk.outbox.put(item.assignment_id, kind, kind === "release" ? null : work);
    this.#remember({ ...item, work, state: STATE_AFTER[kind], was: item.state });
    if (kind !== "release" && item.state === "leased") this.#step(1);
    this.advance();
  }

  /** Show the next item; without one, say why. */
  advance() {
    const { desk } = this;
    const item = this.ahead.shift();
    this.waiting = false;
    if (item) {
      desk.show(item);
      drawProgress(desk, this.progress);
      return;
    }
    desk.blank();
    if (desk.outbox.leaving) this.wait();
    else if (this.finished) this.#showFinished(this.finished);
    else this.fetchNext();
  }

  /** Say that the next item comes with an answer that is not there yet. */
  wait(state = this.desk.saved) {
    this.waiting = true;
    const { screen } = this.desk;
    drawProgress(this.desk, this.progress);
    if (state.state === "unsaved") showPlain(screen, "Your next item has to wait", [state.detail, "It comes by itself when the network is back. What you did is kept in this browser until then."]);
    else showPlain(screen, "Your next item is on its way", []);
    screen.plain.dataset.waiting = state.state;
  }

  /** Put an item that was left on screen again, with the work as it was; return whether that was possible. */
  async bringBack(id) {
    const { desk } = this;
    if (desk.item?.assignment_id === id) return true;
    let item = this.known.get(id) ?? this.ahead.find((one) => one.assignment_id === id);
    if (!item) {
      const { status, body } = await ask(`/api/desk/item/${encodeURIComponent(id)}`);
      if (status !== 200) {
        desk.say(body.error);
        if (status === 404) desk.history.forget(id);
        return false;
      }
      item = body.next;
      if (this.ahead.length === 0 && body.upcoming) this.ahead = [body.upcoming];
    }
    this.#putAside();
    this.ahead = this.ahead.filter((one) => one.assignment_id !== id);
    this.waiting = false;
    desk.show(item);
    desk.stays = true;
    drawProgress(desk, this.progress);
    return true;
  }

  /** Make the item on screen open again after it was left; what was only given back is taken up with a draft. */
  reopen(left) {
    const { desk } = this;
    if (desk.item.state === "leased") return;
    if (left === "release") desk.save("draft");
    else desk.outbox.put(desk.item.assignment_id, "reopen", null);
    if (left !== "release") this.#step(-1);
    desk.item = { ...desk.item, state: "leased" };
    drawProgress(desk, this.progress);
  }

  /** An item was never left after all: the server did not take it. */
  notLeft(id) {
    const item = this.known.get(id);
    if (!item?.was) return;
    if (item.was === "leased" && item.state !== "released") this.#step(-1);
    this.#remember({ ...item, state: item.was, was: null });
    drawProgress(this.desk, this.progress);
  }

  /** Return the items that are held for this annotator, the one on screen first. */
  get held() {
    const shown = this.desk.item?.state === "leased" ? [this.desk.item] : [];
    return [...shown, ...this.ahead].map((item) => item.assignment_id);
  }

  #putAside() {
    const { item } = this.desk;
    if (!item) return;
    const aside = { ...item, work: this.desk.payload() };
    this.#remember(aside);
    if (item.state === "leased") this.ahead.unshift(aside);
  }

  #remember(item) {
    this.known.delete(item.assignment_id);
    this.known.set(item.assignment_id, item);
    if (this.known.size > MOST_KNOWN) this.known.delete(this.known.keys().next().value);
  }

  #count({ done, open }) {
    this.progress = { done, open };
    drawProgress(this.desk, this.progress);
  }

  #step(count) {
    const { done, open } = this.progress;
    this.progress = { done: Math.max(0, done + count), open: open > MOST_COUNTED ? open : Math.max(0, open - count) };
  }

  async #showFinished(finished) {
    const { desk } = this;
    const { body } = finished.done === 0 ? await ask("/api/me") : { body: {} };
    if (desk.item) return;
    desk.screen.root.dataset.ready = "true";
    drawFinished(desk, finished, body.role, () => this.fetchNext());
    clearInterval(this.lookAgain);
    this.lookAgain = setInterval(() => document.hidden || desk.item || this.fetchNext(), LOOK_AGAIN_MS);
  }

  #showProblem(status, sentence) {
    const { screen } = this.desk;
    this.failed = true;
    if (status === 401) showPlain(screen, "You are signed out", [sentence], el("a", { href: "/login", class: "ew-go" }, "Sign in"));
    else showPlain(screen, "The next item did not come", [sentence], button({ class: "ew-go", id: "desk-try-again", on: { click: () => this.fetchNext() } }, "Try again"));
  }
}
