import { isUtf8 } from 'node:buffer';
import type { Descriptor } from '../../../config/service-config.ts';
import { readMark } from './decoders.ts';
import { type Exit, type ExitInput, type ExitOutput, type Service, type Unfit, unfit, wholeBody } from './exit.ts';
import { type Fields, readFormFields, readJsonFields } from './fields.ts';
import { maxParts, splitMessage } from './parts.ts';
import { bytesType, type Reply, textType } from './reply.ts';
import { isForm, isJson, type Received } from './request.ts';

/**
 * `*SYSTEM`: reads a form or a JSON object by field, anything else as one part. Units that use the fields of MongooseIM's pusher
 * (`author`, `server`, `receiver`, `message`) get those; a module's unit gets the value of each field as a part, in order. The
 * response to JSON is JSON, any other consists of lines of text.
 */
export class SystemExit implements Exit {
  /** Undefined: the unit is a module. */
  readonly #unit: 'PUSH' | 'SENDMSG' | 'STATUS' | undefined;
  readonly #defaultHost: string;

  constructor({ unit }: Pick<Descriptor, 'unit'>, defaultHost: string) {
    this.#unit = unit.kind === 'builtin' ? unit.name : undefined;
    this.#defaultHost = defaultHost;
  }

  async input({ received }: Service): Promise<ExitInput> {
    const fields = fieldsOf(received);
    if (fields === undefined) return wholeBody(received.body);
    return 'kind' in fields ? fields : this.#message(fields);
  }

  async output({ received, status }: Service, parts: readonly Buffer[]): Promise<ExitOutput> {
    const reply = isJson(received.contentType) ? inJson(status, parts, this.#unit) : inLines(status, parts);
    return { kind: 'reply', reply };
  }

  #message(fields: Fields): ExitInput {
    const server = fields.get('server') ?? this.#defaultHost;
    switch (this.#unit) {
      case 'PUSH':
        return inOrder(fields, ['author', 'receiver', 'message'], server);
      case 'SENDMSG':
        return inOrder(fields, ['receiver', 'message'], server);
      case 'STATUS':
      case undefined:
        return asParts([...fields.values()]);
      default:
        return this.#unit satisfies never;
    }
  }
}

/** Undefined: a body of this type has no fields. */
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

/** The named fields as parts. All except `message` are addresses. */
function inOrder(fields: Fields, names: readonly string[], server: string): ExitInput {
  const missing = names.find((name) => !fields.has(name));
  if (missing !== undefined) return unfit(400, `the field ${missing} is missing`);
  return asParts(names.map((name) => (name === 'message' ? (fields.get(name) ?? '') : address(fields.get(name) ?? '', server))));
}

/** A local part belongs to the server; a text with `@` is a complete address. */
function address(user: string, server: string): string {
  if (user === '') return server;
  return user.includes('@') ? user : `${user}@${server}`;
}

/** A value that is longer than a part continues in the next. Built-in units read these as one, because their text comes last. */
function asParts(values: readonly string[]): ExitInput {
  const parts = values.map((value) => splitMessage(Buffer.from(value)));
  const all = parts.flatMap((some = []) => some);
  return parts.includes(undefined) || all.length > maxParts
    ? unfit(413, 'the fields exceed the maximum size of a message')
    : { kind: 'parts', parts: all };
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
  const content = unit === 'PUSH' || unit === 'SENDMSG' ? { id } : { parts: texts };
  return { status, headers: [['content-type', 'application/json']], body: Buffer.from(JSON.stringify(content)) };
}
