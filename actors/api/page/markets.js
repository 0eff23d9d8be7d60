// The list of markets: what is followed and what was found, with last quotes and where these went.

import { cents, count, finest, made } from "./format.js";
import { followed, history, search } from "./listing.js";
import { Path } from "./path.js";
import { put } from "./rows.js";

const AGAIN_MS = 60000; // the list costs the account's read budget
const SPARKS_MS = 1000;
const ROWS = 400; // of which each follows a topic
const SVG = "http://www.w3.org/2000/svg";
const WIDE = 56;
const TALL = 16;

export class Markets {
  // `choose` is told the market that somebody picks, `enlist` those that are shown from now on.
  constructor({ list, form, note }, choose, enlist) {
    Object.assign(this, { list, note, choose, enlist });
    this.rows = new Map(); // by ticker: what it is, and its row
    this.changed = new Set();
    this.chosen = "";
    this.wanted = "";
    this.asking = false;
    const [field] = form.elements;
    field.addEventListener("input", () => this.sift(field.value));
    form.addEventListener("submit", (event) => { event.preventDefault(); this.find(field.value.trim()); });
    list.addEventListener("keydown", (event) => this.move(event));
    setInterval(() => this.load(), AGAIN_MS);
    setInterval(() => this.sparks(), SPARKS_MS);
    this.load();
  }

  async load() {
    if (document.hidden && this.rows.size) return;
    try {
      this.add(await followed());
      this.trouble = "";
      if (!this.chosen && this.rows.size) this.pick(this.rows.keys().next().value);
    } catch (error) {
      this.trouble = `The list could not be read: ${error.message}`;
    }
    this.sift(this.wanted);
    this.recall();
  }

  // The exchange is asked for what is not in the list.
  async find(text) {
    if (!text || this.asking) return;
    this.asking = true;
    this.say("The exchange is asked …");
    try {
      const { markets, whole } = await search(text);
      this.trouble = whole ? "" : "There may be more: a longer text finds fewer.";
      this.add(markets);
    } catch (error) {
      this.trouble = `The exchange could not be searched: ${error.message}`;
    }
    this.asking = false;
    this.sift(this.wanted);
    this.recall();
  }

  // Sparklines begin with the last day, as far as the exchange has kept it.
  async recall() {
    const fresh = [...this.rows.values()].filter((row) => !row.recalled);
    if (!fresh.length) return;
    for (const row of fresh) row.recalled = true;
    try {
      const found = await history(fresh.map((row) => row.market.ticker));
      for (const row of fresh) row.path.precede(found.get(row.market.ticker) || []);
    } catch {
      for (const row of fresh) row.recalled = false; // with the next list
    }
  }

  add(markets) {
    const fresh = [];
    for (const market of markets) {
      const known = this.rows.get(market.ticker);
      if (known) {
        Object.assign(known.market, market);
        this.changed.add(known);
      } else if (this.rows.size < ROWS) {
        fresh.push(market.ticker);
        this.rows.set(market.ticker, this.begin({ ...market }));
      }
    }
    if (fresh.length) this.enlist(fresh);
  }

  begin(market) {
    const row = { market, path: new Path(), recalled: false, digits: 0, text: `${named(market)} ${market.ticker}`.toLowerCase() };
    row.button = made("button");
    row.button.type = "button";
    row.bid = made("span", "", "n");
    row.ask = made("span", "", "n");
    row.line = { element: spark(), points: "" };
    row.button.append(
      made("span", named(market), "title"), made("span", market.ticker, "soft ticker"), row.line.element, row.bid, row.ask,
    );
    row.button.title = market.ticker;
    row.button.addEventListener("click", () => this.pick(market.ticker));
    row.item = made("li");
    row.item.append(row.button);
    this.list.append(row.item);
    this.changed.add(row);
    return row;
  }

  // A quote was published. Returns whether it is of the market that is chosen.
  quoted(body) {
    const row = this.rows.get(body.ticker);
    if (!row) return false;
    const { market } = row;
    market.bid = Number(body.bid_size) ? body.bid : null;
    market.ask = Number(body.ask_size) ? body.ask : null;
    market.last = Number(body.last) ? body.last : market.last;
    market.volume = body.volume;
    market.open_interest = body.open_interest;
    this.changed.add(row);
    return body.ticker === this.chosen;
  }

  draw() {
    for (const row of this.changed) {
      const { bid, ask } = row.market;
      row.digits = Math.max(row.digits, finest([bid, ask]));
      put(row.bid, cents(bid, row.digits));
      put(row.ask, cents(ask, row.digits));
    }
    this.changed.clear();
  }

  // Each second a point, and the lines of those that can be seen. All places are read before
  // anything is written: a line that is changed in between would have the list laid out once a row.
  sparks() {
    if (document.hidden) return;
    const now = Date.now();
    const { top, bottom } = this.list.getBoundingClientRect();
    const seen = [];
    for (const row of this.rows.values()) {
      const mid = middle(row.market);
      if (mid !== null) row.path.add(now, mid);
      const box = row.item.getBoundingClientRect();
      if (box.height && box.bottom > top && box.top < bottom) seen.push(row);
    }
    for (const { path, line } of seen) {
      const points = path.drawn(WIDE, TALL, now);
      if (points !== line.points) line.element.firstChild.setAttribute("points", points);
      line.points = points;
    }
  }

  sift(text) {
    this.wanted = text;
    const wanted = text.trim().toLowerCase();
    let shown = 0;
    for (const row of this.rows.values()) {
      row.item.hidden = !row.text.includes(wanted);
      shown += !row.item.hidden;
    }
    const counted = wanted ? `${count(shown)} of ${count(this.rows.size)} shown` : "";
    const hint = wanted && !shown ? "; Enter asks the exchange" : "";
    this.say([this.trouble, counted + hint].filter(Boolean).join(" · "));
  }

  say(text) {
    put(this.note, text);
    this.note.hidden = !text;
  }

  pick(ticker) {
    if (ticker === this.chosen) return;
    this.rows.get(this.chosen)?.button.removeAttribute("aria-current");
    this.chosen = ticker;
    const row = this.rows.get(ticker);
    row.button.setAttribute("aria-current", "true");
    this.choose(row.market);
  }

  // Arrow keys go from market to market.
  move(event) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const shown = [...this.rows.values()].filter((row) => !row.item.hidden).map((row) => row.button);
    const next = shown[shown.indexOf(document.activeElement) + step];
    if (next) next.focus();
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
