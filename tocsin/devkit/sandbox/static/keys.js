/** The keyboard. Keys are left alone while a field, a select or a dialog has them. */
export function bindKeys(actions) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
    const typing = event.target.closest("input, select, textarea, dialog[open]");
    if (typing) return;
    const inside = event.target.closest("button, summary, .detail pre, .thread");
    if (inside && ["Enter", " ", "ArrowUp", "ArrowDown", "Home", "End"].includes(event.key)) return;
    const action = actions[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
}
