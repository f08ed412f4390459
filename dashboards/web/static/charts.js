/** Charts by Chart.js on a canvas; each stands above a table of the same figures. */
import { h } from "./dom.js";
import { brief, durationStep, durationTick, minuteTime, stepLabel, write } from "./words.js";

const MOST_SERIES = 8;
const MOST_BARS = 15;
const ADDITIVE = new Set(["number"]);

const style = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const SEMANTIC = { dead: "--series-7", bounced: "--series-7", complained: "--series-4", suppressed: "--series-2", sent: "--series-3", delivered: "--series-1", held: "--series-8", retrying: "--series-6", admitted: "--series-1", opened: "--series-5", clicked: "--series-2" };

/** Give each series its colour: statuses always the same one, the others in turn. */
function colours(names) {
  const left = Array.from({ length: MOST_SERIES }, (_, at) => `--series-${at + 1}`).filter((name) => !names.some((series) => SEMANTIC[series] === name));
  const used = new Set();
  return names.map((name) => {
    let chosen = name === "other" ? "--series-rest" : SEMANTIC[name];
    if (!chosen || used.has(chosen)) chosen = left.shift() ?? "--series-rest";
    used.add(chosen);
    return style(chosen);
  });
}

/** Find the starts of all steps in the range: those without rows are 0, or a gap. */
function steps(result, at) {
  const found = [...new Set(result.rows.map((row) => row[at]))].sort((one, two) => one - two);
  if (!found.length) return found;
  const step = result.step_s * 1000;
  const first = found[0] - Math.max(0, Math.floor((found[0] - result.from_ms) / step)) * step;
  const last = Math.max(found.at(-1), result.to_ms - 1);
  const all = [];
  for (let each = first; each <= last && all.length < 400; each += step) all.push(each);
  return found.every((each) => (each - first) % step === 0) ? all : found;
}

/** Arrange rows as labels and one list of values a series. */
function arrange(result) {
  const at = (name) => result.columns.findIndex((column) => column.name === name);
  const [x, y, series] = [at(result.chart.x), at(result.chart.y), at(result.chart.series)];
  if (x < 0 || y < 0) return null;
  const kind = result.columns[y].kind;
  const timed = result.columns[x].kind === "time";
  const keys = timed ? steps(result, x) : [...new Set(result.rows.map((row) => row[x]))];
  const cells = new Map();
  const links = new Map();
  result.rows.forEach((row, index) => {
    const name = series < 0 ? result.columns[y].label : String(row[series] ?? "") || "(none)";
    if (!cells.has(name)) cells.set(name, new Map());
    cells.get(name).set(row[x], (cells.get(name).get(row[x]) ?? 0) + (row[y] ?? 0));
    links.set(`${name} ${row[x]}`, result.links?.[index]);
  });
  const missing = ADDITIVE.has(kind) ? 0 : null;
  let sets = [...cells].map(([name, values]) => ({ name, values: keys.map((key) => values.get(key) ?? missing), total: [...values.values()].reduce((one, two) => one + two, 0) }));
  sets.sort((one, two) => two.total - one.total);
  if (sets.length > MOST_SERIES) sets = gathered(sets, keys, kind);
  return { keys, sets, kind, timed, links, label: result.columns[y].label, stacked: result.chart.kind === "bars" && series >= 0 && ADDITIVE.has(kind) };
}

function gathered(sets, keys, kind) {
  const kept = sets.slice(0, MOST_SERIES - 1);
  if (!ADDITIVE.has(kind)) return kept;
  const rest = sets.slice(MOST_SERIES - 1);
  return [...kept, { name: "other", values: keys.map((_, at) => rest.reduce((sum, set) => sum + set.values[at], 0)), total: 0 }];
}

export class ChartView {
  constructor(title) {
    this.title = title;
    this.canvas = h("canvas", { role: "img" });
    this.box = h("div", { cls: "canvas" }, this.canvas);
    this.note = h("p", { cls: "more", hidden: true });
    this.element = h("figure", {}, this.box, this.note);
    this.chart = null;
  }

  show(result) {
    const arranged = arrange(result);
    if (!arranged) return;
    const across = result.chart.kind === "bars" && !arranged.timed;
    if (across) this.cut(arranged);
    this.canvas.setAttribute("aria-label", this.spoken(arranged));
    const shape = JSON.stringify([across, arranged.stacked, arranged.kind, arranged.sets.map((set) => set.name)]);
    const data = this.data(arranged, result);
    if (across) this.box.style.height = `${Math.max(110, arranged.keys.length * 30 * (arranged.stacked || arranged.sets.length === 1 ? 1 : Math.min(3, arranged.sets.length) * 0.7) + 64)}px`;
    if (this.chart && shape === this.shape) this.update(data, arranged);
    else this.draw(data, arranged, result, across, shape);
  }

  cut(arranged) {
    const left = arranged.keys.length - MOST_BARS;
    this.note.hidden = left <= 0;
    if (left <= 0) return;
    this.note.textContent = `The ${MOST_BARS} first of ${arranged.keys.length}; the table has all.`;
    arranged.keys = arranged.keys.slice(0, MOST_BARS);
    for (const set of arranged.sets) set.values = set.values.slice(0, MOST_BARS);
  }

  spoken({ keys, sets, kind, timed, label }) {
    const highest = Math.max(...sets.flatMap((set) => set.values.filter((value) => value !== null)));
    const places = timed ? `${minuteTime(keys[0])} to ${minuteTime(keys.at(-1))}` : `${keys.length} bars`;
    const names = sets.length > 1 ? `, for ${sets.map((set) => set.name).join(", ")}` : "";
    return `${this.title}: ${label}${names}; ${places}; the highest is ${write(highest, kind)}. The table below has all figures.`;
  }

  data({ keys, sets, timed }, result) {
    const palette = colours(sets.map((set) => set.name));
    const range = result.to_ms - result.from_ms;
    const lines = result.chart.kind === "lines";
    return {
      labels: timed ? keys.map((key) => stepLabel(key, result.step_s, range)) : keys.map((key) => String(key ?? "") || "(none)"),
      datasets: sets.map((set, at) => ({
        label: set.name, data: set.values, borderColor: palette[at], backgroundColor: palette[at],
        ...(lines ? { borderWidth: 2, pointRadius: alone, pointHoverRadius: 4, tension: 0, spanGaps: false } : { borderRadius: 3, maxBarThickness: 26, borderWidth: 0 }),
      })),
    };
  }

  update(data, arranged) {
    this.arranged = arranged;
    this.chart.data.labels = data.labels;
    const { scales, indexAxis } = this.chart.options;
    scales[indexAxis === "y" ? "x" : "y"].ticks.stepSize = stepOf(arranged);
    data.datasets.forEach((set, at) => Object.assign(this.chart.data.datasets[at], set));
    this.chart.update("none");
  }

  draw(data, arranged, result, across, shape) {
    this.chart?.destroy();
    this.shape = shape;
    this.arranged = arranged;
    const values = { beginAtZero: true, stacked: arranged.stacked, grid: { color: style("--grid") }, border: { display: false }, ticks: { color: style("--ink-3"), maxTicksLimit: 6, stepSize: stepOf(arranged), callback: (value) => axis(value, this.arranged) }, ...(arranged.kind === "ratio" ? { suggestedMax: 0.01 } : arranged.kind === "number" ? { suggestedMax: 4 } : {}) };
    const names = { stacked: arranged.stacked, grid: { display: false }, border: { color: style("--line") }, ticks: { color: style("--ink-3"), maxRotation: 0, autoSkip: !across, autoSkipPadding: 18, callback(value) { return cropped(this.getLabelForValue(value), across ? 28 : 40); } } };
    this.chart = new Chart(this.canvas, {
      type: result.chart.kind === "lines" ? "line" : "bar",
      data,
      options: {
        animation: false, responsive: true, maintainAspectRatio: false, indexAxis: across ? "y" : "x",
        font: { family: style("--font") },
        onClick: (event) => { const link = this.linkAt(event); if (link) location.assign(link); },
        onHover: (event) => { this.canvas.classList.toggle("leads", Boolean(this.linkAt(event))); },
        interaction: { mode: "index", intersect: false, axis: across ? "y" : "x" },
        scales: across ? { x: values, y: names } : { x: names, y: values },
        plugins: {
          legend: { display: arranged.sets.length > 1, position: "bottom", align: "start", labels: { color: style("--ink-2"), boxWidth: 10, boxHeight: 10, useBorderRadius: true, borderRadius: 2, padding: 14 } },
          tooltip: {
            backgroundColor: style("--ink"), titleColor: style("--surface"), bodyColor: style("--surface"), padding: 10, boxPadding: 4, cornerRadius: 8,
            filter: (item) => item.raw !== null && (arranged.sets.length < 5 || item.raw !== 0),
            callbacks: { title: (items) => this.heading(items), label: (item) => ` ${item.dataset.label}: ${write(item.raw, arranged.kind)}` },
          },
        },
      },
    });
  }

  heading(items) {
    if (!items.length) return "";
    return this.arranged.timed ? minuteTime(this.arranged.keys[items[0].dataIndex]) : items[0].label;
  }

  /** Where the bar or point under the pointer leads: to the rows that it counts, as the table's link does. */
  linkAt(event) {
    const [hit] = this.chart?.getElementsAtEventForMode(event, "nearest", { intersect: true }, true) ?? [];
    return hit && this.arranged.links.get(`${this.arranged.sets[hit.datasetIndex].name} ${this.arranged.keys[hit.index]}`);
  }

  /** Take the colours of the theme that is on now. */
  repaint(result) {
    this.chart?.destroy();
    this.chart = null;
    this.show(result);
  }
}

/** Draw a point where no line would show the value: between two gaps. */
function alone({ dataIndex, dataset }) {
  const gap = (at) => dataset.data[at] === null || dataset.data[at] === undefined;
  return gap(dataIndex - 1) && gap(dataIndex + 1) ? 3 : 0;
}

/** Tell the distance of the ticks of durations: Chart.js chooses round numbers, which no clock has. */
function stepOf({ kind, sets }) {
  return kind === "ms" ? durationStep(Math.max(1, ...sets.flatMap((set) => set.values).filter((value) => value !== null))) : undefined;
}

function axis(value, arranged) {
  if (arranged.kind === "ms") return durationTick(value, stepOf(arranged));
  return arranged.kind === "number" ? (Number.isInteger(value) ? brief(value) : "") : write(value, arranged.kind);
}

const cropped = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);
