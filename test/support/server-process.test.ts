import { once } from 'node:events';
import { expect, test } from 'vitest';
import { eventually } from './eventually.ts';
import { createInbox } from './inbox.ts';
import { createServerProcess } from './server-process.ts';
import { startChild } from './start-child.ts';
import { freePort, startTarget } from './target.ts';

const support = new URL('.', import.meta.url).href;

test('a server that continues without a port that another process holds is ended and counts as not started', async () => {
  await using other = await startTarget();
  const goesOn = "console.log('Failed to open server port'); setInterval(() => undefined, 1000)";
  let pid = 0;
  const server = createServerProcess({
    command: process.execPath,
    args: ['-e', goesOn],
    ports: [other.port],
    answers: () =>
      eventually(() => {
        pid = server.pid();
        return server.logs() !== '';
      }),
    cannotListen: /Failed to open server port/,
  });

  await expect(server.start()).rejects.toThrow('address already in use');
  expect(pid).toBeGreaterThan(0);
  expect(isAlive(pid)).toBe(false);
});

test('a server that exits during its start is reported with its log', async () => {
  const server = createServerProcess({
    command: process.execPath,
    args: ['-e', "console.error('no such option'); process.exit(3)"],
    ports: [await freePort()],
  });
  await expect(server.start()).rejects.toThrow('ended with 3:\nno such option');
});

test('processes that a test starts end with its runner, even after a kill', async () => {
  const script = [
    `const { startChild } = await import('${support}start-child.ts');`,
    "console.log(startChild('sleep', ['600']).pid);",
    'setInterval(() => undefined, 1000);',
  ].join('\n');
  const runner = startChild(process.execPath, ['--import', 'tsx', '--input-type', 'module', '-e', script]);
  const [line] = await once(runner.stdout, 'data');
  const started = Number(line);
  expect(isAlive(started)).toBe(true);
  runner.kill('SIGKILL');

  await eventually(() => !isAlive(started));
});

test('each port is returned once, and never one from the range of outgoing connections', async () => {
  const ports: number[] = [];
  for (let each = 0; each < 300; each += 1) ports.push(await freePort());
  expect(new Set(ports).size).toBe(300);
  expect(Math.max(...ports)).toBeLessThan(32_768);
});

test('the end of a stream is reported with the unclaimed stanzas before it', async () => {
  const inbox = createInbox('alice');
  const waiting = inbox.next(({ name }) => name === 'never');
  inbox.put({ name: 'error', xml: '<stream:error><conflict/></stream:error>' } as never);
  inbox.end('the stream is closed');
  await expect(waiting).rejects.toThrow('alice: the stream is closed; unclaimed: <stream:error><conflict/></stream:error>');
});

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
