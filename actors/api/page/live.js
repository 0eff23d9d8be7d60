// One WebSocket to the engine. It says when it is gone or silent, and comes again by itself.

import { Refused, ask } from "./api.js";

const SILENT_MS = 3500; // the supervisor speaks each second: so long without a word is too long
const LOOK_MS = 500;
const AGAIN_MS = [250, 500, 1000, 2000, 4000];

export class Live extends EventTarget {
  // Events: "state" (detail: connecting, live, silent, gone, out) and "said" (detail: a message).
  constructor() {
    super();
    this.state = "connecting";
    this.heardAt = 0;
    this.prefixes = new Set();
    this.tries = 0;
    this.socket = null;
    this.looking = setInterval(() => this.look(), LOOK_MS);
    this.connect();
  }

  follow(...prefixes) {
    const more = prefixes.filter((prefix) => !this.prefixes.has(prefix));
    for (const prefix of more) this.prefixes.add(prefix);
    if (more.length && this.open) this.send({ subscribe: more });
  }

  leave(...prefixes) {
    const fewer = prefixes.filter((prefix) => this.prefixes.delete(prefix));
    if (fewer.length && this.open) this.send({ unsubscribe: fewer });
  }

  get closed() {
    return this.state === "out";
  }

  get open() {
    return this.state === "live" || this.state === "silent";
  }

  send(command) {
    this.socket.send(JSON.stringify(command));
  }

  async connect() {
    this.turn("connecting");
    let ticket;
    try {
      ({ ticket } = await ask("POST", "/v1/ws/ticket", {}));
    } catch (error) {
      if (error instanceof Refused && error.status === 401) this.end();
      else this.again();
      return;
    }
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    const socket = new WebSocket(`${scheme}://${location.host}/v1/ws`);
    this.socket = socket;
    socket.onopen = () => socket.send(JSON.stringify({ ticket }));
    socket.onmessage = (event) => this.hear(JSON.parse(event.data));
    socket.onclose = () => socket === this.socket && !this.closed && this.again();
  }

  hear(said) {
    this.heardAt = performance.now();
    if (said.kind === "welcome") {
      this.tries = 0;
      if (this.prefixes.size) this.send({ subscribe: [...this.prefixes] });
    }
    this.turn("live");
    this.dispatchEvent(new CustomEvent("said", { detail: said }));
  }

  look() {
    if (this.state === "live" && performance.now() - this.heardAt > SILENT_MS) this.turn("silent");
  }

  again() {
    this.turn("gone");
    const wait = AGAIN_MS[Math.min(this.tries, AGAIN_MS.length - 1)];
    this.tries += 1;
    setTimeout(() => this.closed || this.connect(), wait * (0.75 + Math.random() / 2));
  }

  end() {
    clearInterval(this.looking);
    this.turn("out");
  }

  turn(state) {
    if (state === this.state && state !== "connecting") return;
    if (state === "connecting" && this.state === "gone") return; // gone until it is back
    this.state = state;
    this.dispatchEvent(new CustomEvent("state", { detail: state }));
  }
}
