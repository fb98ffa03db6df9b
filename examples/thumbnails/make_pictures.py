"""Draws sample pictures and uploads them through the API, as the page does.

All eight EXIF orientations (the arrow must point up in the gallery, everywhere), photographs'
profiles, transparency, an animation, CMYK, 16 bits; and, at the end, files that must be refused: a
decompression bomb, a truncated JPEG, a text that calls itself one. The same --seed, the same bytes.

    python examples/thumbnails/make_pictures.py --api http://localhost:8000
"""

import argparse
import json
import random
import struct
import urllib.request
import zlib
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

from PIL import Image, ImageCms, ImageDraw, ImageFont

ORIENTATION, GPS = 0x0112, 0x8825
# From upright to how a camera with this orientation stores it: the opposite of what viewers do.
STORED = {
    1: None,
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}


class File(NamedTuple):
    name: str
    type: str
    content: bytes


def pictures(seed: int = 1, count: int = 20) -> Iterator[File]:
    """`count` good pictures; the first sixteen are one of each kind."""
    dice = random.Random(seed)
    yield from (oriented(n, dice) for n in STORED if n <= count)
    kinds = [landscape, badge, palette, animation, print_ready, deep_grey, panorama, icon]
    for n in range(max(0, count - len(STORED))):
        yield kinds[n % len(kinds)](dice)


def broken(seed: int = 1) -> list[File]:
    photo = landscape(random.Random(seed)).content
    return [
        File("bomb.png", "image/png", bomb(30_000, 30_000)),
        File("truncated.jpg", "image/jpeg", photo[: len(photo) * 2 // 5]),
        File("a letter.jpg", "image/jpeg", b"Dear reader, this is not a picture.\n" * 40),
    ]


# --- kinds of pictures ---


def oriented(orientation: int, dice: random.Random) -> File:
    """An arrow upwards, stored as a camera would that was held like this; with a place, too."""
    image = scene(dice, (900, 1200))
    draw = ImageDraw.Draw(image)
    draw.polygon(
        [(450, 180), (690, 480), (530, 480), (530, 820), (370, 820), (370, 480), (210, 480)],
        fill="white",
        outline="black",
        width=6,
    )
    draw.text((450, 960), f"UP {orientation}", "white", ImageFont.load_default(150), anchor="mm")
    turn = STORED[orientation]
    image = image.transpose(turn) if turn is not None else image
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    exif[GPS] = {1: "N", 2: (47.0, 36.0, 22.0), 3: "W", 4: (122.0, 19.0, 55.0)}
    content = saved(image, "JPEG", exif=exif, quality=85)
    return File(f"orientation {orientation}.jpg", "image/jpeg", content)


def landscape(dice: random.Random) -> File:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    size = dice.choice([(2400, 1600), (1600, 1067), (3000, 2000)])
    content = saved(scene(dice, size), "JPEG", icc_profile=profile, quality=88)
    return File(f"landscape {dice.randrange(1000):03}.jpg", "image/jpeg", content)


def badge(dice: random.Random) -> File:
    return File("badge.png", "image/png", saved(round_badge(dice, 640), "PNG"))


def palette(dice: random.Random) -> File:
    image = round_badge(dice, 400).quantize(32)
    return File("palette.png", "image/png", saved(image, "PNG"))


def animation(dice: random.Random) -> File:
    frames = [scene(dice, (480, 360)).quantize(64) for _ in range(4)]
    content = saved(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=200)
    return File("animation.gif", "image/gif", content)


def print_ready(dice: random.Random) -> File:
    image = scene(dice, (1200, 900)).convert("CMYK")
    return File("for the press.jpg", "image/jpeg", saved(image, "JPEG"))


def deep_grey(dice: random.Random) -> File:
    image = scene(dice, (800, 800)).convert("L").convert("I").point(lambda grey: grey * 257)
    return File("16 bits.png", "image/png", saved(image.convert("I;16"), "PNG"))


def panorama(dice: random.Random) -> File:
    return File("panorama.webp", "image/webp", saved(scene(dice, (5200, 700)), "WEBP"))


def icon(dice: random.Random) -> File:
    return File("icon.png", "image/png", saved(round_badge(dice, 24), "PNG"))


# --- drawing ---


def scene(dice: random.Random, size: tuple[int, int]) -> Image.Image:
    """A sky, a sun, some ranges of hills."""
    width, height = size
    sky = [tuple(dice.randrange(60, 256) for _ in range(3)) for _ in range(2)]
    image = Image.linear_gradient("L").resize(size)
    image = Image.composite(Image.new("RGB", size, sky[0]), Image.new("RGB", size, sky[1]), image)
    draw = ImageDraw.Draw(image)
    x, y, r = width * dice.uniform(0.15, 0.85), height * dice.uniform(0.12, 0.4), min(size) * 0.09
    draw.ellipse([x - r, y - r, x + r, y + r], fill=(255, 244, 200))
    tint = [dice.uniform(0.3, 0.9) for _ in range(3)]
    for depth in range(4):
        shade = tuple(int(part * (170 - 40 * depth)) for part in tint)
        base = height * (0.5 + 0.12 * depth)
        ridge = [(width * n / 12, base - height * dice.uniform(0, 0.16)) for n in range(13)]
        draw.polygon([(0, height), *ridge, (width, height)], fill=shade)
    return image


def round_badge(dice: random.Random, side: int) -> Image.Image:
    """A disc on nothing."""
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    colour = tuple(dice.randrange(256) for _ in range(3))
    draw.ellipse([0, 0, side - 1, side - 1], fill=(*colour, 255))
    draw.ellipse([side * 0.2, side * 0.2, side * 0.8, side * 0.8], fill=(255, 255, 255, 150))
    return image


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    target = BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def bomb(width: int, height: int) -> bytes:
    """A small PNG that unpacks to gigabytes; written by hand, as drawing it would take them."""
    row = b"\0" + bytes((width + 7) // 8)
    packer = zlib.compressobj(9)
    pixels = b"".join(packer.compress(row) for _ in range(height)) + packer.flush()
    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


# --- uploading ---


def upload(api: str, file: File) -> str:
    """Asks for a place and puts the file there; returns the picture's id."""
    wanted = {"name": file.name, "type": file.type, "size": len(file.content)}
    headers = {"Content-Type": "application/json"}
    place = json.loads(send("POST", f"{api}/images", json.dumps(wanted).encode(), headers))
    send("PUT", place["url"], file.content, place["headers"])
    return str(place["id"])


def send(method: str, url: str, body: bytes, headers: dict[str, str]) -> bytes:
    request = urllib.request.Request(url, body, headers, method=method)
    with urllib.request.urlopen(request, timeout=60) as answer:
        content: bytes = answer.read()
    return content


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("--api", default="http://localhost:8000", help="the template's output Page")
    parser.add_argument("--count", type=int, default=20, help="of good pictures")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-broken", action="store_true", help="nothing that must be refused")
    parser.add_argument("--folder", type=Path, help="write the files here instead of uploading")
    wanted = parser.parse_args()
    files = [*([] if wanted.no_broken else broken(wanted.seed))]
    files += pictures(wanted.seed, wanted.count)
    for file in files:
        if wanted.folder:
            wanted.folder.mkdir(parents=True, exist_ok=True)
            (wanted.folder / file.name).write_bytes(file.content)
        else:
            upload(wanted.api.rstrip("/"), file)
        print(f"{file.name:24} {len(file.content):>9,} bytes")


if __name__ == "__main__":
    main()
