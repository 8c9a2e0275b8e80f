"""Loops over vertices and pixels, compiled by Numba when they are first called: a picture in milliseconds, no GPU.

Import this inside functions: Numba itself takes most of a second to load. The compiled code is kept in Numba's cache.
"""

from collections.abc import Callable

import numpy as np
from numba import njit

SLIVER = 1e-4
"""Double area in square pixels under which a triangle is left out."""
EDGE = 1e-6
"""How far outside of a triangle, in shares of it, a pixel's middle still counts: no seam between neighbours."""


def _compiled(function: Callable) -> Callable:
    """Compile without Python's lock, so that threads draw side by side; kept on disk where there is a place for it."""
    try:
        return njit(nogil=True, cache=True, error_model="numpy")(function)
    except RuntimeError:  # no folder that the cache could be written to
        return njit(nogil=True, error_model="numpy")(function)


@_compiled
def mixed(rest, weights, deltas):
    """`rest` and what each shape adds to it, float32 [N]; a product of matrices would wake every core for each frame.

    Args:
        rest: float32 [N].
        weights: float32 [A].
        deltas: float32 [A, N].
    """
    out = rest.copy()
    for shape in range(len(weights)):
        weight = weights[shape]
        if weight != 0:
            for i in range(len(out)):
                out[i] += weight * deltas[shape, i]
    return out


@_compiled
def texel(texels, place, u, v, out):
    """A texture between its pixels, repeated beyond its edges, into `out` [4].

    Args:
        texels: every texture's linear RGBA one after the other, float32 [N, 4].
        place: first texel, height and width of this one.
        u: from its left edge, 1 is its width.
        v: from its upper edge, 1 is its height.
        out: changed.
    """
    start, height, width = place
    x, y = u * width - 0.5, v * height - 0.5
    left, top = int(np.floor(x)), int(np.floor(y))
    across, down = x - left, y - top
    columns, rows = (left % width, (left + 1) % width), (top % height, (top + 1) % height)
    for k in range(4):
        upper = texels[start + rows[0] * width + columns[0], k] * (1 - across)
        upper += texels[start + rows[0] * width + columns[1], k] * across
        lower = texels[start + rows[1] * width + columns[0], k] * (1 - across)
        lower += texels[start + rows[1] * width + columns[1], k] * across
        out[k] = upper * (1 - down) + lower * down


@_compiled
def nearest(screen, near, triangles, both_sides, cutoff, texture, skin, texels, places, top, left, depth, owner):
    """Put the nearest triangle of each pixel into `owner`, and how near it is into `depth`.

    Args:
        screen: vertices in pixels, x right and y down, float32 [V, 2].
        near: of each vertex, above 0, larger is nearer, float32 [V].
        triangles: int64 [F, 3]; those that run clockwise on the screen turn their back.
        both_sides: triangles that are seen from behind too, bool [F].
        cutoff: opacity under which there is a hole in a triangle, 0 where there are none, float32 [F].
        texture: see `coloured`, as `skin`, `texels` and `places`: what they have for triangles without a cutoff is
            not looked at.
        top: first row of the box that is drawn.
        left: its first column.
        depth: of the box, float32 [h, w]; what is nearer there stays; changed.
        owner: of the box, -1 before, int32 [h, w]; changed.
    """
    height, width = depth.shape
    for f in range(len(triangles)):
        a, b, c = triangles[f]
        ax, ay = screen[a, 0] - left, screen[a, 1] - top
        bx, by = screen[b, 0] - left, screen[b, 1] - top
        cx, cy = screen[c, 0] - left, screen[c, 1] - top
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if area > -SLIVER and not (both_sides[f] and area > SLIVER):
            continue
        low_x, high_x = max(0.0, np.ceil(min(ax, bx, cx) - 0.5)), min(width - 1.0, np.floor(max(ax, bx, cx) - 0.5))
        low_y, high_y = max(0.0, np.ceil(min(ay, by, cy) - 0.5)), min(height - 1.0, np.floor(max(ay, by, cy) - 0.5))
        if low_x > high_x or low_y > high_y:
            continue
        a_x, a_y, a_0 = (by - cy) / area, (cx - bx) / area, (bx * cy - by * cx) / area
        b_x, b_y, b_0 = (cy - ay) / area, (ax - cx) / area, (cx * ay - cy * ax) / area
        for row in range(int(low_y), int(high_y) + 1):
            a_row, b_row = a_y * (row + 0.5) + a_0, b_y * (row + 0.5) + b_0
            for column in range(int(low_x), int(high_x) + 1):
                of_a, of_b = a_x * (column + 0.5) + a_row, b_x * (column + 0.5) + b_row
                of_c = 1.0 - of_a - of_b
                if of_a < -EDGE or of_b < -EDGE or of_c < -EDGE:
                    continue
                here = of_a * near[a] + of_b * near[b] + of_c * near[c]
                if here <= depth[row, column]:
                    continue
                if cutoff[f] > 0:
                    cover = of_a * skin[a, 3] + of_b * skin[b, 3] + of_c * skin[c, 3]
                    if texture[f] >= 0:
                        u = of_a * skin[a, 4] + of_b * skin[b, 4] + of_c * skin[c, 4]
                        v = of_a * skin[a, 5] + of_b * skin[b, 5] + of_c * skin[c, 5]
                        start, tall, wide = places[texture[f]]
                        cover *= texels[
                            start + int(np.floor(v * tall)) % tall * wide + int(np.floor(u * wide)) % wide, 3
                        ]
                    if cover < cutoff[f]:
                        continue
                depth[row, column], owner[row, column] = here, f


@_compiled
def shares_at(screen, corners, x, y):
    """Weights of a triangle's three corners at a place of the picture."""
    a, b, c = corners
    ax, ay, bx, by = screen[a, 0] - x, screen[a, 1] - y, screen[b, 0] - x, screen[b, 1] - y
    cx, cy = screen[c, 0] - x, screen[c, 1] - y
    area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    of_a, of_b = (bx * cy - by * cx) / area, (cx * ay - cy * ax) / area
    return of_a, of_b, 1.0 - of_a - of_b


@_compiled
def lit(positions, normals, which, tints, shine, sharpness, camera, lamps, ambient, wrap, out):
    """Light some vertices and place them on the picture.

    Args:
        positions: of those, float32 [M, 3].
        normals: of those, of any length, float32 [M, 3].
        which: their indices, int64 [M].
        tints: linear RGB, float32 [V, 3].
        shine: float32 [V].
        sharpness: float32 [V].
        camera: rows right, up, towards it, its place; then focal length and the middle of the picture, [5, 3].
        lamps: direction to each and its colour, [L, 2, 3].
        ambient: light from below and from above, [2, 3].
        wrap: how far light creeps round a surface.
        out: x, y, nearness; the colour; light; glint, float32 [V, 12]; changed.
    """
    focus_px, middle_x, middle_y = camera[4]
    half_wall = (1 + wrap) ** 2
    for m in range(len(which)):
        v = which[m]
        dx, dy, dz = positions[m, 0] - camera[3, 0], positions[m, 1] - camera[3, 1], positions[m, 2] - camera[3, 2]
        away = -(dx * camera[2, 0] + dy * camera[2, 1] + dz * camera[2, 2])
        near = 1.0 / max(away, 1e-3)
        out[v, 0] = middle_x + (dx * camera[0, 0] + dy * camera[0, 1] + dz * camera[0, 2]) * near * focus_px
        out[v, 1] = middle_y - (dx * camera[1, 0] + dy * camera[1, 1] + dz * camera[1, 2]) * near * focus_px
        out[v, 2] = near
        nx, ny, nz = normals[m]
        length = max(np.sqrt(nx * nx + ny * ny + nz * nz), 1e-6)
        nx, ny, nz = nx / length, ny / length, nz / length
        far = np.sqrt(dx * dx + dy * dy + dz * dz)
        lx, ly, lz = -dx / far, -dy / far, -dz / far
        up = 0.5 + 0.5 * ny
        for k in range(3):
            out[v, 6 + k] = ambient[0, k] + (ambient[1, k] - ambient[0, k]) * up
            out[v, 9 + k] = 0.0
        for lamp in lamps:
            facing = nx * lamp[0, 0] + ny * lamp[0, 1] + nz * lamp[0, 2]
            diffuse = max(facing + wrap, 0.0) / half_wall
            hx, hy, hz = lx + lamp[0, 0], ly + lamp[0, 1], lz + lamp[0, 2]
            mirrored = (nx * hx + ny * hy + nz * hz) / np.sqrt(hx * hx + hy * hy + hz * hz)
            glint = 0.0
            if facing > 0 and mirrored > 0 and shine[v] > 0:
                glint = shine[v] * mirrored ** sharpness[v]
            for k in range(3):
                out[v, 6 + k] += diffuse * lamp[1, k]
                out[v, 9 + k] += glint * lamp[1, k]
        for k in range(3):
            out[v, 3 + k] = tints[v, k] * out[v, 6 + k] + out[v, 9 + k]


@_compiled
def coloured(owner, top, left, triangles, texture, looks, skin, texels, places, opaque, picture):
    """Colour the pixels that a layer of triangles covers, over what is there already.

    Args:
        owner: as `nearest` leaves it, whose `top`, `left` and `triangles` these are.
        texture: of each triangle, -1 for none, int64 [F].
        looks: what `lit` gives, float32 [V, 12].
        skin: linear RGBA and place on the texture of each vertex, float32 [V, 6].
        texels: see `texel`.
        places: first texel, height and width of each texture, int64 [N, 3].
        opaque: whether the layer's alpha means nothing.
        picture: linear RGB of the box, float32 [h, w, 3]; changed.
    """
    found = np.empty(4)
    colour = np.empty(3)
    for row in range(owner.shape[0]):
        for column in range(owner.shape[1]):
            f = owner[row, column]
            if f < 0:
                continue
            corners = triangles[f]
            a, b, c = corners
            of_a, of_b, of_c = shares_at(looks, corners, left + column + 0.5, top + row + 0.5)
            cover = of_a * skin[a, 3] + of_b * skin[b, 3] + of_c * skin[c, 3]
            if texture[f] < 0:
                for k in range(3):
                    colour[k] = of_a * looks[a, 3 + k] + of_b * looks[b, 3 + k] + of_c * looks[c, 3 + k]
            else:
                u = of_a * skin[a, 4] + of_b * skin[b, 4] + of_c * skin[c, 4]
                v = of_a * skin[a, 5] + of_b * skin[b, 5] + of_c * skin[c, 5]
                texel(texels, places[texture[f]], u, v, found)
                cover *= found[3]
                for k in range(3):
                    tint = of_a * skin[a, k] + of_b * skin[b, k] + of_c * skin[c, k]
                    light = of_a * looks[a, 6 + k] + of_b * looks[b, 6 + k] + of_c * looks[c, 6 + k]
                    glint = of_a * looks[a, 9 + k] + of_b * looks[b, 9 + k] + of_c * looks[c, 9 + k]
                    colour[k] = found[k] * tint * light + glint
            cover = 1.0 if opaque else min(max(cover, 0.0), 1.0)
            for k in range(3):
                picture[row, column, k] += (colour[k] - picture[row, column, k]) * cover


@_compiled
def developed(linear, samples, table, out):
    """Average samples [h * n, w * n, 3] and look their brightness up: `out` [h, w, 3] becomes sRGB.

    Args:
        linear: float32, 0 dark, 1 bright.
        samples: n in each direction.
        table: sRGB of evenly spaced brightness, uint8 [N].
        out: changed.
    """
    scale = (len(table) - 1) / (samples * samples)
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            for k in range(3):
                total = 0.0
                for i in range(samples):
                    for j in range(samples):
                        total += linear[row * samples + i, column * samples + j, k]
                out[row, column, k] = table[min(max(int(total * scale), 0), len(table) - 1)]
