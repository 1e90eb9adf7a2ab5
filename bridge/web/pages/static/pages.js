// What the pages do quicker with scripts; all but live updates works without: times in the reader's zone, ids that are
// copied by a click, and a pause of the updates while somebody reads. No inline handlers: the policy forbids them.
"use strict";
(() => {
  const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

  function dress(root) {
    for (const time of root.querySelectorAll("time:not([data-utc])")) {
      time.dataset.utc = time.title;
      time.title = `${zoned.format(new Date(time.dateTime))} = ${time.title}`;
    }
    for (const id of root.querySelectorAll("[data-copy]:not([data-dressed])")) {
      id.dataset.dressed = "";
      const button = document.createElement("button");
      button.type = "button";
      button.className = "copy";
      button.textContent = "copy";
      button.setAttribute("aria-label", `copy ${id.dataset.copy || "this text"}`);
      button.addEventListener("click", async () => {
        await navigator.clipboard.writeText(id.dataset.copy || id.textContent);
        button.textContent = "copied";
      });
      id.tagName === "PRE" ? id.before(button) : id.after(button);
    }
  }

  function isRead(live) {
    const chosen = document.getSelection();
    return document.hidden || live.contains(document.activeElement) || live.querySelector("details[open]") ||
      (chosen && !chosen.isCollapsed && live.contains(chosen.anchorNode));
  }

  function say(text) {
    const place = document.getElementById("said");
    if (place && place.textContent !== text) place.textContent = text;
  }

  dress(document);
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id === "live" && isRead(event.target)) event.preventDefault();
  });
  document.addEventListener("htmx:afterSwap", () => { dress(document); say(""); });
  document.addEventListener("htmx:sendError", () => say("No answer from the bridge: what you see may be old."));
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    say(status === 401 ? "Your session has ended: reload the page to sign in." : `The bridge answered ${status}: what you see may be old.`);
  });
})();
