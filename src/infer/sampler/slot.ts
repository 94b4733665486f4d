import type { Method, Settings } from '../../contracts/index.js';
import type { Tensor } from '../../tensor/graph.js';

/**
 * The slot "sampler": what happens to the logits before a token is drawn from their softmax. Methods form a chain, each given what the one before
 * it left; the chain is part of the compiled decoding step. A token that a method rules out gets the logit `excluded`.
 *
 * Legend: B rows, V vocabulary.
 */

/** The slot, for the generated index. */
export const slot = { id: 'sampler', record: 'samplers', summary: 'how the next token is drawn from the logits' } as const;

/** Logit of a token that cannot be drawn: finite, so that no arithmetic on it gives NaN, and its probability is exactly 0. */
export const excluded = -1e30;

export interface SamplerContext {
  /** those settings that the method lists in `scalars`, as f32 scalars of the graph */
  readonly scalars: Readonly<Record<string, Tensor>>;
  readonly settings: Settings;
  /** bool [B, V]: tokens that occur in the row's prompt or completion; there where the method needs it */
  readonly seen?: Tensor;
}

export interface SamplerMethod extends Method {
  /** settings that are numbers of the graph, so that another value compiles nothing anew; the others shape the graph */
  readonly scalars: readonly string[];
  /** what the host has to keep for each row */
  readonly needs?: readonly 'seen'[];
  /** the token with the largest logit is taken and nothing is drawn */
  readonly deterministic?: boolean;
  /** Logits [B, V] of the distribution to draw from. */
  transform(logits: Tensor, context: SamplerContext): Tensor;
  /** Throws a VitroError that names the value and what is allowed. */
  check(settings: Settings): void;
}
