"""Diagrams drawn for the corpus: money, votes, land and sky."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image
from skimage import measure

from .canvas import (
    BLUE,
    GREEN,
    GREY,
    INK,
    ORANGE,
    RED,
    VIOLET,
    YELLOW,
    Canvas,
    Chart,
    Pictures,
    encoded,
    grid,
    photo,
    ticks,
)


def compound() -> Pictures:
    years = np.arange(0, 31)
    plain, grown = 1000 * (1 + 0.05 * years), 1000 * 1.05**years
    chart = Chart(
        (0, 30),
        (0, 4600),
        title="1,000 saved once, at 5 % a year",
        x_label="years",
        y_label="money",
        x_ticks=ticks(0, 10, 20, 30),
        y_ticks=ticks(0, 1000, 2000, 3000, 4000),
    )
    chart.curve(years, plain, ORANGE)
    chart.curve(years, grown, GREEN)
    chart.note(29.5, 4480, f"interest left in: {grown[-1]:,.0f}", GREEN, anchor="rm")
    chart.note(29.5, 1500, f"interest taken out: {plain[-1]:,.0f}", ORANGE, anchor="rm")
    bars = Chart(
        (-0.6, 3.6),
        (0, 46000),
        title="50 a month at 5 %: what you paid, what it earned",
        y_label="money",
        x_ticks=list(enumerate(("5 years", "10 years", "20 years", "30 years"))),
        y_ticks=ticks(0, 10000, 20000, 30000, 40000),
    )
    for i, span in enumerate((5, 10, 20, 30)):
        paid, total = 600 * span, 50 * ((1 + 0.05 / 12) ** (12 * span) - 1) / (0.05 / 12)
        bars.bar(i, total, GREEN)
        bars.bar(i, paid, BLUE)
        bars.note(i, total + 1200, f"{total:,.0f}")
    return {"compound-1-curves.png": chart.picture(), "compound-2-bars.png": bars.picture()}


def contours() -> Pictures:
    y, x = np.mgrid[0:400, 0:480]
    hill = (
        60
        + 260 * np.exp(-((x - 180) ** 2 / 9000 + (y - 190) ** 2 / 14000))
        + 190 * np.exp(-((x - 350) ** 2 / 4200 + (y - 240) ** 2 / 5200))
        + 12 * np.sin(x / 31) * np.cos(y / 27)
    )
    dy, dx = np.gradient(hill)
    light = (1 + 0.16 * (dx + dy)) / np.sqrt(3 * (1 + (0.16 * dx) ** 2 + (0.16 * dy) ** 2))  # from the upper left
    high = np.clip((hill - 60) / 260, 0, 1)[..., None]
    tint = (1 - high) * np.array([0.62, 0.80, 0.48]) + high * np.array([0.93, 0.86, 0.74])
    shade = photo(np.clip(light * 1.5, 0.1, 1.15)[..., None] * tint)
    chart = Canvas(480, 400, "#fbf8ef")
    for level in range(60, 330, 20):
        for line in measure.find_contours(hill, level):
            chart.line([(c, r) for r, c in line], "#a5713a", 2.4 if level % 100 == 0 else 1.1)
    for level, row, column in ((100, 318, 178), (200, 262, 178)):
        chart.box(column - 17, row - 10, column + 17, row + 10, "#fbf8ef", None)
        chart.text(column, row, str(level), 15, "#7d4f1f")
    chart.line([(20, 205), (460, 232)], BLUE, 2)
    chart.text(16, 190, "A", 20, BLUE, "lm")
    chart.text(464, 216, "B", 20, BLUE, "rm")
    ways = np.linspace(0, 1, 120)
    heights = hill[(205 + 27 * ways).astype(int), (20 + 440 * ways).astype(int)]
    profile = Chart(
        (0, 2.2),
        (0, 350),
        title="The walk from A to B, seen from the side",
        x_label="kilometres",
        y_label="metres",
        x_ticks=ticks(0, 0.5, 1, 1.5, 2),
        y_ticks=ticks(0, 100, 200, 300),
    )
    profile.area(ways * 2.2, heights, "#cfe0c2")
    profile.curve(ways * 2.2, heights, GREEN)
    deep = Image.fromarray((hill / hill.max() * 65535).astype(np.uint16))  # one 16-bit channel
    return {
        "contours-1-heights.png": encoded(deep, "PNG"),
        "contours-2-map.png": chart.picture(),
        "contours-3-profile.png": profile.picture(),
        "contours-4-relief.jpg": shade,
    }


def moon() -> Pictures:
    orbit = Canvas(560, 400, "#0e1626")
    for height in (120, 200, 280):
        orbit.arrow(12, height, 84, height, YELLOW, 3)
    orbit.text(48, 330, "sunlight", 17, YELLOW)
    orbit.circle(320, 200, 140, None, "#3d4b66", 1.5)
    orbit.circle(320, 200, 30, "#2f6fb0", None)
    orbit.text(320, 200, "Earth", 15, "#ffffff")
    names = {180: "new", 0: "full", 270: "first quarter", 90: "last quarter"}
    for angle in range(0, 360, 45):
        x, y = 320 + 140 * math.cos(math.radians(angle)), 200 - 140 * math.sin(math.radians(angle))
        orbit.circle(x, y, 17, "#46536b", None)
        orbit.pen.pieslice((2 * x - 34, 2 * y - 34, 2 * x + 34, 2 * y + 34), 90, 270, fill="#f3efdd")
        if angle in names:
            dx, dy = (60, 0) if angle == 0 else (0, -32) if angle == 90 else (0, 34) if angle == 270 else (0, 32)
            orbit.text(x + dx, y + dy, names[angle], 16, "#dfe6f2")
    faces = []
    phases = ("new", "crescent", "first quarter", "gibbous", "full", "gibbous", "last quarter", "crescent")
    for i, name in enumerate(phases):
        face = np.zeros((120, 120, 3)) + np.array([0.055, 0.086, 0.15])
        v, u = (np.mgrid[0:120, 0:120] - 59.5) / 52
        disc = u**2 + v**2 < 1
        edge = math.cos(math.pi * i / 4) * np.sqrt(np.clip(1 - v**2, 0, 1))
        lit = disc & ((u > edge) if i <= 4 else (u < -edge))
        face[disc], face[lit] = (0.2, 0.24, 0.31), (0.95, 0.93, 0.86)
        faces.append((name, photo(face)))
    return {"moon-1-orbit.png": orbit.picture(), "moon-2-faces.png": grid(faces, 4)}


def sundial() -> Pictures:
    latitude = math.radians(50)
    dial = Canvas(520, 400, "#f6f1e4")
    dial.box(20, 20, 500, 380, "#fbf8f0", "#b9a77f", 3)
    for hour in range(6, 19):
        turn = math.radians(15 * (hour - 12))
        angle = math.atan2(math.sin(latitude) * math.sin(turn), math.cos(turn))
        across, up = math.sin(angle), math.cos(angle)
        dial.line([(260, 320), (260 + 195 * across, 320 - 195 * up)], INK, 2 if hour != 12 else 3.5)
        dial.text(260 + 216 * across, 320 - 216 * up, str(hour), 20)
    dial.circle(260, 320, 7, RED, None)
    dial.text(260, 352, "foot of the gnomon", 16, RED)
    dial.text(260, 54, "north", 16, GREY)
    side = Canvas(520, 320, "#eef4fa")
    side.line([(40, 280), (480, 280)], "#8a6b3d", 7)
    side.polygon([(170, 280), (370, 280), (370, 280 - 200 * math.tan(latitude))], "#e8c56f")
    side.arc(170, 280, 70, 310, 360, RED, 3)
    side.text(276, 256, "50 degrees", 17, RED)
    side.text(440, 260, "north", 17, GREY)
    side.text(150, 80, "slope points at the Pole Star", 17)
    side.arrow(300, 90, 350, 30, BLUE)
    return {"sundial-1-gnomon.png": side.picture(), "sundial-2-face.png": dial.picture()}


def vote() -> Pictures:
    def count(title: str, shares: tuple[int, ...], note: str) -> Image.Image:
        chart = Chart(
            (-0.5, 3.5),
            (0, 70),
            title=title,
            y_label="votes",
            x_ticks=list(enumerate(("Park", "Pool", "Library", "Skate ramp"))),
            y_ticks=ticks(0, 20, 40, 60),
        )
        for i, (share, colour) in enumerate(zip(shares, (BLUE, GREEN, ORANGE, VIOLET), strict=False)):
            chart.bar(i, share, colour)
            chart.note(i, max(share - 7, 4) if share else 3, str(share), "#ffffff" if share else INK)
        chart.curve((-0.5, 3.5), (50, 50), RED, 1.5)
        chart.note(3.45, 53, "majority of 100", RED, 14, "rm")
        chart.note(1.5, 65, note, GREY)
        return chart.picture()

    ballot = Canvas(400, 320, "#fbf9f2")
    ballot.box(30, 20, 370, 300, "#ffffff", GREY)
    ballot.text(200, 52, "What should the town build?", 20)
    for i, (name, rank) in enumerate((("Park", "2"), ("Pool", ""), ("Library", "1"), ("Skate ramp", "3"))):
        y = 100 + 48 * i
        ballot.box(60, y - 16, 94, y + 16, None, INK, 1.5)
        ballot.text(77, y, rank, 22, BLUE)
        ballot.text(115, y, name, 20, anchor="lm")
    return {
        "vote-1-ballot.png": ballot.picture(),
        "vote-2-first.png": count("First count", (38, 32, 21, 9), "nobody has a majority"),
        "vote-3-last.png": count("After two transfers", (46, 54, 0, 0), "the Pool wins"),
    }


def eggs() -> Pictures:
    chart = Chart(
        (3, 13),
        (0, 4),
        title="Minutes in boiling water, medium egg from the fridge",
        x_label="minutes",
        x_ticks=ticks(*range(4, 13)),
    )
    stages = (
        (4, 6, "#f5a623", "runny yolk"),
        (6, 8, "#f7bd54", "jammy"),
        (8, 10, "#f9d27f", "just set"),
        (10, 12, "#f5e2a8", "firm and pale"),
    )
    for row, (x0, x1, colour, words) in enumerate(stages):
        a, b = chart.at(x0, 3.7 - row * 0.9), chart.at(x1, 3.1 - row * 0.9)
        chart.canvas.box(a[0], a[1], b[0], b[1], colour, None)
        chart.note((x0 + x1) / 2, 3.4 - row * 0.9, words)
    return {"eggs-1-minutes.png": chart.picture()}


def signs() -> Pictures:
    warning, ban, order, stop = (Canvas(320, 300, "#eaf1f6") for _ in range(4))
    warning.polygon([(160, 30), (285, 250), (35, 250)], RED, None)
    warning.polygon([(160, 74), (247, 228), (73, 228)], "#ffffff", None)
    warning.polygon([(149, 112), (171, 112), (166, 182), (154, 182)], INK, None)
    warning.circle(160, 204, 10, INK, None)
    ban.circle(160, 150, 118, RED, None)
    ban.box(82, 128, 238, 172, "#ffffff", None)
    order.circle(160, 150, 118, BLUE, None)
    order.arrow(240, 150, 76, 150, "#ffffff", 24, 62)
    turns = [math.radians(22.5 + 45 * i) for i in range(8)]
    stop.polygon([(160 + 126 * math.cos(a), 150 + 126 * math.sin(a)) for a in turns], "#ffffff", RED, 1)
    stop.polygon([(160 + 117 * math.cos(a), 150 + 117 * math.sin(a)) for a in turns], RED, None)
    stop.text(160, 150, "STOP", 66, "#ffffff")
    names = ("signs-1-warning.png", "signs-2-no-entry.png", "signs-3-turn-left.png", "signs-4-stop.png")
    return dict(zip(names, (c.picture() for c in (warning, ban, order, stop)), strict=False))


ALL = (compound, contours, moon, sundial, vote, eggs, signs)
