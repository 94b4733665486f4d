import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { release } from 'node:os';
import type { Command } from 'commander';
import { cacheDir } from '../data/cacheDir.js';
import { describeMachine, type Machine, readVersions, type Versions } from '../lab/machine.js';
import { flatten } from '../lab/report/flatten.js';
import { bytes } from '../lab/report/numbers.js';
import { hubCacheFolder } from '../models/checkpoint/hubCache.js';
import { availableBackends } from '../tensor/index.js';
import { exitCodes, type Io } from './io.js';

/** What a bug report needs to say of an installation. */
export interface Environment {
  readonly versions: Versions;
  /** versions of the packages that Vitro depends on, as installed; null where one is missing */
  readonly packages: Readonly<Record<string, string | null>>;
  readonly machine: Machine & { readonly os_release: string };
  readonly backends: readonly { readonly name: string; readonly library?: string; readonly problem?: string }[];
  readonly caches: Readonly<Record<string, { readonly path: string; readonly exists: boolean }>>;
  /** environment variables that change what Vitro does; of secrets only whether they are set */
  readonly variables: Readonly<Record<string, string>>;
  readonly working_folder: string;
}

const watched =
  /^(VITRO_.*|HF_.*|HUGGINGFACE_HUB_CACHE|XDG_CACHE_HOME|NODE_OPTIONS|NODE_EXTRA_CA_CERTS|ONNXRUNTIME_.*|OMP_NUM_THREADS|CUDA_VISIBLE_DEVICES|NO_COLOR|(https?|no|all)_proxy)$/i;
const secret = /token|key|secret|password|credential|proxy|auth/i;

/** The variables worth reporting, without anything that could be a secret: proxies may hold passwords in their addresses. */
export const reportedVariables = (env: Readonly<Record<string, string | undefined>>): Record<string, string> =>
  Object.fromEntries(
    Object.keys(env)
      .filter((name) => watched.test(name) && env[name] !== undefined && env[name] !== '')
      .sort()
      .map((name) => [name, secret.test(name) ? '(set)' : withoutUserInfo(env[name] as string)]),
  );

/** Addresses without their user and password. */
const withoutUserInfo = (text: string): string => text.replace(/(\w+:\/\/)[^/@\s]*@/g, '$1');

async function installedVersions(): Promise<Record<string, string | null>> {
  const own = JSON.parse(await readFile(new URL('../../package.json', import.meta.url), 'utf8')) as {
    dependencies: Record<string, string>;
  };
  const { resolve } = createRequire(import.meta.url);
  const versionOf = async (name: string): Promise<string | null> => {
    for (const root of resolve.paths(name) ?? []) {
      const path = `${root}/${name}/package.json`;
      if (existsSync(path)) return (JSON.parse(await readFile(path, 'utf8')) as { version: string }).version;
    }
    return null;
  };
  return Object.fromEntries(await Promise.all(Object.keys(own.dependencies).map(async (name) => [name, await versionOf(name)] as const)));
}

const folder = (path: string): { path: string; exists: boolean } => ({ path, exists: existsSync(path) });

/** Gathers the environment. Nothing is computed and nothing is loaded but the backends' libraries; `vitro doctor` tries them out. */
export async function describeEnvironment(env: NodeJS.ProcessEnv = process.env): Promise<Environment> {
  return {
    versions: readVersions(),
    packages: await installedVersions(),
    machine: { ...describeMachine(), os_release: release() },
    backends: availableBackends(),
    caches: { vitro: folder(cacheDir(env)), hugging_face: folder(hubCacheFolder(env)) },
    variables: reportedVariables(env),
    working_folder: process.cwd(),
  };
}

/** The environment for people: blocks of names and values. */
export function environmentText({ versions, packages, machine, backends, caches, variables, working_folder }: Environment): string {
  const blocks: [string, readonly (readonly [string, string])[]][] = [
    ['Versions', flatten(versions)],
    ['Packages', Object.entries(packages).map(([name, version]) => [name, version ?? 'MISSING: run npm ci'])],
    [
      'Machine',
      [
        ['system', `${machine.platform}-${machine.arch} ${machine.os_release}`],
        ['processor', `${machine.cpu}, ${machine.cores} cores`],
        ['memory', bytes(machine.memory_bytes)],
      ],
    ],
    ['Backends', backends.map(({ name, library, problem }) => [name, problem ?? library ?? 'available'])],
    [
      'Folders',
      [
        ['working folder', working_folder],
        ...Object.entries(caches).map(([name, c]) => [`${name} cache`, `${c.path}${c.exists ? '' : ' (not there yet)'}`] as const),
      ],
    ],
    ['Environment variables', Object.keys(variables).length > 0 ? Object.entries(variables) : [['(none that matter)', '']]],
  ];
  const width = Math.max(...blocks.flatMap(([, entries]) => entries.map(([name]) => name.length)));
  return blocks
    .map(([title, entries]) => [title, ...entries.map(([name, value]) => `  ${name.padEnd(width)}  ${value}`.trimEnd())].join('\n'))
    .join('\n\n');
}

/** vitro env */
export function addEnv(program: Command, io: Io, setExit: (code: number) => void): void {
  program
    .command('env')
    .description(
      'Print versions, machine, backends, folders and settings, for a bug report. Secrets are left out. ("vitro doctor" tries out what works.)',
    )
    .option('--json', 'print one JSON object')
    .addHelpText('after', '\nExamples:\n  $ vitro env\n  $ vitro env --json | jq .packages')
    .action(async (flags: { readonly json?: boolean }) => {
      const environment = await describeEnvironment();
      io.stdout.write(`${flags.json ? JSON.stringify(environment) : environmentText(environment)}\n`);
      setExit(exitCodes.done);
    });
}
