// Sends radiographs to the server that this page is from, and shows what it answers.
// All that is kept is in `page`, and gone with the tab.

import { view } from "./viewer.js";

const ADDRESS = "v1/radiographs"; // relative: the server may lie below a path of a proxy
const ATTEMPTS = 5; // where the server is busy
const WAIT = 2; // seconds between them, unless the server says how many
const COVERAGE = 0.9; // of the sets, where the server offers it
const SIMILAR = 6; // training images, where they are asked for

const page = { facts: null, token: "", coverage: null, similar: false, files: [], shown: null, working: false };
const by = (id) => document.getElementById(id);

// What is said where the server sends no sentence of its own, as a proxy before it does.
const SENTENCES = {
  401: "The token is not accepted: enter another one.",
  413: "The file is larger than the server takes.",
  422: "The file cannot be read as a radiograph.",
  429: "The server is busy: try again in a moment.",
  503: "The server is not ready: try again in a moment.",
};
const LATER = [0, 408, 429, 500, 502, 503, 504]; // after which the same file may be answered

// What the gate's checks say, by name: value and limit are as the gate has them.
const CHECKS = {
  "too small": (value, limit) => `Its shorter side has ${number(value)} pixels; ${number(limit)} are needed.`,
  "nearly constant": (value, limit) => `It is nearly of one grey: its values deviate by ${number(value)}, where ${number(limit)} is needed.`,
  "mostly border": (value, limit) => `${percent(value)} of it is empty border; at most ${percent(limit)} may be.`,
  inverted: (value) => `Black and white seem to be swapped: swapped back, its distance from the training images is ${number(value)} of what it is now.`,
  rotated: (value) => `It seems to be turned or mirrored: turned back, its distance from the training images is ${number(value)} of what it is now.`,
  unlike: (value, limit) => `It does not look like the training images: its distance from them is ${number(value)}, where ${number(limit)} is allowed.`,
  far: (value, limit) => `The network finds nothing like it among the training images: its distance from the nearest is ${number(value)}, where ${number(limit)} is allowed.`,
};

class Problem extends Error {
  constructor(sentence, status, wait) {
    super(sentence);
    this.status = status;
    this.wait = wait;
  }
}

// ---- What is said to the server ----

async function request(path, options = {}) {
  const headers = page.token ? { Authorization: `Bearer ${page.token}` } : {};
  let response;
  try {
    response = await fetch(path, { ...options, headers });
  } catch {
    throw new Problem("The server cannot be reached: see that it runs, and try again.", 0);
  }
  const body = await response.json().catch(() => ({}));
  if (response.ok) return body;
  const own = response.status === 401 ? "" : body.error; // which tells programs of a header
  const sentence = own || SENTENCES[response.status] || `The server answers ${response.status}.`;
  throw new Problem(sentence, response.status, Number(response.headers.get("Retry-After")));
}

async function begin() {
  by("trouble").hidden = true;
  try {
    page.facts = await request(ADDRESS);
  } catch (problem) {
    if (problem.status === 401) askForToken(page.token && problem.message);
    else showTrouble(problem.message, begin);
    return;
  }
  const { model, limits, token, coverages } = page.facts;
  page.coverage ??= coverages.includes(COVERAGE) ? COVERAGE : coverages[0];
  by("model").textContent = model;
  document.title = `Radiographs, as ${model} sees them`;
  by("most").textContent = `, up to ${mebibytes(limits.bytes)}`;
  if (token && !page.token) askForToken();
  else by("drop").hidden = false;
}

function askForToken(sentence) {
  if (sentence) showTrouble(sentence);
  by("access").hidden = false;
  by("drop").hidden = true;
  by("token").focus();
}

function useToken(event) {
  event.preventDefault();
  page.token = by("token").value.trim();
  by("token").value = "";
  by("access").hidden = true;
  begin().then(work);
}

// Asks for one file after the other, so that a long list leaves the server to others, too.
async function work() {
  if (page.working) return;
  page.working = true;
  for (let entry; by("access").hidden && (entry = page.files.find((file) => file.state === "waiting")); ) {
    await ask(entry);
    if (entry === page.shown || !page.shown) show(entry);
    showFiles();
  }
  page.working = false;
}

// What an answer is to have beside the prediction.
function wanted() {
  const query = new URLSearchParams({ image: 1 });
  if (page.facts.heat) query.set("heat", 1);
  if (page.coverage) query.set("coverage", page.coverage);
  if (page.similar) query.set("similar", SIMILAR);
  return String(query);
}

async function ask(entry) {
  const { limits } = page.facts;
  if (entry.file.size > limits.bytes) {
    const size = mebibytes(entry.file.size);
    fail(entry, `it has ${size}, and the server takes ${mebibytes(limits.bytes)}.`);
    return;
  }
  const form = new FormData();
  form.append("file", entry.file);
  for (let attempt = 1; ; attempt++) {
    const query = wanted();
    try {
      const [row] = (await request(`${ADDRESS}?${query}`, { method: "POST", body: form })).radiographs;
      // Meanwhile something else may have been asked for.
      const state = query === wanted() ? "answered" : "waiting";
      if (row.refused) fail(entry, row.refused.reason);
      else Object.assign(entry, { state, row, note: decisionOf(row), problem: null });
      return;
    } catch (problem) {
      if (problem.status === 401) return askForToken(problem.message);
      if (problem.status !== 429 || attempt === ATTEMPTS) {
        return fail(entry, problem.message, LATER.includes(problem.status));
      }
      const seconds = problem.wait || WAIT;
      entry.note = `busy, again in ${seconds} s`;
      showFiles();
      await new Promise((done) => setTimeout(done, 1000 * seconds));
    }
  }
}

function fail(entry, sentence, again = false) {
  Object.assign(entry, { state: "failed", note: "no answer", problem: sentence, again, row: null });
}

function retry(entry) {
  Object.assign(entry, { state: "waiting", note: "waiting" });
  showFiles();
  work();
}

// ---- Files ----

function take(files) {
  if (!page.facts || !files.length) return;
  const added = [...files].map((file) => ({ file, state: "waiting", note: "waiting" }));
  page.files.push(...added);
  by("drop").classList.add("small");
  show(added[0]);
  showFiles();
  work();
}

function showFiles() {
  const rows = page.files.map((entry) => {
    const button = make("button", "", make("span", "", entry.file.name), make("span", `muted ${entry.state}`, entry.note));
    button.type = "button";
    if (entry === page.shown) button.setAttribute("aria-current", "true");
    const item = make("li", "", button);
    item.entry = entry;
    return item;
  });
  const list = by("files").querySelector("ol");
  const focused = [...list.children].indexOf(document.activeElement?.closest("#files li"));
  list.replaceChildren(...rows);
  if (focused >= 0) rows[focused].querySelector("button").focus();
  by("files").hidden = page.files.length < 2;
}

// ---- The answer ----

function show(entry) {
  page.shown = entry;
  const { row, state, problem } = entry;
  const used = by("answer").contains(document.activeElement) ? document.activeElement.id : "";
  by("reading").hidden = false;
  by("name").textContent = entry.file.name;
  by("viewer").hidden = !row;
  if (row) {
    by("answer").replaceChildren(...(row.flagged ? [gate(row), decision(row)] : [decision(row), gate(row)]), ...conformal(row), ...similar(row));
    if (used) by(used)?.focus();
    view(row);
  } else if (state === "failed") {
    const again = make("button", "", "Try again");
    again.addEventListener("click", () => retry(entry));
    by("answer").replaceChildren(make("p", "problem", make("bdi", "", entry.file.name), `: ${problem}`, ...(entry.again ? [again] : [])));
  } else {
    by("answer").replaceChildren(make("p", "card muted", "The network looks at it …"));
  }
  by("said").textContent = spoken(entry);
}

// For who does not see the page: what is announced when an answer comes.
function spoken({ file, row, state, problem }) {
  if (state === "failed") return `${file.name}: ${problem}`;
  if (!row) return `${file.name} is sent.`;
  const labels = row.labels.map(({ label, probability, threshold }) => {
    return `${label} has probability ${percent(probability)}` + (threshold == null ? "" : `, threshold ${percent(threshold)}`);
  });
  const doubt = row.flagged ? " It is unlike the training images: the answer means little." : "";
  const alike = page.similar && row.similar ? ` Similar training images: ${row.similar.map(labelsOf).join("; ")}.` : "";
  return `${file.name}: ${decisionOf(row)}. ${labels.join("; ")}.${doubt}${alike}`;
}

// Several labels come with a bar between them.
const decisionOf = (row) => row.decision.split("|").join(", ") || "nothing above its threshold";

function decision(row) {
  const card = make("div", "card decision", make("p", "muted", "The network says"), make("strong", "", decisionOf(row)));
  for (const { label, probability, calibrated, threshold } of row.labels) {
    const scale = make("span", "scale", make("i"));
    scale.setAttribute("aria-hidden", "true");
    scale.firstChild.style.width = `${100 * probability}%`;
    if (threshold != null) scale.append(make("u")), (scale.lastChild.style.left = `${100 * threshold}%`);
    card.append(
      make(
        "div",
        "label",
        make("p", "", make("b", "", label), make("span", "", `probability ${percent(probability)}`)),
        scale,
        make(
          "p",
          "muted",
          make("span", "", threshold == null ? "" : `threshold ${percent(threshold)}`),
          make("span", "", calibrated == null ? "not calibrated" : `calibrated ${percent(calibrated)}`),
        ),
      ),
    );
  }
  return card;
}

function gate({ flagged }) {
  if (!page.facts.gate) {
    return make("div", "card verdict unknown", make("h3", "", "Not checked"), make("p", "", "This model has no gate: nobody has looked whether this is an image such as it was trained on."));
  }
  if (!flagged) {
    return make("div", "card verdict fine", make("h3", "", "Like the training images"), make("p", "", "Its size, contrast and border, which way up it is, its looks, and what the network makes of it are within the limits."));
  }
  const { check, value, limit } = flagged;
  const sentence = CHECKS[check]?.(value, limit) || `${check}: ${number(value)}, and the limit is ${number(limit)}.`;
  return make("div", "card verdict flagged", make("h3", "", "Do not trust this answer"), make("p", "", sentence));
}

function conformal({ set }) {
  if (!set) return [];
  const offered = page.facts.coverages;
  const chosen = make("select", "", ...offered.map((share) => new Option(percent(share, 0), share)));
  chosen.id = "coverage";
  chosen.value = page.coverage;
  chosen.addEventListener("change", () => {
    page.coverage = Number(chosen.value);
    askAgain();
  });
  const members = make("ul", "set", ...set.map((name) => make("li", "", name)));
  return [
    make(
      "div",
      "card",
      make("h3", "", "How sure"),
      make("label", "", "The truth is in this set for ", chosen, " of such images:"),
      set.length ? members : make("p", "set muted", "none: nothing is likely enough"),
    ),
  ];
}

// The training images that the network finds most alike, where the export has some.
function similar(row) {
  if (!page.facts.similar) return [];
  const asked = make("input");
  Object.assign(asked, { type: "checkbox", id: "similar", checked: page.similar });
  asked.addEventListener("change", () => {
    page.similar = asked.checked;
    show(page.shown);
    if (page.similar) askAgain((known) => !known.similar);
  });
  const card = make("div", "card", make("h3", "", "Similar training images"), make("label", "check", asked, "Show those that the network finds most alike"));
  if (page.similar && !row.similar) card.append(make("p", "muted", "The network looks for them …"));
  if (page.similar && row.similar) card.append(make("ul", "similar", ...row.similar.map(trainingImage)), make("p", "muted", "Alike to the network need not be alike to a radiologist. A distance of 0 is the same image, 2 the least alike."));
  return [card];
}

const labelsOf = ({ labels, unknown }) => labels.join(", ") || (unknown.length ? "not known" : "none of the labels");

function trainingImage(found) {
  const { labels, unknown, distance, picture } = found;
  const image = make("img");
  Object.assign(image, { src: `data:image/jpeg;base64,${picture}`, alt: "A training image" });
  const doubt = labels.length && unknown.length ? [make("span", "muted", `not known: ${unknown.join(", ")}`)] : [];
  return make("li", "", image, make("b", "", labelsOf(found)), ...doubt, make("span", "muted", `distance ${distance.toFixed(3)}`));
}

// Asks the server once more for those files whose answer lacks something.
function askAgain(lacks = () => true) {
  for (const entry of page.files) if (entry.row && lacks(entry.row)) entry.state = "waiting";
  work();
}

// ---- Small things ----

function make(tag, name = "", ...children) {
  const made = document.createElement(tag);
  made.className = name;
  made.append(...children);
  return made;
}

function showTrouble(sentence, again) {
  by("trouble").replaceChildren(sentence);
  by("trouble").hidden = false;
  if (!again) return;
  const button = make("button", "", "Try again");
  button.addEventListener("click", again);
  by("trouble").append(button);
}

function percent(share, digits = 1) {
  if (digits && share > 0.999 && share < 1) return "> 99.9 %";
  if (digits && share > 0 && share < 0.001) return "< 0.1 %";
  return `${(100 * share).toFixed(digits)} %`;
}

const number = (value) => String(Number(value.toPrecision(3)));
const mebibytes = (bytes) => `${Number((bytes / 2 ** 20).toFixed(1))} MiB`;

by("access").addEventListener("submit", useToken);
by("file").addEventListener("change", (event) => {
  take(event.target.files);
  event.target.value = ""; // so that the same file may be chosen again
});
document.addEventListener("paste", (event) => take(event.clipboardData.files));
for (const kind of ["dragover", "dragleave", "drop"]) {
  document.addEventListener(kind, (event) => {
    event.preventDefault(); // else the browser opens the file itself
    by("drop").classList.toggle("over", kind === "dragover");
    if (kind === "drop") take(event.dataTransfer.files);
  });
}
by("files").addEventListener("click", (event) => {
  const item = event.target.closest("li");
  if (!item) return;
  show(item.entry);
  showFiles();
});
begin();
