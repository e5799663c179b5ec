/** Rows as a picture: a bar for each engine, how many times worse than ours it does, on a logarithmic scale, and curves below them where a row has any. SVG 1.1, no script, no font of its own. */

import { multiple, type Row } from "./measure.ts";

const LEFT = 360;
const WIDTH = 480;
const BAR = 14;
const GAP = 16;
/** Height of a curve. */
const CURVE = 160;
/** Multiples of ours at the ends of the scale. */
const LEAST = 0.1;
const MOST = 100;

/** Colours that people who see red and green alike can tell apart. Source: Okabe and Ito, "Color Universal Design". */
const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9"];

const escaped = (text: string): string => text.replace(/[&<>"]/g, (one) => `&#${one.charCodeAt(0)};`);

const place = (times: number): number => {
  const inside = Math.min(MOST, Math.max(LEAST, times));
  return LEFT + (WIDTH * Math.log(inside / LEAST)) / Math.log(MOST / LEAST);
};

function bar(y: number, times: number, colour: string, label: string): string {
  const [zero, end] = [place(1), place(times)];
  const [x, width] = [Math.min(zero, end), Math.max(1, Math.abs(end - zero))];
  return (
    `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${BAR - 2}" fill="${colour}"/>` +
    `<text x="${Math.max(zero, end) + 4}" y="${y + BAR - 4}">${escaped(label)}</text>`
  );
}

const shown = (value: number): string => (value >= 100 ? value.toFixed(0) : value.toPrecision(3));

function group(row: Row, names: readonly string[], top: number): { readonly svg: string; readonly height: number } {
  const [ours = ""] = names;
  const bars = names.flatMap((name, index) => {
    const times = multiple(row, ours, name);
    const value = row.values.get(name);
    if (times === undefined || value === undefined) return [];
    const label = `${shown(value)} ${row.unit}${name === ours ? "" : `, ${shown(times)}x`}`;
    return [{ times, colour: COLOURS[index % COLOURS.length] ?? "", label }];
  });
  const title = `<text x="${LEFT - 8}" y="${top + BAR - 4}" text-anchor="end">${escaped(row.claim)}</text>`;
  const svg = bars.map(({ times, colour, label }, index) => bar(top + index * BAR, times, colour, label));
  return { svg: title + svg.join(""), height: Math.max(1, bars.length) * BAR + GAP };
}

/** Both axes from zero, so that what grows in proportion is a straight line through the corner. */
function curves(row: Row, names: readonly string[], top: number): { readonly svg: string; readonly height: number } {
  const all = [...(row.points?.values() ?? [])].flat();
  if (all.length === 0) return { svg: "", height: 0 };
  const [right, most] = [Math.max(...all.map(([x]) => x)), Math.max(1, ...all.map(([, y]) => y))];
  const [floor, at] = [top + CURVE, (x: number) => LEFT + (WIDTH * x) / right];
  const lines = names.map((name, index) => {
    const points = (row.points?.get(name) ?? []).map(
      ([x, y]) => `${at(x).toFixed(1)},${(floor - (CURVE * y) / most).toFixed(1)}`,
    );
    return `<polyline points="${points.join(" ")}" fill="none" stroke-width="2" stroke="${COLOURS[index % COLOURS.length]}"/>`;
  });
  const axes = `<path d="M${LEFT} ${top}V${floor}H${LEFT + WIDTH}" fill="none" stroke="#666"/>`;
  const texts = [
    `<text x="${LEFT - 8}" y="${floor - CURVE / 2}" text-anchor="end">${escaped(row.claim)}</text>`,
    `<text x="${LEFT - 8}" y="${top + 10}" text-anchor="end">${shown(most)} ${escaped(row.unit)}</text>`,
    `<text x="${LEFT + WIDTH}" y="${floor + 14}" text-anchor="end">${right}</text>`,
  ];
  return { svg: [axes, ...lines, ...texts].join(""), height: CURVE + 3 * GAP };
}

/** @param names  engines, ours first. @returns a document */
export function plot(rows: readonly Row[], names: readonly string[]): string {
  let top = 48;
  const groups: string[] = [];
  for (const row of rows) {
    const { svg, height } = group(row, names, top);
    groups.push(svg);
    top += height;
  }
  const bottom = top;
  for (const row of rows) {
    const { svg, height } = curves(row, names, top);
    groups.push(svg);
    top += height;
  }
  const legend = names.map(
    (name, index) =>
      `<rect x="${LEFT + index * 120}" y="10" width="12" height="12" fill="${COLOURS[index % COLOURS.length]}"/>` +
      `<text x="${LEFT + index * 120 + 18}" y="20">${escaped(name)}</text>`,
  );
  const lines = [LEAST, 1, 10, MOST].map(
    (times) =>
      `<line x1="${place(times)}" y1="40" x2="${place(times)}" y2="${bottom}" stroke="#ddd"/>` +
      `<text x="${place(times)}" y="38" text-anchor="middle" fill="#666">${times}x</text>`,
  );
  const size = `width="${LEFT + WIDTH + 180}" height="${top}"`;
  const parts = [`<rect width="100%" height="100%" fill="#fff"/>`, ...legend, ...lines, ...groups];
  const head = `<svg xmlns="http://www.w3.org/2000/svg" ${size} font-family="sans-serif" font-size="11">`;
  return [head, ...parts, "</svg>", ""].join("\n");
}
