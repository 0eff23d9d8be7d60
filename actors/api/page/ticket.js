// The ticket: an order, or other terms for one that rests.
//
// What was sent is held until it is known what became of it: by the answer, or by the order's own
// row. So long nothing else can be sent, and to send again is to ask about the same order, under the
// same id. After that the fields are emptied: a second click or a held key finds nothing to send.

import { Refused, ask } from "./api.js";
import { cents, count, inCents, money, sided } from "./format.js";

const PENDING = ["intended", "unknown"]; // of an order, and of an amend
const CALLED_OFF = ["rejected", "denied", "withdrawn", "absent"];

export class Ticket {
  constructor(form, told) {
    this.form = form;
    this.told = told;
    this.market = null;
    this.next = null; // chosen while something is under way
    this.amending = null; // the order whose terms are changed
    this.sent = null; // what is not known to have been done or refused
    form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    form.addEventListener("keydown", (event) => { if (event.repeat && event.key === "Enter") event.preventDefault(); });
    form.elements.back.addEventListener("click", () => this.back());
    form.addEventListener("input", () => this.sum());
  }

  // Another market: what was typed for the one before does not go for it.
  aim(market) {
    this.next = market;
    if (!this.sent) this.begin(null);
  }

  // An order of whichever market: the ticket is of that one then.
  amend(order, market) {
    if (this.sent) return;
    this.next = market;
    this.begin(order);
    const { side, price, count: size } = this.form.elements;
    side.value = order.side;
    price.value = inCents(order.price);
    size.value = String(Number(order.count));
    this.sum();
    price.focus();
  }

  // A price of the ladder of a market.
  fill(market, side, price) {
    if (this.sent || market !== this.market) return;
    if (!this.amending) this.form.elements.side.value = side;
    this.form.elements.price.value = inCents(price);
    this.sum();
    this.form.elements.count.focus();
  }

  begin(order) {
    this.market = this.next;
    this.amending = order;
    this.form.elements.price.value = "";
    this.form.elements.count.value = "";
    if (!order) this.say("", "");
    this.sum();
  }

  back() {
    if (this.sent) this.say(`Not asked about any more: ${this.sent.words}. Look for it among the orders.`, "warn");
    this.sent = null;
    const said = this.told.textContent;
    const mood = this.told.className;
    this.begin(null);
    this.say(said, mood);
  }

  // What would be sent, in words: on the button, and what it can cost at most.
  sum() {
    const { price, count: size, side, tif, post_only: posted, send, back, cost } = this.form.elements;
    const { sent, amending } = this;
    for (const field of [...side, tif, posted]) field.disabled = Boolean(sent || amending);
    price.readOnly = size.readOnly = Boolean(sent);
    send.setAttribute("aria-disabled", String(Boolean(sent?.waiting)));
    back.hidden = sent ? sent.waiting : !amending;
    this.form.querySelector(".of").textContent = this.market?.ticker || "";
    this.form.querySelector(".contracts").textContent = amending ? `In all, ${count(amending.filled)} filled` : "Contracts";
    const each = side.value === "bid" ? Number(price.value) : 100 - Number(price.value);
    const all = (each * Number(size.value)) / 100;
    cost.value = all > 0 ? `Costs at most ${money(Math.max(all, 0.01))}, and fees` : "\u00a0";
    const terms = price.value && size.value ? `${count(size.value)} at ${price.value}¢` : "";
    const verb = amending ? "Amend to" : side.value === "bid" ? "Buy" : "Sell";
    const usual = terms ? `${verb} ${terms}` : amending ? "Amend" : "Place";
    send.textContent = !sent ? usual : sent.waiting ? "Waiting for the answer" : "Send again";
  }

  submit() {
    if (this.sent?.waiting || !this.market) return;
    this.sent ??= this.composed();
    this.send(this.sent);
  }

  composed() {
    const { side, price, count: size, tif, post_only: posted } = this.form.elements;
    const terms = { price: (Number(price.value) / 100).toFixed(4), count: Number(size.value).toFixed(2) };
    const { amending, market } = this;
    const words = `${sided(side.value)} ${count(size.value)} at ${price.value}¢, ${market.ticker}`;
    if (amending) {
      const path = `/v1/orders/${encodeURIComponent(amending.client_order_id)}/amend`;
      return { path, words, id: amending.client_order_id, body: { ...terms, amend_id: crypto.randomUUID() } };
    }
    const id = crypto.randomUUID();
    const body = { ...terms, ticker: market.ticker, side: side.value, time_in_force: tif.value, post_only: posted.checked, client_order_id: id };
    return { path: "/v1/orders", words, id, body };
  }

  async send(sent) {
    sent.waiting = true;
    this.say("Sent, waiting for the answer", "soft");
    this.sum();
    try {
      this.answered(sent, await ask("POST", sent.path, sent.body));
    } catch (error) {
      this.refused(sent, error instanceof Refused ? error : new Refused(0, { detail: String(error) }));
    }
  }

  answered(sent, found) {
    if (this.sent !== sent) return;
    if (found.status === 202) this.wait(sent, "Unknown so far: it is being found out. Send again asks about the same order; it is never placed twice.");
    else this.settle(...outcome(sent, found.order || found));
  }

  refused(sent, error) {
    if (this.sent !== sent) return;
    if (error.open) {
      this.wait(sent, `${error.message} It may be there. Send again asks about the same order; it is never placed twice.`);
      return;
    }
    this.sent = null;
    const again = error.retryAfter ? ` Again in ${(error.retryAfter / 1000).toFixed(1)} s.` : "";
    const text = error.message.replace(`${error.code}: `, "");
    this.say(`Refused: ${text} (${error.code}).${again}`, "bad");
    this.sum();
    this.form.elements[error.field]?.focus?.();
    if (this.next !== this.market) this.begin(null);
  }

  // Not known: the order's own row may tell, also one that came meanwhile.
  wait(sent, text) {
    sent.waiting = false;
    this.say(text, "warn");
    this.sum();
    if (sent.row) this.heard(sent.row);
  }

  // The row of an order was told.
  heard(row) {
    const { sent } = this;
    if (!sent || row.client_order_id !== sent.id) return;
    const { amend_id: amend } = sent.body;
    if (amend && row.amend?.id !== amend) return;
    if (PENDING.includes(amend ? row.amend.state : row.state)) return;
    if (sent.waiting) sent.row = row; // its answer says more, if it comes
    else this.settle(...outcome(sent, row));
  }

  settle(text, mood) {
    const typing = this.form.contains(document.activeElement);
    this.sent = null;
    this.begin(null);
    this.say(text, mood);
    if (typing) this.form.elements.price.focus();
  }

  say(text, mood) {
    this.told.textContent = text;
    this.told.className = mood;
  }
}

// What has become of what was sent: words, and their mood.
function outcome(sent, order) {
  const filled = Number(order.filled) ? `, ${count(order.filled)} filled` : "";
  if (sent.body.amend_id) {
    const { state, text } = order.amend || { state: "done" };
    if (state !== "done") return [`Not amended (${state}): ${text || sent.words}.`, "bad"];
    return [`Amended at ${cents(order.price)}${filled}: ${order.ticker}.`, "good"];
  }
  if (CALLED_OFF.includes(order.state)) return [`Not placed (${order.state}): ${order.reason || sent.words}.`, "bad"];
  const rest = order.state === "canceled" ? (filled ? ", the rest is canceled" : ", nothing filled, canceled") : "";
  return [`Placed at ${cents(order.price)}${filled}${rest}: ${order.ticker}.`, rest ? "warn" : "good"];
}
