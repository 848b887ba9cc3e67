// The desk's talk with its server: an answer is always {status, body}, and status 0 says that nobody answered.

const GIVE_UP_MS = 20_000;

/** Return whether the server may yet take what it did not take now: nobody answered, nobody is signed in, too many asked at once, or it is in trouble itself. */
export function comesLater(status) {
  return status === 0 || status === 401 || status === 429 || status >= 500;
}

/** Return the server's answer; never throws. A body that is not JSON becomes `{error: sentence}`. */
export async function ask(path, { method = "GET", body = null, annotator = null, keepalive = false } = {}) {
  const headers = { Accept: "application/json" };
  if (body !== null) headers["Content-Type"] = "application/json";
  if (annotator !== null) headers["X-Annotator"] = encodeURIComponent(annotator);
  try {
    const answer = await fetch(path, {
      method, headers, keepalive, body: body === null ? null : JSON.stringify(body), credentials: "same-origin", signal: AbortSignal.timeout(GIVE_UP_MS),
    });
    return { status: answer.status, body: await answer.json() };
  } catch (error) {
    if (error instanceof SyntaxError) return { status: 500, body: { error: "The server's answer cannot be read. Its log says more." } };
    return { status: 0, body: { error: "The server does not answer." } };
  }
}
