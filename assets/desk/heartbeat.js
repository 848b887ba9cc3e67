// Keeps the items on screen and ahead leased while somebody works: a lease runs out by itself when nobody does.
import { ask } from "./api.js";

const EVERY_MS = 4 * 60_000;
const ACTIVE_MS = 10 * 60_000;

/** Tells the server which items are held. `held()` returns their ids, `idle_ms()` the time since the last sign of life, `onLost(ids)` hears of those that are gone. */
export class Heartbeat {
  constructor({ held, idle_ms, onLost }) {
    Object.assign(this, { held, idle_ms, onLost, last_ms: performance.now() });
  }

  /** Beat while the page is open. */
  start() {
    setInterval(() => this.beat(), EVERY_MS);
  }

  /** Beat at once when the last one is long ago: the person, or the machine, was away. */
  wake() {
    if (performance.now() - this.last_ms >= EVERY_MS) this.beat();
  }

  /** Renew the leases, unless nobody was active. */
  async beat() {
    const ids = this.held();
    if (ids.length === 0 || this.idle_ms() > ACTIVE_MS) return;
    this.last_ms = performance.now();
    const { status, body } = await ask("/api/desk/heartbeat", { method: "POST", body: { assignment_ids: ids } });
    if (status !== 200) return;
    const stillMine = new Set(this.held());
    this.onLost(ids.filter((id) => !body.held.includes(id) && stillMine.has(id)));
  }
}
