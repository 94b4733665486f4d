export { type EncodedExamples, type EncodeExamplesOptions, type ExampleKind, encodeExamples } from './encode.js';
export { type Example, type ExampleSet, exampleSet, type Sequence, type SequenceBatch, trainedTokens } from './example.js';
export { importedRow } from './imports.js';
export { type ExampleBatchOptions, type ExampleSource, exampleBatches, exampleSource } from './source.js';
