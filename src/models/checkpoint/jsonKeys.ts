/** Deepest nesting that a checkpoint's JSON has; deeper text is refused before it is parsed. */
const maxDepth = 32;

const quote = 0x22;
const backslash = 0x5c;

/** Position just past the string literal that starts at `start`, and whether it holds an escape. */
function stringEnd(text: string, start: number): { end: number; escaped: boolean } {
  let escaped = false;
  let i = start + 1;
  for (; i < text.length; i++) {
    const c = text.charCodeAt(i);
    if (c === backslash) {
      escaped = true;
      i++;
    } else if (c === quote) break;
  }
  return { end: i + 1, escaped };
}

/**
 * Looks over JSON text before it is parsed: an object key that stands twice in one object, which JSON.parse would silently accept, and
 * nesting that no checkpoint needs. Returns the complaint, or undefined. Other malformed text is left to JSON.parse.
 */
export function jsonComplaint(text: string): string | undefined {
  const open: (Set<string> | undefined)[] = [];
  let last = '';
  for (let i = 0; i < text.length; i++) {
    switch (text[i]) {
      case '"': {
        const { end, escaped } = stringEnd(text, i);
        last = escaped ? unescaped(text.slice(i, end)) : text.slice(i + 1, end - 1);
        i = end - 1;
        break;
      }
      case '{':
      case '[':
        if (open.length === maxDepth) return `is nested deeper than ${maxDepth} levels`;
        open.push(text[i] === '{' ? new Set() : undefined);
        break;
      case '}':
      case ']':
        open.pop();
        break;
      case ':': {
        const keys = open.at(-1);
        if (keys?.has(last)) return `holds the key ${JSON.stringify(last.slice(0, 80))} twice`;
        keys?.add(last);
      }
    }
  }
  return undefined;
}

function unescaped(literal: string): string {
  try {
    return JSON.parse(literal) as string;
  } catch {
    return literal;
  }
}
