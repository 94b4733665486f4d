import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { StopText } from '../../src/infer/index.js';
import { byteTokenizer } from '../../src/models/index.js';

const tokenizer = byteTokenizer();
const none: Int32Array = new Int32Array(0);

/** Pushes a text byte by byte until a stop string has come. */
function run(text: string, stops: string[], prompt = none): { pieces: string[]; text: string; stopped: boolean } {
  const out = new StopText(tokenizer, stops, prompt);
  const pieces: string[] = [];
  for (const id of tokenizer.encode(text)) {
    pieces.push(out.push(id));
    if (out.stopped) break;
  }
  pieces.push(out.end());
  return { pieces, text: out.text, stopped: out.stopped };
}

describe('StopText', () => {
  it('lets everything before the first stop string go, and nothing of it', () => {
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom('a', 'b', 'c', 'é', '日', '🙂') }),
        fc.array(fc.string({ unit: fc.constantFrom('a', 'b', '日'), minLength: 1, maxLength: 4 }), { maxLength: 3 }),
        (text, stops) => {
          const found = stops.map((s) => text.indexOf(s) + s.length).filter((_, i) => text.includes(stops[i] as string));
          // the stop string that is complete first decides; of several complete at once, the longest
          const end = Math.min(...found);
          const starts = stops.filter((s) => text.slice(0, end).endsWith(s)).map((s) => end - s.length);
          const expected = found.length > 0 ? text.slice(0, Math.min(...starts)) : text;
          const got = run(text, stops);
          expect(got.text).toBe(expected);
          expect(got.pieces.join('')).toBe(expected);
          expect(got.stopped).toBe(found.length > 0);
        },
      ),
      { numRuns: 300 },
    );
  });

  it('holds back only what may become a stop string', () => {
    expect(run('ab#x##', ['##']).pieces).toEqual(['a', 'b', '', '#x', '', '', '']);
  });

  it('goes on within a character that the prompt began', () => {
    const bytes = tokenizer.encode('日');
    expect(run('', [], bytes).text).toBe('');
    const out = new StopText(tokenizer, [], bytes.slice(0, 2));
    expect(out.push(bytes[2] as number)).toBe('日');
  });

  it('ends an unfinished character with U+FFFD, and ignores ids that the tokenizer does not have', () => {
    const out = new StopText(tokenizer, [], none);
    expect(out.push((tokenizer.encode('é') as Int32Array)[0] as number)).toBe('');
    expect(out.push(tokenizer.vocab_size + 3)).toBe('');
    expect(out.end()).toBe('\ufffd');
  });
});
