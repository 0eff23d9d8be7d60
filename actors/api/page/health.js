// How the engine is: the gate, why it is closed, and each process.

import { $ } from "./format.js";
import { line } from "./lists.js";

export function showLine(state) {
  const words = {
    connecting: ["connecting", "warn"],
    live: ["live", "good"],
    silent: ["stale: nothing is heard", "bad"],
    gone: ["connection lost, trying again", "bad"],
    out: ["signed out", "bad"],
  };
  const [text, mood] = words[state];
  const pill = $("line");
  pill.hidden = false;
  pill.textContent = text;
  pill.className = `pill ${mood}`;
  document.body.classList.toggle("stale", state !== "live");
}

export function showSystem(system) {
  const open = system.gate === "open";
  $("gate").textContent = open ? "gate open" : "gate closed";
  $("gate").className = `pill ${open ? "good" : "bad"}`;
  $("why").hidden = open && system.healthy;
  $("why").textContent = system.reasons.join(" · ");
  const rows = Object.entries(system.processes).map(([name, process]) => row(name, process));
  $("processes").replaceChildren(...rows);
}

function row(name, process) {
  const well = process.state === "ready";
  return line([
    [name], [process.state, well ? "good" : "bad"], [process.reason || "", "soft"],
    [age(process.heartbeat_age_ms), "n"], [String(process.restarts), "n"],
  ]);
}

function age(ms) {
  return ms < 0 ? "–" : `${(ms / 1000).toFixed(1)} s`; // what is not on the bus has none
}
