// Orders that may fill, fills, positions, the last prints, and the budget's gauges.

import { Rows, put, textRow } from "./rows.js";
import { button, cents, count, gain, made, moment, money, mood, sided, time } from "./format.js";

export const ROWS = 200; // of a list; the newest are shown
const TWICE_MS = 800;
const TAKERS = { yes: ["▲", "good"], no: ["▼", "bad"] }; // which outcome was bought
const MARKET = ["market", "ticker-cell"];
const PRICE = ["price", "n"];
const ORDER = [MARKET, [""], PRICE, ["open", "n"], ["filled", "n"], [""]];
const FILL = [[""], MARKET, [""], PRICE, ["contracts", "n"], ["fee", "n"]];
const POSITION = [MARKET, ["", "n"], ["cost", "n"], ["can lose", "n"], ["open profit", "n"], ["realized", "n"]];
const PRINT = [[""], ["", "n"], ["", "n"]];

export class Orders {
  // `act` is told what is to become of an order: amend or cancel.
  constructor(body, act) {
    this.rows = new Rows(body, (order) => order.client_order_id || order.order_id, () => this.begin());
    this.act = act;
    this.last = {}; // when and where a cancel was clicked
  }

  begin() {
    let shown = null;
    const amend = button("Amend", () => this.act("amend", shown));
    const cancel = button("Cancel", (event) => this.cancel(event, shown));
    const acts = made("span", "", "row");
    acts.append(amend, cancel);
    const last = made("td");
    last.append(acts);
    const row = textRow(ORDER, (order) => [
      order.ticker, sided(order.side), cents(order.price), count(order.remaining), count(order.filled),
      [stateOf(order), order.state === "unknown" ? "warn" : ""],
    ], [last]);
    return {
      element: row.element,
      show: (order) => {
        shown = order;
        amend.hidden = !isOurs(order) || order.state !== "resting";
        cancel.hidden = !order.client_order_id;
        for (const [verb, one] of [["Amend", amend], ["Cancel", cancel]]) {
          one.setAttribute("aria-label", `${verb} ${sided(order.side)} ${count(order.remaining)} at ${cents(order.price)}`);
        }
        row.show(order);
      },
    };
  }

  // The row goes and the next moves up: the second of two clicks on one place is not meant for it.
  cancel({ clientX, clientY, timeStamp, detail }, order) {
    const { at = -Infinity, x, y } = this.last;
    if (detail > 0 && timeStamp - at < TWICE_MS && clientX === x && clientY === y) return;
    this.last = { at: timeStamp, x: clientX, y: clientY };
    this.act("cancel", order);
  }

  // `none` is said where there is none.
  show(orders, none) {
    this.rows.show(orders.slice(0, ROWS), none);
  }
}

const isOurs = (order) => Boolean(order.body_hash); // whoever else may choose an id, too

function stateOf(order) {
  if (!isOurs(order)) return `${order.state}, not ours`;
  return order.state === "unknown" ? "unknown, being found out" : order.state;
}

export function fills(body) {
  return new Rows(body, (fill) => fill.trade_id, () => textRow(FILL, (fill) => [
    moment(fill.exchange_at), fill.ticker, sided(fill.side), cents(fill.price), count(fill.count), money(fill.fee),
  ]));
}

export function positions(body) {
  return new Rows(body, (held) => held.ticker, () => textRow(POSITION, (held) => [
    held.ticker, `${count(Math.abs(held.position))} ${Number(held.position) < 0 ? "NO" : "YES"}`,
    money(held.cost), money(held.exposure),
    [held.unrealized === null ? held.mark?.reason || "–" : gain(held.unrealized), mood(held.unrealized)],
    [gain(held.realized), mood(held.realized)],
  ]));
}

export function prints(body) {
  return new Rows(body, (trade) => trade.trade_id, () => textRow(PRINT, (trade) => {
    const [arrow, kind] = TAKERS[trade.taker_side] || ["", ""];
    return [time(trade.exchange_at), [`${arrow} ${cents(trade.price)}`, kind], count(trade.count)];
  }));
}

// How many tokens each budget has of those that it holds, and how many more come each second.
export function gauges(place) {
  return new Rows(place, (budget) => budget.name, () => {
    const element = made("label");
    const name = made("span");
    const figures = made("span", "", "soft");
    const gauge = made("meter");
    element.append(name, figures, gauge);
    return {
      element,
      show(budget) {
        put(name, budget.name);
        put(figures, `${count(budget.tokens)} of ${count(budget.holds)}, +${count(budget.a_second)}/s`);
        gauge.max = budget.holds;
        gauge.low = Math.max(budget.kept, budget.holds / 4);
        gauge.high = gauge.optimum = budget.holds;
        gauge.value = budget.tokens;
      },
    };
  });
}
