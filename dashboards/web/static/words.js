/** Writes numbers, times and ids for people: in the viewer's language and time zone. */

const numbers = new Intl.NumberFormat();
const decimals = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
const percents = new Intl.NumberFormat(undefined, { style: "percent", maximumFractionDigits: 1 });
const briefs = new Intl.NumberFormat(undefined, { notation: "compact", maximumFractionDigits: 1 });
const exact = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const minutes = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", hourCycle: "h23" });
const seconds = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });

export const number = (value) => (Number.isInteger(value) ? numbers.format(value) : decimals.format(value));
export const brief = (value) => (Math.abs(value) < 10_000 ? number(value) : briefs.format(value));
export const percent = (value) => percents.format(value);
export const fullTime = (ms) => exact.format(ms);
export const minuteTime = (ms) => minutes.format(ms);
export const clockTime = (ms) => seconds.format(ms);
export const utc = (ms) => `${new Date(ms).toISOString().replace("T", " ").replace("Z", "")} UTC`;

/** Write a duration with its unit: `240 ms`, `1.5 s`, `3 min`, `2.5 h`. */
export function duration(ms) {
  if (ms < 1000) return `${number(ms)} ms`;
  if (ms < 120_000) return `${decimals.format(ms / 1000)} s`;
  if (ms < 7_200_000) return `${decimals.format(ms / 60_000)} min`;
  return `${decimals.format(ms / 3_600_000)} h`;
}

const STEPS_MS = [1, 2, 5, 10, 20, 50, 100, 200, 500, ...[1, 2, 5, 10, 15, 30].map((s) => s * 1000), ...[1, 2, 5, 10, 15, 30].map((min) => min * 60_000), ...[1, 2, 3, 6, 12, 24, 48, 96, 168, 720, 2160, 8760].map((h) => h * 3_600_000)];
const UNITS = [[3_600_000, "h"], [60_000, "min"], [1000, "s"], [1, "ms"]];
const MOST_TICKS = 5;

/** Choose the distance of an axis's ticks of durations: the first that needs few of them. */
export const durationStep = (highest) => STEPS_MS.find((step) => highest <= step * MOST_TICKS) ?? STEPS_MS.at(-1);

/** Write a tick of durations, all of one axis in one unit: `0`, `30 s`, `60 s`, `90 s`. */
export function durationTick(ms, step) {
  if (!ms) return "0";
  const [size, unit] = UNITS.find(([each]) => step >= each);
  return `${decimals.format(ms / size)} ${unit}`;
}

const FORMATS = { number, ratio: percent, ms: duration, time: fullTime };

/** Write a value of a column's kind. */
export function write(value, kind) {
  if (value === null || value === undefined || value === "") return "–";
  return FORMATS[kind] && typeof value === "number" ? FORMATS[kind](value) : String(value);
}

/** Write the start of a step as short as the chart's range allows. */
export function stepLabel(ms, stepS, rangeMs) {
  if (stepS >= 86_400) return day.format(ms);
  return rangeMs > 36 * 3_600_000 ? `${day.format(ms)} ${clock.format(ms)}` : clock.format(ms);
}

const GOOD = ["sent", "delivered", "opened", "clicked", "read", "admitted", "finished", "running"];
const WARN = ["suppressed", "cancelled", "expired", "retrying", "unsubscribed", "paused"];
const BAD = ["dead", "bounced", "complained"];
const CALM = ["held", "merged", "waiting"];
export const TONES = Object.fromEntries([...GOOD.map((name) => [name, "good"]), ...WARN.map((name) => [name, "warn"]), ...BAD.map((name) => [name, "bad"]), ...CALM.map((name) => [name, "calm"])]);

/** Shorten an id of 32 hex digits; others stay as they are. */
export const shortId = (id) => (/^[0-9a-f]{32}$/.test(id) ? `${id.slice(0, 10)}…` : id);
