import type { CausalModel } from '../models/index.js';
import { headLogits, headLoss } from '../nn/head.js';
import type { ParamTree } from '../nn/param.js';
import { VitroError } from '../tensor/errors.js';
import type { Tensor } from '../tensor/graph.js';
import { logSoftmax } from '../tensor/ops/activation.js';
import { scan } from '../tensor/ops/control.js';
import { zeros } from '../tensor/ops/create.js';
import { add, cast, eq, exp, ge, maximum, mul, neg, stopGradient } from '../tensor/ops/elementwise.js';
import { crossEntropy } from '../tensor/ops/loss.js';
import { dimOf } from '../tensor/ops/operand.js';
import { argmax, sum } from '../tensor/ops/reduce.js';

/** What one model says of a batch. Everything is computed at its first use. Legend: B rows, T tokens, D hidden size, V vocabulary. */
export interface TokenView {
  /** last hidden states [B, T, D] */
  readonly hidden: Tensor;
  /** log-probability [B, T] of every target; 0 where a position has none */
  readonly logp: Tensor;
  /** [B, T, V] */
  readonly logits: Tensor;
  /** log-probabilities [B, T, V] of all tokens */
  readonly logprobs: Tensor;
  /** entropy in nats [B, T] */
  readonly entropy: Tensor;
}

/** Views are made of: whose parameters, how hidden states come about, and whether logits are needed anyway. */
export interface ViewOptions {
  readonly model: CausalModel;
  readonly params: ParamTree<Tensor>;
  readonly targets: Tensor;
  readonly hidden: () => Tensor;
  /** log-probabilities are then read from the logits; otherwise logits are not kept */
  readonly logits: boolean;
}

export function tokenView({ model, params, targets, hidden, logits: keep }: ViewOptions): TokenView {
  const made = new Map<string, Tensor>();
  const once = (name: string, make: () => Tensor): Tensor => {
    const known = made.get(name) ?? make();
    made.set(name, known);
    return known;
  };
  const head = model.head(params);
  const view: TokenView = {
    get hidden() {
      return once('hidden', hidden);
    },
    get logits() {
      if (!keep) throw new VitroError("logits of all tokens are kept only for methods that state needs: ['logits']");
      return once('logits', () => headLogits(head, view.hidden));
    },
    get logprobs() {
      return once('logprobs', () => logSoftmax(view.logits));
    },
    get logp() {
      const losses = (): Tensor =>
        keep ? crossEntropy(view.logits, targets, { reduction: 'none' }) : headLoss(head, view.hidden, targets, { reduction: 'none' });
      return once('logp', () => neg(losses()));
    },
    get entropy() {
      return once('entropy', () => neg(sum(mul(exp(view.logprobs), view.logprobs), { axis: -1 })));
    },
  };
  return view;
}

/** Numbers of logits that are held at a time for the log. */
const LOGITS_AT_ONCE = 1 << 25;

/** Sums over the counted targets of [B, T]: how many there are, of their positions' entropies, and of how many are the most probable token. No gradient. */
export function tokenStatistics(
  model: CausalModel,
  params: ParamTree<Tensor>,
  states: Tensor,
  targets: Tensor,
): { readonly count: Tensor; readonly entropy: Tensor; readonly correct: Tensor } {
  const head = model.head(params);
  const of = (hidden: Tensor, wanted: Tensor): { entropy: Tensor; correct: Tensor } => {
    const logits = stopGradient(headLogits(head, hidden));
    const logprobs = logSoftmax(logits);
    const counts = cast(ge(wanted, 0), 'f32');
    const entropy = neg(sum(mul(exp(logprobs), logprobs), { axis: -1 }));
    const right = cast(eq(argmax(logits, { axis: -1 }), maximum(wanted, 0)), 'f32');
    return { entropy: sum(mul(entropy, counts)), correct: sum(mul(right, counts)) };
  };
  const count = sum(cast(ge(targets, 0), 'f32'));
  const hidden = stopGradient(states);
  const [B, T] = [dimOf(targets, 0) as number, dimOf(targets, 1) as number];
  if (B * T * model.vocab_size <= LOGITS_AT_ONCE) return { count, ...of(hidden, targets) };
  const start = { entropy: zeros([]), correct: zeros([]) };
  const { carry } = scan(
    (sums: typeof start, row: { hidden: Tensor; wanted: Tensor }) => {
      const own = of(row.hidden, row.wanted);
      return [{ entropy: add(sums.entropy, own.entropy), correct: add(sums.correct, own.correct) }, {}] as const;
    },
    { init: start, xs: { hidden, wanted: targets } },
  );
  return { count, ...carry };
}
