/** What comes of the answers of backends, put together from its parts. */
import type { Config } from './config/config.ts';
import { AskDeadlines } from './delivery/ask/deadlines.ts';
import { type AskFollowParts, createAskFollow } from './delivery/ask/follow.ts';
import type { DispatcherOptions } from './delivery/dispatcher.ts';
import { createFollowUp } from './delivery/follow-up/follow-up.ts';
import { createMessageCarrier } from './delivery/follow-up/message-carrier.ts';
import { createPostRoom, type Exit } from './delivery/follow-up/post-room.ts';
import { messagePool } from './delivery/policy.ts';
import type { Clock, Timers } from './kit/clock.ts';
import type { Source } from './sources/source.ts';

export interface AnsweringParts extends Pick<AskFollowParts, 'events' | 'prepare'> {
  /** Asked anew each time: it may be replaced. */
  readonly config: () => Pick<Config, 'attachments' | 'handlers'>;
  /** Asked for when there is something to send. */
  readonly sources: () => readonly Source[];
  readonly clock: Clock;
  readonly timers: Timers;
}

export function createAnswering({
  config,
  sources,
  prepare,
  events,
  clock,
  timers,
}: AnsweringParts): Pick<DispatcherOptions, 'carriers' | 'follow' | 'openDeadlines'> {
  const handlers = (): Config['handlers'] => config().handlers;
  const outbox = createPostRoom({ exits: () => exitsOf(sources(), config()), timers });
  return {
    follow: [
      createAskFollow({ handlers, prepare, events }),
      createFollowUp({ configOf: (name) => handlers().find((handler) => handler.name === name)?.followUp, events }),
    ],
    openDeadlines: (parts) => new AskDeadlines(parts),
    carriers: { [messagePool]: (callbacks) => createMessageCarrier({ ...callbacks, outbox, clock }) },
  };
}

/** The ways out to users, of the attachments that can send. */
function exitsOf(sources: readonly Source[], { attachments }: Pick<Config, 'attachments'>): readonly Exit[] {
  return sources.flatMap(({ name, outbox }) => {
    const hosts = attachments.find((attachment) => attachment.name === name)?.hosts ?? [];
    return outbox === undefined ? [] : [{ hosts, send: outbox.send }];
  });
}
