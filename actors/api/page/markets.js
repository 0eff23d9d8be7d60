// The list of markets: searched by what is typed, with their last quotes and where these went.

import { ask } from "./api.js";
import { cents, made } from "./format.js";

const AGAIN_MS = 60000; // the list costs the account's read budget
const POINTS = 40;
const ROWS = 200;
const SVG = "http://www.w3.org/2000/svg";

export class Markets {
  // `choose` is told the market that somebody picks.
  constructor(list, search, note, choose) {
    this.list = list;
    this.note = note;
    this.choose = choose;
    this.rows = new Map(); // by ticker: what it is, and its row
    this.chosen = "";
    this.wanted = "";
    search.addEventListener("input", () => { this.wanted = search.value.trim().toLowerCase(); this.sift(); });
    list.addEventListener("keydown", (event) => this.move(event));
  }

  start() {
    this.load();
    this.loading = setInterval(() => this.load(), AGAIN_MS);
  }

  stop() {
    clearInterval(this.loading);
  }

  async load() {
    try {
      const { markets } = await ask("GET", `/v1/markets?status=open&limit=${ROWS}`);
      for (const market of markets) this.add(market);
      this.note.hidden = true;
      if (!this.chosen && markets.length) this.pick(markets[0].ticker);
    } catch (error) {
      this.note.textContent = `The list of markets could not be read: ${error.message}`;
      this.note.hidden = false;
    }
    this.sift();
  }

  add(market) {
    const known = this.rows.get(market.ticker);
    if (known) {
      Object.assign(known.market, market);
      this.show(known);
      return;
    }
    const button = made("button");
    button.type = "button";
    const quote = made("span", "", "quote");
    const line = document.createElementNS(SVG, "svg");
    line.setAttribute("viewBox", `0 0 ${POINTS} 20`);
    line.setAttribute("preserveAspectRatio", "none");
    line.setAttribute("aria-hidden", "true");
    line.append(document.createElementNS(SVG, "polyline"));
    button.append(made("span", market.title, "title"), line, quote, made("span", market.ticker, "soft ticker"));
    button.addEventListener("click", () => this.pick(market.ticker));
    const item = made("li");
    item.append(button);
    this.list.append(item);
    const row = { market, item, button, quote, line, points: [], text: `${market.title} ${market.ticker}`.toLowerCase() };
    this.rows.set(market.ticker, row);
    this.show(row);
  }

  // A quote was published.
  quoted(body) {
    const row = this.rows.get(body.ticker);
    if (!row) return;
    row.market.bid = Number(body.bid_size) ? body.bid : null;
    row.market.ask = Number(body.ask_size) ? body.ask : null;
    row.changed = true;
  }

  // Draw those that have changed.
  draw() {
    for (const row of this.rows.values()) {
      if (!row.changed) continue;
      row.changed = false;
      this.show(row);
    }
  }

  show(row) {
    const { bid, ask: offered } = row.market;
    row.quote.textContent = `${cents(bid)} / ${cents(offered)}`;
    if (bid === null || offered === null) return;
    row.points.push((Number(bid) + Number(offered)) / 2);
    if (row.points.length > POINTS) row.points.shift();
    const low = Math.min(...row.points);
    const high = Math.max(...row.points);
    const tall = high - low || 1;
    const points = row.points.map((p, i) => `${i},${(18 - ((p - low) / tall) * 16).toFixed(1)}`);
    row.line.firstChild.setAttribute("points", points.join(" "));
  }

  sift() {
    for (const row of this.rows.values()) row.item.hidden = !row.text.includes(this.wanted);
  }

  pick(ticker) {
    this.rows.get(this.chosen)?.button.removeAttribute("aria-current");
    this.chosen = ticker;
    const row = this.rows.get(ticker);
    row.button.setAttribute("aria-current", "true");
    this.choose(row.market);
  }

  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const shown = [...this.rows.values()].filter((row) => !row.item.hidden).map((row) => row.button);
    const next = shown[shown.indexOf(document.activeElement) + step];
    if (next) next.focus();
  }
}
