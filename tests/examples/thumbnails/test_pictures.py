"""thumbnails: what becomes of a picture, of every kind that people upload."""

import json
import random
import struct
from io import BytesIO
from types import ModuleType
from typing import Any

import pytest
from PIL import Image, ImageChops, ImageCms, ImageStat

from tests.examples.conftest import Load


@pytest.fixture
def pictures(load: Load) -> ModuleType:
    return load("thumbnails/resize", "pictures")


@pytest.fixture
def samples(load: Load) -> ModuleType:
    return load("thumbnails", "make_pictures")


def saved(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    target = BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def opened(size: Any) -> Image.Image:
    image = Image.open(BytesIO(size.content))
    assert image.format == "WEBP" and image.size == (size.width, size.height)
    image.load()
    return image


@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_orientation_is_upright(
    pictures: ModuleType, samples: ModuleType, orientation: int
) -> None:
    picture = pictures.render(samples.oriented(orientation, random.Random(7)).content)
    upright = samples.scene(random.Random(7), (900, 1200))
    assert (picture.width, picture.height) == (900, 1200)
    image = opened(picture.sizes["web"]).convert("RGB")
    assert image.getpixel((300, 440)) > (240, 240, 240)  # the arrow's head, at its wide end
    assert image.getpixel((300, 600)) < (240, 240, 240)  # beside its shaft
    below = (0, 1040, 900, 1200)  # the hills under the text are no mirror of themselves
    difference = ImageStat.Stat(ImageChops.difference(image.crop(below), upright.crop(below)))
    assert max(difference.mean) < 6
    mirrored = image.crop((250, 880, 650, 1040)).transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    turned = ImageChops.difference(image.crop((250, 880, 650, 1040)), mirrored)
    assert max(ImageStat.Stat(turned).mean) > 10  # neither is the text


def test_nothing_is_told_of_the_camera_and_its_place(
    pictures: ModuleType, samples: ModuleType
) -> None:
    original = samples.oriented(6, random.Random(1)).content
    assert Image.open(BytesIO(original)).getexif().get_ifd(samples.GPS)
    for size in pictures.render(original).sizes.values():
        image = opened(size)
        assert not image.getexif() and not {"exif", "xmp", "icc_profile"} & image.info.keys()


def test_sizes_are_never_enlarged(pictures: ModuleType) -> None:
    large = pictures.render(saved(Image.new("RGB", (2560, 1280)), "JPEG"))
    assert [(s.width, s.height) for s in large.sizes.values()] == [
        (1280, 640),
        (768, 384),
        (360, 180),
    ]
    middling = pictures.render(saved(Image.new("RGB", (500, 1000))))
    assert [s.width for s in middling.sizes.values()] == [500, 500, 360]
    tiny = pictures.render(saved(Image.new("RGB", (1, 1), "red")))
    assert [(s.width, s.height) for s in tiny.sizes.values()] == [(1, 1)] * 3


@pytest.mark.parametrize("size", [(20_000, 3), (3, 20_000)])
def test_huge_aspect_ratios(pictures: ModuleType, size: tuple[int, int]) -> None:
    picture = pictures.render(saved(Image.new("RGB", size, "navy")))
    assert (picture.width, picture.height) == size
    for each in picture.sizes.values():
        assert min(opened(each).size) >= 1


def test_of_animations_the_first_frame(pictures: ModuleType) -> None:
    frames = [Image.new("RGB", (40, 30), colour) for colour in ("red", "blue", "lime")]
    for kind in ("GIF", "WEBP", "PNG"):
        content = saved(frames[0], kind, save_all=True, append_images=frames[1:], duration=100)
        image = opened(pictures.render(content).sizes["phone"])
        assert getattr(image, "n_frames", 1) == 1
        red, green, blue = image.convert("RGB").getpixel((20, 15))
        assert red > 240 and green < 15 and blue < 15


def test_transparency_stays(pictures: ModuleType, samples: ModuleType) -> None:
    badge = samples.round_badge(random.Random(1), 400)
    for content in (saved(badge), saved(badge.quantize(16)), saved(badge.convert("LA"))):
        image = opened(pictures.render(content).sizes["phone"])
        assert image.mode == "RGBA"
        assert image.getpixel((0, 0))[3] == 0 and image.getpixel((180, 20))[3] > 250
    palette = Image.new("P", (10, 10), 1)
    palette.putpalette([255, 0, 0, 0, 255, 0])
    content = saved(palette, "GIF", transparency=1)
    assert opened(pictures.render(content).sizes["web"]).getpixel((5, 5))[3] == 0


def test_cmyk_and_deep_grey(pictures: ModuleType) -> None:
    ink = Image.new("CMYK", (50, 50), (255, 0, 255, 0))
    red, green, blue = opened(pictures.render(saved(ink, "JPEG")).sizes["web"]).getpixel((9, 9))
    assert green > 120 and green > 2 * max(red, blue)
    grey = Image.new("I;16", (50, 50), 0x8080)
    assert opened(pictures.render(saved(grey)).sizes["web"]).getpixel((9, 9)) == pytest.approx(
        (128, 128, 128), abs=2
    )


def profile_with_red_for_blue() -> bytes:
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    (count,) = struct.unpack_from(">I", profile, 128)
    places = {bytes(profile[at : at + 4]): at + 4 for at in range(132, 132 + 12 * count, 12)}
    red, blue = places[b"rXYZ"], places[b"bXYZ"]
    profile[red : red + 4], profile[blue : blue + 4] = (
        profile[blue : blue + 4],
        profile[red : red + 4],
    )
    return bytes(profile)


def test_colours_are_what_the_profile_says(pictures: ModuleType) -> None:
    image = Image.new("RGB", (40, 40), (220, 10, 10))
    strange = saved(image, icc_profile=profile_with_red_for_blue())
    red, _, blue = opened(pictures.render(strange).sizes["web"]).getpixel((20, 20))
    assert blue > 190 and red < 60
    for useless in (b"no profile", ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))):
        profile = useless if isinstance(useless, bytes) else useless.tobytes()
        plain = opened(pictures.render(saved(image, icc_profile=profile)).sizes["web"])
        assert plain.getpixel((20, 20)) == pytest.approx((220, 10, 10), abs=6)


def test_what_is_refused_and_why(pictures: ModuleType, samples: ModuleType) -> None:
    reasons = {}
    for file in samples.broken(1):
        with pytest.raises(pictures.Refused) as refused:
            pictures.render(file.content)
        reasons[file.name] = str(refused.value)
    assert reasons["bomb.png"].startswith("30000 × 30000 pixels would unpack to 3,600 MB")
    assert "truncated" in reasons["truncated.jpg"]
    assert reasons["a letter.jpg"] == "not a JPEG, PNG, WebP or GIF picture"
    for content in (b"", b"GIF89a", saved(Image.new("RGB", (9, 9)), "BMP")):
        with pytest.raises(pictures.Refused):
            pictures.render(content)


def test_the_same_bytes_give_the_same_sizes(pictures: ModuleType, samples: ModuleType) -> None:
    for kind in (samples.palette, samples.animation, samples.print_ready):
        content = kind(random.Random(3)).content
        assert pictures.render(content) == pictures.render(content)


def test_events_name_uploads(load: Load) -> None:
    load("thumbnails/resize", "pictures")
    app = load("thumbnails/resize")
    thing = {"key": "a+picture%2B%C3%BC", "eTag": "abc", "size": 12}
    record = {"s3": {"bucket": {"name": "b"}, "object": thing}, "eventTime": "2026-01-01T00:00:00Z"}
    (upload,) = app.uploads_in(json.dumps({"Records": [record]}))
    assert upload == ("b", "a picture+ü", "abc", 12, "2026-01-01T00:00:00Z")
    assert list(app.uploads_in(json.dumps({"Event": "s3:TestEvent", "Bucket": "b"}))) == []
