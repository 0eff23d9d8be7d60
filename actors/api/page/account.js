// Orders, fills and positions as the WebSocket tells them: a snapshot of each topic, then changes.

const KEYS = {
  order: (row) => row.client_order_id || row.order_id,
  fill: (row) => row.trade_id,
  position: (row) => row.ticker,
};

const OPEN = ["intended", "unknown", "resting"];

export class Account {
  constructor() {
    this.order = new Map();
    this.fill = new Map();
    this.position = new Map();
    this.lost = new Set(); // topics, or beginnings of topics, that are not whole
    this.seen = new Map(); // by topic: the entry that its snapshot was of
  }

  // Takes a message. Returns which of its three lists may have changed, "" for none.
  take(said) {
    const kind = (said.topic || "").split(".")[0];
    if (!(kind in KEYS)) return "";
    if (said.kind === "lost") {
      this.lost.add(said.topic);
      return kind;
    }
    if (said.kind === "snapshot") {
      this.snapshot(kind, said);
    } else if (said.body && said.body.n > (this.seen.get(said.topic) ?? -1)) {
      this[kind].set(KEYS[kind](said.body), said.body);
    }
    return kind;
  }

  snapshot(kind, said) {
    const ticker = said.topic.slice(kind.length + 1);
    for (const [key, row] of this[kind]) if (row.ticker === ticker) this[kind].delete(key);
    for (const row of said.body) this[kind].set(KEYS[kind](row), row);
    this.seen.set(said.topic, said.n);
    for (const topic of [...this.lost]) if (`${said.topic} `.startsWith(topic)) this.lost.delete(topic);
  }

  // What may still fill, the newest first.
  get open() {
    return [...this.order.values()].filter((order) => OPEN.includes(order.state))
      .sort((a, b) => b.created_at - a.created_at);
  }

  get fills() {
    return [...this.fill.values()].sort((a, b) => b.n - a.n);
  }

  // Contracts of ours that may fill, by side and price.
  ownAt(ticker) {
    const found = new Map();
    for (const order of this.open) {
      if (order.ticker !== ticker) continue;
      const key = `${order.side}:${Number(order.price).toFixed(4)}`;
      found.set(key, (found.get(key) || 0) + Number(order.remaining));
    }
    return found;
  }
}
