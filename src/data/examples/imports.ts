import { DataError, type Row } from '../dataset/dataset.js';

/** Rows of other shapes as the columns that training reads: Alpaca, ShareGPT, and lists that a csv file holds as JSON text. */

/** Who speaks, by ShareGPT's names. */
const roles: Readonly<Record<string, string>> = {
  human: 'user',
  user: 'user',
  gpt: 'assistant',
  chatgpt: 'assistant',
  bard: 'assistant',
  assistant: 'assistant',
  model: 'assistant',
  system: 'system',
  tool: 'tool',
  function: 'tool',
  observation: 'tool',
};

const isTurn = (x: unknown): boolean => typeof x === 'object' && x !== null && ('role' in x || 'from' in x);
const isAnything = (): boolean => true;

/** Columns that may be lists, and what their items are. */
const listColumns: Readonly<Record<string, (item: unknown) => boolean>> = {
  ...Object.fromEntries(['messages', 'conversations', 'prompt', 'completion', 'chosen', 'rejected'].map((name) => [name, isTurn])),
  completions: isAnything,
  labels: isAnything,
};

/** Lists where a file can only hold text: JSON of a conversation, or of steps and labels. */
function parsedLists(row: Row): Row {
  const changed = Object.entries(listColumns).flatMap(([name, isItem]): [string, unknown][] => {
    const value = row[name];
    if (typeof value !== 'string' || !value.trimStart().startsWith('[')) return [];
    try {
      const list: unknown = JSON.parse(value);
      return Array.isArray(list) && list.every(isItem) ? [[name, list]] : [];
    } catch {
      // a text that only begins like a list
      return [];
    }
  });
  return changed.length > 0 ? { ...row, ...Object.fromEntries(changed) } : row;
}

function fromShareGpt({ conversations, system, ...rest }: Row, where: string): Row {
  if (!Array.isArray(conversations)) throw new DataError(`${where}: conversations must be a list of {from, value}`);
  const turns = (conversations as Row[]).map((turn, i) => {
    // some sets of this name hold messages already
    const from = String(turn.from ?? turn.role);
    const role = roles[from];
    if (role === undefined)
      throw new DataError(`${where}: turn ${i} of conversations is from "${from}"; known are ${Object.keys(roles).join(', ')}`);
    return { role, content: turn.value ?? turn.content };
  });
  return { ...rest, messages: typeof system === 'string' && system !== '' ? [{ role: 'system', content: system }, ...turns] : turns };
}

/** Alpaca's rows {instruction, input, output}: a conversation for models that have a chat template, else a prompt by its headings. */
function fromAlpaca({ instruction, input, output, ...rest }: Row, chat: boolean): Row {
  const more = typeof input === 'string' && input.trim() !== '' ? input : undefined;
  if (chat) {
    const content = more === undefined ? instruction : `${String(instruction)}\n\n${more}`;
    return {
      ...rest,
      messages: [
        { role: 'user', content },
        { role: 'assistant', content: output },
      ],
    };
  }
  const prompt = `### Instruction:\n${String(instruction)}\n\n${more === undefined ? '' : `### Input:\n${more}\n\n`}### Response:\n`;
  return { ...rest, prompt, completion: output };
}

/** A row with the columns that training reads. `chat`: the model has a chat template. */
export function importedRow(row: Row, where: string, { chat }: { readonly chat: boolean }): Row {
  const own = parsedLists(row);
  const has = (name: string): boolean => own[name] !== undefined && own[name] !== null;
  if (has('conversations') && !has('messages')) return fromShareGpt(own, where);
  if (has('instruction') && has('output') && !has('prompt') && !has('messages')) return fromAlpaca(own, chat);
  return own;
}
