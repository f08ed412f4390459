// Plays the server of a company: it gives the page a token of the chosen passenger.
const inbox = document.getElementById("inbox");
const choice = document.getElementById("user");
const note = document.getElementById("note");

for (const place of document.querySelectorAll(".base")) place.textContent = location.origin;

async function names() {
  const answer = await fetch("/inbox/example/users");
  return answer.ok ? (await answer.json()).users : [];
}

function choose(user) {
  history.replaceState(null, "", `?user=${encodeURIComponent(user)}`);
  inbox.getToken = async () => {
    const answer = await fetch(`/inbox/example/token?user=${encodeURIComponent(user)}`);
    return (await answer.json()).token;
  };
}

// A narrow choice shows the beginning alone: the tenant stands there only if there are several.
function labels(users) {
  const tenants = new Set(users.map((user) => user.split("/", 1)[0]));
  return tenants.size > 1 ? users : users.map((user) => user.slice(user.indexOf("/") + 1));
}

async function begin() {
  const wanted = new URLSearchParams(location.search).get("user");
  let users = await names();
  while (!wanted && users.length === 0) {
    note.textContent = "No passenger has an in-app notification yet. This page looks again every two seconds.";
    await new Promise((resolve) => setTimeout(resolve, 2_000));
    users = await names();
  }
  if (wanted && !users.includes(wanted)) users.unshift(wanted);
  const shown = labels(users);
  choice.replaceChildren(...users.map((user, at) => new Option(shown[at], user, user === wanted, user === wanted)));
  note.textContent = "Click the bell.";
  choose(choice.value);
}

choice.addEventListener("change", () => choose(choice.value));
begin();
