// The desk: what is chosen, followed and drawn. Messages change what is known; it is drawn once a
// frame, however many came.

import { ask } from "./api.js";
import { Account } from "./account.js";
import { Book } from "./book.js";
import { Chart } from "./chart.js";
import { $, cents, count, date, made, sided } from "./format.js";
import { Holdings } from "./holdings.js";
import { Ladder } from "./ladder.js";
import { Orders, ROWS, fills, gauges, prints } from "./lists.js";
import { named } from "./market_row.js";
import { Markets } from "./markets.js";
import { Reading } from "./reading.js";
import { put } from "./rows.js";
import { Ticket } from "./ticket.js";

const BUDGET_MS = 3000;
const SOON_MS = 200; // after a loss: there may be more of them
const READING = "It is being read …";
const TRADES = 20;
const DEPTH = 20; // levels of a side that are asked for first

export class Desk {
  // `live` is the line to the engine.
  constructor(live, notices) {
    this.live = live;
    this.notices = notices;
    this.account = new Account();
    this.book = null;
    this.market = null;
    this.trades = null; // not known yet
    this.noTrades = ""; // what to say where there is none
    this.lines = 0; // to the engine, so far
    this.again = null; // a timer
    this.canceling = new Set(); // ids
    this.dirty = new Set(["order", "fill"]);
    this.ticket = new Ticket($("ticket"), $("ticket-told"));
    this.ladder = new Ladder($("ladder"), (side, price) => this.ticket.fill(this.market, side, price));
    this.chart = new Chart($("chart"));
    this.orders = new Orders($("orders"), (what, order) => this.act(what, order));
    this.fills = fills($("fills"));
    this.prints = prints($("trades"));
    this.gauges = gauges($("budget"));
    live.follow("order.", "fill.", "balance.");
    this.markets = new Markets(
      { list: $("markets"), form: $("search-form"), note: $("markets-note") },
      {
        choose: (market) => this.aim(market),
        follow: (tickers) => live.follow(...tickers.map(quotes)),
        leave: (tickers) => live.leave(...tickers.map(quotes)),
      },
    );
    $("follow").onclick = () => this.follow();
    this.holdings = new Holdings();
    new Reading([$("budget").closest("section")], BUDGET_MS, () => this.budget());
    document.addEventListener("visibilitychange", () => document.hidden || this.readAgain());
    requestAnimationFrame(() => this.draw());
  }

  aim(market) {
    if (this.book) this.live.leave(`${this.book.topic} `, `trade.${this.book.ticker} `);
    this.market = market;
    this.book = new Book(market.ticker);
    this.trades = null;
    put($("market-title"), named(market));
    put($("market-ticker"), market.ticker);
    this.ticket.aim(market);
    this.chart.aim(market);
    this.live.follow(`${this.book.topic} `, `trade.${market.ticker} `);
    this.open(market);
    for (const what of ["book", "trade", "quote"]) this.dirty.add(what);
  }

  // What there is already, the most urgent first.
  async open(market) {
    const { book } = this;
    try {
      book.open(await ask("GET", `/v1/books/${market.ticker}?depth=${DEPTH}`));
      this.dirty.add("book");
    } catch {
      // The topic says what is wrong with the book.
    }
    if (this.market !== market) return;
    this.chart.recall();
    this.past(market);
  }

  // The last trades, those from before we looked among them.
  async past(market) {
    let found = [];
    let none = "No trade so far.";
    try {
      ({ trades: found } = await ask("GET", `/v1/markets/${market.ticker}/trades?limit=${TRADES}`));
    } catch (error) {
      none = `The trades of before can't be read: ${error.message}`;
    }
    if (this.market === market) this.traded(found, none);
  }

  // Trades are told once, or again by whoever remembers them; the newest are shown.
  traded(trades, none = "") {
    const byId = new Map([...(this.trades || []), ...trades].map((trade) => [trade.trade_id, trade]));
    this.trades = [...byId.values()].sort((a, b) => b.exchange_at - a.exchange_at).slice(0, TRADES);
    this.noTrades = none;
    this.dirty.add("trade");
  }

  take(said) {
    if (said.kind === "welcome") this.anew();
    if (said.kind === "lost") this.missed(said.topic);
    if (this.book?.take(said)) this.dirty.add("book");
    const { known } = this.account;
    const kind = this.account.take(said);
    if (kind) this.dirty.add(kind);
    if (this.account.known !== known) this.dirty.add("order").add("fill");
    for (const row of Account.rows(said)) this.ticket.heard(row);
    if (kind === "fill") this.holdings.read();
    const body = said.body;
    if (body?.type === "Quote") this.markets.quoted(body);
    if (body?.type === "Trade" && body.ticker === this.book?.ticker) {
      this.chart.traded(body);
      this.traded([body]);
    }
  }

  // A new line: what was told on the one before is of the past.
  anew() {
    this.account.clear();
    if (this.lines > 0) {
      this.markets.doubt();
      this.readAgain();
    }
    this.lines += 1;
    for (const what of ["order", "fill", "quote"]) this.dirty.add(what);
  }

  // Quotes and trades have no snapshot: what may be missing is asked for.
  missed(topic) {
    const [kind, ...rest] = topic.split(".");
    if (kind === "ticker") this.markets.doubt([rest.join(".").trim()]);
    if (kind === "ticker" || kind === "trade") this.readAgain();
  }

  // Once, however many topics have lost something at once.
  readAgain() {
    this.again ??= setTimeout(() => {
      this.again = null;
      this.markets.load();
      if (this.market) this.past(this.market);
    }, SOON_MS);
  }

  // The line is live, or it is not: then nothing that is shown is of now.
  turned(state) {
    this.markets.live = state === "live";
    if (state !== "live") this.chart.lose();
    if (state === "gone" && this.book) this.book.lose("there is no connection to the engine");
    this.dirty.add("book");
  }

  draw() {
    requestAnimationFrame(() => this.draw());
    const { dirty, account, book } = this;
    if (this.markets.draw()) dirty.add("quote");
    this.chart.draw(this.live.state === "live");
    if (!dirty.size) return;
    if (dirty.has("order")) this.orders.show(account.open, account.known ? "No order is open." : READING);
    if (dirty.has("fill")) this.fills.show(account.fills, account.known ? "Nothing was filled so far." : READING);
    if (dirty.has("trade")) this.prints.show(this.trades || [], this.trades ? this.noTrades : READING);
    if (dirty.has("quote") && this.market) showQuote($("quote"), this.market);
    if (book && (dirty.has("book") || dirty.has("order"))) {
      this.ladder.draw(book, account.ownAt(book.ticker));
      put($("book-note"), book.note);
      $("book-note").className = book.state === "waiting" || book.state === "opening" ? "soft" : "bad";
      $("follow").hidden = book.state !== "unfollowed";
    }
    this.noteAccount();
    dirty.clear();
  }

  noteAccount() {
    const more = this.account.order.size - ROWS;
    const words = [
      this.account.lost.size ? "Some of this is not known at the moment; it is being read again." : "",
      more > 0 ? `The newest ${ROWS} are shown, and ${more} are not.` : "",
    ].filter(Boolean).join(" ");
    put($("account-note"), words);
    $("account-note").hidden = !words;
  }

  act(what, order) {
    if (what === "cancel") this.cancel(order);
    else if (this.ticket.sent) this.notices.news("The ticket waits for what became of another order first.");
    else {
      this.markets.reveal(order.ticker);
      this.ticket.amend(order, this.markets.market(order.ticker) || { ticker: order.ticker });
    }
  }

  async cancel(order) {
    const { client_order_id: id } = order;
    if (this.canceling.has(id)) return;
    this.canceling.add(id);
    const words = `${sided(order.side)} ${count(order.remaining)} at ${cents(order.price)}, ${order.ticker}`;
    try {
      const found = await ask("DELETE", `/v1/orders/${encodeURIComponent(id)}`);
      if (found.status === 202) this.notices.trouble(`Not known yet whether it is canceled, and repeated until it is: ${words}`);
    } catch (error) {
      const known = error.open ? "Not known whether it is canceled; look at its row" : "Not canceled";
      this.notices.trouble(`${known}: ${words}. ${error.message}`);
    }
    this.canceling.delete(id);
  }

  async follow() {
    const { book } = this;
    try {
      await ask("POST", "/v1/follow", { add: [book.ticker] });
      if (book.state === "unfollowed") book.turn("waiting", "");
      this.dirty.add("book");
    } catch (error) {
      this.notices.trouble(`${book.ticker} is not followed: ${error.message}`);
    }
  }

  async budget() {
    const { budgets, age_ms } = await ask("GET", "/v1/budget");
    this.gauges.show(budgets);
    return age_ms;
  }
}

const quotes = (ticker) => `ticker.${ticker} `;

function showQuote(place, market) {
  const figures = [
    ["Bid", cents(market.bid)], ["Ask", cents(market.ask)], ["Last", cents(market.last)],
    ["Volume", count(market.volume)], ["Open interest", count(market.open_interest)], ["Closes", date(market.close_at)],
  ];
  if (!place.children.length) {
    place.append(...figures.map(([name]) => {
      const pair = made("div");
      pair.append(made("dt", name), made("dd"));
      return pair;
    }));
  }
  figures.forEach(([, text], i) => put(place.children[i].lastChild, text));
}
