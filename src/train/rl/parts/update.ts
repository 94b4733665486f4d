import { permutation } from '../../../data/stream/permutation.js';
import { foldIn } from '../../../tensor/random/threefry.js';
import type { Update } from '../contract.js';

/** num_iterations passes over the samples in minibatches of mini_batch_size (0 = all at once), in a new order each time. */
export const epochs: Update = {
  name: 'epochs',
  defaults: { num_iterations: 1, mini_batch_size: 0 },
  run: async (context) => {
    const samples = context.batch.training;
    const size = context.number('mini_batch_size') > 0 ? Math.floor(context.number('mini_batch_size')) : samples.length;
    for (let epoch = 0; epoch < context.number('num_iterations'); epoch++) {
      const place = samples.length > 0 ? permutation(foldIn(context.key('minibatches'), epoch), samples.length) : () => 0;
      const order = size >= samples.length ? samples : samples.map((_, i) => samples[place(i)] as number);
      // without samples there is still a step for auxiliary losses
      if (order.length === 0) await context.train(order);
      for (let at = 0; at < order.length; at += size) await context.train(order.slice(at, at + size));
    }
  },
};

/** One optimizer step on all samples: exactly on policy. */
export const onePass: Update = {
  name: 'one-pass',
  run: async (context) => {
    await context.train(context.batch.training);
  },
};
