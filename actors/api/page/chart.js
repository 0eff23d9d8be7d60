// What one market was bid and asked at over the last hours, and each trade as it comes.

import { ask } from "./api.js";
import { middle } from "./market_row.js";

const HOURS = 6;
const POINTS = 6000; // the oldest go
const APART_S = 5; // what is kept of quotes
const NARROW_S = 600; // so long is the axis at least
const ROOM = 2; // cents above and below
const EVERY_MS = 1000;
const hour = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });
const exact = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

export class Chart {
  constructor(place) {
    this.place = place;
    this.plot = null;
    this.market = null;
    this.clear();
    new ResizeObserver(() => this.fit()).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.make());
  }

  clear() {
    this.data = [[], [], [], []]; // seconds, bid, ask, trade: cents, or null
    this.drawnAt = 0;
  }

  // Another market: the chart begins now.
  aim(market) {
    this.market = market;
    this.clear();
    this.make();
  }

  // And goes back as far as the exchange remembers.
  async recall() {
    const { market } = this;
    const until = Date.now() * 1000;
    const query = `since=${until - HOURS * 3600e6}&until=${until}&minutes=1`;
    let candles = [];
    try {
      ({ candles } = await ask("GET", `/v1/markets/${market.ticker}/candles?${query}`));
    } catch {
      return;
    }
    if (this.market !== market) return;
    const first = this.data[0][0] ?? Infinity;
    const until_s = Math.min(first, Date.now() / 1000); // the candle of this minute ends later
    const past = candles.filter((candle) => candle.end_at / 1e6 < until_s);
    const columns = [
      past.map((candle) => candle.end_at / 1e6),
      past.map((candle) => quoted(candle.bid?.close)),
      past.map((candle) => quoted(candle.ask?.close)),
      past.map((candle) => quoted(candle.price?.close)),
    ];
    this.data = columns.map((column, i) => [...column, ...this.data[i]]);
    this.drawnAt = 0;
  }

  // From now on nobody knows what is bid, until somebody says so.
  lose() {
    if (!this.market || !this.data[0].length) return;
    [this.now(null)[0], null, null, null].forEach((value, i) => this.data[i].push(value));
  }

  traded(body) {
    this.add(quoted(body.price));
  }

  add(trade) {
    this.now(trade).forEach((value, i) => this.data[i].push(value));
    if (this.data[0].length > POINTS) this.data.forEach((column) => column.shift());
  }

  // A point of now; never before the last one, also where the clock was set back.
  now(trade) {
    const { bid, ask: offered } = this.market;
    return [Math.max(Date.now() / 1000, this.data[0].at(-1) || 0), quoted(bid), quoted(offered), trade];
  }

  // Each second, so that the axis goes on also where nothing happens.
  draw(live) {
    const now = performance.now();
    if (!this.plot || !live || now - this.drawnAt < EVERY_MS) return;
    this.drawnAt = now;
    const tip = this.now(null);
    if (!(tip[0] - this.data[0].at(-1) < APART_S)) this.add(null);
    this.plot.setData(this.data.map((column, i) => [...column, tip[i]]));
    const mid = middle(this.market);
    const words = mid === null ? "nobody bids or asks now" : `${mid.toFixed(1)} cents now`;
    this.place.setAttribute("aria-label", `Bid, ask and trades over the last hours: ${words}`);
  }

  fit() {
    this.plot?.setSize({ width: this.place.clientWidth, height: this.place.clientHeight });
  }

  make() {
    if (!this.market) return;
    this.plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const font = `12px ${getComputedStyle(document.body).fontFamily}`;
    const axis = {
      font, stroke: colour("--soft"), ticks: { show: false },
      grid: { stroke: colour("--line"), width: 1 },
    };
    const line = (name) => ({ stroke: colour(name), width: 1, points: { show: false }, paths: window.uPlot.paths.stepped({ align: 1 }) });
    this.plot = new window.uPlot({
      width: this.place.clientWidth, height: this.place.clientHeight, pxAlign: 0,
      legend: { show: false }, cursor: { show: false },
      scales: { x: { range: (_, low, high) => [Math.min(low ?? high, high - NARROW_S), high] }, y: { range: (_, low, high) => around(low, high) } },
      series: [{}, line("--good"), line("--bad"),
        { paths: () => null, points: { show: true, size: 3, fill: `color-mix(in srgb, ${colour("--ink")} 55%, transparent)`, width: 0 } }],
      bands: [{ series: [2, 1], fill: `color-mix(in srgb, ${colour("--soft")} 16%, transparent)` }],
      axes: [{ ...axis, size: 24, gap: 2, space: 60, values: (_, at) => at.map((s) => label(at, s)) },
        { ...axis, size: 42, gap: 4, values: (_, ticks) => ticks.map((tick) => `${tick}¢`) }],
    }, this.data, this.place);
  }
}

const label = (all, s) => (all.length > 1 && all[1] - all[0] < 60 ? exact : hour).format(new Date(s * 1000));

// Nobody bids at 0 or asks at 100.
function quoted(price) {
  const cents = Number(price ?? 0) * 100;
  return cents > 0 && cents < 100 ? cents : null;
}

function around(low, high) {
  if (low === null || high === null) return [0, 100];
  return [Math.max(0, Math.floor(low - ROOM)), Math.min(100, Math.ceil(high + ROOM))];
}
