// How the engine is: the line to it, the gate, why it is closed, and each process.

import { Rows, put, textRow } from "./rows.js";
import { $, date } from "./format.js";

const LINE = {
  connecting: ["connecting", "warn"],
  live: ["live", "good"],
  silent: ["stale: the supervisor is not heard", "bad"],
  gone: ["connection lost, trying again", "bad"],
  out: ["signed out", "bad"],
};

export function showLine(state) {
  const [text, mood] = LINE[state];
  pill($("line"), text, mood);
  document.body.classList.toggle("stale", state !== "live");
  if (state !== "live") pill($("gate"), "gate unknown", "bad"); // until it is said again
}

// Whether this is about real money: nobody may have to guess.
export function showProfile(profile) {
  pill($("profile"), profile === "live" ? "LIVE: real money" : profile, profile === "live" ? "bad" : "");
}

function pill(place, text, mood) {
  put(place, text);
  place.className = `pill ${mood}`;
  place.hidden = false;
}

export class Health {
  constructor(notices) {
    this.notices = notices;
    this.restarts = new Map();
    this.epoch = 0;
    this.rows = new Rows($("processes"), ([name]) => name, processRow);
  }

  // The supervisor's word, and which life of it says so.
  show(system, epoch) {
    const open = system.gate === "open";
    pill($("gate"), `gate ${system.gate}`, open ? "good" : "bad");
    const said = [...system.reasons, ...hints(system)];
    if (!said.length && !(open && system.healthy)) said.push("it is not said why");
    $("why").hidden = !said.length;
    $("why").classList.toggle("calm", open && system.healthy);
    put($("why"), said.join(" · "));
    this.rows.show(Object.entries(system.processes));
    this.anew(system, epoch);
  }

  // A process may be back before anybody sees it missing: that it was away is said all the same.
  anew(system, epoch) {
    const names = [];
    if (this.epoch && this.epoch !== epoch) names.push("supervisor");
    this.epoch = epoch;
    for (const [name, { restarts }] of Object.entries(system.processes)) {
      if (restarts > (this.restarts.get(name) ?? restarts)) names.push(name);
      this.restarts.set(name, restarts);
    }
    if (names.length) this.notices.news(`${names.join(", ")}: ended and was started again.`);
  }
}

// What somebody has to know or to do beside the reasons, as on the status page.
function hints({ reasons, processes }) {
  const { restore_unconfirmed: restored, armed_until: armed, hold_ms: hold } = processes.gateway?.counters || {};
  return [
    reasons.some((reason) => reason.startsWith("gateway: halted")) ? 'to go on: sidecar resume --reason "…"' : "",
    restored ? "a restore waits for you: sidecar confirm-restore" : "",
    armed ? `live is armed until ${date(armed * 1e6)}` : "",
    hold ? `creates are held for ${Math.ceil(hold / 1000)} s more, after a cancel-all` : "",
  ].filter(Boolean);
}

function processRow() {
  return textRow([[""], [""], ["", "n"], ["", "n"]], ([name, process]) => [
    name, [process.reason ? `${process.state}: ${process.reason}` : process.state, process.state === "ready" ? "good" : "bad"],
    age(process.heartbeat_age_ms), String(process.restarts),
  ]);
}

function age(ms) {
  return ms < 0 ? "–" : `${(ms / 1000).toFixed(1)} s`; // what is not on the bus has none
}
