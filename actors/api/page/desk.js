// The desk: what is chosen, followed and drawn. Messages change what is known; it is drawn once a
// frame, however many came.

import { ask } from "./api.js";
import { Account } from "./account.js";
import { Book } from "./book.js";
import { Chart } from "./chart.js";
import { $ } from "./format.js";
import { Ladder } from "./ladder.js";
import { showBudget, showFills, showOrders, showPositions, showTrades } from "./lists.js";
import { Markets } from "./markets.js";
import { Ticket } from "./ticket.js";

const PROFIT_MS = 2000;
const BUDGET_MS = 3000;
const TRADES = 20;

export class Desk {
  constructor(live, tell) {
    this.live = live;
    this.tell = tell;
    this.account = new Account();
    this.book = null;
    this.trades = [];
    this.dirty = new Set(["order", "fill"]);
    this.ticket = new Ticket($("ticket"), $("ticket-told"));
    this.ladder = new Ladder($("ladder"), $("book-note"), (side, price) => this.ticket.fill(side, price));
    this.chart = new Chart($("chart"));
    this.markets = new Markets($("markets"), $("search"), $("markets-note"), (market) => this.aim(market));
    live.follow("order.", "fill.", "ticker.");
    this.markets.start();
    this.timers = [setInterval(() => this.profit(), PROFIT_MS), setInterval(() => this.budget(), BUDGET_MS)];
    this.profit();
    this.budget();
    this.drawing = requestAnimationFrame(() => this.draw());
  }

  close() {
    this.markets.stop();
    this.timers.forEach(clearInterval);
    cancelAnimationFrame(this.drawing);
  }

  aim(market) {
    if (this.book) this.live.leave(`${this.book.topic} `, `trade.${this.book.ticker} `);
    this.book = new Book(market.ticker);
    this.trades = [];
    $("market-title").textContent = market.title;
    $("market-ticker").textContent = market.ticker;
    this.ticket.aim(market);
    this.chart.aim(market.ticker);
    this.live.follow(`${this.book.topic} `, `trade.${market.ticker} `);
    this.dirty.add("book").add("trade");
  }

  take(said) {
    if (this.book?.take(said)) this.dirty.add("book");
    const kind = this.account.take(said);
    if (kind) this.dirty.add(kind);
    const body = said.body;
    if (body?.type === "Quote") this.markets.quoted(body);
    if (body?.type === "Trade" && body.ticker === this.book?.ticker) {
      this.trades.unshift(body);
      this.trades.length = Math.min(this.trades.length, TRADES);
      this.chart.traded(body);
      this.dirty.add("trade");
    }
  }

  // The line is gone: nothing that is shown is of now.
  gone() {
    if (this.book) this.book.lose("the connection is lost");
    this.dirty.add("book");
  }

  draw() {
    this.drawing = requestAnimationFrame(() => this.draw());
    const { dirty, account } = this;
    this.markets.draw();
    this.chart.draw();
    if (!dirty.size) return;
    if (dirty.has("order")) showOrders($("orders"), account.open, (what, order) => this.act(what, order));
    if (dirty.has("fill")) showFills($("fills"), account.fills);
    if (dirty.has("trade")) showTrades($("trades"), this.trades);
    if (this.book && (dirty.has("book") || dirty.has("order"))) {
      this.ladder.draw(this.book, account.ownAt(this.book.ticker));
    }
    $("account-note").hidden = !account.lost.size;
    $("account-note").textContent = "Some of this is not known at the moment; it is being read again.";
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

  profit() {
    return this.read("/v1/positions?limit=200", "positions", (found) => showPositions($("positions"), found.positions));
  }

  budget() {
    return this.read("/v1/budget", "budget", (found) => showBudget($("budget"), found.budgets));
  }

  // What is not published is asked for. While there is no answer, what is shown counts as old.
  async read(path, id, show) {
    const section = $(id).closest("section");
    try {
      show(await ask("GET", path));
      section.classList.remove("stale");
    } catch {
      section.classList.add("stale");
    }
  }
}
