/**
 * One request through its exit, its program unit, and the exit again:
 *
 *   unit begins → first mget: exit (input) → parts → unit puts its own → exit (output) → commit → reply
 *
 * What ends it before the commit leaves nothing behind.
 */
import type { UnitAcc } from '../../../../pools/exits.ts';
import { toError } from '../../../kit/errors.ts';
import type { Refusal } from '../answer.ts';
import type { Exit, ExitInput, Service } from './exit.ts';
import { createParts } from './parts.ts';
import type { Reply } from './reply.ts';
import { secondaryCode } from './secondary-code.ts';
import type { Unit, UnitCall, UnitEnd } from './unit.ts';

/** How a service ended. `failed`: through a fault of an exit or a unit of the user's, which `error` tells where there was one. */
export type ServiceEnd =
  | { readonly kind: 'replied'; readonly reply: Reply }
  | { readonly kind: 'refused'; readonly refusal: Refusal }
  | { readonly kind: 'failed'; readonly by: 'exit' | 'unit'; readonly text: string; readonly error: Error | undefined };

export interface Programs {
  readonly exit: Exit;
  readonly unit: Unit;
}

export async function runService({ exit, unit }: Programs, service: Service, acc: UnitAcc): Promise<ServiceEnd> {
  const message = createMessage(() => exit.input(service));
  const put = createParts();
  const end = await runUnit(unit, { ...message.get, mput: put.add, init: () => ({ httpInfo: service.received.info }), acc });

  const input = await message.read();
  if (input?.kind === 'unfit') return { kind: 'refused', refusal: input.refusal };
  if (input?.kind === 'ended') return endedBy(input.retcode, input.error);
  if (end.kind === 'failed') return end;
  if (end.kind === 'refused') return { kind: 'refused', refusal: end.refusal };

  const output = await exit.output(service, [...put.all]);
  if (output.kind === 'ended') return endedBy(output.retcode, output.error);
  const refusal = await end.commit?.();
  return refusal === undefined ? { kind: 'replied', reply: output.reply } : { kind: 'refused', refusal };
}

function endedBy(retcode: number, error: Error | undefined): ServiceEnd {
  return { kind: 'failed', by: 'exit', text: secondaryCode(retcode), error };
}

async function runUnit(unit: Unit, call: UnitCall): Promise<UnitEnd | Extract<ServiceEnd, { kind: 'failed' }>> {
  try {
    return await unit(call);
  } catch (thrown) {
    return { kind: 'failed', by: 'unit', text: 'the program unit failed', error: toError(thrown) };
  }
}

/** The input message: the exit is called at the first `mget`, whoever calls it, and never again. */
function createMessage(input: () => Promise<ExitInput>) {
  let reading: Promise<ExitInput> | undefined;
  let next = 0;

  async function mget(): Promise<Buffer | undefined> {
    reading ??= Promise.resolve().then(input); // in a turn of its own: the unit has the thread now
    const read = await reading;
    if (read.kind !== 'parts') throw new Error('the input ended the service');
    next += 1;
    return read.parts[next - 1];
  }

  async function mgetRest(): Promise<Buffer> {
    const rest: Buffer[] = [];
    for (let part = await mget(); part !== undefined; part = await mget()) rest.push(part);
    return Buffer.concat(rest);
  }

  return { get: { mget, mgetRest }, read: async () => await reading };
}
