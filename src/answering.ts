/** What comes of the answers of backends, put together from its parts. */
import type { Config } from './config/config.ts';
import { AskDeadlines } from './delivery/ask/deadlines.ts';
import { AskFollow, type AskFollowOptions } from './delivery/ask/follow.ts';
import type { DispatcherOptions } from './delivery/dispatcher.ts';
import { createFollowUp } from './delivery/follow-up/follow-up.ts';
import { MessageCarrier, type MessageRoute, MessageRouter } from './delivery/follow-up/message-carrier.ts';
import { messagePool } from './delivery/policy.ts';
import type { Clock, Timers } from './kit/clock.ts';
import type { Source } from './sources/source.ts';

export interface AnsweringParts extends Pick<AskFollowOptions, 'events' | 'prepare'> {
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
  const sender = new MessageRouter({ routes: () => routesOf(sources(), config()), timers });
  return {
    follow: [
      new AskFollow({ handlers, prepare, events }).follow,
      createFollowUp({ configOf: (name) => handlers().find((handler) => handler.name === name)?.followUp, events }),
    ],
    openDeadlines: (parts) => new AskDeadlines(parts),
    carriers: { [messagePool]: (callbacks) => new MessageCarrier({ ...callbacks, sender, clock }) },
  };
}

/** The ways out to users, of the attachments that can send. */
function routesOf(sources: readonly Source[], { attachments }: Pick<Config, 'attachments'>): readonly MessageRoute[] {
  return sources.flatMap(({ name, outbox }) => {
    const hosts = attachments.find((attachment) => attachment.name === name)?.hosts ?? [];
    return outbox === undefined ? [] : [{ hosts, send: outbox.send }];
  });
}
