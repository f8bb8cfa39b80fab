// The gallery: filter, sort, and make cards only as far as the reader has scrolled.
// Text from outside enters the page as text nodes and attribute values, never as markup.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (name) => document.getElementById(name);
const LAYERS = ["image", "attention", "mask", "void"];
const DRAWN = ["image", "attention", "mask", "edge", "void"];
const BATCH = 48;

function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "class") made.className = value;
    else if (name === "colour") made.style.setProperty("--own", value);
    else if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, "");
    else if (value !== false && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
}

const shown = (value) => (value === null || value === undefined ? "–" : value.toFixed(2));

// ---- pictures ----

function stack(sample, layered = true) {
  const made = element("span", { class: layered ? "stack layered" : "stack" });
  if (!sample.layers) {
    made.append(element("span", { class: "none outside" }, sample.why || data.states[sample.state]));
    return made;
  }
  for (const layer of DRAWN) {
    if (sample.layers[layer] && (layered || layer !== "attention")) {
      const source = "data:image/webp;base64," + sample.layers[layer];
      const label = layer === "image" ? sample.prompt : "";
      made.append(element("img", { class: layer, src: source, alt: label, decoding: "async", draggable: "false" }));
    }
  }
  return made;
}

function card(sample, position) {
  const classes = sample.labels.length ? sample.labels : sample.classes;
  const names = classes.map((index) => data.classes[index].name).join(", ");
  const value = sample.scores[state.score] ?? null;
  const refused = !["kept", "drawn", "planned"].includes(sample.state);
  const words = element(
    "span",
    { class: "words" },
    element("span", { class: "prompt outside" }, sample.prompt),
    element(
      "span",
      { class: "meta" },
      ...classes.map((index) => element("span", { class: "dot", colour: data.classes[index].colour })),
      element("span", { class: "names" }, names),
      value === null ? null : element("span", { class: "value", title: state.score }, shown(value)),
    ),
    refused
      ? element(
          "span",
          { class: `why outside state-${sample.state}` },
          element("span", { class: "badge" }, sample.state),
          ` ${[sample.why, ...sample.details].join(" · ")}`,
        )
      : null,
  );
  const label = `${sample.state}: ${sample.prompt} (${names}${value === null ? "" : `, ${state.score} ${shown(value)}`})`;
  const button = element(
    "button",
    { class: "sample", type: "button", "aria-label": label, "data-key": sample.key, onclick: () => openViewer(position) },
    stack(sample),
    words,
  );
  const item = element("li", { "data-decision": decisions.get(sample.key) ?? "" }, button);
  if (sample.image) item.append(element("div", { class: "decide" }, decider(sample, "keep", "✓"), decider(sample, "reject", "✕")));
  return item;
}

function decider(sample, choice, sign) {
  const label = choice === "keep" ? "Keep" : "Reject";
  const facts = { class: choice, type: "button", title: label, "aria-label": `${label} sample ${sample.key}`, disabled: !allowed(sample, choice) };
  return element("button", { ...facts, onclick: () => decide(sample, choice) }, sign);
}

// ---- decisions: which samples a person keeps and rejects, saved as a file ----

const decisions = new Map();
let unsaved = false;

// A sample with nothing in its mask cannot be kept.
function allowed(sample, choice) {
  return Boolean(sample.image) && (choice === "reject" || Boolean(sample.layers?.mask && sample.present.some(Boolean)));
}

// The same decision again takes it back.
function decide(sample, choice) {
  if (!allowed(sample, choice)) return;
  if (decisions.get(sample.key) === choice) decisions.delete(sample.key);
  else decisions.set(sample.key, choice);
  unsaved = true;
  showDecisions();
}

function showDecisions() {
  for (const item of byId("grid").children) {
    item.setAttribute("data-decision", decisions.get(item.firstElementChild.getAttribute("data-key")) ?? "");
  }
  const count = (choice) => [...decisions.values()].filter((value) => value === choice).length;
  byId("decisions").hidden = decisions.size === 0;
  byId("decisions-count").textContent = `Decided: ${count("keep")} to keep, ${count("reject")} to reject${unsaved ? ", not saved yet" : ""}`;
}

function decisionsFile() {
  const images = new Map(data.samples.map((sample) => [sample.key, sample.image]));
  const entries = [...decisions].sort().map(([key, decision]) => [key, { decision, image_sha256: images.get(key) }]);
  return JSON.stringify({ dsfactory: "decisions", samples: Object.fromEntries(entries) }, null, 1) + "\n";
}

function saveDecisions() {
  const address = URL.createObjectURL(new Blob([decisionsFile()], { type: "application/json" }));
  const link = element("a", { href: address, download: "decisions.json" });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
  unsaved = false;
  showDecisions();
}

function buildDecisions() {
  byId("save").addEventListener("click", saveDecisions);
  window.addEventListener("beforeunload", (event) => { if (unsaved && decisions.size) event.preventDefault(); });
}

// ---- how much of an image shows through its mask ----

function setOpacity(percent) {
  const value = Math.min(Math.max(percent, 0), 100);
  document.documentElement.style.setProperty("--mask", String(value / 100));
  for (const input of document.querySelectorAll("[data-opacity]")) input.value = String(value);
}

const opacity = () => Number(document.querySelector("[data-opacity]").value);

// ---- what is shown ----

const state = { classes: new Set(), states: new Set(), reason: null, score: data.scores[0]?.name ?? null, sort: "worst" };
let visible = [];
let made = 0;

function range() {
  const score = data.scores.find((item) => item.name === state.score);
  if (!score) return [null, null];
  const at = (input) => score.low + ((score.high - score.low) * Number(input.value)) / 100;
  return [at(byId("from")), at(byId("to"))];
}

function fits(sample) {
  if (state.classes.size && !sample.labels.some((index) => state.classes.has(index))) return false;
  if (state.states.size && !state.states.has(sample.state)) return false;
  if (state.reason !== null && sample.why !== state.reason) return false;
  const [low, high] = range();
  const limited = byId("from").value !== "0" || byId("to").value !== "100";
  if (limited) {
    const value = sample.scores[state.score] ?? null;
    if (value === null || value < low - 1e-9 || value > high + 1e-9) return false;
  }
  const words = byId("search").value.trim().toLowerCase().split(/\s+/).filter(Boolean);
  const text = `${sample.prompt} ${sample.why} ${sample.key} ${sample.source}`.toLowerCase();
  return words.every((word) => text.includes(word));
}

// Trust follows from all other scores; runs of before have none.
const judging = data.scores.some((item) => item.name === "trust") ? "trust" : "agreement";

const ORDERS = {
  // What has no score has no mask: nothing is worse.
  worst: (a, b) => (a.scores[judging] ?? -1) - (b.scores[judging] ?? -1) || a.number - b.number,
  best: (a, b) => (b.scores[judging] ?? -1) - (a.scores[judging] ?? -1) || a.number - b.number,
  number: (a, b) => a.number - b.number,
};

function order(name) {
  if (name in ORDERS) return ORDERS[name];
  const [direction, score] = [name.slice(0, 1) === "-" ? -1 : 1, name.slice(1)];
  const value = (sample) => sample.scores[score] ?? null;
  return (a, b) => {
    if (value(a) === null || value(b) === null) return (value(a) === null) - (value(b) === null) || a.number - b.number;
    return direction * (value(a) - value(b)) || a.number - b.number;
  };
}

function show() {
  visible = data.samples.filter(fits).sort(order(state.sort));
  made = 0;
  byId("grid").replaceChildren();
  more();
  watch();
  const all = data.samples.length;
  byId("count").textContent = visible.length === all ? `${all} samples` : `${visible.length} of ${all} samples`;
  byId("empty").hidden = visible.length > 0;
  const untouched = !state.classes.size && !state.states.size && state.reason === null && !byId("search").value;
  byId("reset").hidden = untouched && byId("from").value === "0" && byId("to").value === "100";
  const [low, high] = range();
  byId("from-value").textContent = shown(low);
  byId("to-value").textContent = shown(high);
}

function more() {
  const batch = visible.slice(made, made + BATCH).map((sample, index) => card(sample, made + index));
  made += batch.length;
  byId("grid").append(...batch);
  return batch.length > 0;
}

// The end of the list is watched anew after each batch: an observer speaks only of changes.
const watcher = new IntersectionObserver(
  (entries) => { if (entries.some((entry) => entry.isIntersecting) && more()) watch(); },
  { rootMargin: "900px" },
);

function watch() {
  watcher.unobserve(byId("more"));
  watcher.observe(byId("more"));
}

function reset() {
  state.classes.clear();
  state.states.clear();
  state.reason = null;
  byId("search").value = "";
  byId("from").value = "0";
  byId("to").value = "100";
  for (const chip of document.querySelectorAll(".chip")) chip.setAttribute("aria-pressed", "false");
  show();
}

// ---- the tools ----

function chip(label, count, colour, set, value) {
  return element(
    "button",
    {
      class: "chip",
      type: "button",
      "aria-pressed": "false",
      colour,
      "data-value": String(value),
      onclick: (event) => {
        if (!set.delete(value)) set.add(value);
        event.currentTarget.setAttribute("aria-pressed", String(set.has(value)));
        show();
      },
    },
    element("i"),
    element("span", { class: "outside" }, label),
    element("small", {}, String(count)),
  );
}

function setLayer(layer, on) {
  document.body.setAttribute(`data-${layer}`, on ? "on" : "off");
  for (const button of document.querySelectorAll(`[data-layer="${layer}"]`)) button.setAttribute("aria-pressed", String(on));
}

const toggleLayer = (layer) => setLayer(layer, document.body.getAttribute(`data-${layer}`) === "off");

function buildTools() {
  const count = (test) => data.samples.filter(test).length;
  byId("classes").append(
    ...data.classes.map((item, index) =>
      chip(item.name, count((sample) => sample.labels.includes(index)), item.colour, state.classes, index),
    ),
  );
  const states = Object.keys(data.states).filter((name) => count((sample) => sample.state === name));
  byId("states").append(
    ...states.map((name) => chip(name, count((sample) => sample.state === name), `var(--state-${name})`, state.states, name)),
  );
  const option = (value, label) => element("option", { value }, label);
  byId("score").append(...data.scores.map((item) => option(item.name, item.name)));
  byId("sort").append(
    ...(data.scores.length ? [option("worst", "Worst first"), option("best", "Best first")] : []),
    option("number", "In order"),
    ...data.scores.flatMap((item) => [option(`+${item.name}`, `${item.name}, low first`), option(`-${item.name}`, `${item.name}, high first`)]),
  );
  if (!data.scores.length) {
    state.sort = "number";
    document.querySelector(".range").hidden = true;
  }
  byId("sort").value = state.sort;
  byId("sort").addEventListener("change", (event) => { state.sort = event.target.value; show(); });
  byId("score").addEventListener("change", (event) => {
    state.score = event.target.value;
    byId("from").value = "0";
    byId("to").value = "100";
    show();
  });
  for (const [own, other, wrong] of [["from", "to", (a, b) => a > b], ["to", "from", (a, b) => a < b]]) {
    byId(own).addEventListener("input", () => {
      if (wrong(Number(byId(own).value), Number(byId(other).value))) byId(other).value = byId(own).value;
      show();
    });
  }
  byId("search").addEventListener("input", show);
  byId("reset").addEventListener("click", reset);
  byId("reset-empty").addEventListener("click", reset);
  byId("filters-toggle").addEventListener("click", (event) => {
    const open = byId("filters").classList.toggle("open");
    event.currentTarget.setAttribute("aria-expanded", String(open));
  });
  for (const button of document.querySelectorAll("[data-layer]")) {
    button.addEventListener("click", () => toggleLayer(button.getAttribute("data-layer")));
  }
  for (const input of document.querySelectorAll("[data-opacity]")) {
    input.addEventListener("input", () => setOpacity(Number(input.value)));
  }
  for (const button of document.querySelectorAll(".show-reason")) {
    button.addEventListener("click", () => {
      reset();
      const wanted = button.getAttribute("data-state");
      state.states.add(wanted);
      state.reason = button.getAttribute("data-reason");
      document.querySelector(`#states [data-value="${wanted}"]`)?.setAttribute("aria-pressed", "true");
      show();
      byId("gallery").scrollIntoView();
    });
  }
}

function buildCollage() {
  const best = data.samples.filter((sample) => sample.state === "kept" && sample.layers).sort(ORDERS.best);
  const chosen = [];
  while (best.length && chosen.length < 13) {
    // The classes take turns.
    const turn = chosen.length % data.classes.length;
    const found = best.findIndex((sample) => (sample.labels[0] ?? sample.classes[0]) === turn);
    chosen.push(best.splice(Math.max(found, 0), 1)[0]);
  }
  // One picture is as large as four: only so many fill the rows.
  const fitting = [13, 9, 5, 1, 0].find((number) => number <= chosen.length);
  byId("collage").append(...chosen.slice(0, fitting).map((sample) => stack(sample, false)));
}

function buildSections() {
  const figure = (item) => element("li", { class: "sample still" }, stack(item), element("span", { class: "words" }, item.kind));
  for (const list of document.querySelectorAll("[data-section]")) {
    list.append(...data.sections[list.getAttribute("data-section")].map(figure));
  }
}
