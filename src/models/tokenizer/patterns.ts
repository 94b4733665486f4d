/**
 * Patterns that cut text before byte-level BPE, in the notation of tokenizer.json. They are facts about the vocabularies that were
 * trained with them, read from the tokenizer files of the models that they are named after.
 */
export const gpt2Pattern = "'(?:[sdmt]|ll|ve|re)| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+";

const contractions = "(?i:'s|'t|'re|'ve|'m|'ll|'d)";
const tailOfCl100k = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

export const llama3Pattern = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}|${tailOfCl100k}`;
export const qwen2Pattern = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}|${tailOfCl100k}`;
/** Qwen 3.5: combining marks belong to words. */
export const qwen35Pattern = `${contractions}|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+`;

const word = (suffix: string): string =>
  `[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]*[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]+${suffix}` +
  `|[^\\r\\n\\p{L}\\p{N}]?[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]+[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]*${suffix}`;
const tailOfO200k = ' ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+';

export const o200kPattern = `${word(`${contractions}?`)}|\\p{N}{1,3}|${tailOfO200k}`;
/** Mistral Nemo and its successors. */
export const tekkenPattern = `${word('')}|\\p{N}|${tailOfO200k}`;

/** Names that a trainer accepts for `pattern`. */
export const namedPatterns: Readonly<Record<string, string>> = {
  gpt2: gpt2Pattern,
  llama3: llama3Pattern,
  cl100k: llama3Pattern,
  qwen2: qwen2Pattern,
  o200k: o200kPattern,
};
