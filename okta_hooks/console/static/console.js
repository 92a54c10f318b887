"use strict";
// The pages work without this: it refreshes them in place, keeps relative times right, copies, and goes on with batches.

(() => {
  const SECONDS_BETWEEN = 10;
  const UNITS = [["d", 86400], ["h", 3600], ["min", 60]];
  const news = document.getElementById("news");
  const main = document.getElementById("main");

  const tell = (text) => {
    if (news.textContent !== text) news.textContent = text;
  };

  // Times

  const span = (seconds) => {
    for (const [text, unit] of UNITS) {
      if (seconds >= unit * 2 || (seconds >= unit && text === "min")) {
        return `${Math.floor(seconds / unit)} ${text}`;
      }
    }
    return `${Math.round(seconds)} s`;
  };

  const ageTimes = () => {
    for (const time of document.querySelectorAll("time[data-relative]")) {
      const away = (Date.now() - Date.parse(time.dateTime)) / 1000;
      const text = away >= 0 ? `${span(away)} ago` : `in ${span(-away)}`;
      if (time.textContent !== text) time.textContent = text;
    }
  };

  // What somebody is doing must not be taken from under them.

  const isBusy = () => {
    const field = document.activeElement;
    if (main.contains(field) && field.matches("input, select, textarea")) return true;
    for (const input of main.querySelectorAll("input, textarea")) {
      const isChanged = input.type === "checkbox" || input.type === "radio"
        ? input.checked !== input.defaultChecked
        : input.value !== input.defaultValue;
      if (isChanged) return true;
    }
    const selection = getSelection();
    return !selection.isCollapsed && main.contains(selection.anchorNode);
  };

  // Focus, by what stands in the same place of the new content.

  const pathTo = (element) => {
    const path = [];
    for (let each = element; each !== main; each = each.parentElement) {
      path.unshift(Array.prototype.indexOf.call(each.parentElement.children, each));
    }
    return path;
  };

  const replace = (content) => {
    const open = [...main.querySelectorAll("details[open][id]")].map((each) => each.id);
    const focused = main.contains(document.activeElement) && document.activeElement !== main
      ? document.activeElement
      : null;
    const path = focused && pathTo(focused);
    const scrolled = [...main.querySelectorAll(".scroll")].map((each) => each.scrollLeft);
    main.replaceChildren(...content.childNodes);
    for (const id of open) document.getElementById(id)?.setAttribute("open", "");
    main.querySelectorAll(".scroll").forEach((each, number) => {
      each.scrollLeft = scrolled[number] || 0;
    });
    if (path) {
      let place = main;
      for (const number of path) place = place?.children[number];
      if (place && place.tagName === focused.tagName) place.focus({ preventScroll: true });
    }
    enhance();
  };

  const read = async (answer) => {
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    return page.getElementById("main");
  };

  let isAsking = false;

  const refresh = async () => {
    if (document.hidden || isAsking || !main.hasAttribute("data-refresh") || isBusy()) return;
    isAsking = true;
    try {
      const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
      const content = answer.ok && !answer.redirected ? await read(answer) : null;
      if (!content) tell(`This is not fresh: the page was answered with ${answer.status}.`);
      else if (!document.hidden && !isBusy()) {
        replace(content);
        tell("");
      }
    } catch {
      tell("This is not fresh: the app does not answer.");
    } finally {
      isAsking = false;
    }
  };

  // Batches: one POST each, until nothing is left, or somebody stops it.

  const runBatches = async () => {
    let isStopped = false;
    for (;;) {
      const form = main.querySelector("form[data-next]");
      if (!form) return;
      const stop = document.createElement("button");
      stop.type = "button";
      stop.textContent = "Stop";
      stop.addEventListener("click", () => {
        isStopped = true;
        stop.disabled = true;
        stop.textContent = "Stopping";
      });
      const hadFocus = form.contains(document.activeElement);
      for (const button of form.querySelectorAll("button")) button.hidden = true;
      form.append(stop);
      if (hadFocus || document.activeElement === document.body) stop.focus();
      let content = null;
      try {
        const answer = await fetch(form.getAttribute("action"), { method: "POST", body: new FormData(form) });
        content = answer.ok ? await read(answer) : null;
      } catch {
        content = null;
      }
      if (!content) {
        for (const button of form.querySelectorAll("button")) button.hidden = false;
        stop.remove();
        tell("The last batch was not answered. Go on when the app answers again.");
        return;
      }
      replace(content);
      if (isStopped) {
        main.querySelector("[data-progress]")?.focus();
        return;
      }
    }
  };

  // What every content needs, also a new one

  const enhance = () => {
    ageTimes();
    for (const button of main.querySelectorAll("button[data-copy]")) {
      if (!navigator.clipboard) continue;
      button.hidden = false;
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
        button.textContent = "Copied";
      });
    }
  };

  enhance();
  setInterval(ageTimes, 1000 * SECONDS_BETWEEN);
  setInterval(refresh, 1000 * SECONDS_BETWEEN);
  document.addEventListener("visibilitychange", refresh);
  if (main.querySelector("form[data-next]")) runBatches();
})();
