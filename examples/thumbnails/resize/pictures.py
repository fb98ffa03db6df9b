"""One picture in, its sizes out: upright, in sRGB, as WebP, without any metadata.

Whatever Pillow cannot or should not read is Refused, for good: the same bytes would fail again.
Memory is bounded: the header is looked at before a pixel is decoded, and all work after the first
reduction happens on a picture of at most 1280 pixels width.
https://pillow.readthedocs.io/en/stable/handbook/image-file-formats.html
"""

from contextlib import suppress
from dataclasses import dataclass
from io import BytesIO

from PIL import Image, ImageCms, UnidentifiedImageError

WIDTHS = {"web": 1280, "tablet": 768, "phone": 360}
FORMATS = ("JPEG", "PNG", "WEBP", "GIF")
PIXELS_MAX = 40_000_000  # 160 MB as RGBA; the hungriest decoder (WebP) peaks at 0.7 GB
WEBP_SIDE_MAX = 16383
QUALITY = 80
ORIENTATION = 0x0112
# What makes a picture upright, by the value of its EXIF orientation.
UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
Image.MAX_IMAGE_PIXELS = None  # PIXELS_MAX is less, and `_rendered` tells better
SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))


class Refused(Exception):
    """The file is no picture that this application takes; says why."""


@dataclass(frozen=True, slots=True)
class Size:
    width: int
    height: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Picture:
    """`width` and `height` of the original as it is to be looked at."""

    format: str
    width: int
    height: int
    sizes: dict[str, Size]


def render(content: bytes) -> Picture:
    try:
        with Image.open(BytesIO(content), formats=FORMATS) as original:
            return _rendered(original)
    except (Refused, MemoryError):
        raise
    except UnidentifiedImageError:
        raise Refused("not a JPEG, PNG, WebP or GIF picture") from None
    except Exception as error:  # decoders fail in many ways on broken files
        raise Refused(f"a broken file: {error}") from error


def _rendered(original: Image.Image) -> Picture:
    pixels = original.width * original.height
    if pixels > PIXELS_MAX:
        raise Refused(
            f"{original.width} × {original.height} pixels would unpack to"
            f" {pixels * 4 / 1e6:,.0f} MB; {PIXELS_MAX // 1_000_000} megapixels are the limit"
        )
    orientation = original.getexif().get(ORIENTATION, 1)
    width, height = original.size
    if orientation >= 5 and orientation in UPRIGHT:  # it lies on its side
        width, height = height, width
    largest = _upright(original, orientation, _fitting(width, height, max(WIDTHS.values())))
    largest = _in_srgb(largest, original.info.get("icc_profile"))
    sizes = {name: _webp(largest, _fitting(width, height, most)) for name, most in WIDTHS.items()}
    return Picture(original.format or "", width, height, sizes)


def _fitting(width: int, height: int, width_max: int) -> tuple[int, int]:
    """Never enlarged, never thinner than a pixel, never taller than WebP can be."""
    scale = min(1, width_max / width, WEBP_SIDE_MAX / height)
    return max(1, round(width * scale)), max(1, round(height * scale))


def _upright(original: Image.Image, orientation: int, size: tuple[int, int]) -> Image.Image:
    lying = size if orientation < 5 or orientation not in UPRIGHT else size[::-1]
    original.draft(None, lying)  # JPEG decodes at a fraction of its size
    picture = _smooth(original)
    if picture.size != lying:
        picture = picture.resize(lying, Image.Resampling.LANCZOS, reducing_gap=3)
    turn = UPRIGHT.get(orientation)
    return picture.transpose(turn) if turn is not None else picture


def _smooth(image: Image.Image) -> Image.Image:
    """In a mode that can be scaled; palettes become colours, 16 bits of grey become 8."""
    if image.mode.startswith("I"):
        return image.convert("I").point(lambda grey: grey / 256).convert("L")
    if image.mode in ("RGB", "RGBA", "L", "LA", "CMYK") and "transparency" not in image.info:
        return image.copy()  # decodes
    return image.convert("RGBA" if image.has_transparency_data else "RGB")


def _in_srgb(image: Image.Image, profile: bytes | None) -> Image.Image:
    alpha = image.getchannel("A") if image.mode in ("RGBA", "LA") else None
    colours = image.convert(image.mode.removesuffix("A")) if alpha else image
    if profile:
        # a profile that is broken or of another colour space is as good as none
        with suppress(ImageCms.PyCMSError, OSError):
            source = ImageCms.ImageCmsProfile(BytesIO(profile))
            colours = ImageCms.profileToProfile(colours, source, SRGB, outputMode="RGB") or colours
    colours = colours.convert("RGB")
    if alpha:
        colours.putalpha(alpha)
    return colours


def _webp(image: Image.Image, size: tuple[int, int]) -> Size:
    small = image.resize(size, Image.Resampling.LANCZOS) if image.size != size else image
    target = BytesIO()
    # said to be empty: else the profile would come along from the original
    small.save(target, "WEBP", quality=QUALITY, exif=b"", icc_profile=b"", xmp=b"")
    return Size(*size, target.getvalue())
