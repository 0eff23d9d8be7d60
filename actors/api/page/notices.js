// What happened, where everybody looks: news go by themselves, trouble stays until it is put away.

import { button, made } from "./format.js";

const NEWS_MS = 8000;
const NOTICES = 6; // the oldest go

export class Notices {
  constructor(place) {
    this.place = place;
  }

  news(text) {
    const notice = this.add(text, "warn");
    setTimeout(() => notice.remove(), NEWS_MS);
  }

  trouble(text) {
    this.add(text, "bad");
  }

  add(text, kind) {
    const notice = made("p", "", `notice ${kind}`);
    const away = button("×", () => notice.remove());
    away.setAttribute("aria-label", "Put away");
    notice.append(made("span", text), away);
    this.place.append(notice);
    while (this.place.children.length > NOTICES) this.place.firstChild.remove();
    return notice;
  }
}
