/** The built command line, as a person or a script calls it. */
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import { writeConfig } from '../config/write-config.ts';
import { runCli } from '../support/run-cli.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const fixture = (name: string): string => `${root}test/fixtures/config/${name}`;

describe('check', () => {
  test.each([
    ['documented-pool-and-handler.toml', ['https://localhost:8000/webservice/notifications']],
    ['documented-options.toml', ['https://localhost:8000/notifications']],
    ['documented-two-handlers.toml', ['https://localhost:8000/webservice/notifications', 'https://localhost:8000/webservice/alerts']],
  ])('takes %s of MongooseIM’s documentation as it stands, and says where requests go', async (name, urls) => {
    const { code, stdout, stderr } = await runCli(['check', '--config', fixture(name)]);

    expect([code, stderr]).toEqual([0, '']);
    expect(stdout.match(/(?<=POST )\S+/g)).toEqual(urls);
  });

  test('takes the file from the environment where no option names one', async () => {
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

  test('names a callback module that is not there, and a file that is not there', async () => {
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
    [[], 'a command is missing'],
    [['fly'], '"fly"'],
    [['run', '--fast'], '--fast'],
    [['run', '--once'], '"once"'],
    [['check', 'everything'], '"everything"'],
    [['check', '--config'], '--config'],
  ])('%j is answered with what is wrong, the usage, and exit code 2', async (args, wrong) => {
    const { code, stdout, stderr } = await runCli(args);

    expect([code, stdout]).toEqual([2, '']);
    expect(stderr.split('\n', 1)[0]).toContain(wrong);
    expect(stderr).toContain('Usage: event-pusher COMMAND');
  });
});

test('the usage and the version are there for the asking', async () => {
  const { version }: { readonly version: string } = JSON.parse(await readFile(`${root}package.json`, 'utf8'));
  const [help, told] = await Promise.all([runCli(['--help']), runCli(['--version'])]);

  expect(help).toMatchObject({ code: 0, stderr: '', stdout: expect.stringContaining('Usage: event-pusher COMMAND') });
  expect(told).toEqual({ code: 0, stderr: '', stdout: `${version}\n` });
});

test('run refuses a configuration that attaches to no chat server', async () => {
  const { code, stderr } = await runCli(['run', '--config', fixture('documented-pool-and-handler.toml')]);

  expect(code).toBe(1);
  expect(stderr).toContain('[attach.NAME]');
});
