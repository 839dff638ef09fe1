"""Diagrams drawn for the corpus: circuits, algorithms, crafts."""

from __future__ import annotations

import itertools
import math

import numpy as np
from PIL import Image

from .canvas import BLUE, GREEN, GREY, INK, ORANGE, RED, Canvas, Chart, Pictures, encoded, grid, ticks

BANDS = ("#111111", "#7b4a21", "#d02f2f", "#ef8a1d", "#f6d72c", "#2f9b46", "#2a5fd0", "#8a4fc7", "#8d8d8d", "#f7f7f7")
NAMES = ("black", "brown", "red", "orange", "yellow", "green", "blue", "violet", "grey", "white")


def led() -> Pictures:
    circuit = Canvas(540, 360)
    circuit.line([(90, 150), (90, 70), (200, 70)])
    circuit.line([(300, 70), (440, 70), (440, 140)])
    circuit.line([(440, 220), (440, 300), (90, 300), (90, 190)])
    zigzag = [(200 + 100 * i / 12, 70 + (0 if i in (0, 12) else 16 * (-1) ** i)) for i in range(13)]
    circuit.line(zigzag, INK, 2.5)
    for y, half in ((150, 34), (165, 17), (176, 34), (190, 17)):
        circuit.line([(90 - half, y), (90 + half, y)], INK, 3)
    circuit.polygon([(412, 155), (468, 155), (440, 202)], "#f6b1ac")
    circuit.line([(412, 204), (468, 204)], INK, 3)
    circuit.line([(440, 140), (440, 155)])
    circuit.line([(440, 204), (440, 220)])
    for x in (470, 486):
        circuit.arrow(x, 182, x + 28, 160, RED, 2)
    circuit.text(250, 32, "resistor 330 ohm", 19)
    circuit.text(190, 170, "battery 9 V", 19)
    circuit.text(360, 180, "red LED", 19)
    circuit.text(265, 326, "current flows from plus, through both parts, to minus", 16, GREY)
    chart = Chart(
        (100, 1000),
        (0, 75),
        title="Current through the LED at 9 volts",
        x_label="resistor in ohms",
        y_label="milliamperes",
        x_ticks=ticks(100, 330, 470, 680, 1000),
        y_ticks=ticks(0, 20, 40, 60),
    )
    ohms = np.linspace(100, 1000, 90)
    chart.curve(ohms, 7000 / ohms)
    chart.canvas.circle(*chart.at(330, 7000 / 330), 7, RED, None)
    chart.note(350, 27, "330 ohm: 21 mA", RED, anchor="lm")
    chart.curve((100, 1000), (30, 30), ORANGE, 1.5)
    chart.note(990, 33, "most small LEDs suffer above this", ORANGE, 14, "rm")
    return {"led-1-circuit.png": circuit.picture(), "led-2-current.png": chart.picture()}


def resistor() -> Pictures:
    part = Canvas(540, 290, "#f6f2e9")
    part.line([(20, 120), (520, 120)], "#9aa0a4", 7)
    part.box(110, 78, 430, 162, "#e3c698", "#b08d57")
    for x, band in zip((150, 210, 270, 372), (BANDS[4], BANDS[7], BANDS[2], "#c9a13b"), strict=False):
        part.box(x, 78, x + 26, 162, band, None)
    for x, words in ((163, "4"), (223, "7"), (283, "x 100"), (385, "5 %")):
        part.text(x, 50, words, 20)
    part.text(270, 235, "yellow, violet, red, gold: 4,700 ohms, give or take 5 %", 18)
    table = Canvas(420, 420)
    table.text(210, 24, "Colour, digit, zeros to add", 20)
    for i, (name, band) in enumerate(zip(NAMES, BANDS, strict=False)):
        y = 62 + 35 * i
        table.box(40, y - 14, 120, y + 14, band, GREY, 1)
        table.text(140, y, name, 19, anchor="lm")
        table.text(270, y, str(i), 21)
        table.text(310, y, "0" * i if i < 7 else "", 16, GREY, "lm")
    return {"resistor-1-bands.png": part.picture(), "resistor-2-table.png": table.picture()}


def binary_search() -> Pictures:
    numbers, pictures = [3, 8, 12, 17, 21, 26, 34, 41, 55, 60, 72], {}
    steps = (
        (0, 10, 5, "26 is too small: forget the left half"),
        (6, 10, 8, "55 is too big: forget the right half"),
        (6, 7, 6, "34 is too small: one card remains"),
        (7, 7, 7, "41 found at the fourth look"),
    )
    for half in (0, 1):
        canvas = Canvas(600, 330)
        for row, (low, high, middle, words) in enumerate(steps[2 * half : 2 * half + 2]):
            y = 62 + 150 * row
            for i, number in enumerate(numbers):
                colour = ORANGE if i == middle else "#cfe1f2" if low <= i <= high else "#f0f2f4"
                colour = GREEN if i == middle and number == 41 else colour
                x = 22 + 51 * i
                canvas.box(x, y, x + 46, y + 52, colour, GREY, 1)
                canvas.text(x + 23, y + 26, str(number), 21, INK if low <= i <= high else "#b8c0c6")
            canvas.text(300, y - 24, f"Look {2 * half + row + 1}: search for 41", 18)
            canvas.text(300, y + 74, words, 17, ORANGE if 2 * half + row < 3 else GREEN)
        pictures[f"binary-search-{half + 1}-looks.png"] = canvas.picture()
    chart = Chart(
        (0, 1000),
        (0, 1050),
        title="Looks needed, at worst",
        x_label="cards in the row",
        y_label="looks",
        x_ticks=ticks(0, 250, 500, 750, 1000),
        y_ticks=ticks(0, 500, 1000),
    )
    chart.curve((0, 1000), (0, 1000), RED)
    chart.curve(range(1, 1001), [math.floor(math.log2(n)) + 1 for n in range(1, 1001)], GREEN)
    chart.note(560, 700, "one after the other", RED)
    chart.note(640, 60, "binary search: 10", GREEN)
    return {**pictures, "binary-search-3-growth.png": chart.picture()}


def koch() -> Pictures:
    corners = [complex(math.cos(a), math.sin(a)) for a in (-math.pi / 2, math.pi / 6, 5 * math.pi / 6)]
    turn, shapes, points = complex(0.5, -math.sqrt(3) / 2), [], [*corners, corners[0]]
    for _ in range(5):
        shapes.append(points)
        points = [
            p
            for a, b in itertools.pairwise(points)
            for p in (a, a + (b - a) / 3, a + (b - a) / 3 * (1 + turn), a + (b - a) * 2 / 3)
        ] + [points[0]]

    def flake(points: list[complex], side: int, fill: str, colour: str) -> Image.Image:
        canvas = Canvas(side, side)
        canvas.polygon(
            [(side / 2 + 0.43 * side * p.real, side / 2 + 0.43 * side * p.imag) for p in points], fill, colour, 2
        )
        return canvas.picture()

    edge = Canvas(560, 290)
    for x, tip in ((30, 0), (310, 60)):
        middle = [(x + 110, 150 - tip)] if tip else []
        edge.line([(x, 150), (x + 73, 150), *middle, (x + 147, 150), (x + 220, 150)], BLUE, 4)
    edge.arrow(262, 120, 298, 120)
    for x, words in ((140, "one line"), (420, "four lines, each a third as long")):
        edge.text(x, 205, words, 18)
    stages = [(f"after {n} rounds", flake(shapes[n], 230, "#e4eef8", BLUE)) for n in (0, 1, 2, 3)]
    return {
        "koch-1-rule.png": edge.picture(),
        "koch-2-rounds.png": grid(stages, 2),
        "koch-3-snowflake.png": flake(shapes[4], 480, "#bcd8f0", "#1f4e80"),
    }


def life() -> Pictures:
    board = np.zeros((9, 9), bool)
    board[1, 2] = board[2, 3] = board[3, 1:4] = True
    frames = []
    for _ in range(9):
        canvas = Canvas(324, 324)
        for r in range(9):
            for c in range(9):
                canvas.box(36 * c, 36 * r, 36 * c + 36, 36 * r + 36, GREEN if board[r, c] else "#f7f9fa", "#cfd6db", 1)
        frames.append(canvas.picture())
        near = sum(np.roll(board, (r, c), (0, 1)) for r in (-1, 0, 1) for c in (-1, 0, 1) if r or c)
        board = (near == 3) | board & (near == 2)
    rules = Canvas(580, 300)
    cases = (("stays", (1, 7), 1), ("is born", (0, 2, 7), 0), ("is lonely", (5,), 1), ("is crowded", (0, 1, 3, 8), 1))
    for i, (words, neighbours, alive) in enumerate(cases):
        x = 16 + 142 * i
        for k in range(9):
            full = k in neighbours or (k == 4 and alive)
            left, top, colour = x + 40 * (k % 3), 40 + 40 * (k // 3), ORANGE if k == 4 else GREEN
            rim = (RED, 2.5) if k == 4 else (GREY, 1)
            rules.box(left, top, left + 40, top + 40, colour if full else "#f7f9fa", *rim)
        rules.text(x + 60, 190, words, 19)
        rules.text(x + 60, 216, f"{len(neighbours)} neighbour{'s' * (len(neighbours) > 1)}", 16, GREY)
    gif = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:], duration=250, loop=0)
    strip = [(f"turn {n}", frames[n].resize((200, 200), Image.Resampling.LANCZOS)) for n in (0, 1, 2, 4)]
    return {"life-1-rules.png": rules.picture(), "life-2-turns.png": grid(strip, 2), "life-3-glider.gif": gif}


def quilt() -> Pictures:
    light, dark = ("#f4d9a8", "#f1c27b", "#f7e5c4", "#e8b56a"), ("#31566b", "#1f3b4d", "#4c7a8f", "#28485a")

    def block(canvas: Canvas, x: int, y: int, side: int, rounds: int, flip: tuple[int, int] = (1, 1)) -> None:
        unit, cx, cy = side / 9, x + side / 2, y + side / 2
        half = [unit / 2] * 4  # reach to the left, top, right and bottom

        def box(x0: float, y0: float, x1: float, y1: float, fill: str) -> None:
            xs, ys = sorted((cx + flip[0] * x0, cx + flip[0] * x1)), sorted((cy + flip[1] * y0, cy + flip[1] * y1))
            canvas.box(xs[0], ys[0], xs[1], ys[1], fill, "#ffffff", 1)

        box(-unit / 2, -unit / 2, unit / 2, unit / 2, RED)
        for r in range(rounds):
            left, top, right, bottom = half
            box(-left, -top - unit, right, -top, light[r])
            box(right, -top - unit, right + unit, bottom, light[(r + 1) % 4])
            box(-left, bottom, right + unit, bottom + unit, dark[r])
            box(-left - unit, -top - unit, -left, bottom + unit, dark[(r + 1) % 4])
            half = [h + unit for h in half]

    stages = []
    for rounds, words in ((0, "the hearth"), (1, "first round"), (2, "second round"), (4, "finished block")):
        canvas = Canvas(230, 230, "#f3f0ea")
        block(canvas, 7, 7, 216, rounds)
        stages.append((words, canvas.picture()))
    whole = Canvas(480, 480)
    for r in range(4):
        for c in range(4):
            block(whole, 120 * c, 120 * r, 120, 4, ((-1) ** c, (-1) ** r))
    fabric = Canvas(540, 300, "#efe9dd")
    for i, colour in enumerate((*light, *dark)):
        fabric.box(40, 26 + 32 * i, 470 - 20 * (i % 4), 50 + 32 * i, colour, "#ffffff", 1)
    fabric.box(486, 26, 526, 66, RED, "#ffffff", 1)
    return {
        "quilt-1-strips.png": fabric.picture(),
        "quilt-2-rounds.png": grid(stages, 2),
        "quilt-3-top.png": whole.picture(),
    }


def cross_stitch() -> Pictures:
    heart = (
        "..XX...XX..",
        ".XoXX.XXXX.",
        "XooXXXXXXXX",
        "XoXXXXXXXXX",
        "XXXXXXXXXXX",
        ".XXXXXXXXX.",
        "..XXXXXXX..",
        "...XXXXX...",
        "....XXX....",
        ".....X.....",
    )
    colours = {"X": "#c22f45", "o": "#f2a7b4"}
    chart, cloth, stitch = Canvas(430, 410), Canvas(430, 410, "#efe8d8"), Canvas(480, 270, "#efe8d8")
    for r in range(12):
        for c in range(13):
            x, y, mark = 20 + 30 * c, 25 + 30 * r, ""
            if 1 <= r <= 10 and 1 <= c <= 11:
                mark = heart[r - 1][c - 1].strip(".")
            chart.box(x, y, x + 30, y + 30, colours.get(mark), "#b9c1c7", 1)
            for dx, dy in ((0, 0), (30, 0), (0, 30), (30, 30)):
                cloth.circle(x + dx, y + dy, 2, "#cbbfa5", None)
            if mark:
                chart.text(x + 15, y + 15, "X" if mark == "X" else "/", 17, "#ffffff")
                cloth.line([(x + 3, y + 27), (x + 27, y + 3)], "#8f1f33" if mark == "X" else "#d98593", 5)
                cloth.line([(x + 3, y + 3), (x + 27, y + 27)], colours[mark], 6)
    for i, words in enumerate(("first leg", "second leg")):
        x = 60 + 220 * i
        for dx, dy in ((0, 0), (140, 0), (0, 140), (140, 140)):
            stitch.circle(x + dx, 50 + dy, 7, "#b3a688", None)
        stitch.line([(x, 190), (x + 140, 50)], "#8f1f33", 15)
        if i:
            stitch.line([(x, 50), (x + 140, 190)], "#c22f45", 15)
        stitch.text(x + 70, 232, words, 20)
    return {
        "cross-stitch-1-chart.png": chart.picture(),
        "cross-stitch-2-stitch.png": stitch.picture(),
        "cross-stitch-3-heart.png": cloth.picture(),
    }


def paper_cup() -> Pictures:
    # the folded triangle has its corners at (0, 0), (2, 0) and (1, 1); at `reach` the folded edges run level
    reach = 2 / (2 + math.sqrt(2))
    left, right, foot = (reach, reach), (2 - reach, reach), (2 * reach, 0)
    mirror = (2 - foot[0], 0)
    paper, back, light = "#f6c65b", "#fbe3ad", "#fdf1d3"
    shapes = (
        (
            "a square, creased",
            [([(0.3, -0.2), (1.7, -0.2), (1.7, 1.2), (0.3, 1.2)], paper), ([(0.3, -0.2), (1.7, 1.2)], None)],
        ),
        ("folded to a triangle", [([(0, 0), (2, 0), (1, 1)], paper)]),
        ("right corner across", [([(0, 0), foot, right, (1, 1)], paper), ([left, right, foot], back)]),
        (
            "left corner across",
            [([mirror, foot, right, (1, 1), left], paper), ([left, right, foot], back), ([right, left, mirror], light)],
        ),
        ("front flap down", [([mirror, foot, right, left], light), ([left, right, (1, 2 * reach - 1)], paper)]),
    )
    panels = []
    for words, polygons in shapes:
        scale, floor = (210, 190) if words == "front flap down" else (120, 190)
        canvas = Canvas(300, 230, "#eef3f6")
        for points, fill in polygons:
            canvas.polygon([(150 + scale * (x - 1), floor - scale * y) for x, y in points], fill)
        panels.append((words, canvas.picture()))
    cup = Canvas(360, 330, "#eef3f6")
    cup.polygon([(70, 90), (290, 90), (225, 290), (135, 290)], light)
    cup.polygon([(70, 90), (290, 90), (180, 210)], paper)
    cup.pen.ellipse((140, 110, 580, 250), fill="#c9973a", outline=INK, width=4)
    cup.pen.ellipse((190, 140, 530, 236), fill="#9fd0ee", outline=None)
    cup.text(180, 312, "water goes in, and stays in", 17)
    return {
        "paper-cup-1-triangle.png": grid(panels[:2], 2),
        "paper-cup-2-corners.png": grid(panels[2:4], 2),
        "paper-cup-3-flap.png": panels[4][1],
        "paper-cup-4-cup.png": cup.picture(),
    }


ALL = (led, resistor, binary_search, koch, life, quilt, cross_stitch, paper_cup)
