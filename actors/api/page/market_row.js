// One market in the list: what it is, its last quote, and where its price went.

import { button, cents, finest, made } from "./format.js";
import { Path } from "./path.js";
import { put } from "./rows.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDE = 56;
const TALL = 16;

export class Row {
  constructor(market, pick) {
    this.market = market;
    this.path = new Path();
    this.recalled = false; // its path begins with the last day
    this.found = false; // by a search
    this.isQuoted = false; // on this line to the engine
    this.digits = 0;
    this.points = "";
    this.text = `${named(market)} ${market.ticker}`.toLowerCase();
    this.button = button("", pick);
    this.button.title = market.ticker;
    this.bid = made("span", "", "n");
    this.ask = made("span", "", "n");
    this.line = spark();
    this.button.append(made("span", named(market), "title"), made("span", market.ticker, "soft ticker"), this.line, this.bid, this.ask);
    this.item = made("li");
    this.item.append(this.button);
  }

  // What the exchange lists is up to 15 s old (docs/API.md, Markets): no quote of now gives way to it.
  learn(market) {
    const { bid, ask, last, volume, open_interest } = this.market;
    Object.assign(this.market, market, this.isQuoted ? { bid, ask, last, volume, open_interest } : {});
  }

  quoted(body) {
    this.isQuoted = true;
    Object.assign(this.market, {
      bid: Number(body.bid_size) ? body.bid : null,
      ask: Number(body.ask_size) ? body.ask : null,
      last: Number(body.last) ? body.last : this.market.last,
      volume: body.volume,
      open_interest: body.open_interest,
    });
  }

  doubt() {
    this.isQuoted = false;
    this.market.bid = this.market.ask = null;
  }

  show() {
    const { bid, ask } = this.market;
    this.digits = Math.max(this.digits, finest([bid, ask]));
    put(this.bid, cents(bid, this.digits));
    put(this.ask, cents(ask, this.digits));
    this.button.classList.toggle("listed", !this.isQuoted);
  }

  drawPath(now) {
    const points = this.path.drawn(WIDE, TALL, now);
    if (points !== this.points) this.line.firstChild.setAttribute("points", points);
    this.points = points;
  }
}

// What tells a market from its sisters often stands in its subtitle alone.
export function named({ title, subtitle, ticker }) {
  if (!title) return ticker;
  return subtitle && subtitle !== title ? `${title} ${subtitle}` : title;
}

// The middle of a market in cents, null where one side is missing.
export function middle({ bid, ask }) {
  return bid === null || ask === null ? null : (Number(bid) + Number(ask)) * 50;
}

function spark() {
  const line = document.createElementNS(SVG, "svg");
  line.setAttribute("viewBox", `0 0 ${WIDE} ${TALL}`);
  line.setAttribute("preserveAspectRatio", "none");
  line.setAttribute("aria-hidden", "true");
  line.append(document.createElementNS(SVG, "polyline"));
  return line;
}
