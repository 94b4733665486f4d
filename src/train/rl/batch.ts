import { VitroError } from '../../tensor/errors.js';
import { type ScoredSample, tokenCount } from './trajectory.js';

/**
 * Scored samples as typed arrays, groups one after the other. Legend: N samples, G groups, K tokens of all samples (forced ones included).
 * Everything on the host is float64.
 */
export class RolloutBatch {
  readonly samples: readonly ScoredSample[];
  /** samples of group g: [group_offsets[g], group_offsets[g + 1]) */
  readonly group_offsets: Int32Array;
  /** tokens of sample n: [token_offsets[n], token_offsets[n + 1]), its segments in order */
  readonly token_offsets: Int32Array;
  /** [N] number of tokens that the policy chose */
  readonly lengths: Float64Array;
  /** [N] */
  readonly rewards: Float64Array;
  /** [K] 1 where the policy chose the token and the sample trains */
  readonly actions: Uint8Array;
  /** [K] log-probabilities when the tokens were drawn */
  readonly behaviour_logp: Float64Array;
  /** [K] denominators of the ratios: those above, or computed anew where training scores the tokens in another way than they were drawn */
  old_logp: Float64Array;
  /** [K] */
  readonly entropy: Float64Array;
  /** [K] rewards at tokens, the reward of the sample not included */
  readonly token_rewards: Float64Array;
  /** [K] values by name that the recipe's slots wrote; graph functions read them with `column(name)` */
  readonly columns: Record<string, Float64Array> = {};
  /** [K], written by the advantage slot */
  advantages: Float64Array;
  /** [K] log-probabilities under the reference, where the recipe needs them */
  reference_logp: Float64Array | undefined;

  /** Samples in any order; groups stand in the order of their first sample. */
  constructor(samples: readonly ScoredSample[]) {
    const groups = new Map<string, ScoredSample[]>();
    for (const s of samples) {
      const group = groups.get(s.group);
      if (group) group.push(s);
      else groups.set(s.group, [s]);
    }
    this.samples = [...groups.values()].flat();
    this.group_offsets = offsets([...groups.values()].map((g) => g.length));
    this.token_offsets = offsets(this.samples.map(tokenCount));
    const total = this.token_offsets.at(-1) ?? 0;
    this.rewards = Float64Array.from(this.samples, (s) => s.reward);
    this.lengths = new Float64Array(this.samples.length);
    this.actions = new Uint8Array(total);
    this.behaviour_logp = new Float64Array(total);
    this.entropy = new Float64Array(total);
    this.token_rewards = new Float64Array(total);
    this.advantages = new Float64Array(total);
    for (const [n, { trajectory, segments, token_rewards }] of this.samples.entries()) {
      let at = this.token_offsets[n] as number;
      let length = 0;
      if (token_rewards) this.token_rewards.set(token_rewards, at);
      for (const s of segments) {
        if (trajectory.trains) this.actions.set(s.actions, at);
        for (const a of s.actions) length += a;
        this.behaviour_logp.set(s.logps, at);
        this.entropy.set(s.entropies, at);
        at += s.tokens.length;
      }
      this.lengths[n] = length;
    }
    this.old_logp = this.behaviour_logp.slice();
  }

  /** Numbers of the samples that train. */
  get training(): number[] {
    return [...this.samples.keys()].filter((n) => this.samples[n]?.trajectory.trains === true);
  }

  get size(): number {
    return this.samples.length;
  }
  get groups(): number {
    return this.group_offsets.length - 1;
  }
  get tokens(): number {
    return this.token_offsets.at(-1) ?? 0;
  }

  /** Sample numbers of a group. */
  group(g: number): { readonly start: number; readonly end: number; readonly size: number } {
    const [start, end] = [this.group_offsets[g], this.group_offsets[g + 1]];
    if (start === undefined || end === undefined) throw new VitroError(`there is no group ${g} among ${this.groups}`);
    return { start, end, size: end - start };
  }

  /** Token numbers of a sample. */
  span(n: number): { readonly start: number; readonly end: number } {
    const [start, end] = [this.token_offsets[n], this.token_offsets[n + 1]];
    if (start === undefined || end === undefined) throw new VitroError(`there is no sample ${n} among ${this.size}`);
    return { start, end };
  }

  /** A value of each sample [N] at all of its tokens [K]. */
  spread(values: Float64Array): Float64Array {
    const out = new Float64Array(this.tokens);
    for (let n = 0; n < this.size; n++) out.fill(values[n] as number, this.token_offsets[n], this.token_offsets[n + 1]);
    return out;
  }

  /** Values of groups [G] at all of their samples [N]. */
  perGroup(value: (rewards: Float64Array, g: number) => ArrayLike<number> | number): Float64Array {
    const out = new Float64Array(this.size);
    for (let g = 0; g < this.groups; g++) {
      const { start, end } = this.group(g);
      const own = value(this.rewards.subarray(start, end), g);
      if (typeof own === 'number') out.fill(own, start, end);
      else out.set(own, start);
    }
    return out;
  }

  /** The samples of these numbers as a batch of their own, columns and advantages included. */
  select(numbers: readonly number[]): RolloutBatch {
    const taken = numbers.map((n) => {
      const sample = this.samples[n];
      if (!sample) throw new VitroError(`there is no sample ${n} among ${this.size}`);
      return sample;
    });
    const out = new RolloutBatch(taken);
    const place = new Map(this.samples.map((s, n) => [s, n]));
    const copy = (from: Float64Array): Float64Array => {
      const to = new Float64Array(out.tokens);
      for (const [n, s] of out.samples.entries()) {
        const { start, end } = this.span(place.get(s) as number);
        to.set(from.subarray(start, end), out.token_offsets[n]);
      }
      return to;
    };
    out.advantages = copy(this.advantages);
    out.old_logp = copy(this.old_logp);
    if (this.reference_logp) out.reference_logp = copy(this.reference_logp);
    for (const [name, values] of Object.entries(this.columns)) out.columns[name] = copy(values);
    return out;
  }
}

function offsets(sizes: readonly number[]): Int32Array {
  const out = new Int32Array(sizes.length + 1);
  for (const [i, size] of sizes.entries()) out[i + 1] = (out[i] as number) + size;
  return out;
}
