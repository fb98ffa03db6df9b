// The gallery: asks for the list while the tab is seen, and changes only the cards that changed.

const EVERY_MS = 1500;
const AT_ONCE = 4;
const STATES = {
  uploading: "Uploading …",
  processing: "Making sizes …",
  ready: "Ready",
  failed: "Refused",
};
const SIGNS = { uploading: "↑", processing: "⋯", failed: "✕" };
const COMMAND = `python examples/thumbnails/make_pictures.py --api ${location.origin}`;

const $ = (id) => document.getElementById(id);
const cards = new Map(); // id → { element, seen: what the card shows, as text }
const progress = new Map(); // id → percent of an upload of this page
let timer = 0;

async function ask(path, options = {}) {
  const response = await fetch(path, options);
  const document = response.status === 204 ? {} : await response.json().catch(() => ({}));
  if (!response.ok) throw new Error(document.message ?? `the API answered ${response.status}`);
  return document;
}

// --- list ---

async function refresh() {
  clearTimeout(timer);
  if (document.hidden) return;
  try {
    show((await ask("images")).images);
    if ($("problem").dataset.kind === "list") complain("");
  } catch (error) {
    complain(`The gallery cannot be read: ${error.message}. Trying again.`, "list");
  }
  clearTimeout(timer);
  timer = setTimeout(refresh, EVERY_MS);
}

function show(images) {
  const wanted = new Set(images.map((image) => image.id));
  for (const [id, card] of cards) {
    if (wanted.has(id)) continue;
    card.element.remove();
    cards.delete(id);
  }
  images.forEach((image, place) => {
    const element = cardOf(image);
    const there = $("gallery").children[place];
    if (there !== element) $("gallery").insertBefore(element, there ?? null);
  });
  $("empty").hidden = images.length > 0;
  const counts = Object.entries(STATES).map(([state]) => [
    images.filter((image) => image.state === state).length,
    { failed: "refused" }[state] ?? state,
  ]);
  const text = counts.filter(([count]) => count).map(([count, state]) => `${count} ${state}`).join(" · ");
  if ($("counts").textContent !== text) $("counts").textContent = text;
}

function cardOf(image) {
  let card = cards.get(image.id);
  if (!card) {
    const element = $("card").content.firstElementChild.cloneNode(true);
    element.querySelector("button").addEventListener("click", () => remove(image));
    card = { element, seen: "" };
    cards.set(image.id, card);
  }
  const seen = JSON.stringify([image, progress.get(image.id)]);
  if (card.seen !== seen) fill(card.element, image);
  card.seen = seen;
  return card.element;
}

function fill(element, image) {
  const part = (selector) => element.querySelector(selector);
  element.className = `card ${image.state}`;
  part("h3").textContent = image.name;
  part("button").setAttribute("aria-label", `Delete ${image.name}`);
  part(".state").textContent = STATES[image.state] ?? image.state;
  const percent = progress.get(image.id);
  part("progress").hidden = image.state !== "uploading" || percent === undefined;
  part("progress").value = percent ?? 0;
  part("progress").setAttribute("aria-label", `Upload of ${image.name}`);
  part(".detail").replaceChildren(...detail(image).flatMap(row));
  const frame = part(".frame");
  if (image.state !== "ready") {
    frame.removeAttribute("href");
    frame.textContent = SIGNS[image.state] ?? "";
  } else if (!frame.querySelector("img")) {
    frame.href = image.sizes.web.url;
    frame.replaceChildren(pictureOf(image));
  }
}

function detail(image) {
  if (image.state === "failed") return [["Why", image.reason]];
  if (image.state !== "ready") return [];
  const sizes = Object.values(image.sizes);
  const bytes = sizes.reduce((sum, size) => sum + size.bytes, 0);
  return [
    ["Original", `${image.format} ${image.width}×${image.height}, ${kilobytes(image.bytes)}`],
    ["Sizes", [...new Set(sizes.map((size) => `${size.width}×${size.height}`))].join(", ")],
    ["Together", kilobytes(bytes)],
  ];
}

function row([name, text]) {
  const term = document.createElement("dt");
  const value = document.createElement("dd");
  term.textContent = name;
  value.textContent = text;
  return [term, value];
}

const kilobytes = (bytes) => `${Math.max(1, Math.round(bytes / 1000)).toLocaleString("en")}\u00a0kB`;

// The browser takes the size that fits its layout and its screen.
function pictureOf(image) {
  const widths = new Map(Object.values(image.sizes).map((size) => [size.width, size.url]));
  const source = document.createElement("source");
  source.type = "image/webp";
  source.srcset = [...widths].map(([width, url]) => `${url} ${width}w`).join(", ");
  source.sizes = "(max-width: 34rem) 100vw, 16rem";
  const img = document.createElement("img");
  Object.assign(img, { src: image.sizes.phone.url, alt: image.name, loading: "lazy" });
  Object.assign(img, { width: image.sizes.phone.width, height: image.sizes.phone.height });
  const picture = document.createElement("picture");
  picture.append(source, img);
  return picture;
}

async function remove(image) {
  try {
    await ask(`images/${image.id}`, { method: "DELETE" });
  } catch (error) {
    complain(`${image.name} could not be deleted: ${error.message}.`);
  }
  refresh();
}

// --- uploads ---

async function uploadAll(files) {
  complain("");
  const waiting = [...files];
  const work = async () => {
    for (let file = waiting.shift(); file; file = waiting.shift()) {
      await upload(file).catch((error) => complain(`${file.name}: ${error.message}.`));
    }
  };
  await Promise.all(Array.from({ length: AT_ONCE }, work));
  $("files").value = "";
}

async function upload(file) {
  const body = JSON.stringify({ name: file.name, type: file.type, size: file.size });
  const headers = { "Content-Type": "application/json" };
  const place = await ask("images", { method: "POST", headers, body });
  progress.set(place.id, 0);
  refresh();
  try {
    await put(file, place);
  } finally {
    progress.delete(place.id);
  }
}

// fetch() tells nothing of an upload's progress.
function put(file, place) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", place.url);
    for (const [name, value] of Object.entries(place.headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => {
      progress.set(place.id, Math.round((100 * event.loaded) / event.total));
    };
    request.onload = () => (request.status === 200 ? resolve() : reject(new Error(`S3 answered ${request.status}`)));
    request.onerror = () => reject(new Error("the upload broke off"));
    request.send(file);
  });
}

function complain(text, kind = "upload") {
  if (!text || $("problem").textContent !== text) $("problem").textContent = text;
  $("problem").dataset.kind = kind;
  $("problem").hidden = !text;
}

// --- beginnings ---

$("command").textContent = COMMAND;
$("files").addEventListener("change", (event) => uploadAll(event.target.files));
for (const name of ["dragenter", "dragover", "dragleave", "drop"]) {
  addEventListener(name, (event) => {
    event.preventDefault();
    $("drop").classList.toggle("over", name === "dragover" || name === "dragenter");
    if (name === "drop") uploadAll(event.dataTransfer.files);
  });
}
document.addEventListener("visibilitychange", refresh);
refresh();
