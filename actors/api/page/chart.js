// The price of one market over the last hours, and each print as it comes.

import { ask } from "./api.js";

const HOURS = 6;
const POINTS = 2000;
const TALL = 180;

export class Chart {
  constructor(place) {
    this.place = place;
    this.plot = null;
    this.ticker = "";
    this.times = [];
    this.prices = [];
    this.changed = false;
    new ResizeObserver(() => this.plot?.setSize({ width: this.place.clientWidth, height: TALL })).observe(place);
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.make());
  }

  async aim(ticker) {
    this.ticker = ticker;
    this.times = [];
    this.prices = [];
    this.make();
    const until = Date.now() * 1000;
    const since = until - HOURS * 3600e6;
    try {
      const found = await ask("GET", `/v1/markets/${ticker}/candles?since=${since}&until=${until}&minutes=1`);
      if (this.ticker !== ticker) return;
      const before = found.candles.filter((candle) => candle.price.close !== null);
      this.times = [...before.map((candle) => candle.end_at / 1e6), ...this.times];
      this.prices = [...before.map((candle) => Number(candle.price.close) * 100), ...this.prices];
      this.changed = true;
    } catch {
      // Without a past the chart begins with the next print.
    }
  }

  traded(body) {
    this.times.push(Math.max(body.exchange_at / 1e6, this.times.at(-1) || 0));
    this.prices.push(Number(body.price) * 100);
    if (this.times.length > POINTS) {
      this.times.shift();
      this.prices.shift();
    }
    this.changed = true;
  }

  draw() {
    if (!this.changed || !this.plot) return;
    this.changed = false;
    this.plot.setData([this.times, this.prices]);
  }

  make() {
    this.plot?.destroy();
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const axis = { stroke: colour("--soft"), grid: { stroke: colour("--line") }, ticks: { stroke: colour("--line") } };
    this.plot = new window.uPlot({
      width: this.place.clientWidth || 300,
      height: TALL,
      legend: { show: false },
      cursor: { y: false },
      series: [{}, { stroke: colour("--accent"), width: 1.5, points: { show: false } }],
      axes: [axis, { ...axis, size: 44, values: (_, ticks) => ticks.map((tick) => `${tick}¢`) }],
    }, [this.times, this.prices], this.place);
  }
}
