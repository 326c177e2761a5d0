/** The commands about signing keys. Neither takes a key on the command line, where the list of processes would show it. */
import { randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { readEnvironment } from '../config/environment.ts';
import { isSigningKey } from '../config/sign.ts';
import { durationOrForever } from '../config/values.ts';
import { systemClock } from '../kit/clock.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { type CapturedRequest, readCapture, readHeader } from './captured-request.ts';
import type { Call, Command } from './command.ts';
import { type OptionValues, wholeOption } from './options.ts';
import { output } from './terminal.ts';
import { type Finding, verifySignature } from './verify-signature.ts';

export const keyCommands: readonly Command[] = [
  {
    name: 'keys generate',
    synopsis: '[--bytes N] [--json]',
    description: 'prints a new random signing key of 32 bytes, or of N from 24 to 64',
    options: ['bytes', 'json'],
    run: generate,
  },
  {
    name: 'keys verify',
    synopsis: 'KEY [--request PATH] [--header LINE]… [--body PATH] [--tolerance DURATION] [--json]',
    description: 'verifies the signature of a received request; LINE is "name: value", DURATION 5m by default',
    options: ['body', 'header', 'json', 'key-env', 'key-file', 'request', 'tolerance'],
    run: verify,
  },
];

/** Lengths of keys in bytes that Standard Webhooks 1.0.0 allows. */
const [leastBytes, mostBytes] = [24, 64];

async function generate({ values }: Call): Promise<number> {
  const bytes = wholeOption(values, 'bytes', { least: leastBytes, most: mostBytes }) ?? 32;
  const key = `whsec_${randomBytes(bytes).toString('base64')}`;
  output(values.json, { key, bytes }, `${key}\n`);
  return 0;
}

/** Exit code 1 if the request would be refused. */
async function verify({ values }: Call): Promise<number> {
  const tolerance = durationOrForever.safeParse(values.tolerance ?? '5m');
  if (!tolerance.success) throw usage('--tolerance: expected a duration such as "5m", or "forever"');
  const keys = keysIn(await readKeyText(values));
  const request = await requestOf(values);
  const finding = verifySignature(request, { keys, toleranceMs: tolerance.data, now: systemClock.now() });
  output(values.json, viewOf(finding), `${finding.kind === 'valid' ? 'Valid' : 'Not valid'}: ${finding.detail}\n`);
  return finding.kind === 'valid' ? 0 : 1;
}

function viewOf(finding: Finding): object {
  const isValid = finding.kind === 'valid';
  return { valid: isValid, reason: isValid ? '' : finding.kind, detail: finding.detail, key: isValid ? finding.key : null };
}

function usage(message: string): ServiceError {
  return new ServiceError('USAGE', message);
}

async function readKeyText({ 'key-env': name, 'key-file': file }: OptionValues): Promise<string> {
  if ((name === undefined) === (file === undefined)) throw usage('give the key with either --key-file PATH or --key-env NAME');
  if (`${name ?? ''}${file ?? ''}`.startsWith('whsec_')) {
    throw usage('this is the key itself: give the name of a file or variable that contains it, because other users can see command lines');
  }
  if (file !== undefined) return (await readBytes('key-file', file, maxKeyFileBytes)).toString();
  const text = readEnvironment()[name ?? ''];
  if (text === undefined || text === '') throw usage(`the environment variable ${name} is not set or is empty`);
  return text;
}

/** One key, or several, each on a line. An error names the line and does not quote it, because it may be a key with a typing error. */
function keysIn(text: string): readonly string[] {
  const lines = text.split('\n').map((line) => line.trim());
  const wrong = lines.findIndex((line) => line !== '' && !isSigningKey(line));
  const expected = 'expected "whsec_" and the base64 of 24 to 64 bytes';
  if (wrong >= 0) throw usage(`line ${wrong + 1} of the keys is not a signing key: ${expected}`);
  const keys = lines.filter((line) => line !== '');
  if (keys.length === 0) throw usage(`there is no key: ${expected}`);
  return keys;
}

async function requestOf(values: OptionValues): Promise<CapturedRequest> {
  const { request: path, body: bodyPath } = values;
  if (path === '-' && bodyPath === '-') throw usage('standard input can be either --request or --body');
  const given = (values.header ?? []).map((line) => readHeader(line, '--header'));
  const captured = path === undefined ? undefined : readCapture(await readBytes('request', path, maxRequestBytes));
  if (captured === undefined && given.length === 0) {
    throw usage('give the headers of the request with --header "webhook-id: …" and so on, or the captured request with --request PATH');
  }
  const headers = [...given, ...(captured?.headers ?? [])];
  if (captured?.body !== undefined && bodyPath === undefined) return { headers, body: captured.body };
  if (bodyPath === undefined && process.stdin.isTTY === true) throw usage('give the body with --body PATH, or on standard input');
  if (bodyPath === undefined && path === '-')
    throw usage('the captured request has no body: end its headers with an empty line, or give --body PATH');
  return { headers, body: await readBytes('body', bodyPath ?? '-', maxRequestBytes) };
}

const maxKeyFileBytes = 64 * 1024;
const maxRequestBytes = 64 * 1024 * 1024;

/** The bytes of a file, or of standard input for `-`. */
async function readBytes(option: string, path: string, maxBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  let size = 0;
  try {
    for await (const part of path === '-' ? process.stdin : createReadStream(path)) {
      size += part.length;
      if (size > maxBytes) throw new Error(`${path} has more than ${maxBytes} bytes`);
      parts.push(part);
    }
  } catch (thrown) {
    throw new ServiceError('USAGE', `--${option}: ${toError(thrown).message}`, { cause: thrown });
  }
  return Buffer.concat(parts);
}
