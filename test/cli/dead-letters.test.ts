/** The built command line, operating a listener over its API. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { describe, expect, test } from 'vitest';
import { acceptedAt } from '../spool/build.ts';
import { eventually } from '../support/eventually.ts';
import { main } from '../support/run-cli.ts';
import { inUtc, startOperated } from './operate.ts';

describe('dead-letters list', () => {
  test('--json prints only documented fields, the newest last', async () => {
    const { operate, die, addFailedPacket } = await startOperated();
    await die({ id: 'a' }, { status: 410 });
    await addFailedPacket({ id: 'b' });
    const { code, stdout, stderr } = await operate('dead-letters', 'list', '--json');
    expect([code, stderr]).toEqual([0, '']);
    const common = { host: 'localhost', handler: 'push', pool: 'pool', createdAt: new Date(acceptedAt).toISOString() };
    expect(JSON.parse(stdout)).toEqual([
      { id: 'a', ...common, reason: 'refused', status: 410, attempts: 1 },
      { id: 'b', ...common, reason: 'callback-failed', status: null, attempts: 0 },
    ]);
  });

  test('prints a table', async () => {
    inUtc();
    const { operate, die } = await startOperated();
    await die({ id: 'first' });
    await die({ id: 'second', handler: 'alerts' }, { status: 422 });
    expect((await operate('dead-letters', 'list')).stdout).toBe(`\
ID      DIED                 REASON   STATUS  TRIES  HANDLER                      ERROR
first   2023-11-14 22:13:21  refused     400      1  push on pool at localhost    status 400
second  2023-11-14 22:13:22  refused     422      1  alerts on pool at localhost  status 422
`);
  });

  test('keeps a wide table within 100 columns and replaces control characters', async () => {
    const { operate, die } = await startOperated();
    await die({ id: '0198c9e2-0000-7000-8000-000000000001', handler: `push-${'x'.repeat(60)}`, host: 'a\u001b[2J.example' });
    const { stdout } = await operate('dead-letters', 'list');
    expect(stdout.split('\n').filter((line) => line.length > 100)).toEqual([]);
    expect(stdout).toContain(`push-${'x'.repeat(60)} on pool at a\u{fffd}[2J.example`);
  });

  test('groups them by error, and selects a group by it', async () => {
    inUtc();
    const { operate, die, clock } = await startOperated();
    for (const [id, status] of [
      ['a', 422],
      ['b', 400],
      ['c', 422],
    ] as const)
      await die({ id }, { status });
    expect((await operate('dead-letters', 'groups')).stdout).toBe(`\
COUNT  NEWEST               REASON   HANDLER       ERROR
    2  2023-11-14 22:13:23  refused  push on pool  status 422
    1  2023-11-14 22:13:22  refused  push on pool  status 400
`);
    const listed = await operate('dead-letters', 'list', '--json', '--detail', 'status 422');
    expect(JSON.parse(listed.stdout).map(({ id }: { id: string }) => id)).toEqual(['a', 'c']);
    expect((await operate('dead-letters', 'purge', '--detail', 'status 422', '--yes')).stdout).toBe('2 dead letters removed.\n');
    clock.advance(60_000); // an answer is kept for a moment
    expect(JSON.parse((await operate('dead-letters', 'groups', '--json')).stdout)).toMatchObject({ total: 1, groups: [{ count: 1 }] });
  });

  test('takes a filter, times as ages, and a limit', async () => {
    const { operate, die, clock } = await startOperated();
    clock.advance(Date.now() - clock.now() - 3_600_000);
    await die({ id: 'an hour ago' });
    clock.advance(3_000_000);
    await die({ id: 'lately' });
    await die({ id: 'elsewhere', pool: 'other' });
    const ids = async (...args: string[]) =>
      JSON.parse((await operate('dead-letters', 'list', '--json', ...args)).stdout).map(({ id }: { id: string }) => id);
    expect(await ids('--since', '30m')).toEqual(['lately', 'elsewhere']);
    expect(await ids('--before', '30m', '--reason', 'refused')).toEqual(['an hour ago']);
    expect(await ids('--pool', 'other', '--handler', 'push', '--host', 'localhost')).toEqual(['elsewhere']);
    expect(await ids('--limit', '1')).toEqual(['elsewhere']);
    expect(await ids('--since', '2999-01-01')).toEqual([]);
  });

  test('prints the error of the service about a wrong filter', async () => {
    const { operate } = await startOperated();
    const { code, stderr } = await operate('dead-letters', 'list', '--reason', 'refussed');
    expect([code, stderr.split('\n', 1)[0]]).toEqual([2, expect.stringContaining('did you mean "refused"?')]);
  });

  test.each([
    ['list', '--handler', 'puhs'],
    ['replay', '--handler', 'puhs'],
    ['replay', '--handler', 'puhs', '--rate', '5'],
    ['purge', '--handler', 'puhs', '--yes'],
  ])('%s %s %s says which handlers there are', async (...words) => {
    const { operate } = await startOperated();
    const stderr = 'event-pusher: there is no handler "puhs" and no dead letter with this name; there are: push; did you mean "push"?\n';
    expect(await operate('dead-letters', ...words)).toEqual({ code: 1, stdout: '', stderr });
  });

  test('reports an empty list', async () => {
    const { operate } = await startOperated();
    expect((await operate('dead-letters', 'list')).stdout).toBe('No dead letters.\n');
    expect((await operate('dead-letters', 'list', '--json')).stdout).toBe('[]\n');
  });
});

describe('dead-letters show', () => {
  test('shows the request and every attempt, and message texts with --content', async () => {
    inUtc();
    const { operate, die } = await startOperated();
    await die({ id: 'd1', body: 'hello\nworld' });
    expect((await operate('dead-letters', 'show', 'd1')).stdout).toBe(`\
id        d1
handler   push on pool at localhost
accepted  2023-11-14 22:13:20
died      2023-11-14 22:13:21, refused: status 400
request   POST /notifications
          content-type: text/plain
body      11 bytes, shown with --content
attempts  1. 2023-11-14 22:13:20  answered 400 in 3 ms
          so
`);
    const { stdout } = await operate('dead-letters', 'show', 'd1', '--content');
    expect(stdout).toContain('body      hello\n          world\n');
    expect(stdout).toContain('from, to  alice@localhost, bob@localhost\n');
  });

  test('shows the delivery that ordered it, and the deliveries that it ordered', async () => {
    inUtc();
    const { operate, die } = await startOperated();
    const purpose = { kind: 'order', origin: 'http://10.0.0.172:5984', depth: 1 } as const;
    await die({ id: 'X.1', body: '', target: { kind: 'http', method: 'GET', path: '/next', headers: [], purpose } });
    await die({ id: 'X.1.1', body: 'Thank you.', target: { kind: 'xmpp', from: 'bot@localhost', to: 'bob@localhost' } });
    const { stdout } = await operate('dead-letters', 'show', 'X.1');
    expect(stdout).toMatch(/ordered by +X\n/);
    expect(stdout).toMatch(/ordered +X\.1\.1 \(dead\)\n/);
    expect(stdout).toMatch(/request +GET http:\/\/10\.0\.0\.172:5984\/next\n/);
    expect((await operate('dead-letters', 'show', 'X.1.1')).stdout).toMatch(
      /message +from bot@localhost to a user, shown with --content\n/,
    );
    expect((await operate('dead-letters', 'show', 'X.1.1', '--content')).stdout).toMatch(/to bob@localhost\nbody +Thank you\.\n/);
  });

  test('fails for an unknown id', async () => {
    const { operate } = await startOperated();
    expect(await operate('dead-letters', 'show', '../pools?x=#')).toEqual({
      code: 1,
      stdout: '',
      stderr:
        'event-pusher: there is no dead letter "../pools?x=#": it is still pending, was delivered or purged, or was deleted because of its age\n',
    });
  });

  test('uses the token of the file, which content requires', async () => {
    const { operate, die, url } = await startOperated({ token: 'sesame' });
    await die({ id: 'd1' });
    expect((await operate('dead-letters', 'show', 'd1', '--content', '--json')).code).toBe(0);
    const bare = await operate('dead-letters', 'show', 'd1', '--content', '--url', url);
    expect([bare.code, bare.stderr]).toEqual([1, expect.stringContaining('give it with --token')]);
    expect((await operate('dead-letters', 'show', 'd1', '--content', '--url', url, '--token', 'sesame')).code).toBe(0);
  });
});

describe('dead-letters replay', () => {
  test.each([
    [['a', 'c'], ['b'], '2 dead letters replayed.\n'],
    [['--handler', 'alerts'], ['a', 'c'], '1 dead letter replayed.\n'],
    [['--all'], [], '3 dead letters replayed.\n'],
    [['--all', '--limit', '1'], ['b', 'c'], '1 dead letter replayed.\n'],
    [['--all', '--dry-run'], ['a', 'b', 'c'], '3 dead letters would be replayed.\n'],
    [['a', '--handler', 'alerts'], ['a', 'b', 'c'], '0 dead letters replayed.\n'],
  ])('of %j leaves %j', async (args, expected, told) => {
    const { operate, left, die } = await startOperated();
    await die({ id: 'a' });
    await die({ id: 'b', handler: 'alerts' });
    await die({ id: 'c' });
    expect(await operate('dead-letters', 'replay', ...args)).toEqual({ code: 0, stdout: told, stderr: '' });
    expect(await left()).toEqual(expected);
  });

  test('reports the replayed and the remaining dead letters', async () => {
    const { operate, die, addFailedPacket } = await startOperated();
    await die();
    await addFailedPacket();
    const { stdout } = await operate('dead-letters', 'replay', '--all', '--json');
    expect(JSON.parse(stdout)).toMatchObject({ count: 1, failed: 1 });
    expect((await operate('dead-letters', 'replay', '--all')).stdout).toContain('1 stay dead');
  });

  test('with --rate ends when no dead letter is left', async () => {
    const { operate, left, die } = await startOperated();
    for (const id of ['a', 'b', 'c']) await die({ id });
    expect((await operate('dead-letters', 'replay', '--all', '--rate', '2')).stdout).toBe('3 dead letters replayed.\n');
    expect(await left()).toEqual([]);
  });

  test('with --rate is stopped by Ctrl-C and reports its progress', async () => {
    const { config, left, die, clock } = await startOperated();
    for (let n = 0; n < 100; n += 1) await die({ id: `d${n}` });
    clock.advance(1);
    const child = spawn(process.execPath, [main, 'dead-letters', 'replay', '--all', '--rate', '1', '--config', config]);
    let told = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      told += text;
    });
    await eventually(async () => (await left()).length < 100);
    child.kill('SIGINT');
    const [code] = await once(child, 'close');
    expect([code, told]).toEqual([
      1,
      expect.stringMatching(/^\d+ dead letters? replayed\.\nStopped; the rest are still dead letters\.\n$/),
    ]);
    expect((await left()).length).toBeGreaterThan(0);
  });
});

describe('dead-letters purge', () => {
  test('removes the selected dead letters with --yes', async () => {
    const { operate, left, die } = await startOperated();
    await die({ id: 'a' });
    await die({ id: 'b', host: 'b.example' });
    const unasked = await operate('dead-letters', 'purge', '--all');
    expect([unasked.code, unasked.stderr.split('\n', 1)[0]]).toEqual([2, expect.stringContaining('add --yes')]);
    expect(await operate('dead-letters', 'purge', '--all', '--dry-run')).toMatchObject({
      code: 0,
      stdout: '2 dead letters would be removed.\n',
    });
    expect(await left()).toEqual(['a', 'b']);

    expect(await operate('dead-letters', 'purge', '--host', 'b.example', '--yes')).toMatchObject({
      code: 0,
      stdout: '1 dead letter removed.\n',
    });
    expect(await left()).toEqual(['a']);
    expect(JSON.parse((await operate('dead-letters', 'purge', '--all', '--yes', '--json')).stdout)).toMatchObject({ count: 1 });
    expect(await left()).toEqual([]);
  });

  test.each([
    ['y', 0, []],
    ['n', 1, ['a']],
    ['', 1, ['a']],
    ['\u0003', 1, ['a']],
    ['\u0004', 1, ['a']],
  ])('at a terminal asks first, and takes %j for an answer', async (answer, code, expected) => {
    const { config, left, die } = await startOperated();
    await die({ id: 'a' });
    const terminal = spawn('script', [
      '-qec',
      `"${process.execPath}" "${main}" dead-letters purge --all --config "${config}"`,
      '/dev/null',
    ]);
    let shown = '';
    terminal.stdout.setEncoding('utf8').on('data', (text: string) => {
      shown += text;
    });
    await eventually(() => shown.includes('Permanently remove 1 dead letter? [y/N]'));
    terminal.stdin.write(answer < ' ' && answer !== '' ? answer : `${answer}\n`);
    expect((await once(terminal, 'close'))[0], shown).toBe(code);
    expect(await left()).toEqual(expected);
  });
});

describe.each(['replay', 'purge'])('dead-letters %s', (verb) => {
  test.each([
    [[], 'select dead letters'],
    [['--all', '--pool', 'x'], '--all selects every dead letter'],
    [['--since', 'yesterday'], '--since: received "yesterday"'],
    [['--all', 'd1'], '--all selects every dead letter'],
  ])('with %j is wrong usage', async (args, wrong) => {
    const { operate, left, die } = await startOperated();
    await die();
    const { code, stderr } = await operate('dead-letters', verb, ...args);
    expect([code, stderr.split('\n', 1)[0]]).toEqual([2, expect.stringContaining(wrong)]);
    expect(await left()).toEqual(['d1']);
  });
});
