// The ladder of one market: what is bid and asked at each price, how much, and what of it is ours.

import { Rows, put } from "./rows.js";
import { button, cents, count, exactCount, finest, made } from "./format.js";
import { priced } from "./book.js";

const LEVELS = 8; // of each side, the best
const AWAY = 5; // more of each side, where something of ours rests
const CELLS = ["n own", "size bids", "price", "size asks"];

export class Ladder {
  // `pick` is told a side and a price that somebody wants.
  constructor(body, pick) {
    this.rows = new Rows(body, (row) => row.key, (row) => this.begin(row));
    this.pick = pick;
  }

  // `own`: contracts of ours that rest, by "side:price".
  draw(book, own) {
    const asks = this.side("ask", book.asks, own);
    const bids = this.side("bid", book.bids, own);
    const most = Math.max(1, ...[...asks, ...bids].map((row) => row.size));
    const between = asks.length && bids.length ? [{ key: "spread", spread: asks[0].at - bids[0].at }] : [];
    const levels = [...asks, ...bids];
    const digits = finest(levels.map((row) => priced(row.at)));
    const sized = levels.every((row) => Number.isInteger(row.size)) ? count : exactCount;
    const rows = [...asks.reverse(), ...between, ...bids];
    this.rows.show(rows.map((row) => ({ ...row, share: row.size / most, digits, sized })), book.known ? "Nobody bids or asks." : "");
  }

  // The best levels, and those farther away where we stand.
  side(side, levels, own) {
    const all = levels.map(([at, size]) => {
      const key = `${side}:${priced(at)}`;
      return { key, side, at, size, mine: own.get(key) || 0, away: false };
    });
    const away = all.slice(LEVELS).filter((row) => row.mine).slice(0, AWAY);
    return [...all.slice(0, LEVELS), ...away.map((row) => ({ ...row, away: true }))];
  }

  begin(row) {
    return row.key === "spread" ? spreadRow() : this.level(row);
  }

  level({ side, at }) {
    const element = made("tr", "", side);
    const [own, bids, price, asks] = CELLS.map((kind) => made("td", "", kind));
    const pick = button(cents(priced(at)), () => this.pick(side === "ask" ? "bid" : "ask", priced(at)));
    pick.title = "Into the ticket";
    price.append(pick);
    element.append(own, bids, price, asks);
    const size = side === "bid" ? bids : asks;
    return {
      element,
      show(row) {
        put(own, row.mine ? count(row.mine) : "");
        put(size, row.sized(row.size));
        put(pick, cents(priced(at), row.digits));
        const depth = `${(row.share * 100).toFixed(1)}%`;
        if (size.style.getPropertyValue("--depth") !== depth) size.style.setProperty("--depth", depth);
        element.classList.toggle("away", row.away);
      },
    };
  }
}

function spreadRow() {
  const element = made("tr", "", "spread");
  const cell = made("td");
  cell.colSpan = CELLS.length;
  element.append(cell);
  return { element, show: ({ spread, digits }) => put(cell, `spread ${cents(priced(spread), digits)}`) };
}
