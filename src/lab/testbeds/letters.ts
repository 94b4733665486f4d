import type { Tokenizer } from '../../contracts/index.js';
import { letterBatch, letterDocument, letterQuestion, letterQuestions } from '../../data/probes/letters.js';
import { type Batch, type BatchSource, batchBuffers, keyJson, sourceFingerprint, toBatch } from '../../data/stream/batch.js';
import { stepSource } from '../../data/stream/steps.js';
import type { Retokenizer, TokenizationMethod } from '../../data/tokenization/slot.js';
import { trainByteLevelBpe } from '../../models/tokenizer/train.js';
import type { NDArray } from '../../tensor/array.js';
import { foldIn, keyWords, randomKey, threefryBits } from '../../tensor/random/threefry.js';
import { partOf } from '../recipe.js';
import { once, pretrainingTestbed } from './pretraining.js';
import { evaluationSeed, probeArgs, probeModel } from './probes.js';
import { scratchCandidates } from './text.js';

const shape = { batch_size: 16, context: 64, vocab_size: 512, questions: 512 } as const;
/** Questions that make one row, more than a row holds. */
const perRow = 16;

/** Byte pairs learnt from the questions themselves, so that common syllables are one token and hide their letters. */
const tokenizer = once(
  async (): Promise<Tokenizer> =>
    trainByteLevelBpe(letterQuestions(randomKey(evaluationSeed), 4000, 'train').map(letterDocument), { vocab_size: shape.vocab_size }),
);

/** Uniform numbers of a key. */
function uniformOf(key: NDArray): () => number {
  const bits = threefryBits(keyWords(key), 4096);
  let i = 0;
  return () => (bits[i++ % bits.length] as number) / 2 ** 32;
}

/** Rows of questions with their answers, rewritten by the tokenization method: a pure function of (key, step). */
function trainingRows(tokens: Tokenizer, rewriter: Retokenizer, key: NDArray, step: number): Batch {
  const { batch_size, context } = shape;
  const buffers = batchBuffers(batch_size, context, false);
  for (let b = 0; b < batch_size; b++) {
    const row = step * batch_size + b;
    const text = Array.from({ length: perRow }, (_, i) => letterDocument(letterQuestion(key, row * perRow + i, 'train'))).join('');
    const ids = rewriter.rewrite(tokens.encode(text), uniformOf(foldIn(foldIn(key, 1), row))).subarray(0, context + 1);
    buffers.inputs.set(ids.subarray(0, context), b * context);
    buffers.targets.set(ids.subarray(1), b * context);
  }
  return toBatch(buffers, batch_size, context);
}

function source(tokens: Tokenizer, rewriter: Retokenizer, seed: number, method: string): BatchSource {
  const { batch_size, context } = shape;
  const key = foldIn(randomKey(seed), 1);
  return stepSource({
    batch_size,
    context,
    fingerprint: sourceFingerprint({ kind: 'letters', key: keyJson(key), batch_size, context, method }),
    tokensPerEpoch: Number.POSITIVE_INFINITY,
    make: (step) => trainingRows(tokens, rewriter, key, step),
  });
}

/** Questions about the letters of words in a vocabulary that hides them: where the choice of token sequences matters. */
export const lettersTestbed = pretrainingTestbed({
  id: 'letters',
  summary: 'count and find the letters of made-up words through a vocabulary of 512 byte pairs; words of the questions were never seen',
  metric: 'val/exact_match',
  better: 'higher',
  margin: 0.02,
  model: { ...probeModel, max_position_embeddings: shape.context },
  args: probeArgs,
  data: async (recipe) => {
    const tokens = await tokenizer();
    const { method, settings } = partOf<TokenizationMethod>(recipe, 'tokenization');
    const rewriter = method.create(tokens, settings);
    const questions = letterQuestions(randomKey(evaluationSeed), shape.questions, 'evaluation');
    const batches = Array.from({ length: shape.questions / 32 }, (_, i) =>
      letterBatch(tokens, questions.slice(i * 32, (i + 1) * 32), shape.context),
    );
    return {
      vocab_size: tokens.vocab_size,
      identity: { ...shape, tokenizer: tokens.fingerprint, evaluation_seed: evaluationSeed },
      source: (seed) => source(tokens, rewriter, seed, JSON.stringify([method.id, settings])),
      evaluation: [{ name: 'val', metric: 'accuracy', batches, quick: 4 }],
    };
  },
  tuning: { seeds: [1000], candidates: scratchCandidates },
});
