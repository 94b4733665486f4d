import type { RolloutBatch } from '../batch.js';
import type { Advantage, Rollout } from '../contract.js';
import type { Segment, Trajectory } from '../trajectory.js';
import { deviation, meanOf, totalRewards } from './advantage.js';
import { sampleFlat } from './sampling.js';
import { joined } from './thinkingBudget.js';

/** Completions that begin with the mode in which they were drawn, and credit between and within modes (Jiang et al. 2025, arXiv:2505.14631). */

/** what completions that think, and those that answer at once, begin with */
const modeDefaults = { think_mode: '!', direct_mode: '.' } as const;

/** The mode before what was drawn behind it, as one segment. */
function withMode(trajectory: Trajectory, tokens: Int32Array, logps: Float64Array): Trajectory {
  const segments = trajectory.segments.map((s): Segment => {
    const { replay_context } = s;
    return {
      ...s,
      context: s.context.subarray(0, s.context.length - tokens.length),
      ...(replay_context ? { replay_context: replay_context.subarray(0, replay_context.length - tokens.length) } : {}),
      tokens: joined(tokens, s.tokens),
      actions: Uint8Array.from([...tokens.map(() => 1), ...s.actions]),
      logps: Float32Array.from([...logps, ...s.logps]),
      entropies: Float32Array.from([...logps.map(() => 0), ...s.entropies]),
    };
  });
  return { ...trajectory, segments };
}

/**
 * Half of a group thinks, half answers at once: the mode is chosen for the policy and yet an action of it, at the probability that it gave.
 */
export const modeRollout: Rollout = {
  name: 'modes',
  defaults: { ...modeDefaults, mask_truncated_completions: false },
  sample: async (prompts, context) => {
    const { settings, tokenizer, policy, num_generations } = context;
    const out: Trajectory[][] = prompts.map(() => []);
    for (const [m, mode] of [String(settings.think_mode), String(settings.direct_mode)].entries()) {
      const n = Math.floor((num_generations + 1 - m) / 2);
      const tokens = tokenizer.encode(mode);
      const begun = prompts.map((p) => ({
        ...p,
        context: joined(p.context, tokens),
        ...(p.replay_context ? { replay_context: joined(p.replay_context, tokens) } : {}),
        prefix: (p.prefix ?? '') + mode,
        notes: { ...p.notes, mode },
      }));
      if (n === 0) continue;
      const drawn = await sampleFlat(begun, context, n, `mode ${m}`);
      const logps = await policy.logps(prompts.map((p) => ({ context: p.context, tokens })));
      for (const [i, logp] of logps.entries()) for (const t of drawn.slice(i * n, (i + 1) * n)) out[i]?.push(withMode(t, tokens, logp));
    }
    return out.flat();
  },
};

const modeOf = (batch: RolloutBatch, n: number): string => String(batch.samples[n]?.trajectory.notes.mode ?? '');

/** (x - mean) / (std + 1e-4); 0 where all are equal. */
function normalised(x: readonly number[]): number[] {
  const [mean, s] = [meanOf(x), deviation(x)];
  return x.map((v) => (s === 0 ? 0 : (v - mean) / (s + 1e-4)));
}

/**
 * Within a mode: 1 for its best completions of the group, 0 for the others, normalised. Between modes: 1 for completions of the better mode (thinking must be
 * better by hgpo_margin), 0 for the others, normalised; times hgpo_alpha at the tokens of the mode.
 */
export const modeAdvantage: Advantage = {
  name: 'modes',
  defaults: { ...modeDefaults, hgpo_alpha: 1, hgpo_margin: 0.2 },
  compute: (batch, { settings, number, tokenizer, metric }) => {
    const r = totalRewards(batch, 0);
    const own = new Float64Array(batch.size);
    const between = new Float64Array(batch.size);
    for (let g = 0; g < batch.groups; g++) {
      const { start, size } = batch.group(g);
      const members = Array.from({ length: size }, (_, i) => start + i);
      const means = new Map<string, number>();
      for (const mode of new Set(members.map((n) => modeOf(batch, n)))) {
        const same = members.filter((n) => modeOf(batch, n) === mode);
        const rewards = same.map((n) => r[n] as number);
        means.set(mode, meanOf(rewards));
        const best = Math.max(...rewards);
        for (const [i, a] of normalised(rewards.map((x) => (x === best ? 1 : 0))).entries()) own[same[i] as number] = a;
      }
      const [think, direct] = [means.get(String(settings.think_mode)), means.get(String(settings.direct_mode))];
      if (think === undefined || direct === undefined) continue;
      const better = think > direct + number('hgpo_margin') ? settings.think_mode : settings.direct_mode;
      metric('modes/think_better', better === settings.think_mode ? 1 : 0);
      for (const [i, a] of normalised(members.map((n) => (modeOf(batch, n) === better ? 1 : 0))).entries())
        between[members[i] as number] = a;
    }
    const out = batch.spread(own);
    for (let n = 0; n < batch.size; n++) {
      const { start } = batch.span(n);
      const tokens = tokenizer.encode(modeOf(batch, n)).length;
      for (let k = start; k < start + tokens; k++) out[k] = (out[k] as number) + number('hgpo_alpha') * (between[n] as number);
    }
    return out;
  },
};
