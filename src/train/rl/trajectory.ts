import type { JsonValue } from '../../data/stream/batch.js';
import { VitroError } from '../../tensor/errors.js';

/** A problem of the data set, or one that a method made. */
export interface Prompt {
  /** row of the task table; prompts that a method made share the id of the problem that they came from, or have a new one */
  readonly id: number;
  readonly text: string;
  readonly tokens: Int32Array;
  /** which request of its step it is; given by the loop */
  readonly place?: number;
  /** further columns of the data, which the reward functions see */
  readonly columns: Readonly<Record<string, JsonValue>>;
}

/** A run of tokens behind a context: a whole completion, a turn, a chunk, a branch of a tree. Training scores each segment once. */
export interface Segment {
  /** every token that the policy saw before `tokens` */
  readonly context: Int32Array;
  readonly tokens: Int32Array;
  /** 1 where the policy chose the token; 0 where an environment wrote it or a method forced it */
  readonly actions: Uint8Array;
  /** log-probability of each token under the distribution that it was drawn from, in nats; 0 where nothing was drawn */
  readonly logps: Float32Array;
  /** entropy before each token, in nats */
  readonly entropies: Float32Array;
  /** index, within the trajectory, of the segment that this one continues; -1 at a root */
  readonly parent: number;
  /** what the segment is for, e.g. 'think', 'subproblem', an agent's name; grouping and credit read it */
  readonly role?: string;
  /** reward of this segment alone, for credit below the trajectory; undefined = none */
  readonly reward?: number;
  /** training scores the tokens behind this context instead (hints taken away, contexts swapped) */
  readonly replay_context?: Int32Array;
}

/** What was done about one prompt: a tree of segments, most often a single one. */
export interface Trajectory {
  readonly prompt: Prompt;
  readonly segments: readonly Segment[];
  /** what the reward functions read */
  readonly text: string;
  readonly finish_reason: 'stop' | 'length';
  /** false = compared with the others of its group, but no gradient comes from it (a greedy baseline) */
  readonly trains: boolean;
  /** training steps since it was sampled; 0 = from the current weights */
  readonly age: number;
  /** whatever the methods of the recipe keep about it: mode, hint, depth */
  readonly notes: Readonly<Record<string, JsonValue>>;
}

/** The unit that is compared and gets an advantage: a trajectory, or some of its segments. */
export interface Sample {
  readonly trajectory: Trajectory;
  readonly segments: readonly Segment[];
  /** samples of one key stand in one group */
  readonly group: string;
}

/** A sample with its rewards. */
export interface ScoredSample extends Sample {
  readonly reward: number;
  /** the rewards that were added up, by name; null = does not apply */
  readonly rewards: Readonly<Record<string, number | null>>;
  /** reward at each token of the sample's segments in order; `reward` comes on top, at the last token */
  readonly token_rewards?: Float64Array;
}

/** What a trajectory of one segment is made from. */
export interface NewTrajectory {
  readonly prompt: Prompt;
  readonly context: Int32Array;
  readonly tokens: Int32Array;
  readonly logps: Float32Array;
  readonly entropies: Float32Array;
  readonly text: string;
  readonly finish_reason: 'stop' | 'length';
  readonly actions?: Uint8Array;
  readonly replay_context?: Int32Array;
  readonly trains?: boolean;
  readonly notes?: Readonly<Record<string, JsonValue>>;
}

/** A trajectory of one segment. */
export function flatTrajectory(given: NewTrajectory): Trajectory {
  const { prompt, context, tokens, logps, entropies, text, finish_reason, actions, replay_context, trains = true, notes = {} } = given;
  const segment: Segment = {
    context,
    tokens,
    actions: actions ?? new Uint8Array(tokens.length).fill(1),
    logps,
    entropies,
    parent: -1,
    ...(replay_context ? { replay_context } : {}),
  };
  return { prompt, segments: [segment], text, finish_reason, trains, age: 0, notes };
}

export const tokenCount = ({ segments }: Pick<Sample, 'segments'>): number => segments.reduce((n, s) => n + s.tokens.length, 0);

const numbers = (values: ArrayLike<number>): number[] => Array.from(values);
type Json = Readonly<Record<string, JsonValue>>;

/** A scored sample as JSON, exact, for buffers that outlive a checkpoint. */
export function sampleToJson({ trajectory, segments, group, reward, rewards, token_rewards }: ScoredSample): JsonValue {
  const { prompt, segments: all, ...rest } = trajectory;
  return {
    trajectory: {
      ...rest,
      prompt: { ...prompt, tokens: numbers(prompt.tokens) },
      segments: all.map(({ context, tokens, actions, logps, entropies, parent, role, reward: own, replay_context }) => ({
        context: numbers(context),
        tokens: numbers(tokens),
        actions: numbers(actions),
        logps: numbers(logps),
        entropies: numbers(entropies),
        parent,
        ...(role === undefined ? {} : { role }),
        ...(own === undefined ? {} : { reward: own }),
        ...(replay_context ? { replay_context: numbers(replay_context) } : {}),
      })),
    },
    segments: segments.map((s) => all.indexOf(s)),
    group,
    reward,
    rewards,
    ...(token_rewards ? { token_rewards: numbers(token_rewards) } : {}),
  };
}

function segmentFromJson(json: Json): Segment {
  const { context, tokens, actions, logps, entropies, replay_context, ...rest } = json;
  return {
    ...(rest as unknown as Pick<Segment, 'parent' | 'role' | 'reward'>),
    context: Int32Array.from(context as number[]),
    tokens: Int32Array.from(tokens as number[]),
    actions: Uint8Array.from(actions as number[]),
    logps: Float32Array.from(logps as number[]),
    entropies: Float32Array.from(entropies as number[]),
    ...(replay_context ? { replay_context: Int32Array.from(replay_context as number[]) } : {}),
  };
}

/** The inverse of sampleToJson. */
export function sampleFromJson(json: JsonValue): ScoredSample {
  const { trajectory, segments, token_rewards, ...rest } = json as Json;
  const { prompt, segments: list, ...others } = trajectory as Json;
  const all = (list as Json[]).map(segmentFromJson);
  const { tokens, ...promptRest } = prompt as Json;
  return {
    ...(rest as unknown as Pick<ScoredSample, 'group' | 'reward' | 'rewards'>),
    trajectory: {
      ...(others as unknown as Omit<Trajectory, 'prompt' | 'segments'>),
      prompt: { ...(promptRest as unknown as Omit<Prompt, 'tokens'>), tokens: Int32Array.from(tokens as number[]) },
      segments: all,
    },
    segments: (segments as number[]).map((i) => {
      const found = all[i];
      if (!found) throw new VitroError(`stored sample: there is no segment ${i} among ${all.length}`);
      return found;
    }),
    ...(token_rewards ? { token_rewards: Float64Array.from(token_rewards as number[]) } : {}),
  };
}
