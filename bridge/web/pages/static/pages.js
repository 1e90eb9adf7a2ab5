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

  // While the bridge says by itself what comes, the page asks when there is news, and every half minute to be sure. A
  // page that nobody sees listens to nothing; one that the bridge does not let listen asks every few seconds.
  const restMilliseconds = 30000;
  let stream = null, hasNews = true, askedAt = 0;

  function listen() {
    const live = document.getElementById("live");
    if (stream) stream.close();
    stream = live && live.hasAttribute("data-stream") && !document.hidden ? new EventSource("/api/v1/stream") : null;
    if (!stream) return;
    const hear = () => { hasNews = true; htmx.trigger("#live", "news"); };
    stream.addEventListener("delivery", hear);
    stream.addEventListener("skipped", hear);
    stream.addEventListener("open", () => { hasNews = true; });
  }

  function isUpToDate() {
    return stream && stream.readyState === EventSource.OPEN && !hasNews && Date.now() - askedAt < restMilliseconds;
  }

  dress(document);
  listen();
  document.addEventListener("visibilitychange", listen);
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id !== "live") return;
    if (isRead(event.target) || isUpToDate()) return event.preventDefault();
    hasNews = false;
    askedAt = Date.now();
  });
  document.addEventListener("htmx:afterSwap", () => { dress(document); say(""); });
  document.addEventListener("htmx:sendError", () => say("No answer from the bridge: what you see may be old."));
  document.addEventListener("htmx:responseError", (event) => {
    const status = event.detail.xhr.status;
    say(status === 401 ? "Your session has ended: reload the page to sign in." : `The bridge answered ${status}: what you see may be old.`);
  });
})();
