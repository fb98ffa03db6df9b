"""A small society moves in: people sign up, follow each other, own phones, and talk.

Whom newcomers follow is drawn by preferential attachment: the more followers, the more follow. The
same seed makes the same people, follows and posts. Uses the API alone, as every client does.
"""

import argparse
import json
import os
import random
import time
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

PASSWORD = "correct horse battery"
FIRST = (
    "ada", "alan", "barbara", "claude", "donald", "edsger", "frances", "grace", "hedy", "john",
    "katherine", "ken", "leslie", "margaret", "niklaus", "radia", "shafi", "tim", "tony", "vint",
)  # fmt: skip
SYLLABLES = [consonant + vowel for consonant in "bdfklmnrst" for vowel in "aeio"]
OPENINGS = (
    "Just finished with {thing}", "Thinking about {thing} again", "Nobody told me about {thing}",
    "Hot take: {thing} beats everything", "Day three of {thing}", "My neighbour swears by {thing}",
    "Is {thing} supposed to smell like that?", "So proud of {thing}", "{thing} at sunrise",
)  # fmt: skip
THINGS = (
    "the sourdough", "the night train to Vienna", "a spreadsheet for my plants", "that old lamp",
    "cold swimming", "the 7 o'clock choir", "the 1974 bicycle", "my Icelandic class",
    "tomato season", "chess in the park", "a very long walk", "the new library",
)  # fmt: skip
ENDINGS = (".", "!", " ☺", ". Anyone else?", " ☀", " ✂", ". More tomorrow.", " ☕", " ♪", "…")
ATTEMPTS = 20


@dataclass
class Society:
    people: list[str] = field(default_factory=list)
    follows: list[tuple[str, str]] = field(default_factory=list)
    posts: list[tuple[str, str]] = field(default_factory=list)
    likes: list[tuple[str, int]] = field(default_factory=list)  # of the post with this number


def society(seed: int, people: int, follows_each: int, posts: int) -> Society:
    chance = random.Random(seed)
    made = Society()
    popular: list[str] = []  # everybody as often as they are followed, and once more
    for handle in names(chance, people):
        wanted = min(follows_each, len(made.people))
        chosen: list[str] = []
        while len(chosen) < wanted:
            someone = chance.choice(popular)
            if someone not in chosen:
                chosen.append(someone)
        made.follows += [(handle, someone) for someone in chosen]
        made.people.append(handle)
        popular += [handle, *chosen]
    made.posts = [(chance.choice(popular), status(chance)) for _ in range(posts)]
    for number, (author, _) in enumerate(made.posts):
        fans = [follower for follower, followed in made.follows if followed == author]
        liking = chance.sample(fans, chance.randint(0, len(fans) // 2))
        made.likes += [(fan, number) for fan in liking]
    return made


def names(chance: random.Random, count: int) -> list[str]:
    found = list(FIRST[:count])
    while len(found) < count:
        name = "".join(chance.choices(SYLLABLES, k=3)) + str(chance.randrange(10))
        if name not in found:
            found.append(name)
    return found


def status(chance: random.Random) -> str:
    said = chance.choice(OPENINGS).format(thing=chance.choice(THINGS))
    return said[0].upper() + said[1:] + chance.choice(ENDINGS)


class Client:
    """One person's, or nobody's."""

    def __init__(self, url: str, token: str = "") -> None:
        self.url = url.rstrip("/")
        self._headers = {"content-type": "application/json"}
        if token:
            self._headers["authorization"] = f"Bearer {token}"
        self._headers["x-api-key"] = self.ask("GET", "site/key.json")[1]["key"]

    def ask(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        """Waits and tries again when asked to slow down."""
        data = None if body is None else json.dumps(body).encode()
        for _ in range(ATTEMPTS):
            request = urllib.request.Request(
                f"{self.url}/{path}", data=data, method=method, headers=self._headers
            )
            try:
                with urllib.request.urlopen(request, timeout=60) as answer:
                    return answer.status, json.loads(answer.read() or b"null")
            except urllib.error.HTTPError as refusal:
                problem = json.loads(refusal.read() or b"{}")
                if refusal.code not in (429, 503):
                    return refusal.code, problem
                time.sleep(float(refusal.headers.get("Retry-After", "1")))
        raise SystemExit(f"{method} {path}: {problem}")

    def tell(self, method: str, path: str, body: Any = None, fine: tuple[int, ...] = ()) -> Any:
        code, answer = self.ask(method, path, body)
        if code >= 400 and code not in fine:
            raise SystemExit(f"{method} {path}: {code} {answer}")
        return answer


def moved_in(url: str, handle: str) -> Client:
    """Signs up (or was here before), signs in, and registers a phone."""
    nobody = Client(url)
    name = handle.rstrip("0123456789").title()
    given = {"handle": handle, "password": PASSWORD}
    nobody.tell("POST", "users", {**given, "name": name}, fine=(409,))
    person = Client(url, nobody.tell("POST", "sessions", given)["token"])
    person.tell("PUT", f"devices/phone-of-{handle:_<12}", {"token": f"token-of-{handle}"})
    return person


def follow(clients: dict[str, Client], edge: tuple[str, str]) -> None:
    clients[edge[0]].tell("PUT", f"users/{edge[1]}/followers/me")


def like(clients: dict[str, Client], ids: list[str], edge: tuple[str, int]) -> None:
    clients[edge[0]].tell("PUT", f"posts/{ids[edge[1]]}/likes/me")


def entrance(url: str) -> str:
    """The page's own address: cloudlet's front door redirects to the API's stage."""
    try:
        with urllib.request.urlopen(url.rstrip("/") + "/", timeout=60) as page:
            return str(page.geturl()).rstrip("/")
    except urllib.error.URLError as problem:
        raise SystemExit(f"{url} does not answer: {problem}") from problem


def main() -> None:
    arguments = parsed()
    url = entrance(arguments.url)
    made = society(arguments.seed, arguments.people, arguments.follows, arguments.posts)
    with ThreadPoolExecutor(arguments.threads) as pool:
        moving = pool.map(partial(moved_in, url), made.people)
        clients = dict(zip(made.people, moving, strict=True))
        print(f"{len(clients)} people with a phone each")
        list(pool.map(partial(follow, clients), made.follows))
        print(f"{len(made.follows)} follows")
        ids = []
        for author, text in made.posts:
            ids.append(clients[author].tell("POST", "posts", {"text": text})["id"])
            time.sleep(arguments.pause)
        list(pool.map(partial(like, clients, ids), made.likes))
    print(f"{len(made.posts)} posts, {len(made.likes)} likes")
    print(f"Sign in at {url}/ as {made.people[-1]} with the password: {PASSWORD}")


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    url = os.environ.get("SOCIAL_URL", "http://localhost:8000/")
    parser.add_argument("--url", default=url, help="the output Page of the stack (SOCIAL_URL)")
    parser.add_argument("--people", type=int, default=30)
    parser.add_argument("--follows", type=int, default=5, help="by each newcomer")
    parser.add_argument("--posts", type=int, default=60)
    parser.add_argument("--pause", type=float, default=0, help="seconds between two posts")
    parser.add_argument("--threads", type=int, default=4)
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


if __name__ == "__main__":
    main()
