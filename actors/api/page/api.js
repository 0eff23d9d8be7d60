// What the page asks over HTTP. The token lives here, in memory, and nowhere else.

let token = "";

export class Refused extends Error {
  // status 0: nobody answered. `code` is stable, `message` is for people.
  constructor(status, problem) {
    super(problem.detail || problem.title || problem.code);
    this.status = status;
    this.code = problem.code;
    this.field = problem.field || "";
    this.retryAfter = problem.retry_after_ms || 0;
  }
}

export function holdToken(given) {
  token = given;
}

export function hasToken() {
  return token !== "";
}

const UNREACHED = { code: "unreached", detail: "The engine does not answer." };

export async function ask(method, path, body, { as = token, key = "" } = {}) {
  const headers = { Authorization: `Bearer ${as}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (key) headers["Idempotency-Key"] = key;
  let answer;
  try {
    const text = body === undefined ? undefined : JSON.stringify(body);
    answer = await fetch(path, { method, headers, body: text, cache: "no-store" });
  } catch {
    throw new Refused(0, UNREACHED);
  }
  const found = await answer.json().catch(() => ({ code: "unreadable", detail: "It makes no sense." }));
  if (!answer.ok) throw new Refused(answer.status, found);
  return { status: answer.status, ...found };
}

// Sign in with a one-time code: it is traded for a token.
export async function trade(code) {
  const found = await ask("POST", "/v1/sign-in", {}, { as: code });
  token = found.token;
}

// Sign in with a token that somebody has: it has to count.
export async function paste(given) {
  await ask("GET", "/v1/status", undefined, { as: given });
  token = given;
}
