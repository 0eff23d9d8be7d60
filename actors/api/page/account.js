// Orders and fills as the WebSocket tells them: a snapshot of each topic, then changes.

const KEYS = {
  order: (row) => row.client_order_id || row.order_id,
  fill: (row) => row.trade_id,
};

const OPEN = ["intended", "unknown", "resting"];
const FILLS = 200; // of which the last are shown

export class Account {
  constructor() {
    this.clear();
  }

  // A new line to the engine begins with snapshots of everything.
  clear() {
    this.order = new Map(); // those that may still fill
    this.fill = new Map();
    this.lost = new Set(); // topics that are not whole
    this.seen = new Map(); // by topic: the entry that its snapshot was of
    this.known = false; // whether what is not there does not exist
  }

  // Takes a message. Returns which of its two lists may have changed, "" for none.
  take(said) {
    if (said.kind === "snapshot" && said.topic.startsWith("balance.")) this.known = true; // there always is one
    const kind = (said.topic || "").split(".")[0];
    if (!(kind in KEYS)) return "";
    if (said.kind === "lost") this.lost.add(said.topic);
    else if (said.kind === "snapshot") this.snapshot(kind, said);
    else if (said.body?.n > (this.seen.get(said.topic) ?? -1)) this.put(kind, said.body);
    return kind;
  }

  snapshot(kind, said) {
    const ticker = said.topic.slice(kind.length + 1);
    for (const [key, row] of this[kind]) if (row.ticker === ticker) this[kind].delete(key);
    for (const row of said.body) this.put(kind, row);
    this.seen.set(said.topic, said.n);
    this.lost.delete(said.topic);
  }

  // The orders of ours in a message, whatever state they are in.
  static rows(said) {
    if (!said.topic?.startsWith("order.") || said.kind === "lost") return [];
    return said.kind === "snapshot" ? said.body : [said.body];
  }

  put(kind, row) {
    const key = KEYS[kind](row);
    if (kind === "order" && !OPEN.includes(row.state)) {
      this.order.delete(key);
      return;
    }
    this[kind].set(key, row);
    if (this.fill.size > FILLS) this.fill.delete(this.oldest());
  }

  // What may still fill, the newest first.
  get open() {
    return [...this.order.values()].sort((a, b) => b.created_at - a.created_at);
  }

  // The last fills, the newest first.
  get fills() {
    return [...this.fill.values()].sort((a, b) => b.n - a.n);
  }

  oldest() {
    return KEYS.fill(this.fills.at(-1));
  }

  // Contracts of ours that may fill, by side and price.
  ownAt(ticker) {
    const found = new Map();
    for (const order of this.order.values()) {
      if (order.ticker !== ticker) continue;
      const key = `${order.side}:${Number(order.price).toFixed(4)}`;
      found.set(key, (found.get(key) || 0) + Number(order.remaining));
    }
    return found;
  }
}
