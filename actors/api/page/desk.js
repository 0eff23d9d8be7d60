// The desk: what is chosen, followed and drawn. Messages change what is known; it is drawn once a
// frame, however many came.

import { ask } from "./api.js";
import { Account } from "./account.js";
import { Book } from "./book.js";
import { Chart } from "./chart.js";
import { $, cents, count, date, gain, made, money, mood, sided } from "./format.js";
import { Ladder } from "./ladder.js";
import { Orders, ROWS, fills, gauges, positions, prints } from "./lists.js";
import { named } from "./market_row.js";
import { Markets } from "./markets.js";
import { put } from "./rows.js";
import { Ticket } from "./ticket.js";

const MONEY_MS = 2000;
const BUDGET_MS = 3000;
const SOON_MS = 200; // after a fill
const OLD_MS = 5000;
const READING = "It is being read …";
const PAGE = 200; // positions with a price of now (docs/API.md, A position)
const PAGES = 10;
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
    this.lines = 0; // to the engine, so far
    this.dirty = new Set(["order", "fill"]);
    this.ticket = new Ticket($("ticket"), $("ticket-told"));
    this.ladder = new Ladder($("ladder"), (side, price) => this.ticket.fill(this.market, side, price));
    this.chart = new Chart($("chart"));
    this.orders = new Orders($("orders"), (what, order) => this.act(what, order));
    this.fills = fills($("fills"));
    this.positions = positions($("positions"));
    this.prints = prints($("trades"));
    this.gauges = gauges($("budget"));
    live.follow("order.", "fill.");
    this.markets = new Markets(
      { list: $("markets"), form: $("search-form"), note: $("markets-note") },
      {
        choose: (market) => this.aim(market),
        follow: (tickers) => live.follow(...tickers.map(quotes)),
        leave: (tickers) => live.leave(...tickers.map(quotes)),
      },
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

  // The last trades from before we looked.
  async past(market) {
    let before = [];
    try {
      ({ trades: before } = await ask("GET", `/v1/markets/${market.ticker}/trades?limit=${TRADES}`));
    } catch {
      return; // the list begins now
    }
    if (this.market !== market) return;
    const came = this.trades || [];
    const known = new Set(came.map((trade) => trade.trade_id));
    this.trades = [...came, ...before.filter((trade) => !known.has(trade.trade_id))].slice(0, TRADES);
    this.dirty.add("trade");
  }

  take(said) {
    if (said.kind === "welcome") this.anew();
    if (said.kind === "lost") this.missed(said.topic);
    if (this.book?.take(said)) this.dirty.add("book");
    const kind = this.account.take(said);
    if (kind) this.dirty.add(kind);
    for (const row of Account.rows(said)) this.ticket.heard(row);
    if (kind === "fill") this.moneySoon();
    const body = said.body;
    if (body?.type === "Quote" && this.markets.quoted(body)) this.dirty.add("quote");
    if (body?.type === "Trade" && body.ticker === this.book?.ticker) this.traded(body);
  }

  // A new line: what was told on the one before is of the past.
  anew() {
    this.account.clear();
    if (this.lines > 0) {
      this.markets.doubt();
      this.markets.load();
      if (this.market) this.past(this.market);
    }
    this.lines += 1;
    for (const what of ["order", "fill", "quote"]) this.dirty.add(what);
  }

  // Quotes and trades have no snapshot: what may be missing is asked for.
  missed(topic) {
    const [kind, ...rest] = topic.split(".");
    if (kind === "ticker") {
      this.markets.doubt(rest.length && rest[0] ? [rest.join(".").trim()] : undefined);
      this.markets.load();
      this.dirty.add("quote");
    }
    if (kind === "trade" && this.market) this.past(this.market);
  }

  traded(body) {
    if (this.trades?.some((trade) => trade.trade_id === body.trade_id)) return;
    this.trades = [body, ...(this.trades || [])].slice(0, TRADES);
    this.chart.traded(body);
    this.dirty.add("trade");
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
    this.markets.draw();
    this.chart.draw(this.live.state === "live");
    if (!dirty.size) return;
    if (dirty.has("order")) this.orders.show(account.open, account.known ? "No order is open." : READING);
    if (dirty.has("fill")) this.fills.show(account.fills, account.known ? "Nothing was filled so far." : READING);
    if (dirty.has("trade")) this.prints.show(this.trades || [], this.trades ? "No trade so far." : READING);
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

  async act(what, order) {
    if (what === "amend") {
      this.markets.reveal(order.ticker);
      this.ticket.amend(order, this.markets.market(order.ticker) || { ticker: order.ticker });
      return;
    }
    const words = `${sided(order.side)} ${count(order.remaining)} at ${cents(order.price)}, ${order.ticker}`;
    try {
      const found = await ask("DELETE", `/v1/orders/${encodeURIComponent(order.client_order_id)}`);
      if (found.status === 202) this.notices.trouble(`Not known yet whether it is canceled, and repeated until it is: ${words}`);
    } catch (error) {
      this.notices.trouble(`Not canceled: ${words}. ${error.message}`);
    }
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

  moneySoon() {
    clearTimeout(this.soon);
    this.soon = setTimeout(() => this.money(), SOON_MS);
  }

  // What is not published as a whole: the cash, and what is held at the prices of now.
  async money() {
    if (this.counting) return;
    this.counting = true;
    await this.read($("total").parentNode, async () => {
      const found = await ask("GET", "/v1/balance");
      put($("total"), money(found.total));
      return found.age_ms;
    });
    await this.read($("positions").closest("section"), async () => {
      const found = await held();
      this.positions.show(found.positions.filter((one) => Number(one.position) || Number(one.realized)), "Nothing is held.");
      showProfit($("profit"), found.positions);
      return found.age_ms;
    });
    this.counting = false;
  }

  budget() {
    return this.read($("budget").closest("section"), async () => {
      const { budgets, age_ms } = await ask("GET", "/v1/budget");
      this.gauges.show(budgets);
      return age_ms;
    });
  }

  // `show` shows something, and says how old it is. Without an answer of now what is shown counts as
  // old, and it is said why.
  async read(place, show) {
    if (document.hidden) return;
    let why = "";
    try {
      const age = await show();
      place.hidden = false;
      if (age > OLD_MS) why = `This is ${Math.round(age / 1000)} s old.`;
    } catch (error) {
      why = `This can't be read: ${error.message}`;
    }
    place.classList.toggle("stale", Boolean(why));
    place.title = why;
    const note = place.querySelector(".reading");
    if (note) put(note, why);
  }
}

const quotes = (ticker) => `ticker.${ticker} `;

// All positions, as far as a few pages go.
async function held() {
  const all = [];
  let cursor = "";
  let age = 0;
  for (let page = 0; page < PAGES; page += 1) {
    const found = await ask("GET", `/v1/positions?${new URLSearchParams({ limit: PAGE, cursor })}`);
    all.push(...found.positions);
    age = Math.max(age, found.age_ms);
    cursor = found.cursor;
    if (!cursor) break;
  }
  return { positions: all, age_ms: age };
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
