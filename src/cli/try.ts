import { readFile } from 'node:fs/promises';
import { locateConfig, readEnvironment } from '../config/environment.ts';
import { loadConfig } from '../config/load.ts';
import { createMask } from '../config/secrets.ts';
import { loadHandlers } from '../hooks/load.ts';
import { type Trial, tryHandler } from '../hooks/trial.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { nearest } from '../kit/nearest.ts';
import type { Call, Command } from './command.ts';
import { facts, output } from './terminal.ts';

export const tryCommand: Command = {
  name: 'try',
  synopsis: 'HANDLER XML [--dir DIR] [--host HOST] [--sender JID] [--sessions N] [--config FILE] [--json]',
  description: 'shows offline what a handler sends for the stanza in a file, or why not; DIR is in or out',
  operands: { least: 2, most: 2 },
  options: ['config', 'dir', 'host', 'json', 'sender', 'sessions'],
  run: tryStanza,
};

/** Exit code 1 if a callback failed: then the packet would become a dead letter. */
async function tryStanza({ values, operands: [name = '', file = ''] }: Call): Promise<number> {
  const direction = values.dir ?? 'in';
  if (direction !== 'in' && direction !== 'out')
    throw new ServiceError('USAGE', `--dir: received ${JSON.stringify(direction)}, expected in or out`);
  const sessions = sessionsIn(values.sessions);
  const config = await loadConfig(locateConfig(values.config, readEnvironment()), readEnvironment());
  const own = config.handlers.filter((handler) => handler.name === name);
  if (own.length === 0)
    throw unknownHandler(
      name,
      config.handlers.map((handler) => handler.name),
    );
  const xml = await readStanza(file);
  const [handler] = await loadHandlers(own);
  if (handler === undefined) throw unknownHandler(name, []);

  const trial = await tryHandler(handler, { xml, direction, host: values.host, sender: values.sender, sessions, limits: config.callbacks });
  const origin = config.pools.find(({ id }) => id === handler.config.pool)?.origin ?? '';
  const mask = createMask(config.redacted);
  const asked = handler.config.beforePush === undefined ? '' : 'its business server is asked first, and may prevent or change it';
  output(values.json, viewOf(trial, { origin, mask, asked }), textOf(trial, { origin, mask, asked }));
  return trial.result.kind === 'failed' ? 1 : 0;
}

function sessionsIn(text: string | undefined): number | undefined {
  if (text === undefined) return undefined;
  if (/^\d{1,9}$/.test(text)) return Number(text);
  throw new ServiceError(
    'USAGE',
    `--sessions: received ${JSON.stringify(text)}, expected the number of the receiver's clients, 0 if offline`,
  );
}

interface Surroundings {
  readonly origin: string;
  /** Hides the secrets of the configuration. */
  readonly mask: (text: string) => string;
  readonly asked: string;
}

function viewOf({ result, rules }: Trial, { origin, mask, asked }: Surroundings): object {
  const shownRules = rules.map(({ rule, wanted, matches, found }) => ({
    rule,
    wanted: maskAll(wanted, mask),
    matches,
    found: mask(found),
  }));
  if (result.kind !== 'request') return { pushed: false, reason: result.reason, detail: mask(result.detail), rules: shownRules };
  const { method, path, headers, body } = result;
  const content = typeof body === 'string' ? { body: mask(body) } : { body: Buffer.from(body).toString('base64'), bodyEncoding: 'base64' };
  const request = { method, url: mask(origin + path), headers: headers.map(([header, value]) => [header, mask(value)]), ...content };
  return { pushed: true, reason: '', detail: asked, rules: shownRules, request };
}

/** The value of a rule: texts, flags, and lists and tables of them. */
function maskAll(wanted: unknown, mask: (text: string) => string): unknown {
  if (typeof wanted === 'string') return mask(wanted);
  if (Array.isArray(wanted)) return wanted.map((each) => maskAll(each, mask));
  if (typeof wanted !== 'object' || wanted === null) return wanted;
  return Object.fromEntries(Object.entries(wanted).map(([key, value]) => [key, maskAll(value, mask)]));
}

function textOf({ result, rules }: Trial, { origin, mask, asked }: Surroundings): string {
  const shownRules: [string, string] = ['rules', rules.map((rule) => mask(lineOf(rule))).join('\n')];
  if (result.kind !== 'request') {
    const effect = result.kind === 'failed' ? ' failed' : '';
    return `Not pushed: ${result.reason}${effect}: ${mask(result.detail)}\n${facts([shownRules])}`;
  }
  const { method, path, headers, body } = result;
  const lines = headers.map(([header, value]) => `${header}: ${mask(value)}`);
  return facts([
    ['pushed', asked === '' ? 'yes' : `yes; ${asked}`],
    shownRules,
    ['request', [`${method} ${mask(origin + path)}`, ...lines].join('\n')],
    [typeof body === 'string' ? 'body' : 'body (base64)', typeof body === 'string' ? mask(body) : Buffer.from(body).toString('base64')],
  ]);
}

/** `no   type = ["chat"]: groupchat`; the value of a rule that contains others is left out, because these follow. */
function lineOf({ rule, wanted, matches, found }: Trial['rules'][number]): string {
  const value = /(?:^|\.)(?:not|any)$/.test(rule) ? '' : ` = ${JSON.stringify(wanted)}`;
  return `${matches ? 'yes' : 'no '}  ${rule}${value}: ${found}`;
}

async function readStanza(file: string): Promise<string> {
  try {
    return await readFile(file, 'utf8');
  } catch (thrown) {
    throw new ServiceError('USAGE', `cannot read the stanza: ${toError(thrown).message}`, { cause: thrown });
  }
}

function unknownHandler(name: string, names: readonly string[]): ServiceError {
  const near = nearest(name, names);
  const hint = near === undefined ? '' : `; did you mean ${JSON.stringify(near)}?`;
  return new ServiceError(
    'UNKNOWN_HANDLER',
    `there is no handler ${JSON.stringify(name)}; there are: ${names.join(', ') || 'none'}${hint}`,
  );
}
