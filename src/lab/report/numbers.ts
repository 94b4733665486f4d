/** Seconds as "42s", "3m 05s" or "2h 07m". */
export function duration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '-';
  const s = Math.max(0, Math.round(seconds));
  const pad = (n: number): string => String(n).padStart(2, '0');
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.floor(s / 60)}m ${pad(s % 60)}s`;
  return `${Math.floor(s / 3600)}h ${pad(Math.floor((s % 3600) / 60))}m`;
}

/** A count with an SI suffix and three digits: 1.02M, 4.1T. */
export function si(value: number): string {
  const units = ['', 'k', 'M', 'G', 'T', 'P', 'E'];
  let unit = 0;
  let v = value;
  while (Math.abs(v) >= 999.5 && unit < units.length - 1) {
    v /= 1000;
    unit++;
  }
  return `${unit === 0 ? String(Math.round(v * 100) / 100) : v.toPrecision(3)}${units[unit]}`;
}

/** Bytes in binary units: "231 MiB", "1.42 GiB". */
export function bytes(value: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  const unit = value > 0 ? Math.min(units.length - 1, Math.floor(Math.log2(value) / 10)) : 0;
  const v = value / 1024 ** unit;
  return `${v >= 100 || unit === 0 ? v.toFixed(0) : v.toPrecision(3)} ${units[unit]}`;
}

/** Decimals that show a spread (half an interval) with two digits: 3 to 6 of them. */
export function decimalsFor(spreads: readonly number[]): number {
  const finite = spreads.filter((s) => Number.isFinite(s) && s > 0);
  if (finite.length === 0) return 3;
  return Math.min(6, Math.max(3, 1 - Math.floor(Math.log10(Math.min(...finite)))));
}

/** A number with its sign always shown. */
export const signed = (x: number, decimals: number, minus = '-'): string => {
  const text = Math.abs(x).toFixed(decimals);
  return Number(text) === 0 ? text : `${x < 0 ? minus : '+'}${text}`;
};
