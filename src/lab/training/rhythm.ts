import { UsageError } from '../names.js';

/** Keys of a configuration that say how long a run is and what happens when. */
export interface RhythmConfig {
  readonly max_steps?: number | undefined;
  readonly num_train_epochs?: number | undefined;
  readonly warmup_steps?: number | undefined;
  readonly warmup_ratio: number;
  readonly eval_strategy: 'steps' | 'epoch' | 'no';
  readonly eval_steps?: number | undefined;
  readonly save_steps?: number | undefined;
  readonly logging_steps: number;
  readonly max_grad_norm: number;
}

export interface Rhythm {
  readonly max_steps: number;
  readonly warmup_steps: number;
  readonly max_grad_norm: number;
  readonly logging_steps: number;
  /** 0 = only at the end */
  readonly eval_steps: number;
  readonly save_steps: number;
}

/** Length and rhythm of a run, settled. `usual` is how long it is where the user does not say. */
export function rhythmOf(
  config: RhythmConfig,
  stepsPerEpoch: number,
  usual: { readonly max_steps: number } | { readonly num_train_epochs: number },
): Rhythm {
  const { num_train_epochs, eval_strategy, warmup_steps, warmup_ratio } = config;
  const ofEpochs = (epochs: number): number => Math.max(1, Math.ceil(epochs * stepsPerEpoch));
  const byDefault = 'max_steps' in usual ? usual.max_steps : ofEpochs(usual.num_train_epochs);
  const max_steps = config.max_steps ?? (num_train_epochs === undefined ? byDefault : ofEpochs(num_train_epochs));
  const tenth = Math.max(1, Math.round(max_steps / 10));
  const warmup = warmup_steps ?? Math.min(max_steps - 1, Math.round(warmup_ratio * max_steps));
  if (warmup >= max_steps) throw new UsageError(`warmup_steps: ${warmup} is not allowed; it must be below max_steps, ${max_steps}`);
  return {
    max_steps,
    warmup_steps: warmup,
    max_grad_norm: config.max_grad_norm,
    logging_steps: config.logging_steps,
    eval_steps: { no: 0, steps: config.eval_steps ?? tenth, epoch: Math.max(1, Math.round(stepsPerEpoch)) }[eval_strategy],
    save_steps: config.save_steps ?? tenth,
  };
}
