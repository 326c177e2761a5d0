import { setTimeout as sleep } from 'node:timers/promises';
import type { z } from 'zod';
import { tailShape } from '../admin/api/tail.ts';
import { ServiceError, toError } from '../kit/errors.ts';
import { findService, serviceOptions } from './admin-client.ts';
import type { Call, Command } from './command.ts';
import type { OptionName } from './options.ts';
import { counted, jsonText, printable } from './terminal.ts';
import { localTime } from './times.ts';

const filterOptions = ['handler', 'host', 'jid', 'pool', 'state'] as const satisfies readonly OptionName[];

export const tailCommand: Command = {
  name: 'tail',
  synopsis: '[--jid JID] [--handler NAME] [--pool NAME] [--host HOST] [--state STATE] [SERVICE]',
  description: 'follows what happens to events, one line for each step, until it is interrupted',
  options: [...filterOptions, ...serviceOptions],
  run: follow,
};

type Page = z.output<typeof tailShape>;
type Line = Page['lines'][number];

/** Pause after a request, and after one without an answer, ms. */
const pauseMs = 300;
const unreachableMs = 2000;

/** Ends with the process, or with the reader of the output; a service that does not answer is asked again. */
async function follow({ values, unread }: Call): Promise<number> {
  const service = await findService(values);
  const { state, ...names } = Object.fromEntries(filterOptions.map((name) => [name, values[name]]));
  const filter = { ...names, state: state?.split(',') };
  let viewer: string | undefined;
  let isReachable = true;
  while (!unread.aborted) {
    const page: Error | Page = await service.get('/tail', tailShape, { ...filter, viewer }).catch(toError);
    if (page instanceof Error) {
      if (!(page instanceof ServiceError && page.code === 'ADMIN_UNREACHABLE') || viewer === undefined) throw page;
      if (isReachable) note(`${page.message}; retrying`);
    } else {
      const notes = [...noteOf(page, viewer), ...(page.missed === 0 ? [] : [`${counted(page.missed, 'line')} lost: too many to show`])];
      notes.forEach(note);
      for (const line of page.lines) process.stdout.write(`${values.json === true ? jsonText(line) : lineText(line)}\n`);
      viewer = page.viewer;
    }
    isReachable = !(page instanceof Error);
    await sleep(isReachable ? pauseMs : unreachableMs, undefined, { signal: unread }).catch(() => undefined); // the reader has ended
  }
  return 0;
}

function noteOf({ begins }: Page, viewer: string | undefined): readonly string[] {
  if (!begins) return [];
  return [viewer === undefined ? 'waiting for events' : 'the view begins again: steps in between are not shown'];
}

/** On standard error, so that standard output has only lines of events. */
function note(text: string): void {
  process.stderr.write(`-- ${printable(text)}\n`);
}

function lineText({ at, id, handler, pool, host, sender, receiver, ...step }: Line): string {
  const users = sender === null || receiver === null ? '' : `  ${sender} to ${receiver}`;
  return printable(`${localTime(at)}  ${stepText(step)}  ${handler} on ${pool} at ${host}  ${id}${users}`).replaceAll('\n', ' ');
}

type Step = Pick<Line, 'attempt' | 'durationMs' | 'reason' | 'result' | 'state' | 'status' | 'what'>;

function stepText({ what, state, attempt, result, status, durationMs, reason }: Step): string {
  const why = reason === '' ? '' : `: ${reason}`;
  switch (what) {
    case 'accepted':
      return 'accepted';
    case 'attempt':
      return `attempt ${attempt} ${result}${status === null ? '' : ` ${status}`}, ${Math.round(durationMs ?? 0)} ms, ${state}${why}`;
    case 'settled':
    case 'withheld':
      return `${state}${why}`;
    default:
      return what satisfies never;
  }
}
