// The page works without this. With it, nothing is loaded anew as a whole, and deliveries show as they happen.
"use strict";

const SECONDS = 2;
let waiting = 0;
let last = Promise.resolve();

async function read(url, options) {
  const answer = await fetch(url, options);
  return new DOMParser().parseFromString(await answer.text(), "text/html");
}

// Puts what has changed in place, and the focus back where it was, or on what was around it.
function put(parts, page) {
  const focused = document.activeElement;
  const around = [];
  for (let each = focused; each; each = each.parentElement) {
    if (each.id) around.push(each.id);
  }
  for (const part of parts) {
    const fresh = page.getElementById(part.id);
    if (fresh && fresh.innerHTML !== part.innerHTML) part.replaceChildren(...fresh.childNodes);
  }
  if (document.activeElement === focused) return;
  for (const id of around) {
    const found = document.getElementById(id);
    if (found && !found.disabled) {
      found.focus();
      if (document.activeElement === found) return;
    }
  }
}

function tell(text) {
  document.getElementById("notice").textContent = text;
}

async function send(url, body) {
  try {
    put([document.querySelector("main")], await read(url, { method: "POST", body }));
  } catch {
    tell("The simulator does not answer.");
  } finally {
    waiting -= 1;
  }
}

// One after the other, in the order of the clicks.
function act(event) {
  event.preventDefault();
  const form = event.target;
  const body = new URLSearchParams(new FormData(form, event.submitter));
  waiting += 1;
  last = last.then(() => send(form.action, body));
}

async function refresh() {
  if (!waiting && !document.hidden) {
    try {
      const page = await read(location.href);
      if (!waiting) put(document.querySelectorAll("[data-live]"), page);
    } catch {
      tell("The simulator does not answer.");
    }
  }
  setTimeout(refresh, SECONDS * 1000);
}

document.addEventListener("submit", act);
setTimeout(refresh, SECONDS * 1000);
