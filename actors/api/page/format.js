// Decimal strings of the API for people, and the elements that show them. What is not known is a dash.

export const $ = (id) => document.getElementById(id);

const NOTHING = "–";
const grouped = new Intl.NumberFormat("en-US", { maximumFractionDigits: 2 });
const dollars = new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

// A price in cents of a dollar: "0.5600" is 56¢, "0.5625" is 56.25¢.
export function cents(price) {
  if (price === null || price === undefined) return NOTHING;
  return `${inCents(price)}¢`;
}

// The same as a number alone, as it is typed.
export function inCents(price) {
  return String(Number((Number(price) * 100).toFixed(2)));
}

export function count(text) {
  return text === null || text === undefined ? NOTHING : grouped.format(Number(text));
}

export function money(text) {
  return text === null || text === undefined ? NOTHING : dollars.format(Number(text));
}

// Microseconds since 1970.
export function time(at) {
  return at ? clock.format(new Date(at / 1000)) : NOTHING;
}

// Which way an amount of money goes.
export function mood(text) {
  const value = Number(text);
  return value > 0 ? "good" : value < 0 ? "bad" : "";
}

// An element with text: what comes from outside is data, never markup.
export function made(tag, text = "", kind = "") {
  const found = document.createElement(tag);
  if (text !== "") found.textContent = text;
  if (kind) found.className = kind;
  return found;
}
