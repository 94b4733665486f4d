import { VitroError } from '../../tensor/errors.js';
import { specialText, type TokenizerConfig } from './config.js';
import { isRecord } from './json.js';
import { renderInWorker } from './templateWorker.js';

/** One turn of a conversation; keys beyond these reach the template too. */
export interface ChatMessage {
  readonly role: string;
  /** a text, or a list of parts such as {type: 'text', text} */
  readonly content?: unknown;
  readonly [key: string]: unknown;
}

export interface ChatTemplateOptions {
  /** Jinja source, or a list of {name, template} as tokenizer_config.json may have it */
  readonly template: unknown;
  /** of several templates the one of this name; by default "tool_use" where tools are given and it exists, else "default" */
  readonly template_name?: string;
  /** JSON schemas of functions that the model may call */
  readonly tools?: readonly unknown[];
  readonly documents?: readonly unknown[];
  /** ends with the opening of the assistant's turn (default false) */
  readonly add_generation_prompt?: boolean;
  /** ends within the last message, so that the model continues it (default false) */
  readonly continue_final_message?: boolean;
  readonly bos_token?: string;
  readonly eos_token?: string;
  readonly pad_token?: string;
  readonly unk_token?: string;
  /** further variables of the template, e.g. {enable_thinking: false} */
  readonly variables?: Readonly<Record<string, unknown>>;
  /** the time that strftime_now shows (default: now) */
  readonly now?: Date;
  /** milliseconds after which rendering is stopped (default 2000) */
  readonly time_limit_ms?: number;
  /** most characters of the result (default 2^24) */
  readonly max_length?: number;
}

const maxTemplateLength = 1 << 20;

/**
 * The text that a conversation becomes for a model, by its Jinja chat template, as transformers' apply_chat_template renders it.
 * @throws VitroError where the template is missing or wrong, refuses the messages, or meets a limit
 */
export function applyChatTemplate(messages: readonly ChatMessage[], options: ChatTemplateOptions): string {
  const { add_generation_prompt = false, continue_final_message = false, tools, documents, variables = {} } = options;
  if (add_generation_prompt && continue_final_message)
    throw new VitroError('add_generation_prompt and continue_final_message exclude each other; choose one');
  const template = chooseTemplate(options);
  if (template.length > maxTemplateLength)
    throw new VitroError(`the chat template has ${template.length} characters; at most ${maxTemplateLength} are allowed`);
  const special = Object.fromEntries(
    (['bos_token', 'eos_token', 'pad_token', 'unk_token'] as const).flatMap((name) =>
      options[name] === undefined ? [] : [[name, options[name]]],
    ),
  );
  const text = renderInWorker(
    {
      template,
      context: { ...special, ...variables, messages, tools: tools ?? null, documents: documents ?? null, add_generation_prompt },
      now: (options.now ?? new Date()).getTime(),
      max_length: options.max_length ?? 1 << 24,
    },
    options.time_limit_ms ?? 2000,
  );
  return continue_final_message ? upToFinalMessage(text, messages) : text;
}

/** The template and special tokens of a tokenizer's configuration, as options of `applyChatTemplate`. */
export function chatTemplateOf(config: TokenizerConfig): ChatTemplateOptions {
  if (config.chat_template === undefined || config.chat_template === null)
    throw new VitroError('this tokenizer has no chat_template; is it a base model? Pass a template of your own');
  const token = (name: string): Record<string, string> => {
    const text = specialText(config[name]);
    return text === null ? {} : { [name]: text };
  };
  return { template: config.chat_template, ...token('bos_token'), ...token('eos_token'), ...token('pad_token'), ...token('unk_token') };
}

function chooseTemplate({ template, template_name, tools }: ChatTemplateOptions): string {
  if (typeof template === 'string') return template;
  const named = new Map<string, string>();
  for (const entry of Array.isArray(template) ? (template as unknown[]) : [])
    if (isRecord(entry) && typeof entry.name === 'string' && typeof entry.template === 'string') named.set(entry.name, entry.template);
  const name = template_name ?? (tools && named.has('tool_use') ? 'tool_use' : 'default');
  const chosen = named.get(name);
  if (chosen === undefined)
    throw new VitroError(
      named.size === 0
        ? 'template must be a Jinja text or a list of {name, template}'
        : `there is no chat template ${JSON.stringify(name)}; there are ${[...named.keys()].join(', ')}`,
    );
  return chosen;
}

function upToFinalMessage(text: string, messages: readonly ChatMessage[]): string {
  let content = messages.at(-1)?.content;
  if (Array.isArray(content)) {
    const part: unknown = content.findLast((p) => isRecord(p) && typeof p.text === 'string');
    content = isRecord(part) ? part.text : undefined;
  }
  if (typeof content !== 'string' || content.trim() === '') throw new VitroError('continue_final_message needs a last message with text');
  const bare = content.trim();
  const at = text.lastIndexOf(bare);
  if (at < 0) throw new VitroError('continue_final_message: the chat template changes the last message, so it cannot be continued');
  return text.slice(0, at) + (text.startsWith(content.trimStart(), at) ? content.trimStart() : bare);
}
