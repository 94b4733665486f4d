import { checkTextLength, textChunks, wholeText } from './bytes.js';
import { type FileReader, type Row, sliceRows } from './dataset.js';

const trimLines = (text: string): string => text.replace(/^[\r\n]+|[\r\n]+$/g, '');

async function* documents(path: string, separator: string): AsyncGenerator<string> {
  let rest = '';
  for await (const chunk of textChunks(path)) {
    const parts = (rest + chunk).split(separator);
    rest = parts.pop() as string;
    checkTextLength(path, rest.length);
    for (const part of parts) {
      const document = trimLines(part);
      if (document) yield document;
    }
  }
  const last = trimLines(rest);
  if (last) yield last;
}

/**
 * A text file as rows of one column: the whole file is one document, or it is divided at a literal separator ('\n\n' for blank lines,
 * '<|endoftext|>', ...). Divided documents lose the line ends at their two ends; empty ones are dropped.
 */
export function txtReader(path: string, column: string, separator: string | undefined): FileReader {
  async function* all(): AsyncGenerator<Row> {
    if (separator) for await (const text of documents(path, separator)) yield { [column]: text };
    else {
      const text = await wholeText(path);
      if (text) yield { [column]: text };
    }
  }
  return { columns: [column], length: null, rows: (range) => sliceRows(all(), range) };
}
