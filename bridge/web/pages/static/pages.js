// What the pages do quicker with scripts; all but live updates works without: times in the reader's zone, which go on
// and may be typed, ids that are copied by a click, and a pause of the updates while somebody reads, which is said. No
// inline handlers: the policy forbids them.
"use strict";
(() => {
  const zoned = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });
  const units = [[86400, 2, "d"], [3600, 2, "h"], [60, 1, "min"]];
  const waits = "Not updated while you read: reload for the newest.";
  // By how much the bridge's clock is ahead of the reader's, which may be wrong.
  const aheadMilliseconds = Date.parse(document.documentElement.dataset.now) - Date.now();

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
      button.addEventListener("click", (event) => copy(id, button, event.detail > 0));
      id.tagName === "PRE" ? id.before(button) : id.after(button);
    }
  }

  // What is typed into a filter is in the reader's zone, unless the address says which: then it was typed elsewhere.
  function typeInZone(form) {
    const zone = form.elements.zone;
    const hasTimes = () => form.elements.since.value.trim() || form.elements.until.value.trim();
    if (!zone.value && !hasTimes()) {
      zone.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
      for (const label of form.querySelectorAll("[data-zoned]")) label.textContent = `${label.dataset.zoned} (${zone.value})`;
    }
    form.addEventListener("submit", () => { zone.disabled = !hasTimes(); });
  }

  // Browsers have no clipboard for pages over plain http: there the whole text is chosen, for the reader to copy.
  async function copy(id, button, isByPointer) {
    const text = id.dataset.copy || id.textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "copied";
    } catch {
      id.textContent = text;
      document.getSelection().selectAllChildren(id);
      button.textContent = "chosen: copy it with your keys";
    }
    if (isByPointer) button.blur(); // else the page would wait for its reader; by keyboard it is a place to go on from
  }

  // The same words as rules/showing.ago.
  function ago(seconds) {
    const size = Math.abs(seconds);
    if (size < 2) return "just now";
    const unit = units.find(([each, least]) => size >= least * each);
    const text = size < 10 ? `${size.toFixed(1)} s` : unit ? `${Math.floor(size / unit[0])} ${unit[2]}` : `${Math.floor(size)} s`;
    return seconds > 0 ? `${text} ago` : `in ${text}`;
  }

  function tick() {
    if (document.hidden || isChosen(document.body)) return;
    const now = Date.now() + aheadMilliseconds;
    for (const time of document.querySelectorAll("time")) {
      const text = ago((now - Date.parse(time.dateTime)) / 1000);
      if (time.textContent !== text) time.textContent = text;
    }
  }

  function isChosen(part) {
    const chosen = document.getSelection();
    return chosen && !chosen.isCollapsed && part.contains(chosen.anchorNode);
  }

  // What was clicked keeps the focus, too; only where the focus can be seen somebody goes by keyboard.
  function isRead(live) {
    return live.querySelector(":focus-visible, details[open]") || isChosen(live);
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
  for (const zone of document.querySelectorAll("form input[name=zone]")) typeInZone(zone.form);
  listen();
  setInterval(tick, 1000);
  document.addEventListener("visibilitychange", () => { listen(); tick(); });
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (event.target.id !== "live") return;
    if (document.hidden || isUpToDate()) return event.preventDefault();
    if (isRead(event.target)) {
      say(waits);
      return event.preventDefault();
    }
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
