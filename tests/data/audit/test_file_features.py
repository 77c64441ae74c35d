"""What a file tells that is not the patient is read off it, whatever it shows."""

import dataclasses
import io

import numpy as np
import pytest
from PIL import Image

from trainer.data.audit import file_features
from trainer.data.decode import radiograph


def picture(seed: int = 0, width: int = 240, height: int = 160) -> Image.Image:
    """Smooth structure with some noise, grey."""
    random = np.random.default_rng(seed)
    coarse = Image.fromarray(random.uniform(40, 220, (12, 16)).astype(np.float32))
    smooth = np.asarray(coarse.resize((width, height), Image.Resampling.BICUBIC))
    noisy = smooth + random.normal(0, 3, smooth.shape)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))


def saved(image: Image.Image, kind: str = "JPEG", **options) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def features(data: bytes) -> file_features.FileFeatures:
    return file_features.measure(data, radiograph.decode(data, 4096))


def through_jpeg(image: Image.Image, quality: int) -> bytes:
    """A PNG of what JPEG left of the image."""
    return saved(Image.open(io.BytesIO(saved(image, quality=quality))), "PNG")


@pytest.mark.parametrize("quality", [30, 75, 90, 95])
def test_the_quality_of_a_jpeg_is_read_from_its_tables(quality: int):
    assert features(saved(picture(), quality=quality)).quality == pytest.approx(quality, abs=1)


def test_tables_are_told_apart_and_known_again():
    tables = [
        features(saved(picture(seed), quality=quality)).table
        for seed, quality in [(0, 75), (1, 75), (0, 90)]
    ]
    assert tables[0] == tables[1] != tables[2]


def test_a_png_has_no_jpeg_encoding():
    found = features(saved(picture(), "PNG"))
    assert (found.format, found.quality, found.table, found.chroma) == ("PNG", 0.0, "", "")


def test_chroma_and_mode():
    colour = picture().convert("RGB")
    assert features(saved(colour, subsampling="4:2:0")).chroma == "4:2:0"
    assert features(saved(colour, subsampling="4:4:4")).chroma == "4:4:4"
    assert features(saved(colour)).mode == "RGB"
    assert (features(saved(picture())).mode, features(saved(picture())).chroma) == ("L", "")


def test_exif_is_seen():
    exif = Image.Exif()
    exif[0x010F] = "a maker"
    assert features(saved(picture(), exif=exif)).exif
    assert not features(saved(picture())).exif


def test_sizes():
    data = saved(picture(width=200, height=100))
    found = features(data)
    assert (found.width, found.height, found.aspect) == (200, 100, 2.0)
    assert (found.bytes, found.bytes_per_pixel) == (len(data), len(data) / 20_000)


def test_border_brightness_and_contrast():
    pixels = np.full((100, 200), 200, np.uint8)
    pixels[:3], pixels[-3:], pixels[:, :6], pixels[:, -6:] = 0, 0, 0, 0
    found = features(saved(Image.fromarray(pixels), "PNG"))
    assert found.border == 0
    assert found.black == pytest.approx(1 - 94 * 188 / 20_000)
    assert found.mean == pytest.approx(pixels.mean())
    assert found.contrast == pytest.approx(pixels.std(), rel=1e-3)


@pytest.mark.parametrize(("quality", "step"), [(50, 12.4), (75, 6), (85, 3.6)])
def test_the_quantiser_is_seen_in_the_pixels_after_a_lossless_copy(quality: int, step: float):
    assert features(through_jpeg(picture(), quality)).quantiser == pytest.approx(step, abs=0.5)


def test_the_quantiser_does_not_depend_on_what_is_shown():
    seen = {features(through_jpeg(picture(seed), 75)).quantiser for seed in range(5)}
    assert len(seen) == 1


def test_no_quantiser_is_seen_where_there_was_none():
    assert features(saved(picture(), "PNG")).quantiser == 1


def test_compression_makes_blocks_and_takes_the_fine_structure():
    before, after = features(saved(picture(), "PNG")), features(through_jpeg(picture(), 20))
    assert after.blockiness > before.blockiness + 0.2
    assert after.fineness < before.fineness - 0.3


def test_blocks_are_seen_after_a_crop():
    image = Image.open(io.BytesIO(through_jpeg(picture(), 20)))
    found = features(saved(image.crop((3, 5, 240, 160)), "PNG"))
    assert found.blockiness > features(saved(picture(), "PNG")).blockiness + 0.2


def test_a_flat_image_has_finite_features():
    found = dataclasses.asdict(features(saved(Image.new("L", (16, 16)), "PNG")))
    assert all(np.isfinite(value) for value in found.values() if not isinstance(value, str))


def test_what_pillow_cannot_read_has_the_features_of_its_pixels():
    pixels = np.full((20, 40, 1), 7, np.uint8)
    found = file_features.measure(b"DICM", pixels)
    assert (found.format, found.width, found.height, found.mean) == ("other", 40, 20, 7)


def test_every_feature_is_in_one_group():
    grouped = [field for fields in file_features.GROUPS.values() for field in fields]
    assert sorted(grouped) == sorted(
        field.name for field in dataclasses.fields(file_features.FileFeatures)
    )
