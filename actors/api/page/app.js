// Signing in, and what is always there: the gate, the connection, the money, halt and panic.

import { ask, paste, trade } from "./api.js";
import { Desk } from "./desk.js";
import { $ } from "./format.js";
import { Health, isHalted, showLine } from "./health.js";
import { Live } from "./live.js";

const TOLD_MS = 8000;
const AGAIN_MS = 600;
const OUT = "out"; // behind the #: a token has ended

let telling = 0;
let desk = null;
let health = null;

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
  for (const id of ["desk", "stops"]) $(id).hidden = false;
  health = new Health(tell);
  const live = new Live(turned, heard);
  desk = new Desk(live, tell);
  live.follow("system");
  showLine(live.state);
  $("main").focus();
}

function turned(state) {
  showLine(state);
  if (state === "gone") desk.gone();
  if (state === "out") out();
}

function heard(said) {
  if (said.topic === "system" && said.body) system(said);
  else desk.take(said);
}

// Everything goes with the tab's memory: a desk that stays would act twice beside the next one.
function out() {
  history.replaceState(null, "", `#${OUT}`);
  location.reload();
}

function system({ body, epoch }) {
  const halted = isHalted(body);
  $("halt").textContent = halted ? "Halted" : "Halt";
  $("halt").disabled = halted;
  health.show(body, epoch);
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

// The address of another code may be opened in a tab that has the page already.
addEventListener("hashchange", () => location.reload());

const code = location.hash.slice(1);
history.replaceState(null, "", location.pathname); // a code is of no use to anybody any more
if (code === OUT) {
  $("sign-in-text").textContent = "Your token does not count any more. Run sidecar page again.";
} else if (code) {
  signIn(trade, code, 2);
}
