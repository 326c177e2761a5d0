import { type ChildProcess, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { eventually } from './eventually.ts';
import { startChild } from './start-child.ts';
import { freePort } from './target.ts';

/** A separate Prometheus: a free port of 127.0.0.1, and a fresh temporary directory for its data. */
export interface Prometheus extends AsyncDisposable {
  /** The current values of a query, each with its labels. Throws if the query is wrong. */
  query(expression: string): Promise<readonly { readonly labels: Readonly<Record<string, string>>; readonly value: number }[]>;
  /** When the first group of rules was last evaluated, ms since the epoch; 0 before. */
  evaluatedAt(): Promise<number>;
}

interface RulesAnswer {
  readonly data: { readonly groups: readonly { readonly lastEvaluation: string }[] };
}

interface QueryAnswer {
  readonly data: {
    readonly result: readonly { readonly metric: Readonly<Record<string, string>>; readonly value: readonly [number, string] }[];
  };
}

/** `config`: the text of its prometheus.yml. Needs Debian's package prometheus. */
export async function startPrometheus(config: string): Promise<Prometheus> {
  const directory = await mkdtemp(join(tmpdir(), 'prometheus-'));
  const file = join(directory, 'prometheus.yml');
  await writeFile(file, config);
  const origin = `http://127.0.0.1:${await freePort()}`;
  const args = [`--config.file=${file}`, `--storage.tsdb.path=${join(directory, 'data')}`, `--web.listen-address=${new URL(origin).host}`];
  const child = startChild('prometheus', args);
  child.stdout.resume();
  let said = '';
  child.stderr.on('data', (chunk) => {
    said += chunk;
  });

  async function stop(): Promise<void> {
    await end(child);
    await rm(directory, { recursive: true, force: true });
  }

  async function query(expression: string) {
    const answer = await fetch(`${origin}/api/v1/query?query=${encodeURIComponent(expression)}`);
    if (!answer.ok) throw new Error(`${expression}: ${await answer.text()}`);
    const { data } = (await answer.json()) as QueryAnswer;
    return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
  }

  async function evaluatedAt(): Promise<number> {
    const { data } = (await (await fetch(`${origin}/api/v1/rules`)).json()) as RulesAnswer;
    return Math.max(0, Date.parse(data.groups[0]?.lastEvaluation ?? '') || 0);
  }

  try {
    await eventually(async () => (await fetch(`${origin}/-/ready`)).ok);
  } catch (cause) {
    await stop();
    throw new Error(`prometheus did not become ready:\n${said}`, { cause });
  }
  return { query, evaluatedAt, [Symbol.asyncDispose]: stop };
}

/** Runs promtool with `input` on its standard input. */
export function promtool(args: readonly string[], input = ''): { readonly status: number | null; readonly said: string } {
  const { status, stdout, stderr } = spawnSync('promtool', args, { input, encoding: 'utf8' });
  return { status, said: stdout + stderr };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGTERM');
  await exited;
}
