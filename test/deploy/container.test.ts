/** The files of deploy/container without building an image; container-run.test.ts builds and runs them on request. */
import { execFile } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { copyFile, cp, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import { loadConfig } from '../../src/config/load.ts';
import { serviceSchema } from '../../src/config/service.ts';
import { readPage } from '../support/guide.ts';
import { requirePackage } from '../support/packages.ts';
import { promtool } from '../support/prometheus.ts';
import { startTarget } from '../support/target.ts';

const root = resolve(fileURLToPath(import.meta.url), '../../..');
const folder = join(root, 'deploy/container');
const read = (name: string) => readFileSync(join(folder, name), 'utf8');
const compose = read('compose.yml');
/** Files with secrets that compose.yml needs. */
const secrets: readonly string[] = ['.env', 'metrics.token'];
/** Files that a user creates in a checkout and that must not leave it: secrets, and spools with messages. Each pattern has an example. */
const privateFiles: Readonly<Record<string, string>> = {
  '.env*': '.env',
  '*.ejabberd.yml': 'event-pusher.ejabberd.yml',
  '*.key': 'example.org.key',
  '*.pem': 'client.pem',
  '*.prosody.cfg.lua': 'event-pusher.prosody.cfg.lua',
  '*.secret': 'event-pusher.secret',
  '*.sqlite*': 'spool.sqlite-wal',
  '*.token': 'metrics.token',
  var: 'var/spool.sqlite-history/1.jsonl',
};
const composed = (pattern: RegExp) => [...compose.matchAll(pattern)].map(([, value = '']) => value);

test.each(['Dockerfile', 'prosody/Dockerfile'])('%s copies files that exist and are part of the context', (name) => {
  const sources = [...read(name).matchAll(/^COPY (?!--from)(.+) \S+$/gm)].flatMap(([, paths = '']) => paths.split(' '));
  expect(sources.length).toBeGreaterThan(0);
  expect(sources.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  const context = contextOf(readFileSync(join(root, '.dockerignore'), 'utf8'));
  expect(context.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  expect(sources.filter((path) => path !== '.' && !context.some((kept) => path === kept || path.startsWith(`${kept}/`)))).toEqual([]);
});

test('the context has everything that the npm package has, and nothing private', () => {
  const { files } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const ignored = readFileSync(join(root, '.dockerignore'), 'utf8');
  const context = contextOf(ignored);
  const packed: readonly string[] = files.filter((path: string) => path !== 'dist' && !path.startsWith('!'));
  expect(packed.filter((path) => !context.some((kept) => path === kept || path.startsWith(`${kept}/`)))).toEqual([]);
  const afterContext = ignored.slice(ignored.lastIndexOf('\n!')).split('\n');
  expect(afterContext).toEqual(expect.arrayContaining(Object.keys(privateFiles).map((pattern) => `**/${pattern}`)));
});

test('the npm package, and with it the Debian package, has nothing private from any of its folders', async () => {
  const place = await temporaryFolder();
  const folders = ['deploy', 'docs', 'examples', 'plugins'];
  for (const folder of folders) await cp(join(root, folder), join(place, folder), { recursive: true });
  await copyFile(join(root, 'package.json'), join(place, 'package.json'));
  const within = await readdir(place, { recursive: true, withFileTypes: true });
  const planted = [
    'dist',
    ...folders,
    ...within.filter((entry) => entry.isDirectory()).map((entry) => relative(place, join(entry.parentPath, entry.name))),
  ].flatMap((folder) => Object.values(privateFiles).map((name) => join(folder, name)));
  for (const path of planted) {
    await mkdir(dirname(join(place, path)), { recursive: true });
    await writeFile(join(place, path), 'secret');
  }
  const { stdout } = await promisify(execFile)('npm', ['pack', '--dry-run', '--json', '--ignore-scripts', '--offline'], { cwd: place });
  const [{ files }]: [{ files: readonly { path: string }[] }] = JSON.parse(stdout);
  const packed = files.map(({ path }) => path);
  expect(packed).toEqual(expect.arrayContaining(['deploy/container/compose.yml', 'deploy/container/prosody/prosody.cfg.lua']));
  expect(packed.filter((path) => planted.includes(path))).toEqual([]);
});

test('git ignores private files', () => {
  const ignored = readFileSync(join(root, '.gitignore'), 'utf8').split('\n');
  expect(ignored).toEqual(expect.arrayContaining(Object.keys(privateFiles).map((pattern) => (pattern === 'var' ? 'var/' : pattern))));
});

test('compose.yml names files that exist, and publishes ports on loopback only', () => {
  const files = [...composed(/dockerfile: (\S+)$/gm).map((path) => join(root, path)), ...composed(/(\.[./\w-]+):\/[^:]+:ro/g).map(at)];
  expect(files.length).toBe(8);
  expect(files.filter((path) => !secrets.includes(basename(path)) && !existsSync(path))).toEqual([]);
  const ports = composed(/ports: (.+)$/gm);
  expect(ports.length).toBe(3);
  expect(ports.filter((port) => !/^\["127\.0\.0\.1:\$\{\w+:-(\d+)\}:\1"\]$/.test(port))).toEqual([]);
});

test('every container is without privileges and has a read-only root', () => {
  const services = composed(/^ {2}(\w+):\n {4}/gm);
  expect(services).toEqual(['prosody', 'pusher', 'backend', 'prometheus']);
  for (const setting of ['read_only: true', 'cap_drop: [ALL]', 'security_opt: ["no-new-privileges:true"]'])
    expect(compose.split(setting).length - 1, setting).toBe(services.length);
});

test('the configuration is valid with the variables that compose.yml passes', async () => {
  const variables = Object.fromEntries(composed(/^ {6}([A-Z_]+): \$\{/gm).map((name) => [name, 'a-long-secret']));
  const place = await temporaryFolder();
  await copyFile(at('event-pusher.toml'), join(place, 'event-pusher.toml'));
  await writeFile(join(place, 'metrics.token'), 'another-long-secret\n');
  const config = await loadConfig(join(place, 'event-pusher.toml'), variables);
  expect(config.metrics.token?.reveal()).toBe('another-long-secret');
  expect(config.admin.port).toBe(Number(/^EXPOSE (\d+)$/m.exec(read('Dockerfile'))?.[1]));
  expect(composed(/^ {2}(\w+):\n {4}/gm)).toEqual(expect.arrayContaining([...hostsIn(read('event-pusher.toml'))]));
});

test('a container is stopped later than drain_timeout', () => {
  const [seconds = ''] = composed(/stop_grace_period: (\d+)s/g);
  expect(Number(seconds) * 1000).toBeGreaterThan(serviceSchema.parse({}).drain_timeout);
});

test('the page names the variables and secrets of compose.yml', () => {
  const page = readPage('deploy/README.md').text;
  expect([...composed(/\$\{([A-Z_]+):/g), ...secrets].filter((name) => !page.includes(name))).toEqual([]);
});

describe('the health check', () => {
  const check = (address: string) =>
    promisify(execFile)(process.execPath, [at('health.mjs')], { env: { ...process.env, EVENT_PUSHER_HEALTH: address } });

  test('succeeds if the service responds', async () => {
    await using service = await startTarget({ script: () => ({ kind: 'answer', status: 200 }) });
    expect((await check(`${service.origin}/healthz`)).stdout).toBe(`${service.origin}/healthz answered 200\n`);
  });

  test('fails if it responds with an error', async () => {
    await using service = await startTarget({ script: () => ({ kind: 'answer', status: 503 }) });
    await expect(check(`${service.origin}/healthz`)).rejects.toMatchObject({ code: 1, stdout: expect.stringContaining('answered 503') });
  });

  test('fails with the reason if nothing listens', async () => {
    await expect(check('http://127.0.0.1:1/healthz')).rejects.toMatchObject({
      code: 1,
      stdout: 'http://127.0.0.1:1/healthz did not answer: bad port\n',
    });
  });
});

describe.skipIf(!(await requirePackage('prometheus', '/usr/bin/promtool')))('with promtool', () => {
  test('the configuration of Prometheus is valid with the alerts', async () => {
    const place = await temporaryFolder();
    await copyFile(at('prometheus.yml'), join(place, 'prometheus.yml'));
    await copyFile(at('../prometheus/event-pusher.rules.yml'), join(place, 'event-pusher.rules.yml'));
    await writeFile(join(place, 'event-pusher.token'), 'a-long-secret\n');
    const { status, said } = promtool(['check', 'config', join(place, 'prometheus.yml')]);
    expect(said).toContain('SUCCESS');
    expect(status).toBe(0);
  });
});

async function temporaryFolder(): Promise<string> {
  const place = await mkdtemp(join(tmpdir(), 'compose-'));
  onTestFinished(() => rm(place, { recursive: true }));
  return place;
}

function at(name: string): string {
  return join(folder, name);
}

/** What a .dockerignore that ignores everything keeps. */
function contextOf(text: string): readonly string[] {
  return [...text.matchAll(/^!(.+)$/gm)].map(([, path = '']) => path);
}

/** The hosts of other containers in the configuration. */
function hostsIn(toml: string): readonly string[] {
  return [...toml.matchAll(/"(?:http|xmpp):\/\/(\w+):\d+"/g)].map(([, host = '']) => host);
}
