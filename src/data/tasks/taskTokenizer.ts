import { type SerializableTokenizer, tokenizerFromJson } from '../../models/tokenizer/index.js';

const special = ['<pad>', '<bos>', '<eos>', '<unk>'] as const;

/** the characters of all tasks: printable ASCII and the end of line */
export const taskCharacters: readonly string[] = ['\n', ...Array.from({ length: 95 }, (_, i) => String.fromCharCode(32 + i))];

/**
 * One id for each printable ASCII character and the end of line, behind <pad>, <bos>, <eos> and <unk>: 100 ids. Other characters become <unk>. Written as a
 * tokenizer.json that any reader of the format loads.
 */
export function taskTokenizer(): SerializableTokenizer {
  return tokenizerFromJson(
    {
      version: '1.0',
      truncation: null,
      padding: null,
      added_tokens: special.map((content, id) => ({
        id,
        content,
        single_word: false,
        lstrip: false,
        rstrip: false,
        normalized: false,
        special: true,
      })),
      normalizer: null,
      pre_tokenizer: null,
      post_processor: null,
      // characters as they are; the replacement, of a mark that is no token, is what the readers of this form expect
      decoder: { type: 'Sequence', decoders: [{ type: 'Replace', pattern: { String: '▁' }, content: ' ' }, { type: 'Fuse' }] },
      model: {
        type: 'BPE',
        dropout: null,
        unk_token: '<unk>',
        continuing_subword_prefix: null,
        end_of_word_suffix: null,
        fuse_unk: false,
        byte_fallback: false,
        ignore_merges: false,
        vocab: Object.fromEntries([...special, ...taskCharacters].map((token, id) => [token, id])),
        merges: [],
      },
    },
    {
      tokenizer_class: 'PreTrainedTokenizerFast',
      pad_token: '<pad>',
      bos_token: '<bos>',
      eos_token: '<eos>',
      unk_token: '<unk>',
      clean_up_tokenization_spaces: false,
    },
  );
}
