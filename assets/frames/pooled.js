// Asking the server for pooled windows: one question at a time, the latest one counts, and what came once is not asked for again.

const MOST_KEPT = 24;
const GIVE_UP_MS = 120_000; // twice what the server gives one file
const TAB = Math.random().toString(36).slice(2); // the server takes a question in place of the one before from the same tab

/** Return the server's answer as `{status, body}`; never throws but when it is called off. Status 0 says that nobody answered. */
export async function fetchJson(path, signal = null) {
  try {
    const signals = [AbortSignal.timeout(GIVE_UP_MS), ...(signal ? [signal] : [])];
    const answer = await fetch(path, { headers: { Accept: "application/json" }, credentials: "same-origin", signal: AbortSignal.any(signals) });
    return { status: answer.status, body: await answer.json() };
  } catch (error) {
    if (signal?.aborted) throw error;
    if (error instanceof SyntaxError) return { status: 500, body: { error: "The server's answer cannot be read. Its log says more." } };
    return { status: 0, body: { error: "The server does not answer." } };
  }
}

/** `onState({state, ...})` tells "off" (nothing is asked), "waiting", "ready" (with the preview) or "refused" (with the sentence). */
export class Pooled {
  constructor(onState) {
    Object.assign(this, { onState, kept: new Map(), asking: null });
  }

  /** Return the windows that the question is about, null when the server refused, undefined when another question came before the answer. */
  async fetch(clipId, query) {
    this.callOff();
    const path = `/api/frames/pooled/${encodeURIComponent(clipId)}?${query}`;
    const known = this.kept.get(path);
    if (known) return this.#ready(known);
    const asking = new AbortController();
    this.asking = asking;
    this.onState({ state: "waiting", query });
    try {
      const { status, body } = await fetchJson(`${path}&tab=${TAB}`, asking.signal);
      if (asking !== this.asking) return undefined;
      if (status !== 200) return this.refuse(body.error, status, query);
      this.kept.set(path, body);
      if (this.kept.size > MOST_KEPT) this.kept.delete(this.kept.keys().next().value);
      return this.#ready(body);
    } catch (error) {
      if (asking.signal.aborted) return undefined;
      throw error;
    }
  }

  /** Want no answer any more. */
  callOff() {
    this.asking?.abort();
    this.asking = null;
    this.onState({ state: "off" });
  }

  /** Say why there is nothing to show; return null. */
  refuse(sentence, status = 404, query = null) {
    this.callOff();
    this.onState({ state: "refused", sentence, status, query });
    return null;
  }

  #ready(preview) {
    this.onState({ state: "ready", preview });
    return preview;
  }
}
