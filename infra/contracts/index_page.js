// Copy buttons, tabs and the filter; without this script everything is shown.
for (const button of document.querySelectorAll(".copy")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = button.nextElementSibling;
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      button.classList.add("done");
    } catch {
      // A page opened as a file may not write to the clipboard: the text is selected instead.
      getSelection().selectAllChildren(code);
      button.textContent = "Press Ctrl-C";
    }
    setTimeout(() => {
      button.textContent = "Copy";
      button.classList.remove("done");
    }, 1600);
  });
}

function choose(label) {
  for (const tabs of document.querySelectorAll(".tabs")) {
    if (!tabs.querySelector(`[data-tab="${label}"]`)) continue;
    for (const panel of tabs.querySelectorAll(".panel")) panel.hidden = panel.dataset.tab !== label;
    for (const tab of tabs.querySelectorAll("[role=tab]")) {
      tab.setAttribute("aria-selected", tab.textContent === label);
      tab.tabIndex = tab.textContent === label ? 0 : -1;
    }
  }
}

for (const tabs of document.querySelectorAll(".tabs")) {
  const list = document.createElement("div");
  list.className = "tablist";
  list.setAttribute("role", "tablist");
  for (const panel of tabs.querySelectorAll(".panel")) {
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-label", panel.dataset.tab);
    const tab = document.createElement("button");
    tab.type = "button";
    tab.textContent = panel.dataset.tab;
    tab.setAttribute("role", "tab");
    tab.addEventListener("click", () => {
      const before = tab.getBoundingClientRect().top;
      choose(panel.dataset.tab); // on every event: a reader of Python needs Python everywhere
      scrollBy({ top: tab.getBoundingClientRect().top - before, behavior: "instant" });
    });
    list.append(tab);
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const all = [...list.children];
    const next = all[(all.indexOf(document.activeElement) + step + all.length) % all.length];
    next.focus();
    next.click();
  });
  tabs.prepend(list);
}
choose("Payload");

const filter = document.getElementById("filter");
const events = [...document.querySelectorAll(".event")];
const links = new Map(events.map((event) => [event, document.querySelector(`nav a[href="#${event.id}"]`)]));

filter.addEventListener("input", () => {
  const words = filter.value.toLowerCase().split(/\s+/);
  let found = 0;
  for (const event of events) {
    const matches = words.every((word) => event.dataset.words.includes(word));
    event.hidden = !matches;
    links.get(event).hidden = !matches;
    found += matches;
  }
  for (const group of document.querySelectorAll("nav .group")) {
    group.hidden = !group.querySelector("a:not([hidden])");
  }
  for (const part of document.querySelectorAll("header, .plain")) part.hidden = words.join("") !== "";
  document.getElementById("nothing").hidden = found > 0;
});
document.addEventListener("keydown", (event) => {
  if (event.key === "/" && document.activeElement !== filter) {
    event.preventDefault();
    filter.focus();
  }
});

const watcher = new IntersectionObserver(
  (seen) => {
    for (const { target, isIntersecting } of seen) {
      links.get(target).classList.toggle("here", isIntersecting);
    }
  },
  { rootMargin: "-20% 0px -79% 0px" }, // a line that one section at a time crosses
);
for (const event of events) watcher.observe(event);

// The tabs have moved the target of an address with #event.
document.getElementById(location.hash.slice(1))?.scrollIntoView({ behavior: "instant" });
