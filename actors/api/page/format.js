// Decimal strings of the API for people, and the elements that show them. What is not known is a dash.

export const $ = (id) => document.getElementById(id);

const NOTHING = "–";
const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
const hundredths = new Intl.NumberFormat("en-US", { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const fine = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", maximumFractionDigits: 4 });
const gained = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD", signDisplay: "exceptZero" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" });

const unknown = (text) => text === null || text === undefined;

// A price in cents of a dollar: "0.5600" is 56¢, "0.5625" is 56.25¢; at least so many `digits` after
// the point, so that what stands below each other can be compared.
export function cents(price, digits = 0) {
  if (unknown(price)) return NOTHING;
  return `${Number(inCents(price)).toFixed(Math.max(digits, finest([price])))}¢`;
}

// How many digits after the point the finest of some prices needs, in cents.
export function finest(prices) {
  return Math.max(0, ...prices.map((price) => (unknown(price) ? 0 : (inCents(price).split(".")[1] || "").length)));
}

// The same as a number alone, as it is typed.
export function inCents(price) {
  return String(Number((Number(price) * 100).toFixed(2)));
}

export function count(text) {
  return unknown(text) ? NOTHING : grouped.format(Number(text));
}

// The same where the hundredths of one below it are shown.
export function exactCount(number) {
  return hundredths.format(number);
}

export function money(text) {
  if (unknown(text)) return NOTHING;
  return (Math.abs(Number(text)) < 0.005 ? fine : dollars).format(Number(text)); // a fee may be less than a cent
}

// What was won or lost, with its sign.
export function gain(text) {
  return unknown(text) ? NOTHING : gained.format(Number(text));
}

// Microseconds since 1970.
export function time(at) {
  return at ? clock.format(new Date(at / 1000)) : NOTHING;
}

export function date(at) {
  return at ? day.format(new Date(at / 1000)) : NOTHING;
}

// The time of today, the date of what is older.
export function moment(at) {
  return Date.now() * 1000 - at < 24 * 3600e6 ? time(at) : date(at);
}

// Which way an amount of money goes.
export function mood(text) {
  const value = Number(text);
  return value > 0 ? "good" : value < 0 ? "bad" : "";
}

export const sided = (side) => (side === "bid" ? "buy YES" : "sell YES");

// An element with text: what comes from outside is data, never markup.
export function made(tag, text = "", kind = "") {
  const found = document.createElement(tag);
  if (text !== "") found.textContent = text;
  if (kind) found.className = kind;
  return found;
}

export function button(text, act, kind = "") {
  const found = made("button", text, kind);
  found.type = "button";
  found.addEventListener("click", act);
  return found;
}
