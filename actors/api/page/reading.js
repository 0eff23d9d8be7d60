// What is not published and has to be asked for again and again: one question at a time. Where there
// is no answer of now, what is shown counts as old, and it is said why.

import { put } from "./rows.js";

const LOOK_MS = 1000;
const OLD_MS = 5000;

export class Reading {
  // `places`: elements that show it, the first of which has a line to say why it is old. `ask` asks,
  // shows, and returns how old that was, in milliseconds.
  constructor(places, every, ask) {
    Object.assign(this, { places, every, ask });
    this.asking = false;
    this.again = false; // something has happened while it was asked for
    this.askedAt = -Infinity;
    this.goodAt = performance.now();
    this.why = "";
    setInterval(() => this.look(), LOOK_MS);
    this.read();
  }

  look() {
    if (document.hidden) return;
    const now = performance.now();
    if (now - this.askedAt >= this.every) this.read();
    const old = now - this.goodAt;
    const words = this.why || (old > OLD_MS ? `This is ${Math.round(old / 1000)} s old.` : "");
    for (const place of this.places) place.classList.toggle("stale", Boolean(words));
    put(this.places[0].querySelector(".reading"), words);
  }

  async read() {
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = true;
    this.askedAt = performance.now();
    try {
      const age = await this.ask();
      this.goodAt = performance.now() - age;
      this.why = "";
      for (const place of this.places) place.hidden = false;
    } catch (error) {
      this.why = `This can't be read: ${error.message}`;
    }
    this.asking = false;
    if (this.again) {
      this.again = false;
      this.read();
    }
  }
}
