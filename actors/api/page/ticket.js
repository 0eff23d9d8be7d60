// The ticket: an order, or other terms for one that rests. Asked once, whatever the network does.

import { Refused, ask } from "./api.js";
import { cents, count, inCents, money } from "./format.js";

export class Ticket {
  constructor(form, told) {
    this.form = form;
    this.told = told;
    this.ticker = "";
    this.amending = null; // the order whose terms are changed
    this.pending = null; // what was sent and not answered: sent again under the same id
    form.addEventListener("submit", (event) => { event.preventDefault(); this.send(); });
    form.elements.back.addEventListener("click", () => this.amend(null));
    form.addEventListener("input", () => { this.pending = null; this.sum(); });
  }

  // Another market: what was typed for the one before does not go for it.
  aim(market) {
    this.ticker = market.ticker;
    this.amend(null);
    this.say("", "");
  }

  fill(side, price) {
    if (!this.amending) this.form.elements.side.value = side;
    this.form.elements.price.value = inCents(price);
    this.pending = null;
    this.sum();
    this.form.elements.count.focus();
  }

  amend(order) {
    this.amending = order;
    this.pending = null;
    const { side, price, count: size, tif, post_only: posted, back } = this.form.elements;
    for (const field of [...side, tif, posted]) field.disabled = order !== null;
    back.hidden = order === null;
    if (order) {
      side.value = order.side;
      price.value = inCents(order.price);
      size.value = order.count;
      price.focus();
    }
    this.sum();
  }

  // What would be sent, in words: on the button, and what it can cost at most.
  sum() {
    const { price, count: size, side, send, cost } = this.form.elements;
    const each = side.value === "bid" ? Number(price.value) : 100 - Number(price.value);
    const all = (each * Number(size.value)) / 100;
    const terms = price.value && size.value ? `${count(size.value)} at ${price.value}¢` : "";
    const verb = this.amending ? "Amend to" : side.value === "bid" ? "Buy" : "Sell";
    send.textContent = terms ? `${verb} ${terms}` : this.amending ? "Amend" : "Place";
    cost.value = all > 0 ? `Costs at most ${money(all)}, and fees` : "\u00a0";
  }

  async send() {
    const { side, price, count: size, tif, post_only: posted, send } = this.form.elements;
    const terms = { price: (Number(price.value) / 100).toFixed(4), count: Number(size.value).toFixed(2) };
    this.pending ??= this.amending
      ? { path: `/v1/orders/${encodeURIComponent(this.amending.client_order_id)}/amend`,
          body: { ...terms, amend_id: crypto.randomUUID() } }
      : { path: "/v1/orders",
          body: { ...terms, ticker: this.ticker, side: side.value, time_in_force: tif.value, post_only: posted.checked,
                  client_order_id: crypto.randomUUID() } };
    send.disabled = true;
    this.say("sent, waiting for the answer", "soft");
    try {
      const found = await ask("POST", this.pending.path, this.pending.body);
      this.answered(found);
    } catch (error) {
      this.refused(error);
    } finally {
      send.disabled = false;
    }
  }

  answered(found) {
    if (found.status === 202) {
      this.say("Unknown so far: it is being found out. Send again to ask; it is never placed twice.", "warn");
      return;
    }
    const order = found.order || found;
    const filled = Number(order.filled) ? `, ${count(order.filled)} filled` : "";
    this.say(`${this.amending ? "Amended" : "Placed"} at ${cents(order.price)}${filled}.`, "good");
    this.pending = null;
    if (this.amending) this.amend(null);
  }

  refused(error) {
    const again = error instanceof Refused && (error.status === 0 || error.status === 503);
    if (!again) this.pending = null; // other terms are another order
    const what = error.status === 0
      ? "No answer. Send again: it is never placed twice."
      : `Refused (${error.code}): ${error.message}`;
    this.say(what, "bad");
    const field = this.form.elements[error.field];
    if (field && field.focus) field.focus();
  }

  say(text, mood) {
    this.told.textContent = text;
    this.told.className = mood;
  }
}
