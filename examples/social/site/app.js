// The web client: what is on the screen follows from the address (#/, #/me, #/@name) and the session.

import { byId, graphemes, paintFace, postCard } from "./view.js";

const POLL_MS = 2000;
const LETTERS_MAX = 280;

let key = "";
let session = JSON.parse(localStorage.getItem("session") ?? "null"); // {handle, token}

// --- asking ---

class Refused extends Error {
  constructor(status, problem) {
    super(problem.detail || problem.title || `The server answers ${status}.`);
    this.status = status;
  }
}

async function ask(method, path, body) {
  if (!key) key = (await (await fetch("site/key.json")).json()).key;
  const headers = { "x-api-key": key };
  if (session) headers.authorization = `Bearer ${session.token}`;
  if (body) headers["content-type"] = "application/json";
  const answer = await fetch(path, { method, headers, body: body && JSON.stringify(body) });
  const text = await answer.text();
  const found = text && /json/.test(answer.headers.get("content-type")) ? JSON.parse(text) : {};
  if (answer.ok) return found;
  if (answer.status === 401 && session) signOut();
  throw new Refused(answer.status, found);
}

function complain(error) {
  const isOffline = error instanceof TypeError;
  byId("trouble").textContent = isOffline
    ? "The server does not answer. Trying again…" : error.message;
  byId("trouble").hidden = false;
  if (!(error instanceof Refused) && !isOffline) throw error;
}

const calm = () => { byId("trouble").hidden = true; };

/** Runs what a person asked for; tells what went wrong; not twice at a time. */
async function act(button, work) {
  button.disabled = true;
  try {
    await work();
    calm();
  } catch (error) {
    complain(error);
  } finally {
    button.disabled = false;
  }
}

// --- account ---

byId("account").addEventListener("submit", (event) => {
  event.preventDefault();
  const given = { handle: byId("handle").value, password: byId("password").value };
  act(event.submitter, async () => {
    if (event.submitter.value === "up") await ask("POST", "users", given);
    const { token } = await ask("POST", "sessions", given);
    session = { handle: given.handle, token };
    localStorage.setItem("session", JSON.stringify(session));
    event.target.reset();
    location.hash = "#/";
    await show();
  });
});

function signOut() {
  session = null;
  localStorage.removeItem("session");
  location.hash = "#/";
  show();
}
byId("out").addEventListener("click", signOut);

// --- posts ---

const acts = {
  async like(post) {
    const newer = { liked: !post.liked, likes: post.likes + (post.liked ? -1 : 1) };
    try {
      await ask(post.liked ? "DELETE" : "PUT", `posts/${post.id}/likes/me`);
      cards(post.id).forEach((card) => card.show(newer));
    } catch (error) {
      complain(error);
    }
  },
  async remove(post) {
    try {
      await ask("DELETE", `posts/${post.id}`);
      cards(post.id).forEach((card) => card.remove());
    } catch (error) {
      complain(error);
    }
  },
};

const cards = (id) => document.querySelectorAll(`[data-id="${id}"]`);
const card = (post) => postCard(post, session.handle, acts);

/** A page of posts at the end of a list; the button gets the next one. */
async function extend(list, button, path, cursor) {
  const page = await ask("GET", cursor ? `${path}?cursor=${cursor}` : path);
  if (!cursor) list.replaceChildren();
  list.append(...page.posts.map(card));
  button.hidden = !page.next;
  button.onclick = () => act(button, () => extend(list, button, path, page.next));
}

const text = byId("text");
const publish = byId("compose").querySelector("button");

function count() {
  const left = LETTERS_MAX - graphemes(text.value.trim());
  byId("left").textContent = left;
  byId("left").classList.toggle("over", left < 0);
  publish.disabled = left < 0 || left === LETTERS_MAX;
}
text.addEventListener("input", count);

byId("compose").addEventListener("submit", (event) => {
  event.preventDefault();
  act(publish, async () => {
    const post = await ask("POST", "posts", { text: text.value.trim() });
    text.value = "";
    byId("feed").prepend(card(post));
    byId("empty").hidden = true;
  }).finally(count);
});

// --- what is new ---

async function poll() {
  if (!session || document.hidden || byId("home").hidden) return;
  try {
    const { posts } = await ask("GET", "feed");
    if (!session) return;
    const last = byId("feed").lastElementChild?.dataset.id ?? "";
    for (const post of posts) cards(post.id).forEach((shown) => shown.show(post));
    const number = posts.filter((post) => post.id > last && !cards(post.id).length).length;
    byId("news").hidden = !number;
    byId("news").textContent = `${number} new ${number === 1 ? "post" : "posts"}`;
    calm();
  } catch (error) {
    complain(error);
  }
}

async function watch() {
  await poll();
  setTimeout(watch, POLL_MS);
}
watch();
document.addEventListener("visibilitychange", poll);

byId("news").addEventListener("click", () => act(byId("news"), async () => {
  await showHome();
  for (const scrolled of [window, byId("phone")]) scrolled.scrollTo(0, 0);
}));

// --- views ---

async function showHome() {
  await extend(byId("feed"), byId("older"), "feed");
  byId("news").hidden = true;
  byId("empty").hidden = byId("feed").childElementCount > 0;
}

async function showProfile(handle) {
  const user = await ask("GET", `users/${encodeURIComponent(handle)}`);
  paintFace(byId("face"), user.handle);
  byId("name").textContent = user.name;
  byId("at").textContent = `@${user.handle}`;
  for (const name of ["posts", "followers", "following"]) byId(name).textContent = user[name];
  const follow = byId("follow");
  follow.hidden = user.handle === session.handle;
  follow.textContent = user.followed ? "Following" : "Follow";
  follow.className = user.followed ? "second" : "";
  follow.ariaPressed = String(user.followed);
  follow.onclick = () => act(follow, async () => {
    await ask(user.followed ? "DELETE" : "PUT", `users/${user.handle}/followers/me`);
    await showProfile(user.handle);
  });
  await extend(byId("theirs"), byId("more"), `users/${user.handle}/posts`);
  byId("silent").hidden = byId("theirs").childElementCount > 0;
}

byId("find").addEventListener("submit", (event) => {
  event.preventDefault();
  const who = byId("who").value.trim().replace(/^@/, "").toLowerCase();
  if (who) location.hash = `#/@${who}`;
  byId("who").value = "";
});

async function show() {
  const place = decodeURIComponent(location.hash.slice(2));
  const handle = place === "me" ? session?.handle : place.startsWith("@") && place.slice(1);
  const view = !session ? "welcome" : handle ? "profile" : "home";
  for (const id of ["bar", "tabs"]) byId(id).hidden = !session;
  byId("to-home").ariaCurrent = view === "home" ? "page" : null;
  byId("to-me").ariaCurrent = handle && handle === session?.handle ? "page" : null;
  try {
    if (view === "home") await showHome();
    if (view === "profile") await showProfile(handle);
    calm();
  } catch (error) {
    complain(error);
    if (view === "profile") return; // what was there stays
  }
  for (const id of ["welcome", "home", "profile"]) byId(id).hidden = id !== view;
}
addEventListener("hashchange", show);
show();
