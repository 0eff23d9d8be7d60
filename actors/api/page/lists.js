// Orders that may fill, fills, positions, the last prints, and the budget's gauges.

import { cents, count, made, money, mood, time } from "./format.js";

const ROWS = 100;

// A row of a table: each cell a text with its kind, or an element.
export function line(cells) {
  const row = made("tr");
  for (const cell of cells) {
    if (cell instanceof Node) {
      const held = made("td", "", "n");
      held.append(cell);
      row.append(held);
    } else {
      row.append(made("td", cell[0], cell[1] || ""));
    }
  }
  return row;
}

function put(body, rows, none) {
  if (!rows.length) {
    const empty = made("td", none, "soft");
    empty.colSpan = 8;
    const row = made("tr");
    row.append(empty);
    rows = [row];
  }
  body.replaceChildren(...rows);
}

export const sided = (side) => (side === "bid" ? "buy YES" : "sell YES");

// `act` is told what is to become of an order: amend or cancel.
export function showOrders(body, orders, act) {
  const rows = orders.slice(0, ROWS).map((order) => {
    const held = made("span", "", "row");
    if (order.state === "resting" && order.client_order_id) held.append(button("Amend", () => act("amend", order)));
    if (order.client_order_id) held.append(button("Cancel", () => act("cancel", order)));
    const state = order.state === "unknown" ? "warn" : "";
    return line([
      [order.ticker], [sided(order.side)], [cents(order.price), "n"],
      [count(order.remaining), "n"], [count(order.filled), "n"], [order.state, state], held,
    ]);
  });
  put(body, rows, "No order is open.");
}

function button(text, act) {
  const found = made("button", text);
  found.type = "button";
  found.addEventListener("click", act);
  return found;
}

export function showFills(body, fills) {
  const rows = fills.slice(0, ROWS).map((fill) => line([
    [time(fill.exchange_at)], [fill.ticker], [sided(fill.side)], [cents(fill.price), "n"],
    [count(fill.count), "n"], [money(fill.fee), "n"],
  ]));
  put(body, rows, "Nothing was filled so far.");
}

export function showPositions(body, positions) {
  const rows = positions.map((held) => line([
    [held.ticker], [count(held.position), "n"], [money(held.cost), "n"], [money(held.exposure), "n"],
    [held.unrealized === null ? held.mark?.reason || "–" : money(held.unrealized), `n ${mood(held.unrealized)}`],
    [money(held.realized), `n ${mood(held.realized)}`],
  ]));
  put(body, rows, "Nothing is held.");
}

export function showTrades(body, trades) {
  const rows = trades.map((trade) => line([
    [time(trade.exchange_at)], [cents(trade.price), `n ${trade.taker_side === "yes" ? "good" : "bad"}`],
    [count(trade.count), "n"],
  ]));
  put(body, rows, "No print so far.");
}

export function showBudget(place, budgets) {
  const gauges = budgets.map((budget) => {
    const label = made("label", `${budget.name} `);
    const gauge = made("meter");
    gauge.max = budget.holds;
    gauge.low = budget.kept;
    gauge.value = budget.tokens;
    label.append(gauge, made("span", ` ${count(budget.tokens)} of ${count(budget.holds)}, ${count(budget.a_second)}/s`));
    return label;
  });
  place.replaceChildren(...gauges);
}
