/** The package as a user gets it: packed, installed in an empty folder, run. */
import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { startTapServer } from '../../demo/tap-server.ts';
import { chat } from '../support/component-source.ts';
import { guides } from '../support/guide.ts';
import { createPusher, plainConfig } from '../support/pusher.ts';
import { startTarget } from '../support/target.ts';

const run = promisify(execFile);
const root = resolve(fileURLToPath(import.meta.url), '../../..');
let folder: string;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'package-'));
  // `npm test` makes the build first, and packing must not remove it while other tests run.
  await run('npm', ['pack', '--ignore-scripts', '--pack-destination', folder], { cwd: root });
  await writeFile(join(folder, 'package.json'), '{ "name": "stranger", "private": true }');
  const [tarball = ''] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
  // The installation of this checkout has compiled the same version of the addon, which takes a minute and a half.
  await run('npm', ['install', '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline', `./${tarball}`], { cwd: folder });
  const [here = '', there = ''] = [root, folder].map((place) => join(place, 'node_modules/better-sqlite3'));
  expect(await readFile(join(there, 'package.json'), 'utf8')).toBe(await readFile(join(here, 'package.json'), 'utf8'));
  await cp(join(here, 'build/Release/better_sqlite3.node'), join(there, 'build/Release/better_sqlite3.node'));
}, 600_000);

afterAll(() => rm(folder, { recursive: true, force: true }));

test('both names of the command print the version', async () => {
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8'));
  for (const name of ['event-pusher', 'xmpp-event-pusher']) {
    const { stdout } = await run(join(folder, 'node_modules/.bin', name), ['--version']);
    expect(stdout).toBe(`${version}\n`);
  }
});

test('it runs as installed, with a callback module that imports the package', async () => {
  await using backend = await startTarget();
  const server = await startTapServer({ host: 'localhost', domain: 'pusher.localhost', secret: 's3cret' });
  await using pusher = await createPusher({
    main: join(folder, 'node_modules/xmpp-event-pusher/dist/src/cli/main.js'),
    config: plainConfig({
      componentPort: server.port,
      backend: backend.origin,
      handlers: '[modules.mod_event_pusher.backend.http]\ncallback_module = "mine"',
    }),
    files: {
      'mine.mjs':
        "import { defineCallbacks } from 'xmpp-event-pusher/callbacks';\nexport default defineCallbacks({ prepareBody: ({ message }) => message.toUpperCase() });\n",
    },
  });
  await pusher.start();
  server.push(chat('hello'), { dir: 'in', session: 'alice@localhost/phone' });
  await backend.received(1);
  expect(String(backend.requests[0]?.body)).toBe('HELLO');
  expect(await pusher.stop()).toBe(0);
  await server.close();
});

test('the package contains the build, the plugins, the documentation and the examples, and no source or source map', async () => {
  const packed = await readdir(join(folder, 'node_modules/xmpp-event-pusher'), { recursive: true });
  const erlang = await readdir(join(root, 'plugins/ejabberd/src'));
  expect(packed).toEqual(
    expect.arrayContaining([
      'LICENSE',
      'README.md',
      'CHANGELOG.md',
      'prometheus.yml',
      'dist/dashboard/index.html',
      'dist/dashboard/main.js',
      'dist/dashboard/style.css',
      ...['preact.js', 'hooks.js', 'htm.js', 'uPlot.js', 'uPlot.css', 'LICENSE-preact', 'LICENSE-htm', 'LICENSE-uplot'].map(
        (name) => `dist/dashboard/vendor/${name}`,
      ),
      'plugins/ejabberd/conf/mod_event_pusher_tap.yml',
      'plugins/ejabberd/mod_event_pusher_tap.spec',
      ...erlang.map((name) => `plugins/ejabberd/src/${name}`),
      'plugins/prosody/mod_event_pusher_gate.lua',
      'plugins/prosody/mod_event_pusher_tap.lua',
      'plugins/prosody/mod_event_pusher_tap/disk.lib.lua',
      'plugins/prosody/mod_event_pusher_tap/standby.lib.lua',
      ...guides.map((name) => `docs/guides/${name}.md`),
      'examples/ordinary/event-pusher.toml',
    ]),
  );
  expect(packed.filter((name) => name.endsWith('.map') || (/\.ts$/.test(name) && !name.endsWith('.d.ts')))).toEqual([]);
});

test('it installs globally without a warning', async () => {
  const [tarball = ''] = (await readdir(folder)).filter((name) => name.endsWith('.tgz'));
  const place = ['--global', '--prefix', join(folder, 'everywhere'), '--ignore-scripts', '--no-audit', '--no-fund', '--prefer-offline'];
  const { stdout, stderr } = await run('npm', ['install', ...place, `./${tarball}`], { cwd: folder });
  expect(stdout + stderr).not.toMatch(/EBADENGINE|deprecated/);
}, 600_000);

test('each link of a packed page leads to a packed file, and links to sources lead to their build', async () => {
  const home = join(folder, 'node_modules/xmpp-event-pusher');
  const pages = (await readdir(home, { recursive: true })).filter((name) => name.endsWith('.md') && !name.includes('node_modules'));
  const broken: string[] = [];
  for (const page of pages) {
    const links = [...(await readFile(join(home, page), 'utf8')).matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, target = '']) => target);
    for (const target of links.filter((each) => !/^[a-z]+:/.test(each))) {
      const leadsTo = [join(dirname(page), target), join('dist', dirname(page), target.replace(/\.ts$/, '.js'))];
      if (!leadsTo.some((path) => existsSync(join(home, path)))) broken.push(`${page}: ${target}`);
    }
  }
  expect(pages).toContain('README.md');
  expect(broken).toEqual([]);
});

test('the callback modules shown in the documentation compile as strict TypeScript', async () => {
  const home = join(folder, 'node_modules/xmpp-event-pusher');
  const pages = await Promise.all(['README.md', 'docs/guides/callback-modules.md'].map((page) => readFile(join(home, page), 'utf8')));
  const blocks = [...pages.join('\n').matchAll(/^```js\n(.*?)^```/gms)]
    .map(([, code = '']) => code)
    .filter((code) => code.includes('xmpp-event-pusher/callbacks'));
  expect(blocks.length).toBeGreaterThan(0);
  for (const [index, code] of blocks.entries()) await writeFile(join(folder, `readme-${index}.mts`), code);
  await writeFile(
    join(folder, 'exit.mts'),
    "import type { HttpExit } from 'xmpp-event-pusher/callbacks';\n" +
      "const exit: HttpExit = (par) => par.ioIndicator === 'I' ? par.putMgetMessage(par.getRequestBody().toString('latin1')) : undefined;\nexport default exit;\n",
  );
  const files = [...blocks.keys()].map((index) => `readme-${index}.mts`);
  const strict = ['--strict', '--noEmit', '--module', 'nodenext', '--target', 'es2023', '--lib', 'es2023', '--types', ''];
  const { stdout } = await run(join(root, 'node_modules/.bin/tsc'), [...strict, ...files, 'exit.mts'], { cwd: folder }).catch(
    (error) => error,
  );
  expect(stdout).toBe('');
});
