// One market's book from the WebSocket: whole, or known not to be.

const PLACES = 10000; // of a price: the API's four digits

export class Book {
  constructor(ticker) {
    this.ticker = ticker;
    this.topic = `book.${ticker}`;
    this.yes = new Map(); // bids, counts by price in 1/10,000 of a dollar
    this.no = new Map();
    this.state = "waiting"; // opening, live, stale, lost, unfollowed
    this.why = "";
  }

  // Takes a message of its topic. Returns whether anything changed.
  take(said) {
    if (said.topic?.trim() !== this.topic) return false;
    if (said.kind === "lost") return this.lose(said.detail, said.why === "not_followed" ? "unfollowed" : "lost");
    const body = said.body;
    if (said.kind === "snapshot" || body.type === "BookSnapshot") return this.fill(body);
    if (body.type === "BookLost") return this.lose(body.reason);
    if (this.state !== "live" && this.state !== "stale") return false; // nothing to change before a snapshot
    switch (body.type) {
      case "BookDelta": {
        const side = this[body.side];
        const price = places(body.price);
        const left = hundredths(side.get(price) || 0, body.change);
        if (left > 0) side.set(price, left);
        else side.delete(price);
        return true;
      }
      case "BookStale": return this.turn("stale", body.reason);
      case "BookFresh": return this.turn("live", "");
    }
    return false;
  }

  fill(body) {
    for (const side of ["yes", "no"]) {
      this[side] = new Map(body[side].map(([price, size]) => [places(price), hundredths(0, size)]));
    }
    return body.state === "stale" ? this.turn("stale", body.reason) : this.turn("live", "");
  }

  // The book as it was when it was asked for, until the topic's snapshot begins its changes.
  open(answer) {
    if (this.state !== "waiting") return;
    this.fill(answer);
    if (this.state === "live") this.turn("opening", "");
  }

  lose(why, state = "lost") {
    this.yes.clear();
    this.no.clear();
    return this.turn(state, why);
  }

  turn(state, why) {
    this.state = state;
    this.why = why;
    return true;
  }

  // Whether its levels are right, of now or of a past moment.
  get known() {
    return ["opening", "live", "stale"].includes(this.state);
  }

  // What to say of it; nothing while it can be trusted.
  get note() {
    switch (this.state) {
      case "live": return "";
      case "waiting": return "The book is asked for …";
      case "opening": return "As of a moment ago; changes begin in a moment.";
      case "stale": return `This book is of a past moment: ${this.why}`;
      case "unfollowed": return "The engine does not follow this market.";
      default: return `The book is lost, and comes again by itself: ${this.why}`;
    }
  }

  // The levels of both sides in YES prices, the best first: [price, contracts].
  get bids() {
    return levels(this.yes);
  }

  get asks() {
    return levels(this.no).map(([price, size]) => [PLACES - price, size]);
  }
}

export function places(price) {
  return Math.round(Number(price) * PLACES);
}

export function priced(at) {
  return (at / PLACES).toFixed(4);
}

function hundredths(before, change) {
  return before + Math.round(Number(change) * 100);
}

function levels(side) {
  return [...side].sort((a, b) => b[0] - a[0]).map(([price, hundreds]) => [price, hundreds / 100]);
}
