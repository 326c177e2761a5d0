import { isUtf8 } from 'node:buffer';
import { type Exit, type ExitInput, unfit } from './exit.ts';
import { maxPartBytes, maxParts, splitMessage } from './parts.ts';
import { textType } from './reply.ts';

/** `*NONE`: the body as it is, and the unit's output as it is. What is longer than a part goes on in the next. */
export const noneExit: Exit = {
  input: async ({ received }) => wholeBody(received.body),
  output: async ({ status }, parts) => {
    const body = Buffer.concat(parts);
    return { kind: 'reply', reply: { status, headers: [isUtf8(body) ? textType : bytesType], body } };
  },
};

export const bytesType = ['content-type', 'application/octet-stream'] as const;

export function wholeBody(body: Buffer): ExitInput {
  const parts = splitMessage(body);
  return parts === undefined ? unfit(413, `a message may have ${maxParts} parts of ${maxPartBytes} bytes`) : { kind: 'parts', parts };
}
