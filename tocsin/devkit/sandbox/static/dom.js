/** Build an element. Texts become text nodes: what was sent is never parsed as markup here. */
export function h(name, props = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(props)) {
    if (key.startsWith("aria-")) { element.setAttribute(key, value); continue; }
    if (value === undefined || value === null || value === false) continue;
    if (key.startsWith("on")) element.addEventListener(key.slice(2), value);
    else if (key === "vars") for (const [name, to] of Object.entries(value)) element.style.setProperty(name, to);
    else element.setAttribute(key === "cls" ? "class" : key, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

const SHAPES = {
  all: "M3 5h14M3 10h14M3 15h14",
  push: "M6.5 2.5h7a1.5 1.5 0 0 1 1.5 1.5v12a1.5 1.5 0 0 1-1.5 1.5h-7A1.5 1.5 0 0 1 5 16V4a1.5 1.5 0 0 1 1.5-1.5ZM9 15h2",
  webpush: "M10 2.5a7.5 7.5 0 1 0 0 15 7.5 7.5 0 0 0 0-15ZM2.8 10h14.4M10 2.5c2 2 3 4.6 3 7.5s-1 5.5-3 7.5c-2-2-3-4.6-3-7.5s1-5.5 3-7.5Z",
  sms: "M4.5 3.5h11A1.5 1.5 0 0 1 17 5v7.5a1.5 1.5 0 0 1-1.5 1.5H9l-4 3v-3h-.5A1.5 1.5 0 0 1 3 12.5V5a1.5 1.5 0 0 1 1.5-1.5ZM6.5 7.5h7M6.5 10.3h4.5",
  email: "M3.5 4.5h13a1 1 0 0 1 1 1v9a1 1 0 0 1-1 1h-13a1 1 0 0 1-1-1v-9a1 1 0 0 1 1-1ZM3 6l7 5 7-5",
  whatsapp: "M10 3a7 7 0 0 0-6 10.6L3 17l3.5-.9A7 7 0 1 0 10 3ZM7.6 7.4c-.3 2.6 2.4 5.2 5 5",
  voice: "M6.2 3.5 8.4 7 7 8.6c.8 2 2.4 3.6 4.4 4.4L13 11.6l3.5 2.2c-.3 1.7-1.5 2.7-3.2 2.7C8.2 16.5 3.5 11.8 3.5 6.7c0-1.7 1-2.9 2.7-3.2Z",
  inapp: "M3 11.5 5 4.5h10l2 7v3.5a1 1 0 0 1-1 1H4a1 1 0 0 1-1-1v-3.5Zm0 0h4c0 1.7 1.3 2.5 3 2.5s3-.8 3-2.5h4",
  bell: "M10 3a4.6 4.6 0 0 0-4.6 4.6c0 3.9-1.6 5-2 5.7-.3.4 0 .9.5.9h12.2c.5 0 .8-.5.5-.9-.4-.7-2-1.8-2-5.7A4.6 4.6 0 0 0 10 3ZM8.3 16.5a1.8 1.8 0 0 0 3.4 0",
  back: "M12.5 4.5 7 10l5.5 5.5",
  close: "m5 5 10 10M15 5 5 15",
};

/** Draw one of our own line icons. */
export function icon(name) {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 20 20");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", SHAPES[name]);
  svg.append(path);
  return svg;
}

export const byId = (id) => document.getElementById(id);
