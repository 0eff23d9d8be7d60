// Signing in, and what is always there: the gate, the line, halt and panic.

import { ask, paste, trade } from "./api.js";
import { Desk } from "./desk.js";
import { $ } from "./format.js";
import { Health, showLine, showProfile } from "./health.js";
import { Live } from "./live.js";
import { Notices } from "./notices.js";

const AGAIN_MS = 600;
const TRIES = 3;
const CODE_MIN = 20; // characters behind the #: shorter ones are places on the page
const OUT = "out"; // behind the #: a token has ended

const notices = new Notices($("told"));
let signing = false;
let desk = null; // one for good: two would place an order twice

async function signIn(how, given, tries) {
  if (signing || desk) return;
  signing = true;
  $("sign-in-text").textContent = "Signing in …";
  const error = await tried(how, given, tries);
  signing = false;
  if (!error) begin();
  else if (error.status !== 401) $("sign-in-text").textContent = `That did not work: ${error.message}`;
  else $("sign-in-text").textContent = "That does not count any more, or never did. Run sidecar page and open the address that it prints.";
}

// A code that was made just now is known in a moment, and a front that starts answers then.
async function tried(how, given, tries) {
  try {
    await how(given);
    return null;
  } catch (error) {
    if (tries <= 1 || ![0, 401, 503].includes(error.status)) return error;
  }
  await new Promise((done) => { setTimeout(done, AGAIN_MS); });
  return tried(how, given, tries - 1);
}

function begin() {
  $("token").value = "";
  $("sign-in").hidden = true;
  for (const id of ["desk", "stops"]) $(id).hidden = false;
  const health = new Health(notices);
  const live = new Live(turned, (said) => {
    if (said.topic === "system" && said.body) health.show(said.body, said.epoch);
    else desk.take(said);
  });
  desk = new Desk(live, notices);
  live.follow("system");
  showLine(live.state);
  whichProfile();
  $("main").focus();
}

async function whichProfile() {
  try {
    showProfile((await ask("GET", "/v1/status")).profile);
  } catch {
    setTimeout(whichProfile, 1000);
  }
}

function turned(state) {
  showLine(state);
  desk.turned(state);
  if (state === "out") out();
}

// Everything goes with the tab's memory: a desk that stays would act beside the next one.
function out() {
  history.replaceState(null, "", `#${OUT}`);
  location.reload();
}

async function stop(what, reason) {
  try {
    const found = await ask("POST", `/v1/${what}`, { reason });
    if (what === "halt") notices.news("Halted: no new order leaves until somebody resumes.");
    else notices.news(`Panic: ${found.state}, ${found.resting} orders rest. ${found.reason}`);
    if (found.saved === false) notices.trouble(`${what}: not on disk, so a restart forgets it. ${found.reason}`);
  } catch (error) {
    const hint = error.open ? ` It may be done. From a terminal: sidecar ${what}.` : "";
    notices.trouble(`${what} (${error.code}): ${error.message}${hint}`);
  }
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

$("halt").addEventListener("click", () => stop("halt", "halted on the page"));
$("panic").addEventListener("click", async () => {
  const text = "Trading halts, every order is canceled, and it is looked until nothing rests.";
  if (await sure("Panic?", text, "Halt and cancel everything")) stop("panic", "panic on the page");
});
$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn(paste, $("token").value.trim(), 1);
});
$("skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });

// The address of another code may be opened in a tab that has the page already.
addEventListener("hashchange", () => { if (location.hash.length > CODE_MIN) location.reload(); });

const code = location.hash.slice(1);
history.replaceState(null, "", location.pathname); // a code is of no use to anybody any more
if (code === OUT) {
  $("sign-in-text").textContent = "Your token does not count any more. Run sidecar page again.";
} else if (code.length >= CODE_MIN) {
  signIn(trade, code, TRIES);
}
