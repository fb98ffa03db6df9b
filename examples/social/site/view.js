// What posts and people look like. All that people wrote is set as text, never as markup.

const STEPS = [[86400, "d"], [3600, "h"], [60, "min"]];

export const byId = (id) => document.getElementById(id);

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

export function paintFace(face, handle) {
  const hue = [...handle].reduce((sum, letter) => (sum * 31 + letter.codePointAt(0)) % 360, 7);
  face.textContent = handle[0];
  face.style.setProperty("--hue", hue);
  return face;
}

export function ago(moment) {
  const seconds = (Date.now() - moment) / 1000;
  const step = STEPS.find(([length]) => seconds >= length);
  return step ? `${Math.floor(seconds / step[0])} ${step[1]}` : "now";
}

export function postCard(post, me, acts) {
  const face = paintFace(element("span", { className: "face", ariaHidden: "true" }), post.author);
  const author = element("a", { href: `#/@${post.author}`, textContent: `@${post.author}` });
  const moment = new Date(post.created_at);
  const time = element("time", { dateTime: post.created_at, textContent: ago(moment) });
  time.title = moment.toLocaleString();
  const like = element("button", { type: "button" });
  like.addEventListener("click", () => acts.like(post));
  const row = element("div", { className: "acts" }, like);
  if (post.author === me) {
    const remove = element("button", { type: "button", textContent: "Delete" });
    remove.addEventListener("click", () => acts.remove(post));
    row.append(remove);
  }
  const card = element(
    "li", { className: "post" }, face,
    element("div", { className: "by" }, author, time),
    element("p", { className: "said", dir: "auto", textContent: post.text }), row,
  );
  card.dataset.id = post.id;
  card.show = (newer) => {
    Object.assign(post, newer);
    like.textContent = `${post.liked ? "♥" : "♡"} ${post.likes}`;
    like.ariaLabel = `Like, ${post.likes} so far`;
    like.ariaPressed = String(post.liked);
    time.textContent = ago(moment);
  };
  card.show({});
  return card;
}

const segmenter = new Intl.Segmenter();
export const graphemes = (text) => [...segmenter.segment(text)].length;
