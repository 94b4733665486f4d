/** A range of values and where it lies on the page. */
export interface Scale {
  readonly domain: readonly [number, number];
  (value: number): number;
}

/** Linear map of `domain` to `range`; an empty domain maps to the middle. */
export function scaleOf(domain: readonly [number, number], range: readonly [number, number]): Scale {
  const [d0, d1] = domain;
  const [r0, r1] = range;
  const map = (value: number): number => (d1 === d0 ? (r0 + r1) / 2 : r0 + ((value - d0) / (d1 - d0)) * (r1 - r0));
  return Object.assign(map, { domain });
}

/** Round values (1, 2 or 5 times a power of ten apart) inside the domain, about `count` of them. */
export function ticks([low, high]: readonly [number, number], count: number): number[] {
  if (!(high > low)) return [low];
  const rough = (high - low) / Math.max(1, count);
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = ([1, 2, 5, 10].find((m) => m * power >= rough) ?? 10) * power;
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
}

/** Labels of ticks with as many decimals as tell them apart. */
export function tickLabels(values: readonly number[]): string[] {
  const step = values.length > 1 ? Math.abs((values[1] as number) - (values[0] as number)) : 1;
  const decimals = Math.min(8, Math.max(0, Math.ceil(-Math.log10(step) - 1e-9)));
  return values.map((v) =>
    v
      .toFixed(decimals)
      .replace(/^-(?=[0.]*$)/, '')
      .replace('-', '\u2212'),
  );
}

/** The span of values, widened by a share of itself on both sides. */
export function spanOf(values: readonly number[], pad: number): readonly [number, number] {
  const finite = values.filter(Number.isFinite);
  if (finite.length === 0) return [0, 1];
  const low = Math.min(...finite);
  const high = Math.max(...finite);
  const by = high > low ? (high - low) * pad : Math.max(Math.abs(low) * 0.05, 1e-3);
  return [low - by, high + by];
}
