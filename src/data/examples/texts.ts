import { applyChatTemplate, type ChatMessage, type ChatTemplateOptions } from '../../models/tokenizer/chatTemplate.js';
import { DataError, type Row } from '../dataset/dataset.js';

/** A piece of a text: context, or what is trained on. */
export interface Piece {
  readonly text: string;
  readonly trained: boolean;
}

/** A text field as datasets have it. */
export type Content = string | readonly ChatMessage[];

/** A text field of a row. */
export function contentOf(row: Row, name: string, where: string): Content {
  const value = row[name];
  if (typeof value === 'string') return value;
  if (Array.isArray(value) && value.every((m) => typeof (m as ChatMessage)?.role === 'string')) return value as ChatMessage[];
  throw new DataError(`${where}: ${name} must be a text or a list of messages {role, content}, got ${JSON.stringify(value)?.slice(0, 80)}`);
}

function render(messages: readonly ChatMessage[], chat: ChatTemplateOptions | undefined, opening: boolean): string {
  if (!chat) throw new DataError('the dataset holds messages, which need a chat template; give chat_template');
  return applyChatTemplate(messages, { ...chat, add_generation_prompt: opening });
}

/** What a template adds to a text that it has begun with. */
function continuation(full: string, begun: string): string {
  if (!full.startsWith(begun))
    throw new DataError(
      'the chat template changes earlier turns when later ones follow, so what belongs to the answer cannot be told; train on plain texts',
    );
  return full.slice(begun.length);
}

/** A conversation in pieces: what the assistant says is trained on, or everything. */
export function conversation(messages: readonly ChatMessage[], chat: ChatTemplateOptions | undefined, assistantOnly: boolean): Piece[] {
  if (!assistantOnly) return [{ text: render(messages, chat, false), trained: true }];
  const pieces: Piece[] = [];
  let done = '';
  messages.forEach((message, i) => {
    if (message.role !== 'assistant') return;
    const asked = render(messages.slice(0, i), chat, true);
    const answered = render(messages.slice(0, i + 1), chat, false);
    pieces.push({ text: continuation(asked, done), trained: false }, { text: continuation(answered, asked), trained: true });
    done = answered;
  });
  return pieces;
}

/** A prompt and what follows it. Both are texts, or both are messages. */
export function promptAndCompletion(prompt: Content, completion: Content, chat: ChatTemplateOptions | undefined): [string, string] {
  if (typeof prompt === 'string' && typeof completion === 'string') return [prompt, completion];
  if (typeof prompt === 'string' || typeof completion === 'string')
    throw new DataError('the prompt and what follows it must both be texts or both be lists of messages');
  const asked = render(prompt, chat, true);
  return [asked, continuation(render([...prompt, ...completion], chat, false), asked)];
}

/** The turns that two conversations begin with alike: the prompt that chosen and rejected share where none is given. */
export function sharedPrompt(chosen: Content, rejected: Content): { prompt: Content; chosen: Content; rejected: Content } {
  if (typeof chosen === 'string' || typeof rejected === 'string') return { prompt: '', chosen, rejected };
  let n = 0;
  while (n < Math.min(chosen.length, rejected.length) && JSON.stringify(chosen[n]) === JSON.stringify(rejected[n])) n++;
  return { prompt: chosen.slice(0, n), chosen: chosen.slice(n), rejected: rejected.slice(n) };
}
