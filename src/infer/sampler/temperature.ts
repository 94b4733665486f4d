import { div } from '../../tensor/ops/elementwise.js';
import { checkNumber, scalarOf } from './checks.js';
import type { SamplerMethod } from './slot.js';

/**
 * Sharpens (below 1) or flattens (above 1) the distribution: P = softmax(z / temperature).
 * Against sample: the logits are divided.
 */
export const temperature: SamplerMethod = {
  id: 'temperature',
  summary: 'divides the logits: below 1 sharper, above 1 flatter',
  paper: 'doi:10.1207/s15516709cog0901_7',
  equation: 'y ~ softmax(z / temperature)',
  parent: 'sample',
  defaults: { temperature: 0.8 },
  knobs: { temperature: 'above 0; for 0 use greedy' },
  limits: [{ settings: { temperature: 1 }, tolerance: 0 }],
  provenance: 'paper',
  assumes: [],
  scalars: ['temperature'],
  transform: (logits, context) => div(logits, scalarOf(context, 'temperature')),
  check: (settings) => checkNumber(settings, 'temperature', (t) => t > 0, 'a positive number (0 stands for greedy)'),
};
