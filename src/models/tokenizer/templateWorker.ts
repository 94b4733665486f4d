import { createRequire } from 'node:module';
import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import { VitroError } from '../../tensor/errors.js';

export interface RenderJob {
  readonly template: string;
  readonly context: Readonly<Record<string, unknown>>;
  /** the time that strftime_now shows, in milliseconds since 1970 */
  readonly now: number;
  /** most characters of the result */
  readonly max_length: number;
}

interface RenderReply {
  readonly text?: string;
  readonly error?: string;
  /** the template itself called raise_exception */
  readonly raised?: boolean;
}

interface WorkerSetup {
  readonly jinja: string;
  readonly port: MessagePort;
  /** 0 idle, 1 rendering, 2 replied */
  readonly state: Int32Array;
}

/** Runs inside the worker from its own source text, so it may use nothing from this module but types. */
function workerMain(load: NodeJS.Require): void {
  const { workerData } = load('node:worker_threads') as { workerData: WorkerSetup };
  const { Environment, Interpreter, Template } = load(workerData.jinja) as typeof import('@huggingface/jinja');
  const { port, state } = workerData;
  const months = 'January February March April May June July August September October November December'.split(' ');
  const days = 'Sunday Monday Tuesday Wednesday Thursday Friday Saturday'.split(' ');
  const two = (n: number): string => String(n).padStart(2, '0');
  const strftime = (date: Date, format: string): string => {
    const month = months[date.getMonth()] ?? '';
    const day = days[date.getDay()] ?? '';
    const hour = date.getHours();
    const dayOfYear =
      Math.round((Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 1)) / 864e5) + 1;
    const values: Record<string, string> = {
      Y: String(date.getFullYear()),
      y: two(date.getFullYear() % 100),
      m: two(date.getMonth() + 1),
      B: month,
      b: month.slice(0, 3),
      d: two(date.getDate()),
      A: day,
      a: day.slice(0, 3),
      j: String(dayOfYear).padStart(3, '0'),
      H: two(hour),
      I: two(hour % 12 || 12),
      p: hour < 12 ? 'AM' : 'PM',
      M: two(date.getMinutes()),
      S: two(date.getSeconds()),
      '%': '%',
    };
    return format.replace(/%(-?)([A-Za-z%])/g, (whole, bare: string, letter: string) => {
      const value = values[letter];
      return value === undefined ? whole : bare ? value.replace(/^0+(?=.)/, '') : value;
    });
  };
  const templates = new Map<string, InstanceType<typeof Template>>();
  const compiled = (text: string): InstanceType<typeof Template> => {
    const known = templates.get(text);
    if (known) return known;
    if (templates.size >= 32) templates.clear();
    const template = new Template(text);
    templates.set(text, template);
    return template;
  };
  // Jinja takes undefined as '' in filters of text and as [] in filters of lists, and lazy filters take none too; the library refuses them
  type Apply = (operand: { type: string }, filter: { value?: string; callee?: { value?: string } }, environment: unknown) => unknown;
  const interpreter = Interpreter.prototype as unknown as { applyFilter: Apply };
  const strict = interpreter.applyFilter;
  const empty = new Environment();
  const [emptyText, emptyList] = [empty.set('text', ''), empty.set('list', [])];
  const ofText = new Set(['trim', 'upper', 'lower', 'title', 'capitalize', 'replace', 'indent', 'escape', 'e']);
  const lazy = new Set(['selectattr', 'rejectattr', 'select', 'reject', 'map']);
  const ofLists = new Set(['list', 'join', 'length', 'count', 'sort', 'unique']);
  interpreter.applyFilter = function (operand, filter, environment) {
    const name = filter.value ?? filter.callee?.value ?? '';
    const missing = operand.type === 'UndefinedValue';
    const asList = lazy.has(name) ? missing || operand.type === 'NullValue' : missing && ofLists.has(name);
    const stand = asList ? emptyList : missing && ofText.has(name) ? emptyText : operand;
    return strict.call(this, stand, filter, environment);
  };
  // what Template.render does, with globals of our own
  const render = (template: InstanceType<typeof Template>, variables: Readonly<Record<string, unknown>>): string => {
    const environment = new Environment();
    for (const [name, value] of Object.entries(variables)) environment.set(name, value);
    return String(new Interpreter(environment).run(template.parsed).value);
  };
  const range = (first: number, end?: number, step = 1): number[] => {
    const [from, to] = end === undefined ? [0, first] : [first, end];
    const length = Math.max(0, Math.ceil((to - from) / step));
    if (!(length <= 1e6)) throw new Error(`range() of ${length} numbers`);
    return Array.from({ length }, (_, i) => from + i * step);
  };
  const globals = { true: true, false: false, none: null, True: true, False: false, None: null, range };
  class Raised extends Error {}
  port.on('message', (job: RenderJob) => {
    Atomics.store(state, 0, 1);
    Atomics.notify(state, 0);
    let reply: RenderReply;
    try {
      const text = render(compiled(job.template), {
        ...globals,
        ...job.context,
        strftime_now: (format: string) => strftime(new Date(job.now), format),
        raise_exception: (message: string) => {
          throw new Raised(String(message));
        },
      });
      reply =
        text.length <= job.max_length
          ? { text }
          : { error: `its result has ${text.length} characters, over the limit of ${job.max_length}` };
    } catch (error) {
      reply = { error: error instanceof Error ? error.message : String(error), raised: error instanceof Raised };
    }
    port.postMessage(reply);
    Atomics.store(state, 0, 2);
    Atomics.notify(state, 0);
  });
}

const heapMb = 256;
const startLimitMs = 60_000;

class TemplateWorker {
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #state = new Int32Array(new SharedArrayBuffer(4));

  constructor() {
    const { port1, port2 } = new MessageChannel();
    const jinja = createRequire(import.meta.url).resolve('@huggingface/jinja');
    this.#worker = new Worker(`(${workerMain.toString()})(require)`, {
      eval: true,
      workerData: { jinja, port: port2, state: this.#state } satisfies WorkerSetup,
      transferList: [port2],
      env: {},
      execArgv: [],
      resourceLimits: { maxOldGenerationSizeMb: heapMb, maxYoungGenerationSizeMb: 32 },
    });
    this.#port = port1;
    // a template that fails for memory is reported by `run`; without a listener it would end this process
    this.#worker.on('error', () => undefined);
    this.#worker.unref();
    port1.unref();
  }

  run(job: RenderJob, limitMs: number): RenderReply {
    Atomics.store(this.#state, 0, 0);
    this.#port.postMessage(job);
    Atomics.wait(this.#state, 0, 0, startLimitMs);
    Atomics.wait(this.#state, 0, 1, limitMs);
    if (Atomics.load(this.#state, 0) !== 2) {
      this.#worker.terminate().catch(() => undefined);
      throw new VitroError(`the chat template took more than ${limitMs} ms or ${heapMb} MB and was stopped`);
    }
    return receiveMessageOnPort(this.#port)?.message as RenderReply;
  }
}

let worker: TemplateWorker | undefined;

/**
 * Renders a Jinja template in a worker thread that is stopped at a limit of time or memory: templates come with downloaded checkpoints.
 * @throws VitroError where the template is wrong, calls raise_exception, or meets a limit
 */
export function renderInWorker(job: RenderJob, limitMs: number): string {
  worker ??= new TemplateWorker();
  let reply: RenderReply;
  try {
    reply = worker.run(job, limitMs);
  } catch (error) {
    worker = undefined;
    if (error instanceof VitroError) throw error;
    throw new VitroError(`messages, tools and variables must be plain data: ${(error as Error).message}`, { cause: error });
  }
  if (reply.text !== undefined) return reply.text;
  throw new VitroError(
    reply.raised ? `the chat template refuses these messages: ${reply.error}` : `the chat template failed: ${reply.error}`,
  );
}
