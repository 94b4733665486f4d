/** Levels of difficulty and the schedules of E2H Reasoner (arXiv:2506.06632) over them. */

/** Levels from 0: each distinct difficulty is one, or with `bins` > 0 they are put into so many bins of almost equally many distinct values. */
export function levelsOf(difficulty: Float64Array, bins: number): { readonly level: Int32Array; readonly levels: number } {
  const values = [...new Set(difficulty)].sort((a, b) => a - b);
  const levels = bins > 0 ? Math.min(Math.floor(bins), values.length) : values.length;
  const of = new Map(values.map((value, rank) => [value, Math.floor((rank * levels) / values.length)]));
  return { level: Int32Array.from(difficulty, (d) => of.get(d) as number), levels };
}

export interface ScheduleShape {
  readonly speed: number;
  readonly width: number;
  readonly floor: number;
}

const normalised = (x: readonly number[]): number[] => {
  const total = x.reduce((a, b) => a + b, 0);
  return x.map((v) => v / total);
};

const levelList = (levels: number): number[] => Array.from({ length: levels }, (_, k) => k);

/** Probability of each of `levels` levels when the share t of the run is done. */
export const e2hSchedules: Readonly<Record<string, (t: number, levels: number, shape: ScheduleShape) => number[]>> = {
  /** a bell around t^speed (levels - 1); mixed with `floor` for every level */
  gaussian: (t, levels, { speed, width, floor }) => {
    const centre = t ** speed * (levels - 1);
    const bell = normalised(levelList(levels).map((k) => Math.exp(-((k - centre) ** 2) / (2 * width ** 2))));
    return bell.map((p) => floor + (1 - levels * floor) * p);
  },
  /** from shares that fall linearly with the level to shares that rise */
  cosine: (t, levels) => {
    const early = (1 + Math.cos(Math.PI * t)) / 2;
    return normalised(levelList(levels).map((k) => early * (levels - k) + (1 - early) * (k + 1)));
  },
  balanced: (_, levels) => new Array(levels).fill(1 / levels),
  /** one level after the other */
  classic: (t, levels) => levelList(levels).map((k) => (k === Math.min(levels - 1, Math.floor(t * levels)) ? 1 : 0)),
};
