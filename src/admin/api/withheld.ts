import type { z } from 'zod';
import type { WithheldPush } from '../../telemetry/recent.ts';
import { hidden, refuseContentTo } from './content.ts';
import type { ApiDependencies } from './dependencies.ts';
import { defineRoute, type Route } from './route.ts';
import { rfc3339 } from './values.ts';
import { withheldList, withheldQuestion } from './withheld-shapes.ts';

/** What business servers have withheld of late. */
export function withheldRoutes({ withheld }: ApiDependencies): readonly Route[] {
  const list = defineRoute({
    method: 'GET',
    path: '/withheld',
    summary: 'Lists the last pushes that business servers withheld, the newest at the end. They are kept in memory.',
    asks: withheldQuestion,
    answers: withheldList,
    handle: ({ handler, host, limit, order, content }, caller) => {
      if (content) refuseContentTo(caller);
      const meant = withheld.list().filter((push) => (handler ?? push.handler) === push.handler && (host ?? push.host) === push.host);
      return (order === 'newest' ? meant.slice(-limit) : meant.slice(0, limit)).map((push) =>
        withheldView(push, { content, mayQuote: caller.mayReadContent }),
      );
    },
  });
  return [list];
}

interface Sight {
  readonly content: boolean;
  /** Whether texts of the business server are shown; they may quote the message. */
  readonly mayQuote: boolean;
}

function withheldView(push: WithheldPush, { content, mayQuote }: Sight): z.input<typeof withheldList>[number] {
  const { at, sender, receiver, errMsg, errDlt, ...rest } = push;
  const shown = (text: string): string => (mayQuote || text === '' ? text : hidden);
  return { ...rest, errMsg: shown(errMsg), errDlt: shown(errDlt), at: rfc3339(at), ...(content ? { sender, receiver } : {}) };
}
