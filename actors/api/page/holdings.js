// What is not published as a whole: the cash, and what is held at the prices of now.

import { ask } from "./api.js";
import { $, gain, money, mood } from "./format.js";
import { positions } from "./lists.js";
import { Reading } from "./reading.js";
import { put } from "./rows.js";

const EVERY_MS = 2000;
const PAGE = 200; // positions with a price of now (docs/API.md, A position)
const PAGES = 10;

export class Holdings {
  constructor() {
    this.rows = positions($("positions"));
    new Reading([$("total").parentNode], EVERY_MS, () => this.cash());
    this.held = new Reading([$("positions").closest("section"), $("profit").parentNode], EVERY_MS, () => this.positions());
  }

  // Something was filled.
  read() {
    this.held.read();
  }

  async cash() {
    const { total, age_ms } = await ask("GET", "/v1/balance");
    put($("total"), money(total));
    return age_ms;
  }

  // All positions, as far as a few pages go. Returns the age of the oldest page.
  async positions() {
    const rows = [];
    let cursor = "";
    let oldest = 0;
    for (let page = 0; page < PAGES; page += 1) {
      const found = await ask("GET", `/v1/positions?${new URLSearchParams({ limit: PAGE, cursor })}`);
      rows.push(...found.positions);
      oldest = Math.max(oldest, found.age_ms);
      cursor = found.cursor;
      if (!cursor) break;
    }
    this.rows.show(rows.filter((one) => Number(one.position) || Number(one.realized)), "Nothing is held.");
    const open = rows.filter((one) => Number(one.position));
    const known = open.every((one) => one.unrealized !== null);
    const sum = known ? open.reduce((all, one) => all + Number(one.unrealized), 0) : null;
    put($("profit"), gain(sum));
    $("profit").className = mood(sum);
    return oldest;
  }
}
