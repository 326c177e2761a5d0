import { isUtf8 } from 'node:buffer';
import type { Descriptor } from '../../../config/config.ts';
import { isForm, isJson } from './content-type.ts';
import { readMark } from './decoders.ts';
import { type Exit, type ExitInput, type Unfit, unfit } from './exit.ts';
import { type Fields, readFormFields, readJsonFields } from './fields.ts';
import { bytesType, wholeBody } from './none-exit.ts';
import { maxParts, splitMessage } from './parts.ts';
import type { Received } from './received.ts';
import { type Reply, textType } from './reply.ts';

/**
 * `*SYSTEM`: a form or a JSON object by field, anything else as one part. The fields are those of MongooseIM's pusher
 * (`author`, `server`, `receiver`, `message`) for the units that know them; a module's unit gets each field's value as a part,
 * in the order in which they came. A client that speaks JSON is answered in JSON, others in lines of text.
 */
export function createSystemExit({ unit }: Pick<Descriptor, 'unit'>, defaultHost: string): Exit {
  const name = unit.kind === 'builtin' ? unit.name : undefined;

  function message(fields: Fields): ExitInput {
    const server = fields.get('server') ?? defaultHost;
    switch (name) {
      case 'PUSH':
        return inOrder(fields, ['author', 'receiver', 'message'], server);
      case 'SENDMSG':
        return inOrder(fields, ['receiver', 'message'], server);
      case 'STATUS':
      case undefined:
        return asParts([...fields.values()]);
      default:
        return name satisfies never;
    }
  }

  return {
    input: async ({ received }) => {
      const fields = fieldsOf(received);
      if (fields === undefined) return wholeBody(received.body);
      return 'kind' in fields ? fields : message(fields);
    },
    output: async ({ received, status }, parts) => ({
      kind: 'reply',
      reply: isJson(received.contentType) ? inJson(status, parts, name) : inLines(status, parts),
    }),
  };
}

/** Undefined: there are none in a body of this kind. */
function fieldsOf({ contentType, body, decode }: Received): Fields | Unfit | undefined {
  if (isForm(contentType)) {
    const { charset, length } = readMark(body) ?? { charset: 'utf-8', length: 0 };
    const read = readFormFields(charset === 'utf-8' ? body.subarray(length) : body, decode);
    return read.kind === 'fields' ? read.fields : unfit(400, read.text);
  }
  if (!isJson(contentType)) return undefined;
  if (!isUtf8(body)) return unfit(400, 'the body is not UTF-8');
  const read = readJsonFields(body.toString());
  return read.kind === 'fields' ? read.fields : unfit(400, read.text);
}

/** The first fields are addresses: a local part is of the server, what has an `@` is whole. Undefined fields are mistakes. */
function inOrder(fields: Fields, names: readonly string[], server: string): ExitInput {
  const missing = names.find((name) => !fields.has(name));
  if (missing !== undefined) return unfit(400, `the field ${missing} is missing`);
  return asParts(names.map((name) => (name === 'message' ? (fields.get(name) ?? '') : address(fields.get(name) ?? '', server))));
}

function address(user: string, server: string): string {
  if (user === '') return server;
  return user.includes('@') ? user : `${user}@${server}`;
}

/** A value that is longer than a part goes on in the next, which the built-in units read as one: their text comes last. */
function asParts(values: readonly string[]): ExitInput {
  const parts = values.map((value) => splitMessage(Buffer.from(value)));
  const whole = parts.flatMap((some = []) => some);
  return parts.includes(undefined) || whole.length > maxParts
    ? unfit(413, 'the fields are more than a message can hold')
    : { kind: 'parts', parts: whole };
}

const lineEnd = Buffer.of(0x0a);

function inLines(status: number, parts: readonly Buffer[]): Reply {
  if (parts.length === 0) return { status: status === 200 ? 204 : status, headers: [], body: Buffer.alloc(0) };
  const body = Buffer.concat(parts.flatMap((part) => [part, lineEnd]));
  return { status, headers: [isUtf8(body) ? textType : bytesType], body };
}

function inJson(status: number, parts: readonly Buffer[], unit: string | undefined): Reply {
  const texts = parts.map((part) => part.toString());
  const [id] = texts;
  const shown = unit === 'PUSH' || unit === 'SENDMSG' ? { id } : { parts: texts };
  return { status, headers: [['content-type', 'application/json']], body: Buffer.from(JSON.stringify(shown)) };
}
