"use strict";

// Labels come from users' pods. They reach the page as text nodes only, never as markup.

const REFRESH_MS = 30_000;
const SHOWN_RUNS = 20;

let chosen = null;

const find = (id) => document.getElementById(id);

async function ask(path) {
  const response = await fetch(path, { headers: { accept: "application/json" } });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

function joules(value) {
  for (const [size, unit] of [[3.6e6, "kWh"], [1e3, "kJ"]]) {
    if (value >= size) return `${(value / size).toPrecision(4)} ${unit}`;
  }
  return `${value.toFixed(value < 10 ? 3 : 1)} J`;
}

function grams(value) {
  if (value === null) return "no grid set";
  if (value >= 1000) return `${(value / 1000).toPrecision(4)} kg`;
  return value >= 1 ? `${value.toFixed(1)} g` : `${(value * 1000).toPrecision(3)} mg`;
}

// A number has its exact figure with it.
function cell(content, isNumber, value) {
  const element = document.createElement("td");
  if (isNumber) element.className = "number";
  if (value != null) element.dataset.value = value;
  if (content instanceof Node) element.append(content);
  else element.textContent = content;
  return element;
}

function fill(table, rows) {
  find(table).tBodies[0].replaceChildren(...rows);
}

function row(cells, current) {
  const element = document.createElement("tr");
  if (current) element.setAttribute("aria-current", "true");
  element.append(...cells);
  return element;
}

function reportPath(run) {
  const query = new URLSearchParams({ workflow: run.workflow, cluster: run.cluster });
  return `api/v1/runs/${encodeURIComponent(run.run)}/report?${query}`;
}

const sameRun = (a, b) =>
  a !== null && a.run === b.run && a.workflow === b.workflow && a.cluster === b.cluster;

function runRow(run, report) {
  const choose = document.createElement("button");
  choose.type = "button";
  choose.textContent = run.run;
  choose.addEventListener("click", () => {
    chosen = run;
    refresh();
  });
  const energy = report ? report.energy_joules : run.active_joules;
  return row(
    [
      cell(choose),
      cell(run.workflow),
      cell(new Date(run.start).toLocaleString()),
      cell(joules(energy), true, energy),
      cell(report ? grams(report.carbon_grams) : "–", true, report?.carbon_grams),
    ],
    sameRun(chosen, run),
  );
}

function showReport(report) {
  find("report").hidden = false;
  find("report-title").textContent = `Stages of ${report.run}`;
  find("report-file").href = `${reportPath(report)}&format=html`;
  find("report-facts").textContent =
    `${joules(report.energy_joules)}, of which idle ${joules(report.idle_joules)}; ` +
    `${grams(report.carbon_grams)} at PUE ${report.pue}; ` +
    `coverage ${(report.coverage_ratio * 100).toFixed(1)} %`;
  fill("stages", report.stages.map((stage) => {
    const bases = new Set(stage.components.map((component) => component.basis));
    return row([
      cell(stage.stage || "(no stage)"),
      cell(joules(stage.energy_joules), true, stage.energy_joules),
      cell(grams(stage.carbon_grams), true, stage.carbon_grams),
      cell([...bases].sort().join(", ")),
    ]);
  }));
  find("report-notes").replaceChildren(...report.notes.map((note) => {
    const item = document.createElement("li");
    item.textContent = note;
    return item;
  }));
}

function nodeRows(node) {
  return node.zones.map((zone) => {
    const nested = zone.parent !== "";
    const part = (microjoules) => cell(nested ? "–" : joules(microjoules / 1e6), true);
    return row([
      cell(`${node.cluster}/${node.node}`),
      cell(nested ? `${zone.zone} (in ${zone.parent})` : zone.zone),
      cell(zone.basis),
      cell(joules(zone.measured_microjoules / 1e6), true),
      part(zone.workload_microjoules),
      part(zone.system_microjoules),
      part(zone.idle_microjoules),
    ]);
  });
}

function count(list, noun) {
  return `${list.length} ${noun}${list.length === 1 ? "" : "s"}`;
}

async function refresh() {
  try {
    const [runs, nodes] = await Promise.all([ask("api/v1/runs"), ask("api/v1/nodes")]);
    const shown = runs.slice(0, SHOWN_RUNS);
    const reports = await Promise.all(
      shown.map((run) => ask(reportPath(run)).catch(() => null)),
    );
    fill("runs", shown.map((run, index) => runRow(run, reports[index])));
    fill("nodes", nodes.flatMap(nodeRows));
    const report = chosen && reports[shown.findIndex((run) => sameRun(chosen, run))];
    if (report) showReport(report);
    const more = runs.length > shown.length ? `, the latest ${shown.length} shown` : "";
    find("status").textContent =
      `${count(runs, "run")}${more}, ${count(nodes, "node")}, as of ${new Date().toLocaleTimeString()}`;
  } catch (error) {
    find("status").textContent = `The server does not answer: ${error.message}`;
  }
}

refresh();
setInterval(refresh, REFRESH_MS);
