import type { NDArray } from '../../tensor/array.js';
import { VitroError } from '../../tensor/errors.js';

/** Correct answers among the counted ones. */
export interface Score {
  readonly correct: number;
  readonly counted: number;
  /** correct / counted; NaN where nothing is counted */
  readonly accuracy: number;
}

/** The id with the largest logit at each position, the lowest of equals: f32 [B, T, V] -> i32, flat. A NaN among the logits is an error. */
export function argmaxPredictions(logits: NDArray): Int32Array {
  const [V] = logits.shape.slice(-1);
  if (logits.dtype !== 'f32' || !V)
    throw new VitroError(`argmaxPredictions: needs logits f32 [B, T, V], got ${logits.dtype}[${logits.shape.join(', ')}]`);
  const data = logits.data as Float32Array;
  const out = new Int32Array(data.length / V);
  for (let i = 0; i < out.length; i++) {
    let best = 0;
    for (let v = 0; v < V; v++) {
      const x = data[i * V + v] as number;
      if (Number.isNaN(x)) throw new VitroError(`argmaxPredictions: the logits of position ${i} hold NaN`);
      if (x > (data[i * V + best] as number)) best = v;
    }
    out[i] = best;
  }
  return out;
}

/** How many predictions [B * T] equal their targets, over targets that are asked (not -1). */
export function scorePredictions(predictions: ArrayLike<number>, targets: NDArray): Score {
  if (predictions.length !== targets.size)
    throw new VitroError(`scorePredictions: ${predictions.length} predictions for ${targets.size} targets`);
  const asked = targets.data as Int32Array;
  let correct = 0;
  let counted = 0;
  for (let i = 0; i < asked.length; i++) {
    if ((asked[i] as number) < 0) continue;
    counted++;
    if (predictions[i] === asked[i]) correct++;
  }
  return { correct, counted, accuracy: correct / counted };
}

/** Scores of several batches as one: every counted position weighs the same. */
export function sumScores(scores: readonly Score[]): Score {
  const correct = scores.reduce((a, s) => a + s.correct, 0);
  const counted = scores.reduce((a, s) => a + s.counted, 0);
  return { correct, counted, accuracy: correct / counted };
}
