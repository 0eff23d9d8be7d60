// The ticket: an order, or other terms for one that rests.
//
// What was sent is held until it is known what became of it: by the answer, or by the order's own
// row. So long nothing else can be sent, and to send again is to ask about the same order, under the
// same id. After that the fields are emptied: a second click or a held key finds nothing to send.

import { Refused, ask } from "./api.js";
import { cents, count, inCents, money, sided } from "./format.js";

const PENDING = ["intended", "unknown"]; // of an order, and of an amend
const UNHEARD = [401, 403, 429, 503]; // nobody was asked: what was sent before may be there all the same
const CALLED_OFF = ["rejected", "denied", "withdrawn", "absent"];

export class Ticket {
  constructor(form, told) {
    this.form = form;
    this.told = told;
    this.market = null;
    this.next = null; // chosen while something is under way
    this.amending = null; // the order whose terms are changed
    this.side = ""; // chosen before an amend, and again after it
    this.sent = null; // what is not known to have been done or refused
    form.addEventListener("submit", (event) => { event.preventDefault(); this.submit(); });
    form.addEventListener("keydown", (event) => { if (event.repeat && event.key === "Enter") event.preventDefault(); });
    form.addEventListener("wheel", ({ target }) => { if (target.type === "number") target.blur(); }, { passive: true }); // else it counts up
    form.elements.back.addEventListener("click", () => this.back());
    form.addEventListener("input", () => this.show());
  }

  // Another market: what was typed for the one before does not go for it.
  aim(market) {
    this.next = market;
    if (this.sent) return;
    this.begin(null);
    this.say("", "");
  }

  // An order of whichever market: until that is over the ticket is of that one.
  amend(order, market) {
    this.begin(order, market);
    this.say("", "");
    const { side, price, count: size } = this.form.elements;
    side.value = order.side;
    price.value = inCents(order.price);
    size.value = String(Number(order.count));
    this.show();
    price.focus();
  }

  // A price of the ladder of a market.
  fill(market, side, price) {
    if (this.sent || market !== this.market) return;
    if (!this.amending) this.form.elements.side.value = side;
    this.form.elements.price.value = inCents(price);
    this.show();
    this.form.elements.count.focus();
  }

  begin(order, market = this.next) {
    const { side, price, count: size } = this.form.elements;
    if (this.amending) side.value = this.side;
    this.side = side.value;
    this.market = market;
    this.amending = order;
    price.value = size.value = "";
    this.show();
  }

  // No amend after all, or no more asking what became of it.
  back() {
    const { sent } = this;
    this.sent = null;
    this.begin(null);
    this.say(sent ? `Not asked about any more: ${sent.words}. Look for it among the orders.` : "", "warn");
  }

  // What would be sent, in words: on the button, and what it can cost at most.
  show() {
    const { price, count: size, side, tif, post_only: posted, send, back, cost } = this.form.elements;
    const { sent, amending } = this;
    for (const field of [...side, tif, posted]) field.disabled = Boolean(sent || amending);
    price.readOnly = size.readOnly = Boolean(sent);
    send.setAttribute("aria-disabled", String(Boolean(sent?.waiting)));
    back.hidden = sent ? sent.waiting : !amending;
    this.form.querySelector(".of").textContent = this.market?.ticker || "";
    this.form.querySelector(".contracts").textContent = amending ? `In all, ${count(amending.filled)} filled` : "Contracts";
    const each = side.value === "bid" ? Number(price.value) : 100 - Number(price.value);
    const all = price.value ? (each * Number(size.value)) / 100 : 0;
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
    this.show();
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
    if (error.open || (sent.doubtful && UNHEARD.includes(error.status))) {
      this.wait(sent, `${error.message} It may be there. Send again asks about the same order; it is never placed twice.`);
      return;
    }
    this.sent = null;
    const again = error.retryAfter ? ` Again in ${(error.retryAfter / 1000).toFixed(1)} s.` : "";
    const text = error.message.replace(`${error.code}: `, "");
    this.say(`Refused: ${text} (${error.code}).${again} It was: ${sent.words}.`, "bad");
    this.show();
    this.form.elements[error.field]?.focus?.();
    if (this.next !== this.market) this.begin(null);
  }

  // Not known: the order's own row may tell, also one that came meanwhile.
  wait(sent, text) {
    sent.waiting = false;
    sent.doubtful = true;
    this.say(text, "warn");
    this.show();
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
    const { state, text } = order.amend?.id === sent.body.amend_id ? order.amend : { state: "done" };
    if (state !== "done") return [`Not amended (${state}): ${text || sent.words}.`, "bad"];
    return [`Amended at ${cents(order.price)}${filled}: ${order.ticker}.`, "good"];
  }
  if (CALLED_OFF.includes(order.state)) return [`Not placed (${order.state}): ${order.reason || sent.words}.`, "bad"];
  const rest = order.state === "canceled" ? (filled ? ", the rest is canceled" : ", nothing filled, canceled") : "";
  return [`Placed at ${cents(order.price)}${filled}${rest}: ${order.ticker}.`, rest ? "warn" : "good"];
}
