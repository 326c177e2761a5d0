import { createHash } from 'node:crypto';
import { z } from 'zod';
import { lifeEvents } from '../model/packet.ts';
import { beforePushSchema } from './before-push.ts';
import { followUpSchema } from './follow-up.ts';
import { signSchema } from './sign.ts';
import { anyText, duration, durationOrForever, flag, listOf, oneOf, section, text } from './values.ts';

const kinds = [
  ...['message', 'correction', 'retraction', 'reaction', 'receipt', 'marker', 'chat-state', 'encrypted', 'life', 'status'],
  ...['room-left', 'room-removed', 'room-destroyed'],
] as const;

/** Values of `acc.event`, and `offline`: a message whose receiver has no client connected. */
const events = ['chat', 'groupchat', 'normal', 'headline', 'presence', 'iq', 'status', 'unack', 'offline', ...lifeEvents] as const;

/** Types of messages, of presences (`available`: without a type) and of iqs. RFC 6121 §4.7.1 and §5.2.2, RFC 6120 §8.2.3. */
const types = [
  ...['chat', 'groupchat', 'normal', 'headline', 'error'],
  ...['available', 'unavailable', 'subscribe', 'subscribed', 'unsubscribe', 'unsubscribed', 'probe'],
  ...['get', 'set', 'result'],
] as const;

/** Of a JID: RFC 7622 §3.1. */
const maxJidGlob = 3071;
const jidGlob = text.max(maxJidGlob, { error: `a bare JID of at most ${maxJidGlob} characters, with * and ? as wildcards` });
const globs = listOf(jidGlob, 'a bare JID or a list of bare JIDs, with * and ? as wildcards');

/** `glob-limits.ts` limits the globs of all handlers together. */
const maxGlob = 256;
const maxGlobs = 100;
const textGlob = text.max(maxGlob, { error: `a text of at most ${maxGlob} characters, with * and ? as wildcards` });
const textGlobs = listOf(textGlob, 'a text or a list of texts, with * and ? as wildcards').refine((list) => list.length <= maxGlobs, {
  error: `a list of at most ${maxGlobs} texts`,
});

const whenKeys = {
  direction: listOf(oneOf(['in', 'out']), 'in, out, or a list of them').optional(),
  stanza: listOf(oneOf(['message', 'presence', 'iq']), 'message, presence, iq, or a list of them').optional(),
  type: listOf(oneOf(types), 'a type of stanza, or a list of them').optional(),
  kind: listOf(oneOf(kinds), 'a kind of message, or a list of them').optional(),
  event: listOf(oneOf(events), 'an event, or a list of them').optional(),
  body: flag.optional(),
  from: globs.optional(),
  to: globs.optional(),
  offline: flag.optional(),
  delayed: flag.optional(),
  occupant: flag.optional(),
  has: listOf(text, 'a namespace, or a list of them').optional(),
  sender: globs.optional(),
  room: globs.optional(),
  text: textGlobs.optional(),
};

type WhenKeys = z.output<z.ZodObject<typeof whenKeys>>;
export interface WhenSection extends WhenKeys {
  readonly not?: WhenSection | undefined;
  readonly any?: readonly WhenSection[] | undefined;
}

const maxNesting = 4;
const maxAlternatives = 100;

/** The packets that a handler evaluates: all given keys must match; a list matches if one member matches. */
const whenAt = (nesting: number) => section({ ...whenKeys, ...nestedAt(nesting) });

interface NestedRules {
  readonly not: z.ZodOptional<z.ZodType<WhenSection>>;
  readonly any: z.ZodOptional<z.ZodType<readonly WhenSection[]>>;
}

function nestedAt(nesting: number): NestedRules {
  if (nesting === maxNesting) return { not: tooDeep, any: tooDeep };
  const rule = whenAt(nesting + 1).refine((given) => Object.keys(given).length > 0, {
    error: 'a table with at least one key of `when`',
    when: ({ issues }) => issues.length === 0, // an unknown key has been removed by now
  });
  const alternatives = `a list of 1 to ${maxAlternatives} tables, each with at least one key of \`when\``;
  const list = z.array(rule, { error: alternatives }).min(1, { error: alternatives }).max(maxAlternatives, { error: alternatives });
  return { not: rule.optional(), any: list.optional() };
}

const tooDeep = z.never({ error: `no further rules: \`not\` and \`any\` may be nested ${maxNesting} deep` }).optional();

/** Keys of `opts` that the service sets. */
const reserved = new Set(['name', 'poolName', 'path', 'callbackModule']);

const options = z
  .record(z.string(), z.unknown(), { error: 'a table' })
  .refine((given) => Object.keys(given).every((key) => !reserved.has(key)), {
    error: `a table without the keys ${[...reserved].join(', ')}, which the service sets itself`,
  });

/** The table of a handler: MongooseIM's three options, then ours. */
export const handlerSchema = section({
  pool_name: text.default('http_pool'),
  path: anyText.default(''),
  callback_module: text.default('mod_event_pusher_http_defaults'),
  name: z
    .string({ error: 'a name of letters, digits, ".", "_" and "-"' })
    .regex(/^[\w.-]+$/, { error: 'a name of letters, digits, ".", "_" and "-"' })
    .optional(),
  enabled: flag.default(true),
  when: whenAt(0).optional(),
  respect_hints: flag.default(false),
  ordering: oneOf(['conversation', 'sender', 'none']).default('conversation'),
  hold: durationOrForever.default(30_000),
  ttl: duration.optional(),
  before_push: beforePushSchema.optional(),
  follow_up: followUpSchema.optional(),
  sign: signSchema.optional(),
  options: options.default({}),
});

export type HandlerSection = z.output<typeof handlerSchema>;

/**
 * The name of a handler: its own, or one made of pool, path and a hash of pool, path and module. It does not depend on the
 * order of the handlers, because deliveries on disk and metrics refer to it.
 */
export function handlerName(handler: HandlerSection, writtenPath: string): string {
  if (handler.name !== undefined) return handler.name;

  const path = trimmedPath(writtenPath);
  const identity = JSON.stringify([handler.pool_name, path, handler.callback_module]);
  const hash = createHash('sha256').update(identity).digest('hex').slice(0, 8);
  return [slug(handler.pool_name), slug(path), hash].filter((part) => part !== '').join('-');
}

/** The path that identifies a handler: MongooseIM removes leading slashes. */
export function trimmedPath(path: string): string {
  return path.replace(/^\/+/, '');
}

function slug(text: string): string {
  return text
    .replace(/[^\w.]+/g, '-')
    .slice(0, 40)
    .replace(/^-+|-+$/g, '');
}
