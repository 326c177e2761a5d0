/** `init`: writes a configuration that runs, and the part of the chat server's configuration that belongs to it. */
import { randomBytes } from 'node:crypto';
import { lstat, open, rm } from 'node:fs/promises';
import { dirname, join, parse } from 'node:path';
import { locateConfig, readEnvironment } from '../config/environment.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { packageFolder } from '../kit/package-file.ts';
import type { Call, Command } from './command.ts';
import { type Answers, type InitFile, initFiles, nextSteps, servers } from './init-files.ts';
import type { OptionName } from './options.ts';
import { askLine, facts, isInteractive } from './terminal.ts';

export const initCommand: Command = {
  name: 'init',
  synopsis: '[--server NAME] [--host HOST] [--backend URL] [--domain NAME] [--service URL] [--config FILE]',
  description: `writes a configuration for ${servers.join(', ')}; asks for what is not given`,
  options: ['backend', 'config', 'domain', 'host', 'server', 'service'],
  run: init,
};

type Name = Extract<OptionName, 'backend' | 'domain' | 'host' | 'server' | 'service'>;

/** One answer: from its option, from the terminal, or the default. */
interface Question {
  readonly name: Name;
  readonly text: string;
  /** Taken if there is no terminal, or the user enters nothing. */
  readonly fallback?: (given: Given) => string;
  /** Whether it is asked, too: a default that is nearly always right is not. */
  readonly asks: boolean;
  /** What is expected, if the value is wrong. */
  readonly expected: string;
  readonly isValid: (value: string) => boolean;
}

type Given = Readonly<Partial<Record<Name, string>>>;

/** Domains of XMPP, in any script; none of these characters is special in TOML, YAML or Lua. */
const isDomain = (value: string) => /^[\p{L}\p{N}](?:[\p{L}\p{N}.-]{0,253}[\p{L}\p{N}])?$/u.test(value);

const questions: readonly Question[] = [
  {
    name: 'server',
    text: `Which chat server (${servers.join(', ')})?`,
    asks: true,
    expected: servers.join(', '),
    isValid: (value) => servers.some((server) => server === value),
  },
  {
    name: 'host',
    text: 'The domain of your users, such as example.org?',
    asks: true,
    expected: 'a domain such as example.org',
    isValid: isDomain,
  },
  {
    name: 'backend',
    text: 'The URL that receives the requests?',
    asks: true,
    fallback: () => 'http://127.0.0.1:8000/notifications',
    expected: 'a URL such as http://127.0.0.1:8000/notifications, without user, query or fragment',
    isValid: (value) => isPlainUrl(value, ['http:', 'https:']),
  },
  {
    name: 'domain',
    text: 'The domain of the service as a component?',
    asks: false,
    fallback: ({ host }) => `pusher.${host}`,
    expected: 'a domain such as pusher.example.org',
    isValid: isDomain,
  },
  {
    name: 'service',
    text: 'The component port of the server?',
    asks: false,
    fallback: () => 'xmpp://127.0.0.1:5347',
    expected: 'an address such as xmpp://127.0.0.1:5347',
    isValid: (value) => isPlainUrl(value, ['xmpp:']) && new URL(value).port !== '',
  },
];

function isPlainUrl(value: string, protocols: readonly string[]): boolean {
  const url = URL.canParse(value) ? new URL(value) : undefined;
  if (url === undefined || !protocols.includes(url.protocol) || url.host === '') return false;
  return url.username + url.password + url.search + url.hash === '' && !/["\\\s$]/.test(value);
}

async function init({ values }: Call): Promise<number> {
  const file = locateConfig(values.config, readEnvironment());
  const { dir, name: base } = parse(file);
  if (/["\\$}\p{Cc}]/u.test(base))
    throw new ServiceError('USAGE', `--config: received ${JSON.stringify(base)}, expected a name without " \\ $ }`);
  const answers = answersOf(await complete(values));
  const files = initFiles(answers, { base, secret: randomBytes(24).toString('hex') });
  await writeAll(dir === '' ? '.' : dir, files);
  process.stdout.write(report(answers, { folder: dirname(file), files }));
  return 0;
}

/** All answers, checked. Throws USAGE for a wrong option, and if there is no terminal for all that are missing. */
async function complete(values: Given): Promise<Given> {
  const missing = questions.filter(({ name, fallback }) => values[name] === undefined && fallback === undefined);
  if (missing.length > 0 && !isInteractive())
    throw new ServiceError('USAGE', `missing ${missing.map(({ name, expected }) => `--${name}: ${expected}`).join('; ')}`);
  const given: Partial<Record<Name, string>> = {};
  for (const question of questions) given[question.name] = await answer(question, values[question.name], given);
  return given;
}

async function answer(
  { name, text, fallback, asks, expected, isValid }: Question,
  option: string | undefined,
  given: Given,
): Promise<string> {
  const mistake = (value: string) => `--${name}: received ${JSON.stringify(value)}, expected ${expected}`;
  if (option !== undefined) {
    if (isValid(option)) return option;
    throw new ServiceError('USAGE', mistake(option));
  }
  const usual = fallback?.(given);
  if (usual !== undefined && (!asks || !isInteractive())) return usual;
  for (;;) {
    const line = await askLine(usual === undefined ? text : `${text} [${usual}]`);
    if (line === undefined) throw new ServiceError('INIT_REFUSED', 'nothing was written');
    const value = line === '' && usual !== undefined ? usual : line;
    if (isValid(value)) return value;
    process.stderr.write(`Expected ${expected}.\n`);
  }
}

function answersOf({ server, host = '', domain = '', service = '', backend = '' }: Given): Answers {
  const known = servers.find((name) => name === server) ?? 'prosody';
  return { server: known, host, domain, service: new URL(service), backend: new URL(backend) };
}

/** Writes all files or none. Throws INIT_REFUSED if one of them exists. */
async function writeAll(folder: string, files: readonly InitFile[]): Promise<void> {
  const present: string[] = [];
  for (const { name } of files) if (await exists(join(folder, name))) present.push(join(folder, name));
  if (present.length > 0)
    throw new ServiceError('INIT_REFUSED', `${present.join(', ')}: init never overwrites a file; move it away, or give another --config`);

  const written: string[] = [];
  try {
    for (const { name, text, isSecret } of files) {
      const path = join(folder, name);
      const file = await open(path, 'wx', isSecret ? 0o600 : 0o644);
      written.push(path); // before its content is written: a full disk must not leave an empty file
      await file.writeFile(text).finally(() => file.close());
    }
  } catch (thrown) {
    await Promise.all(written.map((path) => rm(path, { force: true })));
    throw new ServiceError('INIT_REFUSED', `cannot write to ${folder}: ${toError(thrown).message}`, { cause: thrown });
  }
}

function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    () => false, // also if the folder is missing: writing gives that reason
  );
}

function report(answers: Answers, { folder, files }: { readonly folder: string; readonly files: readonly InitFile[] }): string {
  const paths = files.map(({ name }) => join(folder, name));
  const steps = nextSteps(answers, { files: paths, plugins: join(packageFolder(), 'plugins') });
  const written = facts(files.map(({ description }, index) => [paths[index] ?? '', description] as const));
  const page = join(packageFolder(), `docs/guides/${answers.server}.md`);
  return `Written:\n\n${indented(written)}\nNext (${page} explains each step):\n\n${indented(`${steps.join('\n')}\n`)}`;
}

function indented(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '    ');
}
