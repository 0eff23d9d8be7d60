// How the engine is: the line to it, the gate, why it is closed, and each process.

import { Rows, put, textRow } from "./rows.js";
import { $ } from "./format.js";

const LINE = {
  connecting: ["connecting", "warn"],
  live: ["live", "good"],
  silent: ["stale: the supervisor is not heard", "bad"],
  gone: ["connection lost, trying again", "bad"],
  out: ["signed out", "bad"],
};

export function showLine(state) {
  const [text, mood] = LINE[state];
  const pill = $("line");
  pill.hidden = false;
  pill.textContent = text;
  pill.className = `pill ${mood}`;
  document.body.classList.toggle("stale", state !== "live");
  if (state !== "live") showGate("unknown", "bad"); // until it is said again
}

function showGate(word, mood) {
  put($("gate"), `gate ${word}`);
  $("gate").className = `pill ${mood}`;
}

export class Health {
  // `tell` is told what began anew.
  constructor(tell) {
    this.tell = tell;
    this.restarts = new Map();
    this.epoch = 0;
    this.rows = new Rows($("processes"), ([name]) => name, processRow);
  }

  // The supervisor's word, and which life of it says so.
  show(system, epoch) {
    const open = system.gate === "open";
    showGate(system.gate, open ? "good" : "bad");
    $("why").hidden = open && system.healthy;
    put($("why"), this.why(system));
    this.rows.show(Object.entries(system.processes));
    this.anew(system, epoch);
  }

  why(system) {
    const halted = isHalted(system);
    const reasons = system.reasons.length ? system.reasons.join(" · ") : "it is not said why";
    return halted ? `${reasons} · to go on: sidecar resume --reason "…"` : reasons;
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
    if (names.length) this.tell(`${names.join(", ")}: ended and was started again.`);
  }
}

export function isHalted(system) {
  return system.reasons.some((reason) => reason.startsWith("gateway: halted"));
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
