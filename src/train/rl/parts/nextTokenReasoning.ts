import type { Tokenizer } from '../../../contracts/index.js';
import { keyWords, threefryBits } from '../../../tensor/random/threefry.js';
import type { HostContext, Measure, Prompts, Reward } from '../contract.js';
import type { Prompt, ScoredSample } from '../trajectory.js';

/** Next-token prediction as a reasoning task (Dong et al. 2025, arXiv:2506.08007, RPT). */

const entropyMeasure: Measure = { name: 'entropy', tensor: (policy) => policy.entropy() };

/** A problem of the corpus: its worked solution cut before one of the rpt_hard_share of tokens at which the policy is least certain. */
async function contexts(prompts: readonly Prompt[], context: HostContext): Promise<readonly Prompt[]> {
  const { tokenizer } = context;
  const texts = prompts.map(({ columns }) => (typeof columns.solution === 'string' ? columns.solution : ''));
  const sequences = prompts.map(({ tokens }, i) => ({ context: tokens, tokens: tokenizer.encode(texts[i] as string) }));
  const entropies = await context.policy.measure(
    sequences.filter(({ tokens }) => tokens.length > 0),
    entropyMeasure,
  );
  const words = threefryBits(keyWords(context.key('cut')), prompts.length);
  let at = 0;
  return prompts.map((prompt, i) => {
    const { tokens } = sequences[i] as (typeof sequences)[number];
    if (tokens.length === 0) return prompt;
    const own = entropies[at++] ?? new Float64Array(0);
    const hardest = [...own.keys()].sort((a, b) => (own[b] as number) - (own[a] as number) || a - b);
    const among = Math.max(1, Math.round(context.number('rpt_hard_share') * hardest.length));
    const cut = hardest[Math.floor(((words[i] as number) / 2 ** 32) * among)] as number;
    const text = `${prompt.text}${tokenizer.decode(tokens.subarray(0, cut))}${context.settings.rpt_ask}`;
    return {
      ...prompt,
      text,
      tokens: tokenizer.encode(text, { add_special_tokens: true }),
      columns: { ...prompt.columns, continuation: tokenizer.decode(tokens.subarray(cut)) },
    };
  });
}

/** Problems become contexts of their worked solutions (column `solution`), followed by rpt_ask; those without one stay as they are. */
export const corpusContexts = (inner: Prompts): Prompts => ({
  ...inner,
  name: `contexts of ${inner.name}`,
  defaults: { ...inner.defaults, rpt_hard_share: 0.5, rpt_ask: '' },
  next: async (count, dataset, context) => contexts(await inner.next(count, dataset, context.of(inner)), context),
  observe: (batch, context) => inner.observe?.(batch, context.of(inner)),
});

/** Whether a prediction is a beginning of the continuation, in bytes, that ends where one of its tokens ends. */
export function matchesPrefix(prediction: string, continuation: string, tokenizer: Pick<Tokenizer, 'encode' | 'tokenBytes'>): boolean {
  const [said, truth] = [new TextEncoder().encode(prediction), new TextEncoder().encode(continuation)];
  if (said.length === 0 || said.length > truth.length || said.some((byte, i) => byte !== truth[i])) return false;
  let end = 0;
  for (const token of tokenizer.encode(continuation)) {
    end += tokenizer.tokenBytes(token).length;
    if (end >= said.length) return end === said.length;
  }
  return false;
}

/** 1 where what stands behind the first rpt_marker of a completion matches a prefix of the corpus, else 0; other problems are scored as before. */
export const prefixReward = (inner: Reward): Reward => ({
  ...inner,
  name: `prefix match or ${inner.name}`,
  defaults: { ...inner.defaults, rpt_marker: '#' },
  score: async (samples, context) => {
    const marker = String(context.settings.rpt_marker);
    const continuations = samples.map((s) => s.trajectory.prompt.columns.continuation);
    const others = samples.filter((_, i) => typeof continuations[i] !== 'string');
    const scored = others.length > 0 ? [...(await inner.score(others, context.of(inner)))] : [];
    return samples.map((sample, i): ScoredSample => {
      const truth = continuations[i];
      if (typeof truth !== 'string') return scored.shift() as ScoredSample;
      const { text } = sample.trajectory;
      const place = text.indexOf(marker);
      const reward = place >= 0 && matchesPrefix(text.slice(place + marker.length), truth, context.tokenizer) ? 1 : 0;
      return { ...sample, reward, rewards: { prefix: reward } };
    });
  },
});
