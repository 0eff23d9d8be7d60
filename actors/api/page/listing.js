// What the exchange lists of its markets, asked through the engine: each question costs of the
// account's read budget.

import { ask } from "./api.js";

const PAGE = 200;
const TICKERS = 100; // in one question
const QUESTIONS = 10; // for one list
const PAGES = 5; // for one search
const HISTORY_H = 24;

// The markets that the engine follows, a page for each wish; where all are, the first of the open ones.
export async function followed() {
  const { wishes } = await ask("GET", "/v1/follow");
  const asked = questions(wishes);
  const found = new Map();
  let whole = asked.length <= QUESTIONS;
  for (const query of asked.slice(0, QUESTIONS)) {
    const { markets, cursor } = await ask("GET", `/v1/markets?${query}&limit=${PAGE}`);
    for (const market of markets) found.set(market.ticker, market);
    whole &&= !cursor;
  }
  return { markets: [...found.values()], whole };
}

function questions(wishes) {
  const tickers = wishes.filter((wish) => !wish.includes(":") && wish !== "*");
  const found = [];
  for (let i = 0; i < tickers.length; i += TICKERS) found.push(`tickers=${tickers.slice(i, i + TICKERS).join(",")}`);
  for (const wish of wishes) {
    const [kind, name] = wish.split(":");
    if (kind === "event" || kind === "series") found.push(`${kind}=${name}&status=open`);
  }
  if (wishes.some((wish) => wish.includes("*"))) found.push("status=open");
  return found;
}

// Open markets with a text in ticker or title; the market itself, if the text is a ticker.
export async function search(text) {
  const ticker = text.toUpperCase();
  if (/^[A-Z0-9.-]+$/.test(ticker)) {
    const { markets } = await ask("GET", `/v1/markets?tickers=${ticker}`);
    if (markets.length) return { markets, whole: true };
  }
  const found = [];
  let cursor = "";
  for (let page = 0; page < PAGES; page += 1) {
    const query = new URLSearchParams({ status: "open", text, limit: PAGE, cursor });
    const answer = await ask("GET", `/v1/markets?${query}`);
    found.push(...answer.markets);
    cursor = answer.cursor;
    if (!cursor) break;
  }
  return { markets: found, whole: !cursor };
}

// Where the middle of each market went in the last day, hour by hour: [[time, cents], ...] by ticker.
// Who can't be asked about has no past.
export async function history(tickers) {
  const end = Math.floor(Date.now() / 1000);
  const found = new Map();
  for (let i = 0; i < tickers.length; i += TICKERS) {
    const query = new URLSearchParams({
      market_tickers: tickers.slice(i, i + TICKERS).join(","), start_ts: end - HISTORY_H * 3600, end_ts: end, period_interval: 60,
    });
    const { markets } = await ask("GET", `/v1/exchange/markets/candlesticks?${query}`).catch(() => ({ markets: [] }));
    for (const { market_ticker: ticker, candlesticks } of markets) {
      const points = candlesticks.map((candle) => [candle.end_period_ts * 1000, middle(candle)]);
      found.set(ticker, points.filter(([, value]) => value !== null));
    }
  }
  return found;
}

const closing = (range) => Number(range?.close_dollars ?? range?.close ?? 0) * 100;

// Nobody bids at 0 or asks at 100: then the last trade of the hour has to do.
function middle(candle) {
  const [bid, offered, last] = [candle.yes_bid, candle.yes_ask, candle.price].map(closing);
  return bid > 0 && offered > 0 && offered < 100 ? (bid + offered) / 2 : last || null;
}
