/** A point of a text chart. */
export type Point = readonly [x: number, y: number];

const label = (value: number): string =>
  Math.abs(value) >= 1000 || (value !== 0 && Math.abs(value) < 0.01) ? value.toExponential(1) : value.toFixed(2);

/**
 * Draws points as rows of text: the mean of the points that fall into a column, the vertical axis to the left, first and last x below. Returns an empty
 * text for fewer than two points.
 */
export function textChart(points: readonly Point[], size: { readonly width: number; readonly height: number }, xLabel: string): string {
  const finite = points.filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  const xs = finite.map(([x]) => x);
  const [x0, x1] = [Math.min(...xs), Math.max(...xs)];
  if (finite.length < 2 || x0 === x1) return '';
  const ys = finite.map(([, y]) => y);
  const [low, high] = [Math.min(...ys), Math.max(...ys)];
  const labels = [label(high), label((low + high) / 2), label(low)] as const;
  const margin = Math.max(...labels.map((l) => l.length));
  const columns = Math.max(10, size.width - margin - 3);
  const rows = Math.max(3, size.height);
  const sums = Array.from({ length: columns }, () => ({ sum: 0, n: 0 }));
  for (const [x, y] of finite) {
    const cell = sums[Math.round(((x - x0) / (x1 - x0)) * (columns - 1))] as { sum: number; n: number };
    cell.sum += y;
    cell.n++;
  }
  const rowOf = sums.map(({ sum, n }) => (n === 0 ? -1 : Math.round(((high - sum / n) / (high - low || 1)) * (rows - 1))));
  const middle = (rows - 1) >> 1;
  const drawn = Array.from({ length: rows }, (_, row) => {
    const text = row === 0 ? labels[0] : row === middle ? labels[1] : row === rows - 1 ? labels[2] : '';
    return `${text.padStart(margin)} |${rowOf.map((r) => (r === row ? '*' : ' ')).join('')}`.trimEnd();
  });
  const [first, last] = [String(x0), `${x1} ${xLabel}`];
  const gap = ' '.repeat(Math.max(1, columns - first.length - last.length));
  return [...drawn, `${' '.repeat(margin)} +${'-'.repeat(columns)}`, `${' '.repeat(margin + 2)}${first}${gap}${last}`].join('\n');
}
