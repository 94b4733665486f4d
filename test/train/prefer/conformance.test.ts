import { preferences, preferObjective } from '../../../src/train/prefer/index.js';
import { patchPreference } from '../../../src/train/prefer.js';
import { conformance } from '../support/conformance.js';
import { pairs } from '../support/examples.js';

conformance({
  methods: preferences,
  objective: (method, settings) => preferObjective(patchPreference([{ method, settings: { ...method.defaults, ...settings } }])),
  examples: () => pairs,
  settings: { rappo: { threshold: 1e6 }, hpl: { bc_weight: 0.3 } },
  withoutLimits: {
    ipo: 'a square is no logistic loss',
    hinge: 'a hinge is no logistic loss',
    simpo: 'it has no reference',
    cpo: 'it has no reference',
    orpo: 'it has no reference',
    kto: 'it learns from single responses',
  },
  draws: [],
  detached: ['ti-dpo', 'kto'],
});
