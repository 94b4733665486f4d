import type { Settings } from '../contracts/index.js';
import { nearestName } from '../data/names.js';
import { VitroError } from '../tensor/errors.js';
import type { Tensor } from '../tensor/graph.js';
import { type SamplerMethod, samplers } from './sampler/index.js';

/** How tokens are drawn, by the names of transformers' generation_config.json. What is left out is off. */
export interface Sampling {
  /** default 1; 0 takes the most probable token */
  readonly temperature?: number;
  /** 0 = all tokens */
  readonly top_k?: number;
  readonly top_p?: number;
  readonly min_p?: number;
  readonly repetition_penalty?: number;
}

/** One method of a chain with the settings that differ from its defaults. */
export interface SamplerStep {
  readonly method: string;
  readonly settings?: Settings;
}

/** A chain of samplers, checked and with complete settings. */
export interface SamplerChain {
  readonly steps: readonly { readonly method: SamplerMethod; readonly settings: Settings }[];
  /** names the graph that the chain makes: equal keys differ in scalars only */
  readonly key: string;
  readonly scalars: Readonly<Record<string, number>>;
  readonly deterministic: boolean;
  readonly needsSeen: boolean;
}

const scalarName = (step: number, name: string): string => `${step}.${name}`;

/**
 * Puts samplers in a row, each given what the one before it left.
 *
 * @throws VitroError for unknown methods and settings, and for values out of range
 */
export function samplerChain(given: readonly SamplerStep[]): SamplerChain {
  const steps = given.map(({ method: id, settings: own = {} }) => {
    const method = Object.hasOwn(samplers, id) ? samplers[id] : undefined;
    if (!method) {
      const known = Object.keys(samplers);
      const near = nearestName(id, known);
      throw new VitroError(`unknown sampler "${id}"${near ? `; did you mean "${near}"?` : ''} Known: ${known.join(', ')}.`);
    }
    const unknown = Object.keys(own).find((name) => !Object.hasOwn(method.defaults, name));
    if (unknown !== undefined)
      throw new VitroError(`the sampler "${id}" has no setting "${unknown}"; it has ${Object.keys(method.defaults).join(', ') || 'none'}`);
    const settings = { ...method.defaults, ...own };
    method.check(settings);
    return { method, settings };
  });
  const structural = ({ method, settings }: (typeof steps)[number]): unknown => [
    method.id,
    Object.entries(settings).filter(([name]) => !method.scalars.includes(name)),
  ];
  return {
    steps,
    key: JSON.stringify(steps.map(structural)),
    scalars: Object.fromEntries(
      steps.flatMap(({ method, settings }, i) => method.scalars.map((name) => [scalarName(i, name), Number(settings[name])])),
    ),
    deterministic: steps.some(({ method }) => method.deterministic === true),
    needsSeen: steps.some(({ method }) => method.needs?.includes('seen') === true),
  };
}

/**
 * The chain of generation settings in transformers' order: repetition penalty, temperature, top-k, top-p, min-p. A temperature of 0 takes the
 * most probable token, whatever the others say.
 */
export function chainOf(sampling: Sampling): SamplerChain {
  const { temperature = 1, top_k = 0, top_p = 1, min_p = 0, repetition_penalty = 1 } = sampling;
  const steps: (SamplerStep & { readonly on: boolean })[] = [
    { method: 'repetition-penalty', settings: { repetition_penalty }, on: repetition_penalty !== 1 },
    ...(temperature === 0
      ? [{ method: 'greedy', on: true }]
      : [
          { method: 'temperature', settings: { temperature }, on: temperature !== 1 },
          { method: 'top-k-sampling', settings: { top_k }, on: top_k !== 0 },
          { method: 'top-p', settings: { top_p }, on: top_p !== 1 },
          { method: 'min-p', settings: { min_p }, on: min_p !== 0 },
        ]),
  ];
  return samplerChain(steps.filter((step) => step.on).map(({ on: _, ...step }) => step));
}

/** Logits [B, V] that the chain makes of the model's, inside the graph. */
export function applyChain(
  { steps }: SamplerChain,
  logits: Tensor,
  scalars: Readonly<Record<string, Tensor>>,
  seen: Tensor | undefined,
): Tensor {
  return steps.reduce((z, { method, settings }, i) => {
    const own = Object.fromEntries(method.scalars.map((name) => [name, scalars[scalarName(i, name)] as Tensor]));
    return method.transform(z, { scalars: own, settings, ...(seen ? { seen } : {}) });
  }, logits);
}
