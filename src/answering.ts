/** What comes of the answers of backends, put together from its parts. */
import type { Config } from './config/config.ts';
import { type AskFollowParts, createAskFollow } from './delivery/ask/follow.ts';
import type { DispatcherOptions } from './delivery/dispatcher.ts';
import { firstToFollow } from './delivery/follow.ts';
import { createFollowUp } from './delivery/follow-up/follow-up.ts';
import { createPostRoom, type Exit } from './delivery/follow-up/post-room.ts';
import type { Timers } from './kit/clock.ts';
import type { Source } from './sources/source.ts';

export interface AnsweringParts extends Pick<AskFollowParts, 'events' | 'prepare'> {
  /** Asked anew each time: it may be replaced. */
  readonly config: () => Pick<Config, 'attachments' | 'handlers'>;
  /** Asked for when there is something to send. */
  readonly sources: () => readonly Source[];
  readonly timers: Timers;
}

export function createAnswering({
  config,
  sources,
  prepare,
  events,
  timers,
}: AnsweringParts): Pick<DispatcherOptions, 'follow' | 'outbox'> {
  const handlers = (): Config['handlers'] => config().handlers;
  return {
    follow: firstToFollow([
      createAskFollow({ handlers, prepare, events }),
      createFollowUp({ configOf: (name) => handlers().find((handler) => handler.name === name)?.followUp, events }),
    ]),
    outbox: createPostRoom({ exits: () => exitsOf(sources(), config()), timers }),
  };
}

/** The ways out to users, of the attachments that can send. */
function exitsOf(sources: readonly Source[], { attachments }: Pick<Config, 'attachments'>): readonly Exit[] {
  return sources.flatMap(({ name, outbox }) => {
    const hosts = attachments.find((attachment) => attachment.name === name)?.hosts ?? [];
    return outbox === undefined ? [] : [{ hosts, send: outbox.send }];
  });
}
