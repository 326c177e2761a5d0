import { z } from 'zod';
import { beforePush } from './before-push.ts';
import { followUpSchema } from './follow-up.ts';
import { anyText, duration, durationOrForever, flag, listOf, oneOf, section, text } from './values.ts';

const kinds = [
  ...['message', 'correction', 'retraction', 'reaction', 'receipt', 'marker', 'chat-state', 'encrypted', 'status'],
  ...['room-left', 'room-removed', 'room-destroyed'],
] as const;

/** What may happen, as `acc.event` says it; `offline` is a message whose receiver has no client connected. */
const events = ['chat', 'groupchat', 'normal', 'headline', 'presence', 'iq', 'status', 'unack', 'offline'] as const;

/** Types of messages, of presences (`available`: without a type) and of iqs. RFC 6121 §4.7.1 and §5.2.2, RFC 6120 §8.2.3. */
const types = [
  ...['chat', 'groupchat', 'normal', 'headline', 'error'],
  ...['available', 'unavailable', 'subscribe', 'subscribed', 'unsubscribe', 'unsubscribed', 'probe'],
  ...['get', 'set', 'result'],
] as const;

const globs = listOf(text, 'a bare JID, or a list of them, with * and ? as wildcards');

/** Which packets a handler meets: every given key must hold, a list means any of its members. */
const when = section({
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
  has: listOf(text, 'a namespace, or a list of them').optional(),
});

/** What callbacks find in `opts` beside their own options. */
const reserved = new Set(['name', 'poolName', 'path', 'callbackModule']);

const options = z
  .record(z.string(), z.unknown(), { error: 'a table' })
  .refine((given) => Object.keys(given).every((key) => !reserved.has(key)), {
    error: `a table without the keys ${[...reserved].join(', ')}, which callbacks get anyway`,
  });

/** A handler: MongooseIM's three options, then ours. */
export const handlerSchema = section({
  pool_name: text.default('http_pool'),
  path: anyText.default(''),
  callback_module: text.default('mod_event_pusher_http_defaults'),
  name: z
    .string({ error: 'a name of letters, digits, ".", "_" and "-"' })
    .regex(/^[\w.-]+$/, { error: 'a name of letters, digits, ".", "_" and "-"' })
    .optional(),
  enabled: flag.default(true),
  when: when.optional(),
  respect_hints: flag.default(false),
  ordering: oneOf(['conversation', 'sender', 'none']).default('conversation'),
  hold: durationOrForever.default(30_000),
  ttl: duration.optional(),
  before_push: beforePush.optional(),
  follow_up: followUpSchema.optional(),
  options: options.default({}),
});

export type HandlerSection = z.output<typeof handlerSchema>;
export type WhenSection = z.output<typeof when>;
