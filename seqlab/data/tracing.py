"""Pen strokes from an image of handwriting. Dimension key: N images, H rows, W columns, P points."""

from __future__ import annotations

import math

import torch
from torch import Tensor

Pixel = tuple[int, int]  # row, column
INK = 80  # of 255: from here on a pixel is written on
SHORTEST = 3  # pixels of a stroke; what is shorter is left over where lines meet
AROUND = ((-1, 0), (-1, 1), (0, 1), (1, 1), (1, 0), (1, -1), (0, -1), (-1, -1))  # clockwise from above


def thin(ink: Tensor) -> Tensor:
    """ink (N, H, W) of bools -> the same, lines one pixel wide.

    A pixel falls when 2 to 6 of its neighbours are ink, ink begins once on the way around it, and, in turns, one of the
    neighbours to the east or south or both of those to the north and west are empty, or the other way round.
    Source: T. Zhang and C. Suen, 1984, "A fast parallel algorithm for thinning digital patterns". What lies beyond the edge is empty.
    """
    ink = ink.clone()
    while True:
        before = ink.clone()
        for turn in (0, 1):
            padded = torch.nn.functional.pad(ink, (1, 1, 1, 1))
            rows, columns = ink.shape[1:]
            near = torch.stack([padded[:, 1 + down : 1 + down + rows, 1 + right : 1 + right + columns] for down, right in AROUND])
            beginnings = (~near & near.roll(-1, 0)).sum(0)
            north, east, south, west = near[0], near[2], near[4], near[6]
            kept = (east & south & (north | west)) if turn == 0 else (north & west & (east | south))
            ink &= ~((near.sum(0) >= 2) & (near.sum(0) <= 6) & (beginnings == 1) & ~kept)
        if torch.equal(ink, before):
            return ink


def walk(skeleton: set[Pixel]) -> list[list[Pixel]]:
    """Strokes over the pixels of lines one pixel wide, each straight on for as long as there are pixels.

    A stroke begins at the topmost end of a line, or where there is none at the topmost pixel and to the left, and goes on to
    the pixel that turns least. A stroke that begins or ends beside one that is written takes a pixel of it, so that they meet.
    """
    left, strokes = set(skeleton), []
    while left:
        place = min(left, key=lambda pixel: (len(_near(pixel, left)) > 1, pixel))
        path, heading, kept = [place], (0.0, -1.0), 0.0
        left.remove(place)
        while near := _near(path[-1], left):
            steps = {pixel: _direction(path[-1], pixel) for pixel in near}
            place = max(near, key=lambda pixel: steps[pixel][0] * heading[0] + steps[pixel][1] * heading[1])
            heading, kept = (kept * heading[0] + steps[place][0], kept * heading[1] + steps[place][1]), 0.5
            path.append(place)
            left.remove(place)
        if len(path) < SHORTEST:
            continue
        written = skeleton - left - set(path[:3])
        if strokes and (met := _near(path[0], {pixel for stroke in strokes for pixel in stroke})):
            path.insert(0, _nearest(path[0], met))
        if met := _near(path[-1], (written | {path[0]}) - set(path[-4:])):
            path.append(path[0] if path[0] in met else _nearest(path[-1], met))
        strokes.append(path)
    return strokes


def trace(images: Tensor) -> list[list[Tensor]]:
    """images (N, H, W) of bytes -> the strokes of each, points (P, 2) as x to the right and y downwards, in pixels.

    Each pixel of the thinned lines moves to the centre of the ink in the 3 × 3 around it, and to the mean of itself and its two
    neighbours on the stroke, the ends aside; every second point is kept, and the last.
    """
    skeletons = thin(images >= INK)
    traced = []
    for image, skeleton in zip(images.float(), skeletons, strict=True):
        centres = _centres(image)
        strokes = walk({(row, column) for row, column in skeleton.nonzero().tolist()})
        traced.append([_smooth(centres[tuple(torch.tensor(stroke).T)]) for stroke in strokes])
    return traced


def _near(pixel: Pixel, among: set[Pixel]) -> list[Pixel]:
    return [place for down, right in AROUND if (place := (pixel[0] + down, pixel[1] + right)) in among]


def _nearest(pixel: Pixel, among: list[Pixel]) -> Pixel:
    return min(among, key=lambda place: math.dist(pixel, place))


def _direction(start: Pixel, end: Pixel) -> tuple[float, float]:
    down, right = end[0] - start[0], end[1] - start[1]
    length = math.hypot(down, right)
    return down / length, right / length


def _centres(image: Tensor) -> Tensor:
    """image (H, W) -> for each pixel x and y of the centre of the ink around it, (H, W, 2)."""
    rows, columns = (torch.arange(size, dtype=image.dtype) for size in image.shape)
    x, y = image * columns, image * rows[:, None]
    sums = torch.nn.functional.avg_pool2d(torch.stack([x, y, image])[:, None], 3, 1, 1)[:, 0]
    return (sums[:2] / sums[2].clamp(min=1e-6)).permute(1, 2, 0)


def _smooth(points: Tensor) -> Tensor:
    """points (P, 2) -> about half of them."""
    middle = (points[:-2] + points[1:-1] + points[2:]) / 3
    points = torch.cat([points[:1], middle, points[-1:]])
    return points[::2] if len(points) % 2 else torch.cat([points[:-1:2], points[-1:]])
