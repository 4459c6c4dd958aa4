// Shows the newest run and the history of its indicators. Asks the API only; sets text as text, never as markup.

const POLL_MS = 1000;
const HISTORY = 60;
const TIERS = ["head", "middle", "tail"];

const view = { history: [], indicator: null, baseline: "neutral" };
const at = (id) => document.getElementById(id);

function element(name, { text, className, ...attributes } = {}, ...children) {
  const made = document.createElement(name);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function number(value, digits = 4) {
  if (value === null || value === undefined) return "unknown";
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(Math.min(2, digits - 1));
  return value.toLocaleString("en", { maximumSignificantDigits: digits });
}

const percent = (share) => `${(100 * (share ?? 0)).toLocaleString("en", { minimumFractionDigits: 1, maximumFractionDigits: 1 })} %`;
const clock = (micros) => new Date(micros / 1000).toISOString().slice(11, 19);
const signed = (value) => (value > 0 ? "+" : value < 0 ? "−" : "±") + number(Math.abs(value), 3);

function sparkline(name) {
  const values = view.history.map((run) => run.indicators[name]).map((measures) => {
    const measure = measures?.neutral ?? measures?.preceding;
    return measure?.value ?? null;
  }).filter((value) => value !== null);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 20");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  if (values.length < 2) return svg;
  const low = Math.min(...values);
  const span = Math.max(...values) - low || 1;
  const line = document.createElementNS(svg.namespaceURI, "polyline");
  const step = 100 / (values.length - 1);
  line.setAttribute("points", values.map((value, i) => `${i * step},${19 - (18 * (value - low)) / span}`).join(" "));
  svg.append(line);
  return svg;
}

function showIndicators(run) {
  const focused = document.activeElement?.dataset?.indicator;
  at("indicators").replaceChildren(...Object.entries(run.indicators).map(([name, measures]) => {
    const now = measures.neutral ?? measures.preceding;
    const moved = measures.preceding;
    const button = element(
      "button",
      { type: "button", "data-indicator": name, "aria-pressed": String(name === view.indicator) },
      element("span", { className: "name", text: name }),
      element("span", { className: "change", text: moved ? signed(moved.value - moved.baseline_value) : "" }),
      element("span", { className: "value", text: number(now.value) }),
      sparkline(name),
    );
    button.addEventListener("click", () => { view.indicator = name; show(); });
    return element("li", {}, button);
  }));
  if (focused) document.querySelector(`[data-indicator="${CSS.escape(focused)}"]`)?.focus();
}

function stack(shares) {
  const bar = element("div", { className: "stack" });
  for (const tier of TIERS) {
    const part = element("span", { className: tier });
    part.style.width = `${100 * (shares[tier] ?? 0)}%`;
    bar.append(part);
  }
  return bar;
}

function showCarriers(measure) {
  const table = at("carriers");
  table.hidden = !measure;
  at("absent").hidden = Boolean(measure);
  if (!measure) {
    at("absent").textContent = view.baseline === "preceding"
      ? "The window before is not covered yet, so there is no change to attribute."
      : `${view.indicator} has no neutral baseline: only its change is attributed.`;
    return;
  }
  table.caption.textContent = measure.ok
    ? `The ${measure.top.length} greatest parts of ${view.indicator}; together Σφ = ${number(measure.sum_phi)}`
    : "This run missed its tolerance, and its attributions were not published.";
  table.tBodies[0].replaceChildren(...measure.top.map((row) => {
    const bar = stack({ [row.tier]: row.share });
    return element("tr", {},
      element("td", { className: "agent", text: row.agent }),
      element("td", { text: row.tier }),
      element("td", { className: "bar" }, bar),
      element("td", { className: "number", text: percent(row.share) }),
      element("td", { className: "number", text: number(row.phi) }));
  }));
}

function showGap(measure) {
  const seen = measure ? [
    ["everyone", measure.tier_shares],
    ...measure.scale_gap.panels.map((panel) => [
      `${panel.size.toLocaleString("en")} ${panel.kind === "visible" ? "most visible" : "at random"}`, panel.tier_shares,
    ]),
  ] : [];
  at("gap").tBodies[0].replaceChildren(...seen.map(([who, shares]) => element("tr", {},
    element("th", { scope: "row", text: who }),
    element("td", { className: "bar" }, stack(shares)),
    ...TIERS.map((tier) => element("td", { className: "number", text: percent(shares[tier]) })))));
  at("rescalable").textContent = measure?.scale_gap.rescalable
    ? "This indicator has one moment: any panel’s attribution is exact up to one factor."
    : "This indicator has several moments: no single factor mends what a panel sees.";
}

function showCertificate(run, measure) {
  const gaps = run.coverage.current.gaps;
  const facts = [
    ["Window", `${clock(run.start)} to ${clock(run.end)} UTC`],
    ["Coverage", percent(run.coverage.current.fraction) + (gaps.length ? `, ${gaps.length} gap${gaps.length > 1 ? "s" : ""}` : "")],
    ["Active accounts", run.agents.toLocaleString("en")],
    ["Effective contributors", number(measure?.effective_contributors, 3)],
    ["Completeness, off by", number(measure?.residual, 2)],
    ["λ error", number(measure?.lambda_error, 2)],
    ["Distance to the oceanic value", measure?.finite_gap === null ? "not asked for" : number(measure?.finite_gap, 2)],
    ["Method", `${run.method}, on ${run.device}`],
    ["Engine", run.timings.engine === undefined ? "not timed" : `${number(1000 * run.timings.engine, 3)} ms`],
    ["Records written", run.attributions.toLocaleString("en")],
  ];
  at("certificate").replaceChildren(...facts.map(([name, value]) =>
    element("div", {}, element("dt", { text: name }), element("dd", { text: value }))));
  at("failures").replaceChildren(...run.failures.map((failure) =>
    element("li", { text: `${failure.indicator} against ${failure.baseline}: ${failure.reason}` })));
}

function show() {
  const run = view.history.at(-1);
  if (!run) return;
  const names = Object.keys(run.indicators);
  if (!names.includes(view.indicator)) view.indicator = names[0];
  const measure = run.indicators[view.indicator]?.[view.baseline];
  for (const button of document.querySelectorAll("[data-baseline]")) {
    button.setAttribute("aria-pressed", String(button.dataset.baseline === view.baseline));
  }
  showIndicators(run);
  at("sentence").textContent = measure?.scale_gap.sentence ?? "";
  showCarriers(measure);
  showGap(measure);
  showCertificate(run, measure);
  at("run").hidden = false;
}

function say(text, stale = false) {
  const state = at("state");
  if (state.textContent !== text) state.textContent = text;
  state.classList.toggle("stale", stale);
}

async function ask(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (answer.status === 404 || answer.status === 503) return null;
  if (!answer.ok) throw new Error(`${path} answered ${answer.status}`);
  return answer.json();
}

async function poll() {
  try {
    const first = view.history.length === 0;
    const runs = first ? (await ask(`/api/v1/runs?limit=${HISTORY}`))?.runs?.reverse() : [await ask("/api/v1/runs/latest")];
    const fresh = (runs ?? []).filter((run) => run && run.id !== view.history.at(-1)?.id);
    if (fresh.length) {
      view.history = [...view.history, ...fresh].slice(-HISTORY);
      show();
    }
    if (view.history.length) say(`Live: ${view.history.at(-1).lens}, method ${view.history.at(-1).method}.`);
  } catch {
    say("The daemon does not answer; what stands here is the last it said.", true);
  }
  setTimeout(poll, POLL_MS);
}

for (const button of document.querySelectorAll("[data-baseline]")) {
  button.addEventListener("click", () => { view.baseline = button.dataset.baseline; show(); });
}
poll();
