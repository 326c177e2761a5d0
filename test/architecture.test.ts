import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

/** What each folder may import in addition to `node:`, its own files and `src/kit`: paths from the root (a folder or a file), or packages. */
const floors: Readonly<Record<string, readonly string[]>> = {
  'src/kit': [],
  'src/model': [],
  'src/packet': ['src/model', 'saxes'],
  pools: ['src/model', 'src/packet/xml/parse.ts', 'undici', 'got'],
  'src/telemetry': ['src/model', 'src/packet', 'pools/contract.ts', 'prom-client', 'pino'],
  'src/config': ['src/model', 'pools/contract.ts', 'smol-toml', 'zod'],
  'src/sources': [
    'src/model',
    'src/packet',
    'src/telemetry/events.ts',
    'src/config/config.ts',
    'src/config/service-config.ts',
    'pools/contract.ts',
    'pools/exits.ts',
    '@xmpp/client',
  ],
  'src/hooks': [
    'src/model',
    'src/packet',
    'src/spool/spool.ts',
    'src/telemetry/events.ts',
    'src/config/config.ts',
    'src/config/service-config.ts',
    'pools/contract.ts',
    'pools/callback-modules.ts',
    'pools/accept-callbacks.ts',
    'pools/callbacks-specifier.ts',
    'pools/callbacks.ts',
  ],
  'src/spool': ['src/model', 'src/telemetry/events.ts', 'src/config/config.ts', 'better-sqlite3', 'pg'],
  'src/delivery': [
    'src/model',
    'src/spool/spool.ts',
    'src/telemetry/events.ts',
    'src/config/config.ts',
    'pools/compact.ts',
    'pools/contract.ts',
    'piscina',
  ],
  'src/gate': ['src/model', 'src/packet', 'src/telemetry/events.ts', 'src/config/service-config.ts'],
  'src/admin': [
    'src/model',
    'src/telemetry',
    'src/packet/jid.ts',
    'src/spool/erasure.ts',
    'src/spool/event-store.ts',
    'src/spool/history',
    'src/spool/spool.ts',
    'src/config',
    // operations.ts operates the running parts
    'src/delivery/ask/answer.ts',
    'src/delivery/dispatcher.ts',
    'src/delivery/policy.ts',
    'src/hooks/before-push/pushes.ts',
    'src/hooks/replay.ts',
    'fastify',
    'zod',
  ],
  'src/supervise': ['src/service.ts', 'src/config', 'src/hooks/call.ts', 'src/admin/access.ts'],
  'src/cli': [
    'demo',
    'src/supervise',
    'src/service.ts',
    'src/admin/api',
    'src/spool/addon.ts',
    'src/spool/erase-stopped.ts',
    'src/spool/inspect.ts',
    'src/spool/postgres/inspect.ts',
    'src/spool/usable.ts',
    'src/config',
    'src/hooks/exit-modules.ts',
    'src/hooks/load.ts',
    'src/hooks/trial.ts',
    // check --online connects as the service does
    'src/sources/component/stream.ts',
    'pools/connection.ts',
    'pools/destination-guard.ts',
    'pools/egress.ts',
    'pools/token-tls.ts',
    // keys verify reads requests and signs as the pool threads do
    'pools/sign.ts',
    'src/model',
    'src/telemetry',
    'pino',
    'zod',
  ],
  demo: [
    'src/model',
    'src/packet/xml',
    'src/sources/component/tap-item.ts',
    'src/config/environment.ts',
    'src/cli/terminal.ts',
    '@xmpp/client',
  ],
};

/** Only the composition root and the public API stand above the floors. */
const unbound = ['src/service.ts', 'src/index.ts'];

/** A generated table is as long as its data. */
const unmeasured = ['src/packet/stringprep-tables.ts'];

interface SourceFile {
  readonly path: string;
  readonly text: string;
  readonly imports: readonly string[];
}

const files = [...sources('src'), ...sources('pools'), ...sources('demo')];

function sources(folder: string): SourceFile[] {
  return readdirSync(join(root, folder)).flatMap((name) => {
    const path = join(folder, name);
    if (statSync(join(root, path)).isDirectory()) return sources(path);
    return path.endsWith('.ts') ? [read(path)] : [];
  });
}

function read(path: string): SourceFile {
  const text = readFileSync(join(root, path), 'utf8');
  const specifiers = [...text.matchAll(/^(?:import|export)\s[^;]*?from '([^']+)'|^import '([^']+)'|\bimport\('([^']+)'\)/gm)].map(
    (found) => found[1] ?? found[2] ?? found[3] ?? '',
  );
  const imports = specifiers.map((specifier) =>
    specifier.startsWith('.') ? relative(root, resolve(root, dirname(path), specifier)) : specifier,
  );
  return { path, text, imports };
}

function floorOf(path: string): string | undefined {
  return Object.keys(floors).find((folder) => path.startsWith(`${folder}/`));
}

function allowed(floor: string, imported: string): boolean {
  const own = [floor, 'src/kit', ...(floors[floor] ?? [])];
  return imported.startsWith('node:') || own.some((entry) => imported === entry || imported.startsWith(`${entry}/`));
}

describe('the floors', () => {
  test.each(Object.keys(floors))('%s imports only what its floor allows', (floor) => {
    const own = files.filter(({ path }) => floorOf(path) === floor);
    const trespasses = own.flatMap(({ path, imports }) =>
      imports.filter((imported) => !allowed(floor, imported)).map((imported) => `${path} → ${imported}`),
    );
    expect(own.length).toBeGreaterThan(0);
    expect(trespasses).toEqual([]);
  });

  test('every file stands on a floor', () => {
    expect(files.map(({ path }) => path).filter((path) => floorOf(path) === undefined && !unbound.includes(path))).toEqual([]);
  });

  test('no file imports itself through others', () => {
    const importsOf = new Map(files.map(({ path, imports }) => [path, imports]));
    const reaches = (from: string, to: string, seen = new Set<string>()): boolean =>
      (importsOf.get(from) ?? []).some((next) => next === to || (!seen.has(next) && reaches(next, to, seen.add(next))));
    expect(files.map(({ path }) => path).filter((path) => reaches(path, path))).toEqual([]);
  });
});

/** Where the core begins: the component that reads the tap, the hooks, the SQLite spool and its thread, the dispatcher, and the pool thread. */
const coreEntries = [
  'src/sources/component/component.ts',
  'src/hooks/intake.ts',
  'src/hooks/evaluate.ts',
  'src/spool/sqlite/spool.ts',
  'src/spool/sqlite/serve.ts',
  'src/delivery/dispatcher.ts',
  'pools/serve.ts',
];

/** What plugs into the core and is not part of it. */
const extensions = [
  'pools/access-tokens.ts',
  'pools/attempt-headers.ts',
  'pools/authorize.ts',
  'pools/egress.ts',
  'pools/session',
  'pools/token-endpoint.ts',
  'pools/got-worker.ts',
  'pools/order-carrier.ts',
  'src/delivery/ask',
  'src/delivery/follow-up',
  'src/gate',
  'src/hooks/before-push',
  'src/hooks/gate.ts',
  'src/hooks/create-handler.ts',
  'src/hooks/globs.ts',
  'src/hooks/rules.ts',
  'src/sources/client',
  'src/sources/http',
  'src/spool/sqlite/dead-letter-search.ts',
  'src/spool/history',
  'src/spool/operator-calls.ts',
  'src/spool/postgres',
  'src/spool/sqlite/operator-commands.ts',
];

/** Lines of the core's files, with imports, comments, blank lines and the generated table. */
const coreLineLimit = 14_900;

describe('the core', () => {
  const core = closureOf(coreEntries);

  test('every entry and every extension exists', () => {
    const known = (path: string) => files.some((file) => file.path === path || file.path.startsWith(`${path}/`));
    expect([...coreEntries, ...extensions].filter((path) => !known(path))).toEqual([]);
  });

  test('imports no extension, types included', () => {
    const isExtension = (path: string) => extensions.some((entry) => path === entry || path.startsWith(`${entry}/`));
    const trespasses = core.flatMap(({ path, imports }) => imports.filter(isExtension).map((imported) => `${path} → ${imported}`));
    expect(trespasses).toEqual([]);
  });

  test(`has at most ${coreLineLimit} lines`, () => {
    const lines = core.flatMap(({ text }) => text.trimEnd().split('\n'));
    const code = core.flatMap(({ text }) => withoutComments(text).split('\n')).filter((line) => line.trim() !== '');
    console.log(`The core has ${lines.length} lines in ${core.length} files, ${code.length} without comments and blank lines.`);
    expect(lines.length).toBeLessThanOrEqual(coreLineLimit);
  });
});

/** The files themselves and all that they import, directly or through others. */
function closureOf(entries: readonly string[]): readonly SourceFile[] {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const reached = new Set<string>(entries);
  for (const path of reached) for (const next of byPath.get(path)?.imports ?? []) if (byPath.has(next)) reached.add(next);
  return [...reached].flatMap((path) => byPath.get(path) ?? []);
}

function withoutComments(text: string): string {
  return text.replace(/\/\*[\s\S]*?\*\//g, '').replace(/^\s*\/\/.*$/gm, '');
}

describe('the map of the code', () => {
  const page = readFileSync(join(root, 'src/README.md'), 'utf8');

  test('names only files that exist', () => {
    const named = [...page.matchAll(/`([a-z./-]+\.ts)`/g)].map((found) => found[1]?.replace('../', '') ?? '');
    const isKnown = (name: string) => existsSync(join(root, name)) || files.some(({ path }) => path.endsWith(`/${name}`));
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((name) => !isKnown(name))).toEqual([]);
  });

  test('names only classes and functions that exist', () => {
    const text = files.map((file) => file.text).join('\n');
    const named = [...page.matchAll(/`([A-Z]?[A-Za-z]+)\.(#?[a-z]\w+)`/g)].flatMap(([, owner = '', member = '']) => [owner, member]);
    const isDeclared = (name: string) => new RegExp(`(?<![\\w#])${name}\\b`).test(text);
    expect(named.length).toBeGreaterThan(20);
    expect(named.filter((name) => !isDeclared(name))).toEqual([]);
  });
});

describe('the files', () => {
  test('none is longer than 400 lines', () => {
    const long = files.filter(({ path, text }) => !unmeasured.includes(path) && text.split('\n').length > 401);
    expect(long.map(({ path }) => path)).toEqual([]);
  });

  test('time, chance and the environment come in from outside', () => {
    const outside = files.filter(({ path }) => !path.startsWith('src/kit/') && path !== 'src/config/environment.ts');
    const takers = outside.filter(({ text }) => /Date\.now\(|Math\.random\(|new Date\(\)|process\.env\b|performance\.now\(/.test(text));
    expect(takers.map(({ path }) => path)).toEqual([]);
  });

  test('nothing escapes the type system', () => {
    const escapes = files.filter(({ text }) => /:\s*any\b|\bas any\b|as unknown as|@ts-ignore|@ts-expect-error/.test(text));
    expect(escapes.map(({ path }) => path)).toEqual([]);
  });

  test('none has a name that says nothing', () => {
    expect(files.map(({ path }) => path).filter((path) => /\/(utils?|helpers?|common|misc|types|manager|base)\.ts$/.test(path))).toEqual(
      [],
    );
  });
});
