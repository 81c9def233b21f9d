/* The console's own script: the live badge, holding updates, keys, and ages that pass.
   Each page works without it. */
"use strict";
(() => {
  const badge = document.getElementById("badge");
  const live = document.getElementById("live");
  const every = Number(document.body.dataset.poll || 0); // seconds: the platform has no stream
  const POLL = every ? every * 1000 : 5000;
  let state = "off", since = Date.now(), last = 0, held = false, pending = 0, poll = 0;

  /* --- the badge ------------------------------------------------------------------------- */
  const clock = (at) => new Date(at).toISOString().slice(11, 19);
  const TEXTS = {
    off: () => "connecting",
    live: () => (last ? `live, changed ${clock(last)}` : "live"),
    held: () => (held ? `held${pending ? `, ${pending} new` : ""}` : `${pending} new, at the top`),
    poll: () => (live && live.hasAttribute("hx-get") ? `every ${POLL / 1000} s` : "as of its loading"),
    ended: () => "signed out: reload to sign in",
    lost: () => `not connected since ${clock(since)}, retrying`,
  };
  function show(next) {
    if (next && next !== state) { state = next; since = Date.now(); }
    if (!badge) return;
    const shown = held || pending ? "held" : state;
    badge.dataset.state = shown;
    const text = TEXTS[shown]();
    if (badge.textContent !== text) badge.textContent = text;
    document.body.classList.toggle("stale", state === "lost" || state === "ended");
  }
  function hold(on) {
    held = on;
    if (!on && pending) { pending = 0; refresh(); }
    show();
  }
  function refresh() { document.body.dispatchEvent(new CustomEvent("changed", { bubbles: true })); }
  function polling(on) {
    clearInterval(poll);
    poll = on ? setInterval(() => { if (!document.hidden) refresh(); }, POLL) : 0;
  }
  if (badge) {
    badge.title = "Press . to hold";
    document.addEventListener("htmx:sse:after:connection", () => { polling(false); show("live"); });
    document.addEventListener("htmx:sse:error", () => show("lost"));
    document.addEventListener("htmx:sse:close", () => { if (state !== "poll") { polling(true); show("poll"); } });
    document.addEventListener("htmx:after:request", (event) => {
      const ctx = event.detail && event.detail.ctx;
      if (!ctx || !ctx.response) return;
      const own = ctx.target && ctx.target.id === "live";
      if (!own && ctx.response.status === 503 && !poll) { polling(true); show("poll"); }
      if (own && ctx.response.status === 401) { polling(false); show("ended"); return; }
      if (own && every) show(ctx.response.status === 200 ? "poll" : "lost");
      if (own && ctx.response.status === 200) { last = Date.now(); show(); }
    });
    document.addEventListener("htmx:error", () => { if (state === "poll") show("lost"); });
  }
  const reading = () =>
    document.querySelector("[data-hold]") && (window.scrollY > 240 || (getSelection() + "").length > 0);
  document.addEventListener("changed", (event) => {
    if (held || reading()) { event.stopPropagation(); pending += 1; show(); }
  }, true);
  window.addEventListener("scroll", () => { if (!held && pending && !reading()) { pending = 0; show(); refresh(); } }, { passive: true });

  /* --- ages -------------------------------------------------------------------------------- */
  const offset = Date.now() - Date.parse(document.documentElement.dataset.now || new Date().toISOString());
  const UNITS = [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  function span(seconds) {
    for (const [size, unit] of UNITS) if (seconds >= size * 2 || size === 1) return `${Math.floor(seconds / size)} ${unit}`;
    return "";
  }
  setInterval(() => {
    if (document.hidden) return;
    for (const each of document.querySelectorAll("time[data-age]")) {
      const seconds = (Date.now() - offset - Date.parse(each.dateTime)) / 1000;
      const text = Math.abs(seconds) < 1 ? "now" : seconds < 0 ? `in ${span(-seconds)}` : `${span(seconds)} ago`;
      if (each.textContent !== text) each.textContent = text;
    }
  }, 1000);

  /* --- keys -------------------------------------------------------------------------------- */
  const dialog = document.getElementById("keys");
  const choice = document.getElementById("keys-on");
  let keysOn = true;
  try { keysOn = localStorage.getItem("orderflow-keys") !== "off"; } catch { /* no storage */ }
  if (choice) {
    choice.checked = keysOn;
    choice.addEventListener("change", () => {
      keysOn = choice.checked;
      try { localStorage.setItem("orderflow-keys", keysOn ? "on" : "off"); } catch { /* no storage */ }
    });
  }
  const rows = () => [...document.querySelectorAll("[data-row] a[data-open]")];
  function step(by) {
    const all = rows(); if (!all.length) return;
    const at = all.indexOf(document.activeElement);
    all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))].focus();
  }
  function state_step(by) {
    const all = [...document.querySelectorAll("a[data-state]")].filter((each) => !each.querySelector(".unreached")); if (!all.length) return;
    const at = all.findIndex((each) => each === document.activeElement || each.getAttribute("aria-current") === "true");
    location.assign(all[Math.max(0, Math.min(all.length - 1, at < 0 ? 0 : at + by))].getAttribute("href"));
  }
  let leader = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typing = event.target.closest("input:not([type=checkbox]), textarea, select, [contenteditable]");
    if (event.key === "Escape") { if (typing) typing.blur(); return; }
    if (typing || dialog?.open || !(keysOn || event.key === "?")) return;
    if (Date.now() - leader < 1500) {
      leader = 0;
      const to = document.querySelector(`.rail a[data-key="${CSS.escape(event.key)}"]`);
      if (to) { event.preventDefault(); to.click(); }
      return;
    }
    const acts = {
      "/": () => document.getElementById("q")?.focus(),
      "g": () => { leader = Date.now(); },
      "j": () => step(1), "k": () => step(-1),
      "[": () => state_step(-1), "]": () => state_step(1),
      ".": () => hold(!held),
      "?": () => dialog?.showModal(),
    };
    if (acts[event.key]) { event.preventDefault(); acts[event.key](); }
  });
  badge?.addEventListener("click", () => hold(!held));

  /* --- a graph that is wider than its card shows the chosen state, or the first one ------------ */
  for (const canvas of document.querySelectorAll(".canvas")) {
    const state = canvas.querySelector(".selected") || canvas.querySelector(".state:not(.unreached)");
    if (!state) continue;
    const box = state.getBoundingClientRect(), frame = canvas.getBoundingClientRect();
    canvas.scrollLeft += box.left + box.width / 2 - frame.left - frame.width / 2;
    if (canvas.querySelector(".selected")) canvas.scrollTop += box.top + box.height / 2 - frame.top - frame.height / 2;
  }

  /* --- a query that runs: its part is read again, and the page when it has ended ------------------ */
  async function again(part) {
    if (!document.hidden) try {
      const page = new DOMParser().parseFromString(await (await fetch(location.href)).text(), "text/html");
      const next = page.querySelector("[data-again]");
      if (!next) { location.reload(); return; }
      part.querySelector("h2, p").replaceWith(next.querySelector("h2, p"));
    } catch { /* the server does not answer: try it again */ }
    setTimeout(again, part.dataset.again * 1000, part);
  }
  const running = document.querySelector("[data-again]");
  if (running) setTimeout(again, running.dataset.again * 1000, running);

  /* --- a second press of a button sends nothing twice ---------------------------------------- */
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => { for (const form of document.forms) delete form.dataset.sent; });
  if (badge && every) { polling(true); show("poll"); }
  show();
})();
