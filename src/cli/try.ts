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
  synopsis: 'HANDLER STANZA.xml [--dir DIRECTION] [--host HOST] [--config FILE] [--json]',
  description: 'shows offline what a handler would send for a stanza, or why not; DIRECTION is in or out',
  operands: { least: 2, most: 2 },
  options: ['config', 'dir', 'host', 'json'],
  run: tryStanza,
};

/** Exit code 1 if a callback failed: then the packet would become a dead letter. */
async function tryStanza({ values, operands: [name = '', file = ''] }: Call): Promise<number> {
  const direction = values.dir ?? 'in';
  if (direction !== 'in' && direction !== 'out')
    throw new ServiceError('USAGE', `--dir: received ${JSON.stringify(direction)}, expected in or out`);
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

  const trial = await tryHandler(handler, { xml, direction, host: values.host, limits: config.callbacks });
  const origin = config.pools.find(({ id }) => id === handler.config.pool)?.origin ?? '';
  const mask = createMask(config.redacted);
  const asked = handler.config.beforePush === undefined ? '' : 'its business server is asked first, and may prevent or change it';
  output(values.json, viewOf(trial, { origin, mask, asked }), textOf(trial, { origin, mask, asked }));
  return trial.kind === 'failed' ? 1 : 0;
}

interface Surroundings {
  readonly origin: string;
  /** Hides the secrets of the configuration. */
  readonly mask: (text: string) => string;
  readonly asked: string;
}

function viewOf(trial: Trial, { origin, mask, asked }: Surroundings): object {
  if (trial.kind !== 'request') return { pushed: false, reason: trial.reason, detail: mask(trial.detail) };
  const { method, path, headers, body } = trial;
  const content = typeof body === 'string' ? { body: mask(body) } : { body: Buffer.from(body).toString('base64'), bodyEncoding: 'base64' };
  const request = { method, url: mask(origin + path), headers: headers.map(([header, value]) => [header, mask(value)]), ...content };
  return { pushed: true, reason: '', detail: asked, request };
}

function textOf(trial: Trial, { origin, mask, asked }: Surroundings): string {
  if (trial.kind !== 'request') return `Not pushed: ${trial.reason}${trial.kind === 'failed' ? ' failed' : ''}: ${mask(trial.detail)}\n`;
  const { method, path, headers, body } = trial;
  const lines = headers.map(([header, value]) => `${header}: ${mask(value)}`);
  return facts([
    ['pushed', asked === '' ? 'yes' : `yes; ${asked}`],
    ['request', [`${method} ${mask(origin + path)}`, ...lines].join('\n')],
    [typeof body === 'string' ? 'body' : 'body (base64)', typeof body === 'string' ? mask(body) : Buffer.from(body).toString('base64')],
  ]);
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
