import type { Command } from 'commander';
import { stringify } from 'yaml';
import { type Task, taskKnobs, tasks } from '../data/tasks/index.js';
import type { RlVerb } from '../lab/rl/config.js';
import type { RlFigures } from '../lab/rl/plan.js';
import { recipeSettings, rlOwnKeys, rlSchema } from '../lab/rl/recipe.js';
import { type RlDryRun, type RlEvent, type RlSummary, rlDryRun, rlRun } from '../lab/rlRun.js';
import type { RlLedgerTotal } from '../train/rl/ledger.js';
import { rlMethods } from '../train/rl/methods/index.js';
import { completionsText, profileText } from './completionsText.js';
import type { ConfigRecord } from './config/file.js';
import { addConfigFlags, type ConfigNames, configOf, refuseUnknown } from './config/flags.js';
import { si } from './format.js';
import { type Io, lookOf } from './io.js';
import { methodsHelp, namesHelp, settingsHelp } from './methodsHelp.js';
import { commonAliases, optimizationKey } from './postTrainCommands.js';
import { finishedText, placeText, runTraining } from './trainAction.js';
import { type ShownMetric, TrainProgress } from './trainProgress.js';

const summaries: Readonly<Record<RlVerb, string>> = {
  grpo: 'Reinforcement learning with verifiable rewards: group relative policy optimization and every recipe that builds on it.',
  rloo: 'Reinforcement learning with verifiable rewards: REINFORCE with a leave-one-out baseline, or another recipe.',
};

function namesOf(verb: RlVerb): ConfigNames {
  const shown = { ...rlOwnKeys(verb), ...recipeSettings(verb) };
  return {
    aliases: commonAliases,
    shorthands: { optimizer: 'method', schedule: 'method' },
    setKey: (name) => (Object.hasOwn(rlMethods, name) ? `method_settings.${name}` : optimizationKey(name)),
    hidden: (key) => !Object.hasOwn(shown, key),
  };
}

const commonKnobs = taskKnobs({ ...tasks.addition, knobs: {} });

/** Tasks with the settings that are theirs alone. */
const taskTexts = Object.fromEntries(
  Object.values(tasks as Readonly<Record<string, Task>>).map(({ id, summary, knobs }) => [
    id,
    { summary, defaults: Object.fromEntries(Object.entries(knobs).map(([name, knob]) => [name, knob.default])) },
  ]),
);

const helpOf = (verb: RlVerb): string => `
Settings of ${verb} with their defaults; those of every method in --rl are flags too ("vitro methods ID" shows them):
${settingsHelp(recipeSettings(verb))}

Methods for --rl, joined by + ("vitro methods --slot rl" says what they do):
${namesHelp(Object.keys(rlMethods))}

Tasks for --task, with their own settings for --task_settings; all have ${Object.keys(commonKnobs).join(', ')}:
${methodsHelp(taskTexts)}
  gsm8k: the problems of dataset_name, a file with the columns question and answer

Rewards are functions of your own in TypeScript or JavaScript, which are run as they stand:
  // rewards.ts
  export default (prompts: string[], completions: string[], columns: Record<string, unknown[]>) =>
    completions.map((text, i) => (text.includes(String(columns.answer[i])) ? 1 : 0)); // null: does not apply

Examples:
  $ vitro ${verb} --model_name_or_path runs/base --task countdown --task_settings '{"max_difficulty": 3}' --output_dir out
  $ vitro ${verb} --model_name_or_path runs/base --dataset_name prompts.jsonl --reward_funcs rewards.ts --max_steps 50
  $ vitro ${verb} --model_name_or_path HuggingFaceTB/SmolLM2-135M-Instruct --task gsm8k --dataset_name gsm8k-train.jsonl
  $ vitro grpo --model_name_or_path runs/base --task countdown --rl grpo+opo --num_generations 16 --learning_rate 3e-4
  $ vitro grpo --model_name_or_path runs/base --task countdown --loss_type dapo --epsilon_high 0.28 --beta 0 --profile
  $ vitro grpo --model_name_or_path runs/base --dataset_name prompts.jsonl --reward_funcs rewards.ts,judge --reward_weights 1,0.5

A line of prompts.jsonl: {"prompt": "3+4=", "answer": "7"}; the column answer reaches the rewards.
Ctrl-C saves a checkpoint; the same command goes on from the newest one. docs/post-training.md has the rest.`;

/** vitro grpo, rloo. Only the command that is `wanted` gets its flags, see addPostTrain. */
export function addRl(program: Command, io: Io, setExit: (code: number) => void, wanted: string | undefined): void {
  for (const verb of Object.keys(summaries) as RlVerb[]) {
    const command = program
      .command(verb)
      .description(`${summaries[verb]} Interrupted runs go on to the same bits.`)
      .allowUnknownOption()
      .allowExcessArguments();
    if (wanted !== verb) continue;
    const names = namesOf(verb);
    const schema = rlSchema(verb);
    addConfigFlags(command, schema, names)
      .option('--json', 'print the result as one JSON object on stdout; progress goes to stderr')
      .addHelpText('after', () => helpOf(verb))
      .action(async (flags: ConfigRecord & { readonly json?: boolean }) => {
        refuseUnknown(command, schema, names);
        setExit(await runVerb(verb, flags, io));
      });
  }
}

const shown: readonly ShownMetric[] = [
  { keys: ['reward'], label: 'reward', digits: 3 },
  { keys: ['completions/mean_length'], label: 'length', digits: 0 },
  { keys: ['eval_reward'], label: 'eval_reward', digits: 3, isEvaluation: true },
];

async function runVerb(verb: RlVerb, { json = false, ...flags }: ConfigRecord & { readonly json?: boolean }, io: Io): Promise<number> {
  const config: Readonly<Record<string, unknown>> = await configOf(rlSchema(verb), flags, namesOf(verb));
  return runTraining<RlEvent, RlSummary | RlDryRun>(io, {
    json,
    progress: new TrainProgress(io.stderr, shown),
    run: (hooks) => (config.dry_run === true ? rlDryRun(verb, config, hooks) : rlRun(verb, config, hooks)),
    startText: (event) => `${sizeText(event.figures)}; ${placeText(event, config.save_steps as number | undefined)}`,
    resultText: (result) => ('ledger' in result ? summaryText(result) : dryRunText(result)),
    eventText: (event) =>
      event.type === 'completions'
        ? completionsText(event.step, event.rows, Number(config.num_completions_to_print), lookOf(io.stderr).width)
        : undefined,
  });
}

const sizeText = (f: RlFigures): string =>
  `${si(f.parameters)} parameters, ${f.problems} problems (${f.validation_problems} more are only measured), ${f.steps} steps of ${f.prompts_per_step} problems x ${f.num_generations} completions of at most ${f.max_completion_length} tokens (${f.epochs.toFixed(2)} epochs), rewards ${f.rewards.join(' + ')}, learning rate ${f.learning_rate}`;

function summaryText(summary: RlSummary): string {
  const { before, metrics, output_dir, profile } = summary;
  const reward = (own: Readonly<Record<string, number>>): string =>
    `${own.eval_reward?.toFixed(3)} \u00b1 ${own.eval_reward_stderr?.toFixed(3)}`;
  const change =
    before?.eval_reward !== undefined && metrics.eval_reward !== undefined
      ? `Reward of the held-out problems: ${reward(before)} before, ${reward(metrics)} after (standard errors). `
      : '';
  const text = finishedText(summary, {
    cost: (ledger) => {
      const { tokens_trained, tokens_generated } = ledger as RlLedgerTotal;
      return `${si(tokens_generated)} tokens generated, ${si(tokens_trained)} trained`;
    },
    advice: 'Lower learning_rate, or raise beta.',
    next: `${change}The model is in ${output_dir}; try: vitro generate --model ${output_dir} --prompt "..."`,
  });
  return profile ? `${text}\n\n${profileText(profile)}` : text;
}

function dryRunText({ config, recipe, applied, args, figures }: RlDryRun): string {
  return [stringify({ ...config, recipe, args }).trimEnd(), '', sizeText(figures), `methods: ${applied.join(', ')}`].join('\n');
}
