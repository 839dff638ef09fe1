"""Images computed from public-domain and CC0 photographs of scikit-image: every step shows its real result."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image
from skimage import color, data, exposure, feature, filters, measure, morphology, restoration, segmentation

from .canvas import BLUE, GREEN, GREY, INK, ORANGE, RED, YELLOW, Canvas, Chart, Pictures, encoded, grid, photo, ticks


def histogram() -> Pictures:
    flat = 0.38 + 0.22 * data.camera() / 255
    stretched = exposure.rescale_intensity(flat, out_range=(0.0, 1.0))
    chart = Chart(
        (0, 255),
        (0, 1.05),
        title="How many pixels have which brightness",
        x_label="brightness",
        x_ticks=[(0, "0 black"), (128, "128"), (245, "255 white")],
        y_label="share",
    )
    for image, fill in ((flat, "#f4c79c"), (stretched, "#9dc0e4")):
        counts, edges = np.histogram(image * 255, bins=64, range=(0, 256))
        chart.area(edges[:-1], counts / counts.max(), fill)
    chart.note(122, 0.98, "before", ORANGE)
    chart.note(225, 0.6, "after", BLUE)
    both = flat.copy()
    both[:, 256:] = stretched[:, 256:]
    return {
        "histogram-1-flat.jpg": photo(flat[30:430, 60:512]),
        "histogram-2-chart.png": chart.picture(),
        "histogram-3-half.jpg": photo(both[30:430, 20:480]),
    }


def black_and_white() -> Pictures:
    cup = data.coffee() / 255
    small = [photo(a).resize((270, 180)) for a in (cup, cup[..., 0], cup[..., 1], cup[..., 2])]
    names = ["colour", "red only", "green only", "blue only"]
    mix = np.clip(0.75 * cup[..., 0] + 0.35 * cup[..., 1] - 0.1 * cup[..., 2], 0, 1)
    return {
        "black-and-white-1-channels.jpg": grid(list(zip(names, small, strict=False)), 2),
        "black-and-white-2-mix.jpg": photo(exposure.adjust_sigmoid(mix[40:360, 110:520], 0.45, 7)),
    }


def thirds() -> Pictures:
    launch = photo(data.rocket())
    canvas = Canvas(640, 427)
    canvas.paste(launch, 0, 0)
    for i in (1, 2):
        canvas.line([(640 * i / 3, 0), (640 * i / 3, 427)], YELLOW, 1.5)
        canvas.line([(0, 427 * i / 3), (640, 427 * i / 3)], YELLOW, 1.5)
    crop = launch.crop((207, 40, 547, 420))
    return {
        "thirds-1-grid.jpg": canvas.picture(),
        "thirds-2-crop.jpg": crop,
        "thirds-3-banner.jpg": launch.crop((0, 330, 640, 410)),
    }


def noise() -> Pictures:
    cat = data.chelsea() / 255
    grain = np.random.default_rng(7).normal(0, 0.16, cat.shape)
    noisy = np.clip(cat + grain, 0, 1)
    mean = filters.gaussian(noisy, 2.2, channel_axis=-1)
    median = np.stack([filters.median(noisy[..., c], morphology.disk(3)) for c in range(3)], axis=-1)
    gentle = restoration.denoise_nl_means(noisy, h=0.13, sigma=0.16, patch_size=5, patch_distance=6, channel_axis=-1)
    window = np.s_[65:185, 110:290]
    panels = [
        (n, photo(a[window]).resize((270, 180), Image.Resampling.BICUBIC))
        for n, a in (("as taken", noisy), ("blur", mean), ("median", median), ("non-local means", gentle))
    ]
    return {
        "noise-1-grain.jpg": photo(noisy),
        "noise-2-compared.jpg": grid(panels, 2),
        "noise-3-portrait.jpg": photo(gentle[:, 60:360]),
    }


def white_balance() -> Pictures:
    cup = data.coffee() / 255
    cast = np.clip(cup * (1.0, 0.74, 0.42), 0, 1)
    means = cast[np.quantile(cast[..., 2], 0.985) < cast[..., 2]].mean(0)  # the porcelain: the bluest pixels
    fixed = cast * (means[0] / means)
    chart = Chart(
        (-0.5, 2.5),
        (0, 1.1),
        title="Average colour of the white porcelain",
        y_label="mean, 0 to 1",
        x_ticks=[(0, "red"), (1, "green"), (2, "blue")],
        y_ticks=ticks(0, 0.5, 1),
    )
    for i, colour in enumerate((RED, GREEN, BLUE)):
        chart.bar(i, means[i], colour)
        chart.note(i, means[i] + 0.04, f"{means[i]:.2f}")
    return {
        "white-balance-1-lamp.jpg": photo(cast),
        "white-balance-2-means.png": chart.picture(),
        "white-balance-3-fixed.jpg": photo(fixed[60:360, 120:480]),
    }


def edges() -> Pictures:
    man = data.camera() / 255
    slope = filters.sobel(filters.gaussian(man, 1))
    thin = feature.canny(man, sigma=2)
    return {
        "edges-1-photo.jpg": photo(man),
        "edges-2-slope.jpg": photo(slope / slope.max() * 1.6),
        "edges-3-lines.png": photo(~morphology.dilation(thin)),
    }


def galaxies() -> Pictures:
    sky = data.hubble_deep_field()[200:560, 300:780]
    light = filters.gaussian(color.rgb2gray(sky), 1.2)
    mask = morphology.remove_small_objects(light > 0.16, max_size=11)
    found = measure.regionprops(measure.label(mask))
    canvas = Canvas(sky.shape[1], sky.shape[0])
    canvas.paste(photo(sky), 0, 0)
    for spot in found:
        canvas.circle(spot.centroid[1], spot.centroid[0], 4 + spot.equivalent_diameter_area * 0.7, None, YELLOW, 1.5)
    canvas.box(8, 8, 196, 38, "#000000", YELLOW, 1)
    canvas.text(102, 23, f"{len(found)} spots found", 17, YELLOW)
    return {
        "galaxies-1-sky.jpg": photo(sky),
        "galaxies-2-mask.png": photo(mask),
        "galaxies-3-found.jpg": canvas.picture(),
    }


def cell() -> Pictures:
    phase = filters.gaussian(data.cell() / 255, 1.5)[120:560, 60:500]
    limit = filters.threshold_otsu(phase)
    chart = Chart(
        (0, 255),
        (0, 1.05),
        title="Two humps: background and cell",
        x_label="brightness",
        y_label="share",
        x_ticks=[(0, "0"), (128, "128"), (255, "255")],
    )
    counts, bins = np.histogram(phase * 255, bins=85, range=(0, 255))
    chart.area(bins[:-1], np.sqrt(counts / counts.max()), "#9dc0e4")
    chart.curve([limit * 255] * 2, [0, 1], RED)
    chart.note(limit * 255 + 6, 0.9, f"threshold {limit * 255:.0f}", RED, anchor="lm")
    label = measure.label(morphology.opening(phase > limit, morphology.disk(4)))
    biggest = max(measure.regionprops(label), key=lambda r: r.area)
    outline = segmentation.mark_boundaries(color.gray2rgb(phase), label == biggest.label, (1, 0.85, 0), mode="thick")
    canvas = Canvas(440, 440)
    canvas.paste(photo(outline), 0, 0)
    canvas.text(220, 418, f"diameter {biggest.equivalent_diameter_area * 0.107:.1f} micrometres", 20, "#ffd900")
    return {
        "cell-1-phase.jpg": photo(phase),
        "cell-2-threshold.png": chart.picture(),
        "cell-3-outline.jpg": canvas.picture(),
    }


def retina() -> Pictures:
    eye = photo(data.retina()).resize((480, 480), Image.Resampling.LANCZOS)
    green = np.asarray(eye)[..., 1] / 255
    vessels = filters.sato(green, sigmas=(1.5, 2, 3), black_ridges=True)
    inside = morphology.erosion(green > 0.1, morphology.disk(11))
    lines = np.where(inside, vessels, 0)
    canvas = Canvas(480, 480)
    canvas.paste(eye, 0, 0)
    for words, x, y, tx, ty in (("optic disc", 48, 232, 120, 100), ("macula", 222, 258, 270, 350)):
        canvas.line([(x, y), (tx, ty)], "#ffffff", 1.5)
        canvas.text(tx, ty + (-12 if ty < y else 12), words, 19, "#ffffff")
    return {
        "retina-1-labels.jpg": canvas.picture(),
        "retina-2-green.jpg": photo(exposure.equalize_adapthist(green)),
        "retina-3-vessels.png": photo(1 - np.clip(lines / np.quantile(lines, 0.995), 0, 1)),
    }


def pixels() -> Pictures:
    cat = data.chelsea()
    eye = cat[95:125, 160:200]
    grey = (color.rgb2gray(cat[99:107, 158:168]) * 255).round().astype(int)
    canvas = Canvas(560, 448)
    for r, row in enumerate(grey):
        for c, value in enumerate(row):
            canvas.box(56 * c, 56 * r, 56 * c + 56, 56 * r + 56, (value,) * 3, GREY, 0.5)
            canvas.text(56 * c + 28, 56 * r + 28, str(value), 19, "#ffffff" if value < 128 else INK)
    squares = photo(eye).resize((560, 420), Image.Resampling.NEAREST)
    return {"pixels-1-cat.jpg": photo(cat), "pixels-2-squares.png": squares, "pixels-3-numbers.png": canvas.picture()}


def hidden() -> Pictures:
    wall = data.brick()[:328, :400]
    carrier = (wall & 0xFE) | data.horse().astype(np.uint8)
    planes = [(f"bit {b}", photo((carrier >> b & 1).astype(bool)).resize((200, 164))) for b in (7, 5, 3, 1)]
    return {
        "hidden-1-carrier.jpg": photo(carrier),
        "hidden-2-planes.png": grid(planes, 2),
        "hidden-3-secret.png": photo((carrier & 1).astype(bool)),
    }


def quality() -> Pictures:
    face = photo(data.astronaut()).crop((110, 10, 410, 310))
    files = encoded(face, "PNG", optimize=True), *(encoded(face, "JPEG", quality=q) for q in (95, 85, 50, 10))

    def saved(q: int) -> Image.Image:
        return Image.open(io.BytesIO(encoded(face, "JPEG", quality=q))).crop((70, 60, 200, 190)).resize((270, 270))

    chart = Chart(
        (-0.5, 4.5),
        (0, 190),
        title="Size of one 300 by 300 photograph",
        y_label="kilobytes",
        x_ticks=list(enumerate(["PNG", "JPEG 95", "85", "50", "10"])),
        y_ticks=ticks(0, 50, 100, 150),
    )
    for i, size in enumerate(map(len, files)):
        chart.bar(i, size / 1000, GREEN if i == 0 else BLUE)
        chart.note(i, size / 1000 + 8, f"{size / 1000:.0f}")
    return {
        "quality-1-compared.jpg": grid([("quality 95", saved(95)), ("quality 10", saved(10))], 2),
        "quality-2-sizes.png": chart.picture(),
        "quality-3-portrait.png": encoded(face, "JPEG", quality=90),
    }  # the name says PNG: a fault on purpose


def halftone() -> Pictures:
    cup = photo(data.coffee()[20:380, 100:520])
    inks = cup.convert("CMYK")
    panels, tints = [], ((0, 174, 239), (236, 0, 140), (255, 222, 0))
    for name, ink, tint in zip(("cyan", "magenta", "yellow"), inks.split(), tints, strict=False):
        share = np.asarray(ink)[..., None] / 255
        panels.append((name, photo(1 - share * (1 - np.array(tint) / 255)).resize((210, 180))))
    grey = np.asarray(cup.convert("L").resize((70, 60)))
    canvas = Canvas(490, 420)
    for r in range(60):
        for c in range(70):
            radius = 3.6 * (1 - grey[r, c] / 255) ** 0.5 * 1.25
            canvas.circle(7 * c + 3.5, 7 * r + 3.5, radius, INK, None)
    panels.append(("all together", cup.resize((210, 180))))
    return {
        "halftone-1-cmyk.jpg": encoded(inks, "JPEG", quality=85),
        "halftone-2-inks.jpg": grid(panels, 2),
        "halftone-3-dots.png": canvas.picture(),
    }


ALL = (
    histogram,
    black_and_white,
    thirds,
    noise,
    white_balance,
    edges,
    galaxies,
    cell,
    retina,
    pixels,
    hidden,
    quality,
    halftone,
)
