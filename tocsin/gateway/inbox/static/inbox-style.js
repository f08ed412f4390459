// The style of <tocsin-inbox>. A constructed style sheet needs no exception in a CSP.
// Pages theme it with the custom properties at the top, and `theme="light"` or `theme="dark"`.

const LIGHT = `
  --ink: var(--tocsin-ink, #1b2330); --ink-2: var(--tocsin-ink-2, #50596a); --surface: var(--tocsin-surface, #ffffff);
  --hover: var(--tocsin-hover, #f2f4f8); --line: var(--tocsin-line, #dde1e8); --accent: var(--tocsin-accent, #1f5fd0);
  --on-accent: var(--tocsin-on-accent, #ffffff); --badge: var(--tocsin-badge, #c62330);
  --shadow: 0 12px 40px rgb(20 30 50 / 18%), 0 2px 8px rgb(20 30 50 / 10%); color-scheme: light;`;
const DARK = `
  --ink: var(--tocsin-ink, #eceff5); --ink-2: var(--tocsin-ink-2, #aab3c2); --surface: var(--tocsin-surface, #1b212c);
  --hover: var(--tocsin-hover, #262e3c); --line: var(--tocsin-line, #343d4d); --accent: var(--tocsin-accent, #8ab4ff);
  --on-accent: var(--tocsin-on-accent, #10151d); --badge: var(--tocsin-badge, #d6303d);
  --shadow: 0 12px 40px rgb(0 0 0 / 55%); color-scheme: dark;`;

const RULES = `
:host { ${LIGHT} position: relative; display: inline-block; font: 15px/1.45 var(--tocsin-font, system-ui, sans-serif); color: var(--ink); }
:host([hidden]) { display: none; }
:host([theme="dark"]) { ${DARK} }
@media (prefers-color-scheme: dark) { :host(:not([theme="light"])) { ${DARK} } }
*, *::before { box-sizing: border-box; }
[hidden] { display: none !important; }
h2, h3, p, ul { margin: 0; padding: 0; }
ul { list-style: none; }
button { font: inherit; color: inherit; background: none; border: 0; padding: 0; cursor: pointer; }
svg { width: 22px; height: 22px; fill: none; stroke: currentColor; stroke-width: 2; stroke-linecap: round; stroke-linejoin: round; display: block; }
svg.filled { fill: currentColor; stroke: none; }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
h2:focus, li:focus { outline: none; }
li:focus-visible { outline: 2px solid var(--accent); outline-offset: -3px; }
.spoken { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap; }
.bell { position: relative; width: 44px; height: 44px; display: grid; place-items: center; border-radius: 50%; color: var(--tocsin-bell, var(--ink)); }
.bell:hover { background: var(--hover); color: var(--ink); }
.badge { position: absolute; top: 3px; left: 23px; min-width: 18px; height: 18px; padding: 0 4px; border-radius: 9px; background: var(--badge); color: #fff; font-size: 11px; line-height: 18px; font-weight: 650; text-align: center; }
.panel { position: absolute; z-index: 1000; top: calc(100% + 8px); right: 0; width: min(400px, calc(100vw - 24px)); max-height: min(600px, calc(100vh - 120px)); display: flex; flex-direction: column; background: var(--surface); border: 1px solid var(--line); border-radius: 14px; box-shadow: var(--shadow); overflow: hidden; text-align: start; }
:host([align="start"]) .panel { right: auto; left: 0; }
.head { display: flex; align-items: center; gap: 10px; padding: 12px 10px 8px 18px; }
h2 { flex: 1; font-size: 17px; font-weight: 650; }
.plain { color: var(--accent); font-size: 14px; font-weight: 550; padding: 6px 4px; border-radius: 6px; }
.plain:hover, .more:hover { text-decoration: underline; }
.round { flex: none; width: 36px; height: 36px; display: grid; place-items: center; border-radius: 50%; color: var(--ink-2); }
.round svg { width: 19px; height: 19px; }
.round:hover { background: var(--hover); color: var(--ink); }
.tabs { display: flex; gap: 4px; padding: 0 14px 10px; border-bottom: 1px solid var(--line); }
.tabs button { padding: 4px 12px; border-radius: 14px; font-size: 14px; color: var(--ink-2); min-height: 28px; }
.tabs button:hover { background: var(--hover); }
.tabs [aria-pressed="true"] { background: var(--hover); color: var(--ink); font-weight: 600; }
.body { overflow-y: auto; overscroll-behavior: contain; min-height: 160px; }
.entry { position: relative; display: flex; gap: 6px; padding: 13px 10px 13px 32px; border-bottom: 1px solid var(--line); }
.entry:hover { background: var(--hover); }
.unread::before { content: ""; position: absolute; left: 14px; top: 20px; width: 8px; height: 8px; border-radius: 50%; background: var(--accent); }
.text { flex: 1; min-width: 0; overflow-wrap: anywhere; }
h3 { font-size: 15px; font-weight: 500; }
.unread h3 { font-weight: 650; }
a { color: inherit; text-decoration: none; }
a:hover { text-decoration: underline; }
.text p { color: var(--ink-2); margin-top: 2px; display: -webkit-box; -webkit-line-clamp: 4; -webkit-box-orient: vertical; overflow: hidden; }
time { display: block; margin-top: 4px; font-size: 13px; color: var(--ink-2); }
.buttons { display: flex; align-self: start; }
.state { display: grid; justify-items: center; gap: 12px; padding: 44px 24px; text-align: center; color: var(--ink-2); }
.state svg { width: 34px; height: 34px; color: var(--line); }
.strong { padding: 8px 16px; border-radius: 8px; background: var(--accent); color: var(--on-accent); font-weight: 600; }
.more { display: block; width: 100%; padding: 12px; color: var(--accent); font-weight: 550; }
.status, .problem { padding: 8px 18px; font-size: 13.5px; color: var(--ink-2); border-top: 1px solid var(--line); }
.problem { color: var(--ink); border-top: 0; border-bottom: 1px solid var(--line); }
@media (max-width: 480px) { .panel { position: fixed; inset: 64px 12px auto; width: auto; max-height: calc(100vh - 76px); } }
`;

let made = null;

/** The one style sheet of all elements. */
export function sheet() {
  if (!made) {
    made = new CSSStyleSheet();
    made.replaceSync(RULES);
  }
  return made;
}
