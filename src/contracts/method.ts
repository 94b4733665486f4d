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

/** How a method is shown to work: a comparison at equal cost. `vitro compare BASELINE METHOD --testbed TESTBED` runs it. */
export interface Demo {
  readonly testbed: string;
  /** what stands first in the comparison: one method id or several joined by + */
  readonly baseline: string;
  /** what is compared with it, where that is more than the method's own id (e.g. 'muon+hyperp') */
  readonly method?: string;
  readonly metric: string;
  /** the axis on which both sides spend the same */
  readonly cost: string;
  /** the direction that the paper claims */
  readonly expect: 'gain' | 'loss' | 'equivalent';
}

/** What every published method states about itself, whatever its slot. */
export interface Method {
  /** as users type it; the file name and the export name are its camel case */
  readonly id: string;
  /** one line for lists */
  readonly summary: string;
  /** row of the catalogue of seed papers, e.g. 'P741'; absent for the field's standard methods */
  readonly seed?: string;
  readonly paper: string;
  /** the update or loss in plain text, as in the file's header */
  readonly equation: string;
  /** the method that this one changes; absent for the root of a slot */
  readonly parent?: string;
  readonly defaults: Settings;
  /** one line for each setting that is not self-explaining */
  readonly knobs?: Readonly<Record<string, string>>;
  readonly limits: readonly Limit[];
  readonly provenance: Provenance;
  /** what the author of the implementation had to choose */
  readonly assumes: readonly string[];
  /** absent for the field's standard methods, which serve as baselines */
  readonly demo?: Demo;
}
