import { setTimeout as pause } from 'node:timers/promises';
import { replayedShape } from '../admin/api/dead-letter-shapes.ts';
import { systemClock } from '../kit/clock.ts';
import { type AdminClient, findService } from './admin-client.ts';
import type { Call } from './command.ts';
import { counted, tell } from './layout.ts';
import { wholeOption } from './options.ts';
import { replayShares } from './replay-shares.ts';
import { type Selection, selectionIn } from './selection.ts';

const mostASecond = 1000;

/** Replays at once or, with --rate, so many a second; Ctrl-C stops it between two seconds. */
export async function replay(call: Call): Promise<number> {
  const { values } = call;
  const selection = selectionIn(call);
  const rate = wholeOption(values, 'rate', mostASecond);
  const limit = wholeOption(values, 'limit', Number.MAX_SAFE_INTEGER);
  const service = await findService(values);
  if (rate !== undefined && values['dry-run'] !== true) return replayAtRate(service, selection, { rate, limit, json: values.json });

  const dryRun = values['dry-run'] === true;
  const done = await service.post('/dead-letters/replay', replayedShape, { ...selection, dryRun, ...(limit !== undefined && { limit }) });
  tell(values.json, done, dryRun ? `${counted(done.count, 'dead letter')} would be replayed.\n` : summary(done));
  return 0;
}

interface AtRate {
  readonly rate: number;
  readonly limit: number | undefined;
  readonly json: boolean | undefined;
}

async function replayAtRate(service: AdminClient, selection: Selection, { rate, limit, json }: AtRate): Promise<number> {
  const stop = new AbortController();
  process.once('SIGINT', () => stop.abort());
  let began = systemClock.monotonic();

  async function nextShare(): Promise<boolean> {
    const rest = Math.max(0, began + 1000 - systemClock.monotonic());
    await pause(rest, undefined, { signal: stop.signal }).catch(() => undefined); // stopped: said by what is returned
    began = systemClock.monotonic();
    return !stop.signal.aborted;
  }

  const { whole, ...done } = await replayShares(service, selection, { rate, limit: limit ?? Number.POSITIVE_INFINITY, nextShare });
  tell(json, done, whole ? summary(done) : `${summary(done)}Stopped: the rest stays.\n`);
  return whole ? 0 : 1;
}

function summary({ count, failed }: { readonly count: number; readonly failed: number }): string {
  const rest = failed === 0 ? '' : `${failed} stay dead: their callbacks failed again, or want no request now.\n`;
  return `${counted(count, 'dead letter')} replayed.\n${rest}`;
}
