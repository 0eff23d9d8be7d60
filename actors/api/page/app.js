// Signing in, and what is always there: the gate, the connection, the money, halt and panic.

import { ask, paste, trade } from "./api.js";
import { Desk } from "./desk.js";
import { $, money } from "./format.js";
import { showLine, showSystem } from "./health.js";
import { Live } from "./live.js";

const TOLD_MS = 8000;
const MONEY_MS = 2000;
const AGAIN_MS = 600;

let halted = false;
let telling = 0;
let counting = 0;
let desk = null;

function tell(text) {
  $("told").textContent = text;
  $("told").hidden = false;
  clearTimeout(telling);
  telling = setTimeout(() => { $("told").hidden = true; }, TOLD_MS);
}

function sure(title, text, yes) {
  $("ask-title").textContent = title;
  $("ask-text").textContent = text;
  $("ask-yes").textContent = yes;
  const dialog = $("ask");
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((done) => {
    dialog.addEventListener("close", () => done(dialog.returnValue === "yes"), { once: true });
  });
}

async function signIn(how, given, again = 0) {
  try {
    await how(given);
  } catch (error) {
    if (error.status === 401 && again > 0) { // a code that was made just now is known in a moment
      setTimeout(() => signIn(how, given, again - 1), AGAIN_MS);
      return;
    }
    $("sign-in-text").textContent = error.status === 401
      ? "That does not count any more. Run sidecar page and open the address that it prints."
      : `That did not work: ${error.message}`;
    return;
  }
  $("token").value = "";
  begin();
}

function begin() {
  $("sign-in").hidden = true;
  for (const id of ["desk", "health", "stops"]) $(id).hidden = false;
  const live = new Live();
  desk = new Desk(live, tell);
  live.addEventListener("state", ({ detail }) => {
    showLine(detail);
    if (detail === "gone") desk.gone();
    if (detail === "out") out();
  });
  live.addEventListener("said", ({ detail: said }) => {
    const body = said.topic === "system" ? said.body : null;
    if (body) system(body);
    else desk.take(said);
  });
  live.follow("system");
  showLine(live.state);
  count();
  counting = setInterval(count, MONEY_MS);
  $("main").focus();
}

function out() {
  clearInterval(counting);
  desk.close();
  $("desk").hidden = true;
  $("sign-in").hidden = false;
  $("stops").hidden = true;
  $("sign-in-text").textContent = "Your token does not count any more. Run sidecar page again.";
}

function system(body) {
  halted = body.reasons.some((reason) => reason.includes("halted"));
  $("halt").textContent = halted ? "Halted" : "Halt";
  $("halt").disabled = halted;
  showSystem(body);
}

async function count() {
  try {
    const { total } = await ask("GET", "/v1/balance");
    $("total").textContent = money(total);
    $("total").hidden = false;
  } catch {
    $("total").hidden = true; // the line says what is wrong
  }
}

async function stop(what, reason) {
  try {
    await ask("POST", `/v1/${what}`, { reason });
  } catch (error) {
    tell(`${what}: ${error.message}`);
  }
}

$("halt").addEventListener("click", () => stop("halt", "halted on the page"));
$("panic").addEventListener("click", async () => {
  const text = "Trading halts, every order is canceled, and it is looked until nothing rests.";
  if (await sure("Panic?", text, "Halt and cancel everything")) stop("panic", "panic on the page");
});
$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(paste, $("token").value.trim());
});

const code = location.hash.slice(1);
if (code.length > 20) {
  history.replaceState(null, "", location.pathname); // it is of no use to anybody any more
  signIn(trade, code, 2);
}
