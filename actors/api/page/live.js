// One WebSocket to the engine. It says when it is gone or silent, and comes again by itself.

import { Refused, ask } from "./api.js";

const SILENT_MS = 3500; // the supervisor speaks each second: so long without its word is too long
const DEAD_MS = 10000; // without a byte of anybody: the line leads nowhere
const LOOK_MS = 500;
const AGAIN_MS = [250, 500, 1000, 2000, 4000];

export class Live {
  // `turned` is told the state (connecting, live, silent, gone, out), `said` each message.
  constructor(turned, said) {
    this.turned = turned;
    this.said = said;
    this.state = "connecting";
    this.heardAt = 0; // the supervisor
    this.anyAt = 0; // anybody
    this.prefixes = new Set(); // what we want
    this.followed = new Set(); // what the engine was asked for on this line
    this.tries = 0;
    this.socket = null;
    this.open = false; // it was let in
    this.asking = false;
    this.looking = setInterval(() => this.look(), LOOK_MS);
    this.connect();
  }

  follow(...prefixes) {
    for (const prefix of prefixes) this.prefixes.add(prefix);
    this.askSoon();
  }

  leave(...prefixes) {
    for (const prefix of prefixes) this.prefixes.delete(prefix);
    this.askSoon();
  }

  // What changes together is asked for together: one command, however many prefixes.
  askSoon() {
    if (this.asking || !this.open) return;
    this.asking = true;
    queueMicrotask(() => { this.asking = false; this.asked(); });
  }

  asked() {
    if (!this.open) return;
    const subscribe = [...this.prefixes].filter((prefix) => !this.followed.has(prefix));
    const unsubscribe = [...this.followed].filter((prefix) => !this.prefixes.has(prefix));
    if (!subscribe.length && !unsubscribe.length) return;
    this.socket.send(JSON.stringify({ subscribe, unsubscribe }));
    this.followed = new Set(this.prefixes);
  }

  async connect() {
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
    this.anyAt = performance.now();
    socket.onopen = () => socket.send(JSON.stringify({ ticket }));
    socket.onmessage = (event) => socket === this.socket && this.hear(JSON.parse(event.data));
    socket.onclose = () => socket === this.socket && this.again();
  }

  // Quotes may come on while nobody says any more whether all is well: only the supervisor's word
  // keeps the line live, and only one of now.
  hear(said) {
    this.anyAt = performance.now();
    if (said.topic === "system" && said.body) {
      if (!isRecent(said)) return; // nobody says this any more
      this.heardAt = this.anyAt;
      this.tries = 0;
      this.turn("live");
    } else if (said.kind === "welcome") {
      this.heardAt = this.anyAt;
      this.open = true;
      this.followed = new Set();
      this.asked();
    } else if (said.kind === "error") {
      this.socket.close(); // something is not followed: all is asked for anew
    }
    this.said(said);
  }

  look() {
    const now = performance.now();
    if (this.open && now - this.heardAt > SILENT_MS) this.turn("silent");
    if (this.socket && now - this.anyAt > DEAD_MS) this.again();
  }

  again() {
    const { socket } = this;
    this.socket = null;
    this.open = false;
    socket?.close();
    this.turn("gone");
    const wait = AGAIN_MS[Math.min(this.tries, AGAIN_MS.length - 1)];
    this.tries += 1;
    setTimeout(() => this.connect(), wait * (0.75 + Math.random() / 2));
  }

  end() {
    clearInterval(this.looking);
    this.turn("out");
  }

  turn(state) {
    if (state === this.state) return;
    this.state = state;
    this.turned(state);
  }
}

// What the front repeats to whoever comes may be of a supervisor that has ended since. Clocks of two
// machines may differ by more: then the next word counts, within a second.
function isRecent({ kind, at }) {
  return kind !== "snapshot" || Math.abs(Date.now() - at / 1000) < SILENT_MS;
}
