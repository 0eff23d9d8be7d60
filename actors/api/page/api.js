// What the page asks over HTTP. The token lives here, in memory, and nowhere else.

const ANSWER_MS = 20000; // longer than the engine takes to say that it does not know (18 s)

let token = "";

export class Refused extends Error {
  // status 0: no answer, or none that can be read. `code` is stable, `message` is for people.
  constructor(status, problem) {
    super(problem.detail || problem.title || problem.code);
    this.status = status;
    this.code = problem.code || "";
    this.field = problem.field || "";
    this.retryAfter = problem.retry_after_ms || 0;
  }

  // Whether what was asked for may have been done all the same.
  get open() {
    return this.status === 0 || (this.status >= 500 && this.status !== 503) || this.code === "no_answer";
  }
}

const UNREACHED = { code: "unreached", detail: "The engine does not answer." };
const UNREADABLE = { code: "unreadable", detail: "The engine's answer can't be read." };

export async function ask(method, path, body, as = token) {
  const headers = { Authorization: `Bearer ${as}` };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    const text = body === undefined ? undefined : JSON.stringify(body);
    answer = await fetch(path, { method, headers, body: text, cache: "no-store", signal: AbortSignal.timeout(ANSWER_MS) });
  } catch {
    throw new Refused(0, UNREACHED);
  }
  let found;
  try {
    found = await answer.json();
  } catch {
    throw new Refused(answer.ok ? 0 : answer.status, UNREADABLE);
  }
  if (!answer.ok) throw new Refused(answer.status, found);
  return { status: answer.status, ...found };
}

// Sign in with a one-time code: it is traded for a token.
export async function trade(code) {
  const found = await ask("POST", "/v1/sign-in", {}, code);
  token = found.token;
}

// Sign in with a token that somebody has: it has to count.
export async function paste(given) {
  if (!/^[\x21-\x7e]+$/.test(given)) throw new Refused(401, { code: "unauthorized", detail: "This is no token." });
  await ask("GET", "/v1/status", undefined, given);
  token = given;
}
