import { type Dim, type Shape, SymDim } from '../dim.js';
import { VitroError } from '../errors.js';
import type { AttrValue } from './encoder.js';

/** What the table needs of the graph that it writes into. */
export interface DimWriter {
  /** an int64 vector constant */
  ints(values: readonly number[]): string;
  /** adds a node to the outermost graph and returns its output */
  emit(op: string, inputs: readonly string[], attrs?: Readonly<Record<string, AttrValue>>): string;
}

interface Source {
  readonly input: string;
  readonly axis: number;
  readonly dim: SymDim;
}

const factors = (monomial: string): string[] => monomial.split('*').filter(Boolean);

/**
 * Values of symbolic dimensions at run time, as int64 vectors of one element. Each is computed once, from the shapes of the
 * graph's inputs: a symbol that stands alone on an axis is read from there, another is solved for (256*B by a division).
 */
export class DimTable {
  readonly #sources: Source[] = [];
  readonly #dims = new Map<string, string>();
  readonly #symbols = new Map<string, string>();
  readonly #solving = new Set<string>();

  constructor(readonly writer: DimWriter) {}

  /** Tells that a graph input has this shape. */
  declare(input: string, shape: Shape): void {
    for (const [axis, dim] of shape.entries()) if (dim instanceof SymDim) this.#sources.push({ input, axis, dim });
  }

  /** The value of a dimension, int64 [1]. */
  value(dim: Dim): string {
    if (typeof dim === 'number') return this.writer.ints([dim]);
    const known = this.#dims.get(dim.key);
    if (known !== undefined) return known;
    const source = this.#sources.find((s) => s.dim.key === dim.key);
    const value = source ? this.#read(source) : this.#polynomial([...dim.terms]);
    this.#dims.set(dim.key, value);
    return value;
  }

  #read({ input, axis }: Source): string {
    return this.writer.emit('Shape', [input], { start: axis, end: axis + 1 });
  }

  /** Sum of the terms, with the symbols as values. */
  #polynomial(terms: readonly (readonly [string, number])[]): string {
    const products = terms.map(([monomial, coefficient]) => this.#product(factors(monomial), coefficient));
    return products.reduce((a, b) => this.writer.emit('Add', [a, b]));
  }

  #product(names: readonly string[], coefficient: number): string {
    const values = names.map((n) => this.#symbol(n));
    if (coefficient !== 1 || values.length === 0) values.push(this.writer.ints([coefficient]));
    return values.reduce((a, b) => this.writer.emit('Mul', [a, b]));
  }

  #symbol(name: string): string {
    const known = this.#symbols.get(name);
    if (known !== undefined) return known;
    const value = this.#find(name);
    if (value === undefined)
      throw new VitroError(
        `the size "${name}" cannot be computed: no input of the graph has an axis of that size, or one to solve for it. ` +
          'Pass an array with that axis as an argument',
      );
    this.#symbols.set(name, value);
    return value;
  }

  #find(name: string): string | undefined {
    const plain = this.#sources.find((s) => s.dim.key === name);
    if (plain) return this.#read(plain);
    if (this.#solving.has(name)) return undefined;
    this.#solving.add(name);
    try {
      for (const source of this.#sources) {
        const value = this.#solve(name, source);
        if (value !== undefined) return value;
      }
      return undefined;
    } finally {
      this.#solving.delete(name);
    }
  }

  /** Solves source.dim = size for `name`, where it stands linearly in one term and all other symbols are known. */
  #solve(name: string, source: Source): string | undefined {
    const terms = [...source.dim.terms];
    const own = terms.filter(([m]) => factors(m).includes(name));
    const term = own[0];
    if (own.length !== 1 || !term) return undefined;
    const others = factors(term[0]).filter((f) => f !== name);
    if (others.length !== factors(term[0]).length - 1) return undefined;
    const rest = terms.filter((t) => t !== term);
    const needed = [...others, ...rest.flatMap(([m]) => factors(m))];
    if (!needed.every((n) => this.#solvable(n))) return undefined;
    let value = this.#read(source);
    if (rest.length > 0) value = this.writer.emit('Sub', [value, this.#polynomial(rest)]);
    const divisor = others.length === 0 && term[1] === 1 ? undefined : this.#product(others, term[1]);
    return divisor === undefined ? value : this.writer.emit('Div', [value, divisor]);
  }

  #solvable(name: string): boolean {
    if (this.#symbols.has(name)) return true;
    const value = this.#find(name);
    if (value !== undefined) this.#symbols.set(name, value);
    return value !== undefined;
  }
}
