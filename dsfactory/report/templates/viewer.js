// One sample large, with all that is known of it; and the keyboard.

const viewer = byId("viewer");
let current = 0;

function fact(name, value) {
  return element("div", {}, element("dt", {}, name), element("dd", { class: "outside" }, value));
}

// A row per score: a sample has more scores than classes, and the column beside a picture is narrow.
function perClass(sample) {
  const scores = Object.entries(sample.perClass);
  if (!scores.length) return [];
  const places = sample.classes.map((_, place) => place);
  const there = places.filter((place) => sample.present[place]);
  const absent = places.filter((place) => !sample.present[place]).map((place) => data.classes[sample.classes[place]].name);
  const heads = there.map((place) => data.classes[sample.classes[place]]).map((item) =>
    element("th", { scope: "col", class: "n" }, element("span", { class: "dot", colour: item.colour }), item.name),
  );
  const rows = scores.map(([name, values]) =>
    element(
      "tr",
      {},
      element("th", { scope: "row", title: data.meanings[name] ?? null }, name),
      ...there.map((place) => element("td", { class: "n" }, name === "objects" ? String(values[place]) : shown(values[place]))),
    ),
  );
  const head = element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Score"), ...heads));
  const table = element("div", { class: "scroll" }, element("table", {}, head, element("tbody", {}, ...rows)));
  const left = element("p", { class: "caption" }, `Not in the mask: ${absent.join(", ")}.`);
  return [there.length ? table : null, absent.length ? left : null];
}

function fillViewer() {
  const sample = visible[current];
  byId("viewer-stage").replaceChildren(stack(sample));
  byId("viewer-title").textContent = sample.prompt;
  byId("viewer-place").textContent = `${current + 1} of ${visible.length}`;
  byId("previous").disabled = current === 0;
  byId("next").disabled = current === visible.length - 1;
  const extra = Object.entries(sample.scores).filter(([name]) => !(name in sample.perClass));
  const status = element("p", { class: `state-${sample.state}` }, element("span", { class: "badge" }, sample.state), ` ${[sample.why || data.states[sample.state], ...sample.details].join(" · ")}`);
  const facts = element(
    "dl",
    { class: "facts" },
    fact("key", sample.key),
    fact("prompt from", sample.source),
    ...(sample.wishes ? [fact("steered", sample.wishes)] : []),
    fact("seed", sample.seed),
    ...(sample.byHand ? [fact("by hand", sample.byHand)] : []),
    ...(sample.twin ? [fact("repeats", sample.twin)] : []),
    ...extra.map(([name, value]) => fact(name, shown(value))),
  );
  const explained = element("p", { class: "caption" }, element("a", { href: "#scores", onclick: closeViewer }, "What the scores mean"));
  const parts = [status, ...perClass(sample), facts, Object.keys(data.meanings).length ? explained : null];
  byId("viewer-facts").replaceChildren(...parts.filter((item) => item !== null));
  for (const choice of ["keep", "reject"]) {
    byId(choice).disabled = !allowed(sample, choice);
    byId(choice).setAttribute("aria-pressed", String(decisions.get(sample.key) === choice));
  }
}

// The sample that is open, or that the keyboard is at in the gallery.
function decideHere(choice) {
  const place = viewer.open ? current : [...byId("grid").children].findIndex((item) => item.contains(document.activeElement));
  if (place < 0) return false;
  decide(visible[place], choice);
  if (viewer.open) fillViewer();
  return true;
}

function openViewer(position) {
  current = position;
  fillViewer();
  if (!viewer.open) viewer.showModal();
}

function step(by) {
  const target = current + by;
  if (target < 0 || target >= visible.length) return;
  current = target;
  fillViewer();
}

function closeViewer() {
  viewer.close();
}

function buildViewer() {
  byId("previous").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  byId("close").addEventListener("click", closeViewer);
  for (const choice of ["keep", "reject"]) byId(choice).addEventListener("click", () => decideHere(choice));
  viewer.addEventListener("click", (event) => { if (event.target === viewer) closeViewer(); });
  viewer.addEventListener("close", () => {
    while (made <= current && more());
    byId("grid").children[current]?.firstElementChild.focus();
  });
  let start = null;
  byId("viewer-stage").addEventListener("touchstart", (event) => { start = event.changedTouches[0].clientX; }, { passive: true });
  byId("viewer-stage").addEventListener("touchend", (event) => {
    const moved = event.changedTouches[0].clientX - start;
    if (Math.abs(moved) > 48) step(moved < 0 ? 1 : -1);
  });
}

// ---- the keyboard ----

function columns() {
  const cards = [...byId("grid").children];
  const first = cards[0]?.offsetTop;
  const next = cards.findIndex((item) => item.offsetTop !== first);
  return next > 0 ? next : cards.length;
}

function moveInGrid(by) {
  const cards = byId("grid").children;
  const now = [...cards].findIndex((item) => item.contains(document.activeElement));
  if (now < 0) return false;
  const target = now + by;
  while (target >= made && more());
  cards[Math.min(Math.max(target, 0), cards.length - 1)].firstElementChild.focus();
  return true;
}

const ARROWS = { ArrowLeft: () => -1, ArrowRight: () => 1, ArrowUp: () => -columns(), ArrowDown: () => columns() };

function toggleTheme() {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.matches("input, select") && (event.target.type !== "range" || event.key in ARROWS)) {
    if (event.key === "Escape") event.target.blur();
    return;
  }
  if (event.key in ARROWS) {
    if (viewer.open) {
      if (event.key === "ArrowLeft" || event.key === "ArrowRight") step(ARROWS[event.key]());
      else return;
    } else if (!moveInGrid(ARROWS[event.key]())) return;
  } else if (event.key === "k" || event.key === "r") {
    if (!decideHere(event.key === "k" ? "keep" : "reject")) return;
  } else if (event.key === "+" || event.key === "-") setOpacity(opacity() + (event.key === "+" ? 10 : -10));
  else if (LAYERS[Number(event.key) - 1]) toggleLayer(LAYERS[Number(event.key) - 1]);
  else if (event.key === "t") toggleTheme();
  else if (event.key === "?") byId("help").showModal();
  else if (event.key === "/" && !viewer.open) {
    byId("filters").classList.add("open");
    byId("search").focus();
  } else if (event.key === "g" && !viewer.open) byId("grid").querySelector("button")?.focus();
  else if (event.key === "x" && !viewer.open) reset();
  else return;
  event.preventDefault();
}

// ---- begin ----

buildTools();
buildCollage();
buildSections();
buildViewer();
buildDecisions();
setOpacity(50);
show();
document.addEventListener("keydown", onKey);
byId("theme").addEventListener("click", toggleTheme);
byId("help-open").addEventListener("click", () => byId("help").showModal());
byId("help-close").addEventListener("click", () => byId("help").close());
for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const text = byId(button.getAttribute("data-copy"));
    getSelection().selectAllChildren(text);
    await navigator.clipboard.writeText(text.textContent);
    button.textContent = "Copied";
    setTimeout(() => { button.textContent = "Copy"; }, 1500);
  });
}
