// Rows of a table or a list that live as long as what they show: what has the focus keeps it, and a
// click that began on a row ends on it, however often the rest moves.

import { made } from "./format.js";

export class Rows {
  // `begin(item)` makes a row: {element, show(item)}; `key(item)` tells items apart.
  constructor(body, key, begin) {
    this.body = body;
    this.key = key;
    this.begin = begin;
    this.rows = new Map(); // by key, in the order shown
    this.empty = null;
  }

  // `none` is said in a row of its own where there is nothing: that nobody knows, or that it is so.
  show(items, none = "") {
    const wanted = new Map(items.map((item) => [this.key(item), item]));
    for (const [key, row] of this.rows) {
      if (wanted.has(key)) continue;
      if (row.element.contains(document.activeElement)) this.body.closest("[tabindex]")?.focus();
      row.element.remove();
      this.rows.delete(key);
    }
    let before = null; // from the last to the first: each stands before the one after it
    for (const [key, item] of [...wanted].reverse()) {
      let row = this.rows.get(key);
      if (!row) {
        row = this.begin(item);
        this.rows.set(key, row);
      }
      if (row.element.nextSibling !== before || !row.element.parentNode) this.body.insertBefore(row.element, before);
      row.show(item);
      before = row.element;
    }
    const said = wanted.size ? "" : none;
    if ((this.empty?.textContent ?? "") === said) return;
    this.empty?.remove();
    this.empty = said ? blank(said) : null;
    if (this.empty) this.body.append(this.empty);
  }
}

function blank(text) {
  const cell = made("td", text, "soft");
  cell.colSpan = 9;
  const row = made("tr");
  row.append(cell);
  return row;
}

// A row of texts: of each column its name and the class of its cells; `texts(item)` is what stands
// in them, where a text may be a pair with a class for now, such as [text, "bad"]. `more` are cells
// after them. Where the screen is too narrow for a table, each figure is shown with its name.
export function textRow(columns, texts, more = []) {
  const element = made("tr");
  const kinds = columns.map(([, kind = ""]) => kind);
  const cells = columns.map(([name, kind]) => {
    const cell = made("td", "", kind);
    if (name) cell.dataset.name = name;
    return cell;
  });
  element.append(...cells, ...more);
  return {
    element,
    show(item) {
      texts(item).forEach((said, i) => {
        const [text, mood] = Array.isArray(said) ? said : [said, ""];
        put(cells[i], text);
        const kind = `${kinds[i]} ${mood}`.trim();
        if (cells[i].className !== kind) cells[i].className = kind;
      });
    },
  };
}

// Say something, if it is not said already: what is not touched is not laid out again.
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
