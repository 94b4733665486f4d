import { asRecord, type JsonRecord } from './json.js';

/** GPT-2's pair of files, vocab.json (encoder.json) and merges.txt (vocab.bpe), as a tokenizer.json. */
export function vocabularyAsJson(vocab: unknown, merges: string): JsonRecord {
  const tokens = asRecord(vocab, 'vocab.json');
  const byteLevel = { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: true };
  const end = '<|endoftext|>';
  const id = Object.hasOwn(tokens, end) ? tokens[end] : undefined;
  return {
    version: '1.0',
    truncation: null,
    padding: null,
    added_tokens:
      id === undefined ? [] : [{ id, content: end, special: true, single_word: false, lstrip: false, rstrip: false, normalized: false }],
    normalizer: null,
    pre_tokenizer: byteLevel,
    post_processor: null,
    decoder: byteLevel,
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: false,
      vocab: tokens,
      merges: merges
        .split('\n')
        .map((line) => line.replace(/\r$/, ''))
        .filter((line, i) => line !== '' && !(i === 0 && line.startsWith('#version'))),
    },
  };
}
