// The list of markets: what is followed and what was found, with last quotes and where these went.

import { count } from "./format.js";
import { followed, history, search } from "./listing.js";
import { Row, middle } from "./market_row.js";
import { put } from "./rows.js";

const AGAIN_MS = 60000; // the list costs the account's read budget
const SPARKS_MS = 1000;
const ROWS = 400; // of which each follows a topic

export class Markets {
  // `choose` is told the market that somebody picks, `follow` and `leave` whose quotes are wanted.
  constructor({ list, form, note }, { choose, follow, leave }) {
    Object.assign(this, { list, note, choose, follow, leave });
    this.live = false; // whether quotes come in
    this.rows = new Map(); // by ticker: what it is, and its row
    this.changed = new Set();
    this.chosen = "";
    this.wanted = "";
    this.asking = false;
    this.loading = false;
    const [field] = form.elements;
    field.addEventListener("input", () => this.sift(field.value));
    form.addEventListener("submit", (event) => { event.preventDefault(); this.find(field.value.trim()); });
    list.addEventListener("keydown", (event) => this.move(event));
    setInterval(() => this.load(), AGAIN_MS);
    setInterval(() => this.sparks(), SPARKS_MS);
    this.load();
  }

  async load() {
    if (this.loading || (document.hidden && this.rows.size)) return;
    this.loading = true;
    try {
      const { markets, whole } = await followed();
      this.retain(new Set(markets.map((market) => market.ticker)));
      const left = this.add(markets, false);
      this.trouble = whole && !left ? "" : "There are more: a search finds them.";
      if (!this.chosen && this.rows.size) this.pick(this.rows.keys().next().value);
    } catch (error) {
      this.trouble = `The list could not be read: ${error.message}`;
    }
    this.loading = false;
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
      const left = this.add(markets, true);
      this.trouble = whole && !left ? "" : "There may be more: a longer text finds fewer.";
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
    for (const row of fresh) row.recalled = true;
    const found = await history(fresh.map((row) => row.market.ticker));
    for (const row of fresh) row.path.precede(found.get(row.market.ticker) || []);
  }

  // `found`: somebody has searched for these. Returns how many had no room.
  add(markets, found) {
    const fresh = [];
    let left = 0;
    for (const market of markets) {
      let row = this.rows.get(market.ticker);
      if (row) {
        row.learn(market);
      } else if (this.makeRoom(found, fresh)) {
        row = this.begin({ ...market });
        this.rows.set(market.ticker, row);
        fresh.push(market.ticker);
      } else {
        left += 1;
        continue;
      }
      row.found ||= found;
      this.changed.add(row);
    }
    this.follow(fresh);
    return left;
  }

  // What is listed no more goes, but for what was searched for and what is looked at.
  retain(listed) {
    const gone = [...this.rows].filter(([ticker, row]) => !listed.has(ticker) && !row.found && ticker !== this.chosen);
    for (const [ticker] of gone) this.drop(ticker);
  }

  // What was searched for before gives way first; what is listed gives way to a search alone; what
  // is `fresh`, and what is looked at, to nothing.
  makeRoom(found, fresh) {
    if (this.rows.size < ROWS) return true;
    const others = [...this.rows].filter(([ticker]) => ticker !== this.chosen && !fresh.includes(ticker));
    const [ticker] = others.find(([, row]) => row.found) || (found && others[0]) || [];
    if (ticker) this.drop(ticker);
    return Boolean(ticker);
  }

  drop(ticker) {
    const row = this.rows.get(ticker);
    this.rows.delete(ticker);
    this.changed.delete(row);
    row.item.remove();
    this.leave([ticker]);
  }

  // Quotes may have been missed: what was last said is not of now.
  doubt(tickers = [...this.rows.keys()]) {
    for (const ticker of tickers) {
      const row = this.rows.get(ticker);
      if (!row) continue;
      row.doubt();
      this.changed.add(row);
    }
  }

  begin(market) {
    const row = new Row(market, () => this.pick(market.ticker));
    this.list.append(row.item);
    return row;
  }

  // A quote was published.
  quoted(body) {
    const row = this.rows.get(body.ticker);
    if (!row) return;
    row.quoted(body);
    this.changed.add(row);
  }

  // Returns whether what is known of the market that is chosen has changed.
  draw() {
    for (const row of this.changed) row.show();
    const chosen = this.changed.has(this.rows.get(this.chosen));
    this.changed.clear();
    return chosen;
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
      if (mid !== null && this.live) row.path.add(now, mid);
      const box = row.item.getBoundingClientRect();
      if (box.height && box.bottom > top && box.top < bottom) seen.push(row);
    }
    for (const row of seen) row.drawPath(now);
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

  // Choose a market that is in the list.
  reveal(ticker) {
    if (this.rows.has(ticker)) this.pick(ticker);
  }

  market(ticker) {
    return this.rows.get(ticker)?.market;
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
