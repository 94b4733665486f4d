import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import { applyChatTemplate, type ChatMessage, chatTemplateOf } from '../../../src/models/tokenizer/index.js';
import { VitroError } from '../../../src/tensor/errors.js';
import { fixture, hasShared, sharedText } from './shared.js';

interface Conversation {
  readonly messages: readonly ChatMessage[];
  readonly tools?: readonly unknown[];
  readonly add_generation_prompt?: boolean;
}

interface Figures {
  readonly conversations: Readonly<Record<string, Conversation>>;
  readonly special: { readonly bos_token: string; readonly eos_token: string };
  readonly now: readonly [number, number, number, number, number, number];
  readonly small: Readonly<
    Record<string, { readonly template: string; readonly results: Record<string, { text?: string; error?: string }> }>
  >;
  readonly published: Readonly<Record<string, Record<string, { sha256?: string; length?: number; error?: string }>>>;
}

const figures = JSON.parse(fixture('chatTemplates.json')) as Figures;
const [year, month, ...rest] = figures.now;
const now = new Date(year, month - 1, ...rest);
const render = (template: string, { messages, ...options }: Conversation): string =>
  applyChatTemplate(messages, { template, ...options, ...figures.special, now, time_limit_ms: 20_000 });
const names = Object.entries(figures.conversations);

describe('templates as transformers renders them', () => {
  const cases = Object.entries(figures.small).flatMap(([name, { template, results }]) =>
    names.map(([which, conversation]) => [name, which, template, conversation, results[which]] as const),
  );
  it.each(cases)('%s, %s', (_name, _which, template, conversation, expected) => {
    if (expected?.text !== undefined) expect(render(template, conversation)).toBe(expected.text);
    else expect(() => render(template, conversation)).toThrow('the chat template refuses these messages: roles must alternate');
  });

  it.skipIf(!hasShared)('published templates', () => {
    let same = 0;
    for (const line of sharedText('tokenizers/chat-templates.jsonl.gz').trim().split('\n')) {
      const { path, text } = JSON.parse(line) as { path: string; text: string };
      for (const [which, conversation] of names) {
        const expected = figures.published[path]?.[which];
        if (expected?.error?.startsWith('TemplateError')) {
          expect(() => render(text, conversation), `${path} ${which}`).toThrow(/refuses these messages/);
        } else if (expected?.sha256) {
          const got = render(text, conversation);
          expect([path, which, Buffer.byteLength(got), createHash('sha256').update(got).digest('hex')]).toEqual([
            path,
            which,
            expected.length,
            expected.sha256,
          ]);
          same++;
        }
      }
    }
    expect(same).toBe(49);
  });
});

describe('options', () => {
  const messages = [{ role: 'user', content: 'Hi' }];
  const echo = '{{ bos_token }}{% for m in messages %}<{{ m.role }}>{{ m.content }}</>{% endfor %}{{ extra }}';

  it('chooses among several templates', () => {
    const template = [
      { name: 'default', template: 'plain' },
      { name: 'tool_use', template: 'tools' },
    ];
    expect(applyChatTemplate(messages, { template })).toBe('plain');
    expect(applyChatTemplate(messages, { template, tools: [{}] })).toBe('tools');
    expect(applyChatTemplate(messages, { template, template_name: 'tool_use' })).toBe('tools');
    expect(() => applyChatTemplate(messages, { template, template_name: 'rag' })).toThrow(
      /no chat template "rag"; there are default, tool_use/,
    );
    expect(() => applyChatTemplate(messages, { template: 3 })).toThrow(/must be a Jinja text/);
  });

  it('passes variables and special tokens, also from a configuration', () => {
    expect(applyChatTemplate(messages, { template: echo, bos_token: '<s>', variables: { extra: '!' } })).toBe('<s><user>Hi</>!');
    const config = { chat_template: echo, bos_token: { content: '<b>' } };
    expect(applyChatTemplate(messages, chatTemplateOf(config))).toBe('<b><user>Hi</>');
    expect(() => chatTemplateOf({})).toThrow(/has no chat_template/);
  });

  it('continues the last message', () => {
    const turns = [...messages, { role: 'assistant', content: ' Well,' }];
    expect(applyChatTemplate(turns, { template: echo, continue_final_message: true })).toBe('<user>Hi</><assistant> Well,');
    expect(() => applyChatTemplate(turns, { template: 'no', continue_final_message: true })).toThrow(/changes the last message/);
    expect(() => applyChatTemplate(turns, { template: echo, continue_final_message: true, add_generation_prompt: true })).toThrow(
      /exclude each other/,
    );
  });
});

describe('hostile templates', () => {
  const run =
    (template: string, options: { time_limit_ms?: number; max_length?: number } = {}) =>
    () =>
      applyChatTemplate([{ role: 'user', content: 'x' }], { template, time_limit_ms: 300, ...options });

  it('are stopped, and the next one runs', () => {
    expect(run('{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}')).toThrow(/more than 300 ms or 256 MB/);
    const doubling = '{% set ns = namespace(x=[1]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x %}{% endfor %}';
    expect(run(doubling, { time_limit_ms: 5000 })).toThrow(VitroError);
    expect(run('{{ messages[0].content }}', { time_limit_ms: 5000 })()).toBe('x');
  });

  it.each([
    ['{% for i in range(10 ** 9) %}{% endfor %}', /the chat template failed/],
    ['{% for i in range(1000000000) %}{% endfor %}', /range\(\) of 1000000000 numbers/],
    ['{% macro f(x) %}{{ f(x) }}{% endmacro %}{{ f(1) }}', /the chat template failed/],
    ['{{ messages.constructor.constructor("return 1")() }}', /the chat template failed/],
    ['{% if %}', /the chat template failed/],
    ['{% include "/etc/passwd" %}', /the chat template failed/],
    [`${'x'.repeat(2 ** 20)}y`, /at most 1048576/],
  ])('%s', (template, message) => {
    expect(run(template, { time_limit_ms: 10_000 })).toThrow(message);
    expect(run(template, { time_limit_ms: 10_000 })).toThrow(VitroError);
  });

  it('cannot make the text too long', () => {
    expect(run('{% for i in range(1000) %}0123456789{% endfor %}', { max_length: 9999, time_limit_ms: 5000 })).toThrow(
      /10000 characters, over the limit/,
    );
  });

  it('get plain data only', () => {
    expect(() => applyChatTemplate([{ role: 'user', content: () => 1 }], { template: 'x' })).toThrow(/must be plain data/);
    expect(applyChatTemplate([], { template: 'still here' })).toBe('still here');
  });
});
