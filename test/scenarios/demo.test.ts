import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { eventually } from '../support/eventually.ts';
import { requirePackage } from '../support/packages.ts';

const main = resolve(fileURLToPath(import.meta.url), '../../../dist/src/cli/main.js');
const hasProsody = await requirePackage('prosody');

/** The built demo in its own process, with its own folder for temporary files. */
interface Demo extends AsyncDisposable {
  readonly process: ChildProcess;
  output(): string;
  /** Resolves with the exit code. */
  ended(): Promise<number | null>;
  /** Resolves when the text was printed. */
  printed(text: string): Promise<void>;
  /** Files and processes that the demo left. */
  leftovers(): Promise<string[]>;
}

async function startDemo(...options: string[]): Promise<Demo> {
  const folder = await mkdtemp(join(tmpdir(), 'demo-'));
  const child = spawn(process.execPath, [main, 'demo', ...options], {
    env: { ...process.env, TMPDIR: folder },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const exited = once(child, 'close').then(([code]: (number | null)[]) => code ?? null);
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return {
    process: child,
    output: () => output,
    ended: () => exited,
    printed: (text) =>
      eventually(() => {
        if (output.includes(text)) return;
        throw new Error(`"${text}" was not printed:\n${output}`);
      }),
    leftovers: async () => [...(await readdir(folder)), ...(await commandsThatName(folder))],
    [Symbol.asyncDispose]: async () => {
      if (child.exitCode === null) child.kill('SIGTERM');
      await exited;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

/** Every command line of the demo's programs contains a path in its folder. */
async function commandsThatName(folder: string): Promise<string[]> {
  const processes = (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
  const commands = await Promise.all(processes.map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')));
  return commands.filter((command) => command.includes(folder));
}

const forms = [
  'author=alice&server=localhost&receiver=bob&message=Hi%2C+Bob%21',
  'author=bob&server=localhost&receiver=alice&message=Gr%C3%BC%C3%9F+dich%2C+Alice%21',
  'author=alice&server=localhost&receiver=bob&message=Tea%3F+%F0%9F%8D%B5%F0%9F%99%82',
  'author=bob&server=localhost&receiver=alice&message=Sure%3A%0A1.+green%0A2.+mint',
];

async function expectAllSteps(demo: Demo): Promise<void> {
  const code = await demo.ended();
  const output = demo.output();
  expect(code, output).toBe(0);
  const received = output.split('\n').filter((line) => line.startsWith('  received'));
  expect(received.slice(0, forms.length).map((line) => line.replace(/^ *received */, ''))).toEqual(forms);
  expect(output).toContain('answered 503');
  const [first, second] = [...output.matchAll(/webhook-id (\S+)/g)].map(([, id]) => id);
  expect(first).toBeDefined();
  expect(second).toBe(first);
  expect(output).toContain('mod_event_pusher_http_sent_total{host="localhost"} 5');
  expect(output).toContain('mod_event_pusher_http_failed_total{host="localhost"} 1');
}

function expectNoControlCharacters(output: string): void {
  expect(output).not.toMatch(/[^\P{Cc}\n]/u);
}

describe.skipIf(!hasProsody)('the demo with Prosody', () => {
  test('shows each message with its request, ends by itself and leaves nothing behind', async () => {
    await using demo = await startDemo('--once');
    await expectAllSteps(demo);
    expect(demo.output()).toContain('Prosody');
    expectNoControlCharacters(demo.output());
    expect(demo.output()).not.toContain('SCRIPTED');
    expect(await demo.leftovers()).toEqual([]);
  });

  test('runs until it is stopped, and then leaves nothing behind', async () => {
    await using demo = await startDemo();
    await demo.printed('Ctrl-C');
    expect(await demo.leftovers()).not.toEqual([]);
    await demo.printed('dashboard');
    demo.process.kill('SIGINT');
    expect(await demo.ended(), demo.output()).toBe(0);
    expect(await demo.leftovers()).toEqual([]);
  });

  test('leaves nothing behind if it is stopped during its start', async () => {
    await using demo = await startDemo('--once');
    await demo.printed('Pusher'); // Prosody runs, the service starts
    demo.process.kill('SIGTERM');
    expect(await demo.ended()).toBe(1);
    expect(demo.output()).toContain('SIGTERM');
    expect(await demo.leftovers()).toEqual([]);
  });

  test('ends immediately after a second signal, and leaves nothing behind', async () => {
    await using demo = await startDemo();
    await demo.printed('Ctrl-C');
    demo.process.kill('SIGINT');
    demo.process.kill('SIGTERM');
    expect(await demo.ended()).toBe(1);
    await eventually(async () => expect(await demo.leftovers()).toEqual([])); // killed processes need a moment to disappear
  });
});

describe('the demo without a chat server', () => {
  test('shows the same steps and reports that the server is scripted', async () => {
    await using demo = await startDemo('--once', '--scripted');
    await expectAllSteps(demo);
    expect(demo.output()).toContain('SCRIPTED');
    expectNoControlCharacters(demo.output());
    for (const line of demo.output().split('\n')) expect(line.length, line).toBeLessThanOrEqual(100);
    expect(await demo.leftovers()).toEqual([]);
  });
});
