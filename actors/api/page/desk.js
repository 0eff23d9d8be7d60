// The desk: what is chosen, followed and drawn. Messages change what is known; it is drawn once a
// frame, however many came.

import { ask } from "./api.js";
import { Account } from "./account.js";
import { Book } from "./book.js";
import { Chart } from "./chart.js";
import { $, cents, count, date, gain, made, money, mood } from "./format.js";
import { Ladder } from "./ladder.js";
import { Orders, fills, gauges, positions, prints } from "./lists.js";
import { Markets, named } from "./markets.js";
import { put } from "./rows.js";
import { Ticket } from "./ticket.js";

const MONEY_MS = 2000;
const BUDGET_MS = 3000;
const SOON_MS = 200; // after a fill
const TRADES = 20;
const DEPTH = 20; // levels of a side that are asked for first

export class Desk {
  // `live` is the line to the engine, `tell` says something to the trader.
  constructor(live, tell) {
    this.live = live;
    this.tell = tell;
    this.account = new Account();
    this.book = null;
    this.market = null;
    this.trades = [];
    this.dirty = new Set(["order", "fill"]);
    this.ticket = new Ticket($("ticket"), $("ticket-told"));
    this.ladder = new Ladder($("ladder"), (side, price) => this.ticket.fill(side, price));
    this.chart = new Chart($("chart"));
    this.orders = new Orders($("orders"), (what, order) => this.act(what, order));
    this.fills = fills($("fills"));
    this.positions = positions($("positions"));
    this.prints = prints($("trades"));
    this.gauges = gauges($("budget"));
    live.follow("order.", "fill.");
    this.markets = new Markets(
      { list: $("markets"), form: $("search-form"), note: $("markets-note") },
      (market) => this.aim(market), (tickers) => live.follow(...tickers.map((ticker) => `ticker.${ticker} `)),
    );
    $("follow").onclick = () => this.follow();
    setInterval(() => this.money(), MONEY_MS);
    setInterval(() => this.budget(), BUDGET_MS);
    this.money();
    this.budget();
    requestAnimationFrame(() => this.draw());
  }

  aim(market) {
    if (this.book) this.live.leave(`${this.book.topic} `, `trade.${this.book.ticker} `);
    this.market = market;
    this.book = new Book(market.ticker);
    this.trades = [];
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

  // The last trades from before we looked.
  async past(market) {
    let before = [];
    try {
      ({ trades: before } = await ask("GET", `/v1/markets/${market.ticker}/trades?limit=${TRADES}`));
    } catch {
      return; // the list begins now
    }
    if (this.market !== market) return;
    const known = new Set(this.trades.map((trade) => trade.trade_id));
    this.trades = [...this.trades, ...before.filter((trade) => !known.has(trade.trade_id))].slice(0, TRADES);
    this.dirty.add("trade");
  }

  take(said) {
    if (said.kind === "welcome") this.account.clear();
    if (this.book?.take(said)) this.dirty.add("book");
    const kind = this.account.take(said);
    if (kind) this.dirty.add(kind);
    if (kind === "fill") this.moneySoon();
    const body = said.body;
    if (body?.type === "Quote" && this.markets.quoted(body)) this.dirty.add("quote");
    if (body?.type === "Trade" && body.ticker === this.book?.ticker) this.traded(body);
  }

  traded(body) {
    if (this.trades.some((trade) => trade.trade_id === body.trade_id)) return;
    this.trades.unshift(body);
    this.trades.length = Math.min(this.trades.length, TRADES);
    this.chart.traded(body);
    this.dirty.add("trade");
  }

  // The line is gone: nothing that is shown is of now.
  gone() {
    if (this.book) this.book.lose("there is no connection to the engine");
    this.dirty.add("book");
  }

  draw() {
    requestAnimationFrame(() => this.draw());
    const { dirty, account, book } = this;
    this.markets.draw();
    this.chart.draw();
    if (!dirty.size) return;
    if (dirty.has("order")) this.orders.show(account.open);
    if (dirty.has("fill")) this.fills.show(account.fills.slice(0, 100));
    if (dirty.has("trade")) this.prints.show(this.trades);
    if (dirty.has("quote")) showQuote($("quote"), this.market);
    if (book && (dirty.has("book") || dirty.has("order"))) {
      this.ladder.draw(book, account.ownAt(book.ticker));
      put($("book-note"), book.note);
      $("follow").hidden = book.state !== "unfollowed";
    }
    $("account-note").hidden = !account.lost.size;
    put($("account-note"), "Some of this is not known at the moment; it is being read again.");
    dirty.clear();
  }

  async act(what, order) {
    if (what === "amend") {
      this.ticket.amend(order);
      return;
    }
    try {
      const found = await ask("DELETE", `/v1/orders/${encodeURIComponent(order.client_order_id)}`);
      if (found.status === 202) this.tell("Not known yet whether it is canceled: it is repeated until it is.");
    } catch (error) {
      this.tell(`It was not canceled: ${error.message}`);
    }
  }

  async follow() {
    try {
      await ask("POST", "/v1/follow", { add: [this.market.ticker] });
      this.book.turn("waiting", "");
      this.dirty.add("book");
    } catch (error) {
      this.tell(`It is not followed: ${error.message}`);
    }
  }

  moneySoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.money(), SOON_MS);
  }

  // What is not published as a whole: the cash, and what is held at the prices of now.
  async money() {
    await this.read("/v1/balance", $("total").parentNode, ({ total }) => put($("total"), money(total)));
    await this.read("/v1/positions?limit=200", $("positions").closest("section"), ({ positions: held }) => {
      this.positions.show(held.filter((one) => Number(one.position) || Number(one.realized)));
      showProfit($("profit"), held);
    });
  }

  budget() {
    return this.read("/v1/budget", $("budget").closest("section"), ({ budgets }) => this.gauges.show(budgets));
  }

  // While there is no answer, what is shown counts as old.
  async read(path, place, show) {
    if (document.hidden) return;
    try {
      show(await ask("GET", path));
      place.hidden = false;
      place.classList.remove("stale");
    } catch {
      place.classList.add("stale");
    }
  }
}

function showProfit(place, held) {
  const open = held.filter((one) => Number(one.position));
  const known = open.every((one) => one.unrealized !== null);
  const sum = known ? open.reduce((all, one) => all + Number(one.unrealized), 0) : null;
  put(place, gain(sum));
  place.className = mood(sum);
  place.parentNode.hidden = false;
}

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
