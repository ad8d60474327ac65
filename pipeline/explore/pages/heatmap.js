// Maps as pictures over photos: the same bilinear interpolation between cell centres as in the job's overlays
// (transforms/overlays/render.py), in the same place, in colour tables of the same numbers.

const tables = new Map();

export function setTables(encoded) {
  for (const [name, text] of Object.entries(encoded)) tables.set(name, bytes(text));
}

export const colorNames = () => [...tables.keys()].filter((name) => name !== "signed");

const bytes = (text) => Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));

/** The map of a row: values, 0..1 of its maximum (below 0: evidence against, where the table has it); null without. */
export function mapOf(row) {
  if (!row?.cam || !row.cam_height || !row.cam_width) return null;
  const values = new Float32Array(bytes(row.cam).buffer);
  if (values.length !== row.cam_height * row.cam_width) return null;
  return { values, height: row.cam_height, width: row.cam_width, max: row.cam_max ?? 0, frame: row.frame };
}

/** `second - first`, each as shares of its mass; null where the grids differ. */
export function difference(first, second) {
  if (!first || !second || first.height !== second.height || first.width !== second.width) return null;
  const [a, b] = [first, second].map(({ values }) => {
    const mass = values.reduce((sum, value) => sum + Math.max(value, 0), 0);
    return values.map((value) => (mass > 0 ? Math.max(value, 0) / mass : 0));
  });
  return { ...second, values: b.map((value, place) => value - a[place]) };
}

/** For each pixel of one axis: its two cells and the weight of the second; null where the model did not look. */
function axis(pixels, start, end, cells, first, last) {
  const found = new Array(pixels);
  for (let pixel = 0; pixel < pixels; pixel++) {
    const position = start + ((pixel + 0.5) / pixels) * (end - start);
    if (position < first || position > last) { found[pixel] = null; continue; }
    const cell = Math.min(Math.max(position * cells - 0.5, 0), cells - 1);
    const low = Math.min(Math.floor(cell), cells - 1);
    found[pixel] = [low, Math.min(low + 1, cells - 1), cell - low];
  }
  return found;
}

/**
 * Draws a map on a canvas that lies over the photo; its opacity is the page's.
 *
 * `level` makes of a value the place in the colour table, 0..1.
 */
export function draw(canvas, map, tableName, level) {
  const context = canvas.getContext("2d");
  const { width, height } = canvas;
  const picture = context.createImageData(width, height);
  const table = tables.get(tableName) ?? tables.get("turbo");
  const [x0, y0, x1, y1, left, top, right, bottom] = map.frame;
  const columns = axis(width, x0, x1, map.width, left, right);
  const rows = axis(height, y0, y1, map.height, top, bottom);
  const { values } = map;
  for (let row = 0, at = 0; row < height; row++) {
    const down = rows[row];
    for (let column = 0; column < width; column++, at += 4) {
      const across = columns[column];
      if (down === null || across === null) continue;
      const [above, below, share] = down;
      const [before, after, part] = across;
      const upper = values[above * map.width + before] * (1 - part) + values[above * map.width + after] * part;
      const lower = values[below * map.width + before] * (1 - part) + values[below * map.width + after] * part;
      const value = level(upper * (1 - share) + lower * share);
      const color = 3 * Math.round(Math.min(Math.max(value, 0), 1) * 255);
      picture.data[at] = table[color];
      picture.data[at + 1] = table[color + 1];
      picture.data[at + 2] = table[color + 2];
      picture.data[at + 3] = 255;
    }
  }
  context.putImageData(picture, 0, 0);
}

/** How values become places in the colour table. `scale`: the largest score of all maps shown together. */
export function levels(mode, map, scale) {
  if (mode === "raw") return (value) => (Math.max(value, 0) * map.max) / (scale || 1);
  if (mode === "signed") return (value) => (value + 1) / 2;
  return (value) => value;
}

/** The largest value of a difference, so that small ones are seen. */
export function reach(map) {
  return map.values.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1;
}
