/** Where a formula comes from. */
export type Provenance = 'paper' | 'repo' | 'derived' | 'guess';

/** A value that run files, command line and dashboard can show and change. */
export type Knob = number | string | boolean | readonly number[];

/** Settings of a method by their snake_case names. */
export type Settings = Readonly<Record<string, Knob>>;

/** A setting at which a method must equal its parent exactly (or within `tolerance`, absolute), stated so that a test can check it. */
export interface Limit {
  readonly settings: Settings;
  /** Restricts the inputs on which equality is claimed, e.g. 'no hidden matrices'; absent = all inputs. */
  readonly inputs?: string;
  readonly tolerance: number;
}

/** What every published method states about itself, whatever its slot. */
export interface Method {
  /** as users type it; equal to the file name and the export name */
  readonly id: string;
  /** one line for lists */
  readonly summary: string;
  readonly paper: string;
  /** the method that this one changes; absent for the root of a slot */
  readonly parent?: string;
  readonly defaults: Settings;
  readonly limits: readonly Limit[];
  readonly provenance: Provenance;
  /** what the author of the implementation had to choose */
  readonly assumes: readonly string[];
}
