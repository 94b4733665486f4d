import { VitroError } from './errors.js';

/**
 * A symbolic dimension: a polynomial with integer coefficients over named sizes, e.g. `256*B` or `P + 1`.
 * Values are canonical, so two equal dimensions have the same `key`.
 */
export class SymDim {
  /** monomial ("" for the constant term, "B", "B*S") -> coefficient, sorted, no zero coefficients */
  readonly terms: ReadonlyMap<string, number>;
  readonly key: string;

  constructor(terms: ReadonlyMap<string, number>) {
    this.terms = new Map([...terms].filter(([, c]) => c !== 0).sort(([a], [b]) => (a < b ? -1 : 1)));
    this.key = [...this.terms].map(([m, c]) => (m === '' ? `${c}` : c === 1 ? m : `${c}*${m}`)).join('+');
  }

  toString(): string {
    return this.key;
  }
}

/** A size: a non-negative integer or a symbolic expression. */
export type Dim = number | SymDim;
export type Shape = readonly Dim[];

/** A named size, bound to a number when a compiled function runs. */
export function sym(name: string): SymDim {
  if (!/^[A-Za-z_]\w*$/.test(name)) throw new VitroError(`"${name}" cannot name a dimension: use letters, digits and _`);
  return new SymDim(new Map([[name, 1]]));
}

const termsOf = (d: Dim): ReadonlyMap<string, number> => (typeof d === 'number' ? new Map([['', d]]) : d.terms);

function normalise(terms: Map<string, number>): Dim {
  const dim = new SymDim(terms);
  if (dim.terms.size === 0) return 0;
  const constant = dim.terms.get('');
  return dim.terms.size === 1 && constant !== undefined ? constant : dim;
}

export function dimAdd(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a + b;
  const out = new Map(termsOf(a));
  for (const [m, c] of termsOf(b)) out.set(m, (out.get(m) ?? 0) + c);
  return normalise(out);
}

export const dimSub = (a: Dim, b: Dim): Dim => dimAdd(a, dimMul(b, -1));

export function dimMul(a: Dim, b: Dim): Dim {
  if (typeof a === 'number' && typeof b === 'number') return a * b;
  const out = new Map<string, number>();
  for (const [ma, ca] of termsOf(a))
    for (const [mb, cb] of termsOf(b)) {
      const m = [...ma.split('*'), ...mb.split('*')].filter(Boolean).sort().join('*');
      out.set(m, (out.get(m) ?? 0) + ca * cb);
    }
  return normalise(out);
}

/** Exact quotient a/b; undefined where b does not divide a for every value of the symbols. */
export function dimDiv(a: Dim, b: Dim): Dim | undefined {
  if (typeof a === 'number' && typeof b === 'number') return b !== 0 && a % b === 0 ? a / b : undefined;
  if (dimEq(a, b)) return 1;
  const divisor = [...termsOf(b)];
  if (divisor.length !== 1 || !divisor[0]) return undefined;
  const [mb, cb] = divisor[0];
  const out = new Map<string, number>();
  for (const [ma, ca] of termsOf(a)) {
    const rest = ma.split('*').filter(Boolean);
    for (const name of mb.split('*').filter(Boolean)) {
      const at = rest.indexOf(name);
      if (at < 0) return undefined;
      rest.splice(at, 1);
    }
    if (cb === 0 || ca % cb !== 0) return undefined;
    out.set(rest.join('*'), ca / cb);
  }
  return normalise(out);
}

export function dimEq(a: Dim, b: Dim): boolean {
  return a === b || (typeof a !== 'number' && typeof b !== 'number' && a.key === b.key);
}

export const shapeEq = (a: Shape, b: Shape): boolean => a.length === b.length && a.every((d, i) => dimEq(d, b[i] as Dim));
export const isStatic = (shape: Shape): shape is readonly number[] => shape.every((d) => typeof d === 'number');
export const sizeOf = (shape: Shape): Dim => shape.reduce<Dim>(dimMul, 1);
export const shapeStr = (shape: Shape): string => `[${shape.join(', ')}]`;

/** Symbol names that occur in a shape. */
export function symbolsOf(shape: Shape): Set<string> {
  const out = new Set<string>();
  for (const d of shape) if (typeof d !== 'number') for (const m of d.terms.keys()) for (const n of m.split('*')) if (n) out.add(n);
  return out;
}

/** Number of a dimension under given symbol values. */
export function evalDim(d: Dim, values: ReadonlyMap<string, number>): number {
  if (typeof d === 'number') return d;
  let total = 0;
  for (const [m, c] of d.terms) {
    let product = c;
    for (const name of m.split('*').filter(Boolean)) {
      const v = values.get(name);
      if (v === undefined) throw new VitroError(`dimension ${d} needs a value for "${name}"`);
      product *= v;
    }
    total += product;
  }
  return total;
}

export const evalShape = (shape: Shape, values: ReadonlyMap<string, number>): number[] => shape.map((d) => evalDim(d, values));

/**
 * Whether a size agrees with a declared dimension; binds its symbol if only one is unknown and the size determines it. Undefined where it
 * cannot be told yet.
 */
export function bindDim(declared: SymDim, size: number, symbols: Map<string, number>): boolean | undefined {
  const { key } = declared;
  if (declared.terms.get(key) === 1 && !key.includes('*')) {
    const known = symbols.get(key);
    if (known === undefined) symbols.set(key, size);
    return known === undefined || known === size;
  }
  const unknown = [...symbolsOf([declared])].filter((name) => !symbols.has(name));
  const [name] = unknown;
  if (name === undefined) return evalDim(declared, symbols) === size;
  if (unknown.length > 1) return undefined;
  const at = (value: number): number => evalDim(declared, new Map([...symbols, [name, value]]));
  const [start, slope] = [at(0), at(1) - at(0)];
  const value = (size - start) / slope;
  if (at(2) - start !== 2 * slope) return undefined;
  if (!Number.isInteger(value) || value < 0) return false;
  symbols.set(name, value);
  return true;
}
