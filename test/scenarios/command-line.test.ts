/** The built command line, called by a user or a script. */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { allCommands } from '../../src/cli/commands.ts';
import { writeConfig } from '../config/write-config.ts';
import { runCli } from '../support/run-cli.ts';

const commands = await allCommands();

const root = fileURLToPath(new URL('../../', import.meta.url));
const fixture = (name: string): string => `${root}test/fixtures/config/${name}`;

describe('check', () => {
  test.each([
    ['documented-pool-and-handler.toml', ['https://localhost:8000/webservice/notifications']],
    ['documented-options.toml', ['https://localhost:8000/notifications']],
    ['documented-two-handlers.toml', ['https://localhost:8000/webservice/notifications', 'https://localhost:8000/webservice/alerts']],
  ])('accepts %s from MongooseIM’s documentation unchanged, and shows the targets of its requests', async (name, urls) => {
    const { code, stdout, stderr } = await runCli(['check', '--config', fixture(name)]);

    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.match(/(?<=POST )\S+/g)).toEqual(urls);
  });

  test('reads the file from the environment without the option', async () => {
    const EVENT_PUSHER_CONFIG = fixture('mongooseim.toml');
    const { code, stdout } = await runCli(['check'], { EVENT_PUSHER_CONFIG });

    expect([code, stdout.split('\n', 1)[0]]).toEqual([0, `# ${EVENT_PUSHER_CONFIG}`]);
  });

  test('lists every mistake at once, and fails', async () => {
    const file = await writeConfig(`
      [general]
      host = ["localhost"]
      [outgoing_pools.http.http_pool]
      workers = "many"
      [outgoing_pools.http.http_pool.connection]
      host = "ftp://localhost"
      [[modules.mod_event_pusher.backend.http]]
      pool_name = "http_poll"
      [[modules.mod_event_pusher.backend.http]]
      when = { direction = "up" }`);
    const { code, stdout, stderr } = await runCli(['check', '--config', file]);

    expect([code, stdout]).toEqual([1, '']);
    for (const word of ['"hosts"', '"many"', 'ftp://', '"http_poll"', '"http_pool"', '"up"']) expect(stderr).toContain(word);
    expect(stderr.match(/^ {2}- /gm)).toHaveLength(5);
    expect(stderr).not.toMatch(/^\s+at /m);
  });

  test('names a missing callback module and a missing file', async () => {
    const file = await writeConfig(`
      [outgoing_pools.http.http_pool.connection]
      host = "http://localhost"
      [modules.mod_event_pusher.backend.http]
      callback_module = "nowhere"`);
    const [module, missing] = await Promise.all([
      runCli(['check', '--config', file]),
      runCli(['check', '--config', `${root}there-is-no-such.toml`]),
    ]);

    expect([module.code, missing.code]).toEqual([1, 1]);
    expect(module.stderr).toContain('"nowhere"');
    expect(missing.stderr).toContain('there-is-no-such.toml');
    for (const { stderr } of [module, missing]) expect(stderr).not.toMatch(/^\s+at /m);
  });
});

describe('wrong usage', () => {
  test.each([
    [[], 'a command is missing', 'COMMAND'],
    [['--json'], 'a command is missing before --json', 'COMMAND'],
    [['fly'], 'unknown command "fly"', 'COMMAND'],
    [['chekc'], 'unknown command "chekc"; did you mean "check"?', 'COMMAND'],
    [['--confg', 'x.toml', 'run'], 'unknown option --confg; did you mean --config?', 'COMMAND'],
    [['run', '--confg', 'x.toml'], 'unknown option --confg; did you mean --config?', 'run'],
    [['run', '--fast'], 'unknown option --fast', 'run'],
    [['run', '--once'], 'this command has no option --once', 'run'],
    [['run', '-x'], 'unknown option -x', 'run'],
    [['check', 'everything'], 'unexpected argument after "check": everything', 'check'],
    [['check', '--config'], 'missing value after --config', 'check'],
    [['check', '--config', '--json'], 'missing value after --config, before --json', 'check'],
    [['check', '--json=yes'], '--json takes no value', 'check'],
    [['pools', 'lst'], 'unknown command "pools lst", expected one of list, pause, resume; did you mean "list"?', ''],
    [['pools'], '"pools" needs one of list, pause, resume', ''],
    [['pools', 'pause'], 'missing argument: POOL[/HANDLER]', 'pools pause'],
    [['dead-letters', 'show'], 'missing argument: ID', 'dead-letters show'],
    [['dead-letters', 'list', '--limit', 'all'], '--limit: received "all", expected a whole number from 1 to 10000', 'dead-letters list'],
    [['spool', 'backup'], 'missing argument: TARGET', 'spool backup'],
    [['send-test'], 'missing argument: HANDLER', 'send-test'],
  ])('%j is answered with the error, the help of that command, and exit code 2', async (args, wrong, helped) => {
    const { code, stdout, stderr } = await runCli(args);
    const [line, empty, usage, ...help] = stderr.split('\n');
    expect([code, stdout]).toEqual([2, '']);
    expect(line).toBe(`event-pusher: ${wrong}`);
    expect([empty, usage]).toEqual(['', expect.stringContaining(helped === '' ? 'Usage:' : `Usage: event-pusher ${helped}`)]);
    expect(help.length).toBeLessThan(20);
  });
});

test.each(commands.map(({ name }) => [name]))('%s prints its help with --help', async (name) => {
  const answer = await runCli([...name.split(' '), '--help']);
  expect(answer).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining(`Usage: event-pusher ${name}`) });
});

test('a command prints its help with --help, -h and help, before or after its name', async () => {
  const ways = [
    ['pools', 'list', '--help'],
    ['-h', 'pools', 'list'],
    ['help', 'pools', 'list'],
  ];
  const [answer, ...others] = await Promise.all(ways.map((args) => runCli(args)));
  for (const other of others) expect(other).toEqual(answer);
});

test('a group of commands prints the help of all its commands', async () => {
  const { code, stdout } = await runCli(['orphans', '--help']);
  expect(code).toBe(0);
  for (const { name } of commands) expect(stdout.includes(`  ${name} `), name).toBe(name.startsWith('orphans'));
});

test('a directory is neither a configuration nor a spool', async () => {
  const file = await writeConfig('[spool]\npath = "."\n');
  const [asFile, asSpool, checked] = await Promise.all([
    runCli(['check', '--config', dirname(file)]),
    runCli(['spool', 'info', '--config', file]),
    runCli(['check', '--json', '--config', file]),
  ]);
  expect(checked).toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('is a directory: give the path of a file') });
  expect(asFile).toMatchObject({ code: 1, stderr: `event-pusher: cannot read the configuration ${dirname(file)}: it is a directory\n` });
  expect(asSpool).toMatchObject({ code: 1, stderr: expect.stringContaining('directory') });
  expect(asSpool.stderr.trimEnd().split('\n')).toHaveLength(1);
});

test('prints the usage and the version', async () => {
  const { version }: { readonly version: string } = JSON.parse(await readFile(`${root}package.json`, 'utf8'));
  const [help, printed] = await Promise.all([runCli(['--help']), runCli(['-V'])]);

  expect(help).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('Usage: event-pusher COMMAND') });
  expect(printed).toEqual({ code: 0, stderr: '', stdout: `${version}\n` });
});

test('run refuses a configuration that attaches to no chat server', async () => {
  const { code, stderr } = await runCli(['run', '--config', fixture('documented-pool-and-handler.toml')]);

  expect(code).toBe(1);
  expect(stderr).toContain('[attach.NAME]');
});
