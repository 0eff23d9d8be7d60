// The ladder of one market: what is bid and asked at each price, how much, and what of it is ours.

import { cents, count, made } from "./format.js";
import { priced } from "./book.js";

const LEVELS = 10; // of each side

export class Ladder {
  // `pick` is told a side and a price that somebody wants.
  constructor(body, note, pick) {
    this.body = body;
    this.note = note;
    this.pick = pick;
  }

  draw(book, own) {
    const words = {
      waiting: "waiting for the book",
      lost: `the book is lost: ${book.why || "it is being asked for again"}`,
      stale: `the book is of a past moment: ${book.why}`,
      live: "",
    };
    this.note.textContent = words[book.state];
    this.note.hidden = book.state === "live";
    const asks = book.asks(LEVELS);
    const bids = book.bids(LEVELS);
    const most = Math.max(1, ...asks.map(([, size]) => size), ...bids.map(([, size]) => size));
    const rows = [
      ...asks.reverse().map((level) => this.row("ask", level, most, own)),
      ...bids.map((level) => this.row("bid", level, most, own)),
    ];
    this.body.replaceChildren(...rows);
  }

  row(side, [at, size], most, own) {
    const price = priced(at);
    const line = made("tr", "", side);
    const mine = own.get(`${side}:${price}`);
    line.append(made("td", mine ? count(mine) : "", "n own"));
    const button = made("button", cents(price), "price");
    button.type = "button";
    const verb = side === "ask" ? "Buy" : "Sell";
    button.setAttribute("aria-label", `${verb} at ${cents(price)}`);
    button.addEventListener("click", () => this.pick(side === "ask" ? "bid" : "ask", price));
    const cell = made("td", "", "n");
    cell.append(button);
    const depth = made("td", "", "depth");
    const bar = made("meter", "", side);
    bar.max = most;
    bar.value = size;
    bar.setAttribute("aria-hidden", "true");
    depth.append(bar, made("span", count(size)));
    line.append(cell, depth);
    return line;
  }
}
